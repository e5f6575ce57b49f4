package placement

import (
	"cmp"
	"math"
	"slices"
)

// GPUShape is what a pod asks of a node's GPUs, and CPU beside them.
type GPUShape struct {
	CPU    int64  // millicores
	GPUs   int    // number of GPUs; 0 for a pod without
	Milli  int64  // thousandths of each GPU; below 1000 only with one GPU, which is then shared
	Models uint64 // a bit for each GPU model that will do; 0 for any
}

// GPUState is what is free on a node.
type GPUState struct {
	CPU   int64   // millicores
	Milli []int64 // thousandths free, by GPU
	Model uint64  // the bit of its GPU model
}

// Runs reports whether a pod of the shape can start on the node.
func (s GPUShape) Runs(n GPUState) bool {
	if s.CPU > n.CPU || s.GPUs > 0 && s.Models != 0 && s.Models&n.Model == 0 {
		return false
	}
	able := 0
	for _, free := range n.Milli {
		if free >= s.Milli {
			able++
		}
	}
	return s.GPUs == 0 || able >= s.GPUs
}

// Mix is the pods that a cluster typically runs. What is free on a node but of no
// use to them is a fragment: fragmentation gradient descent (FGD) places a pod
// where fragments grow the least. Source: Weng, Yang et al., Beware of
// Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
// Descent, USENIX ATC 2023, §4. All arithmetic is on integers, so every machine
// decides the same.
type Mix struct {
	shapes  []GPUShape
	weights []int64 // pods counted
	total   int64
	steps   [99]int64 // growth of fragments, times total, at which the score falls by one
}

// NewMix makes a mix of counted shapes: the most frequent ones that together are
// 95 % of all pods.
func NewMix(counts map[GPUShape]int) *Mix {
	shapes := make([]GPUShape, 0, len(counts))
	all := 0
	for shape, n := range counts {
		shapes = append(shapes, shape)
		all += n
	}
	slices.SortFunc(shapes, func(a, b GPUShape) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.GPUs, b.GPUs), cmp.Compare(a.Milli, b.Milli),
			cmp.Compare(a.CPU, b.CPU), cmp.Compare(a.Models, b.Models))
	})
	m := &Mix{}
	for _, shape := range shapes {
		if m.total*100 >= int64(all)*95 {
			break
		}
		m.shapes, m.weights = append(m.shapes, shape), append(m.weights, int64(counts[shape]))
		m.total += int64(counts[shape])
	}
	for i := range m.steps {
		share := float64(i+1) / 100
		m.steps[i] = int64(math.Ceil(1000 * float64(m.total) * math.Log(share/(1-share))))
	}
	return m
}

// Len is the number of shapes in the mix.
func (m *Mix) Len() int { return len(m.shapes) }

// Total is the number of pods counted in the mix: what Fragments has to be divided by.
func (m *Mix) Total() int64 { return m.total }

// Fragments is what is free on a node and of no use to a pod of the mix, in
// thousandths of a GPU, summed over the pods counted in the mix.
func (m *Mix) Fragments(n GPUState) int64 {
	free := int64(0)
	for _, milli := range n.Milli {
		free += milli
	}
	if free == 0 {
		return 0
	}
	sum := int64(0)
	for i, shape := range m.shapes {
		if shape.GPUs == 0 || !shape.Runs(n) {
			sum += m.weights[i] * free
			continue
		}
		for _, milli := range n.Milli {
			if milli < shape.Milli {
				sum += m.weights[i] * milli
			}
		}
	}
	return sum
}

// Score turns a change of Fragments into 0 to 100, 50 for no change and more where
// fragments shrink: 100 times the sigmoid of the mean change in GPUs, rounded
// down. It is coarse on purpose: places that are nearly as good are left to a
// tie-break that packs, without which most of the gain is lost.
func (m *Mix) Score(before, after int64) int {
	score, _ := slices.BinarySearch(m.steps[:], before-after+1)
	return score
}
