package gang

// State is where one member stands on its way to a node.
type State int

// A member's states. Before Binding everything can be given back; a binding
// cannot be undone.
const (
	Waiting  State = iota // no place
	Held                  // a node is held for it
	Reserved              // the scheduler has assumed it on its node; it waits for its siblings
	Binding               // released to be bound; may be bound already
	Bound                 // the API says that it is on its node
)

// Counts is how many members of a gang are in each state. Finished members have
// succeeded and left their nodes; they count towards the floor.
type Counts struct{ Waiting, Held, Reserved, Binding, Bound, Finished int }

// Live is the number of members that exist and have not finished.
func (c Counts) Live() int { return c.Waiting + c.Held + c.Reserved + c.Binding + c.Bound }

// Placed is the number of members that have a node or need none any more.
func (c Counts) Placed() int { return c.Held + c.Reserved + c.Binding + c.Bound + c.Finished }

// Phase is where the gang as a whole stands.
type Phase string

// The phases of a gang.
const (
	// Incomplete: fewer members exist than the floor.
	Incomplete Phase = "Incomplete"
	// Queued: complete, without a plan.
	Queued Phase = "Queued"
	// Planned: every member has a node held for it, none is bound.
	Planned Phase = "Planned"
	// Releasing: the floor is reserved and members are being bound.
	Releasing Phase = "Releasing"
	// Healing: some members are bound, fewer than the floor, and the rest waits.
	Healing Phase = "Healing"
	// Degraded: some members are bound, fewer than the floor, and the rest does
	// not exist. There is nothing to schedule; its controller has to act.
	Degraded Phase = "Degraded"
	// Placed: the floor is bound or has finished.
	Placed Phase = "Placed"
)

// Phase derives the phase of a gang with this floor from its counts.
func (c Counts) Phase(floor int) Phase {
	placed := c.Bound + c.Finished
	switch {
	case placed >= floor:
		return Placed
	case c.Live()+c.Finished < floor:
		if c.Bound > 0 {
			return Degraded
		}
		return Incomplete
	case c.Binding > 0:
		return Releasing
	case c.Bound > 0:
		return Healing
	case c.Held+c.Reserved > 0:
		return Planned
	}
	return Queued
}

// Ready reports whether the members that are bound, on their way or reserved
// make up the floor, so that all of them may be released together.
func (c Counts) Ready(floor int) bool {
	return c.Reserved+c.Binding+c.Bound+c.Finished >= floor
}
