package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const (
	// incidentWindow is how long after a death its peers may fall as a consequence: the
	// time-outs of collective operations are shorter than that.
	incidentWindow = 30 * time.Second
	// doubtWindow is how long a permanent exit code waits for the news of a peer that fell
	// before, from when it is known: kubelets report at different times, in whole seconds, and
	// their clocks differ.
	doubtWindow = 3 * time.Second
	// signal is the first exit code that comes from outside the program.
	signal = 128
	// accounted marks a pod in status.progress.counted whose end is accounted for.
	accounted = -1
)

// failure is the end of a job, not yet written.
type failure struct {
	eventType, message string
	// limit: the job ended at a limit, its running pods are stopped.
	limit bool
}

// death is the end of a pod, or of its containers, that is not accounted for yet.
type death struct {
	member
	// sight is the pod, or the last sight of it.
	sight *corev1.Pod
	exit
	// restarts of containers in place; 0 when the pod itself has ended.
	restarts int32
}

// reckon accounts for what has died since the last decision: what is replaced, what
// counts against backoffLimit, and whether the job has failed by it.
//
// One incident is one death with all that follows from it: the peers that were running
// then and fell with a code of their own within incidentWindow. It counts once.
func (p *pass) reckon() *failure {
	deaths := p.deaths()
	for _, d := range deaths {
		policy := p.job.Spec.PyTorchReplicaSpecs[d.role].RestartPolicy
		blameless := p.blameless(d, policy)
		p.failed = p.failed || !blameless
		switch {
		case blameless:
			p.incident(d.at, 0)
		case p.consequence(d):
		case d.restarts > 0 || policy == v1.RestartAlways || policy == v1.RestartOnFailure,
			policy == v1.RestartExitCode && d.code >= signal:
			p.status.Progress.Restarts += max(d.restarts, 1)
			p.incident(d.at, d.code)
			p.noteCrash(d)
		case p.inDoubt(d):
			continue
		default:
			p.tellExit(d.sight, d.exit)
			return &failure{corev1.EventTypeWarning, p.failureMessage(d.role, policy), false}
		}
		p.account(d)
	}
	if limit := p.job.Spec.RunPolicy.BackoffLimit; limit != nil && p.status.Progress.Restarts > *limit {
		p.tellLast(deaths)
		return &failure{corev1.EventTypeNormal,
			fmt.Sprintf("Job %s has failed because it has reached the specified backoff limit", p.job.Name), true}
	}
	p.restartGang(deaths)
	return nil
}

// tellLast says how the programs ended that the kubelet has restarted in place. Their pods
// run, so they are stopped with the job, and their logs go with them.
func (p *pass) tellLast(deaths []death) {
	for _, d := range deaths {
		if d.restarts > 0 {
			p.tellExit(d.sight, d.exit)
		}
	}
}

// deaths are in the order in which they happened. Of two in the same second the one by
// a signal is the likelier cause.
func (p *pass) deaths() []death {
	gone := make(map[string]*corev1.Pod, len(p.Gone))
	for _, pod := range p.Gone {
		gone[pod.Name] = pod
	}
	var deaths []death
	for _, m := range p.members {
		pod := m.pod
		if pod == nil {
			pod = gone[m.name]
		}
		if pod == nil && p.wentUnseen(m) {
			pod = &corev1.Pod{}
		}
		if pod == nil || p.accounted(pod) || p.completed.has(m.role, m.index) {
			continue
		}
		d := death{member: m, sight: pod, exit: exitOf(pod)}
		switch seen := p.status.Progress.Counted[string(pod.UID)]; {
		case m.pod == nil:
			d.at = p.Now.Add(-doubtWindow) // or later: peers that fell meanwhile may have fallen by it
		case pod.DeletionTimestamp != nil:
			d.at = deletionStart(pod)
		case pod.Status.Phase == corev1.PodFailed:
		case pod.Spec.RestartPolicy != corev1.RestartPolicyNever && restartsOf(pod) > seen: // under Never only sidecars are
			d.restarts = restartsOf(pod) - seen
			d.exit = lastExitOf(pod)
			if d.known && d.code == 0 {
				p.remember(pod, restartsOf(pod))
				continue
			}
		default:
			continue
		}
		deaths = append(deaths, d)
	}
	slices.SortStableFunc(deaths, func(a, b death) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(b.code/signal, a.code/signal))
	})
	return deaths
}

// wentUnseen: a member of a running job is not there, and the controller was not either when
// it went. Nobody knows when that was: peers that have fallen since may have fallen by it.
func (p *pass) wentUnseen(m member) bool {
	return p.missed[m.role] && m.pod == nil && !p.replacing.has(m.role, m.index) && !p.completed.has(m.role, m.index)
}

// noteMissed finds, when the controller has just started, the roles of which pods went without
// it: fewer are left than ran when the status was last written. Where none went, those that are
// not there were never made: the controller may have ended while a job grew.
func (p *pass) noteMissed() {
	if !p.First || p.resized || !isTrue(p.status, v1.JobRunning) {
		return
	}
	left := map[v1.ReplicaType]int32{}
	for _, m := range p.members {
		if m.pod != nil && m.pod.Status.Phase != corev1.PodPending && !p.completed.has(m.role, m.index) {
			left[m.role]++
		}
	}
	p.missed = map[v1.ReplicaType]bool{}
	for role, counts := range p.Job.Status.ReplicaStatuses {
		p.missed[role] = counts.Active > left[role]
	}
}

// blameless deaths are not the program's: they never count, and never end a job.
func (p *pass) blameless(d death, policy v1.RestartPolicy) bool {
	switch {
	case d.restarts > 0:
		return false
	case d.pod == nil, d.sight.DeletionTimestamp != nil:
		return true // deleted by someone
	}
	return disrupted(d.sight) || policy != v1.RestartNever && (!d.known || d.sight.Status.Reason == "NodeLost")
}

// disrupted: the pod was evicted, or a node did not take it.
func disrupted(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	switch reason := pod.Status.Reason; reason {
	case "Evicted", "UnexpectedAdmissionError", "NodeAffinity", "NodeShutdown", "Terminated", "Shutdown", "Preempting":
		return true
	default:
		return strings.HasPrefix(reason, "OutOf")
	}
}

// consequence: the death follows from the last incident, or from a pod that is being
// taken away now.
func (p *pass) consequence(d death) bool {
	if d.code < 1 || d.code >= signal {
		return false
	}
	for _, m := range p.members {
		if p.wentUnseen(m) {
			return true
		}
		if m.pod != nil && m.pod.DeletionTimestamp != nil && m.name != d.name && !d.at.Before(deletionStart(m.pod)) {
			return true
		}
	}
	cause := p.status.Progress.Incident
	if cause == nil || p.fallen.has(d.role, d.index) {
		return false
	}
	after := d.at.Sub(cause.At.Time)
	if after < 0 && cause.Code == 0 {
		// What takes a pod away begins before that pod has ended, and before it is known.
		return -after <= 2*doubtWindow
	}
	if after < 0 {
		// A cause that was reported late: it takes the place of its consequence.
		late := -after <= incidentWindow && cause.Code >= 1 && cause.Code < signal
		if late {
			cause.At, cause.Code = metav1.NewTime(d.at), d.code
		}
		return late
	}
	return after <= incidentWindow && !d.started.After(cause.At.Time)
}

// inDoubt puts a permanent failure off while peers are there whose death may explain it.
func (p *pass) inDoubt(d death) bool {
	until := p.Failed[d.sight.UID].Add(doubtWindow)
	if d.at.IsZero() || !p.Now.Before(until) {
		return false
	}
	for _, m := range p.members {
		if m.name != d.name && m.pod != nil && m.pod.Status.Phase != corev1.PodSucceeded {
			p.wakeAt(until)
			return true
		}
	}
	return false
}

// quick is the life of a program below which its end counts as a crash at the start.
const quick = time.Minute

// noteCrash counts crashes at the start in a row. The kubelet has a count of its own
// for what it restarts in place.
func (p *pass) noteCrash(d death) {
	switch {
	case d.restarts > 0 || d.started.IsZero():
	case d.at.Sub(d.started) < quick:
		p.status.Progress.Crashes++
	default:
		p.status.Progress.Crashes = 0
	}
}

// backOff holds the replacement of what crashes again and again: for 2 s after the
// second time, then twice as long each time, up to 5 minutes.
func (p *pass) backOff(m member) bool {
	crashes, cause := p.status.Progress.Crashes, p.status.Progress.Incident
	if crashes < 2 || cause == nil || !p.replacing.has(m.role, m.index) {
		return false
	}
	until := cause.At.Add(min(5*time.Minute, time.Second<<min(crashes-1, 10)))
	if !p.Now.Before(until) {
		return false
	}
	p.wakeAt(until)
	return true
}

func (p *pass) incident(at time.Time, code int32) {
	if at.IsZero() {
		at = p.Now
	}
	p.status.Progress.Incident = &v1.Incident{At: metav1.NewTime(at), Code: code}
	p.fallen = memory{}
}

// account marks a death as done with; a pod that has ended will be replaced.
func (p *pass) account(d death) {
	p.fallen.add(d.role, d.index)
	if d.restarts > 0 {
		p.remember(d.sight, restartsOf(d.sight))
		return
	}
	if d.sight.Status.Phase == corev1.PodFailed && d.known {
		p.tellExit(d.sight, d.exit)
	}
	p.writeOff(d.member, d.sight)
}

// writeOff has a pod replaced.
func (p *pass) writeOff(m member, pod *corev1.Pod) {
	p.remember(pod, accounted)
	p.replacing.add(m.role, m.index)
}

func (p *pass) remember(pod *corev1.Pod, restarts int32) {
	if p.status.Progress.Counted == nil {
		p.status.Progress.Counted = map[string]int32{}
	}
	p.status.Progress.Counted[string(pod.UID)] = restarts
}

func (p *pass) accounted(pod *corev1.Pod) bool {
	return p.status.Progress.Counted[string(pod.UID)] == accounted
}

func (p *pass) failureMessage(role v1.ReplicaType, policy v1.RestartPolicy) string {
	if policy == v1.RestartExitCode {
		return fmt.Sprintf("job %q is failing because %q replica(s) failed.", p.job.Name, role)
	}
	failed := 0
	for _, m := range p.members {
		if m.role == role && m.pod != nil && m.pod.Status.Phase == corev1.PodFailed && !p.accounted(m.pod) {
			failed++
		}
	}
	return fmt.Sprintf("PyTorchJob %s is failed because %d %s replica(s) failed.", p.job.Name, failed, role)
}

func (p *pass) restartMessage() string {
	if p.ranged {
		return fmt.Sprintf("PyTorchJob %s is restarting because its range of Workers has changed to %s, which they learn when they start.",
			p.job.Name, p.nnodes())
	}
	var parts []string
	for _, role := range v1.ReplicaTypes() {
		if n := len(p.replacing[role]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, role))
		}
	}
	what := "were deleted, evicted or lost"
	if p.failed {
		what = "failed"
	}
	return fmt.Sprintf("PyTorchJob %s is restarting because %s replica(s) %s.", p.job.Name, strings.Join(parts, " and "), what)
}
