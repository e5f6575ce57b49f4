package main

import (
	"strings"
	"testing"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

const validJob = `
metadata: {name: job}
spec:
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      template: {spec: {containers: [{name: pytorch, image: "train:1"}]}}
    Worker:
      replicas: 2
      template: {spec: {containers: [{name: side, image: "side:1"}, {name: pytorch, image: "train:1"}]}}
`

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{}
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// merge lays a patch over an object; null takes a field away, "<null>" makes it null.
func merge(object, patch map[string]any) {
	for name, value := range patch {
		child, isMap := value.(map[string]any)
		under, hasMap := object[name].(map[string]any)
		switch {
		case value == nil:
			delete(object, name)
		case value == "<null>":
			object[name] = nil
		case isMap && hasMap:
			merge(under, child)
		default:
			object[name] = value
		}
	}
}

func job(t *testing.T, patch string) map[string]any {
	t.Helper()
	object := parse(t, validJob)
	merge(object, parse(t, patch))
	return object
}

const noMaster = "spec: {pytorchReplicaSpecs: {Master: null}}"

// neverStored are jobs that no definition lets in, or no client can read.
var neverStored = map[string]bool{"a port that an int32 cannot hold": true, "a quantity that does not parse": true}

// TestCreate: what the apiserver says when such a job is created.
func TestCreate(t *testing.T) {
	judge := newJudge(t, "kubeflow.org_pytorchjobs.yaml")
	a55, a54 := strings.Repeat("a", 55), strings.Repeat("a", 54)
	const pod = "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {containers: "
	for _, test := range []struct{ name, patch, want string }{
		{"valid", "{}", ""},
		{"Master count omitted", "spec: {pytorchReplicaSpecs: {Master: {replicas: null}}}", ""},
		{"old positions", "spec: {cleanPodPolicy: None, ttlSecondsAfterFinished: 1, activeDeadlineSeconds: 1, backoffLimit: 1}", ""},
		{"unquoted nproc", "spec: {nprocPerNode: 4}", ""},
		{"quoted nproc", "spec: {nprocPerNode: '4'}", ""},
		{"nproc word", "spec: {nprocPerNode: gpu}", ""},
		{"empty elasticPolicy", "spec: {elasticPolicy: {rdzvConf: []}}", ""},
		{"name of 54", "metadata: {name: " + a54 + "}", ""},

		{"name starts with a digit", "metadata: {name: 1abc}", "metadata.name: Invalid value: should match: a DNS-1035 label must consist"},
		{"name too long for its pods", "metadata: {name: " + a55 + "}",
			"metadata.name: Invalid value: must be no more than 54 characters: its longest pod name would be " + a55 +
				"-worker-1, and pod names end at 63"},
		{"no replicas", "spec: {pytorchReplicaSpecs: null}", "spec.pytorchReplicaSpecs: Required value: must be required"},
		{"empty replicas", "spec: {pytorchReplicaSpecs: {Master: null, Worker: null}}",
			"spec.pytorchReplicaSpecs: Required value: must be required"},
		{"no spec", "spec: null", "spec.pytorchReplicaSpecs: Required value: must be required"},
		{"unknown role", "spec: {pytorchReplicaSpecs: {Worker: null, Chief: {template: {spec: {containers: [{name: pytorch, image: a}]}}}}}",
			`spec.pytorchReplicaSpecs: Invalid value: Unsupported value: ["Chief"]: supported values: "Master", "Worker"`},
		{"null role", "spec: {pytorchReplicaSpecs: {Worker: <null>}}",
			"spec.pytorchReplicaSpecs[Worker]: Required value: must be required"},
		{"null role of the two", "spec: {pytorchReplicaSpecs: {Master: <null>}}",
			"spec.pytorchReplicaSpecs[Master]: Required value: must be required"},
		{"two Masters", "spec: {pytorchReplicaSpecs: {Master: {replicas: 2}}}",
			"spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1"},
		{"no Workers", "spec: {pytorchReplicaSpecs: {Worker: {replicas: 0}}}",
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1; omit Worker instead"},
		{"negative Workers", "spec: {pytorchReplicaSpecs: {Worker: {replicas: -1}}}",
			"spec.pytorchReplicaSpecs.Worker.replicas: Invalid value: -1: " +
				"spec.pytorchReplicaSpecs.Worker.replicas in body should be greater than or equal to 1"},
		{"more Workers than an int32 holds", "spec: {pytorchReplicaSpecs: {Worker: {replicas: 3000000000}}}",
			"spec.pytorchReplicaSpecs.Worker.replicas"},
		{"a port that an int32 cannot hold", pod + "[{name: pytorch, image: a, ports: [{containerPort: 3000000000}]}]}}}}}",
			"containerPort"},
		{"a user id that does not decode", "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {priority: 3000000000}}}}}",
			"priority"},
		{"a quantity that does not parse", pod + "[{name: pytorch, image: a, resources: {limits: {cpu: 1e1.5}}}]}}}}}", "limits.cpu"},
		{"no container", pod + "[]}}}}}",
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must be required"},
		{"no template", "spec: {pytorchReplicaSpecs: {Worker: {template: null}}}",
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: must be required"},
		{"no container pytorch", pod + "[{name: a, image: a}, {name: b, image: b}]}}}}}",
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers: Required value: " +
				`must have at least one container with name pytorch; found: ["a", "b"]`},
		{"no image", pod + "[{name: pytorch}]}}}}}",
			"spec.pytorchReplicaSpecs[Worker].template.spec.containers[0].image: Required value: must be required"},
		{"port", pod + "[{name: pytorch, image: a, ports: [{containerPort: 70000}]}]}}}}}", "should be less than or equal to 65535"},
		{"two schedulers", "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {schedulerName: other}}}}}",
			"spec.pytorchReplicaSpecs[Worker].template.spec.schedulerName: Forbidden: must be the Master's"},
		{"one scheduler, named once", "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {schedulerName: lockstep}}}}}", ""},
		{"restartPolicy", "spec: {pytorchReplicaSpecs: {Worker: {restartPolicy: Maybe}}}",
			`spec.pytorchReplicaSpecs.Worker.restartPolicy: Unsupported value: "Maybe"`},
		{"cleanPodPolicy", "spec: {runPolicy: {cleanPodPolicy: Sometimes}}",
			`spec.runPolicy.cleanPodPolicy: Unsupported value: "Sometimes"`},
		{"old cleanPodPolicy", "spec: {cleanPodPolicy: Sometimes}", `spec.cleanPodPolicy: Unsupported value: "Sometimes"`},
		{"managedBy", "spec: {runPolicy: {managedBy: me}}", `spec.runPolicy.managedBy: Unsupported value: "me"`},
		{"ttl", "spec: {runPolicy: {ttlSecondsAfterFinished: -1}}", "spec.runPolicy.ttlSecondsAfterFinished: Invalid value: -1"},
		{"deadline", "spec: {activeDeadlineSeconds: 0}", "spec.activeDeadlineSeconds: Invalid value: 0"},
		{"backoffLimit", "spec: {backoffLimit: -1}", "spec.backoffLimit: Invalid value: -1"},
		{"minAvailable above the pods", "spec: {runPolicy: {schedulingPolicy: {minAvailable: 4}}}",
			"spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: must be ≤ the number of pods (3)"},
		{"minAvailable zero", "spec: {runPolicy: {schedulingPolicy: {minAvailable: 0}}}", "minAvailable: Invalid value: 0"},
		{"negative minResources", "spec: {runPolicy: {schedulingPolicy: {minResources: {cpu: -1}}}}",
			"spec.runPolicy.schedulingPolicy.minResources: Invalid value: each quantity must be greater than or equal to 0"},
		{"scheduleTimeoutSeconds", "spec: {runPolicy: {schedulingPolicy: {scheduleTimeoutSeconds: 0}}}",
			"spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: Invalid value: 0"},
		{"nproc zero", "spec: {nprocPerNode: 0}", "spec.nprocPerNode: Invalid value: must be auto, cpu, gpu, xpu, or a whole number"},
		{"nproc -1", "spec: {nprocPerNode: '-1'}", "spec.nprocPerNode: Invalid value: must be auto"},
		{"nproc 8x", "spec: {nprocPerNode: 8x}", "spec.nprocPerNode: Invalid value: must be auto"},
		{"nproc banana", "spec: {nprocPerNode: banana}", "spec.nprocPerNode: Invalid value: must be auto"},
		{"both nproc", "spec: {nprocPerNode: '1', elasticPolicy: {nProcPerNode: 1}}",
			"spec.elasticPolicy.nProcPerNode: Forbidden: must not be used with spec.nprocPerNode"},
		{"elastic without Workers", "spec: {pytorchReplicaSpecs: {Worker: null}, elasticPolicy: {}}",
			"spec.pytorchReplicaSpecs[Worker]: Required value: must be set with spec.elasticPolicy"},
		{"min above max", "spec: {elasticPolicy: {minReplicas: 5, maxReplicas: 2}}",
			"spec.elasticPolicy.minReplicas: Invalid value: must be ≤ maxReplicas (2)"},
		{"min zero", "spec: {elasticPolicy: {minReplicas: 0, maxReplicas: 2}}", "spec.elasticPolicy.minReplicas: Invalid value: 0"},
		{"max below the Workers", "spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 1}}",
			"spec.elasticPolicy.maxReplicas: Invalid value: must be ≥ Worker.replicas (2)"},
		{"min above the Workers", "spec: {elasticPolicy: {maxReplicas: 4}}",
			"spec.elasticPolicy.minReplicas: Invalid value: must be ≤ Worker.replicas (2)"},
		{"rdzvPort", "spec: {elasticPolicy: {rdzvPort: 70000}}", "spec.elasticPolicy.rdzvPort: Invalid value: 70000"},
		{"maxRestarts", "spec: {elasticPolicy: {maxRestarts: -1}}", "spec.elasticPolicy.maxRestarts: Invalid value: -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, judge(job(t, test.patch), nil), test.want)
			if !neverStored[test.name] {
				expectWritable(t, judge, func() map[string]any { return job(t, test.patch) })
			}
		})
	}
}

// expectWritable: what was stored under another definition gets its labels, its finalizers and its
// status, whatever ours would say of it: or it could not even be told, or deleted in the foreground.
func expectWritable(t *testing.T, judge judge, stored func() map[string]any) {
	t.Helper()
	states := []string{"{}", "status: {startTime: '2026-01-01T00:00:00Z'}"}
	if spec, _ := stored()["spec"].(map[string]any); spec["pytorchReplicaSpecs"] == nil {
		states = states[:1] // nobody starts a job without roles
	}
	for _, status := range states {
		old, object := stored(), stored()
		merge(old, parse(t, status))
		merge(object, parse(t, status))
		merge(object, parse(t, "metadata: {labels: {a: b}, finalizers: [foregroundDeletion]}\nstatus: {conditions: []}"))
		if got := judge(object, old); got != "" {
			t.Errorf("stored with %s it cannot be written: %s", status, got)
		}
	}
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(plain(got), want) {
		t.Errorf("got:  %s\nwant: %s", got, want)
	}
}

// plain drops the value that a rule's error repeats: its rendering differs by version.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for _, begin := range []string{": must be", ": each quantity", ": Unsupported value", ": should match"} {
			if at := strings.Index(line, ": Invalid value: "); at >= 0 {
				if end := strings.Index(line[at+16:], begin); end >= 0 {
					lines[i] = line[:at] + ": Invalid value" + line[at+16+end:]
					break
				}
			}
		}
	}
	return strings.Join(lines, "\n")
}

// TestUpdate: what may change, and when.
func TestUpdate(t *testing.T) {
	judge := newJudge(t, "kubeflow.org_pytorchjobs.yaml")
	const (
		started   = "status: {startTime: '2026-01-01T00:00:00Z', conditions: [{type: Created, status: 'True'}]}"
		suspended = "status: {startTime: '2026-01-01T00:00:00Z', conditions: [{type: Suspended, status: 'True'}]}"
		unmade    = "status: {startTime: '2026-01-01T00:00:00Z', conditions: [{type: CreateFailed, status: 'True'}]}"
		newImage  = "spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [{name: pytorch, image: other}]}}}}}"
		three     = "spec: {pytorchReplicaSpecs: {Worker: {replicas: 3}}}"
		elastic   = "spec: {pytorchReplicaSpecs: {Master: null}, elasticPolicy: {minReplicas: 1, maxReplicas: 3}}"
	)
	for _, test := range []struct{ name, before, change, want string }{
		{"a running job's template", started, newImage,
			"spec.pytorchReplicaSpecs[Worker].template: Forbidden: field is immutable while running"},
		{"a suspended job's template", suspended, newImage, ""},
		{"a new job's template", "{}", newImage, ""},
		{"the template of a job whose pods cannot be made", unmade, newImage, ""},
		{"that of one that runs all the same", unmade + "\nstatus: {replicaStatuses: {Master: {active: 1}, Worker: {active: 0}}}", newImage,
			"spec.pytorchReplicaSpecs[Worker].template: Forbidden: field is immutable while running"},
		{"the size of a job whose pods cannot be made", unmade, three,
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: field is immutable while running"},
		{"a template while it is suspended", started, newImage + "\nspec: {runPolicy: {suspend: true}}", ""},
		{"a size while it is suspended", started, three + "\nspec: {runPolicy: {suspend: true}}",
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: field is immutable while running"},
		{"a running job's size", started, three,
			"spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: field is immutable while running"},
		{"a suspended job's size", suspended, three, ""},
		{"no Workers", started, "spec: {pytorchReplicaSpecs: {Worker: {replicas: 0}}}",
			"spec.pytorchReplicaSpecs.Worker.replicas in body should be greater than or equal to 1"},
		{"an elastic job's size", elastic + "\n" + started, three, ""},
		{"an elastic job's size out of range", elastic + "\n" + started, "spec: {pytorchReplicaSpecs: {Worker: {replicas: 9}}}", ""},
		{"an elastic job's range and metrics", elastic + "\n" + started,
			"spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization}}}]}}", ""},
		{"an elastic job's backend", elastic + "\n" + started, "spec: {elasticPolicy: {rdzvBackend: etcd}}",
			"spec.elasticPolicy: Forbidden: field is immutable while running"},
		{"the Master removed", started, noMaster, "spec.pytorchReplicaSpecs: Forbidden: field is immutable while running"},
		{"nprocPerNode", started, "spec: {nprocPerNode: 2}", "spec.nprocPerNode: Forbidden: field is immutable while running"},
		{"restartPolicy", started, "spec: {pytorchReplicaSpecs: {Master: {restartPolicy: Never}}}",
			"spec.pytorchReplicaSpecs[Master].restartPolicy: Forbidden: field is immutable while running"},
		{"the floor", "spec: {runPolicy: {suspend: false}}\n" + started, "spec: {runPolicy: {schedulingPolicy: {minAvailable: 1}}}",
			"spec.runPolicy.schedulingPolicy: Forbidden: field is immutable while running"},
		{"a floor where no runPolicy was", started, "spec: {runPolicy: {schedulingPolicy: {minAvailable: 1}}}",
			"spec.runPolicy.schedulingPolicy: Forbidden: field is immutable while running"},
		{"the runPolicy with the floor", "spec: {runPolicy: {schedulingPolicy: {minAvailable: 1}}}\n" + started, "spec: {runPolicy: null}",
			"spec.runPolicy.schedulingPolicy: Forbidden: field is immutable while running"},
		{"what the gang needs", "spec: {runPolicy: {schedulingPolicy: {minResources: {cpu: 4}}}}\n" + started,
			"spec: {runPolicy: {schedulingPolicy: {minResources: {cpu: 5}}}}",
			"spec.runPolicy.schedulingPolicy: Forbidden: field is immutable while running"},
		{"the same in other words", "spec: {runPolicy: {schedulingPolicy: {minResources: {cpu: 4}, priorityClass: ''}}," +
			" pytorchReplicaSpecs: {Worker: {restartPolicy: ''}}}\n" + started,
			"spec: {runPolicy: {schedulingPolicy: {minResources: {cpu: '4'}, priorityClass: null}}," +
				" pytorchReplicaSpecs: {Worker: {restartPolicy: null}}}", ""},
		{"an empty list that goes", "spec: {elasticPolicy: {rdzvConf: []}}\n" + started, "spec: {elasticPolicy: {rdzvConf: null}}", ""},
		{"a list that goes", "spec: {elasticPolicy: {rdzvConf: [{key: a, value: b}]}}\n" + started, "spec: {elasticPolicy: {rdzvConf: null}}",
			"spec.elasticPolicy: Forbidden: field is immutable while running"},
		{"what may change", started, "metadata: {labels: {a: b}}\nspec: {runPolicy: {suspend: true, ttlSecondsAfterFinished: 1, " +
			"activeDeadlineSeconds: 5, backoffLimit: 1, cleanPodPolicy: All}}", ""},
		{"managedBy is set later", "{}", "spec: {runPolicy: {managedBy: kueue.x-k8s.io/multikueue}}",
			"spec.runPolicy.managedBy: Invalid value"},
		{"queue", suspended, "spec: {runPolicy: {schedulingPolicy: {queue: b}}}",
			"spec.runPolicy.schedulingPolicy.queue: Invalid value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := parse(t, validJob), parse(t, validJob)
			for document := range strings.SplitSeq(test.before, "\n") {
				merge(before, parse(t, document))
				merge(after, parse(t, document))
			}
			for document := range strings.SplitSeq(test.change, "\n") {
				merge(after, parse(t, document))
			}
			expect(t, judge(after, before), test.want)
		})
	}
}

// TestRewritten: a client with Go types sends back what it read in other words. That is no change
// of the template; every real one is refused.
func TestRewritten(t *testing.T) {
	judge := newJudge(t, "kubeflow.org_pytorchjobs.yaml")
	const written = `
metadata: {labels: {app: a}}
spec:
  overhead: {cpu: 1000m}
  nodeSelector: {disk: fast}
  initContainers: [{name: fetch, image: "fetch:1"}]
  containers:
    - {name: pytorch, image: "train:1", args: [--lr, "1"], env: [{name: A, value: a}],
       resources: {limits: {nvidia.com/gpu: 1, cpu: 1500m, memory: 2048Mi}, requests: {cpu: "0.5"}}}
    - {name: side, image: "side:1"}
`
	template := func(text string) map[string]any {
		object := job(t, "status: {startTime: '2026-01-01T00:00:00Z'}")
		worker := object["spec"].(map[string]any)["pytorchReplicaSpecs"].(map[string]any)["Worker"].(map[string]any)
		worker["template"] = parse(t, text)
		return object
	}
	for _, test := range []struct {
		name, old, new string
		refused        bool
	}{
		{"empty objects", `image: "side:1"`, `image: "side:1", resources: {}`, false},
		{"a number as a string", "nvidia.com/gpu: 1", `nvidia.com/gpu: "1"`, false},
		{"another unit", "memory: 2048Mi", "memory: 2Gi", false},
		{"thousandths", `cpu: "0.5"`, "cpu: 500m", false},
		{"overhead in another unit", "cpu: 1000m}", `cpu: "1"}`, false},
		{"empty objects of an init container", `image: "fetch:1"`, `image: "fetch:1", resources: {}`, false},
		{"more GPUs", "nvidia.com/gpu: 1", `nvidia.com/gpu: 2`, true},
		{"a limit less", "nvidia.com/gpu: 1, ", "", true},
		{"a limit more", "nvidia.com/gpu: 1", "nvidia.com/gpu: 1, example.com/nic: 1", true},
		{"a bit more memory", "memory: 2048Mi", "memory: 2049Mi", true},
		{"another request", `cpu: "0.5"`, "cpu: 501m", true},
		{"overhead", "cpu: 1000m}", "cpu: 1001m}", true},
		{"label", "app: a", "app: b", true},
		{"argument", `"1"]`, `"2"]`, true},
		{"variable", "value: a", "value: b", true},
		{"selector", "disk: fast", "disk: slow", true},
		{"a field more", "nodeSelector", "hostNetwork: true\n  nodeSelector", true},
		{"image of an init container", "fetch:1", "fetch:2", true},
		{"image of a sidecar", "side:1", "side:2", true},
		{"a container less", `- {name: side, image: "side:1"}`, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(written, test.old) {
				t.Fatalf("%q is not there", test.old)
			}
			want := ""
			if test.refused {
				want = "spec.pytorchReplicaSpecs[Worker].template: Forbidden: field is immutable while running"
			}
			before, after := template(written), template(strings.Replace(written, test.old, test.new, 1))
			expect(t, judge(after, before), want)
		})
	}
	bare := "spec: {containers: [{name: pytorch, image: a}]}"
	expect(t, judge(template("metadata: {}\n"+bare), template(bare)), "")
}

// TestDefaultReplicas: /scale reads the number of Workers from the stored object, so it is there.
func TestDefaultReplicas(t *testing.T) {
	crd, _ := load(t, "kubeflow.org_pytorchjobs.yaml")
	structure, err := structural.NewStructural(crd.Spec.Validation.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	object := job(t, "spec: {pytorchReplicaSpecs: {Master: {replicas: null}, Worker: {replicas: null}}}")
	defaulting.Default(object, structure)
	for _, role := range []string{"Master", "Worker"} {
		if n, _, _ := unstructured.NestedInt64(object, "spec", "pytorchReplicaSpecs", role, "replicas"); n != 1 {
			t.Errorf("%s.replicas is %d", role, n)
		}
	}
}

func TestPodGroup(t *testing.T) {
	judge := newJudge(t, "scheduling.x-k8s.io_podgroups.yaml")
	for _, test := range []struct{ name, object, want string }{
		{"valid", "{metadata: {name: a}, spec: {minMember: 3, minResources: {nvidia.com/gpu: 3, cpu: 100m}}}", ""},
		{"no floor", "{metadata: {name: a}, spec: {}}", "spec.minMember: Required value: must be at least 1"},
		{"no spec", "{metadata: {name: a}}", "spec.minMember: Required value: must be at least 1"},
		{"floor zero", "{metadata: {name: a}, spec: {minMember: 0}}", "spec.minMember in body should be greater than or equal to 1"},
		{"name of 64", "{metadata: {name: " + strings.Repeat("a", 64) + "}, spec: {minMember: 1}}",
			"metadata.name: Invalid value: must be no more than 63 characters"},
		{"negative resources", "{metadata: {name: a}, spec: {minMember: 1, minResources: {cpu: '-1'}}}",
			"spec.minResources: Invalid value: each quantity must be greater than or equal to 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, judge(parse(t, test.object), nil), test.want)
			expectWritable(t, judge, func() map[string]any { return parse(t, test.object) })
		})
	}
}
