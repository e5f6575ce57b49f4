package v1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// base is a valid job: Master 1, Worker 2, container pytorch with an image.
func base() *PyTorchJob {
	replicas := func(n int32) *ReplicaSpec {
		return &ReplicaSpec{Replicas: new(n), RestartPolicy: RestartOnFailure, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: ContainerName, Image: "train:1"}}},
		}}
	}
	job := &PyTorchJob{}
	job.Name, job.Namespace = "job", "team"
	job.Spec.PyTorchReplicaSpecs = map[ReplicaType]*ReplicaSpec{Master: replicas(1), Worker: replicas(2)}
	return job
}

// elastic is base without a Master, with min to max Workers.
func elastic(least, most *int32) *PyTorchJob {
	job := base()
	delete(job.Spec.PyTorchReplicaSpecs, Master)
	job.Spec.ElasticPolicy = &ElasticPolicy{MinReplicas: least, MaxReplicas: most}
	return job
}

func TestEffective(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored *PyTorchJob
		check  func(*PyTorchJob) (got, want any)
	}{
		{"an omitted Master count is 1", change(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Master].Replicas = nil }),
			func(j *PyTorchJob) (any, any) { return *j.Spec.PyTorchReplicaSpecs[Master].Replicas, int32(1) }},
		{"restartPolicy", change(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker].RestartPolicy = "" }),
			func(j *PyTorchJob) (any, any) {
				return j.Spec.PyTorchReplicaSpecs[Worker].RestartPolicy, RestartOnFailure
			}},
		{"the port goes to every role", base(), func(j *PyTorchJob) (any, any) {
			return j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.Containers[0].Ports,
				[]corev1.ContainerPort{{Name: PortName, ContainerPort: 23456}}
		}},
		{"a port of another name stays beside it", change(func(j *PyTorchJob) {
			trainer(j, Worker).Ports = []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9090}}
		}), func(j *PyTorchJob) (any, any) { return len(trainer(j, Worker).Ports), 2 }},
		{"a port of its name is kept", change(func(j *PyTorchJob) {
			trainer(j, Master).Ports = []corev1.ContainerPort{{Name: PortName, ContainerPort: 29500}}
		}), func(j *PyTorchJob) (any, any) {
			return MeetingPort(&j.Spec.PyTorchReplicaSpecs[Master].Template.Spec), int32(29500)
		}},
		{"nprocPerNode", base(), func(j *PyTorchJob) (any, any) { return j.Spec.NprocPerNode.String(), "auto" }},
		{"nprocPerNode stays unset beside its deprecated position", change(func(j *PyTorchJob) {
			j.Spec.ElasticPolicy = &ElasticPolicy{NProcPerNode: new(int32(2))}
		}), func(j *PyTorchJob) (any, any) { return j.Spec.NprocPerNode, (*intstr.IntOrString)(nil) }},
		{"cleanPodPolicy", base(), func(j *PyTorchJob) (any, any) { return *j.Spec.RunPolicy.CleanPodPolicy, CleanNone }},
		{"an empty cleanPodPolicy", change(func(j *PyTorchJob) { j.Spec.RunPolicy.CleanPodPolicy = new(CleanPodPolicy("")) }),
			func(j *PyTorchJob) (any, any) { return *j.Spec.RunPolicy.CleanPodPolicy, CleanNone }},
		{"the old positions are folded", change(func(j *PyTorchJob) {
			j.Spec.CleanPodPolicy = new(CleanAll)
			j.Spec.TTLSecondsAfterFinished = new(int32(7))
			j.Spec.ActiveDeadlineSeconds = new(int64(8))
			j.Spec.BackoffLimit = new(int32(9))
		}), func(j *PyTorchJob) (any, any) {
			p := j.Spec.RunPolicy
			return []any{*p.CleanPodPolicy, *p.TTLSecondsAfterFinished, *p.ActiveDeadlineSeconds, *p.BackoffLimit},
				[]any{CleanAll, int32(7), int64(8), int32(9)}
		}},
		{"runPolicy wins", change(func(j *PyTorchJob) {
			j.Spec.CleanPodPolicy, j.Spec.RunPolicy.CleanPodPolicy = new(CleanAll), new(CleanNone)
		}), func(j *PyTorchJob) (any, any) { return *j.Spec.RunPolicy.CleanPodPolicy, CleanNone }},
		{"neither bound: the Workers", elastic(nil, nil), bounds(2, 2)},
		{"only the upper bound", elastic(nil, new(int32(4))), bounds(4, 4)},
		{"only the lower bound", elastic(new(int32(1)), nil), bounds(1, 1)},
		{"rdzvBackend", elastic(nil, nil), func(j *PyTorchJob) (any, any) { return *j.Spec.ElasticPolicy.RDZVBackend, "c10d" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.stored.DeepCopy()
			got, want := test.check(Effective(test.stored))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, test.stored); diff != "" {
				t.Errorf("the stored job was written to: %s", diff)
			}
		})
	}
}

func change(edit func(*PyTorchJob)) *PyTorchJob {
	job := base()
	edit(job)
	return job
}

func trainer(job *PyTorchJob, role ReplicaType) *corev1.Container {
	return Trainer(&job.Spec.PyTorchReplicaSpecs[role].Template.Spec)
}

func bounds(least, most int32) func(*PyTorchJob) (any, any) {
	return func(j *PyTorchJob) (any, any) {
		return []int32{*j.Spec.ElasticPolicy.MinReplicas, *j.Spec.ElasticPolicy.MaxReplicas}, []int32{least, most}
	}
}

func TestWarnings(t *testing.T) {
	reasons := func(job *PyTorchJob) (reasons []string) {
		for _, notice := range append(Warnings(job, SchedulerName), Unsupported(job)...) {
			reasons = append(reasons, notice.Reason)
		}
		return reasons
	}
	for _, test := range []struct {
		name string
		job  *PyTorchJob
		want []string
	}{
		{"an ordinary job", base(), nil},
		{"old position, other value", change(func(j *PyTorchJob) {
			j.Spec.CleanPodPolicy, j.Spec.RunPolicy.CleanPodPolicy = new(CleanAll), new(CleanNone)
		}), []string{"LegacyFieldIgnored"}},
		{"old position, same value", change(func(j *PyTorchJob) {
			j.Spec.CleanPodPolicy, j.Spec.RunPolicy.CleanPodPolicy = new(CleanAll), new(CleanAll)
		}), nil},
		{"restartPolicy of the template", change(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[Master].Template.Spec.RestartPolicy = corev1.RestartPolicyAlways
		}), []string{"SetPodTemplateRestartPolicy"}},
		{"old position, the same value in other words", change(func(j *PyTorchJob) {
			j.Spec.CleanPodPolicy, j.Spec.RunPolicy.CleanPodPolicy = new(CleanPodPolicy("")), new(CleanNone)
		}), nil},
		{"another scheduler", change(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.SchedulerName = "other"
		}), []string{"SetPodTemplateSchedulerName"}},
		{"our scheduler by name", change(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.SchedulerName = "lockstep"
		}), nil},
		{"gpu without GPUs", change(func(j *PyTorchJob) {
			j.Spec.NprocPerNode = new(intstr.FromString("gpu"))
			trainer(j, Master).Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
		}), []string{"NoGPURequested"}},
		{"a floor below the size", change(func(j *PyTorchJob) {
			j.Spec.RunPolicy.SchedulingPolicy = &SchedulingPolicy{MinAvailable: new(int32(2)), Queue: "not a name",
				ScheduleTimeoutSeconds: new(int32(1000))}
		}), []string{"PartialGang", "ScheduleTimeoutClamped", "FieldHasNoEffect"}},
		{"elastic annotation without elasticPolicy", change(func(j *PyTorchJob) {
			j.Annotations = map[string]string{AnnotationResizeCooldown: "5m"}
		}), []string{"FieldHasNoEffect"}},
		{"sized by the cluster without elasticPolicy", change(func(j *PyTorchJob) {
			j.Annotations = map[string]string{AnnotationAutoscale: "cluster", AnnotationExpectedDuration: "2h"}
		}), []string{"FieldHasNoEffect"}},
		{"static rendezvous, misspelt", change(func(j *PyTorchJob) {
			j.Annotations = map[string]string{AnnotationStaticRendezvous: "true"}
		}), []string{"InvalidAnnotation"}},
		{"static rendezvous of an elastic job", change(func(j *PyTorchJob) {
			delete(j.Spec.PyTorchReplicaSpecs, Master)
			j.Annotations, j.Spec.ElasticPolicy = map[string]string{AnnotationStaticRendezvous: "on"}, &ElasticPolicy{}
		}), []string{"FieldHasNoEffect"}},
		{"elastic with a Master and the old nproc", change(func(j *PyTorchJob) {
			j.Spec.ElasticPolicy = &ElasticPolicy{NProcPerNode: new(int32(1)), RDZVBackend: new("foo")}
		}), []string{"DeprecatedField", "UnknownRendezvousBackend", "MasterOfElasticJob"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, reasons(test.job)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
