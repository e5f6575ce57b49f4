package advisor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/autoscale"
)

func TestParseReport(t *testing.T) {
	for text, want := range map[string]report{
		"lockstep_steps_per_second 12.5\n": {speed: 12.5},
		"# HELP lockstep_steps_per_second x\n# TYPE lockstep_steps_per_second gauge\nlockstep_steps_per_second{job=\"a} b\"} 3 1700000000\n": {speed: 3},
		"other 1\nlockstep_steps_per_second_total 9\nlockstep_steps_per_second 4":                                                            {speed: 4},
		"lockstep_steps_per_second NaN\n":  {},
		"lockstep_steps_per_second -1\n":   {},
		"lockstep_steps_per_second +Inf\n": {},
		"lockstep_steps_per_second\n":      {},
		"":                                 {},
		strings.Repeat("x", readLimit) + "\nlockstep_steps_per_second 1\n":             {},
		"lockstep_seconds_since_checkpoint 90.5\nlockstep_steps_per_second 2\n":        {speed: 2, unsaved: 90500 * time.Millisecond, saves: true},
		"lockstep_steps_per_second 2\nlockstep_seconds_since_checkpoint{rank=\"0\"} 0": {speed: 2, saves: true},
		"lockstep_seconds_since_checkpoint -1\n":                                       {},
		"lockstep_seconds_since_checkpoint NaN\n":                                      {},
		"lockstep_seconds_since_checkpoint 1e300\n":                                    {},
	} {
		got, err := parseReport(strings.NewReader(text))
		if got != want || (err == nil) != (want.saves || want.speed > 0) {
			t.Errorf("%.40q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// TestReports: what is measured at one size is remembered at others, and a pod that leads elsewhere is not followed.
func TestReports(t *testing.T) {
	answer := "lockstep_steps_per_second 10"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer == "elsewhere" {
			http.Redirect(w, r, "/metrics?again", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	job := &v1.PyTorchJob{
		ObjectMeta: metav1.ObjectMeta{Name: "job", UID: "1", Annotations: map[string]string{v1.AnnotationStepsPort: port}},
		Status:     v1.JobStatus{StartTime: &metav1.Time{}, Progress: &v1.Progress{}},
	}
	workers := func(n int) []*corev1.Pod {
		var pods []*corev1.Pod
		for i := range n {
			pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: v1.PodName("job", v1.Worker, int32(i))},
				Status: corev1.PodStatus{PodIP: host}})
		}
		return pods
	}
	s := newReports(nil)
	s.client.Timeout = time.Minute // it is not about that
	ask := func(n int) []autoscale.Sample { return s.of(t.Context(), job, workers(n), time.Now).samples() }
	answer = "nothing"
	ask(2)
	if got, want := s.by[job.UID].silence(), "; it has told nothing yet (lockstep.dev/steps-port): "+server.URL+"/metrics: neither a line "; !strings.HasPrefix(got, want) {
		t.Errorf("of a job that tells nothing: %q, want %q", got, want)
	}
	answer = "elsewhere"
	ask(2)
	if got, want := s.by[job.UID].silence(), server.URL+"/metrics: status 302"; !strings.HasSuffix(got, want) {
		t.Errorf("of a job that leads elsewhere: %q, want %q", got, want)
	}
	answer = "lockstep_steps_per_second 10"
	ask(2)
	answer = "lockstep_steps_per_second 18"
	got := ask(4)
	if want := []autoscale.Sample{{Workers: 2, Speed: 10}, {Workers: 4, Speed: 18}}; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("samples %v", got)
	}
	answer = "elsewhere"
	if got := ask(8); len(got) != 2 {
		t.Errorf("samples %v", got)
	}
	if got := s.by[job.UID].silence(); got != "" {
		t.Errorf("of a job that has told something: %q", got)
	}
	delete(job.Annotations, v1.AnnotationStepsPort)
	if got := s.of(t.Context(), job, workers(2), time.Now); got != nil {
		t.Errorf("%+v of a job that tells nothing", got)
	}
	job.Annotations[v1.AnnotationStepsPort] = port
	ask(2)
	s.keep(map[types.UID]bool{})
	if len(s.by) != 0 {
		t.Error("a job that is no more is remembered")
	}
}
