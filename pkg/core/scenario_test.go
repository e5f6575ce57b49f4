package core_test

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestScenarios drives a core by scripts. Each command is one event or a few of
// them, and prints the effects and whatever Check finds broken:
//
//	nodes                    a node a line: NAME [rack=R] [block=b1] [gpus=8] [pods=N] [gone] [cordoned]
//	pods                     pods without a gang: NAME node=N [gpus=1] [priority=P] [leaving] [protected] [revocable] [duration=D] [budget=N] [gone]
//	queues                   a queue a line: NAME [parent=Q] [guaranteed=GPUS] [cap=GPUS] [weight=N]
//	gang NAME floor=N [queue=Q] [duration=D] [revocable] [required=LEVEL] [preferred=LEVEL] [slices=N slice-level=LEVEL] [uid=U] [gone]
//	members                  a pod a line: NAME gang=G [role=R] [index=I] [gpus=1] [cpu=N] [priority=P] [node=N] [barred=WHY] [patient] [apart=GROUP] [beyond=FIELD]
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
	return core.New(core.Options{Vocabulary: w.names, ReserveAfter: 10 * time.Minute})
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
	case "tick":
		w.now = w.now.Add(duration(t, d, names[0]))
		w.step(core.Tick{})
	case "restart":
		w.restart()
	case "state":
		w.state()
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
	for _, e := range w.step(core.Attempt{UID: uid, View: w.view()}) {
		switch e := e.(type) {
		case core.Pin:
			w.pods[uid].pinned, pinned = e.Node, true
		case core.Roam: // the scheduler follows the planner's advice
			w.pods[uid].pinned, pinned = e.Near, true
		}
	}
	return pinned
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

// setOther makes a pod without a gang, or a member that is on its way out.
func (w *world) setOther(t *testing.T, d *datadriven.TestData, line string) {
	words := strings.Fields(line)
	name := words[0]
	w.epoch++
	o := core.Occupant{Pod: key(name), UID: name, Since: w.now}
	if p := w.pods[name]; p != nil {
		o.Since, w.places[name] = p.Member.Started, p.Node
		delete(w.pods, name)
		w.step(core.MemberGone{Key: p.Key, UID: name})
	}
	gpus := int64(1)
	for _, word := range words[1:] {
		option, value, _ := strings.Cut(word, "=")
		switch option {
		case "node":
			w.places[name] = value
		case "gpus":
			gpus = number(t, d, value)
		case "priority":
			o.Priority = int32(number(t, d, value))
		case "duration":
			o.Duration = duration(t, d, value)
		case "budget":
			w.budgets.Allowed = append(w.budgets.Allowed, int(number(t, d, value)))
			if w.budgets.Of == nil {
				w.budgets.Of = map[string][]int{}
			}
			w.budgets.Of[name] = []int{len(w.budgets.Allowed) - 1}
		case "leaving":
			o.Leaving = true
		case "protected":
			o.Protected = true
		case "revocable":
			o.Revocable = true
		case "gone":
			delete(w.others, name)
			return
		default:
			d.Fatalf(t, "no option %q", option)
		}
	}
	o.Requests = cluster.Resources(nil).Set(cluster.CPU, 1000).Set(cluster.Pods, 1).Set(w.gpu, gpus)
	w.others[name] = o
}

func (w *world) setQueues(t *testing.T, d *datadriven.TestData) {
	var list []quota.Queue
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		q := quota.Queue{Name: words[0], Cap: map[int]int64{}}
		for _, word := range words[1:] {
			option, value, _ := strings.Cut(word, "=")
			switch option {
			case "parent":
				q.Parent = value
			case "guaranteed":
				q.Guaranteed = q.Guaranteed.Set(w.gpu, number(t, d, value))
			case "cap":
				q.Cap[w.gpu] = number(t, d, value)
			case "weight":
				q.Weight = number(t, d, value)
			default:
				d.Fatalf(t, "no option %q", option)
			}
		}
		list = append(list, q)
	}
	tree, faults := quota.New(list)
	if len(faults) > 0 {
		d.Fatalf(t, "%v", faults)
	}
	w.queues = core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }}
	w.step(w.queues)
}

func (w *world) setNodes(t *testing.T, d *datadriven.TestData) {
	w.epoch, w.altered = w.epoch+1, w.altered+1
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		n := cluster.Node{Name: words[0], Labels: map[string]string{"block": "b1"}}
		n.Allocatable = n.Allocatable.Set(cluster.CPU, 64000).Set(cluster.Pods, 110).Set(w.gpu, 8)
		gone := false
		w.cordoned[n.Name] = false
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "gone":
				gone = true
			case "cordoned":
				w.cordoned[n.Name] = true
			case "gpus":
				n.Allocatable = n.Allocatable.Set(w.gpu, number(t, d, value))
			case "pods":
				n.Allocatable = n.Allocatable.Set(cluster.Pods, number(t, d, value))
			default:
				n.Labels[name] = value
			}
		}
		if gone {
			delete(w.nodes, n.Name)
			w.step(core.NodeGone{Name: n.Name})
			continue
		}
		w.nodes[n.Name] = n
	}
}

func (w *world) setGang(t *testing.T, d *datadriven.TestData, name string) {
	k := key(name)
	if d.HasArg("gone") {
		delete(w.gangs, k)
		w.step(core.GroupGone{Key: k})
		return
	}
	spec := gang.Spec{Key: k, UID: option(d, "uid", name), Created: w.now}
	level := func(name string) gang.Level {
		return gang.Level{Name: option(d, name, ""), Field: "metadata.annotations[" + name + "]"}
	}
	spec.Required, spec.Preferred = level("required"), level("preferred")
	if size := option(d, "slices", ""); size != "" {
		spec.Slices = gang.Slices{Size: int(number(t, d, size)), Level: level("slice-level"), Field: "metadata.annotations[slices]"}
	}
	if text := option(d, "duration", ""); text != "" {
		spec.Duration = duration(t, d, text)
	}
	spec.Revocable, spec.Queue = d.HasArg("revocable"), option(d, "queue", "")
	if old, ok := w.gangs[k]; ok {
		spec.Created = old.Created
	}
	spec.Floor = int(number(t, d, option(d, "floor", "1")))
	w.gangs[k] = spec
	w.step(core.GroupSeen{Spec: spec})
}

func (w *world) setMember(t *testing.T, d *datadriven.TestData, line string) {
	words := strings.Fields(line)
	p := &pod{}
	if old := w.pods[words[0]]; old != nil {
		p.assumed, p.pinned = old.assumed, old.pinned
	}
	p.Member = gang.Member{UID: words[0], Name: words[0], Role: "Worker"}
	gpus, cpu := int64(1), int64(1000)
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "gang":
			p.Key = key(value)
		case "role":
			p.Member.Role = value
		case "index":
			p.Member.Index = int(number(t, d, value))
		case "gpus":
			gpus = number(t, d, value)
		case "cpu":
			cpu = number(t, d, value)
		case "priority":
			p.Member.Priority = int32(number(t, d, value))
		case "node":
			p.Node, p.Member.Started = value, w.now
		case "patient":
			p.Member.Patient = true
		case "barred":
			p.Barred = "the pod is held back by scheduling gate " + value
		case "apart":
			p.Member.Apart = []string{value}
		case "beyond":
			p.Member.Beyond = value
		default:
			d.Fatalf(t, "no option %q", name)
		}
	}
	p.Member.Requests = cluster.Resources(nil).Set(cluster.CPU, cpu).Set(cluster.Pods, 1).Set(w.gpu, gpus)
	p.Member.Class = fmt.Sprintf("%d gpus, %dm cpu %v %s", gpus, cpu, p.Member.Apart, p.Member.Beyond)
	w.pods[words[0]] = p
	w.step(p.MemberSeen)
}

// restart: what was assumed is lost, what is bound is not.
func (w *world) restart() {
	w.core = w.newCore()
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

var stateNames = map[gang.State]string{
	gang.Waiting: "waiting", gang.Held: "held", gang.Reserved: "reserved", gang.Binding: "binding", gang.Bound: "bound",
}

func (w *world) state() {
	seen := map[gang.Key]bool{}
	show := func(k gang.Key) {
		status, ok := w.core.Status(k)
		if !ok || seen[k] {
			return
		}
		seen[k] = true
		fmt.Fprintf(&w.out, "%s\n", standing(k, status))
		for _, uid := range w.members(k) {
			state, known := w.core.State(uid)
			if !known {
				continue
			}
			fmt.Fprintf(&w.out, "  %s %s", uid, stateNames[state])
			if node, ok := w.core.Pinned(uid); ok {
				fmt.Fprintf(&w.out, " pinned to %s", node)
			} else if node := w.pods[uid].assumed + w.pods[uid].Node; node != "" {
				fmt.Fprintf(&w.out, " on %s", node)
			}
			fmt.Fprintln(&w.out)
		}
	}
	for _, k := range w.keys() {
		show(k)
	}
	for _, uid := range w.members(gang.Key{}) {
		show(w.pods[uid].Key)
	}
	for _, n := range w.view().Nodes {
		if held := w.core.HeldOn(n.Name, ""); len(held) > 0 {
			fmt.Fprintf(&w.out, "%s: %d gpus held\n", n.Name, held.Get(w.gpu))
		}
	}
}

func standing(k gang.Key, s core.Status) string {
	line := fmt.Sprintf("%s %s, floor %d", k, s.Phase, s.Floor)
	if s.Reason.Code != "" {
		line += fmt.Sprintf(" | %s: %s", s.Reason.Code, s.Reason.Message)
	}
	if r := s.Reservation; r != nil {
		var nodes []string
		for _, room := range r.Room {
			nodes = append(nodes, fmt.Sprintf("%s:%d", room.Node, room.Amounts.Get(firstExtended)))
		}
		line += fmt.Sprintf(" | %s on %s until %s", r.Kind, strings.Join(nodes, " "), r.Start.Format(time.TimeOnly))
	}
	return line
}

// firstExtended is the place of the GPUs: the first resource that is no node's own.
const firstExtended = cluster.Pods + 1

func describe(e core.Effect) string {
	list := func(uids []string) string { return strings.Join(uids, " ") }
	switch e := e.(type) {
	case core.Pin:
		return fmt.Sprintf("pin %s to %s", e.UID, e.Node)
	case core.Roam:
		where := "everywhere"
		if e.Nodes != nil {
			where = list(e.Nodes)
		}
		return fmt.Sprintf("let %s roam near %s, allowed is %s", e.UID, e.Near, where)
	case core.Refuse:
		return fmt.Sprintf("refuse %s | %s: %s", e.UID, e.Reason.Code, e.Reason.Message)
	case core.Activate:
		return "activate " + list(e.UIDs)
	case core.Release:
		return "release " + list(e.UIDs)
	case core.GiveBack:
		return fmt.Sprintf("give back %s | %s: %s", list(e.UIDs), e.Reason.Code, e.Reason.Message)
	case core.Evict:
		return fmt.Sprintf("evict %s | %s: %s", list(e.UIDs), e.Reason.Code, e.Reason.Message)
	case core.Report:
		return "report " + standing(e.Key, e.Status)
	}
	return fmt.Sprintf("%T", e)
}

func key(name string) gang.Key {
	if namespace, name, ok := strings.Cut(name, "/"); ok {
		return gang.Key{Namespace: namespace, Name: name}
	}
	return gang.Key{Namespace: "default", Name: name}
}

// positional lists the arguments that are names.
func positional(d *datadriven.TestData) []string {
	var names []string
	for _, arg := range d.CmdArgs {
		if len(arg.Vals) == 0 && arg.Key != "unknown" && arg.Key != "gone" && arg.Key != "revocable" {
			names = append(names, arg.Key)
		}
	}
	return names
}

func option(d *datadriven.TestData, name, otherwise string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == name && len(arg.Vals) > 0 {
			return strings.Join(arg.Vals, ", ")
		}
	}
	return otherwise
}

func duration(t *testing.T, d *datadriven.TestData, text string) time.Duration {
	value, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return value
}

func number(t *testing.T, d *datadriven.TestData, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}
