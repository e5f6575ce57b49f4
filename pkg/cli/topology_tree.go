package cli

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// domainView is one domain, in the names of the JSON output.
type domainView struct {
	Level string `json:"level"`
	// Domain is its path; empty for the cluster.
	Domain string      `json:"domain"`
	Free   json.Number `json:"free"`
	Total  json.Number `json:"total"`
	Nodes  int         `json:"nodes"`
	// Unlabelled domains stand in for a label that a node lacks.
	Unlabelled bool `json:"unlabelled,omitempty"`
	// Cordoned is told of hosts, Holders of hosts and where somebody asks for them.
	Cordoned bool     `json:"cordoned,omitempty"`
	Holders  []holder `json:"holders,omitempty"`
	// Reserved says of hosts for which gangs room is kept there, free or not yet.
	Reserved []holder `json:"reserved,omitempty"`

	depth int
}

// holder is who takes up room, or has it reserved: a gang, or pods without one.
type holder struct {
	// Gang is namespace/name; empty for pods without a gang.
	Gang   string      `json:"gang,omitempty"`
	Pods   int         `json:"pods,omitempty"`
	Amount json.Number `json:"amount"`

	taken int64
}

// domainTree counts one resource in every domain.
type domainTree struct {
	tree        *topology.Tree
	resource    int
	free, total []int64 // by domain
	nodes       []int
	objects     []*corev1.Node
	holders     [][]holder // by node
	reserved    [][]holder // by node
}

func newDomainTree(o *kube.Offline, w *world, resource string) *domainTree {
	tree, nodes := o.Tree(), o.Nodes()
	n := len(tree.Domains)
	t := &domainTree{
		tree: tree, resource: o.Vocabulary().Index(resource), free: make([]int64, n), total: make([]int64, n), nodes: make([]int, n),
		objects: o.Objects(),
	}
	for i := range nodes {
		total, free := nodes[i].Allocatable.Get(t.resource), max(0, nodes[i].Free.Get(t.resource))
		if t.objects[i].Spec.Unschedulable {
			free = 0
		}
		for d := tree.Leaf(i); d >= 0; d = tree.Domains[d].Parent {
			t.free[d], t.total[d] = t.free[d]+free, t.total[d]+total
			t.nodes[d]++
		}
	}
	t.holders, t.reserved = holders(o, w, t.resource), reservers(o, w, t.resource)
	return t
}

// reservers says for whom room is kept on each node.
func reservers(o *kube.Offline, w *world, resource int) [][]holder {
	lists := make([][]holder, len(o.Nodes()))
	for _, key := range slices.SortedFunc(maps.Keys(w.Reserved), func(a, b gang.Key) int { return strings.Compare(a.String(), b.String()) }) {
		for _, room := range w.Reserved[key].Promise(o.Vocabulary()).Room {
			if i, ok := cluster.Find(o.Nodes(), room.Node); ok && room.Amounts.Get(resource) > 0 {
				lists[i] = append(lists[i], holder{Gang: key.String(), Amount: quantity(resource, room.Amounts.Get(resource))})
			}
		}
	}
	return lists
}

// holders says who is on each node, the largest first.
func holders(o *kube.Offline, w *world, resource int) [][]holder {
	byNode := make([]map[gang.Key]*holder, len(o.Nodes()))
	for _, pod := range w.Pods {
		i, ok := cluster.Find(o.Nodes(), pod.Spec.NodeName)
		if !ok || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		key, member := kube.GangOf(pod)
		name := key.String()
		if !member {
			key, name = gang.Key{}, ""
		}
		if byNode[i] == nil {
			byNode[i] = map[gang.Key]*holder{}
		}
		if byNode[i][key] == nil {
			byNode[i][key] = &holder{Gang: name}
		}
		byNode[i][key].Pods++
		byNode[i][key].taken += kube.Occupied(pod, o.Vocabulary()).Get(resource)
	}
	lists := make([][]holder, len(byNode))
	for i, found := range byNode {
		lists[i] = largestFirst(found, resource)
	}
	return lists
}

func largestFirst(found map[gang.Key]*holder, resource int) []holder {
	list := []holder{}
	for _, h := range found {
		h.Amount = quantity(resource, h.taken)
		list = append(list, *h)
	}
	slices.SortFunc(list, func(a, b holder) int {
		if a.taken != b.taken {
			return cmp.Compare(b.taken, a.taken)
		}
		return strings.Compare(a.Gang, b.Gang)
	})
	return list
}

// in sums up who is in a domain.
func (t *domainTree) in(d int) []holder {
	sums := map[gang.Key]*holder{}
	var visit func(d int)
	visit = func(d int) {
		if node := t.tree.Domains[d].Node; node >= 0 {
			for _, h := range t.holders[node] {
				key := gang.Key{Name: h.Gang}
				if sums[key] == nil {
					sums[key] = &holder{Gang: h.Gang}
				}
				sums[key].Pods += h.Pods
				sums[key].taken += h.taken
			}
		}
		for _, child := range t.tree.Domains[d].Children {
			visit(child)
		}
	}
	visit(d)
	return largestFirst(sums, t.resource)
}

// roomiest lists a few domains of the narrowest level above hosts, those with the most
// free first.
func (t *domainTree) roomiest(few int) []domainView {
	level := max(1, t.tree.Hosts()-1)
	domains := slices.Clone(t.tree.AtLevel(level))
	slices.SortStableFunc(domains, func(a, b int) int { return cmp.Compare(t.free[b], t.free[a]) })
	views := []domainView{}
	for _, d := range domains[:min(len(domains), few)] {
		view := t.view(d)
		view.Holders = t.in(d)
		views = append(views, view)
	}
	return views
}

func (t *domainTree) view(d int) domainView {
	domain := t.tree.Domains[d]
	view := domainView{
		Level: t.tree.LevelName(domain.Level), Domain: domain.Path, Unlabelled: !domain.Known, Nodes: t.nodes[d],
		Free: quantity(t.resource, t.free[d]), Total: quantity(t.resource, t.total[d]), depth: domain.Level,
	}
	if domain.Node >= 0 {
		view.Cordoned, view.Holders = t.objects[domain.Node].Spec.Unschedulable, t.holders[domain.Node]
		view.Reserved = t.reserved[domain.Node]
	}
	return view
}

// list returns the domains down to a level, depth first.
func (t *domainTree) list(deepest int) []domainView {
	var domains []domainView
	var visit func(d int)
	visit = func(d int) {
		domains = append(domains, t.view(d))
		domain := t.tree.Domains[d]
		if domain.Level < deepest {
			for _, child := range domain.Children {
				visit(child)
			}
		}
	}
	visit(0)
	return domains
}
