package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// usage is what has been used so far.
type usage struct {
	cpu      map[string]time.Duration // by program
	requests map[string]float64       // to the apiserver, by verb and resource
}

// What a scheduler still writes after its last bind, its events for one, counts as
// well: until it has written nothing for so long, and for so long at most.
const (
	settle     = 2 * time.Second
	settleMost = 30 * time.Second
)

func (t *turn) usage(ctx context.Context) (usage, error) {
	u := usage{cpu: map[string]time.Duration{}}
	pids := map[string]int{"apiserver": t.cluster.APIServer().Pid(), "etcd": t.cluster.Etcd().Pid()}
	if !t.contestant.inProcess() { // otherwise it is one with the load
		pids["scheduler"] = t.player.Pid()
	}
	for name, pid := range pids {
		used, err := cpuTime(pid)
		if err != nil {
			return u, err
		}
		u.cpu[name] = used
	}
	var err error
	u.requests, err = t.requests(ctx)
	return u, err
}

// recordUsage records what has been used per pod since before.
func (t *turn) recordUsage(ctx context.Context, before usage, pods int) error {
	after, err := t.settled(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"scheduler", "apiserver", "etcd"} {
		if used, known := after.cpu[name]; known {
			t.record(name+"_cpu_ms_per_pod", float64((used-before.cpu[name]).Microseconds())/1000/float64(pods))
		}
	}
	if !t.contestant.inProcess() {
		resident, err := residentBytes(t.player.Pid())
		if err != nil {
			return err
		}
		t.record("scheduler_resident_mib", float64(resident)/(1<<20))
	}
	total := 0.0
	names := slices.Sorted(maps.Keys(after.requests))
	for _, name := range names {
		total += after.requests[name] - before.requests[name]
	}
	t.record("requests_per_pod", total/float64(pods))
	for _, name := range names {
		if n := after.requests[name] - before.requests[name]; n/float64(pods) >= 0.005 {
			t.record("requests_per_pod_"+name, n/float64(pods))
		}
	}
	return nil
}

// settled is what has been used when nothing is written any more.
func (t *turn) settled(ctx context.Context) (usage, error) {
	last, err := t.usage(ctx)
	for begin := time.Now(); err == nil && time.Since(begin) < settleMost; {
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
		before := last
		if last, err = t.usage(ctx); err == nil && maps.Equal(before.requests, last.requests) {
			return last, nil
		}
	}
	return last, err
}

// requests counts what schedulers ask of the apiserver: everything about pods,
// their groups and events, but for what the load itself asks (it creates pods and
// groups) and for watches and lists.
func (t *turn) requests(ctx context.Context) (map[string]float64, error) {
	text, err := t.client.CoreV1().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("metrics of the apiserver: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("metrics of the apiserver: %w", err)
	}
	counts := map[string]float64{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, pair := range metric.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		what := labels["resource"]
		if sub := labels["subresource"]; sub != "" {
			what += "/" + sub
		}
		verb := labels["verb"]
		own := verb == "POST" && (what == "pods" || what == "podgroups")
		if slices.Contains([]string{"pods", "podgroups", "events"}, labels["resource"]) && !own &&
			slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, verb) {
			counts[verb+"_"+what] += metric.GetCounter().GetValue()
		}
	}
	return counts, nil
}

// ticksPerSecond is the unit of /proc's CPU times; it is the same on every Linux
// that Go runs on.
const ticksPerSecond = 100

// cpuTime is the processor time that a running process has used.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold anything.
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected form", pid)
	}
	var ticks int64
	for _, field := range fields[11:13] { // user, system
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// residentBytes is the memory that a running process has in use.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm: unexpected form", pid)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
