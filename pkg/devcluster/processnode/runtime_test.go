package processnode

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

func TestPodRunsToItsEnd(t *testing.T) {
	eachMode(t, func(t *testing.T, r *rig) {
		good, bad := script("good", "echo $GREETING from $NAME"), script("bad", "echo no >&2; exit 3")
		good.Spec.Containers[0].Env = []v1.EnvVar{
			{Name: "NAME", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
			{Name: "GREETING", Value: "hello"},
		}
		r.create(good, bad)
		r.awaitPhase(good, v1.PodSucceeded)
		if text := r.logs(good, api.ContainerLogOpts{}); text != "hello from good\n" {
			t.Errorf("log %q", text)
		}
		status := r.awaitPhase(bad, v1.PodFailed)
		if exitCode(status) != 3 {
			t.Errorf("exit code %d, want 3", exitCode(status))
		}
		if status.PodIP == "" || status.StartTime == nil || isTrue(status.Conditions, v1.PodReady) {
			t.Errorf("status of an ended pod: %+v", status)
		}
	})
}

// TestTwoServersOnOnePort has two pods that listen on 23456 and a third that reaches each by its Service's name.
func TestTwoServersOnOnePort(t *testing.T) {
	server := `
import os, socket
s = socket.create_server((os.environ["MY_ADDRESS"], 23456))
print("up", flush=True)
while True:
    c, _ = s.accept(); c.sendall(b"i am " + os.environ["MY_NAME"].encode()); c.close()`
	client := `
import os, socket
for a in (os.environ["RED_ADDR"], os.environ["BLUE_ADDR"]):
    print(socket.create_connection((a, 23456)).recv(99).decode())`
	eachMode(t, func(t *testing.T, r *rig) {
		var servers []*v1.Pod
		for _, name := range []string{"red", "blue"} {
			r.world.addHeadless("default", name, map[string]string{"app": name})
			pod := pythonScript(name, server)
			pod.Spec.Containers[0].Env = []v1.EnvVar{
				{Name: "MY_NAME", Value: name},
				{Name: "MY_ADDRESS", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			}
			servers = append(servers, pod)
		}
		r.create(servers...)
		for _, pod := range servers {
			r.awaitLog(pod, "up")
		}
		pod := pythonScript("client", client)
		pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "RED_ADDR", Value: "red"}, {Name: "BLUE_ADDR", Value: "blue.default.svc.cluster.local"}}
		r.create(pod)
		r.await(pod, "ended", func(s v1.PodStatus) bool { return s.Phase == v1.PodSucceeded || s.Phase == v1.PodFailed })
		if text := r.logs(pod, api.ContainerLogOpts{}); text != "i am red\ni am blue\n" {
			t.Errorf("client got %q", text)
		}
	})
}

// TestPodsOutliveTheirNode has pods that ran when an earlier process of the node ended.
func TestPodsOutliveTheirNode(t *testing.T) {
	r := newRig(t, "", "")
	ran := func(name string, policy v1.RestartPolicy) *v1.Pod {
		pod := script(name, "echo again")
		pod.Spec.RestartPolicy = policy
		pod.Status = v1.PodStatus{Phase: v1.PodRunning, ContainerStatuses: []v1.ContainerStatus{{
			Name: "main", RestartCount: 2, State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now()}},
		}}}
		return pod
	}
	never, onFailure := ran("never", v1.RestartPolicyNever), ran("on-failure", v1.RestartPolicyOnFailure)
	r.create(never, onFailure)
	if code := exitCode(r.awaitPhase(never, v1.PodFailed)); code != 137 {
		t.Errorf("exit code %d of the pod that must not start again, want 137", code)
	}
	end := r.awaitPhase(onFailure, v1.PodSucceeded).ContainerStatuses[0]
	if end.RestartCount != 3 || end.LastTerminationState.Terminated.ExitCode != 137 {
		t.Errorf("restarts %d, last state %+v; want 3 and exit code 137", end.RestartCount, end.LastTerminationState)
	}
	if text := r.logs(onFailure, api.ContainerLogOpts{}); text != "again\n" {
		t.Errorf("log %q", text)
	}
}

// TestWhatHasNoEffectIsSaid in the pod's events.
func TestWhatHasNoEffectIsSaid(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("demanding", "true")
	pod.Spec.HostNetwork = true
	pod.Spec.SecurityContext = &v1.PodSecurityContext{}
	pod.Spec.Containers[0].LivenessProbe = &v1.Probe{}
	r.create(pod)
	r.awaitPhase(pod, v1.PodSucceeded)
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	events := strings.Join(r.world.events, "\n")
	for _, want := range []string{
		"FieldsIgnored: The process node does not act on spec.hostNetwork, spec.containers[0].livenessProbe\n",
		"ImageNotMapped: image busybox:1 is not in the process node's table (pytorch/pytorch:*, ",
	} {
		if !strings.Contains(events, want) {
			t.Errorf("no event %q in\n%s", want, events)
		}
	}
}

// TestNamesFollowPods sees that a running pod learns the address of one that comes later.
func TestNamesFollowPods(t *testing.T) {
	r := newRig(t, "", "")
	if !r.sandbox.Mode().Isolated() {
		t.Skip("without namespaces names are fixed when a container starts")
	}
	r.world.addHeadless("default", "late", map[string]string{"app": "late"})
	early := script("early", `until getent hosts late; do sleep 0.05; done`)
	r.create(early)
	r.awaitPhase(early, v1.PodRunning)
	late := script("late", "sleep 100")
	r.create(late)
	r.awaitPhase(early, v1.PodSucceeded)
	if text, want := r.logs(early, api.ContainerLogOpts{}), r.status(late).PodIP; !strings.HasPrefix(text, want) {
		t.Errorf("late is %q, want %s", text, want)
	}
}

func TestRestartOnFailure(t *testing.T) {
	eachMode(t, func(t *testing.T, r *rig) {
		pod := script("flaky", `n=$(cat $CHECKPOINT_DIR/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > $CHECKPOINT_DIR/n; echo try $n; [ $n -ge 3 ]`)
		pod.Spec.RestartPolicy = v1.RestartPolicyOnFailure
		backOff := make(chan v1.PodStatus, 1) // it lasts for a second, which a test that looks now and then may miss
		r.NotifyPods(t.Context(), func(pod *v1.Pod) {
			if s := pod.Status.ContainerStatuses; len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CrashLoopBackOff" {
				select {
				case backOff <- pod.Status:
				default:
				}
			}
		})
		r.create(pod)
		end := r.awaitPhase(pod, v1.PodSucceeded)
		select {
		case crash := <-backOff:
			if crash.Phase != v1.PodRunning || crash.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode != 1 {
				t.Errorf("status in back-off: %+v", crash)
			}
		default:
			t.Error("it was never in back-off")
		}
		if n := end.ContainerStatuses[0].RestartCount; n != 2 {
			t.Errorf("%d restarts, want 2", n)
		}
		if last := end.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 1 {
			t.Errorf("last state %+v, want exit code 1", last)
		}
		if now, before := r.logs(pod, api.ContainerLogOpts{}), r.logs(pod, api.ContainerLogOpts{Previous: true}); now != "try 3\n" || before != "try 2\n" {
			t.Errorf("logs %q, previous %q", now, before)
		}
	})
}

func TestDeletionGivesGraceThenKills(t *testing.T) {
	eachMode(t, func(t *testing.T, r *rig) {
		polite := script("polite", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`)
		stubborn := script("stubborn", `trap '' TERM; echo up; while :; do sleep 0.05; done`)
		r.create(polite, stubborn)
		r.awaitLog(polite, "up")
		r.awaitLog(stubborn, "up")
		r.remove(polite, 30)
		r.remove(stubborn, 1)
		r.awaitPhase(polite, v1.PodSucceeded)
		if text := r.logs(polite, api.ContainerLogOpts{}); text != "up\nbye\n" {
			t.Errorf("log %q", text)
		}
		if code := exitCode(r.awaitPhase(stubborn, v1.PodFailed)); code != 137 {
			t.Errorf("exit code %d, want 137", code)
		}
	})
}

// TestSameNameAgain creates a pod again while its predecessor is still ending.
func TestSameNameAgain(t *testing.T) {
	r := newRig(t, "", "")
	first := script("job-worker-0", `trap '' TERM; echo first; while :; do sleep 0.05; done`)
	r.create(first)
	r.awaitLog(first, "first")
	r.remove(first, 3600)
	second := script("job-worker-0", "echo second")
	second.UID = "another-uid"
	r.create(second)
	r.awaitPhase(second, v1.PodSucceeded)
	if text := r.logs(second, api.ContainerLogOpts{}); text != "second\n" {
		t.Errorf("log %q", text)
	}
	if !r.Runs(first.UID) {
		t.Error("the first pod ended before its grace did")
	}
}

func TestDeadline(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("slow", "sleep 100")
	seconds := int64(1)
	pod.Spec.ActiveDeadlineSeconds = &seconds
	r.create(pod)
	if status := r.awaitPhase(pod, v1.PodFailed); status.Reason != "DeadlineExceeded" {
		t.Errorf("reason %q", status.Reason)
	}
}

func TestInitContainersRunInOrder(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("three", `cat /shared/log`)
	pod.Spec.Volumes = []v1.Volume{{Name: "shared", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	mount := []v1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
	pod.Spec.Containers[0].VolumeMounts = mount
	for _, name := range []string{"one", "two"} {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, v1.Container{
			Name: name, Image: "busybox:1", Command: []string{"sh", "-c"}, Args: []string{"echo $(WHO) >> /shared/log"},
			Env: []v1.EnvVar{{Name: "WHO", Value: name}}, VolumeMounts: mount,
		})
	}
	if r.sandbox.Mode().Isolated() {
		r.create(pod)
		r.awaitPhase(pod, v1.PodSucceeded)
		if text := r.logs(pod, api.ContainerLogOpts{}); text != "one\ntwo\n" {
			t.Errorf("log %q", text)
		}
	}
	failing := script("blocked", "echo must not run")
	failing.Spec.InitContainers = []v1.Container{{Name: "one", Image: "busybox:1", Command: []string{"false"}}}
	r.create(failing)
	status := r.awaitPhase(failing, v1.PodFailed)
	if status.ContainerStatuses[0].State.Waiting == nil || isTrue(status.Conditions, v1.PodInitialized) {
		t.Errorf("status after a failed init container: %+v", status)
	}
}

func TestWorkerWaitsForMaster(t *testing.T) {
	r := newRig(t, "", "")
	job := map[string]string{jobLabel: "job"}
	worker := script("job-worker-0", "echo go")
	worker.Labels = job
	worker.Spec.InitContainers = []v1.Container{{Name: "init-pytorch", Image: "alpine:3.10", Command: []string{"sh", "-c", "nslookup job-master-0"}}}
	r.create(worker)
	r.await(worker, "waiting for its Master", func(s v1.PodStatus) bool {
		return len(s.InitContainerStatuses) == 1 && s.InitContainerStatuses[0].State.Running != nil
	})
	r.world.addHeadless("default", "job-master-0", map[string]string{"app": "job-master-0"})
	r.create(script("job-master-0", "sleep 100"))
	r.awaitPhase(worker, v1.PodSucceeded)
}

func TestOvercommitIsRejected(t *testing.T) {
	r := newRig(t, "", "")
	first, second := script("first", "sleep 100"), script("second", "true")
	withGPUs(first, "6")
	withGPUs(second, "3")
	r.create(first, second)
	status := r.awaitPhase(second, v1.PodFailed)
	if status.Reason != "OutOfnvidia.com/gpu" {
		t.Errorf("reason %q", status.Reason)
	}
	r.remove(first, 0)
	r.awaitPhase(first, v1.PodFailed)
	third := script("third", "true")
	withGPUs(third, "8")
	r.create(third)
	r.awaitPhase(third, v1.PodSucceeded)
}

func TestMissingThingsKeepAPodWaiting(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("needs-config", "echo $LEVEL")
	pod.Spec.Containers[0].EnvFrom = []v1.EnvFromSource{{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}}}
	unsupported := script("needs-nfs", "true")
	unsupported.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{NFS: &v1.NFSVolumeSource{Server: "x", Path: "/"}}}}
	r.create(pod, unsupported)
	reason := func(s v1.PodStatus) string {
		if len(s.ContainerStatuses) == 0 || s.ContainerStatuses[0].State.Waiting == nil {
			return ""
		}
		w := s.ContainerStatuses[0].State.Waiting
		return w.Reason + ": " + w.Message
	}
	r.await(pod, "waiting for a ConfigMap", func(s v1.PodStatus) bool {
		return strings.HasPrefix(reason(s), "CreateContainerConfigError") && strings.Contains(reason(s), "settings")
	})
	r.await(unsupported, "waiting for a volume", func(s v1.PodStatus) bool {
		return strings.Contains(reason(s), "volume data: the process node has no volumes of kind nfs")
	})
	r.world.mu.Lock()
	r.world.maps["default/settings"] = &v1.ConfigMap{Data: map[string]string{"LEVEL": "9"}}
	r.world.mu.Unlock()
	r.awaitPhase(pod, v1.PodSucceeded)
	if text := r.logs(pod, api.ContainerLogOpts{}); text != "9\n" {
		t.Errorf("log %q", text)
	}
}

func TestReadinessProbe(t *testing.T) {
	word := t.TempDir() // from the test to the pod
	r := newRig(t, "", word)
	pod := script("probed", `until [ -e /workspace/go ]; do sleep 0.05; done; touch /tmp/ready; sleep 100`)
	pod.Spec.Containers[0].ReadinessProbe = &v1.Probe{
		PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"cat", "/tmp/ready"}}},
	}
	if !r.sandbox.Mode().Isolated() {
		t.Skip("/tmp is the machine's without namespaces")
	}
	r.create(pod)
	running := r.awaitPhase(pod, v1.PodRunning)
	if isTrue(running.Conditions, v1.PodReady) {
		t.Error("ready before the probe said so")
	}
	if err := os.WriteFile(filepath.Join(word, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.await(pod, "ready", func(s v1.PodStatus) bool { return isTrue(s.Conditions, v1.PodReady) })
}

func TestFollowLog(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("talker", "for i in 1 2 3 4; do echo line $i; sleep 0.1; done")
	r.create(pod)
	r.awaitLog(pod, "line 1")
	if text := r.logs(pod, api.ContainerLogOpts{Follow: true}); text != "line 1\nline 2\nline 3\nline 4\n" {
		t.Errorf("followed %q", text)
	}
	if text := r.logs(pod, api.ContainerLogOpts{Tail: 2}); text != "line 3\nline 4\n" {
		t.Errorf("tail %q", text)
	}
	stamped := r.logs(pod, api.ContainerLogOpts{Tail: 1, Timestamps: true})
	stamp, rest, _ := strings.Cut(stamped, " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || rest != "line 4\n" {
		t.Errorf("with timestamps: %q", stamped)
	}
}

func TestForgetRemovesEverything(t *testing.T) {
	r := newRig(t, "", "")
	pod := script("gone", "sleep 100")
	r.create(pod)
	r.awaitPhase(pod, v1.PodRunning)
	r.Forget(pod.UID)
	dir := filepath.Join(r.opts.DataDir, "pods", string(pod.UID))
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(dir)
		if os.IsNotExist(err) && !r.Knows(pod.UID) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the pod's files are still there")
		}
	}
}

func TestWorkspaceThatPodsCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := readable(dir, sandbox.ModeRoot)
	if err == nil || !strings.Contains(err.Error(), "chmod -R o+rX "+dir) {
		t.Errorf("got %v, want the mend", err)
	}
	if err := readable(dir, sandbox.ModeUser); err != nil {
		t.Errorf("pods of the same user can read it: %v", err)
	}
}

// BenchmarkPodStart measures from CreatePod to a status that says that the pod is running.
func BenchmarkPodStart(b *testing.B) {
	for _, mode := range []sandbox.Mode{sandbox.ModeRoot, sandbox.ModeUser, sandbox.ModeLoopback} {
		b.Run(string(mode), func(b *testing.B) {
			r := newRig(b, mode, "")
			r.images() // asks the machine for its interpreters, once
			running := make(chan types.UID, 100)
			r.NotifyPods(b.Context(), func(pod *v1.Pod) {
				if pod.Status.Phase == v1.PodRunning {
					running <- pod.UID
				}
			})
			for n := 0; b.Loop(); n++ {
				pod := script(fmt.Sprintf("pod-%d", n), "exec sleep 1000")
				r.create(pod)
				for uid := range running {
					if uid == pod.UID {
						break
					}
				}
				r.Forget(pod.UID)
			}
		})
	}
}
