package v1

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxLabel is the longest name that a pod's host name and a Service may have.
const maxLabel = 63

var (
	specPath     = field.NewPath("spec")
	replicasPath = specPath.Child("pytorchReplicaSpecs")
	policyPath   = specPath.Child("runPolicy")
	elasticPath  = specPath.Child("elasticPolicy")
)

// Validate says what is wrong with an effective job (see Effective), each error with
// its field path. An empty list means that the job can be run.
func Validate(job *PyTorchJob) field.ErrorList {
	errs := validateName(job)
	errs = append(errs, validateReplicaSpecs(&job.Spec)...)
	errs = append(errs, validateNproc(&job.Spec)...)
	errs = append(errs, validateElastic(&job.Spec)...)
	return append(errs, validateRunPolicy(job)...)
}

// ValidateSize says whether the job may grow beyond limit pods, the most that the
// controller is willing to run as one gang.
func ValidateSize(job *PyTorchJob, limit int32) field.ErrorList {
	n, worker := Largest(job), job.Spec.PyTorchReplicaSpecs[Worker]
	if worker == nil || n <= limit {
		return nil
	}
	path, value := replicasPath.Key(string(Worker)).Child("replicas"), worker.Replicas
	if elastic := job.Spec.ElasticPolicy; elastic != nil && elastic.MaxReplicas != nil && *elastic.MaxReplicas > workers(&job.Spec) {
		path, value = elasticPath.Child("maxReplicas"), elastic.MaxReplicas
	}
	return field.ErrorList{field.Invalid(path, value,
		fmt.Sprintf("the job may have %d pods, more than the limit of %d (--max-gang-size)", n, limit))}
}

// Pods is the number of pods that the job asks for now.
func Pods(job *PyTorchJob) int32 {
	return masters(&job.Spec) + workers(&job.Spec)
}

// Largest is the number of pods that the job may grow to. It saturates.
func Largest(job *PyTorchJob) int32 {
	most := workers(&job.Spec)
	if elastic := job.Spec.ElasticPolicy; elastic != nil && elastic.MaxReplicas != nil {
		most = max(most, *elastic.MaxReplicas)
	}
	return max(most, most+masters(&job.Spec))
}

func masters(spec *PyTorchJobSpec) int32 { return replicasOf(spec.PyTorchReplicaSpecs[Master]) }
func workers(spec *PyTorchJobSpec) int32 { return replicasOf(spec.PyTorchReplicaSpecs[Worker]) }

func replicasOf(replicas *ReplicaSpec) int32 {
	if replicas == nil || replicas.Replicas == nil {
		return 0
	}
	return *replicas.Replicas
}

func validateName(job *PyTorchJob) field.ErrorList {
	path := field.NewPath("metadata", "name")
	last := Largest(job) - masters(&job.Spec) - 1
	longest := PodName(job.Name, Worker, max(last, 0))
	if len(longest) > maxLabel {
		return field.ErrorList{field.Invalid(path, job.Name, fmt.Sprintf(
			"must be no more than %d characters: its longest pod name would be %s, and pod names end at %d",
			maxLabel-(len(longest)-len(job.Name)), longest, maxLabel))}
	}
	if wrong := validation.IsDNS1035Label(job.Name); len(wrong) > 0 {
		return field.ErrorList{field.Invalid(path, job.Name, "should match: "+strings.Join(wrong, ", "))}
	}
	return nil
}

// PodName is the name of a pod and of its Service.
func PodName(job string, role ReplicaType, index int32) string {
	return fmt.Sprintf("%s-%s-%d", job, strings.ToLower(string(role)), index)
}

func validateReplicaSpecs(spec *PyTorchJobSpec) field.ErrorList {
	if len(spec.PyTorchReplicaSpecs) == 0 {
		return field.ErrorList{field.Required(replicasPath, "must be required")}
	}
	var errs field.ErrorList
	for _, role := range sortedRoles(spec) {
		path := replicasPath.Key(string(role))
		switch replicas := spec.PyTorchReplicaSpecs[role]; {
		case !slices.Contains(ReplicaTypes(), role):
			errs = append(errs, field.NotSupported(path, role, ReplicaTypes()))
		case replicas == nil:
			errs = append(errs, field.Required(path, "must be required"))
		default:
			errs = append(errs, validateReplicas(role, replicas, path)...)
		}
	}
	return append(errs, validateOneScheduler(spec)...)
}

func sortedRoles(spec *PyTorchJobSpec) []ReplicaType {
	roles := make([]ReplicaType, 0, len(spec.PyTorchReplicaSpecs))
	for role := range spec.PyTorchReplicaSpecs {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	return roles
}

func validateReplicas(role ReplicaType, replicas *ReplicaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch n := replicasOf(replicas); {
	case role == Master && n != 1:
		errs = append(errs, field.Forbidden(path.Child("replicas"), "must be 1"))
	case n < 1:
		errs = append(errs, field.Forbidden(path.Child("replicas"), "must be at least 1"))
	}
	policies := []RestartPolicy{RestartAlways, RestartExitCode, RestartNever, RestartOnFailure}
	if !slices.Contains(policies, replicas.RestartPolicy) {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), replicas.RestartPolicy, policies))
	}
	return append(errs, validateContainers(replicas.Template.Spec.Containers, path.Child("template", "spec", "containers"))...)
}

func validateContainers(containers []corev1.Container, path *field.Path) field.ErrorList {
	if len(containers) == 0 {
		return field.ErrorList{field.Required(path, "must be required")}
	}
	var errs field.ErrorList
	names := make([]string, 0, len(containers))
	for i, container := range containers {
		names = append(names, container.Name)
		if container.Image == "" {
			errs = append(errs, field.Required(path.Index(i).Child("image"), "must be required"))
		}
		if container.Name != ContainerName {
			continue
		}
		for j, port := range container.Ports {
			if wrong := validation.IsValidPortNum(int(port.ContainerPort)); len(wrong) > 0 {
				errs = append(errs, field.Invalid(path.Index(i).Child("ports").Index(j).Child("containerPort"),
					port.ContainerPort, strings.Join(wrong, ", ")))
			}
		}
	}
	if !slices.Contains(names, ContainerName) {
		errs = append(errs, field.Required(path, fmt.Sprintf(
			"must have at least one container with name %s; found: %s", ContainerName, strings.Join(names, ", "))))
	}
	return errs
}

// validateOneScheduler: a gang is placed by one scheduler.
func validateOneScheduler(spec *PyTorchJobSpec) field.ErrorList {
	master, worker := spec.PyTorchReplicaSpecs[Master], spec.PyTorchReplicaSpecs[Worker]
	if master == nil || worker == nil {
		return nil
	}
	if a, b := master.Template.Spec.SchedulerName, worker.Template.Spec.SchedulerName; schedulerOr(a) != schedulerOr(b) {
		return field.ErrorList{field.Forbidden(
			replicasPath.Key(string(Worker)).Child("template", "spec", "schedulerName"),
			fmt.Sprintf("must be the Master's %q, not %q: one scheduler places the whole job", a, b))}
	}
	return nil
}

// schedulerOr is the scheduler that a template's name stands for.
func schedulerOr(name string) string { return cmp.Or(name, SchedulerName) }

func validateNproc(spec *PyTorchJobSpec) field.ErrorList {
	var errs field.ErrorList
	path := specPath.Child("nprocPerNode")
	elastic := spec.ElasticPolicy
	if spec.NprocPerNode != nil && elastic != nil && elastic.NProcPerNode != nil {
		errs = append(errs, field.Forbidden(elasticPath.Child("nProcPerNode"), "must not be used with spec.nprocPerNode"))
	}
	if nproc := spec.NprocPerNode; nproc != nil && !validNproc(*nproc) {
		errs = append(errs, field.Invalid(path, nproc.String(), "must be auto, cpu, gpu, xpu, or a whole number of at least 1"))
	}
	return errs
}

func validNproc(nproc intstr.IntOrString) bool {
	if nproc.Type == intstr.Int {
		return nproc.IntVal >= 1
	}
	if slices.Contains([]string{"auto", "cpu", "gpu", "xpu"}, nproc.StrVal) {
		return true
	}
	_, ok := NprocNumber(&nproc)
	return ok
}

// NprocNumber is nprocPerNode as a number; false for the words, which torchrun
// resolves on the node.
func NprocNumber(nproc *intstr.IntOrString) (int32, bool) {
	if nproc == nil {
		return 0, false
	}
	if nproc.Type == intstr.Int {
		return nproc.IntVal, true
	}
	var n int32
	for _, digit := range nproc.StrVal {
		if digit < '0' || digit > '9' || n > 1<<26 {
			return 0, false
		}
		n = 10*n + digit - '0'
	}
	return n, n > 0 && nproc.StrVal[0] != '0'
}

func validateElastic(spec *PyTorchJobSpec) field.ErrorList {
	elastic := spec.ElasticPolicy
	if elastic == nil {
		return nil
	}
	worker := spec.PyTorchReplicaSpecs[Worker]
	if worker == nil {
		return field.ErrorList{field.Required(replicasPath.Key(string(Worker)), "must be set with spec.elasticPolicy")}
	}
	var errs field.ErrorList
	if elastic.MinReplicas != nil && elastic.MaxReplicas != nil && worker.Replicas != nil {
		errs = append(errs, validateRange(*elastic.MinReplicas, *elastic.MaxReplicas, *worker.Replicas)...)
	}
	if p := elastic.RDZVPort; p != nil {
		if wrong := validation.IsValidPortNum(int(*p)); len(wrong) > 0 {
			errs = append(errs, field.Invalid(elasticPath.Child("rdzvPort"), *p, strings.Join(wrong, ", ")))
		}
	}
	if id := elastic.RDZVID; id != nil && len(*id) > 253 {
		errs = append(errs, field.TooLong(elasticPath.Child("rdzvId"), *id, 253))
	}
	errs = append(errs, atLeast(elasticPath.Child("maxRestarts"), elastic.MaxRestarts, 0)...)
	return append(errs, atLeast(elasticPath.Child("nProcPerNode"), elastic.NProcPerNode, 1)...)
}

func validateRange(least, most, replicas int32) field.ErrorList {
	path := elasticPath.Child("minReplicas")
	switch {
	case least < 1:
		return field.ErrorList{field.Invalid(path, least, "must be at least 1")}
	case least > most:
		return field.ErrorList{field.Invalid(path, least, fmt.Sprintf("must be ≤ maxReplicas (%d)", most))}
	case least > replicas:
		return field.ErrorList{field.Invalid(path, least, fmt.Sprintf("must be ≤ Worker.replicas (%d)", replicas))}
	case most < replicas:
		return field.ErrorList{field.Invalid(elasticPath.Child("maxReplicas"), most,
			fmt.Sprintf("must be ≥ Worker.replicas (%d)", replicas))}
	}
	return nil
}

func validateRunPolicy(job *PyTorchJob) field.ErrorList {
	policy := &job.Spec.RunPolicy
	var errs field.ErrorList
	cleaning := []CleanPodPolicy{CleanAll, CleanNone, CleanRunning}
	if clean := policy.CleanPodPolicy; clean != nil && !slices.Contains(cleaning, *clean) {
		errs = append(errs, field.NotSupported(policyPath.Child("cleanPodPolicy"), *clean, cleaning))
	}
	managers := []string{ManagedByOperator, ManagedByMultiKueue}
	if by := policy.ManagedBy; by != nil && !slices.Contains(managers, *by) {
		errs = append(errs, field.NotSupported(policyPath.Child("managedBy"), *by, managers))
	}
	errs = append(errs, atLeast(policyPath.Child("ttlSecondsAfterFinished"), policy.TTLSecondsAfterFinished, 0)...)
	errs = append(errs, atLeast(policyPath.Child("activeDeadlineSeconds"), policy.ActiveDeadlineSeconds, 1)...)
	errs = append(errs, atLeast(policyPath.Child("backoffLimit"), policy.BackoffLimit, 0)...)
	return append(errs, validateScheduling(policy.SchedulingPolicy, Pods(job))...)
}

func validateScheduling(policy *SchedulingPolicy, pods int32) field.ErrorList {
	if policy == nil {
		return nil
	}
	path := policyPath.Child("schedulingPolicy")
	var errs field.ErrorList
	switch n := policy.MinAvailable; {
	case n == nil:
	case *n < 1:
		errs = append(errs, field.Invalid(path.Child("minAvailable"), *n, "must be at least 1"))
	case *n > pods:
		errs = append(errs, field.Invalid(path.Child("minAvailable"), *n,
			fmt.Sprintf("must be ≤ the number of pods (%d)", pods)))
	}
	if policy.MinResources != nil {
		for _, name := range sortedResources(*policy.MinResources) {
			if quantity := (*policy.MinResources)[name]; quantity.Sign() < 0 {
				errs = append(errs, field.Invalid(path.Child("minResources").Key(string(name)),
					quantity.String(), "must be greater than or equal to 0"))
			}
		}
	}
	return append(errs, atLeast(path.Child("scheduleTimeoutSeconds"), policy.ScheduleTimeoutSeconds, 1)...)
}

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func atLeast[N int32 | int64](path *field.Path, value *N, least N) field.ErrorList {
	if value == nil || *value >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *value, fmt.Sprintf("must be at least %d", least))}
}
