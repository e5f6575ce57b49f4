package invariants_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/invariants"
)

func worker(i int) string { return fmt.Sprint("job-", i) }

func ofJob(p *invariants.Pod) { p.Job = "job-uid" }

// broken are histories as defects would make them; each has to be told, by the
// invariant that it breaks, in a sentence that names the objects.
var broken = []struct {
	name      string
	invariant string
	says      string
	history   func() *scene
}{
	{"half a gang stays bound", "S1", "podgroup team/job has had 2 of its floor of 3 members bound for 7m0s", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.gangOf("job", 3, 0)
		s.bind("job-0", "n1")
		s.bind("job-1", "n1")
		s.tell("job", "BindFailed", "job-2 could not be bound")
		s.pass(7 * time.Minute)
		return s
	}},
	{"a member is replaced and never bound again", "S1", "2 of its floor of 3", func() *scene {
		s := placed()
		s.gone("job-1")
		s.pod("job", 1, 2, nil)
		s.tell("job", "DoesNotFit", "1 pod does not fit")
		s.pass(7 * time.Minute)
		return s
	}},
	{"a job does not recreate what is missing", "S1", "1 of the others do not exist", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.job(nil)
		s.group("job", 2, func(g *invariants.PodGroup) { g.Job = "job-uid" })
		s.pod("job", 0, 2, ofJob)
		s.bind("job-0", "n1")
		s.tell("job", "MemberLost", "1 of 2 members are bound and the others do not exist")
		s.pass(7 * time.Minute)
		return s
	}},
	{"a node is filled beyond its processors", "S2", "node n1: 4.5 of 4 cpu are taken since team/more-0 was bound there", func() *scene {
		s := placed()
		s.node("n1", "r1", 8, func(n *invariants.Node) { n.Allocatable = n.Allocatable.Set(cluster.CPU, 4000) })
		s.pass(time.Minute)
		s.group("more", 1, nil)
		s.pod("more", 0, 1, func(p *invariants.Pod) { p.Requests = p.Requests.Set(cluster.CPU, 4500) })
		s.bind("more-0", "n1")
		s.tell("more", "Placed", "")
		return s
	}},
	{"a node is filled beyond what it has", "S2", "node n1: 9 of 8 nvidia.com/gpu are taken since team/more-0 was bound there", func() *scene {
		s := placed()
		s.group("more", 1, nil)
		s.pod("more", 0, 3, nil)
		s.bind("more-0", "n1")
		s.tell("more", "Placed", "")
		return s
	}},
	{"a pod that is being deleted still takes its room", "S2", "node n1: 10 of 8", func() *scene {
		s := placed()
		s.gangOf("next", 2, 0)
		s.change("job-0", func(p *invariants.Pod) { p.Deleting = true })
		s.place("next", "n1")
		return s
	}},
	{"binds go on after the node has shrunk", "S2", "node n1: 7 of 6", func() *scene {
		s := placed()
		s.node("n1", "r1", 6, nil)
		s.pass(time.Minute)
		s.group("more", 1, nil)
		s.pod("more", 0, 1, nil)
		s.bind("more-0", "n1")
		return s
	}},
	{"a bind to a node that is long gone", "S3", "bound to node n2, which had been deleted 1m0s before", func() *scene {
		s := placed()
		s.nodeGone("n2")
		s.pass(time.Minute)
		s.gangOf("next", 1, 0)
		s.bind("next-0", "n2")
		return s
	}},
	{"a bind to a node that never was", "S3", "bound to node n9, which does not exist", func() *scene {
		s := placed()
		s.gangOf("next", 1, 0)
		s.place("next", "n9")
		s.pass(time.Minute)
		return s
	}},
	{"a bind to a cordoned node", "S3", "bound to node n2, which had been cordoned for 1m0s", func() *scene {
		s := placed()
		s.node("n2", "r2", 8, func(n *invariants.Node) { n.Cordoned = true })
		s.pass(time.Minute)
		s.gangOf("next", 1, 0)
		s.bind("next-0", "n2")
		return s
	}},
	{"a bind to a node that is not ready", "S3", "which had been not ready for 1m0s", func() *scene {
		s := placed()
		s.node("n2", "r2", 8, func(n *invariants.Node) { n.NotReady = true })
		s.pass(time.Minute)
		s.gangOf("next", 1, 0)
		s.bind("next-0", "n2")
		return s
	}},
	{"a decision about a pod is carried out on its successor", "S3", "by a decision about an earlier pod of that name (next-0.old)", func() *scene {
		s := placed()
		s.gangOf("next", 1, 0)
		s.place("next", "n2")
		s.notice(func(n *invariants.Notice) { n.Reason, n.Name, n.About = "Scheduled", "next-0", "next-0.old" })
		s.pass(time.Minute)
		return s
	}},
	{"a bind is reported that did not take place", "S3", "says that it has bound pod team/next-0", func() *scene {
		s := placed()
		s.gangOf("next", 1, 0)
		s.notice(func(n *invariants.Notice) { n.Reason, n.Name, n.About = "Scheduled", "next-0", s.pods["next-0"].UID })
		s.pass(10 * time.Second)
		return s
	}},
	{"an eviction without a reason", "S4", "its condition says \"\"", func() *scene {
		s := placed()
		for i := range 3 {
			s.evict(worker(i), "", "")
		}
		return s
	}},
	{"an eviction without a condition", "S4", "evicted without a condition", func() *scene {
		s := placed()
		for i := range 3 {
			s.changeBy("lockstep-scheduler/1", worker(i), func(p *invariants.Pod) { p.Deleting = true })
		}
		return s
	}},
	{"one member of a gang is evicted", "S4", "podgroup team/job was left with 2 members of its floor of 3", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 10)
		s.evict("job-0", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
		s.gone("job-0")
		s.place("urgent", "n1")
		s.pass(time.Minute)
		return s
	}},
	{"an eviction for nobody", "S4", "for nobody that is known", func() *scene {
		s := placed()
		for i := range 3 {
			s.evict(worker(i), "PreemptedByGang", "evicted for something more important")
		}
		return s
	}},
	{"an eviction from which nobody gains", "S4", "which has had no place for 7m0s since", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 10)
		s.pass(time.Second)
		for i := range 3 {
			s.evict(worker(i), "PreemptedByGang", "evicted for team/urgent, which has priority 10")
			s.gone(worker(i))
		}
		s.pass(7 * time.Minute)
		return s
	}},
	{"an eviction that no event tells of", "S4", "no event has told so", func() *scene {
		s := placed()
		s.notice(func(n *invariants.Notice) { n.Reason, n.Name, n.About = "Scheduled", "job-0", s.pods["job-0"].UID })
		for i := range 3 {
			s.evict(worker(i), "GangNotCompleted", "2 of 3 members were bound for 5m0s")
			s.gone(worker(i))
		}
		s.pass(time.Minute)
		return s
	}},
	{"a bind without the lease", "S5", "bound 1m0s after the scheduler's lease of 15s was last renewed", func() *scene {
		s := placed()
		s.lease("lockstep-scheduler/1")
		s.lease("lockstep-scheduler/1")
		s.pass(time.Minute)
		s.gangOf("next", 1, 0)
		s.bind("next-0", "n2")
		return s
	}},
	{"a bind by the former leader", "S5", "bound by lockstep-scheduler/1 while lockstep-scheduler/2 held the lease", func() *scene {
		s := placed()
		s.lease("lockstep-scheduler/1")
		s.lease("lockstep-scheduler/2")
		s.gangOf("next", 1, 0)
		s.changeBy("lockstep-scheduler/1", "next-0", func(p *invariants.Pod) { p.Node = "n2" })
		return s
	}},
	{"a victim as important as the winner", "S7", "pod team/job-0 of priority 0 was evicted (PreemptedByGang) for podgroup team/urgent of priority 0", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 0)
		for i := range 3 {
			s.evict(worker(i), "PreemptedByGang", "evicted for team/urgent")
		}
		return s
	}},
	{"an equal that would go for a reservation is preempted", "S7", "for podgroup team/urgent of priority 0, which is no more important", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 0)
		for i := range 3 {
			s.change(worker(i), func(p *invariants.Pod) { p.Revocable = true })
			s.evict(worker(i), "PreemptedByGang", "preempted for gang team/urgent")
		}
		return s
	}},
	{"who has not agreed is revoked", "S7", "pod team/job-0 of priority 0 was evicted (RevokedForGang) for podgroup team/urgent of priority 5, and has not agreed to that", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 5)
		for i := range 3 {
			s.evict(worker(i), "RevokedForGang", "revocable, and ended for the reservation of gang team/urgent")
		}
		return s
	}},
	{"two that are revocable end each other", "S7", "which is no more important and revocable as well", func() *scene {
		s := placed()
		s.gangOf("urgent", 1, 0)
		s.group("urgent", 1, func(g *invariants.PodGroup) { g.Revocable = true })
		for i := range 3 {
			s.change(worker(i), func(p *invariants.Pod) { p.Revocable = true })
			s.evict(worker(i), "RevokedForGang", "revocable, and ended for the reservation of gang team/urgent")
		}
		return s
	}},
	{"taken back from who holds no more than its own", "S7", "from queue b, which holds no more than it is guaranteed", func() *scene {
		s := lent(6)
		s.evict("job-0", "ReclaimedForQueue", takenBack)
		return s
	}},
	{"taken back for who has its own", "S7", "whose queue lacks nothing that it is guaranteed", func() *scene {
		s := lent(0)
		s.place("owner", "n2")
		s.pass(time.Minute)
		s.evict("job-0", "ReclaimedForQueue", takenBack)
		return s
	}},
	{"taken back within one queue", "S7", "whose own queue a it is in", func() *scene {
		s := lent(0)
		s.queued("job", "a")
		s.pass(time.Minute)
		s.evict("job-0", "ReclaimedForQueue", takenBack)
		return s
	}},
	{"taken for a share from who holds no more than its own", "S7", "from queue b, which holds no more than it is guaranteed", func() *scene {
		s := lent(6)
		s.evict("job-0", "ReclaimedForShare", takenBack)
		return s
	}},
	{"taken for a share within one queue", "S7", "whose own queue a it is in", func() *scene {
		s := lent(0)
		s.queued("job", "a")
		s.pass(time.Minute)
		s.evict("job-0", "ReclaimedForShare", takenBack)
		return s
	}},
	{"taken for a share for who is less important", "S7", "which is less important", func() *scene {
		s := lent(0)
		s.change("job-0", func(p *invariants.Pod) { p.Priority = 9 })
		s.pass(time.Minute)
		s.evict("job-0", "ReclaimedForShare", takenBack)
		return s
	}},
	{"a queue goes beyond its cap", "S8", "queue b holds 8 of at most 7 nvidia.com/gpu since pod team/next-0 was bound", func() *scene {
		s := placed()
		s.queue("a", "", "", 0, -1)
		s.queue("b", "", "", 0, 7)
		s.queued("job", "b")
		s.gangOf("next", 1, 0)
		s.queued("next", "b")
		s.pass(time.Minute)
		s.bind("next-0", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a queue goes beyond its cap, and the bind is heard of before the PodGroup", "S8", "queue b holds 8 of at most 7 nvidia.com/gpu since pod team/next-0 was bound", func() *scene {
		s := beside()
		s.pod("next", 0, 2, nil)
		s.bind("next-0", "n2")
		s.pass(time.Second)
		s.group("next", 1, func(g *invariants.PodGroup) { g.Queue = "b" })
		s.pass(time.Minute)
		return s
	}},
	{"a queue goes beyond its cap by a gang without a PodGroup", "S8", "queue a holds 8 of at most 7 nvidia.com/gpu since pod team/next-0 was bound", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.queue("a", "", "", 0, 7)
		s.gangOf("job", 3, 0)
		s.place("job", "n1")
		s.pass(time.Minute)
		s.pod("next", 0, 2, nil)
		s.bind("next-0", "n1")
		s.pass(time.Minute)
		s.nodeGone("n7")
		s.pass(time.Minute)
		return s
	}},
	{"two queues go beyond the cap of their parent", "S8", "queue whole holds 8 of at most 7 nvidia.com/gpu", func() *scene {
		s := placed()
		s.queue("a", "whole", "", 0, -1)
		s.queue("b", "whole", "", 0, -1)
		s.queue("whole", "", "", 0, 7)
		s.queued("job", "a")
		s.gangOf("next", 1, 0)
		s.queued("next", "b")
		s.pass(time.Minute)
		s.bind("next-0", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a queue goes beyond its cap of one type", "S8", "queue a holds 2 of at most 1 nvidia.com/gpu of type H100", func() *scene {
		s := placed()
		s.queue("a", "", "H100", 0, 1)
		s.node("n2", "r2", 8, func(n *invariants.Node) { n.Model = "H100" })
		s.gangOf("next", 1, 0)
		s.pass(time.Minute)
		s.bind("next-0", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a quota is overdrawn", "S8", "queue elasticquota/team/q holds 8 of at most 6 nvidia.com/gpu since pod team/next-0 was bound", func() *scene {
		s := placed()
		s.add(invariants.Event{Quota: &invariants.Quota{Namespace: "team", Name: "q", Max: s.gpus(6).Set(0, -1).Set(3, -1)}})
		s.pass(time.Minute)
		s.gangOf("next", 1, 0)
		s.bind("next-0", "n2")
		s.pass(time.Minute)
		return s
	}},
	{"a quota counts wrong", "S8", "that 4 nvidia.com/gpu are in use, and pods use 6", func() *scene {
		s := placed()
		s.add(invariants.Event{Quota: &invariants.Quota{Namespace: "team", Name: "q", Used: s.gpus(4).Set(3, 3)}})
		s.pass(time.Minute)
		return s
	}},
	{"a quota is below zero", "S8", "says that -1 nvidia.com/gpu", func() *scene {
		s := placed()
		s.add(invariants.Event{Quota: &invariants.Quota{Namespace: "team", Name: "q", Used: s.gpus(-1)}})
		return s
	}},
	{"a gang in two racks that asked for one, and the binds are heard of before the PodGroup", "S9", "pod team/next-0 was bound to n1 in r1, and team/next-1 is on n2 in r2", func() *scene {
		s := placed()
		s.pod("next", 0, 1, nil)
		s.pod("next", 1, 1, nil)
		s.bind("next-0", "n1")
		s.bind("next-1", "n2")
		s.group("next", 2, func(g *invariants.PodGroup) { g.Required = "rack" })
		return s
	}},
	{"a gang in two racks that asked for one", "S9", "pod team/next-1 was bound to n2 in r2, and team/next-0 is on n1 in r1", func() *scene {
		s := placed()
		s.group("next", 2, func(g *invariants.PodGroup) { g.Required = "rack" })
		s.pod("next", 0, 1, nil)
		s.pod("next", 1, 1, nil)
		s.bind("next-0", "n1")
		s.bind("next-1", "n2")
		return s
	}},
	{"a replacement outside of its gang's rack", "S9", "pod team/job-1 was bound to n2 in r2", func() *scene {
		s := placed()
		s.group("job", 3, func(g *invariants.PodGroup) { g.Required = "rack" })
		s.pass(time.Minute)
		s.gone("job-1")
		s.pod("job", 1, 2, nil)
		s.bind("job-1", "n2")
		return s
	}},
	{"a gang on a node without the level's label", "S9", "which is in none", func() *scene {
		s := placed()
		s.node("n3", "", 8, nil)
		s.group("next", 1, func(g *invariants.PodGroup) { g.Required = "rack" })
		s.pod("next", 0, 1, nil)
		s.bind("next-0", "n3")
		return s
	}},
	{"two pods for one rank", "S10", "are both worker 1 of job job-uid", func() *scene {
		s := newScene()
		s.job(nil)
		s.pod("job", 1, 1, ofJob)
		s.pod("job", 1, 1, ofJob)
		return s
	}},
	{"a job goes on after its end", "S10", "had ended, and goes on", func() *scene {
		s := newScene()
		s.job(func(j *invariants.Job) { j.Ended = true })
		s.job(nil)
		return s
	}},
	{"a pod for a job that has ended", "S10", "created 1m0s after its job had ended", func() *scene {
		s := newScene()
		s.job(func(j *invariants.Job) { j.Ended = true })
		s.pass(time.Minute)
		s.pod("job", 0, 1, ofJob)
		return s
	}},
	{"restarts are forgotten", "S10", "has been restarted 3 times, and now says 1", func() *scene {
		s := newScene()
		s.job(func(j *invariants.Job) { j.Restarts = 3 })
		s.job(func(j *invariants.Job) { j.Restarts = 1 })
		return s
	}},
	{"pods outlive their job", "S10", "1 pod is still there 7m0s after the job team/job was deleted", func() *scene {
		s := newScene()
		s.job(nil)
		s.pod("job", 0, 1, ofJob)
		s.add(invariants.Event{Job: &invariants.Job{Namespace: "team", Name: "job", UID: "job-uid"}, Gone: true})
		s.pass(7 * time.Minute)
		return s
	}},
	{"a pod of another scheduler is written to", "S11", "lockstep-scheduler has written to pod team/other-0", func() *scene {
		s := newScene()
		s.pod("other", 0, 1, func(p *invariants.Pod) { p.Scheduler, p.Writers = "default-scheduler", []string{"lockstep-scheduler"} })
		return s
	}},
	{"a job of another controller is written to", "S11", "lockstep-controller has written to pytorchjob team/job", func() *scene {
		s := newScene()
		s.job(func(j *invariants.Job) { j.Foreign, j.Writers = true, []string{"lockstep-controller"} })
		return s
	}},
	{"a pod group of somebody else is overwritten", "S11", "lockstep-controller has written to podgroup team/theirs", func() *scene {
		s := newScene()
		s.group("theirs", 1, func(g *invariants.PodGroup) { g.Writers = []string{"kubectl", "lockstep-controller"} })
		return s
	}},
	{"a gang that fits is not tried", "L1", "podgroup team/next has fitted for 30s and is not bound: 6 nvidia.com/gpu in rack r2", func() *scene {
		s := placed()
		s.gangOf("next", 3, 0)
		for range 5 {
			s.verdict("next", true)
			s.pass(10 * time.Second)
		}
		s.verdict("next", true)
		return s
	}},
	{"small gangs go before a large one for ever", "L2", "10 gangs that came later", func() *scene {
		s := newScene()
		s.node("n1", "r1", 8, nil)
		s.gangOf("large", 4, 0)
		s.tell("large", "DoesNotFit", "4 pods do not fit: 2 nvidia.com/gpu short")
		for i := range 20 {
			s.pass(10 * time.Minute)
			name := fmt.Sprint("small-", i)
			s.gangOf(name, 1, 0)
			s.place(name, "n1")
			s.pass(time.Minute)
			s.change(name+"-0", func(p *invariants.Pod) { p.Phase = invariants.Succeeded })
			s.gone(name + "-0")
			s.add(invariants.Event{Group: &invariants.PodGroup{Namespace: "team", Name: name}, Gone: true})
		}
		return s
	}},
	{"a status is written again and again", "L3", "podgroup/team/job was written 11 times within", func() *scene {
		s := placed()
		s.pass(time.Hour)
		for i := range 20 {
			s.tell("job", "Placed", fmt.Sprint("looked ", i, " times"))
			s.pass(time.Second)
		}
		return s
	}},
	{"events are told again and again", "L3", "events of PodGroup/team/job was written 11 times within", func() *scene {
		s := placed()
		s.pass(time.Hour)
		for range 20 {
			s.notice(func(n *invariants.Notice) { n.Kind, n.Name, n.Reason = "PodGroup", "job", "DoesNotFit" })
			s.pass(time.Second)
		}
		return s
	}},
	{"a gang waits and says nothing", "V1", "podgroup team/next waits, and for 1m0s its condition has said nothing", func() *scene {
		s := placed()
		s.group("next", 2, func(g *invariants.PodGroup) { g.Reason, g.Message = "", "" })
		s.pass(time.Minute)
		return s
	}},
	{"a reason without a number", "V1", "has named no number", func() *scene {
		s := placed()
		s.gangOf("next", 2, 0)
		s.tell("next", "DoesNotFit", "there is not enough room")
		s.pass(time.Minute)
		return s
	}},
	{"a reason whose number is wrong", "V1", "it has told \"1 of 3 members exist\", and 2 of 3 members exist", func() *scene {
		s := placed()
		s.group("next", 3, nil)
		s.pod("next", 0, 1, nil)
		s.pod("next", 1, 1, nil)
		s.tell("next", "WaitingForMembers", "1 of 3 members exist")
		s.pass(time.Minute)
		return s
	}},
	{"a status that counts along", "V2", "that 1 members run, and 3 do", func() *scene {
		s := placed()
		for i := range 3 {
			s.change(worker(i), func(p *invariants.Pod) { p.Phase = invariants.Running })
		}
		s.group("job", 3, func(g *invariants.PodGroup) { g.Running = 1 })
		s.pass(time.Minute)
		return s
	}},
	{"a status of a gang of the same name elsewhere", "V2", "that 3 members have succeeded, and 0 have", func() *scene {
		s := placed()
		s.group("job", 3, func(g *invariants.PodGroup) { g.Succeeded = 3 })
		s.pass(time.Minute)
		return s
	}},
	{"a gang that lost its place still says that it has it", "V2", "that it has its place, and 2 of its floor of 3", func() *scene {
		s := placed()
		s.gone("job-0")
		s.pass(time.Minute)
		return s
	}},
	{"a job that counts wrong", "V2", "that 2 pods of role worker are active, and 1 run", func() *scene {
		s := newScene()
		s.job(func(j *invariants.Job) { j.Roles[0].Active = 2 })
		s.pod("job", 0, 1, func(p *invariants.Pod) { p.Job, p.Phase, p.Scheduler = "job-uid", invariants.Running, "other" })
		s.pass(time.Minute)
		return s
	}},
}

func TestBrokenHistoriesAreCaught(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.history()
			found := s.history.Check(s.options(), s.at)
			for _, v := range found {
				if v.Invariant == tt.invariant && strings.Contains(v.Sentence, tt.says) {
					if len(v.Objects) == 0 || len(v.Evidence) == 0 {
						t.Errorf("the violation names %d objects and proves itself by %d events", len(v.Objects), len(v.Evidence))
					}
					return
				}
			}
			t.Errorf("%d violations, none of %s that says %q: %v", len(found), tt.invariant, tt.says, found)
		})
	}
}
