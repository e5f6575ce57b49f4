package trainingoperator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	theirs "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	ours "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const (
	goldenDir   = "../../../../shared/pytorchjob-golden"
	examplesDir = "../../../examples"
)

// jobs are the manifests of jobs that lie at hand: the examples and, where they are
// to be had, the inputs of the golden files.
func jobs(t *testing.T) map[string][]byte {
	t.Helper()
	manifests := map[string][]byte{}
	for _, pattern := range []string{goldenDir + "/*.yaml", examplesDir + "/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var object map[string]any
			if err := yaml.Unmarshal(text, &object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if input, golden := object["input"].(map[string]any); golden {
				object = input
			}
			if object["kind"] == "PyTorchJob" {
				manifests[filepath.Base(file)] = marshal(t, object)
			}
		}
	}
	if len(manifests) == 0 {
		t.Fatalf("no jobs in %s", examplesDir)
	}
	return manifests
}

func marshal(t *testing.T, object any) []byte {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read decodes and refuses a field that the type does not have.
func read[T any](t *testing.T, text []byte) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return object
}

// What we make of a manifest, upstream reads without a field left over, and writes
// back as it was.
func TestUpstreamReadsOurs(t *testing.T) {
	for name, manifest := range jobs(t) {
		t.Run(name, func(t *testing.T) {
			job := ours.Effective(read[ours.PyTorchJob](t, manifest))
			written := marshal(t, job)
			back := marshal(t, read[theirs.PyTorchJob](t, written))
			if diff := cmp.Diff(string(written), string(back)); diff != "" {
				t.Errorf("upstream writes it in another way (-ours +theirs):\n%s", diff)
			}
			if diff := cmp.Diff(job, read[ours.PyTorchJob](t, back)); diff != "" {
				t.Errorf("it comes back changed (-sent +back):\n%s", diff)
			}
		})
	}
}

// Both fill in the same.
func TestDefaults(t *testing.T) {
	for name, manifest := range jobs(t) {
		t.Run(name, func(t *testing.T) {
			written := marshal(t, ours.Effective(read[ours.PyTorchJob](t, manifest)))
			folded := read[ours.PyTorchJob](t, manifest)
			fold(&folded.Spec)
			upstream := read[theirs.PyTorchJob](t, marshal(t, folded))
			setDefaults(upstream)
			if diff := cmp.Diff(string(written), string(marshal(t, upstream))); diff != "" {
				t.Errorf("(-ours +theirs):\n%s", diff)
			}
		})
	}
}

// setDefaults fills in what upstream does: in its controller, in its CRD's schema
// (suspend), and in the environment of pods (the rendezvous backend).
func setDefaults(job *theirs.PyTorchJob) {
	theirs.SetDefaults_PyTorchJob(job)
	if job.Spec.RunPolicy.Suspend == nil {
		job.Spec.RunPolicy.Suspend = new(bool)
	}
	if elastic := job.Spec.ElasticPolicy; elastic != nil && elastic.RDZVBackend == nil {
		elastic.RDZVBackend = new(theirs.BackendC10D)
	}
}

// fold moves the old positions, which upstream no longer reads, where it does.
func fold(spec *ours.PyTorchJobSpec) {
	effective := ours.Effective(&ours.PyTorchJob{Spec: *spec})
	if spec.CleanPodPolicy != nil {
		spec.RunPolicy.CleanPodPolicy = effective.Spec.RunPolicy.CleanPodPolicy
	}
	if spec.TTLSecondsAfterFinished != nil {
		spec.RunPolicy.TTLSecondsAfterFinished = effective.Spec.RunPolicy.TTLSecondsAfterFinished
	}
	if spec.ActiveDeadlineSeconds != nil {
		spec.RunPolicy.ActiveDeadlineSeconds = effective.Spec.RunPolicy.ActiveDeadlineSeconds
	}
	if spec.BackoffLimit != nil {
		spec.RunPolicy.BackoffLimit = effective.Spec.RunPolicy.BackoffLimit
	}
	spec.CleanPodPolicy, spec.TTLSecondsAfterFinished, spec.ActiveDeadlineSeconds, spec.BackoffLimit = nil, nil, nil, nil
}

// Whatever upstream can write we read without a field left over, and write back as
// it was. Pod templates and metrics are Kubernetes' own types on both sides.
func TestOursReadsUpstream(t *testing.T) {
	filler := randfill.NewWithSeed(1).NilChance(0.2).NumElements(1, 3).Funcs(
		func(template *corev1.PodTemplateSpec, _ randfill.Continue) {
			template.Spec.Containers = []corev1.Container{{Name: "pytorch", Image: "example.test/train:1"}}
		},
		func(metric *autoscalingv2.MetricSpec, _ randfill.Continue) {
			metric.Type = autoscalingv2.PodsMetricSourceType
		},
		func(quantity *resource.Quantity, _ randfill.Continue) { *quantity = resource.MustParse("3") },
		func(time *metav1.Time, _ randfill.Continue) { *time = metav1.Unix(1_700_000_000, 0) },
		func(*metav1.ObjectMeta, randfill.Continue) {},
	)
	for range 1000 {
		job := &theirs.PyTorchJob{}
		filler.Fill(&job.Spec)
		filler.Fill(&job.Status)
		written := marshal(t, job)
		back := marshal(t, read[ours.PyTorchJob](t, written))
		if diff := cmp.Diff(values(t, written), values(t, back)); diff != "" {
			t.Fatalf("(-theirs +ours):\n%s", diff)
		}
	}
}

// values is a document without the order of its fields and without what is empty,
// which one of the types may leave out.
func values(t *testing.T, text []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return withoutEmpty(value)
}

func withoutEmpty(value any) any {
	fields, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for name, field := range fields {
		field = withoutEmpty(field)
		if inner, ok := field.(map[string]any); field == nil || ok && len(inner) == 0 {
			delete(fields, name)
		}
	}
	return fields
}
