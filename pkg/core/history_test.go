package core_test

import (
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/queue"
	"lockstep.dev/lockstep/pkg/quota"
)

// What a queue had for a day counts against it after a restart, too, where it is told
// what was written down; without that both start anew.
func TestSharesOutliveRestart(t *testing.T) {
	tree, faults := quota.New([]quota.Queue{{Name: "heavy"}, {Name: "light"}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	w := newWorld()
	w.queues = core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }}
	w.step(w.queues)
	gpus := func(n int64) cluster.Resources { return cluster.Resources(nil).Set(cluster.Pods, 1).Set(w.gpu, n) }
	w.nodes["n"] = cluster.Node{Name: "n", Allocatable: gpus(8)}
	gangIn := func(name, queue string) {
		w.gangs[key(name)] = gang.Spec{Key: key(name), UID: name, Floor: 1, Queue: queue, Created: w.now}
		w.step(core.GroupSeen{Spec: w.gangs[key(name)]})
		p := &pod{MemberSeen: core.MemberSeen{Key: key(name), Member: gang.Member{UID: name, Name: name, Requests: gpus(8)}}}
		w.pods[name] = p
		w.step(p.MemberSeen)
	}
	place := func(name string) bool {
		if !w.attempt(name) {
			return false
		}
		w.reserve(name)
		w.step(core.Permit{UID: name})
		p := w.pods[name]
		p.Node, p.assumed, p.Member.Started = p.assumed, "", w.now
		w.step(p.MemberSeen)
		return true
	}
	gangIn("h0", "heavy")
	if !place("h0") {
		t.Fatal(w.out.String())
	}
	for range 24 {
		w.now = w.now.Add(time.Hour)
		w.step(core.Tick{})
	}
	delete(w.pods, "h0")
	w.epoch++
	w.step(core.MemberGone{Key: key("h0"), UID: "h0"})
	gangIn("h1", "heavy")
	gangIn("l1", "light")
	written := map[string]int64{"heavy": w.core.Late().Billionths("heavy"), "light": w.core.Late().Billionths("light")}
	first := func() string {
		w.attempt("full") // somebody is tried, and all is weighed
		h, _ := w.core.QueueKey("h1")
		l, _ := w.core.QueueKey("l1")
		switch {
		case l.Turn < h.Turn:
			return "light"
		case h.Turn < l.Turn:
			return "heavy"
		}
		return "nobody"
	}
	gangIn("full", "")
	w.pods["full"].Member.Requests = gpus(9)
	w.step(w.pods["full"].MemberSeen)
	if got := first(); got != "light" {
		t.Errorf("%s comes first, want light; late is %v", got, written)
	}
	at := w.core.Late().At
	w.restart()
	if got := first(); got != "nobody" {
		t.Errorf("%s comes first for a core that knows of nothing", got)
	}
	w.restartWith(core.HistorySeen{Late: quota.Remembered(at, written)})
	if got := first(); got != "light" {
		t.Errorf("%s comes first after a restart, want light", got)
	}
	before := w.core.Late().Billionths("heavy")
	w.step(core.HistorySeen{})
	if w.core.Late().Billionths("heavy") != before {
		t.Error("a core that acts has taken over what was written")
	}
}

// Whose turn it is is known before anybody was tried, from what runs in the cluster.
func TestFirstOrderIsByTurn(t *testing.T) {
	tree, _ := quota.New([]quota.Queue{{Name: "heavy"}, {Name: "light"}})
	w := newWorld()
	w.queues = core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }}
	w.step(w.queues)
	gpus := cluster.Resources(nil).Set(w.gpu, 4)
	w.nodes["n"] = cluster.Node{Name: "n", Allocatable: gpus.Clone().Add(gpus)}
	for i, name := range []string{"runs", "heavy", "light"} { // the older first
		in := []string{"heavy", "heavy", "light"}[i]
		w.step(core.GroupSeen{Spec: gang.Spec{Key: key(name), UID: name, Floor: 1, Queue: in, Created: w.now.Add(time.Duration(i) * time.Hour)}})
		w.step(core.MemberSeen{Key: key(name), Member: gang.Member{UID: name, Name: name, Requests: gpus}, Node: []string{"n", "", ""}[i]})
	}
	first := func() string {
		heavy, _ := w.core.QueueKey("heavy")
		light, _ := w.core.QueueKey("light")
		if queue.Less(heavy, light) {
			return "heavy"
		}
		return "light"
	}
	if got := first(); got != "heavy" {
		t.Errorf("%s comes first while nobody has seen the cluster, want the older", got)
	}
	w.step(core.ClusterSeen{View: w.view()})
	if got := first(); got != "light" {
		t.Errorf("%s comes first, want the queue that holds nothing", got)
	}
}
