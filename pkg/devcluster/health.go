package devcluster

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awaitServiceAccounts waits until pods can be created, which shows that the
// controller-manager works.
func (c *Cluster) awaitServiceAccounts(ctx context.Context) error {
	return await(ctx, c.controllerManager, "kube-controller-manager makes no service accounts", func(ctx context.Context) error {
		for _, namespace := range []string{metav1.NamespaceDefault, systemNamespace} {
			if _, err := c.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// watch reports a process that ends though nobody here has asked it to.
func (c *Cluster) watch(p *Process) {
	go func() {
		select {
		case <-c.life.Done():
		case <-p.Done():
			if !p.expected.Load() {
				c.fail(p.Failure())
			}
		}
	}()
}

// fail reports the first failure; the others mostly follow from it.
func (c *Cluster) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}
