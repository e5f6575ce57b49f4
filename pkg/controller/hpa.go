package controller

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const autoscalerKind = "HorizontalPodAutoscaler"

// wantHPA keeps the autoscaler of an elastic job with metrics, unless somebody else's
// scales the job already: Worker.replicas has one writer.
func (p *pass) wantHPA() {
	if !p.autoscaled() {
		p.dropHPA()
		return
	}
	mine := p.HPA != nil && p.owned(p.HPA)
	if p.Rival != "" {
		if mine || p.fresh {
			p.tell(corev1.EventTypeWarning, "AutoscalerConflict", fmt.Sprintf(
				"spec.elasticPolicy.metrics: ignored, the HorizontalPodAutoscaler %s scales this job already", p.Rival))
		}
		p.dropHPA()
		return
	}
	wanted := p.buildHPA()
	switch {
	case p.HPA == nil:
		if p.mayCreate() && p.mayTry(autoscalerKind) {
			p.plan.Create = append(p.plan.Create, wanted)
		}
	case mine && p.HPA.DeletionTimestamp == nil:
		next := p.HPA.DeepCopy()
		next.Spec.ScaleTargetRef, next.Spec.MinReplicas = wanted.Spec.ScaleTargetRef, wanted.Spec.MinReplicas
		next.Spec.MaxReplicas, next.Spec.Metrics = wanted.Spec.MaxReplicas, wanted.Spec.Metrics
		if !equality.Semantic.DeepEqual(p.HPA, next) && p.mayTry(autoscalerKind) {
			p.plan.Patch = append(p.plan.Patch, Patch{p.HPA, next})
		}
	}
}

// autoscaled: the job asks for an autoscaler.
func (p *pass) autoscaled() bool {
	elastic := p.job.Spec.ElasticPolicy
	return elastic != nil && len(elastic.Metrics) > 0
}

func (p *pass) buildHPA() *autoscalingv2.HorizontalPodAutoscaler {
	elastic := p.job.Spec.ElasticPolicy
	least := *elastic.MinReplicas
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: autoscalerKind},
		ObjectMeta: metav1.ObjectMeta{
			Name:            p.job.Name,
			Namespace:       p.job.Namespace,
			OwnerReferences: p.owner(),
		},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: v1.GroupVersion.String(), Kind: v1.Kind, Name: p.job.Name,
			},
			MinReplicas: &least,
			MaxReplicas: *elastic.MaxReplicas,
			Metrics:     elastic.Metrics,
		},
	}
}

// dropHPA takes the job's own autoscaler away.
func (p *pass) dropHPA() {
	if p.HPA != nil && p.owned(p.HPA) {
		p.remove(p.HPA)
	}
}
