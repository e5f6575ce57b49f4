package plugin

import (
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/kube"
)

// view is what the core plans with; it needs e.mu. The core asks for pods and budgets
// only when a gang does not fit.
func (e *engine) view(nodes []fwk.NodeInfo) core.View {
	view := e.mirror.view(e.podOf)
	view.Others = func() []core.Occupant { return e.others(nodes) }
	view.Budgets = func() core.Budgets { return e.budgets(nodes) }
	return view
}

// others lists the pods of a snapshot that the core does not count where they are.
func (e *engine) others(nodes []fwk.NodeInfo) []core.Occupant {
	var list []core.Occupant
	for _, info := range nodes {
		place, known := e.mirror.places[info.Node().Name]
		if !known {
			continue
		}
		for _, p := range info.GetPods() {
			pod := p.GetPod()
			if _, counted := e.core.State(string(pod.UID)); counted {
				continue
			}
			ours := e.profiles[pod.Spec.SchedulerName] || *e.args.PreemptOtherSchedulers
			occupant := kube.Occupant(pod, place, ours, e.vocabulary)
			occupant.Queue = e.queueOf(pod)
			list = append(list, occupant)
		}
	}
	return list
}

// budgets reads the PodDisruptionBudgets, and which pods of a snapshot each counts.
func (e *engine) budgets(nodes []fwk.NodeInfo) core.Budgets {
	list, err := e.handle.SharedInformerFactory().Policy().V1().PodDisruptionBudgets().Lister().List(labels.Everything())
	if err != nil || len(list) == 0 {
		return core.Budgets{}
	}
	budgets := core.Budgets{Of: map[string][]int{}}
	byNamespace := map[string][]int{}
	selectors := make([]labels.Selector, len(list))
	for i, budget := range list {
		budgets.Allowed = append(budgets.Allowed, int(budget.Status.DisruptionsAllowed))
		if selectors[i], err = metav1.LabelSelectorAsSelector(budget.Spec.Selector); err == nil {
			byNamespace[budget.Namespace] = append(byNamespace[budget.Namespace], i)
		}
	}
	eachPod(nodes, func(pod *v1.Pod) {
		for _, i := range byNamespace[pod.Namespace] {
			if selectors[i].Matches(labels.Set(pod.Labels)) {
				budgets.Of[string(pod.UID)] = append(budgets.Of[string(pod.UID)], i)
			}
		}
	})
	return budgets
}

// budgetHandler tells the core when others may go for a gang that could not before.
func (e *engine) budgetHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			old, now := before.(*policyv1.PodDisruptionBudget), after.(*policyv1.PodDisruptionBudget)
			if relaxed(old, now) {
				e.step(core.BudgetsRelaxed{})
			}
		},
		DeleteFunc: func(any) { e.step(core.BudgetsRelaxed{}) },
	}
}

// relaxed reports whether somebody may go by a budget's change who might not before.
func relaxed(old, now *policyv1.PodDisruptionBudget) bool {
	return now.Status.DisruptionsAllowed > old.Status.DisruptionsAllowed || !equality.Semantic.DeepEqual(old.Spec.Selector, now.Spec.Selector)
}

func eachPod(nodes []fwk.NodeInfo, do func(*v1.Pod)) {
	for _, info := range nodes {
		for _, p := range info.GetPods() {
			do(p.GetPod())
		}
	}
}
