package core

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/quota"
	"lockstep.dev/lockstep/pkg/topology"
)

// Event is something that happened.
type Event interface{ event() }

// GroupSeen says that a pod group exists, with what it asks for. It may come
// before or after its members, and again after every change.
type GroupSeen struct {
	Spec gang.Spec
	// Reservation is what the pod group says that is reserved for it; nil if nothing.
	// It counts when a core begins to act: what an earlier one promised goes on.
	Reservation *Reservation
}

// GroupGone says that a pod group was deleted.
type GroupGone struct{ Key gang.Key }

// MemberSeen says that a pod exists, as it now is. It may come again at any time.
type MemberSeen struct {
	Key    gang.Key
	Member gang.Member
	// Node is where the pod is bound; empty while it is not.
	Node string
	// Barred says why the pod may not be scheduled whatever its gang does, such
	// as scheduling gates; empty when it may. Barred members do not count.
	Barred string
	// Evicted is what the pod says why it is to go, where it says so and is still there.
	Evicted Reason
}

// OutsiderSeen says that a pod bears a gang's label and can be none of its members, such as
// one that is left to another scheduler. MemberGone takes it away.
type OutsiderSeen struct {
	Key gang.Key
	Outsider
}

// MemberGone says that a pod is gone or is being deleted.
type MemberGone struct {
	Key gang.Key
	UID string
}

// MemberFinished says that a pod has succeeded: it counts towards its gang's
// floor and needs no node any more.
type MemberFinished struct {
	Key gang.Key
	UID string
}

// FinishedForgotten says that a pod that had succeeded was deleted.
type FinishedForgotten struct {
	Key gang.Key
	UID string
}

// Attempt asks for a place for one member. The answer is a Pin, a Roam or a Refuse.
type Attempt struct {
	UID  string
	View View
}

// View is the cluster at the moment of an attempt. It is read only while the
// step runs.
type View struct {
	// Nodes are sorted by name. Their Free counts members that are Reserved,
	// Binding or Bound, and does not count those that are Held.
	Nodes []cluster.Node
	Tree  *topology.Tree
	// Index has the same nodes, prepared for planning, where the shell keeps one
	// from attempt to attempt; nil where it does not. The step leaves it as it was.
	Index *placement.Index
	// Epoch changes whenever a node came, was freed or changed in a way that
	// could make a gang fit.
	Epoch uint64
	// Attributes changes whenever a node came, went, or changed otherwise than in what
	// is free on it.
	Attributes uint64
	// Eligible says whether a member of the class may run on the node, resources apart.
	Eligible func(class string, node int) bool
	// PortsTaken says whether it may not only because a host port that it wants is in use
	// there. Nil where nothing is known of that.
	PortsTaken func(class string, node int) bool
	// Others lists the pods on nodes that are no members, or members on their way out.
	// It is asked when a gang does not fit. Nil where nobody is evicted nor waited for; those of
	// the last view that had some go on counting in their queues.
	Others func() []Occupant
	// Budgets are the disruption budgets; nil where there are none.
	Budgets func() Budgets
}

// Missed says that the scheduler's own filters refused the node that a member
// was pinned to, or, with no node, all that it was free to choose from, and why.
type Missed struct{ UID, Node, Why string }

// Stopped says that the scheduler has refused a member before it asked for its place, for
// a reason that has to do with no node, such as a claim of storage that does not exist.
type Stopped struct{ UID, Why string }

// Reserved says that the scheduler has assumed a member on a node: the one it was
// pinned to, or the one that was chosen for it.
type Reserved struct{ UID, Node string }

// Permit asks whether a reserved member may go on to be bound.
type Permit struct{ UID string }

// Unreserved says that the scheduler has let go of a member that was Reserved
// or Binding. Unknown is true when the bind may have succeeded all the same:
// the node stays held for the member until that is known.
type Unreserved struct {
	UID     string
	Unknown bool
	Why     string
}

// NodeGone says that a node was deleted.
type NodeGone struct{ Name string }

// NodeShrunk says that a node has less to give than before.
type NodeShrunk struct{ Name string }

// Elected says that the shell acts on effects from now on; before, as a standby, it
// only took in what happened. Heal time-outs start anew: nobody has tried yet.
type Elected struct{}

// QueuesSeen says which queues there are from now on.
type QueuesSeen struct {
	// Tree is nil where there are none.
	Tree *quota.Tree
	// Charge is what amounts count as in the terms of the queues: of a member of a
	// class, or of anybody on a node; either is empty where it is not known.
	Charge func(amounts cluster.Resources, class, node string) cluster.Resources
	// Kind is the type of a node's GPUs, where some queue speaks of it, else empty. Nil
	// where no queue speaks of types.
	Kind func(node string) string
}

// BudgetsRelaxed says that a disruption budget allows more than before, or other pods, or is gone.
type BudgetsRelaxed struct{}

// ClusterSeen says what the cluster is like before anybody is tried, so that whose turn it is
// is known from the first order on.
type ClusterSeen struct{ View View }

// HistorySeen says what queues have borrowed of late, as an earlier core has left it. It
// counts until this one begins to act.
type HistorySeen struct{ Late quota.History }

// Tick lets time pass: heal time-outs, and waking what was not tried for long.
type Tick struct{}

func (GroupSeen) event()         {}
func (GroupGone) event()         {}
func (MemberSeen) event()        {}
func (OutsiderSeen) event()      {}
func (MemberGone) event()        {}
func (MemberFinished) event()    {}
func (FinishedForgotten) event() {}
func (Attempt) event()           {}
func (Missed) event()            {}
func (Stopped) event()           {}
func (Reserved) event()          {}
func (Permit) event()            {}
func (Unreserved) event()        {}
func (NodeGone) event()          {}
func (NodeShrunk) event()        {}
func (Elected) event()           {}
func (QueuesSeen) event()        {}
func (BudgetsRelaxed) event()    {}
func (ClusterSeen) event()       {}
func (HistorySeen) event()       {}
func (Tick) event()              {}
