package processnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	vknode "github.com/virtual-kubelet/virtual-kubelet/node"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// resync is how often pods are looked at again without a change, in case that a step was lost.
const resync = 30 * time.Second

// Run registers the node and runs the pods that are bound to it, until ctx ends (then it returns nil) or the
// node cannot go on. All processes of pods have ended when it returns. The program must have called MaybeRunShim first.
func Run(ctx context.Context, cfg *rest.Config, opts Options) error {
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 100, 200
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("process node: %w", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("process node: ask the apiserver's version: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	world, stopEvents := newAPICluster(ctx, client, opts.NodeName)
	defer stopEvents()
	runtime, err := newRuntime(ctx, opts, world)
	if err != nil {
		return fmt.Errorf("process node: %w", err)
	}
	defer runtime.Close()
	logs, err := newLogServer(runtime, opts)
	if err != nil {
		return fmt.Errorf("process node: %w", err)
	}
	object := nodeObject(opts, logs.port(), version.GitVersion, metav1.Now())
	n := &processNode{client: client, opts: opts, world: world, runtime: runtime, logs: logs, object: object}
	return n.run(ctx, cancel)
}

// processNode is the parts of a running node.
type processNode struct {
	client  kubernetes.Interface
	opts    Options
	world   *apiCluster
	runtime *Runtime
	logs    *logServer
	object  *v1.Node
}

// run starts the parts, and ends all when one ends.
func (n *processNode) run(ctx context.Context, cancel context.CancelFunc) error {
	mine := informers.NewSharedInformerFactoryWithOptions(n.client, resync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", n.opts.NodeName).String()
	}))
	pods := mine.Core().V1().Pods().Informer()
	k := newKubelet(n.runtime, n.client.CoreV1(), pods.GetStore(), n.opts.Log)

	n.world.start(ctx, n.runtime.refreshNames)
	node, err := vknode.NewNodeController(vknode.NaiveNodeProvider{}, n.object, n.client.CoreV1().Nodes(),
		vknode.WithNodeEnableLeaseV1(n.client.CoordinationV1().Leases(v1.NamespaceNodeLease), 0))
	if err != nil {
		return fmt.Errorf("process node: %w", err)
	}
	if _, err := pods.AddEventHandler(k.handler()); err != nil {
		return fmt.Errorf("process node: %w", err)
	}
	mine.Start(ctx.Done())

	var parts sync.WaitGroup
	failures := make(chan error, 3)
	part := func(f func() error) {
		parts.Go(func() {
			defer cancel()
			failures <- f()
		})
	}
	part(n.logs.serve)
	part(func() error { return node.Run(ctx) })
	part(func() error {
		select {
		case <-n.runtime.sandbox.Done():
			return errors.New("the keeper of the pods' processes has ended; all pods have ended with it")
		case <-ctx.Done():
			return nil
		}
	})
	parts.Go(func() { k.run(ctx) })
	n.opts.Log.Info("process node: listening on loopback only", "node", n.opts.NodeName, "port", n.logs.port())
	<-ctx.Done()
	n.logs.close()
	parts.Wait()
	mine.Shutdown()
	close(failures)
	for err := range failures {
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("process node: %w", err)
		}
	}
	return nil
}

// apiCluster is the world of a runtime that has an apiserver.
type apiCluster struct {
	ctx      context.Context
	client   kubernetes.Interface
	factory  informers.SharedInformerFactory
	services listers.ServiceLister
	events   record.EventRecorder
}

func newAPICluster(ctx context.Context, client kubernetes.Interface, node string) (*apiCluster, func()) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	factory := informers.NewSharedInformerFactory(client, 0)
	return &apiCluster{
		ctx: ctx, client: client, factory: factory, services: factory.Core().V1().Services().Lister(),
		events: broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: "process-node", Host: node}),
	}, broadcaster.Shutdown
}

// start watches Services, waits for the first list, and calls changed after each change.
func (a *apiCluster) start(ctx context.Context, changed func()) {
	_, _ = a.factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
	})
	a.factory.Start(ctx.Done())
	a.factory.WaitForCacheSync(ctx.Done())
}

func (a *apiCluster) ConfigMap(namespace, name string) (*v1.ConfigMap, error) {
	return a.client.CoreV1().ConfigMaps(namespace).Get(a.ctx, name, metav1.GetOptions{})
}

func (a *apiCluster) Secret(namespace, name string) (*v1.Secret, error) {
	return a.client.CoreV1().Secrets(namespace).Get(a.ctx, name, metav1.GetOptions{})
}

func (a *apiCluster) Services() []*v1.Service {
	list, _ := a.services.List(labels.Everything()) // a lister reads memory; it has no error to give
	return list
}

func (a *apiCluster) Event(pod *v1.Pod, kind, reason, message string) {
	a.events.Event(pod, kind, reason, message)
}
