package processnode_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// TestWithAPIServer runs pods on a process node of a real control plane. Nothing schedules: pods name their node.
func TestWithAPIServer(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	bin, err := devcluster.FindBinDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, "lockstep-devcluster")); err != nil {
		t.Skipf("needs a control plane, which make build puts into %s", bin)
	}
	c, err := devcluster.Start(t.Context(), devcluster.Options{BinDir: bin, ProcessNode: true, Workspace: "../../../examples"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, test := range map[string]func(*testing.T, api){
		"Status":          testStatus,
		"Environment":     testEnvironment,
		"Logs":            testLogs,
		"GraceOfDeletion": testGraceOfDeletion,
		"SameNameAgain":   testSameNameAgain,
		"OutOfGPUs":       testOutOfGPUs,
		"ServiceNames":    testServiceNames,
		"Job":             testJob,
	} {
		t.Run(name, func(t *testing.T) { test(t, api{t, c.Client()}) })
	}
}

// api is a client with helpers that wait.
type api struct {
	t *testing.T
	kubernetes.Interface
}

// shell is a pod on the process node that runs a script.
func shell(name, text string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec: v1.PodSpec{
			NodeName: processnode.DefaultNodeName, RestartPolicy: v1.RestartPolicyNever,
			Containers: []v1.Container{{Name: "main", Image: "python:3", Command: []string{"sh", "-c", text}}},
		},
	}
}

func (a api) create(pod *v1.Pod) *v1.Pod {
	a.t.Helper()
	made, err := a.CoreV1().Pods(pod.Namespace).Create(a.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

func (a api) remove(pod *v1.Pod, grace int64) {
	a.t.Helper()
	err := a.CoreV1().Pods(pod.Namespace).Delete(a.t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	if err != nil {
		a.t.Fatal(err)
	}
}

// until asks again and again until the answer is yes.
func (a api) until(what string, yes func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); !yes(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (a api) awaitPhase(pod *v1.Pod, phase v1.PodPhase) v1.PodStatus {
	a.t.Helper()
	var now *v1.Pod
	a.until("pod "+pod.Name+" is "+string(phase), func() bool {
		var err error
		if now, err = a.CoreV1().Pods(pod.Namespace).Get(a.t.Context(), pod.Name, metav1.GetOptions{}); err != nil {
			a.t.Fatal(err)
		}
		return now.UID == pod.UID && now.Status.Phase == phase
	})
	return now.Status
}

func (a api) awaitGone(pod *v1.Pod) {
	a.t.Helper()
	a.until("pod "+pod.Name+" is deleted", func() bool {
		now, err := a.CoreV1().Pods(pod.Namespace).Get(a.t.Context(), pod.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID
	})
}

// logs reads a pod's log as kubectl does, through the apiserver.
func (a api) logs(pod *v1.Pod, o v1.PodLogOptions) string {
	a.t.Helper()
	text, err := a.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &o).DoRaw(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

func (a api) awaitLog(pod *v1.Pod, want string) {
	a.t.Helper()
	a.until("the log of "+pod.Name+" has "+want, func() bool {
		text, err := a.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &v1.PodLogOptions{}).DoRaw(a.t.Context())
		return err == nil && strings.Contains(string(text), want)
	})
}

func testStatus(t *testing.T, a api) {
	node, err := a.CoreV1().Nodes().Get(t.Context(), processnode.DefaultNodeName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if gpus := node.Status.Allocatable["nvidia.com/gpu"]; gpus.Value() != 8 {
		t.Errorf("the node has %s GPUs, want 8", gpus.String())
	}
	pod := a.create(shell("status", "sleep 0.1; exit 3"))
	status := a.awaitPhase(pod, v1.PodFailed)
	end := status.ContainerStatuses[0].State.Terminated
	if end.ExitCode != 3 || end.StartedAt.IsZero() || end.FinishedAt.Before(&end.StartedAt) {
		t.Errorf("container ended as %+v, want exit code 3 and times in order", end)
	}
	if status.PodIP == "" || status.HostIP != "127.0.0.1" || status.StartTime == nil {
		t.Errorf("pod address %q, host address %q, start %v", status.PodIP, status.HostIP, status.StartTime)
	}
	conditions := map[v1.PodConditionType]v1.ConditionStatus{}
	for _, c := range status.Conditions {
		conditions[c.Type] = c.Status
	}
	if conditions[v1.PodInitialized] != v1.ConditionTrue || conditions[v1.PodReady] != v1.ConditionFalse {
		t.Errorf("conditions %v, want Initialized and not Ready", conditions)
	}
	a.until("an event says that the container started", func() bool {
		events, err := a.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=status,reason=Started"})
		return err == nil && len(events.Items) > 0
	})
}

func testEnvironment(t *testing.T, a api) {
	settings := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"LEVEL": "9"}}
	if _, err := a.CoreV1().ConfigMaps("default").Create(t.Context(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}, StringData: map[string]string{"word": "sesame"}}
	if _, err := a.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := shell("environment", "echo $LEVEL $WORD $NODE $MEMORY $APP $1; pwd; ls train.py")
	c := &pod.Spec.Containers[0]
	c.Args = []string{"script", "$(NODE)/$(LEVEL)"}
	c.WorkingDir = "/workspace"
	c.Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("1Gi")}
	c.EnvFrom = []v1.EnvFromSource{{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}}}
	ref := v1.LocalObjectReference{Name: "secret"}
	c.Env = []v1.EnvVar{
		{Name: "WORD", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: ref, Key: "word"}}},
		{Name: "NODE", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
		{Name: "APP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}},
		{Name: "MEMORY", ValueFrom: &v1.EnvVarSource{
			ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
	}
	pod = a.create(pod)
	a.awaitPhase(pod, v1.PodSucceeded)
	text, want := a.logs(pod, v1.PodLogOptions{}), "9 sesame process-node 1024 environment process-node/9\n/workspace\ntrain.py\n"
	if text != want && os.Geteuid() == 0 { // without namespaces the directory has the machine's name
		t.Errorf("log %q, want %q", text, want)
	}
}

func testLogs(t *testing.T, a api) {
	pod := shell("logs", `echo first; [ -e $CHECKPOINT_DIR/done ] || { touch $CHECKPOINT_DIR/done; echo crash; exit 1; }; sleep 0.3; echo second; echo third`)
	pod.Spec.RestartPolicy = v1.RestartPolicyOnFailure
	pod = a.create(pod)
	a.until("the container runs again", func() bool {
		now, err := a.CoreV1().Pods("default").Get(t.Context(), "logs", metav1.GetOptions{})
		return err == nil && len(now.Status.ContainerStatuses) == 1 && now.Status.ContainerStatuses[0].RestartCount == 1
	})
	a.awaitLog(pod, "first")
	if text := a.logs(pod, v1.PodLogOptions{Follow: true}); text != "first\nsecond\nthird\n" {
		t.Errorf("followed log %q", text)
	}
	if text := a.logs(pod, v1.PodLogOptions{Previous: true}); text != "first\ncrash\n" {
		t.Errorf("previous log %q", text)
	}
	if text := a.logs(pod, v1.PodLogOptions{TailLines: new(int64(1))}); text != "third\n" {
		t.Errorf("last line %q", text)
	}
	if text := a.logs(pod, v1.PodLogOptions{TailLines: new(int64(0))}); text != "" {
		t.Errorf("no line at all is %q", text)
	}
	future := metav1.NewTime(time.Now().Add(time.Hour))
	if text := a.logs(pod, v1.PodLogOptions{SinceTime: &future}); text != "" {
		t.Errorf("log of the future %q", text)
	}
	stamp, rest, _ := strings.Cut(a.logs(pod, v1.PodLogOptions{Timestamps: true, TailLines: new(int64(1))}), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || rest != "third\n" {
		t.Errorf("with time %q %q", stamp, rest)
	}
}

func testGraceOfDeletion(t *testing.T, a api) {
	polite := a.create(shell("polite", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`))
	stubborn := a.create(shell("stubborn", `trap '' TERM; echo up; while :; do sleep 0.05; done`))
	a.awaitLog(polite, "up")
	a.awaitLog(stubborn, "up")
	stream, err := a.CoreV1().Pods("default").GetLogs("polite", &v1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	a.remove(polite, 60)
	a.remove(stubborn, 1)
	text, err := io.ReadAll(stream)
	if err != nil || string(text) != "up\nbye\n" {
		t.Errorf("followed to its end, the log is %q (%v)", text, err)
	}
	a.awaitGone(polite)
	a.awaitGone(stubborn)
}

func testSameNameAgain(t *testing.T, a api) {
	first := a.create(shell("again", "echo first; sleep 1000"))
	a.awaitLog(first, "first")
	a.remove(first, 0) // gone from the apiserver at once, while the process still runs
	second := a.create(shell("again", "echo second"))
	a.awaitPhase(second, v1.PodSucceeded)
	if text := a.logs(second, v1.PodLogOptions{}); text != "second\n" {
		t.Errorf("log %q", text)
	}
	a.remove(second, 30) // ended long ago: nothing to wait for
	a.awaitGone(second)
	third := a.create(shell("again", "echo third"))
	a.awaitPhase(third, v1.PodSucceeded)
}

func testOutOfGPUs(t *testing.T, a api) {
	withGPUs := func(name, count string) *v1.Pod {
		pod := shell(name, "sleep 1000")
		pod.Spec.Containers[0].Resources.Limits = v1.ResourceList{"nvidia.com/gpu": resource.MustParse(count)}
		return pod
	}
	holds := a.create(withGPUs("holds", "6"))
	a.awaitPhase(holds, v1.PodRunning)
	status := a.awaitPhase(a.create(withGPUs("too-much", "3")), v1.PodFailed)
	if status.Reason != "OutOfnvidia.com/gpu" || !strings.Contains(status.Message, "requested: 3, used: 6, capacity: 8") {
		t.Errorf("reason %q, message %q", status.Reason, status.Message)
	}
	a.remove(holds, 0)
}

func testServiceNames(t *testing.T, a api) {
	service := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: v1.ServiceSpec{
			ClusterIP: v1.ClusterIPNone, Selector: map[string]string{"app": "server"}, Ports: []v1.ServicePort{{Port: 23456}},
			PublishNotReadyAddresses: true,
		},
	}
	if _, err := a.CoreV1().Services("default").Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client := a.create(shell("client", "until getent hosts server.default.svc.cluster.local; do sleep 0.05; done"))
	a.awaitPhase(client, v1.PodRunning)
	server := a.create(shell("server", "sleep 1000"))
	a.awaitPhase(server, v1.PodRunning)
	if os.Geteuid() != 0 {
		t.Skip("without namespaces of its own a pod has the machine's names")
	}
	a.awaitPhase(client, v1.PodSucceeded)
	if text, ip := a.logs(client, v1.PodLogOptions{}), a.awaitPhase(server, v1.PodRunning).PodIP; !strings.HasPrefix(text, ip) {
		t.Errorf("the name leads to %q, want %s", text, ip)
	}
}

// testJob has a controller of Kubernetes itself read what the node writes.
func testJob(t *testing.T, a api) {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec: batchv1.JobSpec{
			Completions: new(int32(3)), Parallelism: new(int32(3)), Template: v1.PodTemplateSpec{Spec: shell("", "echo done").Spec},
		},
	}
	if _, err := a.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.until("the Job is complete", func() bool {
		now, err := a.BatchV1().Jobs("default").Get(t.Context(), "job", metav1.GetOptions{})
		return err == nil && now.Status.Succeeded == 3 && now.Status.CompletionTime != nil
	})
}
