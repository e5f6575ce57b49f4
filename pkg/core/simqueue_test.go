package core_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/quota"
)

// Queues, in every fourth seed: who may have how much, how that changes, and how the
// scheduler learns of it. All that is drawn for them comes from a stream of its own.

// hasQueues reports whether a seed is about queues.
func hasQueues(seed uint64) bool { return seed%4 == 3 }

// reclaimAfter is for every second seed with queues. Its stream is one by which none of
// the seeds draws anything that were in onceFailed before there was this.
func reclaimAfter(seed uint64) time.Duration {
	r := rand.New(rand.NewPCG(seed, 34121))
	if !hasQueues(seed) || r.IntN(2) > 0 {
		return 0
	}
	return []time.Duration{time.Second, 10 * time.Second, time.Minute}[r.IntN(3)]
}

// simQueue is a queue as somebody has written it down.
type simQueue struct {
	invariants.Queue
	weight int64
}

// models are the types of GPU. A node of a name is of the same type every time.
var models = []string{"H", "L", ""}

func (s *sim) modelOf(node string) string {
	if !s.divided || node == "" {
		return ""
	}
	return models[int(node[len(node)-1])%len(models)]
}

// ofType is what the name of a class says where its pods ask for a type of GPU.
const ofType = " of type "

func selected(class string) string {
	_, model, _ := strings.Cut(class, ofType)
	return model
}

// newQueue is often wrong: guaranteed more than its parent or its cap, a part of nothing
// that is there, or of itself.
func (s *sim) newQueue(name string) simQueue {
	r := s.lots
	q := simQueue{Queue: invariants.Queue{Name: name}, weight: int64(r.IntN(4))}
	if r.IntN(3) == 0 {
		q.Parent = pick(r, "q0", "q1", "q2", "q3", "q9")
	}
	for _, namespace := range []string{"a", "b", "c", "other"} {
		if r.IntN(3) > 0 {
			q.Namespaces = append(q.Namespaces, namespace)
		}
	}
	q.Limits = s.limits()
	return q
}

func (s *sim) limits() []invariants.Limit {
	r := s.lots
	if s.balances > 0 && r.IntN(3) > 0 { // much is borrowed
		return []invariants.Limit{{Resource: s.gpu, Guaranteed: int64(r.IntN(3)), Cap: -1}}
	}
	list := []invariants.Limit{{Resource: s.gpu, Guaranteed: int64(r.IntN(7)), Cap: -1}}
	if r.IntN(2) == 0 {
		list[0].Cap = int64(r.IntN(9))
	}
	if r.IntN(4) == 0 {
		list = append(list, invariants.Limit{Resource: s.gpu, Model: pick(r, "H", "L"), Guaranteed: int64(r.IntN(3)), Cap: int64(r.IntN(6)) - 1})
	}
	return list
}

// enrol says which queue a job names, and which type of GPU it asks for.
func (s *sim) enrol(j *job) {
	if !s.divided {
		return
	}
	j.spec.Queue = s.someQueue(j.key.Namespace)
	if s.balances > 0 && s.lots.IntN(4) > 0 {
		j.priority = 1
	}
	if s.lots.IntN(5) == 0 {
		j.model = pick(s.lots, "H", "L")
	}
}

// someQueue is the name of one that a gang may be in as a rule, or none.
func (s *sim) someQueue(namespace string) string {
	names := []string{""}
	for _, name := range sorted(s.api.queues) {
		if slices.Contains(s.api.queues[name].Namespaces, namespace) || s.lots.IntN(6) == 0 {
			names = append(names, name)
		}
	}
	if s.lots.IntN(20) == 0 {
		return "q9"
	}
	return pick(s.lots, names...)
}

// disturbQueues is what administrators and users do.
func (s *sim) disturbQueues() {
	r := s.lots
	name := fmt.Sprint("q", r.IntN(4))
	q, there := s.api.queues[name]
	switch r.IntN(8) {
	case 0, 1, 2: // a cap may be lowered under what is used
		if there {
			q.Limits = s.limits()
			s.putQueue(q)
		}
	case 3:
		if there {
			s.removeQueue(name)
		}
	case 4, 5:
		s.putQueue(s.newQueue(name))
	case 6:
		if there {
			q.Parent, q.weight = s.newQueue(name).Parent, int64(r.IntN(4))
			s.putQueue(q)
		}
	case 7:
		j := s.api.jobs[r.IntN(len(s.api.jobs))]
		j.spec.Queue = s.someQueue(j.key.Namespace)
	}
}

func (s *sim) putQueue(q simQueue) {
	s.api.queues[q.Name] = q
	s.tracef("queue %+v", q)
	s.tell(invariants.Event{Queue: &q.Queue})
	s.send(queueWatch, func() { s.queues[q.Name] = q; s.queuesChanged() })
}

func (s *sim) removeQueue(name string) {
	q := s.api.queues[name]
	delete(s.api.queues, name)
	s.tell(invariants.Event{Queue: &q.Queue, Gone: true})
	s.send(queueWatch, func() { delete(s.queues, name); s.queuesChanged() })
}

func (s *sim) relistQueues() {
	for _, name := range sorted(s.queues) {
		if _, exists := s.api.queues[name]; !exists {
			s.send(queueWatch, func() { delete(s.queues, name); s.queuesChanged() })
		}
	}
	for _, name := range sorted(s.api.queues) {
		q := s.api.queues[name]
		s.send(queueWatch, func() { s.queues[name] = q; s.queuesChanged() })
	}
}

// queuesChanged reads all queues anew, tells the core, and with it which gang is in which.
func (s *sim) queuesChanged() {
	s.shares = s.read(s.queues)
	s.step(core.HistorySeen{Late: s.api.late})
	s.step(s.shares.seen())
	for _, key := range sortedKeys(s.specs) {
		s.step(core.GroupSeen{Spec: s.shares.charged(s.specs[key]), Reservation: s.promised[key]})
	}
}

// shares are queues as a shell reads them; without a tree where there are none.
type shares struct {
	tree   *quota.Tree
	charge func(amounts cluster.Resources, class, node string) cluster.Resources
	kind   func(node string) string
}

func (s *sim) read(queues map[string]simQueue) shares {
	if len(queues) == 0 {
		return shares{}
	}
	var list []quota.Queue
	types := map[string]int{}
	for _, name := range sorted(queues) {
		q := queues[name]
		out := quota.Queue{Name: q.Name, Parent: q.Parent, Namespaces: q.Namespaces, Weight: q.weight, Cap: map[int]int64{}}
		for _, l := range q.Limits {
			place := l.Resource
			if l.Model != "" {
				place = s.names.Index(s.names.Name(s.gpu) + ofType + l.Model)
				types[l.Model] = place
			}
			out.Guaranteed = out.Guaranteed.Set(place, l.Guaranteed)
			if l.Cap >= 0 {
				out.Cap[place] = l.Cap
			}
		}
		list = append(list, out)
	}
	tree, _ := quota.New(list)
	kind := func(node string) string {
		if model := s.modelOf(node); types[model] > 0 {
			return model
		}
		return ""
	}
	return shares{tree, func(amounts cluster.Resources, class, node string) cluster.Resources {
		model := s.modelOf(node)
		if node == "" {
			model = selected(class)
		}
		if place, spoken := types[model]; spoken && amounts.Get(s.gpu) > 0 {
			return amounts.Clone().Set(place, amounts.Get(s.gpu))
		}
		return amounts.Clone()
	}, kind}
}

func (h shares) seen() core.QueuesSeen {
	return core.QueuesSeen{Tree: h.tree, Charge: h.charge, Kind: h.kind}
}

// charged is a gang's wish with the queue that it is charged to in place of the one that
// it names.
func (h shares) charged(spec gang.Spec) gang.Spec {
	named := spec.Queue
	if spec.Queue = ""; h.tree == nil {
		return spec
	}
	queue, ok := h.tree.Of(spec.Key.Namespace, named)
	_, exists := h.tree.Queue(named)
	switch {
	case ok:
		spec.Queue = queue
	case exists:
		spec.Invalid = fmt.Sprintf("queue %s is not for namespace %s", named, spec.Key.Namespace)
	default:
		spec.NoQueue = fmt.Sprintf("there is no queue %s", named)
	}
	return spec
}

// of is the queue of a pod without a gang.
func (h shares) of(namespace string) string {
	if h.tree == nil {
		return ""
	}
	queue, _ := h.tree.Of(namespace, "")
	return queue
}

// usage sums up from the API what queues hold; nil where there are none.
func (s *sim) usage() (*quota.Usage, shares) {
	h := s.read(s.api.queues)
	if h.tree == nil {
		return nil, h
	}
	var total cluster.Resources
	for _, n := range s.api.nodes {
		total = total.Add(h.charge(n.Allocatable, "", n.Name))
	}
	return h.tree.Usage(s.holders(h), total), h
}

func (s *sim) queueOf(h shares, p simPod) string {
	namespace := p.key.Namespace
	if p.alien {
		namespace = "other"
	} else if spec, exists := s.api.groups[p.key]; exists {
		return h.charged(spec).Queue
	}
	return h.of(namespace)
}

// judgeQuota: a gang that its queue may not hold says so, with the numbers as they are,
// and no other does. It reports whether the queue may hold the first members by rank.
func (s *sim) judgeQuota(j *job, waiting []simPod, n int, status core.Status) bool {
	usage, h := s.usage()
	spec := h.charged(j.spec)
	if usage == nil || spec.Invalid+spec.NoQueue != "" {
		return usage == nil
	}
	sortByRank(waiting)
	var asked cluster.Resources
	for _, p := range waiting[:min(n, len(waiting))] {
		asked = asked.Add(h.charge(p.member.Requests, p.member.Class, ""))
	}
	if refusal, ok := usage.Admit(spec.Queue, asked); !ok {
		s.capped++
		if s.prompted || s.lately || strings.Contains(status.Reason.Message, rests) {
			return false // what is said may be a little old
		}
		want := fmt.Sprintf("queue %s may hold %d %s at most: it holds %d,", refusal.Queue, refusal.Cap, s.names.Name(refusal.Resource), refusal.Used)
		about := []core.Code{"DoesNotFit", "Impossible", core.QuotaExceeded} // a reason that comes before is as good
		if slices.Contains(about, status.Reason.Code) && !strings.Contains(status.Reason.Message, want) {
			s.assert("V1: %s asks for more than its queue may hold, and says %+v, not: %s", j.key, status.Reason, want)
		}
		return false
	}
	for _, model := range []string{"H", "L"} {
		var all cluster.Resources
		for _, p := range waiting[:min(n, len(waiting))] {
			all = all.Add(h.charge(p.member.Requests, ofType+model, ""))
		}
		if _, ok := usage.Admit(spec.Queue, all); !ok {
			return false // it may be that they may not be held where there is room
		}
	}
	whole := j.spec.Slices.Size <= 1 // more than it lacks may have to go together
	kept := strings.Contains(status.Reason.Message, "are kept for other gangs")
	if status.Reason.Code == core.QuotaExceeded && whole && !kept && !s.prompted && n <= len(waiting) && status.Counts.Placed() < status.Floor {
		s.assert("V1: %s says %s, and queue %q may hold the %d members that it lacks", j.key, status.Reason.Message, spec.Queue, n)
	}
	return true
}

func sortedKeys[V any](m map[gang.Key]V) []gang.Key {
	keys := make([]gang.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b gang.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return keys
}

// lots is where all about queues is drawn from.
func (c script) lots(number int) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, 1<<50+uint64(number)))
}

// queueSeenOf is the queue of a pod that is no member, as the scheduler knows it.
func (s *sim) queueSeenOf(p simPod) string {
	if p.alien {
		return s.shares.of("other")
	}
	if spec, known := s.specs[p.key]; known {
		return s.shares.charged(spec).Queue
	}
	return s.shares.of(p.key.Namespace)
}

// keepHistory writes down what queues have borrowed of late, as it can be written.
func (s *sim) keepHistory() {
	late := s.core.Late()
	if !s.divided || late.At.Sub(s.api.late.At) < time.Minute {
		return
	}
	billionths := map[string]int64{}
	for name := range s.api.queues {
		billionths[name] = late.Billionths(name)
	}
	s.api.late = quota.Remembered(late.At, billionths)
}

// typed: some queue speaks of types of GPU.
func (s *sim) typed() bool {
	for _, q := range s.api.queues {
		if len(q.Limits) > 1 {
			return true
		}
	}
	return false
}
