package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// TestLiveClientSideApply: the CRD fits into the annotation in which "kubectl apply" keeps
// what it has applied, on the apiserver that limits it (E6).
func TestLiveClientSideApply(t *testing.T) {
	l := newLive(t)
	text, err := manifests.Files.ReadFile("crd/kubeflow.org_pytorchjobs.yaml")
	l.must(err)
	applied, err := yaml.YAMLToJSON(text)
	l.must(err)
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(apiextensions.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	l.must(l.client.Get(l.ctx, client.ObjectKey{Name: "pytorchjobs.kubeflow.org"}, crd))
	before := crd.DeepCopy()
	annotations := maps.Clone(crd.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[corev1.LastAppliedConfigAnnotation] = string(applied)
	crd.SetAnnotations(annotations)
	l.must(l.client.Patch(l.ctx, crd, client.MergeFrom(before)))
}

// TestLiveEnv: what containers learn, and what users cannot change (E7).
func TestLiveEnv(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{metadata: {name: env}, spec: {nprocPerNode: "4", pytorchReplicaSpecs: {
		Master: {template: {spec: {containers: [{name: pytorch, image: a,
			env: [{name: MASTER_PORT, value: "1111"}], ports: [{name: pytorchjob-port, containerPort: 29500}]}]}}},
		Worker: {restartPolicy: Always, template: {
			metadata: {annotations: {note: keep-me}, labels: {team: vision, training.kubeflow.org/job-name: hijack}},
			spec: {initContainers: [{name: fetch, image: b}], containers: [
				{name: sidecar, image: c, env: [{name: RANK, value: "99"}]},
				{name: pytorch, image: a, ports: [{name: metrics, containerPort: 9090}]}]}}}}}}`))
	pods := l.awaitPods("master-0", "worker-0")
	for _, pod := range pods {
		for _, container := range pod.Spec.Containers {
			env := map[string]string{}
			for _, variable := range container.Env {
				env[variable.Name] = variable.Value
			}
			if env["MASTER_PORT"] != "29500" || env["WORLD_SIZE"] != "8" || env["MASTER_ADDR"] != "env-master-0" {
				t.Errorf("%s/%s: %v", pod.Name, container.Name, env)
			}
			if rank := env["RANK"]; rank != map[bool]string{true: "0", false: "1"}[pod.Name == "env-master-0"] {
				t.Errorf("%s/%s: rank %s", pod.Name, container.Name, rank)
			}
		}
	}
	worker := pods["worker-0"]
	var names []string
	for _, container := range worker.Spec.InitContainers {
		names = append(names, container.Name)
	}
	if !slices.Equal(names, []string{"fetch", "init-pytorch"}) {
		t.Errorf("init containers %v", names)
	}
	if worker.Labels["team"] != "vision" || worker.Labels[LabelJobName] != "env" || worker.Annotations["note"] != "keep-me" {
		t.Errorf("labels %v, annotations %v", worker.Labels, worker.Annotations)
	}
}

// TestLiveElasticEnv: the rendezvous is at worker-0, and its Service has every port (E8).
func TestLiveElasticEnv(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{metadata: {name: ports}, spec: {elasticPolicy: {}, pytorchReplicaSpecs: {Worker: {replicas: 2, template: {
		spec: {containers: [{name: pytorch, image: a, ports: [
			{name: pytorchjob-port, containerPort: 30001}, {name: metrics, containerPort: 9100}, {containerPort: 9200}]}]}}}}}}`))
	env := envOf(l.awaitPods("worker-0", "worker-1")["worker-1"])
	if env["PET_RDZV_ENDPOINT"] != "ports-worker-0:30001" || env["PET_NNODES"] != "2:2" || env["PET_RDZV_BACKEND"] != "c10d" {
		t.Errorf("env: %v", env)
	}
	service := &corev1.Service{}
	if !l.exists(service, "ports-worker-0") {
		t.Fatal("no Service")
	}
	got := map[string]int32{}
	for _, port := range service.Spec.Ports {
		got[port.Name] = port.Port
	}
	if want := map[string]int32{"pytorchjob-port": 30001, "metrics": 9100, "port-9200": 9200}; !maps.Equal(got, want) {
		t.Errorf("ports %v", got)
	}
}

// TestLiveMinResources: GPUs that are only limits are asked for as well (E27).
func TestLiveMinResources(t *testing.T) {
	l := newLive(t)
	const template = `template: {spec: {containers: [{name: pytorch, image: a,
		resources: {requests: {cpu: "1"}, limits: {nvidia.com/gpu: 2}}}]}}`
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {` + template + `}, Worker: {replicas: 2, ` + template + `}}}}`))
	l.awaitPods(oneAndTwoPods...)
	group := &scheduling.PodGroup{}
	if !l.exists(group, l.name) {
		t.Fatal("no PodGroup")
	}
	if gpus := group.Spec.MinResources["nvidia.com/gpu"]; gpus.Value() != 6 || group.Spec.MinMember != 3 {
		t.Errorf("minMember %d, minResources %v", group.Spec.MinMember, group.Spec.MinResources)
	}
}

// TestLiveFloorStays: the floor does not move with the size (E26).
func TestLiveFloorStays(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 3}}}}`))
	l.awaitPods("worker-0", "worker-1", "worker-2")
	floor := func() int32 {
		group := &scheduling.PodGroup{}
		l.exists(group, l.name)
		return group.Spec.MinMember
	}
	if floor() != 2 {
		t.Errorf("floor %d", floor())
	}
	l.must(l.scale(4))
	l.awaitPods("worker-0", "worker-1", "worker-2", "worker-3")
	l.wantScale(4, 0)
	if floor() != 2 {
		t.Errorf("floor %d after growth", floor())
	}
}

// TestLiveHPA: exactly what the job says, and gone with its metrics (E22).
func TestLiveHPA(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 3, maxRestarts: 100, rdzvBackend: c10d, metrics: [
		{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]},
		pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`))
	l.awaitPods("worker-0", "worker-1")
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	l.await("an HPA", func() (bool, any) { return l.exists(hpa, l.name), "none" })
	job := l.job()
	want := autoscalingv2.CrossVersionObjectReference{APIVersion: "kubeflow.org/v1", Kind: "PyTorchJob", Name: l.name}
	if hpa.Spec.ScaleTargetRef != want || *hpa.Spec.MinReplicas != 1 || hpa.Spec.MaxReplicas != 3 ||
		!equality.Semantic.DeepEqual(hpa.Spec.Metrics, job.Spec.ElasticPolicy.Metrics) || !metav1.IsControlledBy(hpa, job) {
		t.Errorf("HPA %+v", hpa)
	}
	l.must(l.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.Metrics = nil }))
	l.await("no HPA", func() (bool, any) { return !l.exists(hpa, l.name), "still there" })
}

// TestLiveMetricsThatAreRefused: a running job whose metrics are changed to what cannot be says so, and
// goes on: its pods are made anew, its size changes, and its deadline comes.
func TestLiveMetricsThatAreRefused(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 3, maxRestarts: 100, metrics: [
		{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]},
		pytorchReplicaSpecs: {Worker: {replicas: 1}}}}`))
	worker := l.awaitPods("worker-0")["worker-0"]
	l.run("worker-0")
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	l.await("an HPA", func() (bool, any) { return l.exists(hpa, l.name), "none" })
	good := l.job().Spec.ElasticPolicy.Metrics
	l.must(l.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.Metrics = []autoscalingv2.MetricSpec{{Type: "Resource"}} }))
	const want = "spec.elasticPolicy.metrics[0].resource: Required value: must populate information for the given metric source"
	if got := l.awaitEvent("FailedUpdateHorizontalPodAutoscaler"); got != want {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	l.must(l.client.Delete(l.ctx, worker, client.GracePeriodSeconds(0)))
	l.await("another worker-0", func() (bool, any) {
		pod := l.pods()["worker-0"]
		return pod != nil && pod.UID != worker.UID, pod
	})
	l.run("worker-0")
	l.must(l.scale(2))
	l.awaitPods("worker-0", "worker-1")
	trouble := func() (found bool) {
		for _, c := range l.job().Status.Conditions {
			found = found || c.Type == v1.JobCreateFailed
		}
		return found
	}
	l.await("the condition", func() (bool, any) { return trouble(), "none" })
	l.must(l.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.Metrics = good }))
	l.await("no trouble", func() (bool, any) { return !trouble(), l.job().Status.Conditions })
	l.must(l.edit(func(j *v1.PyTorchJob) {
		j.Spec.ElasticPolicy.Metrics = []autoscalingv2.MetricSpec{{Type: "Resource"}}
		j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(1))
	}))
	l.awaitState(v1.JobFailed)
}

// TestLiveManyEnds: the Master's success and a Worker's failure, whatever the order in which they are seen (E30).
func TestLiveManyEnds(t *testing.T) {
	l := newLive(t)
	const n = 100
	for i := range n {
		job := parseJob(t, oneAndOne)
		job.Namespace, job.Name = l.namespace, fmt.Sprintf("job-%d", i)
		l.must(l.client.Create(l.ctx, job))
	}
	l.await("their pods", func() (bool, any) { pods := len(l.pods()); return pods == 2*n, pods })
	// Never, so that the Worker's failure alone would end the job at once.
	for i := range n {
		l.name = fmt.Sprintf("job-%d", i)
		if i%2 == 0 {
			l.exit("worker-0", 1)
			l.exit("master-0", 0)
		} else {
			l.exit("master-0", 0)
			l.exit("worker-0", 1)
		}
	}
	for i := range n {
		l.name = fmt.Sprintf("job-%d", i)
		l.awaitState(v1.JobSucceeded)
	}
}

const oneAndOne = `{spec: {pytorchReplicaSpecs: {Master: {restartPolicy: Never}, Worker: {restartPolicy: Never}}}}`

// TestLiveAnyJob: our validation and the apiserver agree on every job, and whatever is made
// for a job that is taken is taken as well.
func TestLiveAnyJob(t *testing.T) {
	l := newLive(t)
	settings := DefaultSettings()
	settings.StaticRendezvous = true
	taken := 0
	rapid.Check(t, func(r *rapid.T) {
		job := drawAnyJob(r)
		job.Namespace = l.namespace
		errs := v1.Validate(v1.Effective(job))
		err := l.client.Create(l.ctx, job.DeepCopy(), client.DryRunAll)
		if (err == nil) != (len(errs) == 0) {
			r.Fatalf("the apiserver says %v, we say %v\n%s", err, errs, asText(job))
		}
		if err != nil {
			return
		}
		taken++
		job.UID = "00000000-0000-0000-0000-000000000001"
		for _, object := range Decide(Observed{Job: job, Now: time.Unix(1e9, 0)}, settings).Create {
			if err := l.client.Create(l.ctx, object, client.DryRunAll); err != nil {
				r.Fatalf("%s %s: %v\n%s", kindOf(object), object.GetName(), err, asText(job))
			}
		}
	})
	t.Logf("%d jobs were taken", taken)
	if taken < 5 {
		t.Errorf("only %d jobs were right", taken)
	}
}

func asText(job *v1.PyTorchJob) string {
	text, _ := json.Marshal(job)
	return string(text)
}

// drawAnyJob draws jobs of which about half are right.
func drawAnyJob(r *rapid.T) *v1.PyTorchJob {
	text := func(name string, choices ...string) string { return rapid.SampledFrom(choices).Draw(r, name) }
	number := func(name string, most int32) *int32 {
		if rapid.Bool().Draw(r, name+" set") {
			return nil
		}
		return new(rapid.Int32Range(0, most).Draw(r, name))
	}
	job := &v1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Name: text("name", "job", "a", "a-b", strings.Repeat("n", 54), strings.Repeat("n", 53))}}
	job.Spec.PyTorchReplicaSpecs = map[v1.ReplicaType]*v1.ReplicaSpec{}
	for _, role := range v1.ReplicaTypes() {
		if !rapid.Bool().Draw(r, string(role)) {
			continue
		}
		spec := &v1.ReplicaSpec{RestartPolicy: v1.RestartPolicy(text("restart", "", "Always", "OnFailure", "Never", "ExitCode"))}
		if role == v1.Worker {
			spec.Replicas = number("replicas", 12)
		}
		spec.Template.Spec.Containers = drawContainers(r)
		spec.Template.Labels = map[string]string{"team": "vision"}
		spec.Template.Spec.RestartPolicy = corev1.RestartPolicy(text("template restart", "", "Always", "Never"))
		job.Spec.PyTorchReplicaSpecs[role] = spec
	}
	if rapid.IntRange(0, 2).Draw(r, "elastic") == 0 {
		job.Spec.ElasticPolicy = &v1.ElasticPolicy{
			MinReplicas: number("min", 4), MaxReplicas: number("max", 12), RDZVPort: number("port", 3), MaxRestarts: number("restarts", 3),
			RDZVID: new(text("id", "", "x", "jób")), RDZVConf: []v1.RDZVConf{{Key: "timeout", Value: text("conf", "", "1,2=3")}},
		}
		if rapid.Bool().Draw(r, "metrics") {
			job.Spec.ElasticPolicy.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{
					Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(50))}}}}
		}
	}
	policy := &job.Spec.RunPolicy
	policy.BackoffLimit, policy.TTLSecondsAfterFinished = number("backoff", 3), number("ttl", 3)
	if rapid.Bool().Draw(r, "scheduling") {
		policy.SchedulingPolicy = &v1.SchedulingPolicy{MinAvailable: number("floor", 3), ScheduleTimeoutSeconds: number("timeout", 2000)}
	}
	return job
}

func drawContainers(r *rapid.T) []corev1.Container {
	trainer := corev1.Container{Name: v1.ContainerName, Image: "a"}
	used := map[int32]bool{}
	for range rapid.IntRange(0, 3).Draw(r, "ports") {
		port := corev1.ContainerPort{
			ContainerPort: rapid.Int32Range(8000, 8003).Draw(r, "port"),
			Protocol:      rapid.SampledFrom([]corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(r, "protocol"),
		}
		if name := rapid.SampledFrom([]string{"", v1.PortName, "metrics", "port-8001"}).Draw(r, "port name"); !slices.ContainsFunc(
			trainer.Ports, func(other corev1.ContainerPort) bool { return name != "" && other.Name == name }) {
			port.Name = name
		}
		if !used[port.ContainerPort] {
			trainer.Ports = append(trainer.Ports, port)
		}
		used[port.ContainerPort] = true
	}
	trainer.Env = []corev1.EnvVar{{Name: rapid.SampledFrom([]string{"RANK", "FOO"}).Draw(r, "env"), Value: "$(MASTER_ADDR)"}}
	containers := []corev1.Container{trainer}
	if rapid.Bool().Draw(r, "sidecar") {
		containers = append([]corev1.Container{{Name: "side", Image: "b"}}, containers...)
	}
	return containers
}
