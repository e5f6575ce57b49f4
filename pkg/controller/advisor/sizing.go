package advisor

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	podresource "k8s.io/component-helpers/resource"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/kube"
)

type (
	podList  = corev1.PodList
	nodeList = corev1.NodeList
)

const (
	// restartCost is what a change of size is taken to cost: until the Workers have met again
	// and, where the job tells of no checkpoints, the work since the last.
	restartCost = time.Minute
	// underWay is how long a change of size may take before it counts as stuck.
	underWay = 2 * time.Minute
)

// sizing is a job as the recommender is asked about it.
type sizing struct {
	stored *v1.PyTorchJob
	asked  int32
	job    autoscale.Job
	pods   []*corev1.Pod // Workers with a node
	told   *told         // by the job; nil: nothing
	// moving: a change of size is under way. apart: the job is not sized now, and why.
	moving bool
	apart  *controller.Advice
}

// workersOf sorts the Workers that have a node, or wait for one, by job.
func workersOf(pods []*corev1.Pod) map[types.UID][]*corev1.Pod {
	by := map[types.UID][]*corev1.Pod{}
	for _, pod := range pods {
		owner := metav1.GetControllerOfNoCopy(pod)
		if owner != nil && owner.Kind == v1.Kind && pod.Labels[controller.LabelReplicaType] == "worker" {
			by[owner.UID] = append(by[owner.UID], pod)
		}
	}
	return by
}

// sizing says where a job stands.
func (a *Advisor) sizing(stored *v1.PyTorchJob, workers []*corev1.Pod) sizing {
	job := v1.Effective(stored)
	s := sizing{stored: stored, asked: *job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas}
	terms, _ := v1.ReadTerms(stored.Annotations)
	progress := stored.Status.Progress
	now := a.Now()
	if progress == nil || progress.Workers == nil || !isRunning(stored) {
		s.apart = &controller.Advice{Verdict: "NotRunning", Reason: "only a job whose Workers run is resized"}
		return s
	}
	leaving := 0
	for _, pod := range workers {
		switch {
		case pod.DeletionTimestamp != nil:
			leaving++
		case pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodRunning:
			s.pods = append(s.pods, pod)
		}
	}
	changed := changedAt(stored)
	last := changed
	if at := a.asked[stored.UID]; at.After(last) {
		last = at
	}
	// What was asked for may never be in effect: only what the controller makes of it is waited for.
	least, most := *job.Spec.ElasticPolicy.MinReplicas, *job.Spec.ElasticPolicy.MaxReplicas
	target := terms.Allowed(min(max(s.asked, least), most), least, most)
	exhausted := terms.MaxResizes >= 0 && progress.Resizes >= terms.MaxResizes
	followed := target == *progress.Workers || progress.Granted != nil || exhausted
	settled := len(s.pods) == int(*progress.Workers) && leaving == 0 && followed
	switch s.moving = !settled && now.Before(last.Add(underWay)); {
	case s.moving:
	case exhausted:
		s.apart = &controller.Advice{Verdict: "MaxResizes", Reason: fmt.Sprintf(
			"the job has been resized as often as %s allows: %d", v1.AnnotationMaxResizes, progress.Resizes)}
	case len(s.pods) == 0 || len(s.pods) < int(*job.Spec.ElasticPolicy.MinReplicas):
		s.apart = &controller.Advice{Verdict: "NotRunning", Reason: fmt.Sprintf("%d Workers run, fewer than minReplicas", len(s.pods))}
	}
	s.job = autoscale.Job{
		Name:    stored.Namespace + "/" + stored.Name,
		Min:     int(*job.Spec.ElasticPolicy.MinReplicas),
		Max:     int(*job.Spec.ElasticPolicy.MaxReplicas),
		Current: len(s.pods),
		Step:    int(terms.Step),
		Age:     now.Sub(stored.Status.StartTime.Time), Settled: now.Sub(changed),
		Unchanged: progress.LastResize == nil && progress.Granted == nil,
		Remaining: remaining(stored, now), Cooldown: terms.Cooldown, RestartCost: restartCost,
	}
	if progress.Asked != nil {
		s.job.Asked = int(*progress.Asked)
	}
	for _, size := range terms.Sizes {
		s.job.Sizes = append(s.job.Sizes, int(size))
	}
	return s
}

// elastic says of the gangs that wait which are those of jobs that agree to be small as well:
// the recommender makes way for them as they will for others.
func elastic(pending []autoscale.Pending, jobs []*v1.PyTorchJob) {
	by := map[string]*v1.PyTorchJob{}
	for _, job := range jobs {
		by[job.Namespace+"/"+job.Name] = v1.Effective(job)
	}
	for i := range pending {
		job := by[pending[i].Name]
		if job == nil {
			continue
		}
		asked := job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas
		if progress := job.Status.Progress; progress != nil && progress.Asked != nil {
			asked = progress.Asked
		}
		pending[i].Floor, pending[i].Asked = int(*job.Spec.ElasticPolicy.MinReplicas), int(*asked)
	}
}

// changedAt is when the job got its present size.
func changedAt(job *v1.PyTorchJob) time.Time {
	at := job.Status.StartTime.Time
	if progress := job.Status.Progress; progress.LastResize != nil {
		at = progress.LastResize.Time
	}
	if granted := job.Status.Progress.Granted; granted != nil && granted.Since.After(at) {
		at = granted.Since.Time
	}
	return at
}

// remaining is how much longer the job says that it runs; 0: it does not say.
func remaining(job *v1.PyTorchJob, now time.Time) time.Duration {
	expected, err := time.ParseDuration(job.Annotations[v1.AnnotationExpectedDuration])
	if err != nil {
		return 0
	}
	return max(0, expected-now.Sub(job.Status.StartTime.Time))
}

func isRunning(job *v1.PyTorchJob) bool {
	conditions := job.Status.Conditions
	return len(conditions) > 0 && conditions[len(conditions)-1].Type == v1.JobRunning && job.Status.StartTime != nil
}

// withNodes adds what the job's pods take, and what of it their node has.
func (s sizing) withNodes(offline *kube.Offline) autoscale.Job {
	job, pod := s.job, s.pods[0]
	job.Priority = kube.Priority(pod)
	for name, quantity := range podresource.PodRequests(pod, podresource.PodResourcesOptions{}) {
		if !strings.HasSuffix(string(name), "/gpu") {
			continue
		}
		job.GPUs = int(quantity.Value())
		for _, node := range offline.Objects() {
			if node.Name == pod.Spec.NodeName {
				job.NodeGPUs = int(node.Status.Allocatable.Name(name, "").Value())
			}
		}
	}
	return job
}
