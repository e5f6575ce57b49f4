package sim

import (
	"fmt"
	"math/rand"

	"lockstep.dev/lockstep/pkg/placement"
)

// OpenbOptions say how to run the protocol.
type OpenbOptions struct {
	// Policy is one of Policies.
	Policy string
	// Arrive is how much GPU the pods ask for together, as a share of the cluster's: 1.3.
	Arrive float64
	// Seed makes the order of arrival.
	Seed int64
}

// OpenbPoint is the state when a share of the cluster's GPU has been asked for.
type OpenbPoint struct {
	ArrivedPercent     float64 `json:"arrived_percent"`
	UnallocatedPercent float64 `json:"unallocated_percent"`
	// FragmentPercent is what is free and of no use to the mix of pods, as a share of
	// the cluster's GPU.
	FragmentPercent float64 `json:"fragment_percent"`
}

// OpenbResult is one run.
type OpenbResult struct {
	Policy string `json:"policy"`
	Seed   int64  `json:"seed"`
	OpenbPoint
	PodsArrived int          `json:"pods_arrived"`
	PodsPlaced  int          `json:"pods_placed"`
	Curve       []OpenbPoint `json:"curve"` // every 5 % arrived
}

// Openb places pods one by one on empty nodes and leaves out those that fit
// nowhere: the list is shuffled, and pods drawn from it follow until the next
// would pass the share that is to arrive (a longer list is cut). Nothing leaves,
// nothing is tried twice. The mix is that of the list as given.
func Openb(trace *OpenbTrace, options OpenbOptions) (*OpenbResult, error) {
	cluster, pods := newOpenbCluster(trace), trace.Pods
	switch {
	case cluster.milli == 0:
		return nil, fmt.Errorf("nodes: none has a GPU")
	case len(pods) == 0:
		return nil, fmt.Errorf("pods: there are none")
	case options.Arrive <= 0 || options.Arrive > 100:
		return nil, fmt.Errorf("arrive: %v is not a share of the cluster's GPU from 0 to 100", options.Arrive)
	}
	counts := map[placement.GPUShape]int{}
	for i := range pods {
		counts[pods[i].Shape]++
	}
	mix := placement.NewMix(counts)
	policy, err := newPolicy(options.Policy, mix, options.Seed)
	if err != nil {
		return nil, err
	}
	arrivals, err := arrivalsOf(pods, int64(options.Arrive*float64(cluster.milli)+0.5), options.Seed)
	if err != nil {
		return nil, err
	}
	result := &OpenbResult{Policy: options.Policy, Seed: options.Seed}
	arrived := int64(0)
	step := cluster.milli / 20
	for _, p := range arrivals {
		if len(result.Curve) < int((arrived+p.Milli())/step) {
			result.Curve = append(result.Curve, cluster.point(arrived, mix))
		}
		arrived += p.Milli()
		result.PodsArrived++
		if cluster.admit(policy, p) {
			result.PodsPlaced++
		}
	}
	result.OpenbPoint = cluster.point(arrived, mix)
	result.Curve = append(result.Curve, result.OpenbPoint)
	return result, nil
}

// arrivalsOf is the pods in the order of arrival.
func arrivalsOf(pods []OpenbPod, most, seed int64) ([]*OpenbPod, error) {
	rng := rand.New(rand.NewSource(seed))
	list := make([]*OpenbPod, len(pods))
	total := int64(0)
	for i := range pods {
		list[i] = &pods[i]
		total += pods[i].Milli()
	}
	if total == 0 {
		return nil, fmt.Errorf("pods: none asks for a GPU")
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for total <= most {
		p := &pods[rng.Intn(len(pods))]
		if total+p.Milli() > most {
			break
		}
		list, total = append(list, p), total+p.Milli()
	}
	for total > most {
		last := list[len(list)-1]
		list, total = list[:len(list)-1], total-last.Milli()
	}
	return list, nil
}

// admit places one pod where the policy wants it.
func (c *openbCluster) admit(policy policy, p *OpenbPod) bool {
	best, bestGPU := -1, 0
	var bestScore, bestTie int64
	for i := range c.nodes {
		n := &c.nodes[i]
		if !n.runs(p) {
			continue
		}
		score, tie, gpu := policy.score(n, p)
		if best < 0 || score > bestScore || score == bestScore && tie > bestTie {
			best, bestScore, bestTie, bestGPU = i, score, tie, gpu
		}
	}
	if best < 0 {
		return false
	}
	c.place(best, p, bestGPU)
	return true
}

func (c *openbCluster) point(arrived int64, mix *placement.Mix) OpenbPoint {
	fragments := int64(0)
	for i := range c.nodes {
		fragments += mix.Fragments(c.nodes[i].GPUState)
	}
	percent := func(milli int64) float64 { return 100 * float64(milli) / float64(c.milli) }
	return OpenbPoint{
		ArrivedPercent: percent(arrived), UnallocatedPercent: percent(c.milli - c.used),
		FragmentPercent: percent(fragments) / float64(mix.Total()),
	}
}
