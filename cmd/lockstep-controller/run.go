package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/controller/advisor"
)

// run works until the context ends.
func (o *options) run(ctx context.Context) error {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, o.managerOptions())
	if err != nil {
		return err
	}
	recorder, stop, err := newRecorder(config, mgr.GetScheme())
	if err != nil {
		return err
	}
	defer stop()
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	caches := &synced{cache: mgr.GetCache()}
	if err := mgr.Add(caches); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("caches", caches.check); err != nil {
		return err
	}
	board := controller.NewBoard()
	err = controller.Add(ctx, mgr, controller.Options{
		Settings: o.settings, Recorder: recorder, Workers: o.workers, OtherOperator: o.otherOperator, Board: board,
	})
	if err != nil {
		return err
	}
	if o.advise > 0 && o.namespace == "" { // who sees one namespace cannot tell what is idle
		err = advisor.Add(mgr, advisor.Options{Board: board, SchedulerName: o.settings.SchedulerName, Levels: o.levels, Every: o.advise})
		if err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

func (o *options) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS, config.Burst = o.qps, o.burst
	config.UserAgent = "lockstep-controller"
	return config, nil
}

func (o *options) managerOptions() ctrl.Options {
	caches := controller.Cache()
	if o.namespace != "" {
		caches.DefaultNamespaces = map[string]cache.Config{o.namespace: {}}
	}
	metrics := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure, CertDir: o.metricsCerts}
	if o.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	lease, renew, retry := leaseDuration, renewDeadline, retryPeriod
	return ctrl.Options{
		Scheme:                        controller.Scheme(),
		Cache:                         caches,
		Metrics:                       metrics,
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.leaseNamespace(),
		LeaderElectionReleaseOnCancel: true, // the process ends when the manager does
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
	}
}

// leaseNamespace is the pod's own when there is one.
func (o *options) leaseNamespace() string {
	if o.leaderElectNamespace != "" {
		return o.leaderElectNamespace
	}
	const ours = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	if text, err := os.ReadFile(ours); err == nil && len(text) > 0 {
		return strings.TrimSpace(string(text))
	}
	return "lockstep-system"
}

// newRecorder tells events. The limits of client-go are meant for one event at a time;
// the creation of a gang is many.
func newRecorder(config *rest.Config, scheme *runtime.Scheme) (record.EventRecorder, func(), error) {
	client, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "events"))
	if err != nil {
		return nil, nil, err
	}
	broadcaster := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: 500, QPS: 1, MaxEvents: 200,
	}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme, corev1.EventSource{Component: "pytorchjob-controller"}), broadcaster.Shutdown, nil
}

// synced makes the program ready when its caches are filled, leader or not.
type synced struct {
	cache cache.Cache
	done  atomic.Bool
}

// Start waits for the caches.
func (s *synced) Start(ctx context.Context) error {
	s.done.Store(s.cache.WaitForCacheSync(ctx))
	return nil
}

// NeedLeaderElection is false: a standby is ready, too.
func (s *synced) NeedLeaderElection() bool { return false }

func (s *synced) check(*http.Request) error {
	if !s.done.Load() {
		return errors.New("the caches are not filled yet")
	}
	return nil
}
