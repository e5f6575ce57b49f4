package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentRole makes the test binary the caller that TestCallerKilled kills.
const parentRole = "SANDBOX_TEST_PARENT"

func TestMain(m *testing.M) {
	MaybeRunShim()
	if mode := os.Getenv(parentRole); mode != "" {
		runVictim(Mode(mode), os.Getenv(parentRole+"_DIR"))
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// eachMode runs a test in every mode that works on this machine.
func eachMode(t *testing.T, f func(t *testing.T, n *Node)) {
	for _, mode := range candidates(os.Geteuid()) {
		t.Run(string(mode), func(t *testing.T) {
			n, err := Start(Options{Dir: t.TempDir(), Gateway: "10.231.0.1/16", Mode: mode})
			if err != nil && mode != ModeLoopback {
				t.Skipf("this machine does not allow it: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { n.Close() })
			f(t, n)
		})
	}
}

// shell is a container that runs a script and may write to /tmp.
func shell(t *testing.T, n *Node, id, script string) Spec {
	t.Helper()
	dir := t.TempDir()
	tmp, root := filepath.Join(dir, "tmp"), filepath.Join(dir, "root")
	for _, d := range []string{tmp, root} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	uid, gid := n.CommandUser()
	if err := os.Chown(tmp, uid, gid); err != nil {
		t.Fatal(err)
	}
	return Spec{
		ID: id, Network: id, Hostname: id, Root: root, Log: filepath.Join(dir, "log"),
		Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "GREETING=hello"},
		Mounts: []Mount{{Source: tmp, Target: "/tmp"}},
	}
}

func start(t *testing.T, n *Node, spec Spec) <-chan Exit {
	t.Helper()
	if err := n.AddNetwork(spec.Network, ""); err != nil {
		t.Fatal(err)
	}
	exit, err := n.Run(spec)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

func await(t *testing.T, exit <-chan Exit) int {
	t.Helper()
	select {
	case e := <-exit:
		return e.Code
	case <-time.After(patience):
		t.Fatal("the container did not end")
		return 0
	}
}

func logText(t *testing.T, spec Spec) string {
	t.Helper()
	raw, err := os.ReadFile(spec.Log)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(raw)) {
		parts := strings.SplitN(line, " ", 4)
		text.WriteString(parts[1] + ":" + parts[3])
	}
	return text.String()
}

func awaitLog(t *testing.T, spec Spec, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if raw, _ := os.ReadFile(spec.Log); strings.Contains(string(raw), want) {
			return
		}
	}
	t.Fatalf("the log never had %q:\n%s", want, logText(t, spec))
}

func TestExitCodeAndOutput(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		spec := shell(t, n, "a", `echo $GREETING; echo oops >&2; printf tail; exit 7`)
		if code := await(t, start(t, n, spec)); code != 7 {
			t.Errorf("exit code %d, want 7", code)
		}
		text := logText(t, spec)
		for _, want := range []string{"stdout:hello\n", "stderr:oops\n", "stdout:tail"} {
			if !strings.Contains(text, want) {
				t.Errorf("log has no %q:\n%s", want, text)
			}
		}
	})
}

func TestNothingOfTheCallerLeaks(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DEVELOPER", "1")
	eachMode(t, func(t *testing.T, n *Node) {
		spec := shell(t, n, "a", `env; grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs)' /proc/self/status; id -u`)
		await(t, start(t, n, spec))
		text := logText(t, spec)
		if strings.Contains(text, "SECRET_OF_THE_DEVELOPER") {
			t.Errorf("the caller's environment leaked:\n%s", text)
		}
		if !strings.Contains(text, "NoNewPrivs:\t1") {
			t.Errorf("privileges can be gained:\n%s", text)
		}
		if n.Mode().Isolated() {
			for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
				if !strings.Contains(text, set+":\t0000000000000000") {
					t.Errorf("%s is not empty:\n%s", set, text)
				}
			}
		}
		if n.Mode() == ModeRoot && !strings.Contains(text, "stdout:65534\n") {
			t.Errorf("not the unprivileged user:\n%s", text)
		}
	})
}

func TestMachineIsReadOnly(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		if !n.Mode().Isolated() {
			return
		}
		spec := shell(t, n, "a", `for d in / /usr /etc /home /root /workspace /var; do touch $d/x 2>/dev/null && echo wrote $d; done; touch /tmp/x && echo tmp ok; ls /`)
		await(t, start(t, n, spec))
		text := logText(t, spec)
		if strings.Contains(text, "wrote") || !strings.Contains(text, "tmp ok") || strings.Contains(text, ":root\n") {
			t.Errorf("files of the machine:\n%s", text)
		}
	})
}

func TestCommandThatCannotRun(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		spec := shell(t, n, "a", "")
		spec.Argv = []string{"no-such-command"}
		if err := n.AddNetwork("a", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Run(spec); err == nil || !strings.Contains(err.Error(), `"no-such-command": executable file not found`) {
			t.Errorf("got %v", err)
		}
		spec.Argv, spec.ID, spec.Dir = []string{"true"}, "b", "/nowhere"
		spec.Root = t.TempDir()
		if _, err := n.Run(spec); err == nil || !strings.Contains(err.Error(), `working directory "/nowhere"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTerminateThenKill(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		polite := shell(t, n, "polite", `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done`)
		exit := start(t, n, polite)
		awaitLog(t, polite, "up")
		if err := n.Signal("polite", syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := await(t, exit); code != 3 {
			t.Errorf("exit code %d, want 3 from the trap", code)
		}
		stubborn := shell(t, n, "stubborn", `trap '' TERM; echo up; while :; do sleep 0.05; done`)
		exit = start(t, n, stubborn)
		awaitLog(t, stubborn, "up")
		if err := n.Signal("stubborn", syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := n.Signal("stubborn", syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if code := await(t, exit); code != 137 {
			t.Errorf("exit code %d, want 137", code)
		}
	})
}

// TestSamePortTwice has two servers on one port and a client that reaches each by address.
func TestSamePortTwice(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		address := map[string]string{"red": "10.231.0.2", "blue": "10.231.0.3", "client": "10.231.0.4"}
		if !n.Mode().Isolated() { // the addresses are the machine's, where another run of this test may be
			for i, name := range []string{"red", "blue", "client"} {
				address[name] = fmt.Sprintf("127.77.%d.%d", os.Getpid()%256, 2+i)
			}
		}
		for name, a := range address {
			if err := n.AddNetwork(name, a); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"red", "blue"} {
			spec := shell(t, n, name, "")
			spec.Argv = []string{"/usr/bin/python3", "-c", fmt.Sprintf(`
import socket
s = socket.create_server((%q, 23456))
print("up", flush=True)
while True:
    c, _ = s.accept(); c.sendall(b"i am %s"); c.close()`, address[name], name)}
			if _, err := n.Run(spec); err != nil {
				t.Fatal(err)
			}
			awaitLog(t, spec, "up")
			if err := n.Probe(Probe{Address: address[name] + ":23456", Timeout: patience}); err != nil {
				t.Errorf("probe of %s: %v", name, err)
			}
		}
		client := shell(t, n, "client", "")
		client.Argv = []string{"/usr/bin/python3", "-c", fmt.Sprintf(`
import socket
for a in (%q, %q):
    print(socket.create_connection((a, 23456)).recv(99).decode())`, address["red"], address["blue"])}
		exit, err := n.Run(client)
		if err != nil {
			t.Fatal(err)
		}
		if code := await(t, exit); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if text := logText(t, client); text != "stdout:i am red\nstdout:i am blue\n" {
			t.Errorf("got %q", text)
		}
	})
}

// TestCallerKilled kills a caller and sees that the process in its container, and that one's child, end.
func TestCallerKilled(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		marker := fmt.Sprintf("98765.%d", os.Getpid())
		caller := exec.Command("/proc/self/exe")
		caller.Env = append(os.Environ(), parentRole+"="+string(n.Mode()), parentRole+"_DIR="+t.TempDir(), "MARKER="+marker)
		out, err := caller.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		caller.Stderr = os.Stderr
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		defer caller.Process.Kill()
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "running\n" {
			t.Fatalf("caller said %q, %v", line, err)
		}
		if found := processesWith(marker); len(found) < 2 {
			t.Fatalf("found %d processes of the container, want 2 or more", len(found))
		}
		_ = caller.Process.Kill()
		caller.Wait()
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			left := processesWith(marker)
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("processes left behind: %v", left)
			}
		}
	})
}

// TestOrphansEndWithTheirContainer has processes that left their container's process group: they end with their own
// container, however that ends, and not with another one.
func TestOrphansEndWithTheirContainer(t *testing.T) {
	eachMode(t, func(t *testing.T, n *Node) {
		mark := func(name string) string { return fmt.Sprintf("9%d.%d%s", len(name), os.Getpid(), "00") }
		script := func(name string) string { return "(setsid sleep " + mark(name) + " &); echo up; " }
		long := shell(t, n, "long", script("long")+"while :; do sleep 0.05; done")
		longExit := start(t, n, long)
		awaitLog(t, long, "up")
		await(t, start(t, n, shell(t, n, "a", script("a"))))
		if left := processesWith(mark("a")); len(left) > 0 {
			t.Errorf("a container that ended left %v behind", left)
		}
		if len(processesWith(mark("long"))) == 0 {
			t.Error("the end of one container ended an orphan of another")
		}
		if err := n.Signal("long", syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, longExit)
		if left := processesWith(mark("long")); len(left) > 0 {
			t.Errorf("a container that was killed left %v behind", left)
		}
	})
}

func processesWith(marker string) (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		text, _ := os.ReadFile(file)
		if strings.Contains(string(text), marker) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// runVictim is the caller of TestCallerKilled: a container with a command and a background child of it.
func runVictim(mode Mode, dir string) {
	must := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	n, err := Start(Options{Dir: dir, Gateway: "10.231.0.1/16", Mode: mode})
	must(err)
	must(n.AddNetwork("a", ""))
	must(os.Mkdir(dir+"/root", 0o700))
	_, err = n.Run(Spec{
		ID: "a", Network: "a", Hostname: "a", Root: dir + "/root", Log: dir + "/log",
		Env:  []string{"PATH=/usr/bin:/bin"},
		Argv: []string{"sh", "-c", "sleep " + os.Getenv("MARKER") + " & (setsid sleep " + os.Getenv("MARKER") + "2 &); echo up; sleep " + os.Getenv("MARKER") + "1; true"},
	})
	must(err)
	for {
		if raw, _ := os.ReadFile(dir + "/log"); len(raw) > 0 && len(processesWith(os.Getenv("MARKER")+"1")) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("running")
	select {}
}
