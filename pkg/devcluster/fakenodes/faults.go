package fakenodes

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// StopHeartbeat makes a node fall silent, as a machine does that has lost its
// power: its lease runs out, its pods neither end nor go. The control plane says
// NotReady when the lease has run out.
func (f *Fleet) StopHeartbeat(name string) error {
	if f.health(name) == foreign {
		return fmt.Errorf("%s is not a fake node", name)
	}
	f.setHealth(name, silent)
	f.leases.ReleaseHold(name)
	return nil
}

// ResumeHeartbeat brings a silent node back: it is Ready, and its pods go on
// from where they would be by now.
func (f *Fleet) ResumeHeartbeat(ctx context.Context, name string) error {
	if f.health(name) == foreign {
		return fmt.Errorf("%s is not a fake node", name)
	}
	f.setHealth(name, alive)
	f.leases.TryHold(name)
	f.catchUp(name)
	return f.MarkReady(ctx, name)
}

// MarkNotReady reports a node as not ready, as its kubelet does when it is in
// trouble. Its pods go on; together with StopHeartbeat it is the quick way to a
// node that the control plane knows to be lost.
func (f *Fleet) MarkNotReady(ctx context.Context, name string) error {
	return f.report(ctx, name, readyCondition(false, metav1.Now()))
}

// MarkReady takes MarkNotReady back.
func (f *Fleet) MarkReady(ctx context.Context, name string) error {
	return f.report(ctx, name, readyCondition(true, metav1.Now()))
}

// Delete removes the Node object. Pods on it are collected by the control plane.
func (f *Fleet) Delete(ctx context.Context, name string) error {
	if err := f.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete fake node %s: %w", name, err)
	}
	return nil
}

func (f *Fleet) report(ctx context.Context, name string, condition corev1.NodeCondition) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{condition}}})
	if err != nil {
		return err
	}
	_, err = f.client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("status of fake node %s: %w", name, err)
	}
	return nil
}
