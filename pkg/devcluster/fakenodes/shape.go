package fakenodes

import (
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// BlockLabel names the domain between zone and rack.
	BlockLabel = "topology.lockstep.dev/block"
	// RackLabel names the domain between block and host.
	RackLabel = "topology.lockstep.dev/rack"
	// TypeLabel says what a node is.
	TypeLabel = "type"
	// TypeKwok is the TypeLabel of each fake node.
	TypeKwok = "kwok"
	// PreferRealTaint is the key of the PreferNoSchedule taint of Shape.PreferReal.
	PreferRealTaint = "fake.lockstep.dev/node"
	// GPUResource is the resource that Shape.GPUs counts.
	GPUResource = corev1.ResourceName("nvidia.com/gpu")
)

// maxNodes is what the addresses given to nodes (10.0.0.0/10) have room for.
const maxNodes = 1 << 20

// Shape is what each node of a fleet looks like and how nodes are grouped. A
// zero field takes the value of DefaultShape.
type Shape struct {
	// GPUs is the number of nvidia.com/gpu of a node; negative: none.
	GPUs int
	// CPU in cores and Memory in bytes, as allocatable says them.
	CPU, Memory resource.Quantity
	// Pods is the number of pods that a node takes.
	Pods int
	// RackSize is the number of nodes of a rack, RacksPerBlock that of racks of
	// a block. BlocksPerZone is that of blocks of a zone; 0: one zone for all.
	RackSize, RacksPerBlock, BlocksPerZone int
	// PreferReal taints nodes with PreferNoSchedule, so that a pod that fits on
	// a node that can run it goes there.
	PreferReal bool
	// Labels are added to each node, and win over the labels set here.
	Labels map[string]string
}

// DefaultShape is a node with 8 GPUs in racks of 4 nodes and blocks of 4 racks.
func DefaultShape() Shape {
	return Shape{
		GPUs:          8,
		CPU:           resource.MustParse("128"),
		Memory:        resource.MustParse("1Ti"),
		Pods:          110,
		RackSize:      4,
		RacksPerBlock: 4,
	}
}

// WithDefaults fills the zero fields in.
func (s Shape) WithDefaults() Shape {
	d := DefaultShape()
	if s.GPUs == 0 {
		s.GPUs = d.GPUs
	}
	if s.CPU.IsZero() {
		s.CPU = d.CPU
	}
	if s.Memory.IsZero() {
		s.Memory = d.Memory
	}
	if s.Pods == 0 {
		s.Pods = d.Pods
	}
	if s.RackSize == 0 {
		s.RackSize = d.RackSize
	}
	if s.RacksPerBlock == 0 {
		s.RacksPerBlock = d.RacksPerBlock
	}
	return s
}

// Validate names the first field that no node can have.
func (s Shape) Validate() error {
	for _, field := range []struct {
		name  string
		wrong bool
		value any
	}{
		{"cpu", s.CPU.Sign() < 0, s.CPU.String()},
		{"memory", s.Memory.Sign() < 0, s.Memory.String()},
		{"pods", s.Pods < 0, s.Pods},
		{"rack size", s.RackSize < 0, s.RackSize},
		{"racks per block", s.RacksPerBlock < 0, s.RacksPerBlock},
		{"blocks per zone", s.BlocksPerZone < 0, s.BlocksPerZone},
	} {
		if field.wrong {
			return fmt.Errorf("shape of the fake nodes: %s: %v is negative", field.name, field.value)
		}
	}
	return nil
}

// NodeName is the name of the fake node with that index: node-0000 and so on.
func NodeName(index int) string { return fmt.Sprintf("node-%04d", index) }

// Node is the fake node with that index. The numbers of racks and blocks do not
// start again in each block and zone, so a label's value names one domain.
func (s Shape) Node(index int) *corev1.Node {
	s = s.WithDefaults()
	rack := index / s.RackSize
	block := rack / s.RacksPerBlock
	zone := 0
	if s.BlocksPerZone > 0 {
		zone = block / s.BlocksPerZone
	}
	name := NodeName(index)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:     name,
				corev1.LabelTopologyZone: "zone-" + strconv.Itoa(zone),
				BlockLabel:               "block-" + strconv.Itoa(block),
				RackLabel:                "rack-" + strconv.Itoa(rack),
				corev1.LabelOSStable:     "linux",
				corev1.LabelArchStable:   "amd64",
				TypeLabel:                TypeKwok,
			},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		},
		Status: s.status(name, index),
	}
	maps.Copy(node.Labels, s.Labels)
	if s.PreferReal {
		node.Spec.Taints = []corev1.Taint{{Key: PreferRealTaint, Value: "fake", Effect: corev1.TaintEffectPreferNoSchedule}}
	}
	return node
}

func (s Shape) status(name string, index int) corev1.NodeStatus {
	room := corev1.ResourceList{
		corev1.ResourceCPU:              s.CPU.DeepCopy(),
		corev1.ResourceMemory:           s.Memory.DeepCopy(),
		corev1.ResourcePods:             *resource.NewQuantity(int64(s.Pods), resource.DecimalSI),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	if s.GPUs > 0 {
		room[GPUResource] = *resource.NewQuantity(int64(s.GPUs), resource.DecimalSI)
	}
	return corev1.NodeStatus{
		Capacity:    room,
		Allocatable: room.DeepCopy(),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name},
			{Type: corev1.NodeInternalIP, Address: nodeAddress(index)},
		},
		NodeInfo: corev1.NodeSystemInfo{
			Architecture: "amd64", OperatingSystem: "linux",
			KubeletVersion: "fake", ContainerRuntimeVersion: "fake",
		},
	}
}

func nodeAddress(index int) string {
	n := index%maxNodes + 1
	return fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&0xff, n&0xff)
}
