package gang

import (
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Key names a gang: the namespace and name of its PodGroup. Gangs of equal names
// in two namespaces have nothing to do with each other.
type Key struct{ Namespace, Name string }

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Less orders keys by namespace, then name.
func (k Key) Less(other Key) bool {
	if k.Namespace != other.Namespace {
		return k.Namespace < other.Namespace
	}
	return k.Name < other.Name
}

// Spec is what a gang asks for as a whole.
type Spec struct {
	Key Key
	// UID tells a gang from an earlier one of the same name.
	UID string
	// Floor is the number of members below which the gang is of no use; at least 1.
	Floor int
	// Required and Preferred are topology levels; empty means none.
	Required, Preferred Level
	// Slices cut the gang into groups; the zero value means none.
	Slices Slices
	// Invalid says what the gang's object asks for that cannot be understood, with the
	// field and how to mend it; empty when all is well.
	Invalid string
	// Queue is the one that the gang is charged to; empty for none. NoQueue says that the
	// one that it names does not exist.
	Queue, NoQueue string
	// Duration is how long the gang says that it runs; zero where it does not say.
	Duration time.Duration
	// Revocable gangs let themselves be ended for whoever has a reservation.
	Revocable bool
	// Created is when the gang came into being: its age in the queue.
	Created time.Time
}

// Level names a level of the topology.
type Level struct {
	Name string // or node label; empty for none
	// Field is where the gang's object says so, for messages.
	Field string
}

// Slices are groups of consecutive ranks that each need one domain of a level.
type Slices struct {
	Size  int // members of one; up to 1 means none
	Level Level
	Field string // where the gang's object gives the size
}

// Member is one pod of a gang.
type Member struct {
	UID  string
	Name string
	// Role and Index order the members: the Master first, then by number, so
	// worker-2 comes before worker-10.
	Role  string
	Index int
	// Class is equal for members with the same requests and constraints.
	Class string
	// Requests of the pod, itself (cluster.Pods) included.
	Requests cluster.Resources
	Priority int32
	// Patient members evict nobody (preemptionPolicy: Never).
	Patient bool
	// Duration is how long the pod may run at most; zero where it does not say.
	Duration time.Duration
	// Started is when the pod got its node; zero while it has none.
	Started time.Time
	// Apart names groups, sorted: two members that have one in common never share a node.
	Apart []string
	// Beyond is a constraint of the pod that no planner here can judge, such as
	// "spec.topologySpreadConstraints"; empty where there is none.
	Beyond string
}

// Leads reports whether the member has a leading role: a Master or the like.
func (m Member) Leads() bool { return roleOrder(m.Role) < len(leading) }

// leading roles come before all others, in this order.
var leading = []string{"master", "launcher", "chief", "leader", "head"}

func roleOrder(role string) int {
	for i, l := range leading {
		if strings.EqualFold(role, l) {
			return i
		}
	}
	return len(leading)
}

// Leads reports whether a role is one of which a gang has one member, who goes before
// all others.
func Leads(role string) bool { return roleOrder(role) < len(leading) }

// Before is the rank order of a gang's members. It is total.
func Before(a, b Member) bool {
	if ra, rb := roleOrder(a.Role), roleOrder(b.Role); ra != rb {
		return ra < rb
	}
	if a.Role != b.Role {
		return a.Role < b.Role
	}
	if a.Index != b.Index {
		return a.Index < b.Index
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return a.UID < b.UID
}
