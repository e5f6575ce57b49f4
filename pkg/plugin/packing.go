package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/placement"
)

var (
	_ fwk.PreScorePlugin = (*Lockstep)(nil)
	_ fwk.ScorePlugin    = (*Lockstep)(nil)
)

// packing is how nodes are compared for one pod in this cycle. It reads the mirror
// without a lock: only the next cycle, which comes later, changes that.
type packing struct {
	mirror   *mirror
	mix      *placement.Mix // nil: fragments do not count
	requests cluster.Resources
	resource int // that is packed
	near     int // the node that a roaming member should be close to; -1 for other pods
}

// Clone implements fwk.StateData.
func (p *packing) Clone() fwk.StateData { return p }

const packingKey = Name + "/packing"

// PreScore brings the planner's index up to date for pods that are packed on it: those
// without a gang that ask for GPUs, and members that roam. Others are scored by the
// scheduler's own plugins alone.
func (p *Lockstep) PreScore(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) *fwk.Status {
	_, member := kube.GangOf(pod)
	if !member && p.args.Packing == configv1alpha1.Off {
		return fwk.NewStatus(fwk.Skip)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pack := &packing{mirror: p.mirror, requests: kube.Requests(pod, p.vocabulary), near: -1}
	if pack.resource = pack.requests.Primary(); pack.resource == cluster.CPU && !member {
		return fwk.NewStatus(fwk.Skip)
	}
	infos, err := p.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return fwk.AsStatus(err)
	}
	p.mirror.update(infos)
	if member {
		near, known := p.mirror.places[placeOf(state).near]
		if !known {
			return fwk.NewStatus(fwk.Skip)
		}
		pack.near = near
	} else if p.args.Packing == configv1alpha1.FGD {
		pack.mix = p.mirror.mix()
	}
	state.Write(packingKey, pack)
	return nil
}

// Score rates one node: the more the better, of any size. NormalizeScore makes ranks of it.
func (p *Lockstep) Score(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) (int64, *fwk.Status) {
	data, err := state.Read(packingKey)
	if err != nil {
		return 0, fwk.AsStatus(err)
	}
	pack, ok := data.(*packing)
	if !ok {
		return 0, nil
	}
	node, known := pack.mirror.places[info.Node().Name]
	if !known {
		return 0, nil
	}
	return pack.score(node), nil
}

// coarse is the place of what weighs more than what is left over.
const coarse = 54

func (p *packing) score(node int) int64 {
	left := p.mirror.index.LeftAround(node, p.resource, p.requests.Get(p.resource))
	switch {
	case p.near >= 0:
		return int64(p.mirror.index.Closeness(node, p.near))<<coarse - left
	case p.mix != nil:
		return int64(p.fragments(node)/2)<<coarse - left // half as fine, so that packing has a say
	}
	return -left
}

// ScoreExtensions implements fwk.ScorePlugin.
func (p *Lockstep) ScoreExtensions() fwk.ScoreExtensions { return p }

// ranks is how many different scores count; what comes after them is all the same.
const ranks = 7

// NormalizeScore gives the best nodes 100, the next best 50, then 25, and so on: equal
// totals are drawn by lot, so places that differ must have scores that differ.
func (p *Lockstep) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	var best [ranks]int64
	n := 0
	for i := range scores {
		n = insert(&best, n, scores[i].Score)
	}
	for i := range scores {
		rank := 0
		for rank < n && best[rank] != scores[i].Score {
			rank++
		}
		scores[i].Score = 0
		if rank < n {
			scores[i].Score = fwk.MaxScore >> rank
		}
	}
	return nil
}

// insert puts a score among the best n, which are different and the highest first.
func insert(best *[ranks]int64, n int, score int64) int {
	at := 0
	for at < n && best[at] > score {
		at++
	}
	if at == ranks || at < n && best[at] == score {
		return n
	}
	n = min(n+1, ranks)
	copy(best[at+1:n], best[at:])
	best[at] = score
	return n
}
