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
	"lockstep.dev/lockstep/pkg/autoscale"
)

// speedMetric is the gauge by which a job tells how fast it trains: steps of a fixed
// global batch per second, or samples per second. Only ratios between sizes matter.
const speedMetric = "lockstep_steps_per_second"

// Bounds of a read: a pod's answer is a stranger's.
const (
	readTimeout = 2 * time.Second
	readLimit   = 1 << 20
)

// speeds remembers how fast jobs ran at which sizes. It is lost with the process; until
// a size is measured again the recommender's default curve stands in.
type speeds struct {
	client *http.Client
	by     map[types.UID]map[int]float64
}

func newSpeeds() *speeds {
	return &speeds{
		by: map[types.UID]map[int]float64{},
		client: &http.Client{
			Timeout:       readTimeout,
			Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// of measures a job at its present size, if it tells its speed, and returns what is known of it.
func (s *speeds) of(ctx context.Context, job *v1.PyTorchJob, workers []*corev1.Pod) []autoscale.Sample {
	terms, _ := v1.ReadTerms(job.Annotations)
	if terms.StepsPort == 0 {
		return nil
	}
	first := slices.IndexFunc(workers, func(pod *corev1.Pod) bool { return pod.Name == v1.PodName(job.Name, v1.Worker, 0) })
	if first >= 0 && workers[first].Status.PodIP != "" {
		address := net.JoinHostPort(workers[first].Status.PodIP, strconv.Itoa(int(terms.StepsPort)))
		if speed, err := s.read(ctx, "http://"+address+"/metrics"); err == nil {
			if s.by[job.UID] == nil {
				s.by[job.UID] = map[int]float64{}
			}
			s.by[job.UID][len(workers)] = speed
		}
	}
	known := s.by[job.UID]
	samples := make([]autoscale.Sample, 0, len(known))
	for _, size := range slices.Sorted(maps.Keys(known)) {
		samples = append(samples, autoscale.Sample{Workers: size, Speed: known[size]})
	}
	return samples
}

func (s *speeds) keep(jobs map[types.UID]bool) {
	maps.DeleteFunc(s.by, func(uid types.UID, _ map[int]float64) bool { return !jobs[uid] })
}

func (s *speeds) read(ctx context.Context, url string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return parseSpeed(io.LimitReader(response.Body, readLimit))
}

var errNoSpeed = errors.New("no line " + speedMetric)

// parseSpeed finds the gauge in Prometheus' text format. The first positive value counts.
func parseSpeed(text io.Reader) (float64, error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), speedMetric)
		if !ok {
			continue
		}
		if labels := strings.LastIndexByte(rest, '}'); strings.HasPrefix(rest, "{") && labels > 0 {
			rest = rest[labels+1:]
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 || rest[0] != ' ' && rest[0] != '\t' {
			continue // another metric whose name begins like ours
		}
		if speed, err := strconv.ParseFloat(fields[0], 64); err == nil && speed > 0 && speed <= 1e12 {
			return speed, nil
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoSpeed
}
