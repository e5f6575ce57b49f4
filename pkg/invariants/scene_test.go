package invariants_test

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/topology"
)

// scene writes a history as a sound scheduler would make it; tests break it.
type scene struct {
	at      time.Time
	history invariants.History
	names   *cluster.Vocabulary
	gpu     int
	pods    map[string]invariants.Pod
	groups  map[string]invariants.PodGroup
	uids    int
}

func newScene() *scene {
	s := &scene{
		at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), names: cluster.NewVocabulary(),
		pods: map[string]invariants.Pod{}, groups: map[string]invariants.PodGroup{},
	}
	s.gpu = s.names.Index("nvidia.com/gpu")
	return s
}

func (s *scene) options() invariants.Options {
	return invariants.Options{Vocabulary: s.names, Levels: []topology.Level{{Name: "rack", Key: "rack"}}}
}

func (s *scene) add(e invariants.Event) {
	e.At = s.at
	s.history = append(s.history, e)
}

func (s *scene) pass(d time.Duration) { s.at = s.at.Add(d) }

func (s *scene) gpus(n int64) cluster.Resources {
	return cluster.Resources(nil).Set(cluster.Pods, 1).Set(s.gpu, n)
}

// node has that many GPUs; change may be nil.
func (s *scene) node(name, rack string, gpus int64, change func(*invariants.Node)) {
	n := invariants.Node{Name: name, Labels: map[string]string{"rack": rack}, Allocatable: s.gpus(gpus).Set(cluster.Pods, 110)}
	if change != nil {
		change(&n)
	}
	s.add(invariants.Event{Node: &n})
}

func (s *scene) nodeGone(name string) {
	s.add(invariants.Event{Node: &invariants.Node{Name: name}, Gone: true})
}

func (s *scene) group(name string, floor int, change func(*invariants.PodGroup)) {
	g, ok := s.groups[name]
	if !ok {
		s.uids++
		g = invariants.PodGroup{Namespace: "team", Name: name, UID: fmt.Sprint("group-", s.uids), Created: s.at,
			Reason: "WaitingForMembers", Message: fmt.Sprintf("0 of %d members exist", floor)}
	}
	g.Floor = floor
	if change != nil {
		change(&g)
	}
	s.groups[name] = g
	s.add(invariants.Event{Group: &g})
}

// tell writes the status that follows from the pods, with a reason while the gang waits.
func (s *scene) tell(name, reason, message string) {
	g := s.groups[name]
	g.Running, g.Succeeded = 0, 0
	bound := 0
	for _, p := range s.pods {
		switch {
		case p.Group != name || p.Deleting:
		case p.Phase == invariants.Succeeded:
			g.Succeeded++
		case p.Phase == invariants.Failed:
		default:
			if p.Node != "" {
				bound++
			}
			if p.Phase == invariants.Running {
				g.Running++
			}
		}
	}
	g.Placed, g.Reason, g.Message = bound+g.Succeeded >= g.Floor, reason, message
	s.groups[name] = g
	s.add(invariants.Event{Group: &g})
}

// pod creates one of a gang.
func (s *scene) pod(group string, index int, gpus int64, change func(*invariants.Pod)) {
	s.uids++
	name := fmt.Sprintf("%s-%d", group, index)
	p := invariants.Pod{Namespace: "team", Name: name, UID: fmt.Sprintf("%s.%d", name, s.uids), Scheduler: "lockstep", Group: group,
		Phase: invariants.Pending, Requests: s.gpus(gpus), Role: "worker", Index: index, Created: s.at}
	if change != nil {
		change(&p)
	}
	s.pods[name] = p
	s.add(invariants.Event{Pod: &p})
}

func (s *scene) change(name string, change func(*invariants.Pod)) { s.changeBy("", name, change) }

func (s *scene) changeBy(who, name string, change func(*invariants.Pod)) {
	p := s.pods[name]
	change(&p)
	s.pods[name] = p
	s.add(invariants.Event{Pod: &p, By: who})
}

func (s *scene) bind(name, node string) {
	s.change(name, func(p *invariants.Pod) { p.Node = node })
}

func (s *scene) gone(name string) {
	p := s.pods[name]
	delete(s.pods, name)
	s.add(invariants.Event{Pod: &p, Gone: true})
}

func (s *scene) evict(name, reason, message string) {
	s.change(name, func(p *invariants.Pod) { p.Disruption = &invariants.Disruption{Reason: reason, Message: message} })
	s.change(name, func(p *invariants.Pod) { p.Deleting = true })
}

// gangOf makes a gang of that many members of 2 GPUs.
func (s *scene) gangOf(name string, size int, priority int32) {
	s.group(name, size, nil)
	for i := range size {
		s.pod(name, i, 2, func(p *invariants.Pod) { p.Priority = priority })
	}
	s.tell(name, "Queued", "complete; waits for its turn")
}

// place binds all members of a gang, and says so.
func (s *scene) place(name, node string) {
	for i := range s.groups[name].Floor {
		s.bind(fmt.Sprintf("%s-%d", name, i), node)
	}
	s.tell(name, "Placed", "all members have a node")
}

// placed is where most tests begin: two nodes of 8 GPUs in two racks, and a gang of
// three that is bound.
func placed() *scene {
	s := newScene()
	s.node("n1", "r1", 8, nil)
	s.node("n2", "r2", 8, nil)
	s.gangOf("job", 3, 0)
	s.place("job", "n1")
	s.pass(time.Minute)
	return s
}

// queue is one for the namespace; cap below zero for none, model empty for all GPUs.
func (s *scene) queue(name, parent, model string, guaranteed, most int64) {
	s.add(invariants.Event{Queue: &invariants.Queue{Name: name, Parent: parent, Namespaces: []string{"team"}, Limits: []invariants.Limit{
		{Resource: s.gpu, Model: model, Guaranteed: guaranteed, Cap: most},
	}}})
}

// queued puts a gang into a queue.
func (s *scene) queued(gang, queue string) {
	s.group(gang, s.groups[gang].Floor, func(g *invariants.PodGroup) { g.Queue = queue })
}

// lent: queue a is guaranteed 4 GPUs and has none, queue b holds 6 and is guaranteed some.
func lent(guaranteed int64) *scene {
	s := placed()
	s.queue("a", "", "", 4, -1)
	s.queue("b", "", "", guaranteed, -1)
	s.queued("job", "b")
	s.gangOf("owner", 2, 0)
	s.queued("owner", "a")
	s.pass(time.Minute)
	return s
}

// beside: queue a is the first of the namespace, queue b holds 6 GPUs, and none more than 7.
func beside() *scene {
	s := placed()
	s.queue("a", "", "", 0, 7)
	s.queue("b", "", "", 0, 7)
	s.queued("job", "b")
	s.pass(time.Minute)
	return s
}

const takenBack = "borrowed, and taken back for what queue a is guaranteed by gang team/owner, which needs room for 2 pods"

func (s *scene) lease(holder string) {
	s.add(invariants.Event{Lease: &invariants.Lease{Holder: holder, Duration: 15 * time.Second}})
}

func (s *scene) job(change func(*invariants.Job)) {
	j := invariants.Job{Namespace: "team", Name: "job", UID: "job-uid", Roles: []invariants.Role{{Name: "worker"}}}
	if change != nil {
		change(&j)
	}
	s.add(invariants.Event{Job: &j})
}

func (s *scene) verdict(group string, fits bool) {
	s.add(invariants.Event{Verdict: &invariants.Verdict{Gang: gang.Key{Namespace: "team", Name: group}, Fits: fits, Text: "6 nvidia.com/gpu in rack r2"}})
}

func (s *scene) notice(change func(*invariants.Notice)) {
	s.uids++
	n := invariants.Notice{UID: fmt.Sprint("event-", s.uids), Reporter: "lockstep", Kind: "Pod", Namespace: "team"}
	change(&n)
	s.add(invariants.Event{Notice: &n})
}
