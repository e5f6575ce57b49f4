package fakenodes

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// healthy is what a kubelet reports that has no trouble.
func healthy(now metav1.Time) []corev1.NodeCondition {
	conditions := []corev1.NodeCondition{readyCondition(true, now)}
	for _, quiet := range []struct {
		kind   corev1.NodeConditionType
		reason string
	}{
		{corev1.NodeMemoryPressure, "KubeletHasSufficientMemory"},
		{corev1.NodeDiskPressure, "KubeletHasNoDiskPressure"},
		{corev1.NodePIDPressure, "KubeletHasSufficientPID"},
	} {
		conditions = append(conditions, corev1.NodeCondition{
			Type: quiet.kind, Status: corev1.ConditionFalse, Reason: quiet.reason, Message: "fake node",
			LastHeartbeatTime: now, LastTransitionTime: now,
		})
	}
	return conditions
}

func readyCondition(ready bool, now metav1.Time) corev1.NodeCondition {
	condition := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "fake node",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}
	if !ready {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, "KubeletNotReady", "marked not ready"
	}
	return condition
}
