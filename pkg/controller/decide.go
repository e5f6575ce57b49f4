package controller

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Decide says what a job needs now. It is a pure function: equal arguments give equal
// plans, and it writes to nothing that it is given.
func Decide(o Observed, s Settings) Plan {
	if o.Job.DeletionTimestamp != nil || managedElsewhere(o.Job) {
		return Plan{}
	}
	p := newPass(o, s)
	switch {
	case finished(p.status):
		p.complete()
		p.enroll()
		p.afterEnd()
	case p.invalid():
		return p.result()
	case *p.job.Spec.RunPolicy.Suspend:
		p.enroll()
		if p.succeededBefore() {
			p.finish(v1.JobSucceeded, corev1.EventTypeNormal, p.successMessage())
		} else {
			p.suspend()
		}
	case p.missedSuspension():
		p.enroll()
		p.suspend()
	default:
		p.accept()
		p.start()
		p.resize()
		p.noteAdvice()
		p.noteQueue()
		p.enroll()
		p.live()
	}
	return p.result()
}

// managedElsewhere: a job that another controller was named for is left alone.
func managedElsewhere(job *v1.PyTorchJob) bool {
	by := job.Spec.RunPolicy.ManagedBy
	return by != nil && *by != v1.ManagedByOperator
}

// pass is one decision in the making.
type pass struct {
	Observed
	Settings

	// job is effective: folded, defaulted, and clamped where it has grown out of its range.
	job *v1.PyTorchJob
	// members are the pods that the job wants, in rank order; surplus are pods that it has beside.
	members []member
	surplus []*corev1.Pod
	// status is the next status.
	status *v1.JobStatus
	// completed and replacing are the sets of status.progress.
	completed, replacing memory
	// fallen is the set of status.progress.incident.
	fallen memory
	// missed are the roles of which pods went while there was no controller.
	missed map[v1.ReplicaType]bool
	// fresh: the job starts or resumes in this pass; resized: its size in effect changes;
	// yielded: it has just lost Workers to another gang;
	// bounded: its range goes beyond the largest gang; ranged: its Workers start again because
	// their range has changed, and for nothing else; failed: a program of it has.
	fresh, resized, yielded, bounded, ranged, failed bool
	terms                                            v1.Terms
	// doomed are the pods that this plan deletes.
	doomed map[types.UID]bool
	plan   Plan
}

// member is a wanted pod; pod is nil while it does not exist.
type member struct {
	role  v1.ReplicaType
	index int32
	name  string
	pod   *corev1.Pod
}

func newPass(o Observed, s Settings) *pass {
	p := &pass{
		Observed: o,
		Settings: s,
		job:      v1.Effective(o.Job),
		status:   o.Job.Status.DeepCopy(),
		doomed:   map[types.UID]bool{},
	}
	if p.status.Progress == nil {
		p.status.Progress = &v1.Progress{}
	}
	p.completed = recall(p.status.Progress.Completed)
	p.replacing = recall(p.status.Progress.Replacing)
	p.fallen = memory{}
	if incident := p.status.Progress.Incident; incident != nil {
		p.fallen = recall(incident.Fallen)
	}
	return p
}

// enroll matches the wanted pods with those that exist.
func (p *pass) enroll() {
	byName := make(map[string]*corev1.Pod, len(p.Pods))
	for _, pod := range p.Pods {
		byName[pod.Name] = pod
	}
	for _, role := range v1.ReplicaTypes() {
		for index := range p.size(role) {
			name := v1.PodName(p.job.Name, role, index)
			p.members = append(p.members, member{role, index, name, byName[name]})
			delete(byName, name)
		}
	}
	for _, pod := range p.Pods {
		if byName[pod.Name] != nil {
			p.surplus = append(p.surplus, pod)
		}
	}
	p.noteMissed()
}

// size is the number of pods of a role that the job wants now.
func (p *pass) size(role v1.ReplicaType) int32 {
	replicas := p.job.Spec.PyTorchReplicaSpecs[role]
	if replicas == nil {
		return 0
	}
	size := *replicas.Replicas
	if role == v1.Worker && p.job.Spec.ElasticPolicy != nil && p.status.Progress.Workers != nil {
		size = *p.status.Progress.Workers
	}
	return min(size, p.MaxGangSize)
}

func (p *pass) hasMaster() bool { return p.job.Spec.PyTorchReplicaSpecs[v1.Master] != nil }

// invalid stops at a job that cannot be run. The CRD refuses nearly all of those; this
// is for what was stored under another CRD.
func (p *pass) invalid() bool {
	p.clamp()
	errs := append(v1.Validate(p.job), v1.ValidateSize(p.job, p.MaxGangSize)...)
	if len(errs) == 0 {
		p.dropCondition(v1.JobInvalid)
		return false
	}
	message := errs.ToAggregate().Error()
	if c := condition(p.status, v1.JobInvalid); c == nil || c.Message != message {
		p.tell(corev1.EventTypeWarning, reasonInvalid, message)
	}
	p.setCondition(v1.JobInvalid, corev1.ConditionTrue, reasonInvalid, message)
	return true
}

// accept marks a job that is seen for the first time, and tells what is odd about it.
func (p *pass) accept() {
	if condition(p.status, v1.JobCreated) != nil {
		return
	}
	p.become(v1.JobCreated, corev1.EventTypeNormal, reasonCreated, fmt.Sprintf("PyTorchJob %s is created.", p.job.Name))
	p.warn()
}

// warn tells once what will not be as the author may think.
func (p *pass) warn() {
	notices := append(v1.Warnings(p.Job, p.SchedulerName), v1.Unsupported(p.Job)...)
	for _, notice := range append(notices, p.overriddenEnv()...) {
		p.tell(corev1.EventTypeWarning, notice.Reason, notice.Message)
	}
}

// start sets the start time, at first and after each suspension.
func (p *pass) start() {
	p.fresh = p.status.StartTime == nil || isTrue(p.status, v1.JobSuspended)
	p.resume()
	p.noteTemplates()
	if p.status.StartTime == nil {
		p.status.StartTime = &metav1.Time{Time: p.Now}
	}
}

// live is the life of a job between its start and its end.
func (p *pass) live() {
	p.rememberCompleted()
	failure := p.reckon()
	switch {
	case p.succeeded():
		p.finish(v1.JobSucceeded, corev1.EventTypeNormal, p.successMessage())
	case failure != nil:
		p.status.Progress.Stopped = failure.limit
		p.finish(v1.JobFailed, failure.eventType, failure.message)
	case p.deadlinePassed():
	default:
		p.run()
	}
}

// run gives a job what it needs to go on.
func (p *pass) run() {
	p.noteTrouble()
	p.noteSidecars()
	p.updateRunning()
	p.releaseSurplus()
	p.releaseStuck()
	if !p.wantPodGroup() {
		return
	}
	p.wantProvisioning()
	p.giveBack()
	p.wantServices()
	p.wantPods()
	p.wantHPA()
}

// finish ends the job.
func (p *pass) finish(t v1.JobConditionType, eventType, message string) {
	reason := reasonSucceeded
	if t == v1.JobFailed {
		reason = reasonFailed
	}
	p.leaveRunning(reasonRunning, p.runningMessage())
	p.dropCondition(v1.JobCreateFailed)
	p.dropCondition(conditionAutoscaled)
	p.dropCondition(conditionQueueNotFound)
	p.dropCondition(v1.JobSidecarRuns)
	p.become(t, eventType, reason, message)
	p.status.CompletionTime = &metav1.Time{Time: p.Now}
	p.replacing = memory{}
	p.status.Progress.Counted = nil
	p.afterEnd()
	p.warnStillRunning()
}

func (p *pass) tell(eventType, reason, message string) {
	p.plan.Events = append(p.plan.Events, Event{eventType, reason, message})
}

// wakeAt asks for another decision at t, or sooner.
func (p *pass) wakeAt(t time.Time) {
	if p.plan.Wake.IsZero() || t.Before(p.plan.Wake) {
		p.plan.Wake = t
	}
}

// countInterval is how often a status is written in which only numbers changed. The
// pods of a gang start together; one write for all of them is enough.
const countInterval = time.Second

// result completes the plan with the status, if it has to be written.
func (p *pass) result() Plan {
	if len(p.members) > 0 {
		p.count()
	}
	p.prune()
	order(p.status.Conditions)
	before := &p.Job.Status
	if equality.Semantic.DeepEqual(before, p.status) {
		return p.plan
	}
	last := before.LastReconcileTime
	if last != nil && p.Now.Before(last.Add(countInterval)) && p.onlyCountsChanged() {
		p.wakeAt(last.Add(countInterval))
		return p.plan
	}
	p.status.LastReconcileTime = &metav1.Time{Time: p.Now}
	p.plan.Status = p.status
	return p.plan
}

func (p *pass) onlyCountsChanged() bool {
	before := p.Job.Status
	before.ReplicaStatuses = p.status.ReplicaStatuses
	return equality.Semantic.DeepEqual(&before, p.status)
}
