package v1

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestValidate(t *testing.T) {
	set := change
	policy := func(edit func(*RunPolicy)) *PyTorchJob { return set(func(j *PyTorchJob) { edit(&j.Spec.RunPolicy) }) }
	gang := func(p SchedulingPolicy) *PyTorchJob { return policy(func(r *RunPolicy) { r.SchedulingPolicy = &p }) }
	one, two, five := new(int32(1)), new(int32(2)), new(int32(5))

	for _, test := range []struct {
		name string
		job  *PyTorchJob
		want string // the whole message; empty: valid
	}{
		{"valid", base(), ""},
		{"name starts with a digit", set(func(j *PyTorchJob) { j.Name = "1abc" }),
			`metadata.name: Invalid value: "1abc": should match: a DNS-1035 label must consist of lower case ` +
				`alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric ` +
				`character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`},
		{"name of 54 characters", set(func(j *PyTorchJob) { j.Name = strings.Repeat("a", 54) }), ""},
		{"name too long for its pods", set(func(j *PyTorchJob) { j.Name = strings.Repeat("a", 55) }),
			`metadata.name: Invalid value: "` + strings.Repeat("a", 55) + `": must be no more than 54 characters: ` +
				`its longest pod name would be ` + strings.Repeat("a", 55) + `-worker-1, and pod names end at 63`},
		{"name too long for any object", set(func(j *PyTorchJob) { j.Name = strings.Repeat("a", 64) }),
			`metadata.name: Invalid value: "` + strings.Repeat("a", 64) + `": must be no more than 54 characters: ` +
				`its longest pod name would be ` + strings.Repeat("a", 64) + `-worker-1, and pod names end at 63`},
		{"name too long for the largest size", func() *PyTorchJob {
			j := elastic(one, new(int32(101)))
			j.Name = strings.Repeat("a", 53)
			return j
		}(), `metadata.name: Invalid value: "` + strings.Repeat("a", 53) + `": must be no more than 52 characters: ` +
			`its longest pod name would be ` + strings.Repeat("a", 53) + `-worker-100, and pod names end at 63`},
		{"no replicas", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs = nil }),
			"spec.pytorchReplicaSpecs: Required value: must be required"},
		{"unknown role", set(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs["Chief"] = j.Spec.PyTorchReplicaSpecs[Master]
		}), `spec.pytorchReplicaSpecs[Chief]: Unsupported value: "Chief": supported values: "Master", "Worker"`},
		{"lower-case role", set(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs = map[ReplicaType]*ReplicaSpec{"master": j.Spec.PyTorchReplicaSpecs[Master]}
		}), `spec.pytorchReplicaSpecs[master]: Unsupported value: "master": supported values: "Master", "Worker"`},
		{"null role", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker] = nil }),
			"spec.pytorchReplicaSpecs[Worker]: Required value: must be required"},
		{"two Masters", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Master].Replicas = two }),
			"spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1"},
		{"no Workers", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker].Replicas = new(int32(0)) }),
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1"},
		{"negative Workers", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker].Replicas = new(int32(-1)) }),
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1"},
		{"unknown restartPolicy", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker].RestartPolicy = "Maybe" }),
			`spec.pytorchReplicaSpecs[Worker].restartPolicy: Unsupported value: "Maybe": supported values: ` +
				`"Always", "ExitCode", "Never", "OnFailure"`},
		{"no container", set(func(j *PyTorchJob) { j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.Containers = nil }),
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must be required"},
		{"no container pytorch", set(func(j *PyTorchJob) { trainer(j, Worker).Name = "train" }),
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: " +
				"must have at least one container with name pytorch; found: train"},
		{"no image", set(func(j *PyTorchJob) { trainer(j, Worker).Image = "" }),
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].image: Required value: must be required"},
		{"port out of range", set(func(j *PyTorchJob) {
			trainer(j, Worker).Ports = []corev1.ContainerPort{{Name: PortName, ContainerPort: 70000}}
		}), "spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].ports[0].containerPort: " +
			"Invalid value: 70000: must be between 1 and 65535, inclusive"},
		{"two schedulers", set(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.SchedulerName = "other"
		}), `spec.pytorchReplicaSpecs[Worker].template.spec.schedulerName: Forbidden: must be the Master's "", ` +
			`not "other": one scheduler places the whole job`},
		{"one scheduler, named once", set(func(j *PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[Worker].Template.Spec.SchedulerName = "lockstep"
		}), ""},
		{"nprocPerNode word", set(func(j *PyTorchJob) { j.Spec.NprocPerNode = new(intstr.FromString("banana")) }),
			`spec.nprocPerNode: Invalid value: "banana": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"nprocPerNode zero", set(func(j *PyTorchJob) { j.Spec.NprocPerNode = new(intstr.FromInt32(0)) }),
			`spec.nprocPerNode: Invalid value: "0": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"nprocPerNode text number", set(func(j *PyTorchJob) { j.Spec.NprocPerNode = new(intstr.FromString("8")) }), ""},
		{"nprocPerNode mixed", set(func(j *PyTorchJob) { j.Spec.NprocPerNode = new(intstr.FromString("8x")) }),
			`spec.nprocPerNode: Invalid value: "8x": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"both nproc fields", set(func(j *PyTorchJob) {
			j.Spec.NprocPerNode = new(intstr.FromString("2"))
			j.Spec.ElasticPolicy = &ElasticPolicy{NProcPerNode: two}
		}), "spec.elasticPolicy.nProcPerNode: Forbidden: must not be used with spec.nprocPerNode"},
		{"elastic without Workers", set(func(j *PyTorchJob) {
			delete(j.Spec.PyTorchReplicaSpecs, Worker)
			j.Spec.ElasticPolicy = &ElasticPolicy{}
		}), "spec.pytorchReplicaSpecs[Worker]: Required value: must be set with spec.elasticPolicy"},
		{"min above max", elastic(five, two), "spec.elasticPolicy.minReplicas: Invalid value: 5: must be ≤ maxReplicas (2)"},
		{"min zero", elastic(new(int32(0)), two), "spec.elasticPolicy.minReplicas: Invalid value: 0: must be at least 1"},
		{"max alone above the Workers", elastic(nil, new(int32(4))),
			"spec.elasticPolicy.minReplicas: Invalid value: 4: must be ≤ Worker.replicas (2)"},
		{"max below the Workers", elastic(one, one),
			"spec.elasticPolicy.maxReplicas: Invalid value: 1: must be ≥ Worker.replicas (2)"},
		{"rdzvPort", set(func(j *PyTorchJob) { j.Spec.ElasticPolicy = &ElasticPolicy{RDZVPort: new(int32(0))} }),
			"spec.elasticPolicy.rdzvPort: Invalid value: 0: must be between 1 and 65535, inclusive"},
		{"maxRestarts", set(func(j *PyTorchJob) { j.Spec.ElasticPolicy = &ElasticPolicy{MaxRestarts: new(int32(-1))} }),
			"spec.elasticPolicy.maxRestarts: Invalid value: -1: must be at least 0"},
		{"cleanPodPolicy", policy(func(r *RunPolicy) { r.CleanPodPolicy = new(CleanPodPolicy("Sometimes")) }),
			`spec.runPolicy.cleanPodPolicy: Unsupported value: "Sometimes": supported values: "All", "None", "Running"`},
		{"old cleanPodPolicy", set(func(j *PyTorchJob) { j.Spec.CleanPodPolicy = new(CleanPodPolicy("Sometimes")) }),
			`spec.runPolicy.cleanPodPolicy: Unsupported value: "Sometimes": supported values: "All", "None", "Running"`},
		{"managedBy", policy(func(r *RunPolicy) { r.ManagedBy = new("me") }),
			`spec.runPolicy.managedBy: Unsupported value: "me": supported values: ` +
				`"kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue"`},
		{"ttl", policy(func(r *RunPolicy) { r.TTLSecondsAfterFinished = new(int32(-1)) }),
			"spec.runPolicy.ttlSecondsAfterFinished: Invalid value: -1: must be at least 0"},
		{"deadline", policy(func(r *RunPolicy) { r.ActiveDeadlineSeconds = new(int64(0)) }),
			"spec.runPolicy.activeDeadlineSeconds: Invalid value: 0: must be at least 1"},
		{"backoffLimit", policy(func(r *RunPolicy) { r.BackoffLimit = new(int32(-1)) }),
			"spec.runPolicy.backoffLimit: Invalid value: -1: must be at least 0"},
		{"minAvailable above the pods", gang(SchedulingPolicy{MinAvailable: new(int32(9))}),
			"spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: 9: must be ≤ the number of pods (3)"},
		{"minAvailable zero", gang(SchedulingPolicy{MinAvailable: new(int32(0))}),
			"spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: 0: must be at least 1"},
		{"negative minResources", gang(SchedulingPolicy{MinResources: &corev1.ResourceList{"cpu": resource.MustParse("-1")}}),
			`spec.runPolicy.schedulingPolicy.minResources[cpu]: Invalid value: "-1": must be greater than or equal to 0`},
		{"scheduleTimeoutSeconds", gang(SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(0))}),
			"spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: Invalid value: 0: must be at least 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs := Validate(Effective(test.job))
			if got := message(errs.ToAggregate()); got != test.want {
				t.Errorf("got:  %s\nwant: %s", got, test.want)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestValidateSize(t *testing.T) {
	job := base()
	job.Spec.PyTorchReplicaSpecs[Worker].Replicas = new(int32(1<<31 - 1))
	const want = "spec.pytorchReplicaSpecs[Worker].replicas: Invalid value: 2147483647: " +
		"the job may have 2147483647 pods, more than the limit of 5000 (--max-gang-size)"
	if got := message(ValidateSize(Effective(job), 5000).ToAggregate()); got != want {
		t.Errorf("got %s", got)
	}
	if errs := ValidateSize(Effective(base()), 3); errs != nil {
		t.Errorf("3 pods with a limit of 3: %v", errs)
	}
}

// FuzzDecode: whatever decodes is defaulted and judged without a panic.
func FuzzDecode(f *testing.F) {
	for _, job := range []*PyTorchJob{base(), elastic(nil, new(int32(3)))} {
		text, err := json.Marshal(job)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"spec":{"pytorchReplicaSpecs":{"Worker":null},"elasticPolicy":{"rdzvConf":[]}}}`)
	f.Add(`{"spec":{"nprocPerNode":"","pytorchReplicaSpecs":{"Master":{"template":{"spec":{"containers":[{}]}}}}}}`)
	f.Add(`{"spec":{"runPolicy":{"schedulingPolicy":{"minResources":{"cpu":"-1"}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		job := &PyTorchJob{}
		if json.Unmarshal([]byte(text), job) != nil {
			return
		}
		effective := Effective(job)
		Validate(effective)
		ValidateSize(effective, 5000)
		Warnings(job, SchedulerName)
		Unsupported(job)
	})
}
