package integration

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// Autoscalers of the cluster count pods by their condition: all members of a gang that
// waits have to say that they are unschedulable, not only the one that was tried.
func TestEveryWaitingMemberIsUnschedulable(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	w.create(gangOf("wide", 4, "8"))
	w.await("four members that say why they wait", func() (bool, string) {
		pods, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: kube.PodGroupLabel + "=wide"})
		w.must(err)
		n, text := 0, ""
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				text += fmt.Sprintf("%s %s=%s %s; ", pod.Name, c.Type, c.Status, c.Reason)
				if c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && c.Reason == v1.PodReasonUnschedulable && c.Message != "" {
					n++
				}
			}
		}
		return n == 4, text
	})
}
