package fakenodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/informer"
)

// writers is how many nodes are written at the same time.
const writers = 16

// FleetOptions configure a fleet.
type FleetOptions struct {
	// Lease is how long a node may be silent; it renews four times as often.
	// Whole seconds; zero: 40 seconds, as kubelets have it.
	Lease time.Duration
	// Log takes what kwok has to say, one line per trouble. Nil: nowhere.
	Log io.Writer
}

// Fleet is the fake nodes of one cluster. Its methods may be called from any
// goroutine. All that it runs ends with the context given to Start.
type Fleet struct {
	ctx     context.Context
	client  kubernetes.Interface
	watched *watched
	// What stands in for the kubelets: kwok's controllers of leases and of pods.
	// Its controller of nodes is not needed, because the nodes' status does not
	// change by itself.
	leases    *controllers.NodeLeaseController
	podEvents chan informer.Event[*corev1.Pod]

	mutex sync.Mutex
	next  int               // index of the next node
	state map[string]health // by node name; what is not in here is not ours
}

// health is what a node can do.
type health int

const (
	foreign health = iota // not a fake node, as far as is known
	alive
	silent // StopHeartbeat: nothing of the node moves
)

// Start begins to serve the fake nodes of a cluster. config needs the rights of
// an administrator.
func Start(ctx context.Context, config *rest.Config, options FleetOptions) (*Fleet, error) {
	if options.Lease == 0 {
		options.Lease = 40 * time.Second
	}
	if options.Log == nil {
		options.Log = io.Discard
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the apiserver of a devcluster is there for this
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("fake nodes: %w", err)
	}
	ctx = log.NewContext(ctx, log.NewLogger(options.Log, log.LevelWarn))
	f := &Fleet{ctx: ctx, client: client, state: map[string]health{}}
	if f.watched, err = newWatched(client); err != nil {
		return nil, fmt.Errorf("fake nodes: %w", err)
	}
	if err := errors.Join(f.startLeases(options.Lease), f.startPods()); err != nil {
		return nil, fmt.Errorf("fake nodes: %w", err)
	}
	if err := f.watch(); err != nil {
		return nil, fmt.Errorf("fake nodes: %w", err)
	}
	return f, nil
}

// Add creates n nodes of a shape and returns their names. Indices go on where
// the last Add stopped. When some could not be created the error says which; the
// others exist.
func (f *Fleet) Add(ctx context.Context, shape Shape, n int) ([]string, error) {
	f.mutex.Lock()
	first := f.next
	f.next += n
	f.mutex.Unlock()

	names, failures := make([]string, n), make([]error, n)
	each(n, func(i int) {
		node := shape.Node(first + i)
		names[i] = node.Name
		failures[i] = f.AddNode(ctx, node)
	})
	return names, errors.Join(failures...)
}

// AddNode creates one node, in a shape of the caller's own, and serves it. The
// label type=kwok and, where there are none, the conditions are added.
func (f *Fleet) AddNode(ctx context.Context, node *corev1.Node) error {
	node = node.DeepCopy()
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	node.Labels[TypeLabel] = TypeKwok
	if len(node.Status.Conditions) == 0 {
		node.Status.Conditions = healthy(metav1.Now())
	}
	f.setHealth(node.Name, alive) // before it exists: see the package's comment
	if _, err := f.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		f.setHealth(node.Name, foreign)
		return fmt.Errorf("create fake node %s: %w", node.Name, err)
	}
	return nil
}

// each calls do for 0 to n-1, some at a time, and returns when all have.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	tasks := make(chan int)
	for range min(writers, n) {
		all.Go(func() {
			for i := range tasks {
				do(i)
			}
		})
	}
	for i := range n {
		tasks <- i
	}
	close(tasks)
	all.Wait()
}

func (f *Fleet) setHealth(name string, h health) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if h == foreign {
		delete(f.state, name)
		return
	}
	f.state[name] = h
}

func (f *Fleet) health(name string) health {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.state[name]
}
