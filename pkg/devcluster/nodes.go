package devcluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

// processNodeName is the one node that can run anything.
const processNodeName = processnode.DefaultNodeName

// startFakeNodes serves fake nodes, also when there are none yet: tests add them.
func (c *Cluster) startFakeNodes(ctx context.Context) error {
	log, err := os.OpenFile(c.logFile("fakenodes"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	context.AfterFunc(c.life, func() { log.Close() })
	c.fleet, err = fakenodes.Start(c.life, c.config, fakenodes.FleetOptions{Lease: c.options.NodeLease, Log: log})
	if err != nil {
		return err
	}
	names, err := c.fleet.Add(ctx, c.options.Shape, c.options.Nodes)
	if err != nil {
		return err
	}
	return c.awaitNodes(ctx, names...)
}

// countFakeNodes writes how many there are.
func countFakeNodes(n int) string {
	if n == 1 {
		return "1 fake node"
	}
	return fmt.Sprintf("%d fake nodes", n)
}

func (c *Cluster) startProcessNode(ctx context.Context) error {
	pair, err := c.pki.ca.Server(processNodeName)
	if err != nil {
		return err
	}
	if err := c.pki.write(processNodeName, pair); err != nil {
		return err
	}
	log, err := os.OpenFile(c.logFile(processNodeName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	options := processnode.Options{
		NodeName: processNodeName, DataDir: c.path(processNodeName), Workspace: c.options.Workspace,
		CertFile: c.pki.cert(processNodeName), KeyFile: c.pki.key(processNodeName), ClientCAFile: c.pki.cert("ca"),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	ended := make(chan error, 1)
	c.parts.Go(func() {
		defer log.Close()
		err := processnode.Run(c.life, c.config, options)
		ended <- err
		if err != nil {
			c.fail(err)
		}
	})
	started, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-ended:
			cancel(err)
		case <-started.Done():
		}
	}()
	return c.awaitNodes(started, processNodeName)
}

// awaitNodes waits until nodes can be scheduled to: the control plane gives
// each a taint when it is created, and takes it away when it sees it ready.
func (c *Cluster) awaitNodes(ctx context.Context, names ...string) error {
	return await(ctx, nil, "nodes do not get ready", func(ctx context.Context) error {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		usable := map[string]bool{}
		for i := range list.Items {
			usable[list.Items[i].Name] = canTakePods(&list.Items[i])
		}
		for _, name := range names {
			if !usable[name] {
				return fmt.Errorf("node %s is not ready, or still has the taint of one that is not", name)
			}
		}
		return nil
	})
}

func canTakePods(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
