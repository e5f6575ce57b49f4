package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/kube"
)

// jobFlags describe a job on the command line.
type jobFlags struct {
	image               string
	workers             string
	master              bool
	masterGiven         bool
	gpus                int64
	nproc               string
	cpu, memory         string
	env                 []string
	required, preferred string
	priorityClass       string
	cleanPods           string
	backoffLimit        int32
	maxRestarts         int32
	maxRestartsGiven    bool
}

// gpuResource is what --gpus-per-worker counts.
const gpuResource corev1.ResourceName = "nvidia.com/gpu"

// cleanUps are the values of --clean-pods.
var cleanUps = []string{string(kubeflowv1.CleanRunning), string(kubeflowv1.CleanAll), string(kubeflowv1.CleanNone)}

func (f *jobFlags) set() *pflag.FlagSet {
	flags := pflag.NewFlagSet("job", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&f.image, "image", "", "container image that trains")
	flags.StringVar(&f.workers, "workers", "0", "number of Workers, or MIN..MAX for an elastic job")
	flags.BoolVar(&f.master, "master", true, "have a Master beside the Workers; elastic jobs have none")
	flags.Int64Var(&f.gpus, "gpus-per-worker", 1, string(gpuResource)+" of each Worker, and of the Master; 0: none")
	flags.StringVar(&f.nproc, "nproc", "", "processes that torchrun starts per pod: a number, auto, cpu, gpu or xpu (default auto)")
	flags.StringVar(&f.cpu, "cpu", "", "CPU that each pod requests, such as 4 or 500m")
	flags.StringVar(&f.memory, "memory", "", "memory that each pod requests, such as 16Gi")
	flags.StringArrayVar(&f.env, "env", nil, "environment variable NAME=VALUE; may be repeated")
	flags.StringVar(&f.required, "topology-required", "", "level of the topology that all pods must share, such as rack")
	flags.StringVar(&f.preferred, "topology-preferred", "", "level of the topology that all pods should share")
	flags.StringVar(&f.priorityClass, "priority-class", "", "PriorityClass of the pods")
	flags.StringVar(&f.cleanPods, "clean-pods", string(kubeflowv1.CleanRunning),
		"pods that are deleted when the job has ended: Running, All or None")
	flags.Int32Var(&f.backoffLimit, "backoff-limit", 6, "restarts of failed pods that the job survives; -1: no limit")
	flags.Int32Var(&f.maxRestarts, "max-restarts", 100, "restarts that torchrun of an elastic job makes; each lost Worker costs one")
	return flags
}

// build makes the job. Its errors name the flag; what the flags cannot know, such as how
// long a name may be, is left to the validation of the API.
func (f *jobFlags) build(name string, command []string) (*kubeflowv1.PyTorchJob, error) {
	if f.image == "" {
		return nil, errors.New("--image: must be given: the container image that trains")
	}
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	container, err := f.container(command)
	if err != nil {
		return nil, err
	}
	job := &kubeflowv1.PyTorchJob{}
	job.SetGroupVersionKind(kubeflowv1.GroupVersionKind)
	job.Name = name
	job.Annotations = f.annotations(size)
	if err := f.policies(&job.Spec, size); err != nil {
		return nil, err
	}
	job.Spec.PyTorchReplicaSpecs = map[kubeflowv1.ReplicaType]*kubeflowv1.ReplicaSpec{}
	for role, replicas := range map[kubeflowv1.ReplicaType]int32{kubeflowv1.Master: size.masters, kubeflowv1.Worker: size.most} {
		if replicas == 0 {
			continue
		}
		job.Spec.PyTorchReplicaSpecs[role] = &kubeflowv1.ReplicaSpec{
			Replicas:      &replicas,
			RestartPolicy: kubeflowv1.RestartOnFailure,
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{*container.DeepCopy()}, PriorityClassName: f.priorityClass,
			}},
		}
	}
	return job, nil
}

// jobSize is how many pods a job has. Workers that are not elastic have least == most.
type jobSize struct {
	masters     int32
	least, most int32
	elastic     bool
}

func (f *jobFlags) size() (jobSize, error) {
	first, last, elastic := strings.Cut(f.workers, "..")
	if !elastic {
		last = first
	}
	least, wrong := strconv.ParseUint(first, 10, 31)
	most, wrongToo := strconv.ParseUint(last, 10, 31)
	size := jobSize{least: int32(least), most: int32(most), elastic: elastic}
	if wrong != nil || wrongToo != nil {
		return size, fmt.Errorf("--workers=%s: is neither a number, such as 4, nor a range, such as 2..8", f.workers)
	}
	if f.master {
		size.masters = 1
	}
	switch {
	case elastic && size.least > size.most:
		return size, fmt.Errorf("--workers=%s: the smaller number comes first: %d..%d", f.workers, size.most, size.least)
	case elastic && size.least == 0:
		return size, fmt.Errorf("--workers=%s: an elastic job needs at least one Worker: 1..%d", f.workers, max(size.most, 1))
	case elastic && f.master && f.masterGiven:
		return size, errors.New("--master: an elastic job has none, its Workers meet at worker-0: leave --master out, or give --workers one number")
	case elastic:
		size.masters = 0
	case !f.master && size.most == 0:
		return size, errors.New("--master=false: leaves nothing to run: give --workers at least 1")
	}
	return size, nil
}

func (f *jobFlags) container(command []string) (*corev1.Container, error) {
	container := &corev1.Container{Name: kubeflowv1.ContainerName, Image: f.image, Command: command}
	for i, text := range f.env {
		name, value, ok := strings.Cut(text, "=")
		if wrong := validation.IsEnvVarName(name); !ok || len(wrong) > 0 {
			return nil, fmt.Errorf("--env=%s: is not NAME=VALUE, such as EPOCHS=10", text)
		}
		if slices.ContainsFunc(f.env[:i], func(other string) bool { return strings.HasPrefix(other, name+"=") }) {
			return nil, fmt.Errorf("--env=%s: %s is given twice", text, name)
		}
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
	}
	if f.gpus < 0 {
		return nil, fmt.Errorf("--gpus-per-worker=%d: must be 0 or more", f.gpus)
	}
	if f.gpus > 0 {
		container.Resources.Limits = corev1.ResourceList{gpuResource: *resource.NewQuantity(f.gpus, resource.DecimalSI)}
	}
	for _, r := range []struct {
		flag, text, like string
		name             corev1.ResourceName
	}{{"cpu", f.cpu, "4 or 500m", corev1.ResourceCPU}, {"memory", f.memory, "16Gi", corev1.ResourceMemory}} {
		if r.text == "" {
			continue
		}
		quantity, err := resource.ParseQuantity(r.text)
		if err != nil || quantity.Sign() <= 0 {
			return nil, fmt.Errorf("--%s=%s: not a positive quantity, such as %s", r.flag, r.text, r.like)
		}
		if wrong, _ := tooLittle(quantity); r.name == corev1.ResourceMemory && wrong != "" {
			return nil, fmt.Errorf("--%s=%s: %s", r.flag, r.text, wrong)
		}
		if container.Resources.Requests == nil {
			container.Resources.Requests = corev1.ResourceList{}
		}
		container.Resources.Requests[r.name] = quantity
	}
	return container, nil
}

// annotations ask for closeness, and for the addresses that Workers without a Master
// and without torchrun's elastic rendezvous meet by.
func (f *jobFlags) annotations(size jobSize) map[string]string {
	annotations := map[string]string{}
	for name, value := range map[string]string{kube.RequiredTopology: f.required, kube.PreferredTopology: f.preferred} {
		if value != "" {
			annotations[name] = value
		}
	}
	if size.masters == 0 && !size.elastic {
		annotations[kubeflowv1.AnnotationStaticRendezvous] = "on"
	}
	if len(annotations) == 0 {
		return nil
	}
	return annotations
}

func (f *jobFlags) policies(spec *kubeflowv1.PyTorchJobSpec, size jobSize) error {
	at := slices.IndexFunc(cleanUps, func(policy string) bool { return strings.EqualFold(policy, f.cleanPods) })
	if at < 0 {
		return fmt.Errorf("--clean-pods=%s: is none of %s", f.cleanPods, strings.Join(cleanUps, ", "))
	}
	clean := kubeflowv1.CleanPodPolicy(cleanUps[at])
	spec.RunPolicy.CleanPodPolicy = &clean
	switch {
	case f.backoffLimit < -1:
		return fmt.Errorf("--backoff-limit=%d: must be 0 or more, or -1 for no limit", f.backoffLimit)
	case f.backoffLimit >= 0:
		spec.RunPolicy.BackoffLimit = &f.backoffLimit
	}
	nproc := intstr.FromString(cmp.Or(f.nproc, "auto"))
	if _, number := kubeflowv1.NprocNumber(&nproc); !number && !slices.Contains([]string{"auto", "cpu", "gpu", "xpu"}, nproc.StrVal) {
		return fmt.Errorf("--nproc=%s: is neither a number of at least 1, nor auto, cpu, gpu or xpu", f.nproc)
	}
	if f.nproc != "" {
		spec.NprocPerNode = &nproc
	}
	switch {
	case f.maxRestarts < 0:
		return fmt.Errorf("--max-restarts=%d: must be 0 or more", f.maxRestarts)
	case f.maxRestartsGiven && !size.elastic:
		return errors.New("--max-restarts: is torchrun's, of an elastic job: give --workers a range, such as 2..8, or say --backoff-limit instead")
	}
	if size.elastic {
		spec.ElasticPolicy = &kubeflowv1.ElasticPolicy{
			MinReplicas: &size.least, MaxReplicas: &size.most, MaxRestarts: &f.maxRestarts,
		}
	}
	return nil
}
