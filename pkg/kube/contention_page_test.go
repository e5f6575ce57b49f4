package kube

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
)

// The queues that docs/contention.md shows, either of which is for the same namespace, are read as
// they are meant.
func TestQueuesOfTheContentionPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/contention.md")
	if err != nil {
		t.Fatal(err)
	}
	var elastic v1alpha1.ElasticQuota
	var queue lockstepv1alpha1.Queue
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) != 2 {
		t.Fatalf("%d manifests on the page, want 2", len(blocks))
	}
	for i, into := range []any{&elastic, &queue} {
		text, _, _ := strings.Cut(blocks[i], "```")
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	vocabulary := cluster.NewVocabulary()
	gpu := vocabulary.Index("nvidia.com/gpu")
	q := NewQuota([]*lockstepv1alpha1.Queue{&queue}, nil, vocabulary)
	if got, _ := q.Queue("vision"); got.Weight != 2 || got.Guaranteed.Get(gpu) != 16 || got.Cap[gpu] != 32 || len(got.Cap) != 2 {
		t.Errorf("the queue is %+v", got)
	}
	q = NewQuota(nil, []*v1alpha1.ElasticQuota{&elastic}, vocabulary)
	if got, _ := q.Queue("elasticquota/vision/vision"); got.Guaranteed.Get(gpu) != 16 || got.Cap[gpu] != 32 {
		t.Errorf("the elastic quota is %+v", got)
	}
}
