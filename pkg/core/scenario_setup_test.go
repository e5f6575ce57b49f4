package core_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// How scenarios are written: what the lines of a command say about nodes, pods, gangs
// and queues.

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
		case "queue":
			o.Queue = value
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
	types := map[string]int{}
	typed := func() int {
		types["H"] = w.names.Index("nvidia.com/gpu of type H")
		return types["H"]
	}
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		q := quota.Queue{Name: words[0], Cap: map[int]int64{}}
		for _, word := range words[1:] {
			option, value, _ := strings.Cut(word, "=")
			switch option {
			case "parent":
				q.Parent = value
			case "namespace":
				q.Namespaces = append(q.Namespaces, value)
			case "guaranteed":
				q.Guaranteed = q.Guaranteed.Set(w.gpu, number(t, d, value))
			case "guaranteed-H":
				q.Guaranteed = q.Guaranteed.Set(typed(), number(t, d, value))
			case "cap-H":
				q.Cap[typed()] = number(t, d, value)
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
	w.queues = core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, node string) cluster.Resources {
		if place, spoken := types[w.nodes[node].Labels["model"]]; spoken {
			return amounts.Clone().Set(place, amounts.Get(w.gpu))
		}
		return amounts
	}}
	if len(types) > 0 {
		w.queues.Kind = func(node string) string { return w.nodes[node].Labels["model"] }
	}
	w.step(w.queues)
}

func (w *world) setNodes(t *testing.T, d *datadriven.TestData) {
	w.epoch, w.altered = w.epoch+1, w.altered+1
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		n := cluster.Node{Name: words[0], Labels: map[string]string{"block": "b1"}}
		n.Allocatable = n.Allocatable.Set(cluster.CPU, 64000).Set(cluster.Pods, 110).Set(w.gpu, 8)
		gone, shrunk := false, false
		w.cordoned[n.Name] = false
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "gone":
				gone = true
			case "shrunk":
				shrunk = true
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
		if shrunk {
			w.step(core.NodeShrunk{Name: n.Name})
		}
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
