package core_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestScenarios drives a core by scripts. Each command is one event or a few of
// them, and prints the effects and whatever Check finds broken:
//
//	nodes                    a node a line: NAME [rack=R] [block=b1] [model=H] [gpus=8] [pods=N] [gone] [cordoned]
//	pods                     pods without a gang: NAME node=N [gpus=1] [priority=P] [queue=Q] [leaving] [protected] [revocable] [duration=D] [budget=N] [gone]
//	queues                   a queue a line: NAME [parent=Q] [namespace=NS] [guaranteed=GPUS] [guaranteed-H=GPUS] [cap=GPUS] [weight=N]
//	gang NAME floor=N [queue=Q] [duration=D] [revocable] [required=LEVEL] [preferred=LEVEL] [slices=N slice-level=LEVEL] [uid=U] [gone]
//	members                  a pod a line: NAME gang=G [role=R] [index=I] [gpus=1] [cpu=N] [priority=P] [node=N] [barred=WHY] [patient] [apart=GROUP] [beyond=FIELD]
//	outsider NAME gang=G [gone]  a pod of another scheduler
//	attempt NAME…            a scheduling cycle's question, pod by pod
//	reserve NAME…            the scheduler assumes the pod on the node it was pinned to
//	permit NAME…
//	place GANG               all three for each member in rank order, as often as it takes no longer than once around
//	miss NAME why=… [at=all] the scheduler's filters refuse the pinned node, or all
//	bound NAME… [node=N]     the API says the pod is bound: where it was assumed, or elsewhere
//	unreserve NAME… [why=…] [unknown]
//	gone NAME…, finished NAME…, forgotten NAME… gang=G
//	tick DURATION            time passes
//	restart                  a fresh core is told what the API knows
//	state                    gangs with phases, members with nodes, the ledger
//	census                   gangs by phase, who waits where and why, what queues hold
//
// A gang's name is NAME or NAMESPACE/NAME. The messages are part of what users
// see, so they are part of the expected output.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.out.Reset()
			w.run(t, d)
			if w.out.Len() == 0 {
				return "ok\n"
			}
			return w.out.String()
		})
	})
}

// world is what surrounds the core in a scenario: the API's objects and the
// scheduler's picture of the nodes.
type world struct {
	out   strings.Builder
	core  *core.Core
	names *cluster.Vocabulary
	gpu   int
	now   time.Time

	nodes    map[string]cluster.Node // Free is computed for each view
	cordoned map[string]bool
	epoch    uint64
	altered  uint64
	gangs    map[gang.Key]gang.Spec
	pods     map[string]*pod
	others   map[string]core.Occupant // by name; the node is found for each view
	places   map[string]string        // of others
	budgets  core.Budgets
	queues   core.QueuesSeen
	promises map[gang.Key]*core.Reservation // as last reported
}

type pod struct {
	core.MemberSeen
	pinned   string // in this scheduling cycle
	assumed  string
	finished bool
}

func newWorld() *world {
	w := &world{
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), names: cluster.NewVocabulary(),
		nodes: map[string]cluster.Node{}, cordoned: map[string]bool{}, gangs: map[gang.Key]gang.Spec{}, pods: map[string]*pod{},
		others: map[string]core.Occupant{}, places: map[string]string{}, promises: map[gang.Key]*core.Reservation{},
	}
	w.gpu = w.names.Index("nvidia.com/gpu")
	w.core = w.newCore()
	return w
}

func (w *world) newCore() *core.Core {
	return core.New(core.Options{Vocabulary: w.names, ReserveAfter: 10 * time.Minute, ReclaimAfter: 10 * time.Minute})
}

func (w *world) run(t *testing.T, d *datadriven.TestData) {
	names := positional(d)
	each := func(do func(p *pod, uid string)) {
		for _, uid := range names {
			p := w.pods[uid]
			if p == nil {
				d.Fatalf(t, "no pod %q", uid)
			}
			do(p, uid)
		}
	}
	switch d.Cmd {
	case "nodes":
		w.setNodes(t, d)
	case "gang":
		w.setGang(t, d, names[0])
	case "members":
		for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
			w.setMember(t, d, line)
		}
	case "outsider":
		o := core.Outsider{UID: names[0], Name: names[0], Why: "its schedulerName is default-scheduler"}
		if k := key(option(d, "gang", "")); d.HasArg("gone") {
			w.step(core.MemberGone{Key: k, UID: o.UID})
		} else {
			w.step(core.OutsiderSeen{Key: k, Outsider: o})
		}
	case "queues":
		w.setQueues(t, d)
	case "pods":
		for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
			w.setOther(t, d, line)
		}
	case "attempt":
		each(func(_ *pod, uid string) { w.attempt(uid) })
	case "reserve":
		each(func(_ *pod, uid string) { w.reserve(uid) })
	case "permit":
		each(func(_ *pod, uid string) { w.step(core.Permit{UID: uid}) })
	case "place":
		for _, uid := range w.members(key(names[0])) {
			if w.pods[uid].Node == "" && w.pods[uid].assumed == "" && w.attempt(uid) {
				w.reserve(uid)
				w.step(core.Permit{UID: uid})
			}
		}
	case "miss":
		each(func(p *pod, uid string) {
			node := p.pinned
			if d.HasArg("at") {
				node = ""
			}
			w.step(core.Missed{UID: uid, Node: node, Why: option(d, "why", "it has a taint")})
			p.pinned = ""
		})
	case "stop":
		each(func(_ *pod, uid string) { w.step(core.Stopped{UID: uid, Why: option(d, "why", "")}) })
	case "bound":
		each(func(p *pod, uid string) {
			p.Node, p.assumed = option(d, "node", p.assumed), ""
			p.Member.Started = w.now
			w.step(p.MemberSeen)
		})
	case "unreserve":
		each(func(p *pod, uid string) {
			w.step(core.Unreserved{UID: uid, Unknown: d.HasArg("unknown"), Why: option(d, "why", "time is up")})
			p.assumed = ""
			w.epoch++
		})
	case "gone":
		each(func(p *pod, uid string) {
			delete(w.pods, uid)
			w.epoch++
			w.step(core.MemberGone{Key: p.Key, UID: uid})
		})
	case "finished":
		each(func(p *pod, uid string) {
			p.Node, p.finished = "", true
			w.epoch++
			w.step(core.MemberFinished{Key: p.Key, UID: uid})
		})
	case "forgotten":
		each(func(p *pod, uid string) {
			delete(w.pods, uid)
			w.step(core.FinishedForgotten{Key: p.Key, UID: uid})
		})
	case "marked":
		each(func(p *pod, _ string) {
			p.Evicted = core.Reason{Code: core.Preempted, Message: option(d, "why", "")}
			w.step(p.MemberSeen)
		})
	case "relax":
		for i := range w.budgets.Allowed {
			w.budgets.Allowed[i]++
		}
		w.step(core.BudgetsRelaxed{})
	case "tick":
		w.now = w.now.Add(duration(t, d, names[0]))
		w.step(core.Tick{})
	case "restart":
		w.restart()
	case "elect":
		w.step(core.Elected{})
	case "state":
		w.state()
	case "census":
		w.census()
	default:
		d.Fatalf(t, "no command %q", d.Cmd)
	}
}

// step hands one event to the core and prints what comes back.
func (w *world) step(event core.Event) []core.Effect {
	effects := w.core.Step(w.now, event)
	for _, e := range effects {
		fmt.Fprintln(&w.out, describe(e))
		if report, ok := e.(core.Report); ok {
			w.promises[report.Key] = report.Status.Reservation
		}
	}
	for _, broken := range w.core.Check() {
		fmt.Fprintln(&w.out, "BROKEN", broken)
	}
	return effects
}

func (w *world) attempt(uid string) (pinned bool) {
	foreseen := w.foresee(uid)
	for _, e := range w.step(core.Attempt{UID: uid, View: w.view()}) {
		if evict, evicts := e.(core.Evict); evicts && !slices.ContainsFunc(foreseen, func(f core.Eviction) bool { return reflect.DeepEqual(f.Evict, evict) }) {
			fmt.Fprintln(&w.out, "BROKEN that was not foreseen:", foreseen)
		}
		switch e := e.(type) {
		case core.Pin:
			w.pods[uid].pinned, pinned = e.Node, true
		case core.Roam: // the scheduler follows the planner's advice, where it may
			w.pods[uid].pinned, pinned = e.Near, true
			if e.Nodes != nil && !slices.Contains(e.Nodes, e.Near) {
				w.pods[uid].pinned = e.Nodes[0]
			}
		}
	}
	return pinned
}

// foresee is who would go for a member's gang, as those are told who only ask.
func (w *world) foresee(uid string) []core.Eviction {
	view := w.view()
	view.Index = placement.NewIndex(view.Nodes, view.Tree)
	w.core.Step(w.now, core.ClusterSeen{View: view})
	victims, _ := w.core.Victims(w.now, w.pods[uid].Key, view, core.AsItIs)
	return victims.Evictions
}

func (w *world) reserve(uid string) {
	p := w.pods[uid]
	p.assumed, p.pinned = p.pinned, ""
	w.step(core.Reserved{UID: uid, Node: p.assumed})
}

func (w *world) view() core.View {
	nodes := make([]cluster.Node, 0, len(w.nodes))
	for _, n := range w.nodes {
		n.Free = n.Allocatable.Clone()
		for _, p := range w.pods {
			if p.Node == n.Name || p.assumed == n.Name {
				n.Free = n.Free.Sub(p.Member.Requests)
			}
		}
		for name, o := range w.others {
			if w.places[name] == n.Name {
				n.Free = n.Free.Sub(o.Requests)
			}
		}
		nodes = append(nodes, n)
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	return core.View{
		Nodes: nodes, Epoch: w.epoch, Attributes: w.altered,
		Tree:     topology.Build([]topology.Level{{Name: "block", Key: "block"}, {Name: "rack", Key: "rack"}}, nodes),
		Eligible: func(_ string, node int) bool { return !w.cordoned[nodes[node].Name] },
		Others:   func() []core.Occupant { return w.occupants(nodes) },
		Budgets:  func() core.Budgets { return w.budgets },
	}
}

func (w *world) occupants(nodes []cluster.Node) []core.Occupant {
	var list []core.Occupant
	for _, name := range slices.Sorted(maps.Keys(w.others)) {
		o := w.others[name]
		if place, ok := cluster.Find(nodes, w.places[name]); ok {
			o.Node = place
			list = append(list, o)
		}
	}
	return list
}

// restart: what was assumed is lost, what is bound is not.
func (w *world) restart() { w.restartWith(core.HistorySeen{}) }

func (w *world) restartWith(written core.HistorySeen) {
	w.core = w.newCore()
	w.step(written)
	w.step(w.queues)
	for _, uid := range w.members(gang.Key{}) {
		p := w.pods[uid]
		p.assumed, p.pinned = "", ""
		if p.finished {
			w.step(core.MemberFinished{Key: p.Key, UID: uid})
		} else {
			w.step(p.MemberSeen)
		}
	}
	for _, k := range w.keys() {
		w.step(core.GroupSeen{Spec: w.gangs[k], Reservation: w.promises[k]})
	}
}

func (w *world) keys() []gang.Key {
	var keys []gang.Key
	for k := range w.gangs {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].Less(keys[j]) })
	return keys
}

// members lists the pods of a gang in rank order; those of all gangs for the zero key.
func (w *world) members(k gang.Key) []string {
	var uids []string
	for uid, p := range w.pods {
		if p.Key == k || k == (gang.Key{}) {
			uids = append(uids, uid)
		}
	}
	sort.Slice(uids, func(i, j int) bool { return gang.Before(w.pods[uids[i]].Member, w.pods[uids[j]].Member) })
	return uids
}
