package plugin

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// The status is compared with what was written last, though the watch has not shown that: the
// end of a wait would be counted twice.
func TestStatusThatTheCacheLacks(t *testing.T) {
	key := gang.Key{Namespace: "ns", Name: "gang"}
	pg := func(uid, version, phase string) *group {
		return &group{
			PodGroup: &v1alpha1.PodGroup{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}},
			status:   kube.GroupStatus{Phase: v1alpha1.PodGroupPhase(phase)},
		}
	}
	for _, test := range []struct {
		name   string
		cached *group
		want   v1alpha1.PodGroupPhase
	}{
		{"older", pg("a", "9", "before"), "written"},
		{"the same", pg("a", "10", "cached"), "cached"},
		{"later", pg("a", "11", "cached"), "cached"},
		{"another of that name", pg("b", "9", "cached"), "cached"},
	} {
		r := newReporter(nil)
		r.written[key] = pg("a", "10", "written")
		got := r.latest(key, test.cached)
		if got.status.Phase != test.want || got.PodGroup != test.cached.PodGroup {
			t.Errorf("%s: status %s, want %s, of what is cached", test.name, got.status.Phase, test.want)
		}
		if kept := len(r.written) == 1; kept != (test.want == "written") {
			t.Errorf("%s: what was written is still remembered: %t", test.name, kept)
		}
	}
}
