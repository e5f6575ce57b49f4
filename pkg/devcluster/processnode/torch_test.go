package processnode

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

const examples = "../../../examples"

// trainingJob is the pods of one PyTorchJob as its controller makes them, Master first, with a Service for each.
func trainingJob(r *rig, name string, workers int, args ...string) []*v1.Pod {
	var pods []*v1.Pod
	for rank := 0; rank <= workers; rank++ {
		pod := script(name+"-master-0", "")
		if rank > 0 {
			pod = script(fmt.Sprintf("%s-worker-%d", name, rank-1), "")
			pod.Spec.InitContainers = []v1.Container{{Name: "init-pytorch", Image: "alpine:3.10", Command: []string{"sh", "-c", "nslookup"}}}
		}
		pod.Spec.RestartPolicy = v1.RestartPolicyOnFailure
		pod.Labels[jobLabel] = name
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "PyTorchJob", Name: name, UID: types.UID(name), Controller: new(true)}}
		pod.Spec.Containers[0] = v1.Container{
			Name: "pytorch", Image: "pytorch/pytorch:1.9.0-cuda11.1-cudnn8-runtime",
			Command: []string{"python", "/workspace/train.py"}, Args: args,
			Env: []v1.EnvVar{
				{Name: "MASTER_ADDR", Value: name + "-master-0"}, {Name: "MASTER_PORT", Value: "23456"},
				{Name: "WORLD_SIZE", Value: fmt.Sprint(workers + 1)}, {Name: "RANK", Value: fmt.Sprint(rank)},
				{Name: "PYTHONFAULTHANDLER", Value: "1"}, // a process that hangs tells where, when the test is aborted
			},
		}
		r.world.addHeadless("default", pod.Name, map[string]string{"app": pod.Name})
		pods = append(pods, pod)
	}
	return pods
}

// TestTwoTrainingJobs runs two jobs at once whose Masters listen on the same port, with torch and without. (That training
// goes on after a death and a change of size, with the controller and the scheduler, is in test/training.)
func TestTwoTrainingJobs(t *testing.T) {
	for _, c := range []struct {
		name, means string
		args        []string
		modes       []sandbox.Mode // to load torch takes long: not where another mode has the same to show
	}{
		{"torch", "torch", []string{"--epochs", "3"}, []sandbox.Mode{"", sandbox.ModeLoopback}},
		{"sockets", "plain sockets", []string{"--epochs", "3", "--no-torch"},
			[]sandbox.Mode{sandbox.ModeRoot, sandbox.ModeUser, sandbox.ModeLoopback}},
	} {
		t.Run(c.name, func(t *testing.T) {
			needPython(t, c.name == "torch")
			for _, mode := range c.modes {
				t.Run(cmp.Or(string(mode), "best"), func(t *testing.T) {
					r := newRig(t, mode, examples)
					red, blue := trainingJob(r, "red", 2, c.args...), trainingJob(r, "blue", 1, c.args...)
					r.create(append(red, blue...)...)
					for _, job := range [][]*v1.Pod{red, blue} {
						for _, pod := range job {
							r.awaitPhase(pod, v1.PodSucceeded)
						}
						text := r.logs(job[0], api.ContainerLogOpts{})
						for _, want := range []string{c.means, fmt.Sprintf("rank 0 of %d", len(job)), "epoch 3/3", "done after 75 steps"} {
							if !strings.Contains(text, want) {
								t.Errorf("the log of %s has no %q:\n%s", job[0].Name, want, text)
							}
						}
					}
				})
			}
		})
	}
}

// needPython skips a test on a machine that lacks what it trains with.
func needPython(t *testing.T, torch bool) {
	t.Helper()
	switch p := findPython(t.Context()); {
	case p == nil:
		t.Skip("no python3 on this machine")
	case torch && !p.Torch:
		t.Skip("no python3 with torch on this machine (Debian: apt-get install python3-torch python3-sklearn)")
	}
}
