package kube

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// QueueLabel on a PodGroup names the queue of its gang.
const QueueLabel = "lockstep.dev/queue"

// ModelLabel is the node label that tells the type of its GPUs, and what a pod selects
// them by.
const ModelLabel = "nvidia.com/gpu.product"

// ElasticQuotas is the resource of the quota API of scheduler-plugins.
var ElasticQuotas = schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "elasticquotas"}

// Quota is the queues of a cluster in the planner's terms. It is immutable.
type Quota struct {
	*quota.Tree
	// Faults are what is wrong with objects.
	Faults []Fault
	// models are the places of types of a resource that some queue speaks of.
	models map[typed]int
}

// Fault is what is wrong with a queue, or is not as one could think.
type Fault struct {
	Queue  string // in the tree
	Object string // kind and name
	Field  string // its path
	Text   string
	// Mild: the queue counts as it is written all the same.
	Mild bool
}

func (f Fault) String() string { return f.Object + ": " + f.Field + ": " + f.Text }

// FaultsOf lists the faults of one queue.
func (q *Quota) FaultsOf(queue string) []Fault {
	var list []Fault
	for _, fault := range q.Faults {
		if fault.Queue == queue {
			list = append(list, fault)
		}
	}
	return list
}

// typed is one type of a resource.
type typed struct {
	resource int
	model    string
}

// NewQuota reads queues and elastic quotas. An ElasticQuota is a queue of its own for
// its namespace: min is its guarantee, max its cap; it has no effect where the namespace
// is in a Queue, or has another ElasticQuota. The order of the lists makes no difference.
func NewQuota(
	queues []*lockstepv1alpha1.Queue, elastic []*v1alpha1.ElasticQuota, vocabulary *cluster.Vocabulary,
) *Quota {
	q := &Quota{models: map[typed]int{}}
	queues, elastic = slices.Clone(queues), slices.Clone(elastic)
	slices.SortFunc(queues, byName[*lockstepv1alpha1.Queue])
	slices.SortFunc(elastic, byName[*v1alpha1.ElasticQuota])
	var list []quota.Queue
	objects, first := map[string]string{}, map[string]string{} // first by namespace
	for _, queue := range queues {
		objects[queue.Name] = "Queue " + queue.Name
		list = append(list, q.queue(queue, vocabulary))
		for _, namespace := range queue.Spec.Namespaces {
			first[namespace] = cmp.Or(first[namespace], objects[queue.Name])
		}
	}
	for _, e := range elastic {
		name := ElasticQueue(e)
		objects[name] = "ElasticQuota " + e.Namespace + "/" + e.Name
		if other := first[e.Namespace]; other != "" {
			q.Faults = append(q.Faults, Fault{
				Queue: name, Object: objects[name], Field: "metadata.namespace", Text: e.Namespace + " is in " + other + " already; this quota has no effect",
			})
			continue
		}
		first[e.Namespace] = objects[name]
		list = append(list, quota.Queue{
			Name: name, Namespaces: []string{e.Namespace}, Guaranteed: Resources(e.Spec.Min, vocabulary), Cap: caps(e.Spec.Max, vocabulary),
		})
	}
	tree, faults := quota.New(list)
	q.Tree = tree
	for _, fault := range faults {
		object := objects[fault.Queue]
		q.Faults = append(q.Faults, Fault{
			Queue: fault.Queue, Object: object, Field: pathOf(fault, object, vocabulary), Text: fault.Text, Mild: fault.Field == "namespaces",
		})
	}
	return q
}

// ElasticQueue is the name of an ElasticQuota among queues, which no Queue can have.
func ElasticQueue(e *v1alpha1.ElasticQuota) string {
	return "elasticquota/" + e.Namespace + "/" + e.Name
}

// caps are the limits of resources, by place; what is not listed has none.
func caps(list v1.ResourceList, vocabulary *cluster.Vocabulary) map[int]int64 {
	limits, amounts := map[int]int64{}, Resources(list, vocabulary)
	for name := range list {
		place := vocabulary.Index(string(name))
		limits[place] = amounts.Get(place)
	}
	return limits
}

func (q *Quota) queue(queue *lockstepv1alpha1.Queue, vocabulary *cluster.Vocabulary) quota.Queue {
	out := quota.Queue{
		Name: queue.Name, Parent: queue.Spec.Parent, Namespaces: queue.Spec.Namespaces, Weight: queue.Spec.Weight, Cap: map[int]int64{},
	}
	for _, r := range queue.Spec.Resources {
		place := vocabulary.Index(string(r.Name))
		if r.Model != "" {
			of := typed{place, r.Model}
			place = vocabulary.Index(string(r.Name) + " of type " + r.Model)
			q.models[of] = place
		}
		if r.Guaranteed != nil {
			out.Guaranteed = out.Guaranteed.Set(place, Amount(r.Name, *r.Guaranteed))
		}
		if r.Cap != nil {
			out.Cap[place] = Amount(r.Name, *r.Cap)
		}
	}
	return out
}

// pathOf is where in its object a fault is.
func pathOf(fault quota.Fault, object string, vocabulary *cluster.Vocabulary) string {
	path := field.NewPath("spec", fault.Field)
	switch {
	case fault.Field == "name":
		path = field.NewPath("metadata", "name")
	case fault.Resource < 0:
	case strings.HasPrefix(object, "ElasticQuota "):
		path = field.NewPath("spec", map[string]string{"guaranteed": "min", "cap": "max"}[fault.Field]).Key(vocabulary.Name(fault.Resource))
	default:
		path = field.NewPath("spec", "resources").Key(vocabulary.Name(fault.Resource)).Child(fault.Field)
	}
	return path.String()
}

// QueueOf is the queue of a gang: the one that its PodGroup names, else the first that
// its namespace is bound to, else quota.Nobody. It is an error that names what to mend
// where the named queue is not there or not for the namespace.
func (q *Quota) QueueOf(pg *v1alpha1.PodGroup) (string, error) {
	named := pg.Labels[QueueLabel]
	queue, ok := q.Of(pg.Namespace, named)
	if ok {
		return queue, nil
	}
	path := field.NewPath("metadata", "labels").Key(QueueLabel)
	if _, exists := q.Queue(named); exists {
		return "", field.Forbidden(path, fmt.Sprintf("Queue %s is not for namespace %s: add it to the queue's spec.namespaces", named, pg.Namespace))
	}
	return "", field.NotFound(path, named)
}

// Spec is what a PodGroup asks for, with the queue of its gang. Where there are no queues at
// all, a gang may name one without effect: it was written for another cluster.
func (q *Quota) Spec(pg *v1alpha1.PodGroup) gang.Spec {
	spec := Spec(pg)
	if q == nil {
		return spec
	}
	queue, err := q.QueueOf(pg)
	spec.Queue = queue
	var fault *field.Error
	switch {
	case errors.As(err, &fault) && fault.Type == field.ErrorTypeNotFound:
		spec.NoQueue = fault.Error()
	case err != nil && spec.Invalid == "":
		spec.Invalid = err.Error()
	}
	return spec
}

// QueueOfPod is the queue that a pod is charged to: its gang's, where its PodGroup exists,
// else the first of its namespace.
func (q *Quota) QueueOfPod(pod *v1.Pod, pg *v1alpha1.PodGroup) string {
	if q == nil {
		return quota.Nobody
	}
	if pg != nil {
		queue, _ := q.QueueOf(pg)
		return queue
	}
	queue, _ := q.Of(pod.Namespace, "")
	return queue
}

// ModelFor is the type of GPU that a pod asks for: the one that its nodeSelector names, else
// that of all nodes with GPUs that may run it; "" where these are of several. nodes and objects
// are the same ones in the same order, and may tells of each whether it may run the pod.
func (q *Quota) ModelFor(pod *v1.Pod, nodes []cluster.Node, objects []*v1.Node, may func(node int) bool) string {
	only := SelectedModel(pod)
	if only != "" || len(q.models) == 0 {
		return only
	}
	found := false
	for i, object := range objects {
		model := ModelOf(object)
		if found && model == only || !q.typedOn(nodes[i].Allocatable) || !may(i) {
			continue
		}
		if found {
			return ""
		}
		only, found = model, true
	}
	return only
}

// typedOn reports whether there is something of which some queue speaks by its type.
func (q *Quota) typedOn(amounts cluster.Resources) bool {
	for of := range q.models {
		if amounts.Get(of.resource) > 0 {
			return true
		}
	}
	return false
}

// Kind is the type of a node's GPUs, where some queue speaks of it; else "".
func (q *Quota) Kind(node *v1.Node) string {
	if model := ModelOf(node); q.SpeaksOf(model) {
		return model
	}
	return ""
}

// Charge is what amounts count as in the terms of the queues: beside the plain ones,
// those of a type of GPU that some queue speaks of. model is what ModelOf or ModelFor
// says; "" where it is not known.
func (q *Quota) Charge(amounts cluster.Resources, model string) cluster.Resources {
	out := amounts.Clone()
	if model == "" {
		return out
	}
	for place, amount := range amounts {
		if of, spoken := q.models[typed{place, model}]; spoken && amount > 0 {
			out = out.Set(of, amount)
		}
	}
	return out
}

// Models lists the types of GPU that some queue speaks of.
func (q *Quota) Models() []string {
	var list []string
	for of := range q.models {
		list = append(list, of.model)
	}
	slices.SortFunc(list, cmp.Compare[string])
	return slices.Compact(list)
}

// SpeaksOf reports whether some queue speaks of a type of GPU.
func (q *Quota) SpeaksOf(model string) bool {
	for of := range q.models {
		if of.model == model {
			return true
		}
	}
	return false
}

// ModelOf is the type of a node's GPUs; "" where it does not say.
func ModelOf(node *v1.Node) string { return node.Labels[ModelLabel] }

// SelectedModel is the type of GPU that a pod asks for by its nodeSelector; "" for any.
func SelectedModel(pod *v1.Pod) string { return pod.Spec.NodeSelector[ModelLabel] }
