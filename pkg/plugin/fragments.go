package plugin

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// mixAfter is the number of changed nodes after which the mix of pods that the cluster
// runs is counted anew: it changes slowly, and counting looks at every pod.
const mixAfter = 256

// mix is the typical pods with GPUs, by what runs now; nil where none does.
func (m *mirror) mix() *placement.Mix {
	if m.typical != nil && m.changes < mixAfter {
		return m.typical
	}
	m.changes = 0
	counts := map[placement.GPUShape]int{}
	for _, info := range m.infos {
		for _, pod := range info.GetPods() {
			r := pod.CalculateResource().Resource
			for name, amount := range r.GetScalarResources() {
				if shape, ok := shapeOf(m.vocabulary.Index(string(name)), r.GetMilliCPU(), amount); ok {
					counts[shape]++
				}
			}
		}
	}
	m.typical = nil
	if len(counts) > 0 {
		m.typical = placement.NewMix(counts)
	}
	return m.typical
}

// maxGPUs is the most that a node is taken to have; more of a resource is no count of
// devices.
const maxGPUs = 64

// shapeOf is a pod in the terms of a mix. Resources are told apart as models are.
func shapeOf(resource int, cpu, amount int64) (placement.GPUShape, bool) {
	if amount <= 0 || amount > maxGPUs {
		return placement.GPUShape{}, false
	}
	return placement.GPUShape{CPU: cpu, GPUs: int(amount), Milli: wholeGPU, Models: 1 << (resource % 64)}, true
}

const wholeGPU = 1000 // thousandths

// whole are free devices, as many as any node has.
var whole = func() []int64 {
	list := make([]int64, maxGPUs)
	for i := range list {
		list[i] = wholeGPU
	}
	return list
}()

// fragments rates from 0 to 100 what the pod does to what is of use on a node.
func (p *packing) fragments(node int) int {
	free := p.mirror.nodes[node].Free
	state := func(r cluster.Resources) placement.GPUState {
		n := min(max(0, r.Get(p.resource)), maxGPUs)
		return placement.GPUState{CPU: r.Get(cluster.CPU), Milli: whole[:n], Model: 1 << (p.resource % 64)}
	}
	before := p.mix.Fragments(state(free))
	after := state(free)
	after.CPU -= p.requests.Get(cluster.CPU)
	after.Milli = whole[:max(0, len(after.Milli)-int(min(p.requests.Get(p.resource), maxGPUs)))]
	return p.mix.Score(before, p.mix.Fragments(after))
}
