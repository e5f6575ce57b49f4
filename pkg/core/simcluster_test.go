package core_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// The simulated API: what exists, told to the scheduler by one watch for each
// kind. A watch is late and in order; between watches there is no order.

type simPod struct {
	uid      string
	key      gang.Key
	member   gang.Member
	node     string
	barred   string
	deleting bool
	finished bool
	alien    bool   // of no gang; it only takes room
	firm     bool   // of another scheduler, so it is nobody's victim
	model    string // the type of GPU that it asks for; empty for any
	// disrupted is why Lockstep has evicted it.
	disrupted core.Reason
}

type simNode struct {
	cluster.Node
	cordoned bool
}

// job is a controller's wish: a pod group and that many pods.
type job struct {
	key      gang.Key
	spec     gang.Spec
	pods     int
	requests []cluster.Resources // of the Master, of the Workers
	priority int32
	ended    bool
	apart    []string // groups that all of its pods are in
	beyond   string
	model    string // the type of GPU that its pods ask for; empty for any
}

type watch int

const (
	podWatch watch = iota
	finishedWatch
	nodeWatch
	groupWatch
	queueWatch // where there are queues
	watches
)

// watches is how many watches there are.
func (s *sim) watches() watch {
	if s.divided {
		return watches
	}
	return queueWatch
}

// notice is one event on its way to the scheduler.
type notice struct {
	at   time.Time
	tell func()
}

type api struct {
	nodes   map[string]simNode
	groups  map[gang.Key]gang.Spec
	pods    map[string]simPod
	jobs    []*job
	pipes   [watches][]notice
	created int
	told    map[gang.Key]core.Status // what the groups' statuses say
	queues  map[string]simQueue
	late    quota.History // as the queues' statuses say
}

func (s *sim) send(w watch, tell func()) {
	s.api.pipes[w] = append(s.api.pipes[w], notice{s.now, tell})
}

func (s *sim) deliver(w watch) {
	n := s.api.pipes[w][0]
	s.api.pipes[w] = s.api.pipes[w][1:]
	n.tell()
}

// deliverAll delivers what was sent before the given time.
func (s *sim) deliverAll(before time.Time) {
	for w := range watches {
		for len(s.api.pipes[w]) > 0 && s.api.pipes[w][0].at.Before(before) {
			s.deliver(w)
		}
	}
}

func (s *sim) putPod(p simPod) { s.writePod(p, "somebody") }

func (s *sim) writePod(p simPod, by string) {
	if p.node != "" && p.member.Started.IsZero() {
		p.member.Started = s.now
	}
	s.api.pods[p.uid] = p
	s.tellPod(p, by, false)
	s.send(podWatch, func() { s.podSeen(p) })
}

func (s *sim) removePod(uid string) {
	p := s.api.pods[uid]
	delete(s.api.pods, uid)
	s.tellPod(p, "", true)
	if p.finished {
		s.send(finishedWatch, func() { s.finishedForgotten(p) })
		return
	}
	s.send(podWatch, func() { s.podGone(p) })
}

// finishPod: the scheduler's watch shows a deletion, the watch of finished pods an addition.
func (s *sim) finishPod(uid string) {
	p := s.api.pods[uid]
	s.send(podWatch, func() { s.podGone(p) })
	p.finished, p.node = true, ""
	s.api.pods[uid] = p
	s.tellPod(p, "", false)
	s.send(finishedWatch, func() { s.finishedSeen(p) })
}

func (s *sim) putNode(n simNode) {
	s.api.nodes[n.Name] = n
	s.tellNode(n, false)
	s.send(nodeWatch, func() { s.nodeSeen(n) })
}

func (s *sim) removeNode(name string) {
	s.tellNode(s.api.nodes[name], true)
	delete(s.api.nodes, name)
	s.send(nodeWatch, func() { s.nodeGone(name) })
	for _, uid := range sorted(s.api.pods) { // pods of a node that is gone are collected
		if s.api.pods[uid].node == name {
			s.removePod(uid)
		}
	}
}

func (s *sim) putGroup(spec gang.Spec) {
	s.api.groups[spec.Key] = spec
	s.tellGroup(spec, false)
	s.sendGroup(spec)
}

func (s *sim) sendGroup(spec gang.Spec) {
	promise := s.api.told[spec.Key].Reservation // as the group's status says
	s.send(groupWatch, func() { s.groupSeen(spec, promise) })
}

func (s *sim) removeGroup(k gang.Key) {
	s.tellGroup(s.api.groups[k], true)
	delete(s.api.groups, k)
	delete(s.api.told, k)
	s.send(groupWatch, func() { s.groupGone(k) })
}

// commit is what the apiserver does with a binding.
func (s *sim) commit(uid, node string) error {
	p, ok := s.api.pods[uid]
	switch {
	case ok && p.node == node: // the shell reads again, and finds its own earlier bind
		return nil
	case !ok || p.deleting || p.finished:
		return fmt.Errorf("the pod was deleted")
	case p.node != "":
		return fmt.Errorf("somebody else has bound the pod to %s", p.node)
	}
	p.node = node
	s.writePod(p, s.identity())
	if s.calm {
		s.mustFit(node)
	}
	return nil
}

// used is what is taken of a node.
func (s *sim) used(node string) cluster.Resources {
	var used cluster.Resources
	for _, p := range s.api.pods {
		if p.node == node {
			used = used.Add(p.member.Requests)
		}
	}
	return used
}

// hasRoom: the pod fits on its node, as things are.
func (s *sim) hasRoom(p simPod) bool {
	return s.used(p.node).Add(p.member.Requests).Fits(s.api.nodes[p.node].Allocatable)
}

// mustFit: nobody but Lockstep binds, and no node shrinks, so no node is over-committed.
func (s *sim) mustFit(node string) {
	n, ok := s.api.nodes[node]
	if !ok {
		return
	}
	if used := s.used(node); !used.Fits(n.Allocatable) {
		s.assert("S2: %s has %v bound and offers %v", node, used, n.Allocatable)
	}
}

// controller brings one job nearer to what it should be; false when nothing is to be done.
func (s *sim) control(j *job) bool {
	if j.ended {
		for _, uid := range sorted(s.api.pods) {
			if s.api.pods[uid].key == j.key {
				s.removePod(uid)
				return true
			}
		}
		if _, ok := s.api.groups[j.key]; ok {
			s.removeGroup(j.key)
			return true
		}
		return false
	}
	if spec, ok := s.api.groups[j.key]; !ok || spec != j.spec {
		if !ok {
			s.api.created++
			s.gangs++
			j.spec.UID = fmt.Sprint("group-", s.api.created)
		}
		s.putGroup(j.spec)
		return true
	}
	there := map[int]bool{}
	for _, uid := range sorted(s.api.pods) {
		p := s.api.pods[uid]
		if p.key != j.key || p.alien {
			continue
		}
		if there[p.member.Index] || p.member.Index >= j.pods {
			s.removePod(uid)
			return true
		}
		there[p.member.Index] = true
	}
	for i := range j.pods {
		if !there[i] {
			s.createPod(j, i)
			return true
		}
	}
	return false
}

func (s *sim) createPod(j *job, index int) {
	s.api.created++
	name := fmt.Sprintf("%s-%d", j.key.Name, index)
	p := simPod{uid: fmt.Sprintf("%s.%d", name, s.api.created), key: j.key, model: j.model}
	requests := j.requests[min(index, 1)]
	p.member = gang.Member{UID: p.uid, Name: name, Role: "Worker", Index: index, Requests: requests, Class: classOf(requests, j.apart, j.model), Priority: j.priority,
		Apart: j.apart, Beyond: j.beyond}
	if index == 0 {
		p.member.Role = "Master"
	}
	if s.fault(60) {
		p.member.Priority++ // not that of its gang
	}
	s.putPod(p)
}

// classOf is equal for members that ask for the same.
func classOf(requests cluster.Resources, apart []string, model string) string {
	class := fmt.Sprint(requests) + strings.Join(apart, ",")
	if model != "" {
		class += ofType + model
	}
	return class
}

// disturb is everything that can happen to a cluster.
func (s *sim) disturb() {
	r := s.rand
	if r.IntN(12) == 0 {
		s.breakWatch(watch(r.IntN(int(s.watches()))))
		return
	}
	j := s.api.jobs[r.IntN(len(s.api.jobs))]
	uid, p := s.somePod()
	node := s.someNode()
	kinds := 18
	if s.calm {
		kinds = 12 // without what makes over-commitment legitimate
	}
	switch r.IntN(kinds) {
	case 0, 1:
		if uid != "" {
			s.removePod(uid)
		}
	case 2:
		if uid != "" && !p.finished {
			p.deleting = true
			s.putPod(p)
		}
	case 3:
		if p.node != "" && !p.deleting && !p.alien {
			s.finishPod(uid)
		}
	case 4:
		if n, ok := s.api.nodes[node]; ok {
			n.cordoned = !n.cordoned
			s.putNode(n)
		}
	case 5:
		s.restart()
	case 6:
		j.spec.Floor = 1 + r.IntN(j.pods)
	case 7:
		j.spec.Required.Name = pick(r, "", "", "rack", "host", "nowhere")
		j.spec.Slices = gang.Slices{}
		if size := r.IntN(5) - 1; size > 0 {
			j.spec.Slices = gang.Slices{Size: size, Level: gang.Level{Name: pick(r, "rack", "host", "nowhere")}}
		}
	case 8:
		if _, ok := s.api.groups[j.key]; ok {
			s.removeGroup(j.key)
		}
	case 9:
		if uid != "" && p.node == "" && !p.finished {
			p.barred = pick(r, "", "the pod is held back by a scheduling gate")
			s.putPod(p)
		}
	case 10:
		if r.IntN(3) == 0 {
			j.ended = !j.ended
		} else {
			j.pods = max(j.spec.Floor, 1+r.IntN(5))
		}
	case 11:
		if uid != "" && !p.finished && p.node == "" {
			if j.key.Namespace == p.key.Namespace {
				p.key = j.key
				s.putPod(p)
			}
		}
	case 12: // foreign bind
		if uid != "" && p.node == "" && node != "" && !p.finished && !p.deleting {
			p.node = node
			s.putPod(p)
		}
	case 13:
		s.api.created++
		if node != "" {
			a := simPod{uid: fmt.Sprint("alien.", s.api.created), node: node, alien: true, firm: r.IntN(2) == 0}
			a.member.Requests, a.member.Priority = s.requests(1+int64(r.IntN(2)), 1), int32(r.IntN(3))
			if s.hasRoom(a) || r.IntN(3) == 0 { // it may have an old picture, too
				s.putPod(a)
			}
		}
	case 14:
		if node != "" && len(s.api.nodes) > 1 {
			s.removeNode(node)
		}
	case 15:
		n := s.newNode(fmt.Sprint("n", r.IntN(7)))
		s.putNode(n)
	case 16:
		if uid != "" && p.node == "" && !p.finished && !p.alien {
			p.member.Requests = s.requests(int64(r.IntN(4)), 1)
			p.member.Class = classOf(p.member.Requests, p.member.Apart, p.model)
			s.putPod(p)
		}
	case 17: // resized in place
		if p.node != "" && !p.finished {
			p.member.Requests = s.requests(int64(r.IntN(4)), 1)
			p.member.Class = classOf(p.member.Requests, p.member.Apart, p.model)
			s.putPod(p)
		}
	}
}

// appease ends what would keep gangs from being placed for ever by itself.
func (s *sim) appease() {
	for _, uid := range sorted(s.api.pods) {
		p := s.api.pods[uid]
		j := s.jobOf(p.key)
		switch {
		case p.deleting, p.alien && s.rand.IntN(2) == 0, p.node != "" && s.api.nodes[p.node].Name == "": // pods of lost nodes are collected
			s.removePod(uid)
		case p.barred != "" && p.node == "":
			p.barred = ""
			s.putPod(p)
		case j != nil && p.member.Priority != j.priority:
			s.removePod(uid)
		}
	}
}

func (s *sim) jobOf(k gang.Key) *job {
	for _, j := range s.api.jobs {
		if j.key == k {
			return j
		}
	}
	return nil
}

func (s *sim) somePod() (string, simPod) {
	uids := sorted(s.api.pods)
	if len(uids) == 0 {
		return "", simPod{}
	}
	uid := uids[s.rand.IntN(len(uids))]
	return uid, s.api.pods[uid]
}

func (s *sim) someNode() string {
	names := sorted(s.api.nodes)
	if len(names) == 0 {
		return ""
	}
	return names[s.rand.IntN(len(names))]
}

func (s *sim) newNode(name string) simNode {
	n := simNode{Node: cluster.Node{Name: name, Allocatable: s.requests(int64(1+s.rand.IntN(4)), 6)}}
	n.Labels = map[string]string{"rack": fmt.Sprint("r", s.rand.IntN(3))}
	return n
}

// requests of one pod, or what a node offers: some GPUs and a number of pods.
func (s *sim) requests(gpus, pods int64) cluster.Resources {
	return cluster.Resources(nil).Set(cluster.Pods, pods).Set(s.gpu, gpus)
}

func (s *sim) newJob(i int) *job {
	r := s.rand
	j := &job{key: gang.Key{Namespace: pick(r, "a", "b"), Name: fmt.Sprint("job", i)}, pods: 1 + r.IntN(5), priority: int32(r.IntN(3))}
	j.spec = gang.Spec{Key: j.key, Floor: 1 + r.IntN(j.pods), Required: gang.Level{Name: pick(r, "", "", "", "rack", "host")},
		Created: s.now.Add(time.Duration(r.IntN(3)) * time.Second)}
	j.requests = []cluster.Resources{s.requests(int64(r.IntN(3)), 1), s.requests(int64(1+r.IntN(2)), 1)}
	switch r.IntN(6) {
	case 0:
		j.apart = []string{"host port 80"}
	case 1:
		j.beyond = "spec.topologySpreadConstraints"
	}
	if r.IntN(4) == 0 {
		j.spec.Duration = time.Duration(1+r.IntN(5)) * time.Minute
	}
	j.spec.Revocable = r.IntN(6) == 0
	if i == 1 && r.IntN(4) == 0 { // equal names in two namespaces
		j.key = gang.Key{Namespace: "c", Name: "job0"}
		j.spec.Key = j.key
	}
	s.enrol(j)
	return j
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
