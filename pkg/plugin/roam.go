package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/kube"
)

// maxWhy is how many of the filters' objections a reason names.
const maxWhy = 4

// whyNowhere sums up why no node is right for a member that roams, the objection of
// the most nodes first.
func (p *Lockstep) whyNowhere(pod *v1.Pod, at *place, nodes fwk.NodeToStatusReader) string {
	infos, err := p.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return err.Error()
	}
	counts := map[string]int{}
	asked := 0
	for _, info := range infos {
		if name := info.Node().Name; at.allows(name) {
			asked++
			counts[nodes.Get(name).Message()]++
		}
	}
	type objection struct {
		text  string
		nodes int
	}
	var list []objection
	for text, n := range counts {
		list = append(list, objection{cmp.Or(text, "no answer"), n})
	}
	slices.SortFunc(list, func(a, b objection) int { return cmp.Or(b.nodes-a.nodes, strings.Compare(a.text, b.text)) })
	var parts []string
	for _, o := range list[:min(len(list), maxWhy)] {
		parts = append(parts, fmt.Sprintf("%d %s", o.nodes, o.text))
	}
	text := fmt.Sprintf("of %d nodes %s", asked, strings.Join(parts, ", "))
	if beyond := kube.Beyond(pod); beyond != "" {
		text += " (one pod after another, because of " + beyond + ")"
	}
	return text
}

// placeIn is the answer to an attempt, if it says where the member may go.
func placeIn(effects []core.Effect) (*place, core.Reason) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case core.Pin:
			return &place{node: effect.Node}, core.Reason{}
		case core.Roam:
			return &place{near: effect.Near, any: effect.Nodes == nil, in: sets.New(effect.Nodes...)}, core.Reason{}
		case core.Refuse:
			return nil, effect.Reason
		}
	}
	return nil, core.Reason{Code: core.Starting, Message: "no answer"} // the core answers every attempt
}
