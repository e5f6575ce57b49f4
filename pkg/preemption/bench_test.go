package preemption

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// full is a cluster of 8-GPU nodes, 16 to a rack and 8 racks to a block, on each of
// which four pods of two GPUs run. They are in gangs of up to so many pods, which
// stand on nodes that are near each other.
func full(nodes, gangs int, seed uint64) ([]cluster.Node, []Candidate) {
	r := rand.New(rand.NewPCG(seed, 7))
	list := make([]cluster.Node, nodes)
	for i := range list {
		list[i] = nodeOf(fmt.Sprintf("node-%05d", i), fmt.Sprintf("b%03d", i/128), fmt.Sprintf("r%04d", i/16), 128, 8)
	}
	places := make([]int, 4*nodes)
	for i := range places {
		places[i] = i / 4
	}
	for i := range places { // gangs overlap
		j := min(len(places)-1, i+r.IntN(24))
		places[i], places[j] = places[j], places[i]
	}
	var candidates []Candidate
	for len(places) > 0 {
		n := min(len(places), 1+r.IntN(gangs))
		c := Candidate{Gang: gang.Key{Namespace: "ns", Name: fmt.Sprint(len(candidates))}, Priority: int32(r.IntN(3)), Floor: n - r.IntN(1+n/2)}
		for _, node := range places[:n] {
			pod := podOf(node, 16, 2)
			pod.Lost = int64(r.IntN(3600))
			c.Pods = append(c.Pods, pod)
		}
		candidates, places = append(candidates, c), places[n:]
	}
	return list, candidates
}

// BenchmarkSearch looks for victims in a full cluster of 1,000 nodes and 4,000 pods.
func BenchmarkSearch(b *testing.B) {
	for _, gangs := range []int{1, 8, 32} {
		for _, req := range []placement.Request{
			{Classes: []placement.Class{classOf(16, 16, 8)}},
			{Classes: []placement.Class{classOf(64, 16, 2)}},
			{Classes: []placement.Class{classOf(16, 16, 8)}, Required: 2},
			{Classes: []placement.Class{classOf(1, 32, 0), classOf(63, 16, 2)}},
			{Classes: []placement.Class{classOf(1, 32, 1), classOf(63, 16, 4)}, Required: 1},
		} {
			name := fmt.Sprintf("gangs=%d/classes=%d/size=%d/required=%d", gangs, len(req.Classes), req.Size(), req.Required)
			b.Run(name, func(b *testing.B) {
				nodes, candidates := full(1000, gangs, 1)
				p := occupied(nodes, candidates, 3, req.Classes...)
				p.req.Required = req.Required
				x := p.index()
				b.ReportAllocs()
				var choice *Choice
				var used time.Duration
				for b.Loop() {
					before := processorTime()
					choice, _ = Search(x, p.req, p.candidates, p.options)
					used += processorTime() - before
				}
				b.ReportMetric(float64(used)/float64(b.N)/1e6, "cpu-ms")
				toll := p.toll(p.selected(choice))
				b.ReportMetric(float64(toll[2]+toll[3]), "victims")
				b.ReportMetric(float64(map[bool]int{true: 1}[choice.Exact]), "exact")
				b.Logf("%v", toll)
			})
		}
	}
}

// processorTime is what the process has used so far; other load does not count.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
