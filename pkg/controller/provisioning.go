package controller

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// ProvisioningRequestKind is by what cluster autoscalers are asked for machines for a
// whole gang at once. It is a foreign kind, and handled without its Go types.
var ProvisioningRequestKind = schema.GroupVersionKind{Group: "autoscaling.x-k8s.io", Version: "v1", Kind: "ProvisioningRequest"}

// The annotations by which pods say which request is for them, and of which class.
const (
	annotationConsumes = "autoscaling.x-k8s.io/consume-provisioning-request"
	annotationClass    = "autoscaling.x-k8s.io/provisioning-class-name"
)

// conditionProvisioned mirrors what became of the job's requests for machines.
const conditionProvisioned v1.JobConditionType = "Provisioned"

// wantProvisioning asks for machines: once for the gang's floor, and once for each
// expansion beyond it. The pods are there meanwhile, and wait for room as any gang does.
func (p *pass) wantProvisioning() {
	if p.ProvisioningClass == "" {
		return
	}
	wanted := map[string]bool{}
	var unmet *unstructured.Unstructured
	for _, name := range p.requestNames() {
		members := p.consumers(name)
		request := p.request(name)
		wanted[name] = true
		switch {
		case request == nil:
			p.createRequest(name, members)
		case p.spent(request, members):
			p.retryRequest(request)
			unmet = request
		case unmet == nil && !provisioned(request):
			unmet = request
		}
	}
	for _, request := range p.Requests {
		if !wanted[request.GetName()] && request.GetDeletionTimestamp() == nil {
			p.removeRequest(request)
		}
	}
	p.mirror(unmet)
}

// requestName is the request that is for a member: its pod says, or it will be told.
func (p *pass) requestName(m member) string {
	if m.pod != nil && m.pod.Annotations[annotationConsumes] != "" {
		return m.pod.Annotations[annotationConsumes]
	}
	if m.role == v1.Master || p.job.Spec.ElasticPolicy == nil || m.index < *p.job.Spec.ElasticPolicy.MinReplicas {
		return p.job.Name
	}
	return fmt.Sprintf("%s-expand-%d", p.job.Name, p.size(v1.Worker))
}

// requestNames are those of all members, that of the floor first.
func (p *pass) requestNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range p.members {
		if name := p.requestName(m); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func (p *pass) consumers(name string) []member {
	var members []member
	for _, m := range p.members {
		if p.requestName(m) == name {
			members = append(members, m)
		}
	}
	return members
}

func (p *pass) request(name string) *unstructured.Unstructured {
	for _, request := range p.Requests {
		if request.GetName() == name {
			return request
		}
	}
	return nil
}

// createRequest makes the request, and before it the templates that it refers to.
func (p *pass) createRequest(name string, members []member) {
	if !p.mayCreate() {
		return
	}
	if again := p.status.Progress.Provisioning; again != nil && p.Now.Before(again.Retry.Time) {
		p.wakeAt(again.Retry.Time)
		return
	}
	var podSets []any
	for _, role := range v1.ReplicaTypes() {
		count := 0
		var first member
		for _, m := range members {
			if m.role == role {
				if count == 0 {
					first = m
				}
				count++
			}
		}
		if count == 0 {
			continue
		}
		template := p.buildTemplate(fmt.Sprintf("%s-%s", name, strings.ToLower(string(role))), first)
		if !p.hasTemplate(template.Name) {
			p.plan.Create = append(p.plan.Create, template)
		}
		podSets = append(podSets, map[string]any{
			"podTemplateRef": map[string]any{"name": template.Name}, "count": int64(count),
		})
	}
	request := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"provisioningClassName": p.ProvisioningClass, "podSets": podSets},
	}}
	request.SetGroupVersionKind(ProvisioningRequestKind)
	request.SetNamespace(p.job.Namespace)
	request.SetName(name)
	request.SetLabels(jobLabels(p.job.Name))
	request.SetOwnerReferences(p.owner())
	p.plan.Create = append(p.plan.Create, request)
}

func (p *pass) buildTemplate(name string, m member) *corev1.PodTemplate {
	pod := p.buildPod(m)
	return &corev1.PodTemplate{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PodTemplate"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: p.job.Namespace, Labels: jobLabels(p.job.Name), OwnerReferences: p.owner()},
		Template:   corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
	}
}

func (p *pass) hasTemplate(name string) bool {
	for _, template := range p.Templates {
		if template.Name == name {
			return true
		}
	}
	return false
}

// spent: the request has ended without machines for all of its members.
func (p *pass) spent(request *unstructured.Unstructured, members []member) bool {
	over := false
	for _, end := range []string{"Failed", "BookingExpired", "CapacityRevoked"} {
		over = over || meta.IsStatusConditionTrue(conditionsOf(request), end)
	}
	if !over {
		return false
	}
	for _, m := range members {
		if m.pod == nil || m.pod.Spec.NodeName == "" {
			return true
		}
	}
	return false
}

// retryRequest takes a request back, and has it made again after a minute, then after
// twice as long each time, up to half an hour.
func (p *pass) retryRequest(request *unstructured.Unstructured) {
	if request.GetDeletionTimestamp() != nil {
		return
	}
	again := p.status.Progress.Provisioning
	if again == nil {
		again = &v1.Provisioning{}
	}
	delay := min(30*time.Minute, time.Minute<<min(again.Attempts, 5))
	p.status.Progress.Provisioning = &v1.Provisioning{Attempts: again.Attempts + 1, Retry: metav1.NewTime(p.Now.Add(delay))}
	p.wakeAt(p.Now.Add(delay))
	p.tell(corev1.EventTypeWarning, "ProvisioningRetried", fmt.Sprintf("%s; it is made again in %v", p.describe(request), delay))
	p.removeRequest(request)
}

func (p *pass) removeRequest(request *unstructured.Unstructured) {
	p.remove(request)
	for _, template := range p.Templates {
		if template.Name == request.GetName()+"-master" || template.Name == request.GetName()+"-worker" {
			p.remove(template)
		}
	}
}

// dropProvisioning takes all requests away from a job that holds nothing any more.
func (p *pass) dropProvisioning() {
	for _, request := range p.Requests {
		p.remove(request)
	}
	for _, template := range p.Templates {
		p.remove(template)
	}
	p.dropCondition(conditionProvisioned)
}

// mirror shows on the job the first request that is not met; without one: all are.
func (p *pass) mirror(unmet *unstructured.Unstructured) {
	switch {
	case unmet != nil:
		p.setCondition(conditionProvisioned, corev1.ConditionFalse, lastOf(unmet).Reason, p.describe(unmet))
	case len(p.Requests) > 0:
		p.status.Progress.Provisioning = nil
		p.setCondition(conditionProvisioned, corev1.ConditionTrue, "Provisioned", "every ProvisioningRequest of the job is met")
	}
}

func (p *pass) describe(request *unstructured.Unstructured) string {
	text := fmt.Sprintf("ProvisioningRequest %s of class %s", request.GetName(), p.ProvisioningClass)
	last := lastOf(request)
	if last.Type == "" {
		return text + " waits for an autoscaler to take it up"
	}
	text += fmt.Sprintf(": %s is %s", last.Type, last.Status)
	if last.Message != "" {
		text += ": " + last.Message
	}
	return text
}

func provisioned(request *unstructured.Unstructured) bool {
	conditions := conditionsOf(request)
	return meta.IsStatusConditionTrue(conditions, "Provisioned") && !meta.IsStatusConditionTrue(conditions, "CapacityRevoked")
}

// lastOf is the condition that changed last, which tells most; zero, but for its reason,
// where there is none.
func lastOf(request *unstructured.Unstructured) metav1.Condition {
	last := metav1.Condition{Reason: "Requested"}
	for _, c := range conditionsOf(request) {
		if c.Status == metav1.ConditionTrue && !c.LastTransitionTime.Before(&last.LastTransitionTime) {
			last = c
		}
	}
	return last
}

func conditionsOf(request *unstructured.Unstructured) []metav1.Condition {
	status := struct {
		Conditions []metav1.Condition `json:"conditions"`
	}{}
	if content, ok := request.Object["status"].(map[string]any); ok {
		// What does not decode is as good as not there: the autoscaler will write again.
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(content, &status)
	}
	return status.Conditions
}
