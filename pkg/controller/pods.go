package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelpers "k8s.io/component-helpers/resource"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// wantPods creates the pods that are missing and replaces those that are written off.
func (p *pass) wantPods() {
	var missing []*corev1.Pod
	for _, m := range p.members {
		switch {
		case p.completed.has(m.role, m.index):
		case m.pod == nil && p.backOff(m):
		case m.pod == nil:
			missing = append(missing, p.buildPod(m))
		case p.accounted(m.pod):
			p.kill(m.pod, p.notice(m.pod))
		}
	}
	if len(missing) == 0 || !p.mayCreate() {
		return
	}
	if len(p.Pods) == 0 {
		p.plan.Probe = firstOfEachRole(missing)
	}
	for _, pod := range missing {
		p.plan.Create = append(p.plan.Create, pod)
	}
}

// firstOfEachRole are the pods that stand for all others: those differ in their names only.
func firstOfEachRole(pods []*corev1.Pod) []*corev1.Pod {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool {
		role := pod.Labels[LabelReplicaType]
		known := seen[role]
		seen[role] = true
		return known
	})
}

// buildPod makes a member's pod from its template.
func (p *pass) buildPod(m member) *corev1.Pod {
	replicas := p.job.Spec.PyTorchReplicaSpecs[m.role]
	template := replicas.Template.DeepCopy()
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:            m.name,
			Namespace:       p.job.Namespace,
			Labels:          p.podLabels(m, template.Labels),
			Annotations:     template.Annotations,
			Finalizers:      template.Finalizers,
			OwnerReferences: p.owner(),
		},
		Spec: template.Spec,
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicy(replicas.RestartPolicy)
	if replicas.RestartPolicy == v1.RestartExitCode {
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever // the controller looks at the code itself
	}
	if pod.Spec.SchedulerName == "" {
		pod.Spec.SchedulerName = p.SchedulerName
	}
	if policy := p.job.Spec.RunPolicy.SchedulingPolicy; policy != nil && pod.Spec.PriorityClassName == "" {
		pod.Spec.PriorityClassName = policy.PriorityClass
	}
	if m.role == v1.Worker && p.hasMaster() && p.InitContainer != nil {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, p.InitContainer(v1.PodName(p.job.Name, v1.Master, 0)))
	}
	p.grantNotice(&pod.Spec)
	if p.ProvisioningClass != "" {
		pod.Annotations = maps.Clone(pod.Annotations)
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[annotationConsumes], pod.Annotations[annotationClass] = p.requestName(m), p.ProvisioningClass
	}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		container.Env = mergeEnv(container.Env, p.env(m, container.Env))
	}
	return pod
}

func (p *pass) podLabels(m member, fromTemplate map[string]string) map[string]string {
	labels := map[string]string{}
	if p.LegacyLabels {
		maps.Copy(labels, legacyLabels(p.job.Name, m.role, m.index))
	}
	maps.Copy(labels, fromTemplate)
	maps.Copy(labels, memberLabels(p.job.Name, m.role, m.index))
	labels[LabelPodGroup] = p.job.Name
	if m.role == v1.Master || !p.hasMaster() && m.index == 0 {
		labels[LabelJobRole] = "master"
	}
	return labels
}

// owner makes an object the job's, and goes with it.
func (p *pass) owner() []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(p.Job, v1.GroupVersionKind)}
}

// owned: the job controls the object.
func (p *pass) owned(object metav1.Object) bool { return metav1.IsControlledBy(object, p.Job) }

// podRequests is what a pod of this spec takes from a node: a limit stands in for a
// request that is not given, as the apiserver has it.
func podRequests(spec *corev1.PodSpec) corev1.ResourceList {
	pod := &corev1.Pod{Spec: *spec.DeepCopy()}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			resources := &containers[i].Resources
			if resources.Requests == nil {
				resources.Requests = corev1.ResourceList{}
			}
			for name, limit := range resources.Limits {
				if _, given := resources.Requests[name]; !given {
					resources.Requests[name] = limit
				}
			}
		}
	}
	return resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})
}
