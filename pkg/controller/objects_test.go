package controller

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

func envOf(pod *corev1.Pod) map[string]string {
	env := map[string]string{}
	for _, variable := range v1.Trainer(&pod.Spec).Env {
		env[variable.Name] = variable.Value
	}
	return env
}

// TestElasticEnv: torchrun's arguments (D15: standalone is a number, no empty rdzv-conf).
func TestElasticEnv(t *testing.T) {
	w := newWorld(t, parseJob(t, `{spec: {nprocPerNode: 2, elasticPolicy: {minReplicas: 1, maxReplicas: 4, rdzvHost: etcd, rdzvPort: 2379,
		rdzvBackend: etcd-v2, rdzvId: me, standalone: true, rdzvConf: [{key: a, value: b}, {key: c, value: d}]},
		pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`)).look()
	want := map[string]string{
		"PYTHONUNBUFFERED": "1", "PET_NPROC_PER_NODE": "2", "PET_NNODES": "1:4", "PET_RDZV_ENDPOINT": "etcd:2379",
		"PET_RDZV_BACKEND": "etcd-v2", "PET_RDZV_ID": "me", "PET_STANDALONE": "1", "PET_RDZV_CONF": "a=b,c=d",
	}
	if diff := cmp.Diff(want, envOf(w.find("worker-1"))); diff != "" {
		t.Error(diff)
	}
	w = newWorld(t, parseJob(t, `{spec: {elasticPolicy: {rdzvConf: []}, pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 2}}}}`)).look()
	env := envOf(w.find("worker-1"))
	if env["PET_NNODES"] != "2:2" || env["MASTER_ADDR"] != "job-master-0" || env["RANK"] != "2" || env["WORLD_SIZE"] != "3" {
		t.Errorf("with a Master: %v", env)
	}
}

// TestEnvThatRefers: $(NAME) in an entry of the user means the user's own value that stands before it, as
// with Kubeflow's operator. What the program finds under NAME is ours.
func TestEnvThatRefers(t *testing.T) {
	w := newWorld(t, parseJob(t, `{spec: {pytorchReplicaSpecs: {Master: {template: {spec: {containers: [{name: pytorch, image: a, env: [
		{name: MASTER_ADDR, value: mine}, {name: STORE, value: "tcp://$(MASTER_ADDR):1"}, {name: RANK, value: "7"}]}]}}}}}}`)).look()
	pod := w.find("master-0")
	var got []string
	for _, variable := range pod.Spec.Containers[0].Env[:3] {
		got = append(got, variable.Name+"="+variable.Value)
	}
	if want := []string{"MASTER_ADDR=mine", "STORE=tcp://$(MASTER_ADDR):1", "PYTHONUNBUFFERED=1"}; !slices.Equal(got, want) {
		t.Errorf("the first entries are %q, want %q", got, want)
	}
	if env := envOf(pod); env["MASTER_ADDR"] != "job-master-0" || env["RANK"] != "0" {
		t.Errorf("what the program finds: %v", env)
	}
}

// TestStaticRendezvous: on request, Workers without a Master find each other (D22).
func TestStaticRendezvous(t *testing.T) {
	const text = `{spec: {nprocPerNode: "2", pytorchReplicaSpecs: {Worker: {replicas: 3, template: {spec: {containers: [
		{name: pytorch, image: a, env: [{name: WORLD_SIZE, value: mine}]}]}}}}}}`
	if env := envOf(newWorld(t, parseJob(t, text)).look().find("worker-1")); env["MASTER_ADDR"] != "" || env["PET_NNODES"] != "3" {
		t.Errorf("not asked for: %v", env)
	}
	w := newWorld(t, parseJob(t, text)).edit(annotate(v1.AnnotationStaticRendezvous, "on")).look()
	env := envOf(w.find("worker-1"))
	if env["MASTER_ADDR"] != "job-worker-0" || env["RANK"] != "1" || env["WORLD_SIZE"] != "mine" || env["MASTER_PORT"] != "23456" {
		t.Errorf("asked for: %v", env)
	}
}

// TestServicePorts: every port has a name (D19).
func TestServicePorts(t *testing.T) {
	trainer := &corev1.Container{Ports: []corev1.ContainerPort{
		{ContainerPort: 9090}, {Name: v1.PortName, ContainerPort: 23456}, {ContainerPort: 9090, Protocol: corev1.ProtocolTCP},
		{ContainerPort: 9090, Protocol: corev1.ProtocolUDP}, {Name: "port-9091", ContainerPort: 1}, {ContainerPort: 9091},
	}}
	want := []corev1.ServicePort{
		{Name: "port-9090", Port: 9090}, {Name: v1.PortName, Port: 23456},
		{Name: "port-9090-1", Port: 9090, Protocol: corev1.ProtocolUDP}, {Name: "port-9091", Port: 1}, {Name: "port-9091-1", Port: 9091},
	}
	if diff := cmp.Diff(want, servicePorts(trainer)); diff != "" {
		t.Error(diff)
	}
}

// TestFloor: what the PodGroup asks for (E26, E27, D11, D12).
func TestFloor(t *testing.T) {
	const gpus = `template: {spec: {containers: [{name: pytorch, image: a, resources: {requests: {cpu: 1}, limits: {nvidia.com/gpu: 2}}}]}}`
	for _, test := range []struct {
		name, job string
		floor     int32
		gpus, cpu string
	}{
		{"all", `{spec: {pytorchReplicaSpecs: {Master: {` + gpus + `}, Worker: {replicas: 2, ` + gpus + `}}}}`, 3, "6", "3"},
		{"minAvailable", `{spec: {runPolicy: {schedulingPolicy: {minAvailable: 2}}, pytorchReplicaSpecs: {
			Master: {` + gpus + `}, Worker: {replicas: 2, ` + gpus + `}}}}`, 2, "4", "2"},
		{"elastic", `{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 3, ` + gpus + `}}}}`, 2, "4", "2"},
		{"elastic with a Master", `{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 4}, pytorchReplicaSpecs: {
			Master: {` + gpus + `}, Worker: {replicas: 3, ` + gpus + `}}}}`, 2, "4", "2"},
		{"minAvailable above the size in effect", `{metadata: {annotations: {lockstep.dev/world-sizes: "2,8"}}, spec: {
			runPolicy: {schedulingPolicy: {minAvailable: 4}}, elasticPolicy: {minReplicas: 2, maxReplicas: 8},
			pytorchReplicaSpecs: {Worker: {replicas: 4, ` + gpus + `}}}}`, 2, "4", "2"},
		{"given", `{spec: {runPolicy: {schedulingPolicy: {minResources: {nvidia.com/gpu: 1}}}, pytorchReplicaSpecs: {
			Master: {` + gpus + `}}}}`, 1, "1", "0"},
		{"init containers and overhead", `{spec: {pytorchReplicaSpecs: {Master: {template: {spec: {overhead: {cpu: 1},
			initContainers: [{name: big, image: a, resources: {requests: {cpu: 8}}}],
			containers: [{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 1, cpu: 2}}}]}}}}}}`, 1, "1", "9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, parseJob(t, test.job)).rest()
			spec := w.PodGroup.Spec
			gpu, cpu := spec.MinResources["nvidia.com/gpu"], spec.MinResources["cpu"]
			// The Workers' own wait adds 50m where there is a Master; whole CPUs are compared.
			if spec.MinMember != test.floor || gpu.String() != test.gpus || cpu.Value() < atoi(test.cpu) || cpu.Value() > atoi(test.cpu)+1 {
				t.Errorf("floor %d, gpu %s, cpu %s", spec.MinMember, gpu.String(), cpu.String())
			}
		})
	}
	w := running(t, `{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 3}}}}`)
	scaleTo(4)(w)
	if w.rest(); w.PodGroup.Spec.MinMember != 2 {
		t.Errorf("the floor moved with the size: %d", w.PodGroup.Spec.MinMember)
	}
}

// TestFloorWithoutThoseThatAreGone: what has succeeded and was deleted is not run again, so those that
// have to start again must not wait for it.
func TestFloorWithoutThoseThatAreGone(t *testing.T) {
	w := running(t, `{spec: {pytorchReplicaSpecs: {Worker: {replicas: 3, template: {spec: {containers: [
		{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 1}}}]}}}}}}`)
	want := func(floor int32, gpus string) {
		t.Helper()
		spec := w.PodGroup.Spec
		if gpu := spec.MinResources["nvidia.com/gpu"]; spec.MinMember != floor || gpu.String() != gpus {
			t.Errorf("floor %d, gpu %s; want %d and %s", spec.MinMember, gpu.String(), floor, gpus)
		}
	}
	w.exit("worker-0", 0).rest()
	want(3, "3")
	w.vanish("worker-0").rest()
	want(2, "2")
	w.exit("worker-1", 1).rest().wantPods("worker-1 worker-2")
	want(2, "2")
	suspendTo(true)(w)
	w.rest()
	suspendTo(false)(w)
	w.rest().wantPods("worker-0 worker-1 worker-2")
	want(3, "3")
}

func atoi(text string) int64 { return int64(text[0] - '0') }

// TestPodGroup: the job's annotations go to it, and those of the scheduler stay.
func TestPodGroup(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Annotations = map[string]string{"lockstep.dev/topology-required": "rack", "note": "x", corev1.LastAppliedConfigAnnotation: "{}"}
	job.Spec.RunPolicy.SchedulingPolicy = &v1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(5000))}
	w := newWorld(t, job).rest()
	want := map[string]string{"lockstep.dev/topology-required": "rack", "note": "x"}
	if diff := cmp.Diff(want, w.PodGroup.Annotations); diff != "" {
		t.Error(diff)
	}
	if *w.PodGroup.Spec.ScheduleTimeoutSeconds != 900 {
		t.Errorf("timeout %d", *w.PodGroup.Spec.ScheduleTimeoutSeconds)
	}
	w.PodGroup = w.PodGroup.DeepCopy()
	w.PodGroup.Annotations["lockstep.dev/reservation"] = "rack-1"
	w.edit(func(j *v1.PyTorchJob) {
		j.Annotations = map[string]string{"lockstep.dev/topology-preferred": "rack"}
	}).rest()
	want = map[string]string{"lockstep.dev/topology-preferred": "rack", "note": "x", "lockstep.dev/reservation": "rack-1"}
	if diff := cmp.Diff(want, w.PodGroup.Annotations); diff != "" {
		t.Error(diff)
	}
}

// TestForeignPodGroup: it is not touched, and nothing joins it.
func TestForeignPodGroup(t *testing.T) {
	w := newWorld(t, parseJob(t, masterAndWorkers("OnFailure")))
	w.PodGroup = &scheduling.PodGroup{ObjectMeta: metav1.ObjectMeta{Name: "job", Namespace: "team", UID: "other"}}
	w.rest().wantPods("")
	if w.told("PodGroupConflict") != 1 || len(w.last.Patch) != 0 || len(w.last.Delete) != 0 {
		t.Errorf("events %v, plan %+v", w.heard, w.last)
	}
	w.PodGroup = nil
	w.rest().wantPods("master-0 worker-0 worker-1").wantState("Created")
}

func TestInitContainerTemplate(t *testing.T) {
	make, err := InitContainerFromTemplate("- name: wait\n  image: {{.InitContainerImage}}\n  command: [sh, -c, 'nslookup {{.MasterAddr}}']", "busybox", 5)
	if err != nil {
		t.Fatal(err)
	}
	if got := make("job-master-0"); got.Image != "busybox" || got.Command[2] != "nslookup job-master-0" {
		t.Errorf("container: %+v", got)
	}
	for _, bad := range []string{"{{.Nope}}", "name: a", "{{", "nam: a"} {
		if _, err := InitContainerFromTemplate(bad, "busybox", 5); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestIndexes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := indexSet{}
		for _, index := range rapid.SliceOf(rapid.Int32Range(0, 40)).Draw(t, "indexes") {
			set[index] = true
		}
		if diff := cmp.Diff(set, parseIndexes(set.String())); diff != "" {
			t.Fatal(diff)
		}
	})
	if got := (indexSet{0: true, 3: true, 4: true, 5: true}).String(); got != "0,3-5" {
		t.Error(got)
	}
	if got := len(parseIndexes("0-9999999999,1-2000000000,x,-,3")); got > maxIndexes+2 {
		t.Errorf("%d indexes from a damaged status", got)
	}
}

// TestServiceOfPodsThatAreNotReady: the Master's readiness may wait for Workers that wait
// for its name (E10).
func TestServiceOfPodsThatAreNotReady(t *testing.T) {
	for _, service := range newWorld(t, parseJob(t, masterAndWorkers("OnFailure"))).look().Services {
		if !service.Spec.PublishNotReadyAddresses || service.Spec.ClusterIP != corev1.ClusterIPNone {
			t.Errorf("%s: %+v", service.Name, service.Spec)
		}
	}
}
