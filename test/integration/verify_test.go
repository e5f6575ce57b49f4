package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// verifier makes a user with the rights that docs/invariants.md asks for, in the test's
// namespace alone, so that other tests' gangs are not judged, and returns the arguments
// that make the command run as that user.
func (w *world) verifier() []string {
	w.t.Helper()
	user := "verifier-of-" + w.namespace
	subject := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	watch := func(group string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list", "watch"}}
	}
	rbac, name := env.client.RbacV1(), metav1.ObjectMeta{Name: user}
	cluster := []rbacv1.PolicyRule{watch("", "nodes"), watch(v1alpha1.GroupName, v1alpha1.Plural), watch("scheduling.k8s.io", "priorityclasses")}
	_, err := rbac.ClusterRoles().Create(w.ctx, &rbacv1.ClusterRole{ObjectMeta: name, Rules: cluster}, metav1.CreateOptions{})
	w.must(err)
	_, err = rbac.ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}}, metav1.CreateOptions{})
	w.must(err)
	w.t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(w.ctx, user, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(w.ctx, user, metav1.DeleteOptions{})
	})
	own := []rbacv1.PolicyRule{watch("", "pods", "events"), watch(kube.PodGroups.Group, kube.PodGroups.Resource, "elasticquotas"), watch("kubeflow.org", "pytorchjobs")}
	_, err = rbac.Roles(w.namespace).Create(w.ctx, &rbacv1.Role{ObjectMeta: name, Rules: own}, metav1.CreateOptions{})
	w.must(err)
	_, err = rbac.RoleBindings(w.namespace).Create(w.ctx, &rbacv1.RoleBinding{ObjectMeta: name, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}}, metav1.CreateOptions{})
	w.must(err)
	return []string{"verify", "-n", w.namespace, "--as", user}
}

// byHand creates a pod of a gang that nobody but the test has bound.
func (w *world) byHand(gang, node string) {
	w.t.Helper()
	pod := w.pods(gangOf(gang, 1, "1"))[0]
	pod.Name, pod.Spec.NodeName = pod.Name+"-by-hand", node
	_, err := env.client.CoreV1().Pods(w.namespace).Create(w.ctx, pod, metav1.CreateOptions{})
	w.must(err)
}

// found is what tests read of a violation.
type found struct {
	Invariant, Sentence string
	Objects             []string
	Evidence            []struct{ What string }
}

// A sound cluster is found to be one. A gang that somebody has bound in part, and that
// stays so, is found and named, as is a node with more on it than it has.
func TestVerify(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.history.forged = true
	verify := w.verifier()
	w.create(gangOf("whole", 1, "8"))
	node := w.awaitPlaced("whole", 1)["whole-worker-0"]
	w.awaitReason("whole", "Placed")
	w.await("a verdict", func() (bool, string) { // rights take a moment to count, and statuses to follow
		code, out, errOut := w.lockstep(verify...)
		return code == 0 && strings.HasPrefix(out, "no violation: 1 gang, 0 jobs and 1 pod on "), out + errOut
	})

	other := w.nodes[0]
	if other == node {
		other = w.nodes[1]
	}
	w.createGroup(gangOf("half", 2, "1"))
	w.byHand("half", other)
	stays := w.pods(gangOf("half", 1, "1"))
	stays[0].Spec.NodeSelector = map[string]string{poolLabel: "nowhere"}
	w.createPods(stays)
	w.awaitReason("half", "NoEligibleNodes", "DoesNotFit", "Impossible")
	code, out, errOut := w.lockstep(append(verify, "--repair-bound", "1s", "--for", "10s")...)
	want := "podgroup " + w.namespace + "/half has had 1 of its floor of 2 members bound for "
	if code != 2 || !strings.Contains(out, "S1") || !strings.Contains(out, want) || !strings.Contains(out, "half-worker-0-by-hand") {
		t.Errorf("a gang in part: exit code %d, want 2 and S1 %q with its pod:\n%s%s", code, want, out, errOut)
	}
	if code, out, errOut = w.lockstep(verify...); strings.Contains(out, "S1") || !strings.Contains(out, "violation") {
		t.Errorf("a gang that is being healed for less than the repair may take: exit code %d\n%s%s", code, out, errOut)
	}

	w.byHand("whole", node)
	var report struct {
		Violations []found
		Summary    struct{ Violations map[string]int }
	}
	w.lockstepJSON(&report, 2, verify...)
	if !slices.ContainsFunc(report.Violations, w.overcommits(node)) || report.Summary.Violations["S2"] != 1 {
		t.Errorf("9 of 8 GPUs: %+v", report)
	}
}

// overcommits recognises that nine of a node's eight GPUs are taken.
func (w *world) overcommits(node string) func(found) bool {
	return func(v found) bool {
		return v.Invariant == "S2" && strings.Contains(v.Sentence, "9 of 8 nvidia.com/gpu") && slices.Contains(v.Objects, "node/"+node) &&
			slices.ContainsFunc(v.Evidence, func(e struct{ What string }) bool {
				return strings.Contains(e.What, w.namespace+"/whole-worker-0-by-hand")
			})
	}
}

// With --watch a violation is told when it happens, and the exit code at the end says
// that there was one.
func TestVerifyWatches(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	w.history.forged = true
	verify := w.verifier()
	w.create(gangOf("whole", 1, "8"))
	node := w.awaitPlaced("whole", 1)["whole-worker-0"]
	w.awaitReason("whole", "Placed")
	w.await("the verifier's rights", func() (bool, string) {
		code, out, errOut := w.lockstep(verify...)
		return code == 0, out + errOut
	})

	dir, err := devcluster.FindBinDir()
	w.must(err)
	command := exec.CommandContext(w.ctx, filepath.Join(dir, "lockstep"), append(verify, "--watch", "-o", "json")...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.cluster.KubeconfigPath())
	stdout, err := command.StdoutPipe()
	w.must(err)
	w.must(command.Start())
	w.byHand("whole", node) // it may be there before the watch begins
	var line struct {
		Violation *found
		Summary   *struct{ Violations map[string]int }
	}
	lines := bufio.NewScanner(stdout)
	for line.Violation == nil || !w.overcommits(node)(*line.Violation) {
		if !lines.Scan() {
			t.Fatal("it has ended without telling of the node")
		}
		w.must(json.Unmarshal(lines.Bytes(), &line))
	}
	w.must(command.Process.Signal(os.Interrupt))
	for line.Summary == nil && lines.Scan() {
		w.must(json.Unmarshal(lines.Bytes(), &line))
	}
	if line.Summary == nil || line.Summary.Violations["S2"] != 1 {
		t.Errorf("the summary at the end: %+v", line.Summary)
	}
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d after a violation, want 2", code)
	}
}

// A manifest is nothing to verify, and no rights are an error, not a verdict.
func TestVerifyRefuses(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 0)
	for args, want := range map[string]string{
		"-f nodes.yaml":     "there is nothing to verify about manifests",
		"--as nobody":       "list nodes:",
		"--for -1s":         "durations such as 60s",
		"--watch --for 10s": "[for watch]",
	} {
		code, out, errOut := w.lockstep(append([]string{"verify"}, strings.Fields(args)...)...)
		if code != 1 || !strings.Contains(errOut, want) || out != "" {
			t.Errorf("verify %s: exit code %d, want 1 and %q:\n%s%s", args, code, want, out, errOut)
		}
	}
}
