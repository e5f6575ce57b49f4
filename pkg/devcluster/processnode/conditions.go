package processnode

import v1 "k8s.io/api/core/v1"

// ownConditions are the conditions that a node writes; all others belong to somebody else.
var ownConditions = map[v1.PodConditionType]bool{
	v1.PodReadyToStartContainers: true,
	v1.PodInitialized:            true,
	v1.PodReady:                  true,
	v1.ContainersReady:           true,
}

// mergeConditions takes the node's conditions from own, and all others from others.
func mergeConditions(others, own []v1.PodCondition) []v1.PodCondition {
	var merged []v1.PodCondition
	for _, c := range others {
		if !ownConditions[c.Type] {
			merged = append(merged, c)
		}
	}
	for _, c := range own {
		if ownConditions[c.Type] {
			merged = append(merged, c)
		}
	}
	return merged
}
