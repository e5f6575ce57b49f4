package core

import "lockstep.dev/lockstep/pkg/gang"

// Effect is something the shell has to do.
type Effect interface{ effect() }

// Pin answers an Attempt: the member goes to this node and no other.
type Pin struct{ UID, Node string }

// Roam answers an Attempt: the scheduler's own filters choose a node for the member,
// from those listed, or from all where none is. Near is where the planner would put it.
type Roam struct {
	UID, Near string
	Nodes     []string
}

// Refuse answers an Attempt: there is no place for the member now.
type Refuse struct {
	UID    string
	Reason Reason
}

// Activate asks that these members be tried now.
type Activate struct{ UIDs []string }

// Release lets reserved members go on to be bound.
type Release struct{ UIDs []string }

// GiveBack takes reserved members off their nodes.
type GiveBack struct {
	UIDs   []string
	Reason Reason
}

// Evict ends pods: the bound members of a gang that could not be completed, or
// victims of another gang.
type Evict struct {
	Key    gang.Key // their gang, or the pod's own name where it has none
	UIDs   []string
	Reason Reason
}

// Report tells where a gang stands now; it comes once per change.
type Report struct {
	Key    gang.Key
	Status Status
}

func (Pin) effect()      {}
func (Roam) effect()     {}
func (Refuse) effect()   {}
func (Activate) effect() {}
func (Release) effect()  {}
func (GiveBack) effect() {}
func (Evict) effect()    {}
func (Report) effect()   {}

// Status is where a gang stands, for people and for the PodGroup's status.
type Status struct {
	Phase  gang.Phase
	Reason Reason
	Counts gang.Counts
	Floor  int
	// Reservation is the room that is kept for the gang; nil where none is.
	Reservation *Reservation
}

// Passing reports whether the gang is on its way from its plan to its place and so far
// without delay: there is nothing to tell of that.
func (s Status) Passing() bool {
	return (s.Phase == gang.Planned || s.Phase == gang.Releasing) && s.Reason.Code == ""
}
