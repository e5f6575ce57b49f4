package kube

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/cluster"
)

// As the apiserver writes it: the key of a condition is JSON within JSON.
const evictedPod = `{
	"metadata": {"name": "w-0", "namespace": "team", "managedFields": [
		{"manager": "%s", "operation": "Update", "subresource": "status", "fieldsType": "FieldsV1",
		 "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"DisruptionTarget\"}": {".": {}, "f:reason": {}}}}}}
	]},
	"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptedByGang", "message": "for gang team/big"}]}
}`

func TestHistoryPodWasEvicted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		manager string
		evicted bool
	}{{SchedulerManager, true}, {"kube-controller-manager", false}} {
		pod := &v1.Pod{}
		if err := json.Unmarshal([]byte(strings.Replace(evictedPod, "%s", test.manager, 1)), pod); err != nil {
			t.Fatal(err)
		}
		if got := HistoryPod(pod, cluster.NewVocabulary()).Disruption != nil; got != test.evicted {
			t.Errorf("a pod of which %s has written that it was evicted: evicted by Lockstep: %v, want %v", test.manager, got, test.evicted)
		}
	}
}
