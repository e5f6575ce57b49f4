package v1

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Effective returns the job as it is run: old field positions folded into
// runPolicy, every default filled in. Its argument is not written to; what is wrong
// in it stays wrong, for Validate to find.
func Effective(stored *PyTorchJob) *PyTorchJob {
	job := stored.DeepCopy()
	foldLegacy(&job.Spec)
	defaultRunPolicy(&job.Spec.RunPolicy)
	for _, replicas := range job.Spec.PyTorchReplicaSpecs {
		defaultReplicas(replicas)
	}
	defaultElastic(&job.Spec)
	if job.Spec.NprocPerNode == nil && (job.Spec.ElasticPolicy == nil || job.Spec.ElasticPolicy.NProcPerNode == nil) {
		job.Spec.NprocPerNode = new(intstr.FromString("auto"))
	}
	return job
}

// foldLegacy moves the old top-level positions into RunPolicy, which wins.
func foldLegacy(spec *PyTorchJobSpec) {
	fold(&spec.CleanPodPolicy, &spec.RunPolicy.CleanPodPolicy)
	fold(&spec.TTLSecondsAfterFinished, &spec.RunPolicy.TTLSecondsAfterFinished)
	fold(&spec.ActiveDeadlineSeconds, &spec.RunPolicy.ActiveDeadlineSeconds)
	fold(&spec.BackoffLimit, &spec.RunPolicy.BackoffLimit)
}

func fold[T any](old, now **T) {
	if *now == nil {
		*now = *old
	}
	*old = nil
}

// IgnoredLegacyFields names the old positions whose value loses against a different
// one in runPolicy.
func IgnoredLegacyFields(stored *PyTorchJob) []string {
	spec, policy := stored.Spec, stored.Spec.RunPolicy
	var ignored []string
	note := func(name string, differs bool) {
		if differs {
			ignored = append(ignored, "spec."+name)
		}
	}
	note("cleanPodPolicy", spec.CleanPodPolicy != nil && policy.CleanPodPolicy != nil &&
		cleanUp(*spec.CleanPodPolicy) != cleanUp(*policy.CleanPodPolicy))
	note("ttlSecondsAfterFinished", differ(spec.TTLSecondsAfterFinished, policy.TTLSecondsAfterFinished))
	note("activeDeadlineSeconds", differ(spec.ActiveDeadlineSeconds, policy.ActiveDeadlineSeconds))
	note("backoffLimit", differ(spec.BackoffLimit, policy.BackoffLimit))
	return ignored
}

// cleanUp is the policy that a name stands for.
func cleanUp(policy CleanPodPolicy) CleanPodPolicy { return cmp.Or(policy, CleanNone) }

func differ[T comparable](a, b *T) bool { return a != nil && b != nil && *a != *b }

func defaultRunPolicy(policy *RunPolicy) {
	if policy.CleanPodPolicy == nil || *policy.CleanPodPolicy == "" {
		policy.CleanPodPolicy = new(CleanNone)
	}
	if policy.Suspend == nil {
		policy.Suspend = new(false)
	}
}

func defaultReplicas(replicas *ReplicaSpec) {
	if replicas == nil {
		return
	}
	if replicas.Replicas == nil {
		replicas.Replicas = new(int32(1))
	}
	if replicas.RestartPolicy == "" {
		replicas.RestartPolicy = RestartOnFailure
	}
	if trainer := Trainer(&replicas.Template.Spec); trainer != nil && namedPort(trainer) == nil {
		trainer.Ports = append(trainer.Ports, corev1.ContainerPort{Name: PortName, ContainerPort: DefaultPort})
	}
}

func defaultElastic(spec *PyTorchJobSpec) {
	elastic := spec.ElasticPolicy
	if elastic == nil {
		return
	}
	if elastic.MinReplicas == nil {
		elastic.MinReplicas = clone(elastic.MaxReplicas)
	}
	if elastic.MaxReplicas == nil {
		elastic.MaxReplicas = clone(elastic.MinReplicas)
	}
	if workers := spec.PyTorchReplicaSpecs[Worker]; elastic.MinReplicas == nil && workers != nil {
		elastic.MinReplicas, elastic.MaxReplicas = clone(workers.Replicas), clone(workers.Replicas)
	}
	if elastic.RDZVBackend == nil || *elastic.RDZVBackend == "" {
		elastic.RDZVBackend = new("c10d")
	}
	if elastic.RDZVHost != nil && *elastic.RDZVHost == "" {
		elastic.RDZVHost = nil
	}
	if len(elastic.RDZVConf) == 0 {
		elastic.RDZVConf = nil
	}
}

// Trainer returns the container named pytorch, nil if there is none.
func Trainer(spec *corev1.PodSpec) *corev1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == ContainerName {
			return &spec.Containers[i]
		}
	}
	return nil
}

// MeetingPort returns the port named pytorchjob-port of container pytorch, or its default.
func MeetingPort(spec *corev1.PodSpec) int32 {
	if trainer := Trainer(spec); trainer != nil {
		if port := namedPort(trainer); port != nil {
			return port.ContainerPort
		}
	}
	return DefaultPort
}

func namedPort(trainer *corev1.Container) *corev1.ContainerPort {
	for i := range trainer.Ports {
		if trainer.Ports[i].Name == PortName {
			return &trainer.Ports[i]
		}
	}
	return nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
