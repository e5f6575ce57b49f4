package controller

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// clamp brings an elastic job back into its range, which autoscalers leave, and the range
// below the largest gang that is run. (One that is created out of its range is refused by the
// CRD, and one that is created too large is invalid; what has started goes on.)
func (p *pass) clamp() {
	elastic := p.job.Spec.ElasticPolicy
	worker := p.job.Spec.PyTorchReplicaSpecs[v1.Worker]
	if elastic == nil || worker == nil || *elastic.MinReplicas > *elastic.MaxReplicas {
		return
	}
	if most := p.mostWorkers(); p.status.StartTime != nil && *elastic.MinReplicas <= most && *elastic.MaxReplicas > most {
		p.bounded = true
		elastic.MaxReplicas = &most
	}
	clamped := min(max(*worker.Replicas, *elastic.MinReplicas), *elastic.MaxReplicas)
	worker.Replicas = &clamped
	if policy := p.job.Spec.RunPolicy.SchedulingPolicy; policy != nil && policy.MinAvailable != nil {
		if all := v1.Pods(p.job); *policy.MinAvailable > all {
			policy.MinAvailable = &all
		}
	}
}

// mostWorkers is how many Workers the largest gang has.
func (p *pass) mostWorkers() int32 {
	if p.hasMaster() {
		return p.MaxGangSize - 1
	}
	return p.MaxGangSize
}

// resize settles the number of Workers in effect. Every change costs the work since the
// last checkpoint on all of them: that is why changes are few, and made in one step.
func (p *pass) resize() {
	elastic := p.job.Spec.ElasticPolicy
	if elastic == nil {
		return
	}
	t, notices := v1.ReadTerms(p.Job.Annotations)
	p.terms = t
	if p.fresh {
		for _, notice := range notices {
			p.tell(corev1.EventTypeWarning, notice.Reason, notice.Message)
		}
	}
	p.yield()
	progress := p.status.Progress
	wanted := *p.job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas
	switch {
	case !v1.AutoscaledByCluster(p.Job):
		progress.Asked = nil
	case progress.Asked == nil:
		progress.Asked = &wanted
	}
	most := p.granted(*elastic.MinReplicas, *elastic.MaxReplicas)
	target := t.Allowed(min(wanted, most), *elastic.MinReplicas, most)
	switch {
	case progress.Workers == nil, p.yielded:
		progress.Workers = &target
	case target == *progress.Workers:
	case *progress.Workers < *elastic.MinReplicas: // no gang any more, since the range was raised: at once
		p.change(target)
	case t.MaxResizes >= 0 && progress.Resizes >= t.MaxResizes && *progress.Workers <= *elastic.MaxReplicas:
		p.noteClamp("MaxResizes", fmt.Sprintf("the job has been resized as often as %s allows: %d",
			v1.AnnotationMaxResizes, progress.Resizes))
		return
	case progress.LastResize != nil && p.Now.Before(progress.LastResize.Add(t.Cooldown)):
		p.wakeAt(progress.LastResize.Add(t.Cooldown))
	default:
		p.change(target)
	}
	p.explainSize(wanted, target)
}

// change puts another size into effect.
func (p *pass) change(workers int32) {
	progress := p.status.Progress
	progress.Workers = &workers
	progress.Resizes++
	progress.LastResize = &metav1.Time{Time: p.Now}
	p.resized = true
}

// explainSize says why the job has another size than it was asked for.
func (p *pass) explainSize(wanted, target int32) {
	elastic := p.job.Spec.ElasticPolicy
	asked := wanted
	if stored := p.Job.Spec.PyTorchReplicaSpecs[v1.Worker]; stored.Replicas != nil {
		asked = *stored.Replicas
	}
	run := p.runText(target)
	switch grant := p.status.Progress.Granted; {
	case grant != nil && target < wanted:
		p.noteClamp("CapacityShrunk", fmt.Sprintf("Worker.replicas is %d: %s, because %s; more are asked for again at %s",
			asked, run, grant.Reason, p.grantEnds().UTC().Format(time.RFC3339)))
	case asked > wanted && p.bounded:
		p.noteClamp("MaxGangSize", fmt.Sprintf("Worker.replicas is %d: %s, because no job has more than %d pods (--max-gang-size)",
			asked, run, p.MaxGangSize))
	case asked != wanted:
		p.noteClamp("OutOfRange", fmt.Sprintf("Worker.replicas is %d, outside of %d to %d: %s",
			asked, *elastic.MinReplicas, *elastic.MaxReplicas, run))
	case target != wanted:
		p.noteClamp("SizeNotAllowed", fmt.Sprintf("Worker.replicas is %d, which the annotations of the job do not allow: %s",
			asked, run))
	default:
		p.dropCondition(conditionScaleClamped)
	}
}

// runText says how many Workers are run, and where that waits for the cool-down, from when on.
func (p *pass) runText(target int32) string {
	progress := p.status.Progress
	if target == *progress.Workers || progress.LastResize == nil {
		return fmt.Sprintf("%d are run", target)
	}
	return fmt.Sprintf("%d are run from %s on (%s), %d until then", target,
		progress.LastResize.Add(p.terms.Cooldown).UTC().Format(time.RFC3339), v1.AnnotationResizeCooldown, *progress.Workers)
}

func (p *pass) noteClamp(reason, message string) {
	if c := condition(p.status, conditionScaleClamped); c == nil || c.Message != message {
		p.tell(corev1.EventTypeWarning, string(conditionScaleClamped), message)
	}
	p.setCondition(conditionScaleClamped, corev1.ConditionTrue, reason, message)
}

// releaseSurplus lets Workers above the size in effect go, with time for a checkpoint.
// They are those with the highest index; worker-0, which holds the rendezvous, never is.
func (p *pass) releaseSurplus() {
	for _, pod := range p.surplus {
		p.remember(pod, accounted)
		p.kill(pod, p.notice(pod))
	}
}

// grantNotice gives pods the notice that their job asks for, so that whoever evicts them
// keeps to it: kubelets and drains know no other place for it.
func (p *pass) grantNotice(spec *corev1.PodSpec) {
	if p.job.Spec.ElasticPolicy == nil || p.Job.Annotations[v1.AnnotationCheckpointGrace] == "" {
		return
	}
	seconds := int64(p.terms.Grace / time.Second)
	if own := spec.TerminationGracePeriodSeconds; own == nil || *own < seconds {
		spec.TerminationGracePeriodSeconds = &seconds
	}
}

// notice is the grace period for a pod that has to leave; nil: its own.
func (p *pass) notice(pod *corev1.Pod) *int64 {
	if p.job.Spec.ElasticPolicy == nil || ended(pod) {
		return nil
	}
	seconds := int64(p.terms.Grace / time.Second)
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil && *own >= seconds {
		return nil
	}
	return &seconds
}

// restartGang replaces all Workers where one alone would be of no use: when the one
// that holds the rendezvous is lost, and at a change of membership after the range,
// which each of them was started with, has changed.
func (p *pass) restartGang(deaths []death) {
	if p.job.Spec.ElasticPolicy == nil {
		return
	}
	lost, ranged := p.storeLost(deaths), p.rangeChanged()
	if !lost && !ranged {
		return
	}
	p.ranged = !lost && p.replacing.size() == 0
	for _, m := range p.members {
		if !p.stays(m) {
			continue
		}
		if phase := m.pod.Status.Phase; phase == corev1.PodRunning || ranged && phase == corev1.PodPending {
			p.writeOff(m, m.pod)
		}
	}
}

// stays: the member is a Worker whose pod is neither replaced nor done.
func (p *pass) stays(m member) bool {
	return m.role == v1.Worker && m.pod != nil && !p.accounted(m.pod) && !p.completed.has(m.role, m.index)
}

// storeLost: worker-0 has ended, and with it the store in which the others meet.
func (p *pass) storeLost(deaths []death) bool {
	elastic := p.job.Spec.ElasticPolicy
	if *elastic.RDZVBackend != "c10d" || elastic.RDZVHost != nil || elastic.Standalone != nil && *elastic.Standalone {
		return false
	}
	return slices.ContainsFunc(deaths, func(d death) bool {
		return d.role == v1.Worker && d.index == 0 && d.restarts == 0 && p.accounted(d.sight)
	})
}

// rangeChanged: Workers change that were started with another range than the job has now. A Worker that
// joins them, or has just done so, knows the new one.
func (p *pass) rangeChanged() bool {
	old, joined := false, p.resized
	for _, m := range p.members {
		switch {
		case m.role != v1.Worker || p.completed.has(m.role, m.index):
		case !p.stays(m), p.knowsRange(m.pod):
			joined = true
		default:
			old = true
		}
	}
	return old && joined
}

// knowsRange: the pod was started with the range that the job has now.
func (p *pass) knowsRange(pod *corev1.Pod) bool {
	trainer := v1.Trainer(&pod.Spec)
	return trainer == nil || !hasEnv(trainer.Env, nnodes) || slices.Contains(trainer.Env, corev1.EnvVar{Name: nnodes, Value: p.nnodes()})
}
