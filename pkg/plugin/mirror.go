package plugin

import (
	"maps"
	"slices"
	"sort"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// mirror is the planner's view of the scheduler's snapshot. Only nodes whose
// generation has changed are translated again.
type mirror struct {
	vocabulary  *cluster.Vocabulary
	levels      []topology.Level // as configured; empty: found from labels
	nodes       []cluster.Node   // by name
	objects     []*v1.Node
	infos       []fwk.NodeInfo // of the last snapshot
	generations []int64
	moved       []string // names of nodes that have changed since they were last taken
	places      map[string]int
	order       []int // by the place in the snapshot's list: the place here
	typical     *placement.Mix
	changes     int // nodes translated since typical was counted
	tree        *topology.Tree
	index       *placement.Index
	// epoch changes with everything that could make a gang fit, attributes with
	// what decides which nodes may run a class.
	epoch, attributes uint64
	admissions        map[string]*admissions
}

// admissions caches which nodes may run the pods of one class.
type admissions struct {
	attributes uint64
	admits     []bool
	ports      []v1.ContainerPort // that the pods want; what is in use changes with every pod
	model      string             // of GPU that they ask for, in the terms of the queues
	quota      *kube.Quota        // these are; nil where nobody has asked
}

// maxAdmissions bounds the cache; a class not seen for that long is asked again.
const maxAdmissions = 256

func newMirror(vocabulary *cluster.Vocabulary, levels []topology.Level) *mirror {
	return &mirror{vocabulary: vocabulary, levels: levels, admissions: map[string]*admissions{}}
}

// update brings the mirror in line with the snapshot.
func (m *mirror) update(infos []fwk.NodeInfo) {
	if !m.align(infos) {
		m.rebuild(infos)
		return
	}
	relabelled := false
	for at, info := range infos {
		i := m.order[at]
		if m.generations[i] == info.GetGeneration() {
			continue
		}
		before, object := m.nodes[i], m.objects[i]
		m.set(i, info)
		m.index.Update(i, m.nodes[i])
		if node := info.Node(); node != object && attributesDiffer(object, node) {
			m.attributes++
			m.epoch++
			m.index.Reopen()
			relabelled = relabelled || !maps.Equal(object.Labels, node.Labels)
		} else if roomier(before.Free, m.nodes[i].Free) {
			m.epoch++
		}
	}
	if relabelled {
		m.arrange()
	}
}

// align finds the places of the nodes in the snapshot's list, which stands still most
// of the time; false where other nodes are there.
func (m *mirror) align(infos []fwk.NodeInfo) bool {
	if len(infos) != len(m.nodes) {
		return false
	}
	for at, info := range infos {
		name := info.Node().Name
		if m.nodes[m.order[at]].Name == name {
			continue
		}
		place, known := m.places[name]
		if !known {
			return false
		}
		m.order[at] = place
	}
	return true
}

func (m *mirror) rebuild(infos []fwk.NodeInfo) {
	infos = slices.Clone(infos)
	sort.Slice(infos, func(i, j int) bool { return infos[i].Node().Name < infos[j].Node().Name })
	n := len(infos)
	m.nodes, m.objects, m.generations = make([]cluster.Node, n), make([]*v1.Node, n), make([]int64, n)
	m.infos, m.order = make([]fwk.NodeInfo, n), make([]int, n)
	m.places = make(map[string]int, n)
	for i, info := range infos {
		m.set(i, info)
		m.places[info.Node().Name] = i
	}
	m.arrange()
	m.epoch++
	m.attributes++
}

// arrange makes the tree and the index anew: nodes came, went or moved. Without
// configured levels they are those that the nodes' labels show now.
func (m *mirror) arrange() {
	levels := topology.InUse(m.levels, m.nodes)
	if len(m.levels) == 0 {
		levels, _ = topology.Discover(m.nodes)
	}
	m.tree = topology.Build(levels, m.nodes)
	m.index = placement.NewIndex(m.nodes, m.tree)
}

// set translates one node. Free is what the scheduler has not given to any pod,
// assumed ones included.
func (m *mirror) set(i int, info fwk.NodeInfo) {
	node := kube.Node(info.Node(), m.vocabulary)
	node.Free = node.Free.Sub(m.requested(info)).Sub(cluster.Resources(nil).Set(cluster.Pods, int64(len(info.GetPods()))))
	m.nodes[i], m.objects[i], m.generations[i], m.infos[i] = node, info.Node(), info.GetGeneration(), info
	m.changes++
	m.moved = append(m.moved, node.Name)
}

// takeMoved returns the nodes that have changed since it was last called, some of them more than
// once. The result is overwritten by the next update.
func (m *mirror) takeMoved() []string {
	moved := m.moved
	m.moved = m.moved[:0]
	return moved
}

func (m *mirror) requested(info fwk.NodeInfo) cluster.Resources {
	r := info.GetRequested()
	out := cluster.Resources{cluster.CPU: r.GetMilliCPU(), cluster.Memory: r.GetMemory(), cluster.EphemeralStorage: r.GetEphemeralStorage()}
	for _, name := range slices.Sorted(maps.Keys(r.GetScalarResources())) {
		out = out.Set(m.vocabulary.Index(string(name)), r.GetScalarResources()[name])
	}
	return out
}

func attributesDiffer(a, b *v1.Node) bool {
	return a.Spec.Unschedulable != b.Spec.Unschedulable || !maps.Equal(a.Labels, b.Labels) ||
		!equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints)
}

// roomier reports whether some resource has become more.
func roomier(before, after cluster.Resources) bool {
	for i := range after {
		if after[i] > before.Get(i) {
			return true
		}
	}
	return false
}

// view is what the core plans with. pods finds a pod of a class.
func (m *mirror) view(podOf func(class string) *v1.Pod) core.View {
	return core.View{
		Nodes: m.nodes, Tree: m.tree, Index: m.index, Epoch: m.epoch, Attributes: m.attributes,
		Eligible: func(class string, node int) bool {
			a := m.admitted(class, podOf)
			return a.admits[node] && !m.portsTaken(a, node)
		},
		PortsTaken: func(class string, node int) bool {
			a := m.admitted(class, podOf)
			return a.admits[node] && m.portsTaken(a, node)
		},
	}
}

func (m *mirror) portsTaken(a *admissions, node int) bool {
	return len(a.ports) > 0 && !kube.PortsFree(a.ports, m.infos[node].GetUsedPorts())
}

func (m *mirror) admitted(class string, podOf func(class string) *v1.Pod) *admissions {
	if a := m.admissions[class]; a != nil && a.attributes == m.attributes {
		return a
	}
	if len(m.admissions) >= maxAdmissions {
		clear(m.admissions)
	}
	a := &admissions{attributes: m.attributes, admits: make([]bool, len(m.nodes))}
	if pod := podOf(class); pod != nil {
		admission := kube.NewAdmission(pod)
		a.ports = kube.HostPorts(pod)
		for i := range m.objects {
			a.admits[i] = admission.Admits(m.objects[i])
		}
	}
	m.admissions[class] = a
	return a
}

// model is the type of GPU that a class asks for.
func (m *mirror) model(class string, podOf func(class string) *v1.Pod, quota *kube.Quota) string {
	pod := podOf(class)
	if pod == nil {
		return ""
	}
	a := m.admitted(class, podOf)
	if a.quota != quota {
		a.model = quota.ModelFor(pod, m.nodes, m.objects, func(node int) bool { return a.admits[node] })
		a.quota = quota
	}
	return a.model
}
