package advisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const (
	// speedMetric is the gauge by which a job tells how fast it trains: steps of a fixed
	// global batch per second, or samples per second. Only ratios between sizes matter.
	speedMetric = "lockstep_steps_per_second"
	// unsavedMetric is the gauge by which it tells how old its last checkpoint is, counted
	// from its start where it went on from one. An age needs no clocks that agree.
	unsavedMetric = "lockstep_seconds_since_checkpoint"
)

// Bounds of a read: a pod's answer is a stranger's.
const (
	readTimeout = 2 * time.Second
	readLimit   = 1 << 20
)

// report is one answer of a job.
type report struct {
	speed   float64       // 0: it does not tell
	unsaved time.Duration // since the last checkpoint
	saves   bool          // it tells of checkpoints
}

// reports asks jobs, and remembers what they have told.
type reports struct {
	client *http.Client
	by     map[types.UID]*told
}

// newReports asks through the transport; nil: by the network, and by no proxy.
func newReports(transport http.RoundTripper) *reports {
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true, Proxy: nil}
	}
	return &reports{
		by: map[types.UID]*told{},
		client: &http.Client{
			Timeout:       readTimeout,
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// of asks a job, if it has something to tell, and returns what is known of it; nil: nothing.
func (s *reports) of(ctx context.Context, job *v1.PyTorchJob, workers []*corev1.Pod, now func() time.Time) *told {
	terms, _ := v1.ReadTerms(job.Annotations)
	if terms.StepsPort == 0 {
		delete(s.by, job.UID)
		return nil
	}
	if s.by[job.UID] == nil {
		s.by[job.UID] = recall(job)
	}
	t := s.by[job.UID]
	first := slices.IndexFunc(workers, func(pod *corev1.Pod) bool { return pod.Name == v1.PodName(job.Name, v1.Worker, 0) })
	if first >= 0 && workers[first].Status.PodIP != "" {
		address := net.JoinHostPort(workers[first].Status.PodIP, strconv.Itoa(int(terms.StepsPort)))
		url := "http://" + address + "/metrics"
		r, err := s.read(ctx, url)
		if err == nil {
			t.problem = ""
			t.note(r, len(workers), now(), changedAt(job))
		} else {
			t.problem = url + ": " + root(err).Error()
		}
	}
	return t
}

func (s *reports) keep(jobs map[types.UID]bool) {
	maps.DeleteFunc(s.by, func(uid types.UID, _ *told) bool { return !jobs[uid] })
}

func (s *reports) read(ctx context.Context, url string) (report, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return report{}, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return report{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return report{}, fmt.Errorf("status %d", response.StatusCode)
	}
	return parseReport(io.LimitReader(response.Body, readLimit))
}

// root is the innermost error: those around it name ports that are others in each round.
func root(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

var errNothingTold = errors.New("neither a line " + speedMetric + " nor " + unsavedMetric)

// parseReport finds the gauges in Prometheus' text format. Of each the first value that can be counts.
func parseReport(text io.Reader) (report, error) {
	r := report{}
	lines := bufio.NewScanner(text)
	for lines.Scan() && (r.speed == 0 || !r.saves) {
		if speed, ok := gauge(lines.Text(), speedMetric); ok && r.speed == 0 && speed > 0 && speed <= 1e12 {
			r.speed = speed
		}
		if age, ok := gauge(lines.Text(), unsavedMetric); ok && !r.saves && age >= 0 && age <= 1e9 {
			r.unsaved, r.saves = time.Duration(age*float64(time.Second)), true
		}
	}
	switch err := lines.Err(); {
	case r.speed > 0 || r.saves:
		return r, nil
	case err != nil:
		return r, err
	}
	return r, errNothingTold
}

// gauge is the value of a metric, if the line has it.
func gauge(line, name string) (float64, bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok {
		return 0, false
	}
	if labels := strings.LastIndexByte(rest, '}'); strings.HasPrefix(rest, "{") && labels > 0 {
		rest = rest[labels+1:]
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 || rest[0] != ' ' && rest[0] != '\t' {
		return 0, false // another metric whose name begins like ours
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	return value, err == nil
}
