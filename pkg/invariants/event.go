package invariants

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

// Event is one change of one object, or one object as it was found. Exactly one of
// the pointers is set, or Synced.
type Event struct {
	// Seq numbers the events of a history from 1; the checker gives it.
	Seq int
	// At is when the change was seen. For an object that was listed it is when the
	// object itself says that it last changed.
	At time.Time
	// Revision is the object's resourceVersion.
	Revision string
	// Listed: the object was there before the history began. Only its state is judged.
	Listed bool
	// Gone: the object was deleted; it is as it last was.
	Gone bool
	// By is who made the change, where the recorder can know that; it begins with the
	// name of the program.
	By string

	Node    *Node
	Pod     *Pod
	Group   *PodGroup
	Job     *Job
	Notice  *Notice
	Lease   *Lease
	Quota   *Quota
	Queue   *Queue
	Verdict *Verdict
	// Synced: all that was there has been listed, and what follows are changes.
	Synced bool
}

// Node is a machine.
type Node struct {
	Name        string
	UID         string
	Labels      map[string]string
	Allocatable cluster.Resources
	Cordoned    bool
	NotReady    bool
	Model       string // of its GPUs; empty where it does not say
	// Writers are the programs that have written to the object.
	Writers []string
}

// Phase of a pod.
type Phase string

// The phases of a pod.
const (
	Pending   Phase = "Pending"
	Running   Phase = "Running"
	Succeeded Phase = "Succeeded"
	Failed    Phase = "Failed"
)

// Pod is one pod.
type Pod struct {
	Namespace string
	Name      string
	UID       string
	Scheduler string
	// Group is the name of the PodGroup that the pod is a member of; empty for none.
	Group    string
	Node     string
	Phase    Phase
	Deleting bool
	Barred   bool // may not be scheduled, such as by a gate
	Priority int32
	// Revocable: it agrees to be ended for others, also for those that are no more important.
	Revocable bool
	Requests  cluster.Resources
	// Tolerant pods may run on nodes that are cordoned or not ready.
	Tolerant bool
	Created  time.Time
	// BoundAt is when the pod says that it was bound; zero where it does not.
	BoundAt time.Time
	// Job is the UID of the PyTorchJob that the pod belongs to; empty for none.
	Job   string
	Role  string
	Index int
	// Disruption says why Lockstep has evicted the pod; nil while it has not.
	Disruption *Disruption
	Writers    []string
}

// Disruption is the condition on a pod that is evicted.
type Disruption struct {
	Reason  string
	Message string
}

// PodGroup is a gang as it was asked for, and what is told about it.
type PodGroup struct {
	Namespace string
	Name      string
	UID       string
	// Floor is spec.minMember.
	Floor    int
	Required string // topology level, by name or label
	Queue    string // that it names; empty for none
	// Revocable is that of its members.
	Revocable bool
	Created   time.Time
	// Job is the UID of the PyTorchJob that owns it; empty for none.
	Job string
	// Placed, Reason and Message are its condition; Reason is empty where it has none.
	Placed    bool
	Reason    string
	Message   string
	Finished  bool
	Running   int
	Succeeded int
	Writers   []string
}

// Job is a PyTorchJob.
type Job struct {
	Namespace string
	Name      string
	UID       string
	// Foreign: another controller runs it.
	Foreign   bool
	Ended     bool // Succeeded or Failed
	Suspended bool
	Restarts  int
	Roles     []Role
	Writers   []string
}

// Role is what a job's status says of the pods of one role.
type Role struct {
	Name   string
	Active int
}

// Notice is an Event object: something that a program has told about an object.
type Notice struct {
	UID      string
	Reporter string
	Reason   string
	Action   string
	Message  string
	// Kind, Namespace, Name and About (its UID) are the object that it is about.
	Kind      string
	Namespace string
	Name      string
	About     string
}

// Lease is the scheduler's leader election.
type Lease struct {
	Holder   string
	Duration time.Duration
}

// Quota is what a namespace may use at most.
type Quota struct {
	Namespace string
	Name      string
	Min       cluster.Resources // guaranteed
	Max       cluster.Resources // a negative amount is no limit
	// Used is what its status says is in use; nil where it says nothing.
	Used cluster.Resources
}

// Verdict is what an oracle said of a gang that waits: whether it would fit now.
type Verdict struct {
	Gang gang.Key
	Fits bool
	Text string
}

// Ended says whether the pod needs no node any more.
func (p *Pod) Ended() bool { return p.Phase == Succeeded || p.Phase == Failed }

// live: the pod is on a node, or may come onto one, and is to stay.
func (p *Pod) live() bool { return !p.Ended() && !p.Deleting }

func (p *Pod) String() string { return p.Namespace + "/" + p.Name }

func (p *Pod) gang() gang.Key { return gang.Key{Namespace: p.Namespace, Name: p.Group} }

func (g *PodGroup) key() gang.Key { return gang.Key{Namespace: g.Namespace, Name: g.Name} }

// String is the event in a few words.
func (e Event) String() string {
	gone := ""
	if e.Gone {
		gone = " is gone"
	}
	switch {
	case e.Node != nil:
		return fmt.Sprintf("node %s%s%s", e.Node.Name, gone, marks("cordoned", e.Node.Cordoned, "not ready", e.Node.NotReady))
	case e.Pod != nil:
		p := e.Pod
		where := " waits"
		if p.Node != "" {
			where = " on " + p.Node
		}
		if e.Gone {
			where = gone
		}
		return fmt.Sprintf("pod %s (%s)%s%s", p, p.UID, where, marks(string(p.Phase), p.Phase != "", "being deleted", p.Deleting))
	case e.Group != nil:
		g := e.Group
		return fmt.Sprintf("podgroup %s%s, minMember %d, %s: %s", g.key(), gone, g.Floor, g.Reason, g.Message)
	case e.Job != nil:
		return fmt.Sprintf("pytorchjob %s/%s%s%s", e.Job.Namespace, e.Job.Name, gone, marks("ended", e.Job.Ended, "suspended", e.Job.Suspended))
	case e.Notice != nil:
		n := e.Notice
		return fmt.Sprintf("event %s from %s on %s %s/%s: %s", n.Reason, n.Reporter, n.Kind, n.Namespace, n.Name, n.Message)
	case e.Lease != nil:
		return fmt.Sprintf("lease of %q%s", e.Lease.Holder, gone)
	case e.Quota != nil:
		return fmt.Sprintf("quota %s/%s%s", e.Quota.Namespace, e.Quota.Name, gone)
	case e.Queue != nil:
		return fmt.Sprintf("queue %s%s", e.Queue.Name, gone)
	case e.Verdict != nil:
		return fmt.Sprintf("planner on %s: fits %t: %s", e.Verdict.Gang, e.Verdict.Fits, e.Verdict.Text)
	}
	return "all that was there has been listed"
}

// marks joins the words that apply.
func marks(first string, firstApplies bool, second string, secondApplies bool) string {
	text := ""
	if firstApplies {
		text += ", " + first
	}
	if secondApplies {
		text += ", " + second
	}
	return text
}
