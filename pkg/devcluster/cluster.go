package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// startLimit is how long a start may take when the context sets no limit. It is
// seconds on an idle machine; it is not when the machine compiles besides.
const startLimit = 3 * time.Minute

// Cluster is a running devcluster. Its methods may be called from any goroutine.
type Cluster struct {
	options   Options
	temporary bool // DataDir is ours to remove
	lock      *dirLock
	pki       *pki
	spawner   *spawner
	config    *rest.Config
	client    kubernetes.Interface

	// life ends when Stop begins.
	life    context.Context
	endLife context.CancelFunc
	fleet   *fakenodes.Fleet
	parts   sync.WaitGroup // what runs in this process and must end before the apiserver does
	failed  chan error

	mutex                              sync.Mutex
	etcdPorts, apiServerPorts          []int // kept by a restart
	etcd, apiServer, controllerManager *Process
	programs                           []*Process // schedulers and controllers, in the order of their start
	scheduler, controller              *Process
	began                              time.Time
	ready                              time.Time // zero: not yet

	stopOnce sync.Once
	stopErr  error
}

// Start brings a cluster up and returns when it can be used: the default
// ServiceAccount exists, Lockstep's manifests are applied, the nodes exist, and
// the programs asked for say that they are ready. The context bounds the start,
// not the life of the cluster. An error says what did not come up, with the end
// of its log; nothing is left running then.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("devcluster: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not within %v", startLimit))
	defer cancel()
	c, err := newCluster(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("devcluster: %w", err)
	}
	if err := c.start(ctx); err != nil {
		_ = c.Stop() // the reason for the failed start says more
		return nil, fmt.Errorf("devcluster: %w", err)
	}
	return c, nil
}

// newCluster takes hold of the data directory and of nothing else.
func newCluster(ctx context.Context, options Options) (*Cluster, error) {
	c := &Cluster{options: options, failed: make(chan error, 1), began: time.Now()}
	var err error
	if c.options.BinDir == "" {
		if c.options.BinDir, err = FindBinDir(); err != nil {
			return nil, err
		}
	}
	if c.options.DataDir == "" {
		if c.options.DataDir, err = os.MkdirTemp("", "lockstep-devcluster-"); err != nil {
			return nil, err
		}
		c.temporary = true
	}
	if c.options.Kubeconfig == "" {
		c.options.Kubeconfig = c.path("kubeconfig")
	}
	if c.lock, err = lockDir(c.options.DataDir); err != nil {
		return nil, err
	}
	c.life, c.endLife = context.WithCancel(context.WithoutCancel(ctx))
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.emptyDataDir(); err != nil {
		return err
	}
	var err error
	if c.spawner, err = newSpawner(); err != nil {
		return err
	}
	if err := c.writeState(); err != nil {
		return err
	}
	if c.pki, err = newPKI(c.path("pki")); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	steps := []struct {
		wanted bool
		says   string
		do     func(context.Context) error
	}{
		{true, "etcd", c.startEtcd},
		{true, "kube-apiserver", c.startAPIServer},
		{true, "", c.connect},
		{true, "manifests", c.applyManifests}, // first, so that the garbage collector knows their kinds from the start
		{true, "kube-controller-manager", c.startControllerManager},
		{true, "", c.awaitServiceAccounts},
		{true, countFakeNodes(c.options.Nodes), c.startFakeNodes},
		{c.options.ProcessNode, "process node", c.startProcessNode},
		{c.options.Scheduler, schedulerBinary, func(ctx context.Context) error {
			_, err := c.StartScheduler(ctx, ProgramOptions{})
			return err
		}},
		{c.options.Controller, controllerBinary, func(ctx context.Context) error {
			_, err := c.StartController(ctx, ProgramOptions{})
			return err
		}},
	}
	for _, step := range steps {
		if !step.wanted {
			continue
		}
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		if step.says != "" {
			c.options.Log(fmt.Sprintf("%s (%.1fs)", step.says, time.Since(began).Seconds()))
		}
	}
	c.mutex.Lock()
	c.ready = time.Now()
	c.mutex.Unlock()
	return c.writeState()
}

// connect makes the administrator's client and kubeconfig.
func (c *Cluster) connect(context.Context) error {
	config := c.kubeconfigFor(userByCert(c.pki.admin))
	var err error
	c.config, err = clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
	if err != nil {
		return err
	}
	c.config.QPS = -1 // the apiserver is ours alone
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	return mergeKubeconfig(c.options.Kubeconfig, config)
}

// Stop ends everything that Start has started and removes the cluster's state.
// It may be called more than once. The error names what did not end as asked.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *Cluster) stop() error {
	c.endLife()
	c.parts.Wait()
	c.mutex.Lock()
	programs := c.programs
	servers := []*Process{c.controllerManager, c.apiServer, c.etcd}
	c.mutex.Unlock()

	var errs []error
	stopped := make(chan error, len(programs))
	for _, p := range programs {
		go func() { stopped <- p.Stop() }()
	}
	for range programs {
		errs = append(errs, <-stopped)
	}
	for _, p := range servers {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	if c.spawner != nil {
		c.spawner.close()
	}
	errs = append(errs, c.removeState(), c.lock.release())
	return errors.Join(errs...)
}

// Failed delivers an error when a part of the control plane ends by itself.
func (c *Cluster) Failed() <-chan error { return c.failed }

// RESTConfig is the administrator's way to the cluster, without a rate limit.
// The caller owns the copy.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client is a client with the administrator's rights.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// KubeconfigPath is the administrator's kubeconfig.
func (c *Cluster) KubeconfigPath() string { return c.options.Kubeconfig }

// DataDir is the directory of certificates, logs and state.
func (c *Cluster) DataDir() string { return c.options.DataDir }

// FakeNodes is the fleet of fake nodes, which may be empty.
func (c *Cluster) FakeNodes() *fakenodes.Fleet { return c.fleet }

// Etcd is the process of etcd.
func (c *Cluster) Etcd() *Process { return c.process(&c.etcd) }

// APIServer is the process of kube-apiserver.
func (c *Cluster) APIServer() *Process { return c.process(&c.apiServer) }

// ControllerManager is the process of kube-controller-manager.
func (c *Cluster) ControllerManager() *Process { return c.process(&c.controllerManager) }

// Scheduler is the lockstep-scheduler that was started last, or nil.
func (c *Cluster) Scheduler() *Process { return c.process(&c.scheduler) }

// Controller is the lockstep-controller that was started last, or nil.
func (c *Cluster) Controller() *Process { return c.process(&c.controller) }

// RestartEtcd stops etcd, unless it has ended, and starts it with its data on
// the same port. In between the apiserver answers with errors.
func (c *Cluster) RestartEtcd(ctx context.Context) error {
	return c.restart(ctx, c.Etcd(), c.startEtcd)
}

// RestartAPIServer stops the apiserver, unless it has ended, and starts it on the
// same port.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	return c.restart(ctx, c.APIServer(), c.startAPIServer)
}

func (c *Cluster) restart(ctx context.Context, p *Process, start func(context.Context) error) error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := start(ctx); err != nil {
		return err
	}
	return c.writeState()
}

// setProcess notes a process of the control plane and watches over it.
func (c *Cluster) setProcess(field **Process, p *Process) {
	c.mutex.Lock()
	*field = p
	c.mutex.Unlock()
	c.watch(p)
}

func (c *Cluster) process(field **Process) *Process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return *field
}
