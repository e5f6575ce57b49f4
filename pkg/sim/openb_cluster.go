package sim

import (
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/placement"
)

// openbCluster is the state of the nodes while pods are placed.
type openbCluster struct {
	nodes []openbState // by name
	milli int64        // GPU of all nodes, thousandths
	used  int64
}

// openbState is one node.
type openbState struct {
	placement.GPUState        // free; GPUs stand in ascending order of what is free
	memory             int64  // free, MiB
	left               int64  // sum of Milli
	gpus               int64  // number
	kinds              uint64 // a bit for each kind of pod that it holds, see kindOf
	memo               *openbMemo
}

func newOpenbCluster(t *OpenbTrace) *openbCluster {
	c := &openbCluster{}
	sorted := slices.Clone(t.Nodes)
	slices.SortStableFunc(sorted, func(a, b OpenbNode) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range sorted {
		s := openbState{memory: n.MemoryMiB, left: 1000 * int64(n.GPUs), gpus: int64(n.GPUs)}
		s.GPUState = placement.GPUState{
			CPU: n.CPU, Model: t.models[n.Model], Milli: slices.Repeat([]int64{1000}, n.GPUs),
		}
		c.milli += s.left
		c.nodes = append(c.nodes, s)
	}
	return c
}

// runs reports whether the pod can start on the node.
func (n *openbState) runs(p *OpenbPod) bool {
	if p.Shape.CPU > n.CPU || p.MemoryMiB > n.memory || p.Milli() > n.left {
		return false
	}
	return p.Shape.GPUs == 0 || p.Shape.Runs(n.GPUState)
}

// tightest is the place of the fullest GPU that can be shared by the pod.
func (n *openbState) tightest(p *OpenbPod) int { return n.firstWith(p.Shape.Milli) }

// firstWith is the place from which on GPUs have so much free.
func (n *openbState) firstWith(milli int64) int {
	for gpu, free := range n.Milli {
		if free >= milli {
			return gpu
		}
	}
	return len(n.Milli)
}

// place books the pod on a node; a pod that shares takes the GPU at the given place.
func (c *openbCluster) place(node int, p *OpenbPod, gpu int) {
	n := &c.nodes[node]
	n.CPU -= p.Shape.CPU
	n.memory -= p.MemoryMiB
	n.Milli = slices.Clone(n.Milli)
	take(n.Milli, p.Shape, gpu)
	n.left -= p.Milli()
	c.used += p.Milli()
	n.kinds |= kindOf(p)
	n.memo = nil
}

// take subtracts a pod from the free GPUs and keeps them in ascending order.
func take(milli []int64, shape placement.GPUShape, gpu int) {
	if shape.GPUs == 1 && shape.Milli < 1000 {
		milli[gpu] -= shape.Milli
		for ; gpu > 0 && milli[gpu-1] > milli[gpu]; gpu-- {
			milli[gpu-1], milli[gpu] = milli[gpu], milli[gpu-1]
		}
		return
	}
	// Whole GPUs are at the end; what is taken of them goes to the front.
	n := len(milli)
	for i := n - shape.GPUs; i < n; i++ {
		milli[i] -= shape.Milli
	}
	slices.Sort(milli)
}

// kindOf is a bit for the number of GPUs a pod asks for; sharing is a kind of its
// own, and pods without GPU are of none.
func kindOf(p *OpenbPod) uint64 {
	switch {
	case p.Shape.GPUs == 0:
		return 0
	case p.Shape.Milli < 1000:
		return 1
	}
	return 1 << p.Shape.GPUs
}
