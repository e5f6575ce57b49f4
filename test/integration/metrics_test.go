package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// scraper returns a token of a service account, which may read metrics once it is granted that.
func (w *world) scraper() (token string, grant func()) {
	w.t.Helper()
	account := &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "scraper", Namespace: w.namespace}}
	_, err := env.client.CoreV1().ServiceAccounts(w.namespace).Create(w.ctx, account, metav1.CreateOptions{})
	w.must(err)
	request, err := env.client.CoreV1().ServiceAccounts(w.namespace).CreateToken(w.ctx, account.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	w.must(err)
	return request.Status.Token, func() {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-scraper"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "lockstep-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: w.namespace}},
		}
		_, err := env.client.RbacV1().ClusterRoleBindings().Create(w.ctx, binding, metav1.CreateOptions{})
		w.must(err)
		w.t.Cleanup(func() {
			_ = env.client.RbacV1().ClusterRoleBindings().Delete(context.Background(), binding.Name, metav1.DeleteOptions{})
		})
	}
}

// scrape reads a scheduler's metrics: each by its name with its labels.
func (w *world) scrape(scheduler *devcluster.Process, token string) (code int, values map[string]float64) {
	w.t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the scheduler has made its certificate itself
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, strings.Replace(scheduler.ReadyURL(), "/readyz", "/metrics", 1), nil)
	w.must(err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	w.must(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	w.must(err)
	values = map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := make([]string, 0, len(m.GetLabel()))
			for _, pair := range m.GetLabel() {
				labels = append(labels, pair.GetName()+"="+strings.Replace(pair.GetValue(), w.namespace+"-", "", 1))
			}
			series := name + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.GetHistogram() != nil:
				values[series] = float64(m.GetHistogram().GetSampleCount())
			case m.GetCounter() != nil:
				values[series] = m.GetCounter().GetValue()
			default:
				values[series] = m.GetGauge().GetValue()
			}
		}
	}
	return response.StatusCode, values
}

// The scheduler tells whoever may read its metrics who waits for how long and why, what
// queues hold, and who was evicted; nobody else.
func TestMetrics(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	elected := devcluster.ProgramOptions{LeaderElection: true}
	w.withScheduler(elected) // its counters begin at zero
	leader := env.cluster.Scheduler()
	token, grant := w.scraper()
	if code, _ := w.scrape(leader, token); code != http.StatusForbidden {
		t.Errorf("metrics answer %d to somebody without the right to read them", code)
	}
	grant()

	lender, borrower := w.queue("lender", "8", ""), w.queue("borrower", "8", "24")
	w.createIn(borrower, gangOf("first", 2, "8"))
	w.awaitPlaced("first", 2)
	w.createIn(borrower, gangOf("second", 1, "8"))
	w.awaitPlaced("second", 1)
	w.createIn(borrower, gangOf("above", 1, "8"))
	w.awaitReason("above", "QuotaExceeded")
	w.createIn(lender, gangOf("owner", 1, "8"))
	w.awaitPlaced("owner", 1) // the second goes for it
	w.awaitReason("owner", "Placed")
	for i, node := range w.nodes {
		w.patchNode(node, `{"metadata":{"labels":{"nvidia.com/gpu.count":"`+[]string{"8", "7", "none"}[i]+`"}}}`)
	}

	want := map[string]float64{
		"lockstep_gangs{phase=Placed}":                                    2,
		"lockstep_gangs_waiting{queue=borrower,reason=QuotaExceeded}":     0, // there is room below the cap again
		"lockstep_gangs_waiting{queue=borrower,reason=DoesNotFit}":        1,
		"lockstep_queue_held{queue=borrower,resource=nvidia.com/gpu}":     16,
		"lockstep_queue_held{queue=lender,resource=nvidia.com/gpu}":       8,
		"lockstep_queue_guaranteed{queue=lender,resource=nvidia.com/gpu}": 8,
		"lockstep_queue_cap{queue=borrower,resource=nvidia.com/gpu}":      24,
		"lockstep_queue_cap{queue=lender,resource=nvidia.com/gpu}":        0, // none
		"lockstep_members_evicted_total{reason=ReclaimedForQueue}":        1,
		"lockstep_gang_wait_seconds{queue=borrower}":                      2,
		"lockstep_gang_wait_seconds{queue=lender}":                        1,
		"lockstep_reservations{kind=Preempting}":                          0,
		"lockstep_nodes_gpu_mismatch{}":                                   1,
	}
	w.await("metrics", func() (bool, string) {
		code, values := w.scrape(leader, token)
		if code != http.StatusOK {
			return false, http.StatusText(code)
		}
		got := map[string]float64{}
		for series := range want {
			got[series] = values[series]
		}
		if longest := values["lockstep_longest_wait_seconds{queue=borrower}"]; longest <= 0 {
			return false, "no longest wait"
		}
		var differs []string
		for series, value := range want {
			if got[series] != value {
				differs = append(differs, series)
			}
		}
		return maps.Equal(got, want), strings.Join(differs, ", ") + " differ: " + printed(values)
	})

	standby, err := env.cluster.StartScheduler(w.ctx, elected)
	w.must(err)
	if code, values := w.scrape(standby, token); code != http.StatusOK || values["lockstep_members_evicted_total{reason=ReclaimedForQueue}"] != 0 ||
		strings.Contains(printed(values), "lockstep_gangs") || strings.Contains(printed(values), "lockstep_queue") {
		t.Errorf("a standby answers %d and tells what its leader does: %s", code, printed(values))
	}
	leader.Kill() // it is not the latest any more, which ends with the test
}

// printed are those of our own.
func printed(values map[string]float64) string {
	var lines []string
	for series, value := range values {
		if strings.HasPrefix(series, "lockstep_") {
			lines = append(lines, fmt.Sprint(series, " ", value))
		}
	}
	slices.Sort(lines)
	return "\n" + strings.Join(lines, "\n")
}

// patchNode changes a node of the test.
func (w *world) patchNode(node, patch string) {
	w.t.Helper()
	_, err := env.client.CoreV1().Nodes().Patch(w.ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err)
}

// A scheduler that starts tells in events what is news, and not once more what the one
// before it has told.
func TestRestartTellsNothingTwice(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.create(gangOf("sits", 2, "4"))
	w.awaitReason("sits", "Placed")
	w.create(gangOf("waits", 4, "8"))
	w.awaitReason("waits", "Impossible")
	told := func() map[string]int {
		list, err := env.client.EventsV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{})
		w.must(err)
		counts := map[string]int{}
		for i := range list.Items {
			if e := &list.Items[i]; e.Regarding.Kind == kube.PodGroupKind.Kind {
				n := 1
				if e.Series != nil {
					n = int(e.Series.Count)
				}
				counts[e.Regarding.Name+" "+e.Reason] += n
			}
		}
		return counts
	}
	var before map[string]int
	w.await("the first scheduler's events", func() (bool, string) {
		before = told()
		return before["sits Scheduled"] == 1 && before["waits Impossible"] == 1, fmt.Sprint(before)
	})
	w.withScheduler(devcluster.ProgramOptions{})
	w.deleteGang("sits")
	w.create(gangOf("later", 2, "8"))
	w.awaitReason("later", "Placed")
	w.await("the second scheduler's events", func() (bool, string) {
		after := told()
		return after["later Scheduled"] == 1, fmt.Sprint(after)
	})
	after := told()
	delete(after, "later Scheduled")
	if !maps.Equal(before, after) {
		t.Errorf("events before the restart %v, after it %v", before, after)
	}
}
