package mutation

import (
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere are defects of the plugin and of the controller, each with the one test that
// has to notice.
var elsewhere = []struct {
	test string
	defect
}{
	{"TestMembersEnterTogether", defect{"half a gang enters the queue", "pkg/plugin/plugin.go",
		`if reason := p.enqueue(pod); reason.Code != "" {`, `if reason := p.enqueue(pod); reason.Code == "never" {`}},
	{"TestMembersEnterTogether", defect{"members enter while the scheduler starts", "pkg/plugin/engine.go", "if !e.ready.Load() {", "if false {"}},
	{"TestFilterKeepsThePlan", defect{"Filter does not keep to the plan", "pkg/plugin/plugin.go", "case !at.allows(info.Node().Name):", "case false:"}},
	{"TestFilterKeepsThePlan", defect{"Filter ignores what is held", "pkg/plugin/plugin.go", "if p.fitsBesidePromises(pod, info) {", "if true {"}},
	{"TestFilterKeepsThePlan", defect{"Filter is left out for pods without a gang", "pkg/plugin/plugin.go", "; !p.promises() {", "; true {"}},
	{"TestFilterKeepsThePlan", defect{"what is held counts as free", "pkg/plugin/engine.go", "int64(len(info.GetPods())))).Sub(held)", "int64(len(info.GetPods()))))"}},
	{"TestPermitWaitsForTheFloor", defect{"members do not wait for the floor", "pkg/plugin/plugin.go",
		"return fwk.NewStatus(fwk.Wait), p.permitTimeout(key)", "return nil, p.permitTimeout(key)"}},
	{"TestPermitWaitsForTheFloor", defect{"a member that was given back is bound", "pkg/plugin/plugin.go",
		`return fwk.NewStatus(fwk.Unschedulable, "the gang was given back meanwhile"), 0`, "return nil, 0"}},
	{"TestBind", defect{"a bind loses the UID", "pkg/plugin/bind.go", "Name: pod.Name, UID: pod.UID}", "Name: pod.Name}"}},
	{"TestBind", defect{"another pod of that name counts as bound", "pkg/plugin/bind.go", "case now.UID != pod.UID:", "case false:"}},
	{"TestBind", defect{"somebody else's bind is tried over", "pkg/plugin/bind.go", `case now.Spec.NodeName != "":`, "case false:"}},
	{"TestBind", defect{"a throttled bind is given up", "pkg/plugin/bind.go", "case apierrors.IsTooManyRequests(err):", "case false:"}},
	{"TestBindThatNobodyCanSee", defect{"no answer is taken for a failed bind", "pkg/plugin/bind.go", "return true // no answer at all", "return false"}},
	{"TestMirrorFollowsTheSnapshot", defect{"room that comes back is not noticed", "pkg/plugin/mirror.go", "roomier(before.Free, m.nodes[i].Free)", "roomier(before.Free, before.Free)"}},
	{"TestModelFor", defect{"a type of GPU that nobody names does not count", "pkg/kube/quota.go", "only, found = model, true", "found = true"}},

	{"TestRestartIsCountedOnce", defect{"restarts are remembered by name", "pkg/controller/restart.go",
		"p.status.Progress.Counted[string(pod.UID)] = restarts", "p.status.Progress.Counted[pod.Name] = restarts"}},
	{"TestBackoff", defect{"one restart too many", "pkg/controller/restart.go", "p.status.Progress.Restarts > *limit", "p.status.Progress.Restarts > *limit+1"}},
	{"TestIncident", defect{"what follows from a death counts again", "pkg/controller/restart.go", "case p.consequence(d):", "case false:"}},
	{"TestFailurePolicies", defect{"a lost node counts as the program's failure", "pkg/controller/restart.go", "blameless := p.blameless(d, policy)", "blameless := false"}},
	{"TestElasticMembership", defect{"worker-0 leaves first", "pkg/controller/decide.go", "name := v1.PodName(p.job.Name, role, index)",
		"name := v1.PodName(p.job.Name, role, index+max(0, int32(len(p.Pods))-p.size(role)))"}},
	{"TestSettled", defect{"expectations are ignored", "pkg/controller/notebook.go", "wait = max(wait, left)", "_ = left"}},
	{"TestSettled", defect{"a status is decided on that is older than what was written", "pkg/controller/notebook.go", "err == nil && seen < p.written", "err == nil && seen == 0"}},
	{"TestLost", defect{"what the controller deletes counts as lost", "pkg/controller/notebook.go", "if p.ours[pod.UID] {", "if false {"}},
	{"TestRetry", defect{"a failing creation is tried at once", "pkg/controller/notebook.go", "t.Retry = now.Add(wait)", "t.Retry = now"}},
	{"TestMasterDecides", defect{"Workers succeed in the Master's place", "pkg/controller/success.go", "return p.completed.has(v1.Master, 0)", "return p.completed.has(v1.Worker, 0)"}},
	{"TestWorkersOnly", defect{"the first Worker to succeed ends the job", "pkg/controller/success.go", "return done == p.size(v1.Worker)", "return done > 0"}},
	{"TestDeletedMasterHasNotSucceeded", defect{"a Master that was told to go has succeeded", "pkg/controller/success.go", "if pod.DeletionTimestamp == nil {", "if true {"}},
	{"TestCleanPodPolicy", defect{"finished pods are deleted with the running ones", "pkg/controller/cleanup.go", "if policy == v1.CleanRunning && ended(pod) {", "if false {"}},
	{"TestSuspend", defect{"a suspended job keeps its gang", "pkg/controller/suspend.go", "\tp.dropGang()\n", ""}},
	{"TestMissedSuspension", defect{"a suspension that nobody saw is forgotten", "pkg/controller/decide.go", "case p.missedSuspension():", "case false:"}},
	{"TestTemplatesInOtherWords", defect{"an upgrade takes the pods of running jobs", "pkg/controller/suspend.go", "seen.Generation != p.Job.Generation && !isTrue", "!isTrue"}},
	{"TestResumeRunsTheCompletedAgain", defect{"a success of before the suspension counts after it", "pkg/controller/success.go", "!p.accounted(pod) && ", ""}},
	{"TestWentUnseen", defect{"a loss that nobody saw is the program's failure", "pkg/controller/restart.go", "if p.wentUnseen(m) {\n\t\t\treturn true", "if false {\n\t\t\treturn true"}},
	{"TestLargestGang", defect{"a job that grows too large is no longer run", "pkg/controller/elastic.go", "p.bounded = true", "return"}},
	{"TestSidecarRestarts", defect{"the restarts of sidecars count", "pkg/controller/restart.go", "pod.Spec.RestartPolicy != corev1.RestartPolicyNever && ", ""}},
	{"TestTTL", defect{"a job is deleted at its end", "pkg/controller/ttl.go", "if p.Now.Before(expiry) {", "if false {"}},
	{"TestDeadline", defect{"a deadline without an alarm", "pkg/controller/deadline.go", "p.wakeAt(deadline)", "_ = deadline"}},
}

func TestDefectsElsewhereAreCaught(t *testing.T) {
	if !*enabled {
		t.Skip("runs a test once per defect; enable it with -mutations")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range elsewhere {
		if !mine(t, i) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			source, wrong := d.apply(t, root)
			out, err := run(t, root, "./"+filepath.Dir(d.file), source, wrong, "-run=^"+d.test+"$")
			switch {
			case strings.Contains(out, "[build failed]"):
				t.Fatalf("the defect does not compile:\n%s", out)
			case err == nil:
				t.Errorf("%s has not noticed", d.test)
			case !strings.Contains(out, "--- FAIL: "+d.test):
				t.Errorf("%s has not run:\n%s", d.test, out)
			}
		})
	}
}
