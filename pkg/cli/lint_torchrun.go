package cli

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

// torchOption is one that a command gives to torchrun.
type torchOption struct{ name, value string }

// torchSwitches are the options of torchrun that take no value.
var torchSwitches = []string{"-m", "-h", "--module", "--no-python", "--run-path", "--standalone", "--virtual-local-rank", "--help"}

// torchOptions are those of a command that is torchrun, or a line of a shell with it, up to the
// program that it runs: what follows is that program's.
func torchOptions(command []string) []torchOption {
	words := strings.Fields(strings.Join(command, " "))
	begin := slices.IndexFunc(words, func(word string) bool {
		word = strings.Trim(word, `"'`)
		return path.Base(word) == "torchrun" || word == "torch.distributed.run" || word == "torch.distributed.launch"
	})
	if begin < 0 {
		return nil
	}
	var options []torchOption
	for i := begin + 1; i < len(words) && strings.HasPrefix(words[i], "-"); i++ {
		name, value, joined := strings.Cut(words[i], "=")
		name = strings.ReplaceAll(name, "_", "-")
		if !joined && !slices.Contains(torchSwitches, name) && i+1 < len(words) {
			i++
			value = words[i]
		}
		options = append(options, torchOption{name, strings.Trim(value, `"'`)})
	}
	return options
}

// lintTorchrun finds options of torchrun that win over the variables which the pods of a job are to
// get, in so far as they say something else. One that refers to a variable may say the same.
func lintTorchrun(job *kubeflowv1.PyTorchJob, plan controller.Plan) []finding {
	var findings []finding
	var pods []*corev1.Pod
	for _, object := range plan.Create {
		if pod, is := object.(*corev1.Pod); is {
			pods = append(pods, pod)
		}
	}
	for _, pod := range pods {
		trainer := kubeflowv1.Trainer(&pod.Spec)
		for _, option := range torchOptions(append(slices.Clone(trainer.Command), trainer.Args...)) {
			message := ""
			switch ours, set := torchVariable(job, trainer, option.name); {
			case option.name == "--standalone" && len(pods) > 1:
				message = "--standalone makes each of the pods train by itself: leave it out"
			case set && option.value != ours && !strings.Contains(option.value, "$"):
				message = fmt.Sprintf("%s %s wins over the %s that Lockstep sets: leave it out", option.name, option.value, ours)
			}
			if message == "" {
				continue
			}
			f := finding{Severity: severityWarning, Path: trainerPath(job, pod), Message: message}
			if !slices.ContainsFunc(findings, func(other finding) bool {
				return other.Path == f.Path && strings.HasPrefix(other.Message, option.name+" ")
			}) {
				findings = append(findings, f) // the others of the role may differ in their ranks
			}
		}
	}
	return findings
}

// torchVariable is what a pod is told of an option of torchrun. The number of processes is told
// by every job; it is the user's where the job leaves it open.
func torchVariable(job *kubeflowv1.PyTorchJob, trainer *corev1.Container, option string) (value string, set bool) {
	elastic := job.Spec.ElasticPolicy
	if option == "--nproc-per-node" && job.Spec.NprocPerNode == nil && (elastic == nil || elastic.NProcPerNode == nil) {
		return "", false
	}
	name := "PET_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(option, "--"), "-", "_"))
	at := slices.IndexFunc(trainer.Env, func(variable corev1.EnvVar) bool { return variable.Name == name })
	if at < 0 {
		return "", false
	}
	return trainer.Env[at].Value, true
}

// trainerPath is where a job has the container that trains in a pod.
func trainerPath(job *kubeflowv1.PyTorchJob, pod *corev1.Pod) string {
	role := kubeflowv1.Worker
	if pod.Labels[controller.LabelReplicaType] == "master" {
		role = kubeflowv1.Master
	}
	spec := &job.Spec.PyTorchReplicaSpecs[role].Template.Spec
	at := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == kubeflowv1.ContainerName })
	return specPath.Child("pytorchReplicaSpecs").Key(string(role)).Child("template", "spec", "containers").Index(at).String()
}
