package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// lockstep runs the command line on the cluster.
func (w *world) lockstep(args ...string) (code int, out, errOut string) {
	w.t.Helper()
	dir, err := devcluster.FindBinDir()
	w.must(err)
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(w.ctx, filepath.Join(dir, "lockstep"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.cluster.KubeconfigPath())
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%v (run make build)", err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// lockstepJSON reads what a verb prints with -o json.
func (w *world) lockstepJSON(into any, wantCode int, args ...string) {
	w.t.Helper()
	code, out, errOut := w.lockstep(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != wantCode {
		w.t.Fatalf("lockstep %s: exit code %d, want %d; %v\n%s%s", strings.Join(args, " "), code, wantCode, err, out, errOut)
	}
}

// gangAnswer is what tests read of the verbs' answers.
type gangAnswer struct {
	Namespace, Name, State, Reason, Message string
	Fits                                    bool
	Position                                int
	Assignments                             []struct{ Pod, Node string }
	Missing                                 []struct {
		Resource   string
		Need, Free int
		Holders    []struct{ Gang string }
	}
}

func TestCommandLineAnswersAsTheSchedulerDoes(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	w.create(gangOf("runs", 2, "8"))
	placed := w.awaitPlaced("runs", 2)
	w.create(gangOf("big", 3, "8"))
	w.awaitReason("big", "DoesNotFit")

	var big gangAnswer
	w.await("explain to say what the PodGroup does", func() (bool, string) {
		big = gangAnswer{}
		w.lockstepJSON(&big, 0, "explain", "podgroup/big", "-n", w.namespace)
		reason, message := w.condition("big")
		// What it may get later, the scheduler alone can say.
		return reason == "DoesNotFit" && big.Reason == reason && strings.HasPrefix(message, big.Message) && big.State == "Queued" && !big.Fits,
			fmt.Sprintf("explain: %+v; the PodGroup: %s: %s", big, reason, message)
	})
	if len(big.Missing) == 0 || big.Missing[0].Resource != "nvidia.com/gpu" || big.Missing[0].Need != 24 || big.Missing[0].Free != 16 {
		t.Fatalf("explain says that this is missing: %+v", big.Missing)
	}
	runs := w.namespace + "/runs"
	if holders := big.Missing[0].Holders; len(holders) == 0 || holders[0].Gang != runs {
		t.Errorf("explain says that the room is held by %+v, not by %s", holders, runs)
	}
	var sits gangAnswer
	w.lockstepJSON(&sits, 0, "explain", "pod/runs-worker-1", "-n", w.namespace)
	if sits.Name != "runs" || sits.State != "Placed" {
		t.Errorf("explain says of a pod that is bound: %+v", sits)
	}

	w.await("queue to say what the PodGroup does", func() (bool, string) {
		var line struct{ Gangs []gangAnswer }
		w.lockstepJSON(&line, 0, "queue", "-n", w.namespace)
		_, message := w.condition("big")
		return len(line.Gangs) == 1 && line.Gangs[0].Name == "big" && line.Gangs[0].Message == message,
			fmt.Sprintf("queue: %+v; the PodGroup: %s", line.Gangs, message)
	})

	var tree struct {
		Domains []struct {
			Level, Domain string
			Free          int
			Holders       []struct{ Gang string }
		}
	}
	w.lockstepJSON(&tree, 0, "topology", "show")
	for _, node := range w.nodes {
		taken := slices.Contains([]string{placed["runs-worker-0"], placed["runs-worker-1"]}, node)
		for _, d := range tree.Domains {
			if d.Level == "host" && strings.HasSuffix(d.Domain, "/"+node) && (d.Free == 0) != taken {
				t.Errorf("topology says that %s has %d free; taken: %t", node, d.Free, taken)
			}
		}
	}
}

func TestPlanFromClusterSeesWhatRuns(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.create(gangOf("runs", 1, "8"))
	w.awaitPlaced("runs", 1)
	file := filepath.Join(t.TempDir(), "job.yaml")
	for size, want := range map[int]int{1: 0, 2: 2} {
		job := fmt.Sprintf(`{apiVersion: kubeflow.org/v1, kind: PyTorchJob, metadata: {name: job}, spec: {pytorchReplicaSpecs: {Worker: {replicas: %d,
  template: {spec: {nodeSelector: {%s: %s}, containers: [{name: pytorch, image: x, resources: {limits: {nvidia.com/gpu: 8}}}]}}}}}}`,
			size, poolLabel, w.namespace)
		w.must(os.WriteFile(file, []byte(job), 0o600))
		var plans struct{ Gangs []gangAnswer }
		w.lockstepJSON(&plans, want, "plan", "--from-cluster", "-n", w.namespace, "-f", file)
		if len(plans.Gangs) != 1 || plans.Gangs[0].Namespace != w.namespace || len(plans.Gangs[0].Assignments) != size*(2-want)/2 {
			t.Errorf("%d Workers on the one node that is free: %+v", size, plans.Gangs)
		}
	}
	code, _, errOut := w.lockstep("plan", "--from-cluster", "--as", "nobody")
	if code != 1 || !strings.Contains(errOut, "list nodes:") || !strings.Contains(errOut, "lockstep-observer") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("without rights: exit code %d, %s", code, errOut)
	}
}

// Someone who may read one namespace only learns of that one, and is told so.
func TestCommandLineWithRightsInOneNamespace(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	w.create(gangOf("runs", 1, "8"))
	w.awaitPlaced("runs", 1)
	w.create(gangOf("waits", 1, "8"))
	w.awaitReason("waits", "DoesNotFit")
	user := "reader-of-" + w.namespace
	subject := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	list := func(group, resource string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{"list"}}}
	}
	rbac, name := env.client.RbacV1(), metav1.ObjectMeta{Name: user}
	_, err := rbac.ClusterRoles().Create(w.ctx, &rbacv1.ClusterRole{ObjectMeta: name, Rules: list("", "nodes")}, metav1.CreateOptions{})
	w.must(err)
	_, err = rbac.ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}}, metav1.CreateOptions{})
	w.must(err)
	t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(w.ctx, user, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(w.ctx, user, metav1.DeleteOptions{})
	})
	rules := append(list("", "pods"), list(kube.PodGroups.Group, kube.PodGroups.Resource)...)
	_, err = rbac.Roles(w.namespace).Create(w.ctx, &rbacv1.Role{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
	w.must(err)
	_, err = rbac.RoleBindings(w.namespace).Create(w.ctx, &rbacv1.RoleBinding{ObjectMeta: name, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}}, metav1.CreateOptions{})
	w.must(err)

	w.await("rights of the user", func() (bool, string) {
		code, out, errOut := w.lockstep("explain", "podgroup/waits", "-n", w.namespace, "--as", user)
		return code == 0 && strings.Contains(out, w.namespace+"/runs: 8") &&
			strings.Contains(errOut, "you may not list pods of all namespaces"), out + errOut
	})
}
