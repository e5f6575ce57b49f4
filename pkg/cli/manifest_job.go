package cli

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

// expand makes the pods and the pod group that the controller would create for a job
// of which nothing exists yet. A job that it would leave alone has none, and a note why.
func expand(job *kubeflowv1.PyTorchJob, schedulerName string) (
	pods []*corev1.Pod, group *schedulingv1alpha1.PodGroup, note string, err error,
) {
	settings := controller.DefaultSettings()
	settings.SchedulerName = schedulerName
	effective := kubeflowv1.Effective(job)
	faults := append(kubeflowv1.Validate(effective), kubeflowv1.ValidateSize(effective, settings.MaxGangSize)...)
	if len(faults) > 0 {
		return nil, nil, "", errors.New(oneLine(faults.ToAggregate()))
	}
	plan := controller.Decide(controller.Observed{Job: job, Now: time.Unix(0, 0)}, settings)
	for _, object := range plan.Create {
		switch object := object.(type) {
		case *corev1.Pod:
			pods = append(pods, object)
		case *schedulingv1alpha1.PodGroup:
			group = object
		}
	}
	if len(pods) == 0 {
		return nil, nil, "wants no pods: it is suspended, has ended, or is run by another controller", nil
	}
	group.CreationTimestamp = job.CreationTimestamp
	return pods, group, "", nil
}
