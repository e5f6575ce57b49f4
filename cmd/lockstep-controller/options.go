package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// options are the flags of the command.
type options struct {
	kubeconfig    string
	namespace     string
	qps           float32
	burst         int
	workers       int
	otherOperator string
	advise        time.Duration
	levelTexts    []string
	levels        []topology.Level

	metricsAddress string
	metricsSecure  bool
	metricsCerts   string
	probeAddress   string

	leaderElect          bool
	leaderElectNamespace string

	initContainer         bool
	initContainerImage    string
	initContainerTries    int
	initContainerTemplate string

	settings controller.Settings
}

func defaultOptions() *options {
	return &options{
		qps:                500,
		burst:              1000,
		workers:            8,
		otherOperator:      controller.DefaultOtherOperator,
		advise:             30 * time.Second,
		metricsAddress:     "0",
		metricsSecure:      true,
		probeAddress:       "0",
		leaderElect:        true,
		initContainer:      true,
		initContainerImage: controller.DefaultInitImage,
		initContainerTries: controller.DefaultInitTries,
		settings:           controller.DefaultSettings(),
	}
}

func (o *options) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; without one: $KUBECONFIG, the pod's own account, or ~/.kube/config")
	fs.StringVar(&o.namespace, "namespace", "", "run the jobs of this namespace only (default: all)")
	fs.Float32Var(&o.qps, "kube-api-qps", o.qps, "requests per second to the apiserver")
	fs.IntVar(&o.burst, "kube-api-burst", o.burst, "requests to the apiserver in a burst")
	fs.IntVar(&o.workers, "workers", o.workers, "jobs that are worked on at once")
	fs.StringVar(&o.otherOperator, "stand-aside-for", o.otherOperator,
		"do nothing while a running pod has these labels; empty: never stand aside")

	fs.StringVar(&o.settings.ProvisioningClass, "provisioning-class", "",
		"ask cluster autoscalers for machines by ProvisioningRequests of this class, such as check-capacity.autoscaling.x-k8s.io;\n"+
			"needs the rights of manifests/rbac/controller-provisioning.yaml (default: ask for none)")
	fs.DurationVar(&o.advise, "autoscale-interval", o.advise,
		"how often jobs with the annotation lockstep.dev/autoscale: cluster get another size; 0, or with --namespace: never")
	fs.StringSliceVar(&o.levelTexts, "topology-levels", nil,
		"for these jobs: levels of the topology as name=label, widest first, as in the scheduler's topologyLevels\n"+
			"(default: found by the nodes' labels, as the scheduler does)")

	fs.StringVar(&o.metricsAddress, "metrics-bind-address", o.metricsAddress, `address for /metrics, such as :8443; "0": off`)
	fs.BoolVar(&o.metricsSecure, "metrics-secure", o.metricsSecure,
		"serve /metrics by HTTPS to callers that may get it; false: by HTTP to everyone")
	fs.StringVar(&o.metricsCerts, "metrics-cert-dir", "", "directory with tls.crt and tls.key for /metrics; without one: self-signed")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", o.probeAddress, `address for /healthz and /readyz, such as :8081; "0": off`)

	fs.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "work only while holding the lease lockstep-controller")
	fs.StringVar(&o.leaderElectNamespace, "leader-elect-resource-namespace", "",
		"namespace of the lease (default: the pod's own, else lockstep-system)")

	fs.StringVar(&o.settings.SchedulerName, "scheduler-name", o.settings.SchedulerName, "scheduler of pods whose template names none")
	fs.Int32Var(&o.settings.MaxGangSize, "max-gang-size", o.settings.MaxGangSize, "largest number of pods of a job")
	fs.DurationVar(&o.settings.ForceDeleteAfter, "force-delete-after", o.settings.ForceDeleteAfter,
		"delete a pod by force when it stays for so long past its grace period; 0: never")
	fs.BoolVar(&o.settings.StaticRendezvous, "static-rendezvous", false,
		"give jobs without a Master MASTER_ADDR, RANK and WORLD_SIZE as well; a job's annotation lockstep.dev/static-rendezvous: on|off wins")
	fs.BoolVar(&o.settings.LegacyLabels, "legacy-labels", false, "label pods as the pytorch-operator did, too")

	fs.BoolVar(&o.initContainer, "init-container", o.initContainer, "let Workers wait in an init container until the Master's name resolves")
	fs.StringVar(&o.initContainerImage, "pytorch-init-container-image", o.initContainerImage, "image of that container")
	fs.IntVar(&o.initContainerTries, "pytorch-init-container-max-tries", o.initContainerTries, "tries of that container, 2s apart")
	fs.StringVar(&o.initContainerTemplate, "pytorch-init-container-template-file", "",
		"file with a Go template of that container, with .MasterAddr, .InitContainerImage and .MaxTries")
}

// complete checks the flags and fills in what follows from them.
func (o *options) complete() error {
	if len(o.levelTexts) > 0 {
		levels, err := kube.ParseLevels(o.levelTexts)
		if err != nil {
			return fmt.Errorf("--topology-levels: %w", err)
		}
		o.levels = levels
	}
	switch {
	case o.settings.MaxGangSize < 1:
		return fmt.Errorf("--max-gang-size: %d: must be at least 1", o.settings.MaxGangSize)
	case o.settings.ForceDeleteAfter < 0:
		return fmt.Errorf("--force-delete-after: %v: must not be negative", o.settings.ForceDeleteAfter)
	case o.settings.SchedulerName == "":
		return fmt.Errorf("--scheduler-name: must not be empty")
	case o.advise < 0:
		return fmt.Errorf("--autoscale-interval: %v: must not be negative", o.advise)
	case o.workers < 1:
		return fmt.Errorf("--workers: %d: must be at least 1", o.workers)
	case o.initContainerTries < 1:
		return fmt.Errorf("--pytorch-init-container-max-tries: %d: must be at least 1", o.initContainerTries)
	}
	var err error
	o.settings.InitContainer, err = o.initContainerMaker()
	return err
}

func (o *options) initContainerMaker() (func(string) corev1.Container, error) {
	if !o.initContainer {
		return nil, nil
	}
	if o.initContainerTemplate == "" {
		return controller.InitContainer(o.initContainerImage, o.initContainerTries), nil
	}
	text, err := os.ReadFile(o.initContainerTemplate)
	if err != nil {
		return nil, fmt.Errorf("--pytorch-init-container-template-file: %w", err)
	}
	maker, err := controller.InitContainerFromTemplate(string(text), o.initContainerImage, o.initContainerTries)
	if err != nil {
		return nil, fmt.Errorf("--pytorch-init-container-template-file: %s: %w", o.initContainerTemplate, err)
	}
	return maker, nil
}

// Leader election, tuned so that a crashed leader is followed within 20 seconds.
const (
	leaseName     = "lockstep-controller"
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)
