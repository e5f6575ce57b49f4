package processnode

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

const (
	workspaceTarget   = "/workspace"
	checkpointsTarget = "/checkpoints"
	homeTarget        = "/home/pod"
	tmpTarget         = "/tmp"
	// jobLabel names the job that a pod belongs to.
	jobLabel = "training.kubeflow.org/job-name"
)

// spec puts together what the sandbox shall run. An error is one that may come right when the cluster changes.
func (c *container) spec() (sandbox.Spec, error) {
	p, object := c.p, c.p.current()
	dir, err := c.makeDirs()
	if err != nil {
		return sandbox.Spec{}, err
	}
	image := c.image()
	env := baseEnvironment(image, hostname(object), p.r.sandbox.Mode())
	if err := containerEnv(env, object, c.c, p.downward(), p.r.cluster); err != nil {
		return sandbox.Spec{}, err
	}
	mounts, err := c.mounts(dir, image, env)
	if err != nil {
		return sandbox.Spec{}, err
	}
	argv := commandLine(c.c, env)
	if len(c.c.Command) == 0 {
		argv = append(append([]string{}, image.Entrypoint...), argv...)
	}
	if len(argv) == 0 {
		return sandbox.Spec{}, fmt.Errorf("container %s: command: the process node does not know the entrypoint of image %s; set command", c.c.Name, c.c.Image)
	}
	workingDir := image.WorkingDir
	if c.c.WorkingDir != "" {
		workingDir = c.c.WorkingDir
	}
	if workingDir == workspaceTarget && p.r.opts.Workspace == "" {
		workingDir = ""
	}
	if !p.r.sandbox.Mode().Isolated() {
		p.onThisMachine(env, mounts)
		for i := range argv {
			argv[i] = translatePath(argv[i], mounts)
		}
		workingDir = translatePath(workingDir, mounts)
	}
	return sandbox.Spec{
		ID: c.id(), Network: string(p.uid), Hostname: hostname(object),
		Argv: argv, Env: env.list(), Dir: workingDir, Mounts: mounts,
		Log: filepath.Join(dir, "log"), Root: filepath.Join(dir, "root"),
	}, nil
}

// image is what stands in for the container's image. One that the table does not know gets the machine's own PATH,
// which the pod's events say.
func (c *container) image() Image {
	image, ok := findImage(c.p.r.images(), c.c.Image)
	if !ok && !c.warned {
		c.warned = true
		c.p.event(v1.EventTypeWarning, "ImageNotMapped", fmt.Sprintf(
			"image %s is not in the process node's table (%s): container %s runs its command from this machine's own PATH",
			c.c.Image, patterns(c.p.r.images()), c.c.Name))
	}
	return image
}

// baseEnvironment is what a container has before its own variables. Nothing else comes from this machine.
func baseEnvironment(image Image, hostname string, mode sandbox.Mode) *environment {
	env := &environment{}
	env.set("PATH", image.searchPath())
	env.set("HOME", homeTarget)
	env.set("TMPDIR", tmpTarget)
	env.set("HOSTNAME", hostname)
	env.set("LANG", "C.UTF-8")
	env.set("CHECKPOINT_DIR", checkpointsTarget)
	// Several ranks share a few cores: one thread each is faster than many that wait for one another.
	env.set("OMP_NUM_THREADS", "1")
	// Else gloo listens where the machine's host name leads, which may be nowhere.
	env.set("GLOO_SOCKET_IFNAME", mode.Interface())
	for _, name := range sortedKeys(image.Env) {
		env.set(name, image.Env[name])
	}
	return env
}

// mounts of a container; later ones lie over earlier ones.
func (c *container) mounts(dir string, image Image, env *environment) ([]sandbox.Mount, error) {
	checkpoints, err := c.p.checkpoints()
	if err != nil {
		return nil, err
	}
	mounts := []sandbox.Mount{
		{Source: filepath.Join(dir, "tmp"), Target: tmpTarget},
		{Source: filepath.Join(dir, "home"), Target: homeTarget},
		{Source: checkpoints, Target: checkpointsTarget},
	}
	if c.p.r.sandbox.Mode().Isolated() {
		mounts = append(mounts, sandbox.Mount{Source: c.p.hostsPath(), Target: "/etc/hosts", ReadOnly: true})
	}
	if w := c.p.r.opts.Workspace; w != "" {
		mounts = append(mounts, sandbox.Mount{Source: w, Target: workspaceTarget, ReadOnly: true})
	}
	mounts = append(mounts, image.Mounts...)
	volumes, err := volumeMounts(c.c, c.p.volumes, env, c.p.r.own)
	return append(mounts, volumes...), err
}

// checkpoints is the directory that the pods of one owner share and that outlives them. An owner that is created again
// under its old name begins with an empty one.
func (p *pod) checkpoints() (string, error) {
	object := p.current()
	owner := object.Name
	if job := metav1.GetControllerOf(object); job != nil {
		owner = job.Name + "-" + string(job.UID)
	}
	dir := filepath.Join(p.r.opts.DataDir, "checkpoints", object.Namespace, owner)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, p.r.own(dir)
}

// onThisMachine puts the machine's own paths and addresses in the environment, where there are no namespaces to make the container's true.
func (p *pod) onThisMachine(env *environment, mounts []sandbox.Mount) {
	object := p.current()
	resolve := func(name string) []string {
		found, _ := p.r.resolve(object.Namespace, name)
		return found
	}
	group := object.Namespace + "/" + object.Labels[jobLabel]
	translateEnv(env, mounts, resolve, func(port string) string { return p.r.portFor(group, port) })
}

// portFor is a free port of this machine that stands for a job's port, the same for all pods of the job.
func (r *Runtime) portFor(group, port string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := group + ":" + port
	if r.ports[key] == "" {
		r.ports[key] = freePort(port)
	}
	return r.ports[key]
}

func freePort(otherwise string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return otherwise
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
