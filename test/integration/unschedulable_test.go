package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

// The table of PodGroups says why each waits.
func TestPodGroupsShowTheirReason(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	w.create(gangOf("small", 1, "1"))
	w.create(gangOf("wide", 4, "8"))
	w.awaitReason("wide", "Impossible")
	w.awaitReason("small", "Placed")
	table := &metav1.Table{}
	text, err := env.client.CoreV1().RESTClient().Get().AbsPath("apis", kube.PodGroups.Group, kube.PodGroups.Version, "namespaces", w.namespace, kube.PodGroups.Resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(w.ctx).Raw()
	w.must(err)
	w.must(json.Unmarshal(text, table))
	column := slices.IndexFunc(table.ColumnDefinitions, func(c metav1.TableColumnDefinition) bool { return c.Name == "Reason" })
	shown := map[string]any{}
	for _, row := range table.Rows {
		shown[fmt.Sprint(row.Cells[0])] = row.Cells[column]
	}
	if want := map[string]any{"small": "Placed", "wide": "Impossible"}; !maps.Equal(shown, want) {
		t.Errorf("the reasons are %v, want %v", shown, want)
	}
}
