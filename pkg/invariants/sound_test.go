package invariants_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/invariants"
)

// sound are histories that look alarming and are as they should be.
var sound = []struct {
	name    string
	history func() *scene
}{
	{"a gang is placed", placed},
	{"a gang heals in time", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.gangOf("job", 3, 0)
		s.bind("job-0", "n1")
		s.tell("job", "BindFailed", "1 of 3 members are bound")
		s.pass(4 * time.Minute)
		s.place("job", "n1")
		s.pass(10 * time.Minute)
		return s
	}},
	{"every new leader has the whole time to heal", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.lease("one")
		s.gangOf("job", 3, 0)
		s.bind("job-0", "n1")
		s.tell("job", "BindFailed", "1 of 3 members are bound")
		s.pass(4 * time.Minute)
		s.lease("two")
		s.pass(4 * time.Minute)
		return s
	}},
	{"members that a user deletes", func() *scene {
		s := placed()
		s.gone("job-0")
		s.tell("job", "MemberLost", "2 of 3 members are bound and the others do not exist")
		s.pass(time.Hour)
		return s
	}},
	{"a user deletes a member when the surplus has been evicted", func() *scene {
		s := placed()
		s.group("job", 2, nil)
		s.gangOf("urgent", 1, 10)
		s.evict("job-2", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		s.gone("job-2")
		s.place("urgent", "n1")
		s.pass(time.Second)
		s.gone("job-0")
		s.tell("job", "MemberLost", "1 of 3 members is bound and the others do not exist")
		s.pass(time.Hour)
		return s
	}},
	{"a member that has succeeded is deleted when the surplus has been evicted", func() *scene {
		s := placed()
		s.group("job", 2, nil)
		s.change("job-1", func(p *invariants.Pod) { p.Phase = invariants.Succeeded })
		s.gangOf("urgent", 1, 10)
		s.evict("job-2", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		s.gone("job-2")
		s.place("urgent", "n1")
		s.pass(time.Second)
		s.gone("job-1")
		s.tell("job", "MemberLost", "1 of 3 members is bound and the others do not exist")
		s.pass(time.Hour)
		return s
	}},
	{"a gang is made anew with a lower priority a moment before somebody is evicted for it", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 10)
		s.gone("urgent-0")
		s.gangOf("urgent", 1, 0)
		s.pass(time.Second)
		for i := range 3 {
			s.evict(worker(i), "PreemptedByGang", "evicted for team/urgent, which has priority 10")
			s.gone(worker(i))
		}
		s.tell("job", "WaitingForMembers", "0 of 3 members exist")
		s.place("urgent", "n1")
		s.pass(time.Hour)
		return s
	}},
	{"a member is deleted a moment before the surplus is evicted", func() *scene {
		s := placed()
		s.group("job", 2, nil)
		s.gangOf("urgent", 1, 10)
		s.gone("job-1")
		s.pass(time.Second)
		s.evict("job-2", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		s.gone("job-2")
		s.place("urgent", "n1")
		s.tell("job", "MemberLost", "1 of 3 members is bound and the others do not exist")
		s.pass(time.Hour)
		return s
	}},
	{"members are bound in the very moment in which a part of their gang was evicted, and a user deletes some", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.gangOf("job", 4, 0)
		s.group("job", 3, nil)
		s.bind("job-0", "n1")
		s.tell("job", "DoesNotFit", "1 of 3 members are bound")
		s.evict("job-0", "GangNotCompleted", "1 of 3 members were bound for 5m0s")
		s.gone("job-0")
		for i := 1; i < 4; i++ {
			s.bind(fmt.Sprintf("job-%d", i), "n1")
		}
		s.tell("job", "Placed", "3 members have a node")
		s.pass(20 * time.Second)
		s.gone("job-2")
		s.gone("job-3")
		s.tell("job", "MemberLost", "1 of 3 members is bound and the others do not exist")
		s.pass(time.Hour)
		return s
	}},
	{"a gang that finishes member by member", func() *scene {
		s := placed()
		for i := range 3 {
			s.change(worker(i), func(p *invariants.Pod) { p.Phase = invariants.Succeeded })
			s.tell("job", "Placed", "all members have a node or have finished")
			s.pass(time.Hour)
		}
		return s
	}},
	{"a node that shrinks under its pods", func() *scene {
		s := placed()
		s.node("n1", "r1", 4, nil)
		s.pass(time.Hour)
		return s
	}},
	{"another scheduler is faster", func() *scene {
		s := placed()
		s.pod("theirs", 0, 8, func(p *invariants.Pod) { p.Scheduler, p.Group, p.Node = "default-scheduler", "", "n2" })
		s.gangOf("next", 1, 0)
		s.place("next", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a node is deleted and created again with less while a bind is on its way", func() *scene {
		s := placed()
		s.gangOf("next", 1, 0)
		s.add(invariants.Event{Node: &invariants.Node{Name: "n2"}, Gone: true})
		s.node("n2", "r2", 0, nil)
		s.pass(time.Second)
		s.place("next", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a node is cordoned while a bind is on its way", func() *scene {
		s := placed()
		s.gangOf("next", 1, 0)
		s.node("n2", "r2", 8, func(n *invariants.Node) { n.Cordoned = true })
		s.pass(time.Second)
		s.place("next", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a running gang's node moves to another rack", func() *scene {
		s := placed()
		s.group("job", 3, func(g *invariants.PodGroup) { g.Required = "rack" })
		s.node("n1", "r7", 8, nil)
		s.pass(time.Hour)
		return s
	}},
	{"a gang makes room for a more important one", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 10)
		for i := range 3 {
			s.evict(worker(i), "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		}
		s.tell("job", "Preempted", "3 members were evicted")
		s.pass(time.Minute)
		for i := range 3 {
			s.gone(worker(i))
		}
		s.place("urgent", "n1")
		s.tell("job", "WaitingForMembers", "0 of 3 members exist")
		s.pass(time.Hour)
		return s
	}},
	{"a share is taken back", func() *scene {
		s := lent(0)
		for i := range 3 {
			s.evict(worker(i), "ReclaimedForShare", "its queue has borrowed more for its weight than queue a will have with gang team/owner, which needs room")
		}
		s.tell("job", "Preempted", "3 members were evicted")
		s.pass(time.Minute)
		for i := range 3 {
			s.gone(worker(i))
		}
		s.place("owner", "n1")
		s.tell("job", "WaitingForMembers", "0 of 3 members exist")
		s.pass(time.Hour)
		return s
	}},
	{"what was lent is taken back", func() *scene {
		s := lent(4)
		for i := range 3 {
			s.evict(worker(i), "ReclaimedForQueue", takenBack)
			s.gone(worker(i)) // it was above its guarantee before all went
		}
		s.tell("job", "WaitingForMembers", "0 of 3 members exist")
		s.place("owner", "n1")
		s.pass(time.Hour)
		return s
	}},
	{"who agreed goes for a reservation", func() *scene {
		s := placed()
		s.gangOf("large", 1, 0)
		for i := range 3 {
			s.change(worker(i), func(p *invariants.Pod) { p.Revocable = true })
			s.evict(worker(i), "RevokedForGang", "revocable, and ended for the reservation of gang team/large")
			s.gone(worker(i))
		}
		s.tell("job", "WaitingForMembers", "0 of 3 members exist")
		s.place("large", "n1")
		s.pass(time.Hour)
		return s
	}},
	{"a queue's cap is lowered below what it holds, and a gang of another queue comes", func() *scene {
		s := placed()
		s.queue("a", "", "", 0, 4)
		s.queue("b", "", "", 0, 4)
		s.gangOf("next", 1, 0)
		s.queued("next", "b")
		s.pass(time.Minute)
		s.place("next", "n2")
		s.pod("", 7, 1, func(p *invariants.Pod) { p.Node = "n2" }) // without a gang: it counts, and is not held back
		s.pass(time.Hour)
		return s
	}},
	{"a namespace has a quota beside its queue, and pods without a gang", func() *scene {
		s := placed()
		s.queue("z", "", "", 0, 8)
		s.add(invariants.Event{Quota: &invariants.Quota{Namespace: "team", Name: "q", Max: s.gpus(6).Set(0, -1).Set(3, -1)}})
		s.gangOf("next", 1, 0)
		s.pass(time.Minute)
		s.place("next", "n2")
		s.pod("", 7, 2, func(p *invariants.Pod) { p.Node = "n2" })
		s.pass(time.Hour)
		return s
	}},
	{"binds of a gang in a queue that has room are heard of before its PodGroup", func() *scene {
		s := beside()
		s.queued("job", "a") // which is full
		s.pass(time.Minute)
		s.pod("next", 0, 2, nil)
		s.pod("next", 1, 2, nil)
		s.bind("next-0", "n2")
		s.bind("next-1", "n2")
		s.group("last", 1, nil)
		s.pod("last", 0, 1, nil)
		s.bind("last-0", "n2") // takes what is left of queue a
		s.tell("last", "Placed", "all members have a node")
		s.pass(time.Second)
		s.group("next", 2, func(g *invariants.PodGroup) { g.Queue = "b" })
		s.tell("next", "Placed", "all members have a node")
		s.pass(time.Hour)
		return s
	}},
	{"a bind is heard of before the cap that was raised for it", func() *scene {
		s := beside()
		s.gangOf("next", 1, 0)
		s.queued("next", "b")
		s.pass(time.Minute)
		s.place("next", "n2")
		s.queue("b", "", "", 0, 8)
		s.pass(time.Hour)
		return s
	}},
	{"a gang would fit and its queue is at its cap", func() *scene {
		s := placed()
		s.queue("a", "", "", 0, 7)
		s.gangOf("next", 1, 0)
		s.pass(time.Second)
		s.tell("next", "QuotaExceeded", "queue a may hold 7 nvidia.com/gpu at most: it holds 6, and 1 member would take 2 more")
		s.verdict("next", true)
		s.pass(10 * time.Minute)
		s.verdict("next", true)
		s.pass(time.Minute)
		return s
	}},
	{"a gang would fit and names a queue of others", func() *scene {
		s := placed()
		s.queue("a", "", "", 0, 7)
		s.gangOf("next", 1, 0)
		s.queued("next", "theirs")
		s.tell("next", "QueueNotFound", `metadata.labels[lockstep.dev/queue]: Not found: "theirs"`)
		s.verdict("next", true)
		s.pass(10 * time.Minute)
		s.verdict("next", true)
		s.pass(time.Minute)
		return s
	}},
	{"a job is deleted, and its pods are heard of first", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.pod("job", 0, 1, ofJob)
		s.bind("job-0", "n1")
		s.change("job-0", func(p *invariants.Pod) { p.Phase = invariants.Running })
		says := func(j *invariants.Job) { j.Roles[0].Active = 1 }
		s.job(says)
		s.change("job-0", func(p *invariants.Pod) { p.Deleting = true })
		s.add(invariants.Event{Job: &invariants.Job{Namespace: "team", Name: "job", UID: "job-uid"}, Gone: true})
		s.gone("job-0")
		s.pass(time.Hour)
		return s
	}},
	{"a surplus is evicted", func() *scene {
		s := placed()
		s.group("job", 2, nil)
		s.gangOf("urgent", 1, 10)
		s.evict("job-2", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		s.gone("job-2")
		s.place("urgent", "n1")
		s.pass(time.Hour)
		return s
	}},
	{"a pod is replaced under its name", func() *scene {
		s := newScene()
		s.job(nil)
		s.pod("job", 1, 1, ofJob)
		s.change("job-1", func(p *invariants.Pod) { p.Deleting = true })
		s.pod("job", 1, 1, ofJob)
		return s
	}},
	{"a busy cluster's statuses follow", func() *scene {
		s := placed()
		for i := range 50 {
			s.node("n2", "r2", int64(8+i%2), nil)
			s.tell("job", "Placed", fmt.Sprint(i))
			s.pass(time.Second)
		}
		return s
	}},
	{"a more important gang goes first", func() *scene {
		s := newScene()
		s.node("n1", "r1", 1000, nil)
		s.gangOf("large", 4, 0)
		s.tell("large", "DoesNotFit", "4 pods do not fit")
		for i := range 20 {
			s.pass(10 * time.Minute)
			name := fmt.Sprint("urgent-", i)
			s.gangOf(name, 1, 5)
			s.place(name, "n1")
		}
		return s
	}},
}

func TestSoundHistoriesAreLeftAlone(t *testing.T) {
	for _, tt := range sound {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.history()
			for _, v := range s.history.Check(s.options(), s.at) {
				t.Errorf("%s\n%v", v, v.Evidence)
			}
		})
	}
}
