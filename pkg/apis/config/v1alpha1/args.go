package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// What the arguments call themselves.
const (
	APIVersion = "lockstep.dev/v1alpha1"
	Kind       = "LockstepArgs"
)

// LockstepArgs configure the plugin. Every field has a default.
type LockstepArgs struct {
	metav1.TypeMeta `json:",inline"`

	// TopologyLevels are the levels between the cluster and the hosts, the widest
	// first. Default: found from the labels that nodes bear, by the conventions that
	// clouds and tools have (topology.Profiles), topology.lockstep.dev/block and
	// topology.lockstep.dev/rack among them.
	TopologyLevels []TopologyLevel `json:"topologyLevels,omitempty"`

	// PermitTimeoutSeconds is how long a part of a gang may wait on its nodes for
	// the rest, 1 to 900; a PodGroup's scheduleTimeoutSeconds goes before it.
	// Default 60.
	PermitTimeoutSeconds *int32 `json:"permitTimeoutSeconds,omitempty"`

	// HealTimeoutSeconds is how long a gang may be bound in part only before it is
	// evicted whole, at least 1. Default 300.
	HealTimeoutSeconds *int32 `json:"healTimeoutSeconds,omitempty"`

	// BindTimeoutSeconds is how long one pod's bind is tried when the apiserver
	// does not take it, 1 to 600. Default 60.
	BindTimeoutSeconds *int32 `json:"bindTimeoutSeconds,omitempty"`

	// ReserveAfterSeconds is how long a gang waits before room is reserved for it where
	// it will be free soonest, so that smaller work cannot pass it for ever. 0: never.
	// Default 600.
	ReserveAfterSeconds *int32 `json:"reserveAfterSeconds,omitempty"`

	// ReclaimSharesAfterSeconds is how long a gang of a queue waits before those are
	// evicted for it that other queues run beyond their fair share. 0: never. Default 600.
	ReclaimSharesAfterSeconds *int32 `json:"reclaimSharesAfterSeconds,omitempty"`

	// DisablePreemption leaves everybody who runs alone, whatever the priority of a
	// gang that waits. Default false.
	DisablePreemption *bool `json:"disablePreemption,omitempty"`

	// PreemptOtherSchedulers lets gangs preempt pods that another scheduler has placed.
	// Default false.
	PreemptOtherSchedulers *bool `json:"preemptOtherSchedulers,omitempty"`

	// Packing says which node a pod without a gang that asks for GPUs should get of
	// those that are right for it. Pods that ask for none are scored by the scheduler's
	// own plugins alone, and with Off those with GPUs as well. Default BestFit.
	Packing Packing `json:"packing,omitempty"`
}

// Packing is a way to keep whole nodes and racks free for gangs.
type Packing string

// The ways of packing.
const (
	// BestFit takes the node on which the fewest GPUs are left, then the one in the
	// rack, block, … with the fewest.
	BestFit Packing = "BestFit"
	// FGD takes the node on which the least becomes of no use to the pods that the
	// cluster runs (fragmentation gradient descent), coarsely, and then as BestFit does.
	FGD Packing = "FGD"
	// Off leaves it to the scheduler's own plugins.
	Off Packing = "Off"
)

// TopologyLevel is one level of the topology.
type TopologyLevel struct {
	// Name is what people and pod groups call the level, such as "rack".
	Name string `json:"name"`
	// Key is the node label whose value names a node's domain at this level.
	Key string `json:"key"`
}
