package advisor

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestLevels: levels that are configured go before those that labels tell of, and one that no
// node knows of is left out, as the scheduler does.
func TestLevels(t *testing.T) {
	listing := kube.Listing{Nodes: []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{
		"example.com/row": "r1", "topology.lockstep.dev/rack": "k1"}}}}}
	given := []topology.Level{{Name: "hall", Key: "example.com/hall"}, {Name: "row", Key: "example.com/row"}}
	if got := levels(given, listing); len(got) != 1 || got[0].Name != "row" {
		t.Errorf("with configured levels: %v", got)
	}
	if got := levels(nil, listing); len(got) != 1 || got[0].Name != "rack" {
		t.Errorf("without: %v", got)
	}
}
