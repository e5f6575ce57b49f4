package controller

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// train is a pod template as small as it may be.
const train = "template: {spec: {containers: [{name: pytorch, image: a}]}}"

// TestLiveBadInput: what the apiserver refuses, with every word of it. The numbers are the rows of the
// project's list of bad input; some stand for several inputs.
func TestLiveBadInput(t *testing.T) {
	l := newLive(t)
	roles := func(specs string) string { return "{spec: {pytorchReplicaSpecs: {" + specs + "}}}" }
	containers := func(list string) string { return roles("Worker: {template: {spec: {containers: [" + list + "]}}}") }
	named := func(name, specs string) string { return "{metadata: {name: " + name + "}, " + roles(specs)[1:] }
	worker := func(spec string) string {
		return "{spec: {" + spec + "pytorchReplicaSpecs: {Worker: {replicas: 2, " + train + "}}}}"
	}
	policy := func(fields string) string { return worker("runPolicy: {" + fields + "}, ") }
	elastic := func(fields string) string { return worker("elasticPolicy: {" + fields + "}, ") }
	for _, test := range []struct{ name, job, want string }{
		{"1 no role specs", "{spec: {}}",
			`spec.pytorchReplicaSpecs: Required value: must be required`},
		{"1 empty role specs", roles(""),
			`spec.pytorchReplicaSpecs: Required value: must be required`},
		{"2 lower-case role", roles("master: {" + train + "}"),
			`spec.pytorchReplicaSpecs: Invalid value: Unsupported value: ["master"]: supported values: "Master", "Worker"`},
		{"2 role of other frameworks", roles("Chief: {" + train + "}"),
			`spec.pytorchReplicaSpecs: Invalid value: Unsupported value: ["Chief"]: supported values: "Master", "Worker"`},
		{"2 Unicode role", roles("Мaster: {" + train + "}"),
			`spec.pytorchReplicaSpecs: Invalid value: Unsupported value: ["Мaster"]: supported values: "Master", "Worker"`},
		{"2 a third role", roles("Master: {" + train + "}, Worker: {" + train + "}, Chief: {" + train + "}"),
			`spec.pytorchReplicaSpecs: Invalid value: Unsupported value: ["Chief"]: supported values: "Master", "Worker"`},
		{"3 null role", roles("Worker: null"),
			`spec.pytorchReplicaSpecs[Worker]: Required value: must be required`},
		{"3 null role of the two", roles("Master: {" + train + "}, Worker: null"),
			`spec.pytorchReplicaSpecs[Worker]: Required value: must be required`},
		{"4 two Masters", roles("Master: {replicas: 2, " + train + "}"),
			`spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1`},
		{"6 no Workers", roles("Worker: {replicas: 0, " + train + "}"),
			`[spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: 0: spec.pytorchReplicaSpecs.Worker.replicas in body should be greater than or equal to 1, spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1; omit Worker instead]`},
		{"6 no elastic Workers", "{spec: {elasticPolicy: {}, pytorchReplicaSpecs: {Worker: {replicas: 0, " + train + "}}}}",
			`[spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: 0: spec.pytorchReplicaSpecs.Worker.replicas in body should be greater than or equal to 1, spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1; omit Worker instead]`},
		{"7 negative replicas", roles("Worker: {replicas: -1, " + train + "}"),
			`[spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: -1: spec.pytorchReplicaSpecs.Worker.replicas in body should be greater than or equal to 1, .spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: -1: should be a non-negative integer, spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1; omit Worker instead]`},
		{"7 replicas of 2³¹", roles("Worker: {replicas: 2147483648, " + train + "}"),
			`[<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.pytorchReplicaSpecs.Worker.replicas, .spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: 2147483648: should be less than or equal to 2147483647]`},
		{"8 no container", containers(""),
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must be required`},
		{"8 no template", roles("Worker: {}"),
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must be required`},
		{"8 no container pytorch", containers("{name: main, image: a}, {name: side, image: a}"),
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must have at least one container with name pytorch; found: ["main", "side"]`},
		{"9 no image", containers("{name: side, image: a}, {name: pytorch}"),
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers[1].image: Required value: must be required`},
		{"9 empty image", containers(`{name: pytorch, image: ""}`),
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].image: Required value: must be required`},
		{"10 name of 64", named(strings.Repeat("a", 64), "Master: {"+train+"}"),
			`metadata.name: Invalid value: must be no more than 54 characters: its longest pod name would be aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-worker-0, and pod names end at 63`},
		{"10 name too long for its pods", named(strings.Repeat("a", 54), "Worker: {replicas: 11, "+train+"}"),
			`metadata.name: Invalid value: must be no more than 53 characters: its longest pod name would be aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-worker-10, and pod names end at 63`},
		{"10 name too long for its largest size", "{metadata: {name: " + strings.Repeat("a", 54) + "}, spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 11}, pytorchReplicaSpecs: {Worker: {" + train + "}}}}",
			`metadata.name: Invalid value: must be no more than 53 characters: its longest pod name would be aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-worker-10, and pod names end at 63`},
		{"11 name starts with a digit", named("1abc", "Master: {"+train+"}"),
			`metadata.name: Invalid value: should match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character`},
		{"11 name with a dot", named("a.b", "Master: {"+train+"}"),
			`metadata.name: Invalid value: should match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character`},
		{"11 upper-case name", named("Abc", "Master: {"+train+"}"),
			`[metadata.name: Invalid value: "Abc": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), metadata.name: Invalid value: should match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character]`},
		{"13 nprocPerNode 0", worker(`nprocPerNode: "0", `),
			`spec.nprocPerNode: Invalid value: "0": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"13 nprocPerNode 0, unquoted", worker(`nprocPerNode: 0, `),
			`spec.nprocPerNode: Invalid value: 0: must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"13 nprocPerNode -1", worker(`nprocPerNode: "-1", `),
			`spec.nprocPerNode: Invalid value: "-1": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"13 nprocPerNode 8x", worker(`nprocPerNode: 8x, `),
			`spec.nprocPerNode: Invalid value: "8x": must be auto, cpu, gpu, xpu, or a whole number of at least 1`},
		{"14 elastic without Workers", "{spec: {elasticPolicy: {minReplicas: 1}, pytorchReplicaSpecs: {Master: {" + train + "}}}}",
			`spec.pytorchReplicaSpecs[Worker]: Required value: must be set with spec.elasticPolicy`},
		{"15 min above max", elastic("minReplicas: 5, maxReplicas: 2"),
			`spec.elasticPolicy.minReplicas: Invalid value: must be ≤ maxReplicas (2)`},
		{"15 min 0", elastic("minReplicas: 0, maxReplicas: 2"),
			`spec.elasticPolicy.minReplicas: Invalid value: 0: spec.elasticPolicy.minReplicas in body should be greater than or equal to 1`},
		{"15 max below the Workers", elastic("minReplicas: 1, maxReplicas: 1"),
			`spec.elasticPolicy.maxReplicas: Invalid value: must be ≥ Worker.replicas (2)`},
		{"15 min above the Workers", elastic("minReplicas: 3, maxReplicas: 4"),
			`spec.elasticPolicy.minReplicas: Invalid value: must be ≤ Worker.replicas (2)`},
		{"15 max alone", elastic("maxReplicas: 4"),
			`spec.elasticPolicy.minReplicas: Invalid value: must be ≤ Worker.replicas (2)`},
		{"16 both nproc fields", worker("nprocPerNode: 2, elasticPolicy: {nProcPerNode: 2}, "),
			`spec.elasticPolicy.nProcPerNode: Forbidden: must not be used with spec.nprocPerNode`},
		{"17 rdzvPort 0", elastic("rdzvPort: 0"),
			`spec.elasticPolicy.rdzvPort: Invalid value: 0: spec.elasticPolicy.rdzvPort in body should be greater than or equal to 1`},
		{"17 rdzvPort 70000", elastic("rdzvPort: 70000"),
			`spec.elasticPolicy.rdzvPort: Invalid value: 70000: spec.elasticPolicy.rdzvPort in body should be less than or equal to 65535`},
		{"17 container port 70000", containers("{name: pytorch, image: a, ports: [{name: pytorchjob-port, containerPort: 70000}]}"),
			`spec.pytorchReplicaSpecs.Worker.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: spec.pytorchReplicaSpecs.Worker.template.spec.containers[0].ports[0].containerPort in body should be less than or equal to 65535`},
		{"18 rdzvId too long", elastic("rdzvId: " + strings.Repeat("x", 254)),
			`[spec.elasticPolicy.rdzvId: Too long: may not be more than 253 bytes, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"19 maxRestarts", elastic("maxRestarts: -1"),
			`spec.elasticPolicy.maxRestarts: Invalid value: -1: spec.elasticPolicy.maxRestarts in body should be greater than or equal to 0`},
		{"22 restartPolicy", roles("Worker: {restartPolicy: Sometimes, " + train + "}"),
			`[spec.pytorchReplicaSpecs.Worker.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never", "ExitCode", "", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"22 ExitCode in the template", roles("Worker: {template: {spec: {restartPolicy: ExitCode, containers: [{name: pytorch, image: a}]}}}"),
			`[spec.pytorchReplicaSpecs.Worker.template.spec.restartPolicy: Unsupported value: "ExitCode": supported values: "Always", "OnFailure", "Never", "", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"23 backoffLimit", policy("backoffLimit: -1"),
			`spec.runPolicy.backoffLimit: Invalid value: -1: spec.runPolicy.backoffLimit in body should be greater than or equal to 0`},
		{"23 old backoffLimit", worker("backoffLimit: -1, "),
			`spec.backoffLimit: Invalid value: -1: spec.backoffLimit in body should be greater than or equal to 0`},
		{"23 activeDeadlineSeconds", policy("activeDeadlineSeconds: 0"),
			`spec.runPolicy.activeDeadlineSeconds: Invalid value: 0: spec.runPolicy.activeDeadlineSeconds in body should be greater than or equal to 1`},
		{"23 ttlSecondsAfterFinished", policy("ttlSecondsAfterFinished: -1"),
			`spec.runPolicy.ttlSecondsAfterFinished: Invalid value: -1: spec.runPolicy.ttlSecondsAfterFinished in body should be greater than or equal to 0`},
		{"24 cleanPodPolicy", policy("cleanPodPolicy: Sometimes"),
			`[spec.runPolicy.cleanPodPolicy: Unsupported value: "Sometimes": supported values: "All", "Running", "None", "", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"24 old cleanPodPolicy", worker("cleanPodPolicy: Sometimes, "),
			`[spec.cleanPodPolicy: Unsupported value: "Sometimes": supported values: "All", "Running", "None", "", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"25 minAvailable above the pods", policy("schedulingPolicy: {minAvailable: 9}"),
			`spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: must be ≤ the number of pods (2)`},
		{"25 minAvailable 0", policy("schedulingPolicy: {minAvailable: 0}"),
			`spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: 0: spec.runPolicy.schedulingPolicy.minAvailable in body should be greater than or equal to 1`},
		{"25 minAvailable -1", policy("schedulingPolicy: {minAvailable: -1}"),
			`spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: -1: spec.runPolicy.schedulingPolicy.minAvailable in body should be greater than or equal to 1`},
		{"28 managedBy somebody", policy("managedBy: me"),
			`[spec.runPolicy.managedBy: Unsupported value: "me": supported values: "kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`},
		{"30 two schedulers", roles("Master: {" + train + "}, Worker: {template: {spec: {schedulerName: other, containers: [{name: pytorch, image: a}]}}}"),
			`spec.pytorchReplicaSpecs[Worker].template.spec.schedulerName: Forbidden: must be the Master's: one scheduler places the whole job`},
		{"36 misspelt field", roles("Worker: {replica: 2, " + train + "}"),
			`PyTorchJob in version "v1" cannot be handled as a PyTorchJob: strict decoding error: unknown field "spec.pytorchReplicaSpecs.Worker.replica"`},
		{"37 template larger than etcd takes", roles("Worker: {template: {metadata: {annotations: {big: " + strings.Repeat("x", 1600000) + "}}, spec: {containers: [{name: pytorch, image: a}]}}}"),
			`etcdserver: request is too large`},
		{"negative minResources", policy(`schedulingPolicy: {minResources: {cpu: "-1"}}`),
			`spec.runPolicy.schedulingPolicy.minResources: Invalid value: each quantity must be greater than or equal to 0`},
		{"scheduleTimeoutSeconds", policy("schedulingPolicy: {scheduleTimeoutSeconds: 0}"),
			`spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: Invalid value: 0: spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds in body should be greater than or equal to 1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := l.refusal(test.job); got != test.want {
				t.Errorf("got:  %s\nwant: %s", got, test.want)
			}
		})
	}
	if n := len(l.pods()); n != 0 {
		t.Errorf("%d pods of refused jobs", n)
	}
}

// refusal is what the apiserver says to a job, "" when it takes it. The job goes as text,
// because the Go type could not hold all that is wrong with it.
func (l *live) refusal(text string) string {
	job := &unstructured.Unstructured{}
	l.must(yaml.Unmarshal([]byte(text), &job.Object))
	job.SetGroupVersionKind(v1.GroupVersionKind)
	job.SetNamespace(l.namespace)
	if job.GetName() == "" {
		job.SetName(l.name)
	}
	err := l.client.Create(l.ctx, job, client.FieldValidation("Strict"))
	if err == nil {
		l.must(l.client.Delete(l.ctx, job))
		return ""
	}
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("%s.%s %q is invalid: ", v1.Kind, v1.GroupName, job.GetName()))
}

// TestLiveOddInput: what is accepted, because it can work or can be mended, and what its user is told.
func TestLiveOddInput(t *testing.T) {
	for _, test := range []struct{ name, job, reason, message string }{
		{"7 more pods than are allowed", "{spec: {pytorchReplicaSpecs: {Worker: {replicas: 5001}}}}", reasonInvalid,
			"spec.pytorchReplicaSpecs[Worker].replicas: Invalid value: 5001: the job may have 5001 pods, " +
				"more than the limit of 5000 (--max-gang-size)"},
		{"13 nprocPerNode gpu without a GPU", "{spec: {nprocPerNode: gpu, pytorchReplicaSpecs: {Worker: {}}}}", "NoGPURequested",
			"spec.nprocPerNode: is gpu, but the pods of the Worker ask for none"},
		{"16 deprecated nProcPerNode", "{spec: {elasticPolicy: {nProcPerNode: 2}, pytorchReplicaSpecs: {Worker: {}}}}", "DeprecatedField",
			"spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead"},
		{"18 unknown rendezvous", "{spec: {elasticPolicy: {rdzvBackend: zookeeper}, pytorchReplicaSpecs: {Worker: {}}}}",
			"UnknownRendezvousBackend", `spec.elasticPolicy.rdzvBackend: "zookeeper" is none of c10d, etcd, etcd-v2, static`},
		{"18 Unicode in rdzvId", "{spec: {elasticPolicy: {rdzvId: jób}, pytorchReplicaSpecs: {Worker: {}}}}",
			"OddRendezvousID", `spec.elasticPolicy.rdzvId: "jób" holds more than letters, digits and punctuation of ASCII, which a store may not keep apart`},
		{"20 variable of ours", `{spec: {pytorchReplicaSpecs: {Master: {template: {spec: {containers: [
			{name: pytorch, image: a, env: [{name: WORLD_SIZE, value: "7"}]}]}}}}}}`, "EnvOverridden",
			"spec.pytorchReplicaSpecs[Master].template.spec.containers[0].env[WORLD_SIZE]: the controller sets this variable"},
		{"22 restartPolicy in the template", `{spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {restartPolicy: Never, containers: [
			{name: pytorch, image: a}]}}}}}}`, "SetPodTemplateRestartPolicy",
			"spec.pytorchReplicaSpecs[Worker].template.spec.restartPolicy: overwritten by the restartPolicy of the Worker"},
		{"25 floor below the pods", "{spec: {runPolicy: {schedulingPolicy: {minAvailable: 1}}, pytorchReplicaSpecs: {Worker: {replicas: 2}}}}",
			"PartialGang", "spec.runPolicy.schedulingPolicy.minAvailable: is less than the number of pods; " +
				"ranks wait for one another until all have started"},
		{"25 timeout above the longest", "{spec: {runPolicy: {schedulingPolicy: {scheduleTimeoutSeconds: 1000}}, pytorchReplicaSpecs: {Worker: {}}}}",
			"ScheduleTimeoutClamped", "spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: 1000 is taken as 900, the longest wait that is kept"},
		{"33 negative request", `{spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [
			{name: pytorch, image: a, resources: {requests: {cpu: "-1"}}}]}}}}}}`, "FailedCreatePod",
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].resources.requests[cpu]: ` +
				`Invalid value: "-1": must be greater than or equal to 0`},
		{"33 GPU request other than its limit", `{spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [
			{name: pytorch, image: a, resources: {requests: {nvidia.com/gpu: 1}, limits: {nvidia.com/gpu: 2}}}]}}}}}}`, "FailedCreatePod",
			`spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].resources.requests: ` +
				`Invalid value: "1": must be equal to nvidia.com/gpu limit of 2`},
		{"35 no GPU at all", "{spec: {pytorchReplicaSpecs: {Worker: {}}}}", reasonCreated, "PyTorchJob job is created."},
		{"lost restarts", `{spec: {elasticPolicy: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]},
			pytorchReplicaSpecs: {Worker: {}}}}`, "NoTorchRestarts",
			"spec.elasticPolicy.maxRestarts: is 0 while spec.elasticPolicy.metrics resize the job: one lost peer ends it"},
		{"metric without a source", "{spec: {elasticPolicy: {maxRestarts: 3, metrics: [{type: Resource}]}, pytorchReplicaSpecs: {Worker: {}}}}",
			"FailedCreateHorizontalPodAutoscaler",
			"spec.elasticPolicy.metrics[0].resource: Required value: must populate information for the given metric source"},
		{"unreadable annotation", `{metadata: {annotations: {lockstep.dev/world-sizes: many}}, spec: {elasticPolicy: {}, pytorchReplicaSpecs: {Worker: {}}}}`,
			"InvalidAnnotation", `metadata.annotations[lockstep.dev/world-sizes]: "many" has no effect: must be numbers of Workers, such as "2,4,8"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLive(t)
			l.must(l.create(test.job))
			if got := l.awaitEvent(test.reason); got != test.message {
				t.Errorf("event: %s\nwant:  %s", got, test.message)
			}
		})
	}
}

// TestLiveGroupWithoutFloor: the floor is what a PodGroup is about.
func TestLiveGroupWithoutFloor(t *testing.T) {
	l := newLive(t)
	group := &scheduling.PodGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", Namespace: l.namespace}}
	l.wantRefusal(l.client.Create(l.ctx, group), "spec.minMember: Required value")
}
