package processnode

import (
	"maps"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeObject is the Node as it is registered. It has no host name among its addresses: the apiserver would
// prefer that and could not resolve it.
func nodeObject(o Options, port int32, version string, now metav1.Time) *v1.Node {
	labels := map[string]string{
		v1.LabelHostname:              o.NodeName,
		v1.LabelTopologyZone:          "zone-local",
		"topology.lockstep.dev/block": "block-local",
		"topology.lockstep.dev/rack":  "rack-local",
		v1.LabelOSStable:              "linux",
		"type":                        "process-node",
	}
	maps.Copy(labels, o.Labels)
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: o.NodeName, Labels: labels},
		Status: v1.NodeStatus{
			Capacity:        o.Allocatable.DeepCopy(),
			Allocatable:     o.Allocatable.DeepCopy(),
			Phase:           v1.NodeRunning,
			Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: hostIP}},
			DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: port}},
			NodeInfo: v1.NodeSystemInfo{
				KubeletVersion: version, OperatingSystem: "linux",
				OSImage: "local processes (development only)", ContainerRuntimeVersion: "process://1",
			},
			Conditions: nodeConditions(now),
		},
	}
}

func nodeConditions(now metav1.Time) []v1.NodeCondition {
	healthy := func(kind v1.NodeConditionType, status v1.ConditionStatus, reason, message string) v1.NodeCondition {
		return v1.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now,
		}
	}
	return []v1.NodeCondition{
		healthy(v1.NodeReady, v1.ConditionTrue, "ProcessNodeReady", "pods run as local processes"),
		healthy(v1.NodeMemoryPressure, v1.ConditionFalse, "NotMeasured", "the process node does not measure memory"),
		healthy(v1.NodeDiskPressure, v1.ConditionFalse, "NotMeasured", "the process node does not measure disks"),
		healthy(v1.NodePIDPressure, v1.ConditionFalse, "NotMeasured", "the process node does not measure process numbers"),
	}
}
