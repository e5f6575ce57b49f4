package core_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/quota"
	"lockstep.dev/lockstep/pkg/topology"
)

// BenchmarkGang is all the core's work for one gang, from the first pod to the
// last bound one: five events for each member, its place in the queue, and one
// plan. Members come in an order unlike their ranks.
func BenchmarkGang(b *testing.B) {
	for _, n := range []int{8, 1000, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			names := cluster.NewVocabulary()
			gpu := names.Index("nvidia.com/gpu")
			nodes := make([]cluster.Node, (n+7)/8)
			for i := range nodes {
				offers := cluster.Resources(nil).Set(cluster.Pods, 110).Set(gpu, 8)
				nodes[i] = cluster.Node{
					Name: fmt.Sprintf("n%04d", i), Allocatable: offers, Free: offers,
					Labels: map[string]string{"rack": fmt.Sprint(i / 16)},
				}
			}
			tree := topology.Build([]topology.Level{{Name: "rack", Key: "rack"}}, nodes)
			view := core.View{Nodes: nodes, Tree: tree, Eligible: func(string, int) bool { return true }}
			k, now := gang.Key{Namespace: "default", Name: "job"}, time.Unix(0, 0)
			seen := make([]core.MemberSeen, n)
			for i := range seen {
				index := i * 2654435761 % n
				seen[i] = core.MemberSeen{Key: k, Member: gang.Member{
					UID: fmt.Sprint(i), Name: fmt.Sprint(i), Role: "Worker", Index: index, Class: "worker",
					Requests: cluster.Resources(nil).Set(cluster.Pods, 1).Set(gpu, 1),
				}}
			}
			for b.Loop() {
				c := core.New(core.Options{Vocabulary: names})
				c.Step(now, core.GroupSeen{Spec: gang.Spec{Key: k, Floor: n}})
				leader := ""
				for _, e := range seen {
					c.Step(now, e)
				}
				for _, e := range seen {
					if _, ok := c.QueueKey(e.Member.UID); ok && c.Leads(e.Member.UID) {
						leader = e.Member.UID
					}
				}
				c.Step(now, core.Attempt{UID: leader, View: view})
				for _, e := range seen {
					c.Step(now, core.Reserved{UID: e.Member.UID})
					c.Step(now, core.Permit{UID: e.Member.UID})
				}
				for _, e := range seen {
					e.Node = "n0000"
					c.Step(now, e)
				}
				if status, _ := c.Status(k); status.Phase != gang.Placed {
					b.Fatalf("%+v", status)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/member")
		})
	}
}

// BenchmarkArrive is the members of a large gang coming one after the other, in rank order
// or against it: what the gang lacks is told anew with each.
func BenchmarkArrive(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		for _, order := range []string{"up", "down"} {
			b.Run(fmt.Sprint(n, order), func(b *testing.B) {
				for range b.N {
					c := core.New(core.Options{})
					key := gang.Key{Namespace: "d", Name: "g"}
					c.Step(time.Time{}, core.GroupSeen{Spec: gang.Spec{Key: key, UID: "u", Floor: n}})
					for j := range n {
						i := j
						if order == "down" {
							i = n - 1 - j
						}
						name := fmt.Sprintf("g-worker-%d", i)
						c.Step(time.Time{}, core.MemberSeen{Key: key, Member: gang.Member{UID: name, Name: name, Role: "worker", Index: i}})
					}
				}
			})
		}
	}
}

// BenchmarkContend is one attempt that finds no room on a full cluster: what queues hold is
// weighed, and who has the room is looked at, while as many gangs wait as run.
func BenchmarkContend(b *testing.B) {
	for _, n := range []int{128, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			names := cluster.NewVocabulary()
			one := cluster.Resources(nil).Set(cluster.Pods, 1).Set(names.Index("nvidia.com/gpu"), 1)
			nodes := make([]cluster.Node, n)
			for i := range nodes {
				nodes[i] = cluster.Node{Name: fmt.Sprintf("n%04d", i), Allocatable: one.Clone().Set(cluster.Pods, 110).Set(names.Index("nvidia.com/gpu"), 8)}
				nodes[i].Free = nodes[i].Allocatable.Clone().Set(names.Index("nvidia.com/gpu"), 0)
			}
			tree := topology.Build(nil, nodes)
			queues, _ := quota.New([]quota.Queue{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 5}})
			now := time.Unix(0, 0)
			c := core.New(core.Options{Vocabulary: names, ReserveAfter: time.Hour, ReclaimAfter: time.Hour})
			c.Step(now, core.QueuesSeen{Tree: queues, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }})
			for i := range 2 * n {
				key := gang.Key{Namespace: "d", Name: fmt.Sprint("g", i)}
				c.Step(now, core.GroupSeen{Spec: gang.Spec{Key: key, UID: key.Name, Floor: 8, Queue: queues.Queues()[i%3], Created: now}})
				for j := range 8 {
					name := fmt.Sprintf("%s-%d", key.Name, j)
					e := core.MemberSeen{Key: key, Member: gang.Member{UID: name, Name: name, Role: "worker", Index: j, Class: "worker", Requests: one}}
					if i < n {
						e.Node, e.Member.Started = nodes[i].Name, now
					}
					c.Step(now, e)
				}
			}
			view := core.View{
				Nodes: nodes, Tree: tree, Index: placement.NewIndex(nodes, tree),
				Eligible: func(string, int) bool { return true }, Others: func() []core.Occupant { return nil },
			}
			for b.Loop() {
				view.Epoch++
				c.Step(now, core.Attempt{UID: fmt.Sprintf("g%d-0", n), View: view})
			}
			if reason, _ := c.Refusal(gang.Key{Namespace: "d", Name: fmt.Sprint("g", n)}); reason.Code != "DoesNotFit" {
				b.Fatalf("%+v", reason)
			}
		})
	}
}
