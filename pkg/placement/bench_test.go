package placement

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// fragmented is a cluster of 8-GPU nodes, 16 to a rack and 8 racks to a block,
// with a share of its GPUs taken at random.
func fragmented(n int, taken float64, seed int64) []cluster.Node {
	rng := rand.New(rand.NewSource(seed))
	nodes := make([]cluster.Node, n)
	for i := range nodes {
		nodes[i] = node(fmt.Sprintf("node-%05d", i), fmt.Sprintf("b%03d", i/128), fmt.Sprintf("r%04d", i/16), 128000, 8)
		for range 8 {
			if rng.Float64() < taken {
				nodes[i].Free[gpu]--
				nodes[i].Free[cluster.CPU] -= 8000
			}
		}
	}
	return nodes
}

// gangOf is a gang of one class, or with a Master and two parameter servers.
func gangOf(pods, classes int) Request {
	if classes == 1 {
		return Request{Classes: []Class{class(pods, 8000, 1)}}
	}
	return Request{Classes: []Class{class(1, 16000, 0), class(2, 32000, 1), class(pods-3, 8000, 1)}}
}

func forSizes(b *testing.B, run func(b *testing.B, nodes []cluster.Node, req Request)) {
	for _, n := range []int{100, 1000, 5000, 10000} {
		for _, pods := range []int{8, 64, 512, 4096} {
			for _, classes := range []int{1, 3} {
				if pods > n*4 {
					continue
				}
				b.Run(fmt.Sprintf("nodes=%d/pods=%d/classes=%d", n, pods, classes), func(b *testing.B) {
					b.ReportAllocs()
					run(b, fragmented(n, 0.4, 1), gangOf(pods, classes))
				})
			}
		}
	}
}

// BenchmarkSolve plans with an index that is kept: before every plan the nodes of
// the one before the last are freed and those of the last are taken.
func BenchmarkSolve(b *testing.B) {
	forSizes(b, func(b *testing.B, nodes []cluster.Node, req Request) {
		index := NewIndex(nodes, topology.Build(levels, nodes))
		book := func(plan *Plan, sign int) {
			for _, share := range plan.Shares {
				n := index.Node(share.Node)
				for c, k := range share.Counts {
					if sign < 0 {
						n.Free = n.Free.Clone().Sub(addTimes(nil, req.Classes[c].Requests, k))
					} else {
						n.Free = n.Free.Clone().Add(addTimes(nil, req.Classes[c].Requests, k))
					}
				}
				index.Update(share.Node, n)
			}
		}
		var last *Plan
		var used time.Duration
		for b.Loop() {
			before := processorTime()
			plan, _ := index.Solve(req)
			used += processorTime() - before
			if plan == nil {
				b.Fatal("no plan")
			}
			b.StopTimer()
			if last != nil {
				book(last, 1)
				last = nil
			} else {
				book(plan, -1)
				last = plan
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
	})
}

// processorTime is what this process has used so far: on a machine that others use
// as well it says more than the time that has passed.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkSolveCold plans once, with everything to be prepared.
func BenchmarkSolveCold(b *testing.B) {
	forSizes(b, func(b *testing.B, nodes []cluster.Node, req Request) {
		tree := topology.Build(levels, nodes)
		before := processorTime()
		for b.Loop() {
			if plan, _ := Solve(req, nodes, tree); plan == nil {
				b.Fatal("no plan")
			}
		}
		b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	})
}

// BenchmarkBuild makes the tree and the index.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1000, 5000, 10000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			nodes := fragmented(n, 0.4, 1)
			for b.Loop() {
				NewIndex(nodes, topology.Build(levels, nodes))
			}
		})
	}
}

// BenchmarkUpdate is one node's change.
func BenchmarkUpdate(b *testing.B) {
	nodes := fragmented(5000, 0.4, 1)
	index := NewIndex(nodes, topology.Build(levels, nodes))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		index.Update(i%5000, nodes[(i+1)%5000])
	}
}
