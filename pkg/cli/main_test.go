package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

// programEnv makes the test binary the program lockstep, for the tests that
// need it as a process of its own.
const programEnv = "LOCKSTEP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	processnode.MaybeRunShim()
	if os.Getenv(programEnv) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// lockstep is the program as a process.
func lockstep(args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	command.Env = append(os.Environ(), programEnv+"=1", "NO_COLOR=1")
	return command
}

// invoke runs the command line in this process.
func invoke(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(context.Background(), "lockstep", args, &o, &e)
	return code, o.String(), e.String()
}

func TestMistakesAreOneLineThatSaysWhatAndWhere(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"devcluster", "up", "--no-such-flag"}, "unknown flag: --no-such-flag; see lockstep devcluster up --help"},
		{[]string{"devcluster", "up", "more"}, `unknown command "more"`},
		{[]string{"devcluster", "up", "--nodes", "many"}, `"--nodes"`},
		{[]string{"devcluster", "up", "--nodes", "-1"}, "--nodes=-1: must be 0 or more"},
		{[]string{"devcluster", "up", "--rack-size", "0"}, "--rack-size=0: must be 1 or more"},
		{[]string{"devcluster", "up", "--memory", "lots"}, "--memory=lots: not a positive quantity"},
		{[]string{"devcluster", "up", "--cpu", "0"}, "--cpu=0: not a positive quantity"},
		{[]string{"devcluster", "up", "--feature-gates", "X"}, `--feature-gates: "X" is not of the form NAME=true`},
		{[]string{"devcluster", "up", "--workspace", "/no/such/dir", "--process-node"}, "--workspace=/no/such/dir"},
		{[]string{"devcluster", "up", "--workspace", "."}, "--workspace needs --process-node"},
		{[]string{"bench", "gang", "--gangs", "3"}, "--gangs 3 --size 0: both go together"},
		{[]string{"bench", "gang", "--shapes", "3"}, `--shapes: shape "3": is to be GANGSxSIZE`},
		{[]string{"bench", "gang", "--nodes", "-1"}, "--nodes=-1: must be 1 or more"},
		{[]string{"bench", "gang", "--gpus", "9"}, "--gpus=9: must be 8 or less, the GPUs of a node"},
		{[]string{"bench", "elastic", "--traces", "/no/such"}, "elastic: open /no/such/synth/cluster_128.csv: no such file or directory: give --traces the directory"},
		{[]string{"bench", "openb", "--traces", "/no/such"}, "openb: open /no/such/openb/nodes_gpu.csv: no such file or directory: give --traces the directory"},
		{[]string{"bench", "gang", "--peer", "ceiling,foo"}, `--peer: no peer "foo"; there are: none, lockstep-unreserved, ceiling`},
		{[]string{"devcluster", "status", "-o", "xml"}, `"xml" is neither text nor json`},
	} {
		code, out, errOut := invoke(test.args...)
		if code != exitError || out != "" || !strings.Contains(errOut, test.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%q: exit code %d, output %q, error %q; want 1, nothing, one line with %q", test.args, code, out, errOut, test.want)
		}
	}
}

// A flag of bench that means nothing to a scenario is no mistake, and is not passed over in silence.
func TestBenchNotesFlagsThatMeanNothing(t *testing.T) {
	code, _, errOut := invoke("bench", "elastic", "--traces", "/no/such", "--repeat", "3", "--gangs", "2", "--size", "2", "--quick")
	for _, want := range []string{
		"note: --repeat: means nothing to elastic, only to gang, latency, singles, deadlock, starvation, preemption, recovery, locality, plan\n",
		"note: --gangs: means nothing to elastic", "note: --size: means nothing to elastic",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q is not in %q", want, errOut)
		}
	}
	if code != exitError || strings.Count(errOut, "\n") != 4 {
		t.Errorf("exit code %d, error %q; want 3 notes and that there is no trace", code, errOut)
	}
}

func TestAnAnswerThatCannotBeWrittenIsAnError(t *testing.T) {
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("no space left") })
	for _, args := range [][]string{
		{"topology", "-f", "../../examples"},
		{"lint", "-f", "../../examples"},
		{"plan", "-f", "../../examples", "-o", "json"},
		{"devcluster", "status", "--data-dir", t.TempDir()}, // prints a no
	} {
		var errOut bytes.Buffer
		if code := run(context.Background(), "lockstep", args, full, &errOut); code != exitError || !strings.HasSuffix(errOut.String(), ": no space left\n") {
			t.Errorf("%q: exit code %d, %q", args, code, errOut.String())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

func TestEveryVerbHasHelpWithAnExample(t *testing.T) {
	root := newRootCommand("lockstep")
	root.InitDefaultCompletionCmd()
	var visit func(path []string)
	visit = func(path []string) {
		command, _, err := root.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(path) > 0 && command.Name() == "completion" {
			return // cobra's own
		}
		if command.Example == "" {
			t.Errorf("%s has no example", command.CommandPath())
		}
		if code, out, _ := invoke(append(path, "--help")...); code != exitYes || !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help: exit code %d, output %q", command.CommandPath(), code, out)
		}
		for _, child := range command.Commands() {
			visit(append(append([]string{}, path...), child.Name()))
		}
	}
	visit(nil)
}

func TestKubectlPluginCallsItselfSo(t *testing.T) {
	var out bytes.Buffer
	if code := run(context.Background(), pluginName, []string{"devcluster", "--help"}, &out, &out); code != exitYes {
		t.Fatalf("exit code %d", code)
	}
	if !strings.Contains(out.String(), "kubectl lockstep devcluster [command]") {
		t.Errorf("help of the plugin does not say how to call it:\n%s", out.String())
	}
}
