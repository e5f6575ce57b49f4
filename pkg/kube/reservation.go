package kube

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
)

// Reservation is room that is kept for a gang, as its PodGroup's status shows it and
// as the next scheduler finds it there.
type Reservation struct {
	// Kind is Preempting, Draining or Replacing.
	Kind          core.ReservationKind `json:"kind"`
	Since         metav1.Time          `json:"since"`
	ExpectedStart metav1.Time          `json:"expectedStart"`
	// Order is its number: reservations with a higher one were planned around it.
	Order int64          `json:"order,omitempty"`
	Nodes []ReservedNode `json:"nodes"`
}

// ReservedNode is what is kept on one node.
type ReservedNode struct {
	Name      string          `json:"name"`
	Resources v1.ResourceList `json:"resources"`
}

// NewReservation writes a reservation; nil for nil.
func NewReservation(r *core.Reservation, names *cluster.Vocabulary) *Reservation {
	if r == nil {
		return nil
	}
	out := &Reservation{Kind: r.Kind, Since: metav1.NewTime(r.Since), ExpectedStart: metav1.NewTime(r.Start), Order: int64(r.Order)}
	for _, room := range r.Room {
		out.Nodes = append(out.Nodes, ReservedNode{Name: room.Node, Resources: quantities(room.Amounts, names)})
	}
	return out
}

// Promise reads a reservation; nil for nil.
func (r *Reservation) Promise(vocabulary *cluster.Vocabulary) *core.Reservation {
	if r == nil {
		return nil
	}
	out := &core.Reservation{Kind: r.Kind, Since: r.Since.Time, Start: r.ExpectedStart.Time, Order: uint64(max(0, r.Order))}
	for _, node := range r.Nodes {
		out.Room = append(out.Room, core.Room{Node: node.Name, Amounts: Resources(node.Resources, vocabulary)})
	}
	return out
}

// equal compares what is written: to the second.
func (r *Reservation) equal(o *Reservation) bool {
	if r == nil || o == nil {
		return r == o
	}
	second := func(t metav1.Time) int64 { return t.Unix() }
	return r.Kind == o.Kind && r.Order == o.Order && second(r.Since) == second(o.Since) && second(r.ExpectedStart) == second(o.ExpectedStart) &&
		slices.EqualFunc(r.Nodes, o.Nodes, func(a, b ReservedNode) bool {
			return a.Name == b.Name && equality.Semantic.DeepEqual(a.Resources, b.Resources)
		})
}

// quantities is the reverse of Resources.
func quantities(amounts cluster.Resources, names *cluster.Vocabulary) v1.ResourceList {
	list := v1.ResourceList{}
	for i, amount := range amounts {
		switch {
		case amount == 0:
		case i == cluster.CPU:
			list[v1.ResourceCPU] = *resource.NewMilliQuantity(amount, resource.DecimalSI)
		case i == cluster.Memory || i == cluster.EphemeralStorage:
			list[v1.ResourceName(names.Name(i))] = *resource.NewQuantity(amount, resource.BinarySI)
		default:
			list[v1.ResourceName(names.Name(i))] = *resource.NewQuantity(amount, resource.DecimalSI)
		}
	}
	return list
}
