package v1

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Annotations of a job that shape its elastic behaviour, and the ones that are
// handed down to its PodGroup with all others.
const (
	AnnotationAutoscale        = "lockstep.dev/autoscale"
	AnnotationExpectedDuration = "lockstep.dev/expected-duration"
	AnnotationWorldSizes       = "lockstep.dev/world-sizes"
	AnnotationWorldSizeStep    = "lockstep.dev/world-size-step"
	AnnotationResizeCooldown   = "lockstep.dev/resize-cooldown"
	AnnotationMaxResizes       = "lockstep.dev/max-resizes"
	AnnotationCheckpointGrace  = "lockstep.dev/checkpoint-grace"
	// AnnotationStepsPort is the port at which a job's first Worker tells its speed.
	AnnotationStepsPort = "lockstep.dev/steps-port"
	// AnnotationStaticRendezvous "on" gives plain Workers-only jobs the addresses and
	// ranks that jobs with a Master have.
	AnnotationStaticRendezvous = "lockstep.dev/static-rendezvous"
)

// MaxScheduleTimeout is the longest wait, in seconds, that the scheduler framework keeps.
const MaxScheduleTimeout int32 = 900

// Notice is something that a user should know about an accepted job.
type Notice struct {
	// Reason is one CamelCase word, as in an event.
	Reason string
	// Message begins with the field path.
	Message string
}

// Unsupported names each field that is accepted but has no effect.
func Unsupported(stored *PyTorchJob) []Notice {
	var notices []Notice
	note := func(path, why string) {
		notices = append(notices, Notice{"FieldHasNoEffect", path + ": accepted, but has no effect: " + why})
	}
	if policy := stored.Spec.RunPolicy.SchedulingPolicy; policy != nil && len(validation.IsValidLabelValue(policy.Queue)) > 0 {
		note("spec.runPolicy.schedulingPolicy.queue", fmt.Sprintf("no queue can have the name %q", policy.Queue))
	}
	switch value := stored.Annotations[AnnotationStaticRendezvous]; {
	case value == "on" && stored.Spec.ElasticPolicy != nil:
		note(annotationPath(AnnotationStaticRendezvous), "the job has spec.elasticPolicy")
	case value != "" && value != "on" && value != "off":
		notices = append(notices, invalidAnnotation(AnnotationStaticRendezvous, value, "on or off"))
	}
	if stored.Spec.ElasticPolicy == nil {
		for _, name := range []string{AnnotationAutoscale, AnnotationStepsPort, AnnotationWorldSizes, AnnotationWorldSizeStep, AnnotationResizeCooldown,
			AnnotationMaxResizes, AnnotationCheckpointGrace} {
			if value := stored.Annotations[name]; value != "" && value != "off" {
				note(annotationPath(name), "the job has no spec.elasticPolicy")
			}
		}
	}
	return notices
}

// AutoscaledByCluster says whether the job leaves its number of Workers to the recommender.
func AutoscaledByCluster(job *PyTorchJob) bool {
	return job.Annotations[AnnotationAutoscale] == "cluster" && job.Spec.ElasticPolicy != nil
}

func invalidAnnotation(name, value, want string) Notice {
	return Notice{"InvalidAnnotation", fmt.Sprintf("%s: %q has no effect: must be %s", annotationPath(name), value, want)}
}

func annotationPath(name string) string { return "metadata.annotations[" + name + "]" }

// Warnings says what is legal in a stored job, yet probably not what its author meant. Pods
// whose template names no scheduler get the given one.
func Warnings(stored *PyTorchJob, scheduler string) []Notice {
	var notices []Notice
	for _, path := range IgnoredLegacyFields(stored) {
		notices = append(notices, Notice{"LegacyFieldIgnored", path + ": ignored, spec.runPolicy has another value"})
	}
	notices = append(notices, warnTemplates(stored, scheduler)...)
	notices = append(notices, warnElastic(stored)...)
	return append(notices, warnScheduling(stored)...)
}

func warnTemplates(stored *PyTorchJob, scheduler string) []Notice {
	var notices []Notice
	for _, role := range ReplicaTypes() {
		replicas := stored.Spec.PyTorchReplicaSpecs[role]
		if replicas == nil {
			continue
		}
		path := replicasPath.Key(string(role)).Child("template", "spec")
		if replicas.Template.Spec.RestartPolicy != "" {
			notices = append(notices, Notice{"SetPodTemplateRestartPolicy",
				fmt.Sprintf("%s: overwritten by the restartPolicy of the %s", path.Child("restartPolicy"), role)})
		}
		if name := replicas.Template.Spec.SchedulerName; name != "" && name != scheduler {
			notices = append(notices, Notice{"SetPodTemplateSchedulerName", fmt.Sprintf(
				"%s: %q is kept; the pods are placed together only if that scheduler knows pod groups",
				path.Child("schedulerName"), name)})
		}
		if nproc := stored.Spec.NprocPerNode; nproc != nil && nproc.StrVal == "gpu" && !asksForGPU(replicas.Template.Spec) {
			notices = append(notices, Notice{"NoGPURequested", fmt.Sprintf(
				"spec.nprocPerNode: is gpu, but the pods of the %s ask for none", role)})
		}
	}
	return notices
}

func asksForGPU(spec corev1.PodSpec) bool {
	for _, container := range spec.Containers {
		for _, list := range []corev1.ResourceList{container.Resources.Limits, container.Resources.Requests} {
			for name := range list {
				if strings.HasSuffix(string(name), "/gpu") || strings.Contains(string(name), "nvidia.com/mig-") {
					return true
				}
			}
		}
	}
	return len(spec.ResourceClaims) > 0
}

func warnElastic(stored *PyTorchJob) []Notice {
	elastic := stored.Spec.ElasticPolicy
	if elastic == nil {
		return nil
	}
	var notices []Notice
	if elastic.NProcPerNode != nil {
		notices = append(notices, Notice{"DeprecatedField",
			"spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead"})
	}
	known := []string{"c10d", "etcd", "etcd-v2", "static"}
	if backend := elastic.RDZVBackend; backend != nil && *backend != "" && !slices.Contains(known, *backend) {
		notices = append(notices, Notice{"UnknownRendezvousBackend", fmt.Sprintf(
			"spec.elasticPolicy.rdzvBackend: %q is none of %s", *backend, strings.Join(known, ", "))})
	}
	if id := elastic.RDZVID; id != nil && strings.ContainsFunc(*id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		notices = append(notices, Notice{"OddRendezvousID", fmt.Sprintf(
			"spec.elasticPolicy.rdzvId: %q holds more than letters, digits and punctuation of ASCII, which a store may not keep apart", *id)})
	}
	if len(elastic.Metrics) > 0 && (elastic.MaxRestarts == nil || *elastic.MaxRestarts == 0) {
		notices = append(notices, Notice{"NoTorchRestarts",
			"spec.elasticPolicy.maxRestarts: is 0 while spec.elasticPolicy.metrics resize the job: one lost peer ends it"})
	}
	if stored.Spec.PyTorchReplicaSpecs[Master] != nil {
		notices = append(notices, Notice{"MasterOfElasticJob",
			"spec.elasticPolicy: counts the Workers only; a Master beside it takes no part in the rendezvous"})
	}
	return notices
}

func warnScheduling(stored *PyTorchJob) []Notice {
	policy := stored.Spec.RunPolicy.SchedulingPolicy
	if policy == nil {
		return nil
	}
	var notices []Notice
	if n := policy.MinAvailable; n != nil && stored.Spec.ElasticPolicy == nil && *n < Pods(Effective(stored)) {
		notices = append(notices, Notice{"PartialGang",
			"spec.runPolicy.schedulingPolicy.minAvailable: is less than the number of pods; " +
				"ranks wait for one another until all have started"})
	}
	if t := policy.ScheduleTimeoutSeconds; t != nil && *t > MaxScheduleTimeout {
		notices = append(notices, Notice{"ScheduleTimeoutClamped", fmt.Sprintf(
			"spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: %d is taken as %d, the longest wait that is kept",
			*t, MaxScheduleTimeout)})
	}
	return notices
}
