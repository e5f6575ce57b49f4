package controller

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// afterEnd is what remains to be done for a job that has ended.
func (p *pass) afterEnd() {
	p.cleanUp()
	p.dropGang()
	p.dropHPA()
	p.dropProvisioning()
	p.expire()
}

// cleaning is the clean-up policy in effect. A job that ended at a limit is stopped:
// that is what the limit is for; only its finished pods are the policy's.
func (p *pass) cleaning() v1.CleanPodPolicy {
	policy := *p.job.Spec.RunPolicy.CleanPodPolicy
	if policy != v1.CleanAll && policy != v1.CleanRunning {
		policy = v1.CleanNone // another CRD may have let anything through: when in doubt, delete nothing
	}
	if p.status.Progress.Stopped && policy == v1.CleanNone {
		return v1.CleanRunning
	}
	return policy
}

// cleanUp deletes pods by the policy, and the Services of pods that are gone or go.
func (p *pass) cleanUp() {
	policy := p.cleaning()
	if policy == v1.CleanNone {
		return
	}
	kept := map[string]bool{}
	for _, pod := range p.Pods {
		if policy == v1.CleanRunning && ended(pod) {
			kept[pod.Name] = true
			continue
		}
		p.kill(pod, nil)
	}
	for _, service := range p.Services {
		if !kept[service.Name] {
			p.remove(service)
		}
	}
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// warnStillRunning says what a job that has ended still holds.
func (p *pass) warnStillRunning() {
	if p.cleaning() != v1.CleanNone {
		return
	}
	running := 0
	held := map[corev1.ResourceName]resource.Quantity{}
	for _, pod := range p.Pods {
		if ended(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		running++
		for name, quantity := range podRequests(&pod.Spec) {
			if strings.Contains(string(name), "/") {
				sum := held[name]
				sum.Add(quantity)
				held[name] = sum
			}
		}
	}
	if running == 0 {
		return
	}
	var devices []string
	for name, quantity := range held {
		devices = append(devices, quantity.String()+" "+string(name))
	}
	slices.Sort(devices)
	pods, hold := "1 pod still runs", "it holds "
	if running > 1 {
		pods, hold = fmt.Sprintf("%d pods still run", running), "they hold "
	}
	message := pods + " after the end of the job, because spec.runPolicy.cleanPodPolicy is None"
	if len(devices) > 0 {
		message += "; " + hold + strings.Join(devices, ", ")
	}
	p.tell(corev1.EventTypeWarning, "PodsStillRunning", message)
}

// kill deletes a pod, once. Whatever goes this way is accounted for.
func (p *pass) kill(pod *corev1.Pod, grace *int64) {
	if p.doomed[pod.UID] {
		return
	}
	p.doomed[pod.UID] = true
	if pod.DeletionTimestamp == nil {
		p.plan.Delete = append(p.plan.Delete, Deletion{pod, grace})
	}
}

// remove deletes any other object, once.
func (p *pass) remove(object client.Object) {
	if object.GetDeletionTimestamp() == nil {
		p.plan.Delete = append(p.plan.Delete, Deletion{Object: object})
	}
}
