package processnode

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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

// TestTwoTrainingJobs runs two jobs at once whose Masters listen on the same port, with torch and without.
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

// TestTrainingResumes kills a Worker: the whole job starts again, by its restart policy, from the checkpoint.
func TestTrainingResumes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	needPython(t, true)
	r := newRig(t, "", examples)
	job := trainingJob(r, "job", 1, "--epochs", "8", "--epoch-seconds", "0.5")
	r.create(job...)
	r.awaitLog(job[0], "epoch 2/8")
	worker := r.status(job[1]).ContainerStatuses[0].ContainerID
	if err := r.sandbox.Signal(worker, 9); err != nil {
		t.Fatal(err)
	}
	for _, pod := range job {
		end := r.awaitPhase(pod, v1.PodSucceeded)
		if end.ContainerStatuses[0].RestartCount == 0 {
			t.Errorf("%s was not restarted", pod.Name)
		}
	}
	text := r.logs(job[0], api.ContainerLogOpts{})
	if !strings.Contains(text, "resumed from the checkpoint after epoch") || strings.Contains(text, "epoch 1/8") {
		t.Errorf("the Master did not resume:\n%s", text)
	}
	if !strings.Contains(text, "done after 200 steps") {
		t.Errorf("steps do not go on over a restart:\n%s", text)
	}
	left, err := filepath.Glob(filepath.Join(r.opts.DataDir, "checkpoints/default/job-job/*"))
	if err != nil || len(left) != 1 {
		t.Errorf("checkpoint directory has %v, want one file (%v)", left, err)
	}
}

// elasticWorker is a Worker of an elastic PyTorchJob as its controller makes it; worker-0 has the rendezvous.
func elasticWorker(r *rig, index int) *v1.Pod {
	pod := script(fmt.Sprintf("job-worker-%d", index), "")
	pod.Spec.RestartPolicy = v1.RestartPolicyOnFailure
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "PyTorchJob", Name: "job", UID: "job", Controller: new(true)}}
	pod.Spec.Containers[0] = v1.Container{
		Name: "pytorch", Image: "pytorch/pytorch:1.9.0-cuda11.1-cudnn8-runtime",
		Command: []string{"torchrun", "/workspace/train.py", "--epochs", "10000", "--epoch-seconds", "0.5"},
		Env: []v1.EnvVar{
			{Name: "PET_RDZV_BACKEND", Value: "c10d"}, {Name: "PET_RDZV_ENDPOINT", Value: "job-worker-0:23456"},
			{Name: "PET_RDZV_ID", Value: "job"}, {Name: "PET_RDZV_CONF", Value: "last_call_timeout=2"},
			{Name: "PET_NNODES", Value: "2:3"}, {Name: "PET_NPROC_PER_NODE", Value: "1"}, {Name: "PET_MAX_RESTARTS", Value: "10"},
			{Name: "PYTHONUNBUFFERED", Value: "1"},
		},
	}
	r.world.addHeadless("default", pod.Name, map[string]string{"app": pod.Name})
	return pod
}

// TestElasticTraining has torchrun grow a job from 2 Workers to 3, shrink it again, and lose one that is killed. Each
// time training goes on from the checkpoint.
func TestElasticTraining(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	needPython(t, true)
	r := newRig(t, "", examples)
	var workers []*v1.Pod
	for i := range 3 {
		workers = append(workers, elasticWorker(r, i))
	}
	r.create(workers[0], workers[1])
	progress := r.awaitProgress(workers, 0, 2)

	r.create(workers[2])
	progress = r.awaitProgress(workers, progress, 3)

	r.remove(workers[2], 30)
	progress = r.awaitProgress(workers, progress, 2)

	if err := r.sandbox.Signal(r.status(workers[1]).ContainerStatuses[0].ContainerID, 9); err != nil {
		t.Fatal(err)
	}
	r.awaitProgress(workers, progress+2, 2) // 2 more, because an epoch may end before the other one notices
	if n := r.status(workers[1]).ContainerStatuses[0].RestartCount; n == 0 {
		t.Error("the Worker that was killed did not start again")
	}
	if strings.Count(r.trainingLog(workers), "epoch 1/") != 1 {
		t.Errorf("training began anew:\n%s", r.trainingLog(workers))
	}
}

// trainingLog is all that a job's pods have said in all their attempts.
func (r *rig) trainingLog(pods []*v1.Pod) string {
	var text strings.Builder
	for _, pod := range pods {
		files, _ := filepath.Glob(filepath.Join(r.opts.DataDir, "pods", string(pod.UID), "containers/pytorch/*/log"))
		for _, file := range files {
			content, _ := os.ReadFile(file)
			text.Write(content)
		}
	}
	return text.String()
}

// awaitProgress waits until a given number of ranks has ended an epoch after the given one, and returns that epoch.
func (r *rig) awaitProgress(pods []*v1.Pod, after, ranks int) int {
	r.t.Helper()
	line := regexp.MustCompile(`epoch (\d+)/\d+ .* ranks (\d+) `)
	begin := time.Now()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, found := range line.FindAllStringSubmatch(r.trainingLog(pods), -1) {
			epoch, _ := strconv.Atoi(found[1])
			if found[2] == strconv.Itoa(ranks) && epoch > after {
				r.t.Logf("%d ranks ended epoch %d after %.1fs", ranks, epoch, time.Since(begin).Seconds())
				return epoch
			}
		}
	}
	r.t.Fatalf("no epoch after %d with %d ranks:\n%s", after, ranks, r.trainingLog(pods))
	return 0
}
