// Package mutation shows that the tests bite: each of a list of deliberate defects is put
// into the scheduler's core, its plugin or the controller, and the tests have to fail.
//
//	go test ./test/mutation -mutations -timeout 0
package mutation

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	enabled = flag.Bool("mutations", false, "run the tests once per defect; takes half an hour")
	part    = flag.String("part", "1/1", "which part of the list to take, such as 2/4")
)

// defect is one change of one place in one file, of pkg/core unless it says otherwise.
type defect struct{ name, file, right, wrong string }

// mine reports whether a place in a list is in the part that was asked for.
func mine(t *testing.T, i int) bool {
	t.Helper()
	var k, n int
	if _, err := fmt.Sscanf(*part, "%d/%d", &k, &n); err != nil || n < 1 || k < 1 || k > n {
		t.Fatalf("-part: %q is not like 2/4", *part)
	}
	return i%n == k-1
}

var defects = []defect{
	{"holds are never given back", "membership.go", "c.held.sub(m.node, m.Requests)\n\t\tm.held = false", "m.held = false"},
	{"plans do not see the holds of other gangs", "attempt.go", "c.promised(now, g).takeOff(p.view)", "ledger{}.takeOff(p.view)"},
	{"holds are not put back into the index", "attempt.go", "\tputBack()\n", "\t_ = putBack\n"},
	{"a gang is released one short of its floor", "group.go", "counts.Ready(g.floor())", "counts.Ready(g.floor()-1)"},
	{"members are released while a plugin can still fail them", "group.go", "\tcounts.Reserved = g.sums().permitted\n", ""},
	{"a doubtful bind is taken for a failed one", "release.go", "\tif e.Unknown {\n", "\tif false {\n"},
	{"a doubtful bind is given up at the first miss", "attempt.go", "if c.doubtful(m, now) {\n\t\treturn // it is tried", "if false {\n\t\treturn // it is tried"},
	{"a doubtful bind is tried again although its gang has to be close now", "membership.go", "m.outdated = bindsTogether(e.Spec)", "m.outdated = false"},
	{"a doubtful bind is given up when a later one fails", "release.go", "case c.doubtful(m, now):", "case e.Unknown:"},
	{"a doubtful bind is never given up", "release.go", "now.Sub(m.doubted) < c.opts.WakeAfter", "true"},
	{"reserved members are not given back", "release.go", "g.ranked(gang.Held), g.ranked(gang.Reserved)", "g.ranked(gang.Held), g.ranked()"},
	{"a member that loses its place does not take its siblings along", "release.go",
		"c.giveBack(g, g.why)", ""},
	{"deleted nodes are not noticed", "core.go", "\t\tc.nodeGone(e.Name)\n", "\t\t_ = e\n"},
	{"surplus members are refused without a reason", "problem.go", "return best, steps[fits], why", "return best, steps[fits], nil"},
	{"surplus members hold back the floor", "problem.go", "best != nil || tooMany == 0 {", "best != nil || tooMany >= 0 {"},
	{"a refusal outlives the gang's changes", "group.go", "g.refusal.stands = false", "g.refusal.stands = true"},
	{"a refusal outlives the cluster's changes", "attempt.go", "r.viewEpoch == view.Epoch && ", ""},
	{"capacity from the ledger wakes nobody", "membership.go", "\t\tc.epoch++\n", ""},
	{"finished members do not count", "group.go", "\tcounts.Finished = len(g.finished)\n", ""},
	{"late news of a finished member count", "membership.go", "if g.finished[uid] {", "if delete(g.finished, uid); false {"},
	{"failing binds start the heal time-out anew", "core.go",
		"case gang.Releasing: // binds that fail again and again do not start the time anew\n", ""},
	{"torn gangs are never ended", "heal.go", ">= c.opts.HealTimeout", ">= 1<<62"},
	{"only one member of a torn gang is ended", "heal.go", "UIDs: uids(bound)", "UIDs: uids(bound[:1])"},
	{"the others are not planned around a foreign bind", "membership.go", "if !planned {", "if planned && !planned {"},
	{"degraded gangs are tried", "group.go", "present < g.floor() {", "present < g.floor() && counts.Bound == 0 {"},
	{"gangs of equal names in two namespaces are one", "membership.go", "c.members[uid], c.group(e.Key)",
		"c.members[uid], c.group(gang.Key{Namespace: \"default\", Name: e.Key.Name})"},
	{"a miss takes the reserved siblings along", "attempt.go", "g.replanning = true", "g.replanning = false"},
	{"nodes that the filters refused are planned again", "problem.go", "name, refused := m.Class, p.excluded[m.Class]", "name, refused := m.Class, p.excluded[\"\"]"},
	{"nodes that the filters refused are never forgiven", "roam.go", "\tcase now.Before(t.until):\n", "\tcase true:\n\t\treturn true\n"},
	{"room that comes back makes no rest shorter", "roam.go", "view.Epoch != t.epoch && sooner.Before(t.until)", "false && sooner.Before(t.until)"},
	{"room that a gang which roams still needs is open to others", "reservation.go", "\tif g != c.roaming {\n", "\tif g == nil {\n"},
	{"what was tried on other nodes is not tried again", "roam.go", "\tif t.attributes != view.Attributes {\n\t\t*t", "\tif false {\n\t\t*t"},
	{"places that were tried in other room are not tried again", "roam.go", "g.trial.stale = len(g.trial.firsts) > 0", "_ = g.trial.stale"},
	{"gangs roam side by side", "roam.go", "if !g.roaming && c.roaming != nil {", "if false {"},
	{"a gang that roams into a dead end does not rest", "roam.go", "now.Add(long)", "now.Add(0*long)"},
	{"a domain that was tried is tried again", "roam.go", "g.trial.ruledOut[g.trial.domain] = true", "_ = g.trial"},
	{"the others of a gang that roams are not woken", "roam.go", "c.emit(Activate{UIDs: uids(others)})", "_ = others"},
	{"members that keep apart are planned onto a sibling's node", "apart.go", "a.taken[name] = append(a.taken[name], node)", "_ = node"},
	{"slices may be started and not completed", "slices.go", "if open == 0 && i+1 >= need {", "if i+1 >= need {"},
	{"a slice is completed anywhere", "slices.go", "\t\treturn part.domain\n", "\t\treturn 0\n"},
	{"a required level is not kept", "problem.go", "if p.required, reason = g.level(", "if _, reason = g.level("},
	{"members that run already do not bind the others' place", "problem.go", "p.fixed = append(p.fixed, node)", "_ = node"},
	{"members may differ in priority", "tally.go", "\t\t\tt.odd = m\n", "\t\t\tt.odd = nil\n"},
	{"members that are held back count", "tally.go", "m.barred != \"\" {\n\t\t\tcontinue", "m.barred == \"\\x00\" {\n\t\t\tcontinue"},
	{"lost wake-ups are lost for good", "heal.go", "now.Sub(g.lastAttempt) >= c.opts.WakeAfter ||", "now.Before(g.lastAttempt) ||"},
	{"a deleted pod group is not noticed", "membership.go", "g.spec, g.known, g.reported, g.tally, g.account, g.tenancy = gang.Spec{}, false, Status{}, nil, nil, nil", "g.spec, g.reported = gang.Spec{}, Status{}"},
	{"holds do not follow a member's requests", "membership.go", "if m.held {\n\t\tc.held.sub(m.node, m.Requests)\n\t\tc.held.add", "if false {\n\t\tc.held.add"},
	{"a moved label forgets a bind", "membership.go", "m.outdated = bindsTogether(to.spec)\n", "c.drop(m)\n"},
	{"a lowered floor releases nobody", "membership.go", "c.activateAll(g)\n\t}\n\tc.releaseReady(g)\n}\n\nfunc (c *Core) groupGone", "c.activateAll(g)\n\t}\n}\n\nfunc (c *Core) groupGone"},
	{"gangs that became incomplete keep their nodes", "core.go", "if counts.Held+counts.Reserved == 0 {", "if counts.Held+counts.Reserved >= 0 {"},
	{"a gang that changes is reported no more", "core.go", "\tg.reported = status\n", "\tg.reported = status\n\tif g.refusal != nil {\n\t\treturn\n\t}\n"},
	{"complete gangs are not woken", "membership.go", "if !open {\n\t\tc.activateAll(g)", "if open && !open {\n\t\tc.activateAll(g)"},
	{"an intermediate answer replaces the reason", "attempt.go", "!again || g.why.Code == \"\"", "true"},
	{"a reason outlives the gang's placement", "membership.go", "g.why, g.trial, g.vain = Reason{}, trial{}, vain{}", "g.trial = trial{}"},
	{"a surplus that waits is forgotten when another is bound", "membership.go", "if g.counts().Waiting == 0 { // a surplus", "if true { // a surplus"},
	{"a drained reservation is lost with a plan", "attempt.go", "case p.plan != nil && (g.drains() ||", "case p.plan != nil && (false ||"},
	{"room for a member that is replaced is lost with a plan", "attempt.go", "(g.drains() || g.replacing())", "(g.drains() || false)"},
	{"room of a member that is gone is anybody's", "membership.go", "\tif ran {", "\tif ran && false {"},
	{"room is kept for who was evicted", "membership.go", "&& m.evicted.Code == \"\"", "&& true"},
	{"room is kept for a gang that is about to end", "replace.go", "counts.Finished == 0", "true"},
	{"room is kept where it was refused", "attempt.go", "\tc.notThere(g, e.Node)\n", ""},
	{"room of the first to go is forgotten", "replace.go", "r = *g.reservation", "_ = r"},
	{"what is reserved is lost with a member that is replaced", "reservation.go", "g.wantsRoom() || g.outlasts(r) &&", "g.wantsRoom() || false &&"},
	{"what is reserved is kept for a gang that never comes", "reservation.go", "now.Sub(r.Since) < c.opts.HealTimeout", "true"},
	{"nodes are tried as often beside a reservation", "attempt.go", "t.again++", "_ = t.again"},
	{"succeeded members that are deleted wake nobody", "membership.go",
		"g.changed() // the surplus may be needed for the floor now\n\t\tc.activateLeader(g)\n", "g.tally = nil\n"},
	{"a changed pod group is not tried again", "membership.go", "if open {\n\t\tc.activateLeader(g)\n\t} else", "if !open"},
	{"members beyond the floor take others' room", "contend.go", " || !g.wantsRoom()", ""},
	{"room that is made for a gang goes to who had reserved it before", "reservation.go", " && !who.gang.admits(c, now, c.claim(g)) //", " //"},
	{"an eviction that was begun is not finished", "heal.go", "\t\tc.finishEviction(g)\n", ""},
	{"a relaxed budget wakes nobody", "preempt.go", "\t\tif g.shielded {\n", "\t\tif false {\n"},
	{"a gang whose reserved node has gone is not tried", "reservation.go", "\t\tif g.reservation.on(node) != nil {\n", "\t\tif false {\n"},
	{"an eviction gives no reason", "heal.go", "UIDs: uids(bound), Reason: reason}", "UIDs: uids(bound)}"},
	{"a preemption does not say for whom", "preempt.go", "preempted for gang %s", "preempted for gang %.1s"},
	{"who is as important may be evicted", "preempt.go", "c.preempts(g) && claim.Priority < g.priority()", "c.preempts(g) && claim.Priority <= g.priority()"},
	{"a gang is as important as its first member", "tenant.go", "t.Priority = max(t.Priority, o.Priority)", "_ = t.Priority"},
	{"evictions that were in vain are repeated at once", "preempt.go", "f.now.Before(v.until)", "false && v.times > 0"},
	{"effects come in the order of a map", "core.go", "slices.SortedFunc(maps.Values(groups), byKey)", "slices.Collect(maps.Values(groups))"},
}

// caughtBy finds the test that failed.
var caughtBy = regexp.MustCompile(`(?m)^--- FAIL: (\w+)|^panic: |-seed=\d+|panic: test timed out`)

// TestDefectsStandInTheCode needs no flag: what a defect changes has to be there, once.
func TestDefectsStandInTheCode(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range slices.Concat(defects, ofQuota) {
		d.apply(t, root)
	}
	for _, d := range elsewhere {
		d.apply(t, root)
	}
}

func TestDefectsAreCaught(t *testing.T) {
	if !*enabled {
		t.Skip("runs the core's tests once per defect; enable it with -mutations")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range slices.Concat(defects, ofQuota) {
		if !mine(t, i) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			source, wrong := d.apply(t, root)
			for _, tests := range []string{"TestScenarios", "TestSimulation"} {
				out, err := run(t, root, "./pkg/core", source, wrong, "-run=^"+tests+"$")
				if strings.Contains(out, "[build failed]") {
					t.Fatalf("the defect does not compile:\n%s", out)
				}
				if err != nil {
					t.Logf("%s: %s", tests, strings.Join(caughtBy.FindAllString(out, 3), ", "))
					return
				}
			}
			t.Error("no test has noticed")
		})
	}
}

// byHistory are defects that package invariants has to find by the history of the
// simulated API alone, as it judges a live cluster. The simulation's own assertions and
// the core's Check are off, and that a run comes to no end does not count.
var byHistory = []string{
	"holds are never given back",
	"holds are not put back into the index",
	"a doubtful bind is never given up",
	"surplus members hold back the floor",
	"a refusal outlives the gang's changes",
	"a refusal outlives the cluster's changes",
	"finished members do not count",
	"late news of a finished member count",
	"torn gangs are never ended",
	"gangs of equal names in two namespaces are one",
	"a required level is not kept",
	"members that run already do not bind the others' place",
	"a gang that changes is reported no more",
	"an eviction gives no reason",
	"a preemption does not say for whom",
	"who is as important may be evicted",
}

// foundBroken finds the invariant that was broken.
var foundBroken = regexp.MustCompile(`seed \d+: ([A-Z]\d+):`)

func TestDefectsShowInTheHistory(t *testing.T) {
	if !*enabled {
		t.Skip("runs the core's simulation once per defect; enable it with -mutations")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range byHistory {
		if !mine(t, i) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(defects, func(d defect) bool { return d.name == name })
			if i < 0 {
				t.Fatal("it is not among the defects")
			}
			source, wrong := defects[i].apply(t, root)
			out, _ := run(t, root, "./pkg/core", source, wrong, "-run=^TestSimulation$", "-history")
			found := foundBroken.FindStringSubmatch(out)
			if found == nil || found[1] == "L3" {
				t.Fatalf("no invariant was found broken:\n%s", out)
			}
			t.Log(found[0])
		})
	}
}

// apply returns the defect's file, and its text with the defect.
func (d defect) apply(t *testing.T, root string) (source, wrong string) {
	t.Helper()
	source = filepath.Join(root, "pkg/core", d.file)
	if strings.HasPrefix(d.file, "pkg/") {
		source = filepath.Join(root, d.file)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), d.right); n != 1 {
		t.Fatalf("%s: %s has %d places like %q; bring the list of defects up to date", d.name, d.file, n, d.right)
	}
	return source, strings.Replace(string(text), d.right, d.wrong, 1)
}

// run runs tests of a package with one of its files replaced.
func run(t *testing.T, root, pkg, source, text string, arguments ...string) (string, error) {
	dir := t.TempDir()
	wrong, overlay := filepath.Join(dir, filepath.Base(source)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: wrong}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{wrong: []byte(text), overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-short", "-overlay", overlay, "-timeout", "2m", pkg}, arguments...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
