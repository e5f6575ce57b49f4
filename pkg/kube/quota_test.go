package kube

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/quota"
)

func quantity(text string) *resource.Quantity {
	q := resource.MustParse(text)
	return &q
}

func queueOf(name, parent string, namespaces []string, resources ...lockstepv1alpha1.QueueResource) *lockstepv1alpha1.Queue {
	return &lockstepv1alpha1.Queue{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       lockstepv1alpha1.QueueSpec{Parent: parent, Namespaces: namespaces, Resources: resources},
	}
}

func elastic(namespace, name, least, most string) *v1alpha1.ElasticQuota {
	e := &v1alpha1.ElasticQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	e.Spec.Min = v1.ResourceList{"nvidia.com/gpu": *quantity(least)}
	if most != "" {
		e.Spec.Max = v1.ResourceList{"nvidia.com/gpu": *quantity(most), "cpu": *quantity("64")}
	}
	return e
}

func groupIn(namespace, queue string) *v1alpha1.PodGroup {
	pg := &v1alpha1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "g"}}
	if queue != "" {
		pg.Labels = map[string]string{QueueLabel: queue}
	}
	return pg
}

func TestQuotaOfAnElasticQuota(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	q := NewQuota(nil, []*v1alpha1.ElasticQuota{elastic("vision", "eq", "8", "16")}, vocabulary)
	queue, err := q.QueueOf(groupIn("vision", ""))
	if err != nil || queue != "elasticquota/vision/eq" {
		t.Fatalf("queue %q, %v", queue, err)
	}
	gpu := vocabulary.Index("nvidia.com/gpu")
	got, _ := q.Queue(queue)
	if got.Guaranteed.Get(gpu) != 8 || got.Cap[gpu] != 16 || got.Cap[cluster.CPU] != 64000 || len(got.Cap) != 2 {
		t.Errorf("got %+v", got)
	}
	if queue, err := q.QueueOf(groupIn("elsewhere", "")); queue != quota.Nobody || err != nil {
		t.Errorf("a namespace without a quota is in queue %q, %v", queue, err)
	}
}

// A Queue goes before an ElasticQuota, whatever its name.
func TestElasticQuotaBesideAQueue(t *testing.T) {
	for _, name := range []string{"a", "vision"} {
		q := NewQuota([]*lockstepv1alpha1.Queue{queueOf(name, "", []string{"vision"})},
			[]*v1alpha1.ElasticQuota{elastic("vision", "eq", "8", "8")}, cluster.NewVocabulary())
		if queue, err := q.QueueOf(groupIn("vision", "")); queue != name || err != nil {
			t.Errorf("a gang of the namespace is in queue %q, %v; want %s", queue, err, name)
		}
	}
}

func TestQueueByName(t *testing.T) {
	q := NewQuota([]*lockstepv1alpha1.Queue{
		queueOf("day", "", []string{"vision"}), queueOf("night", "", []string{"vision", "speech"}),
	}, nil, cluster.NewVocabulary())
	for _, tt := range []struct{ namespace, named, queue, err string }{
		{"vision", "", "day", ""},
		{"vision", "night", "night", ""},
		{"speech", "day", "", `metadata.labels[lockstep.dev/queue]: Forbidden: Queue day is not for namespace speech: add it to the queue's spec.namespaces`},
		{"speech", "noon", "", `metadata.labels[lockstep.dev/queue]: Not found: "noon"`},
	} {
		queue, err := q.QueueOf(groupIn(tt.namespace, tt.named))
		if queue != tt.queue || err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("%s naming %q: %q, %v", tt.namespace, tt.named, queue, err)
		}
	}
}

// A cap on one type of GPU counts those alone, and the plain cap all of them.
func TestTypesOfGPUs(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	q := NewQuota([]*lockstepv1alpha1.Queue{
		queueOf("vision", "", []string{"vision"},
			lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Cap: quantity("16")},
			lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Model: "H100", Cap: quantity("4")}),
	}, nil, vocabulary)
	eight := Resources(v1.ResourceList{"nvidia.com/gpu": *quantity("8")}, vocabulary)
	usage := q.Usage(nil, nil)
	for model, want := range map[string]bool{"": true, "A100": true, "H100": false} {
		refusal, ok := usage.Admit("vision", q.Charge(eight, model))
		if ok != want {
			t.Errorf("eight of type %q: admitted %t (%+v), want %t", model, ok, refusal, want)
		}
		if !ok && vocabulary.Name(refusal.Resource) != "nvidia.com/gpu of type H100" {
			t.Errorf("refused for %s", vocabulary.Name(refusal.Resource))
		}
	}
	if got := q.Models(); !slices.Equal(got, []string{"H100"}) {
		t.Errorf("models %v", got)
	}
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ModelLabel: "H100"}}}
	pod := &v1.Pod{Spec: v1.PodSpec{NodeSelector: map[string]string{ModelLabel: "H100"}}}
	if ModelOf(node) != "H100" || SelectedModel(pod) != "H100" {
		t.Error("types are not read from the labels")
	}
}

// A pod that all nodes that may run it give the same type asks for that.
func TestModelFor(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	q := NewQuota([]*lockstepv1alpha1.Queue{queueOf("vision", "", []string{"vision"},
		lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Model: "H100", Cap: quantity("4")})}, nil, vocabulary)
	node := func(model, gpus string) *v1.Node {
		n := &v1.Node{Status: v1.NodeStatus{Allocatable: v1.ResourceList{"cpu": *quantity("8"), "nvidia.com/gpu": *quantity(gpus)}}}
		if model != "" {
			n.Labels = map[string]string{ModelLabel: model}
		}
		return n
	}
	selects := &v1.Pod{Spec: v1.PodSpec{NodeSelector: map[string]string{ModelLabel: "A100"}}}
	h100, a100, unlabelled, cpus := node("H100", "8"), node("A100", "8"), node("", "8"), node("", "0")
	for name, c := range map[string]struct {
		pod    *v1.Pod
		nodes  []*v1.Node
		barred int // the last so many
		want   string
	}{
		"one type":                 {&v1.Pod{}, []*v1.Node{h100, h100}, 0, "H100"},
		"nodes without GPUs":       {&v1.Pod{}, []*v1.Node{cpus, h100, cpus}, 0, "H100"},
		"two types":                {&v1.Pod{}, []*v1.Node{h100, a100}, 0, ""},
		"a node that does not say": {&v1.Pod{}, []*v1.Node{unlabelled, h100}, 0, ""},
		"one that may run it":      {&v1.Pod{}, []*v1.Node{h100, a100}, 1, "H100"},
		"nowhere":                  {&v1.Pod{}, []*v1.Node{h100}, 1, ""},
		"named":                    {selects, []*v1.Node{h100, h100}, 0, "A100"},
	} {
		var nodes []cluster.Node
		for _, n := range c.nodes {
			nodes = append(nodes, Node(n, vocabulary))
		}
		if got := q.ModelFor(c.pod, nodes, c.nodes, func(i int) bool { return i < len(nodes)-c.barred }); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestQuotaFaultsNameObjectAndField(t *testing.T) {
	q := NewQuota([]*lockstepv1alpha1.Queue{
		queueOf("lost", "nowhere", []string{"a"}, lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Guaranteed: quantity("9"), Cap: quantity("8")}),
		queueOf("research", "", nil, lockstepv1alpha1.QueueResource{Name: "cpu", Guaranteed: quantity("4")}),
		queueOf("part", "research", nil, lockstepv1alpha1.QueueResource{Name: "cpu", Guaranteed: quantity("5")}),
		queueOf("second", "", []string{"a"}),
	}, []*v1alpha1.ElasticQuota{elastic("a", "eq", "8", "4"), elastic("b", "eq", "8", "4"), elastic("b", "more", "8", "8")}, cluster.NewVocabulary())
	want := []string{
		`ElasticQuota a/eq: metadata.namespace: a is in Queue lost already; this quota has no effect`,
		`ElasticQuota b/eq: spec.min[nvidia.com/gpu]: must not be above the cap`,
		`ElasticQuota b/more: metadata.namespace: b is in ElasticQuota b/eq already; this quota has no effect`,
		`Queue lost: spec.parent: there is no queue nowhere; it is taken for a part of the cluster`,
		`Queue lost: spec.resources[nvidia.com/gpu].guaranteed: must not be above the cap`,
		`Queue research: spec.resources[cpu].guaranteed: its parts (part) together are guaranteed more than it is itself; they get back no more than that`,
		`Queue second: spec.namespaces: a is in queue lost already; gangs are in this one only if they name it`,
	}
	var got []string
	for _, fault := range q.Faults {
		got = append(got, fault.String())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
