package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	strictjson "sigs.k8s.io/json"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

// submission is a job that is about to be sent: as it was written, and as it is understood.
type submission struct {
	object *unstructured.Unstructured
	job    *kubeflowv1.PyTorchJob
}

// newSubmission is that of a job made from flags. What the flags don't say isn't in it.
func newSubmission(job *kubeflowv1.PyTorchJob) (*submission, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	if err != nil {
		return nil, err
	}
	bare(object)
	return &submission{&unstructured.Unstructured{Object: object}, job}, nil
}

// bare takes out what is empty, at every depth.
func bare(object map[string]any) {
	for key, value := range object {
		switch value := value.(type) {
		case nil:
			delete(object, key)
		case map[string]any:
			if bare(value); len(value) == 0 {
				delete(object, key)
			}
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					bare(item)
				}
			}
		}
	}
}

// readSubmission reads the one PyTorchJob of a manifest; "-" is standard input. The job is
// sent as it is written, except for its status.
func readSubmission(file string, stdin io.Reader) (*submission, error) {
	documents, err := readManifests([]string{file}, stdin)
	if err != nil {
		return nil, err
	}
	var found *submission
	for _, document := range documents {
		values, err := document.jsons()
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			s, err := decodeSubmission(value)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", document.where(), err)
			case found != nil:
				return nil, fmt.Errorf("%s: a second job, %s: submit takes one at a time", document.where(), s.object.GetName())
			}
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s: holds no PyTorchJob", file)
	}
	return found, nil
}

func decodeSubmission(text json.RawMessage) (*submission, error) {
	var object map[string]any
	err := json.Unmarshal(text, &object)
	s := &submission{&unstructured.Unstructured{Object: object}, &kubeflowv1.PyTorchJob{}}
	if err != nil || s.object.GetAPIVersion() == "" || s.object.GetKind() == "" {
		return nil, errors.New("is no Kubernetes object, which begins with apiVersion and kind")
	}
	if kind := s.object.GroupVersionKind(); kind != kubeflowv1.GroupVersionKind {
		return nil, fmt.Errorf("is a %s of %q, not a %s of %s: send it by kubectl apply",
			kind.Kind, s.object.GetAPIVersion(), kubeflowv1.Kind, kubeflowv1.GroupVersion)
	}
	delete(object, "status")
	unknown, err := strictjson.UnmarshalStrict(text, s.job)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", s.object.GetName(), faultIn(text, err))
	}
	for _, problem := range unknown {
		if !strings.Contains(problem.Error(), `"status.`) { // which is not sent
			return nil, fmt.Errorf("%s: %s", s.object.GetName(), oneLine(problem))
		}
	}
	switch begin := s.job.GenerateName; {
	case s.job.Name != "":
	case begin != "":
		s.job.Name = begin + "xxxxx" // as the apiserver will
	default:
		return nil, errors.New("metadata.name: must be given, or metadata.generateName")
	}
	return s, nil
}

// check says what is wrong with the job, by field path.
func (s *submission) check() error {
	if faults := kubeflowv1.Validate(kubeflowv1.Effective(s.job)); len(faults) > 0 {
		return fmt.Errorf("pytorchjob %s: %s", s.job.Name, oneLine(faults.ToAggregate()))
	}
	return nil
}

// notes are what is legal in the job, yet probably not what its author meant.
func (s *submission) notes() []string {
	var notes []string
	for _, notice := range append(kubeflowv1.Warnings(s.job, kubeflowv1.SchedulerName), kubeflowv1.Unsupported(s.job)...) {
		notes = append(notes, notice.Message)
	}
	for _, fault := range kubeflowv1.ValidateSize(kubeflowv1.Effective(s.job), controller.DefaultSettings().MaxGangSize) {
		notes = append(notes, fmt.Sprintf("%s: %s", fault.Field, fault.Detail))
	}
	fresh := s.job.DeepCopy()
	fresh.Status = kubeflowv1.JobStatus{}
	for _, doubt := range append(lintJobMemory(fresh), lintTorchrun(fresh, firstPlan(fresh))...) {
		notes = append(notes, doubt.Path+": "+printable(doubt.Message))
	}
	return append(notes, s.withoutTorchrun()...)
}

// withoutTorchrun says of a job that needs torchrun that its command does not name it. A job
// whose image brings the command may be right.
func (s *submission) withoutTorchrun() []string {
	need := "spec.elasticPolicy: Workers meet by torchrun"
	if n, number := kubeflowv1.NprocNumber(s.job.Spec.NprocPerNode); s.job.Spec.ElasticPolicy == nil {
		if !number || n < 2 {
			return nil
		}
		need = "spec.nprocPerNode: it is torchrun that starts the processes of a pod"
	}
	for _, role := range kubeflowv1.ReplicaTypes() {
		replicas := s.job.Spec.PyTorchReplicaSpecs[role]
		if replicas == nil {
			continue
		}
		trainer := kubeflowv1.Trainer(&replicas.Template.Spec)
		if trainer == nil || len(trainer.Command)+len(trainer.Args) == 0 {
			continue
		}
		words := strings.Join(append(slices.Clone(trainer.Command), trainer.Args...), " ")
		if !strings.Contains(words, "torchrun") && !strings.Contains(words, "torch.distributed.") {
			return []string{fmt.Sprintf("%s, and the command of the %s does not name it: %s", need, role, printable(words))}
		}
	}
	return nil
}
