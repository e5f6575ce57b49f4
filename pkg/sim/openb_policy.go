package sim

import (
	"fmt"
	"math/bits"
	"math/rand"
	"strings"

	"lockstep.dev/lockstep/pkg/placement"
)

// policy scores the nodes that can run a pod. The best score wins, then the best
// tie, then the first name.
type policy interface {
	// score rates a node and says which of its GPUs a sharing pod would get.
	score(n *openbState, p *OpenbPod) (score, tie int64, gpu int)
}

// Policies are the names that OpenbOptions.Policy may have.
var Policies = []string{
	"lockstep", "fgd", "best-fit", "worst-fit", "dot-product", "gpu-packing", "gpu-clustering", "random",
}

// The largest node of the protocol: what scores are relative to.
const (
	mostCPU   = 128_000 // millicores
	mostMilli = 8_000   // thousandths of a GPU
)

func newPolicy(name string, mix *placement.Mix, seed int64) (policy, error) {
	switch name {
	case "lockstep":
		return &byFragments{mix: mix, packs: true}, nil
	case "fgd":
		return &byFragments{mix: mix}, nil
	case "best-fit":
		return byFit(1), nil
	case "worst-fit":
		return byFit(-1), nil
	case "dot-product":
		return byDotProduct{}, nil
	case "gpu-packing":
		return byPacking{}, nil
	case "gpu-clustering":
		return byKind{}, nil
	case "random":
		return atRandom{rand.New(rand.NewSource(seed))}, nil
	}
	return nil, fmt.Errorf("unknown policy %q: one of %s", name, strings.Join(Policies, ", "))
}

// atRandom takes any node and any GPU.
type atRandom struct{ rng *rand.Rand }

func (a atRandom) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	if p.Shape.GPUs == 0 {
		return a.rng.Int63(), 0, 0
	}
	first := n.tightest(p) // all from there on can be shared
	return a.rng.Int63(), 0, first + a.rng.Intn(len(n.Milli)-first)
}

// byFit prefers the node on which the least is left of CPU and GPU, both relative
// to the largest node; or the most, for worst fit.
type byFit int64

func (b byFit) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	left := leftOver(n, p)
	score := int64(b) * (100 - (left+2559)/2560)
	return score, 0, n.tightest(p)
}

// leftOver is 256,000 times the mean of the shares of the largest node's CPU and
// GPU that are left when the pod is placed.
func leftOver(n *openbState, p *OpenbPod) int64 {
	return n.CPU - p.Shape.CPU + mostCPU/mostMilli*(n.left-p.Milli())
}

// byDotProduct prefers the node whose free resources are the least like the
// request: the lowest product of both, relative to the largest node. Source:
// Grandl et al., Multi-resource Packing for Cluster Schedulers, SIGCOMM 2014.
type byDotProduct struct{}

func (byDotProduct) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	const ratio = mostCPU / mostMilli
	product := n.CPU*p.Shape.CPU + ratio*ratio*n.left*p.Milli()
	const whole = mostCPU * mostCPU
	return 100 - (50*product+whole-1)/whole, 0, n.tightest(p)
}

// byPacking prefers GPUs that are shared already, then free GPUs of a node in
// use, then an idle node with few GPUs.
type byPacking struct{}

func (byPacking) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	if p.Shape.GPUs == 0 {
		return 0, 0, 0
	}
	first := n.tightest(p)
	if n.left == 1000*n.gpus {
		return max(33-n.gpus, n.gpus), 0, first
	}
	whole, left := int64(0), int64(0)
	for _, free := range n.Milli[first : first+p.Shape.GPUs] {
		if free == 1000 {
			whole++
		}
		left += free / 10
	}
	if whole > 0 {
		return max(50-whole, 33), 0, first
	}
	return max(100-left/10, 50), 0, first
}

// byKind prefers nodes that hold pods asking for as many GPUs, and only such; the
// fuller the better.
type byKind struct{}

func (byKind) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	kind := kindOf(p)
	if kind == 0 {
		return 0, 0, 0
	}
	full := 25 * (mostMilli - n.left) / mostMilli
	switch {
	case n.kinds == kind:
		full += 75
	case n.kinds&kind != 0:
		full += 50
	case bits.OnesCount64(n.kinds) == 0:
		full += 25
	}
	return full, 0, n.tightest(p)
}

// byFragments prefers the node on which fragments grow the least, as a score of
// 0 to 100. If packs is set the score is half as fine, and of nodes with the same
// one the one with the least left over is taken instead of the first by name; a
// GPU that nobody shares yet counts twice there, so that it stays so.
type byFragments struct {
	mix    *placement.Mix
	packs  bool
	states map[string]*openbMemo
	key    []byte
	milli  []int64 // scratch
}

// openbMemo is what is known about all nodes in one state.
type openbMemo struct {
	fragments int64
	growth    map[placement.GPUShape]grown
}

// grown is the best that placing a shape does to fragments.
type grown struct {
	after int64
	gpu   int
}

func (b *byFragments) score(n *openbState, p *OpenbPod) (int64, int64, int) {
	if n.memo == nil {
		n.memo = b.memoOf(n)
	}
	g, known := n.memo.growth[p.Shape]
	if !known {
		g = b.grow(n, p)
		n.memo.growth[p.Shape] = g
	}
	score := int64(b.mix.Score(n.memo.fragments, g.after))
	if !b.packs {
		return score, 0, g.gpu
	}
	untouched := int64(len(n.Milli) - n.firstWith(1000))
	return score / 2, -leftOver(n, p) - mostCPU/mostMilli*1000*untouched, g.gpu
}

func (b *byFragments) memoOf(n *openbState) *openbMemo {
	if b.states == nil {
		b.states = map[string]*openbMemo{}
	}
	b.key = fmt.Appendf(b.key[:0], "%d %d %v", n.Model, n.CPU, n.Milli)
	memo, known := b.states[string(b.key)]
	if !known {
		memo = &openbMemo{fragments: b.mix.Fragments(n.GPUState), growth: map[placement.GPUShape]grown{}}
		b.states[string(b.key)] = memo
	}
	return memo
}

// grow tries every GPU that the pod could share, or takes whole ones.
func (b *byFragments) grow(n *openbState, p *OpenbPod) grown {
	best := grown{after: 1<<63 - 1}
	first := 0
	if p.Shape.GPUs > 0 {
		first = n.tightest(p)
	}
	for gpu := first; gpu < max(1, len(n.Milli)); gpu++ {
		if gpu > first && n.Milli[gpu] == n.Milli[gpu-1] {
			continue
		}
		b.milli = append(b.milli[:0], n.Milli...)
		if p.Shape.GPUs > 0 {
			take(b.milli, p.Shape, gpu)
		}
		after := b.mix.Fragments(placement.GPUState{CPU: n.CPU - p.Shape.CPU, Milli: b.milli, Model: n.Model})
		if after < best.after {
			best = grown{after, gpu}
		}
		if p.Shape.GPUs != 1 || p.Shape.Milli == 1000 {
			break
		}
	}
	return best
}
