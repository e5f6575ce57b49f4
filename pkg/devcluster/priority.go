package devcluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AddPriorityClass creates a PriorityClass and waits until pods may name it. The apiserver
// hears of classes by a watch of its own, so for a moment it refuses pods that name one
// which it has just stored.
func (c *Cluster) AddPriorityClass(ctx context.Context, name string, value int32) error {
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
	if _, err := c.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "names-a-class-"},
		Spec: corev1.PodSpec{
			PriorityClassName: name,
			Containers:        []corev1.Container{{Name: "none", Image: "none"}},
		},
	}
	return await(ctx, c.APIServer(), "no pod may name PriorityClass "+name, func(ctx context.Context) error {
		_, err := c.client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}
