package processnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	"github.com/virtual-kubelet/virtual-kubelet/node"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// cluster is all that the runtime asks of the world around it.
type cluster interface {
	sources
	Services() []*v1.Service
	Event(pod *v1.Pod, kind, reason, message string)
}

var (
	_ node.PodLifecycleHandler = (*Runtime)(nil)
	_ node.PodNotifier         = (*Runtime)(nil)
)

// Runtime runs pods as processes. It implements the provider interfaces of virtual-kubelet, with one
// promise more: pods are told apart by UID, so that a pod may be created while an older one of the same name is still ending.
type Runtime struct {
	opts      Options
	cluster   cluster
	sandbox   *sandbox.Node
	images    func() []Image
	addresses *addressPool
	log       *slog.Logger

	// publishing orders notifications; it is taken before mu.
	publishing sync.Mutex
	notify     func(*v1.Pod)

	mu      sync.Mutex
	pods    map[types.UID]*pod
	table   nameTable
	renamed chan struct{} // closed and replaced when table changes
	ports   map[string]string
	closed  bool
}

// newRuntime starts the sandbox. Close ends it with every process in it.
func newRuntime(ctx context.Context, opts Options, c cluster) (*Runtime, error) {
	for _, dir := range []string{"pods", "checkpoints", "images"} {
		if err := os.MkdirAll(filepath.Join(opts.DataDir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	if err := clearDir(filepath.Join(opts.DataDir, "pods")); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	pool := newAddressPool(opts.PodCIDR)
	box, err := sandbox.Start(sandbox.Options{
		Dir: filepath.Join(opts.DataDir, "pods"), Gateway: pool.bridgeAddress(), Mode: opts.Isolation, Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := readable(opts.Workspace, box.Mode()); err != nil {
		box.Close()
		return nil, err
	}
	if !box.Mode().Isolated() {
		pool = newAddressPool(loopbackPrefix(opts.DataDir + strconv.Itoa(os.Getpid())))
	}
	r := &Runtime{
		opts: opts, cluster: c, sandbox: box, addresses: pool, log: opts.Log,
		notify: func(*v1.Pod) {}, pods: map[types.UID]*pod{}, renamed: make(chan struct{}),
		ports: map[string]string{},
	}
	r.images = sync.OnceValue(func() []Image { return r.findImages(ctx) })
	r.sayHow()
	return r, nil
}

// readable checks that commands can read the workspace. As root they run as a user who owns nothing.
func readable(workspace string, mode sandbox.Mode) error {
	if workspace == "" || mode != sandbox.ModeRoot {
		return nil
	}
	info, err := os.Stat(workspace)
	if err != nil {
		return fmt.Errorf("workspace: %w", err)
	}
	if info.Mode().Perm()&0o005 != 0o005 {
		return fmt.Errorf("workspace %s: pods run as an unprivileged user, who cannot read it; chmod -R o+rX %[1]s", workspace)
	}
	return nil
}

func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// sayHow tells once how far pods are kept apart.
func (r *Runtime) sayHow() {
	const warning = "the process node runs pods as processes of this machine; it is for development only"
	how := map[sandbox.Mode]string{
		sandbox.ModeRoot:     "each pod has its own network, files and processes, and runs without rights",
		sandbox.ModeUser:     "each pod has its own network, files and processes, in a user namespace",
		sandbox.ModeLoopback: "no namespaces here: pods share this machine's files and network; each has a loopback address, and names in their environment are replaced by addresses",
	}
	r.log.Warn(warning, "isolation", string(r.sandbox.Mode()), "means", how[r.sandbox.Mode()])
}

func (r *Runtime) findImages(ctx context.Context) []Image {
	table := append([]Image{}, r.opts.Images...)
	p := findPython(ctx)
	if p == nil {
		r.log.Warn("no python3 on this machine: pods that need it cannot start")
		return table
	}
	if !p.Torch {
		r.log.Warn("no python3 with torch on this machine: pytorch images get one without", "python", p.Executable)
	}
	found, err := pythonImages(p, filepath.Join(r.opts.DataDir, "images", "python"))
	if err != nil {
		r.log.Error("python images", "error", err)
	}
	return append(table, found...)
}

// Close ends every process. No status is published for that: the node is going, the pods are not.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	pods := make([]*pod, 0, len(r.pods))
	for _, p := range r.pods {
		pods = append(pods, p)
	}
	r.mu.Unlock()
	for _, p := range pods {
		p.stop(0)
	}
	err := r.sandbox.Close()
	for _, p := range pods {
		<-p.done
	}
	return err
}

// NotifyPods sets what is called, one call at a time, with each new status. Call it before the first CreatePod.
func (r *Runtime) NotifyPods(_ context.Context, notify func(*v1.Pod)) { r.notify = notify }

// CreatePod starts a pod and returns at once; what becomes of it is told by status. A pod that is known already is left alone.
func (r *Runtime) CreatePod(_ context.Context, object *v1.Pod) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("the process node is shutting down")
	}
	if r.pods[object.UID] != nil {
		return nil
	}
	p := newPod(r, object.DeepCopy())
	var holding []*v1.Pod
	for _, other := range r.pods {
		if !other.facts.finished && other.facts.rejected == nil {
			holding = append(holding, other.object)
		}
	}
	p.facts.rejected = admit(object, holding, r.opts.Allocatable)
	r.pods[object.UID] = p
	go p.run()
	return nil
}

// UpdatePod takes over what may change while a pod runs: labels, annotations, the deadline.
func (r *Runtime) UpdatePod(_ context.Context, object *v1.Pod) error {
	p, err := r.byUID(object)
	if err != nil {
		return err
	}
	r.mu.Lock()
	fresh := object.DeepCopy()
	fresh.Status.Conditions = mergeConditions(object.Status.Conditions, p.object.Status.Conditions)
	p.object = fresh
	r.mu.Unlock()
	p.armDeadline()
	// Not only for the names: a status that was compared with an older object, and so not written, is compared again.
	r.publish(p)
	return nil
}

// DeletePod begins to end a pod, with the grace period of the object, and returns at once. A second call may shorten the grace.
func (r *Runtime) DeletePod(_ context.Context, object *v1.Pod) error {
	p, err := r.byUID(object)
	if err != nil {
		return err
	}
	grace := p.gracePeriod()
	if object.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
	}
	p.stop(grace)
	return nil
}

// Forget drops a pod that has been deleted, once its processes have ended, with its logs and volumes.
func (r *Runtime) Forget(uid types.UID) {
	r.mu.Lock()
	p := r.pods[uid]
	r.mu.Unlock()
	if p == nil {
		return
	}
	p.stop(0)
	go func() {
		<-p.done
		r.mu.Lock()
		delete(r.pods, uid)
		r.mu.Unlock()
		if err := os.RemoveAll(p.dir); err != nil {
			r.log.Warn("a deleted pod's files stay", "dir", p.dir, "error", err)
		}
	}()
}

// GetPod finds the youngest pod of a name, with its current status.
func (r *Runtime) GetPod(_ context.Context, namespace, name string) (*v1.Pod, error) {
	p, err := r.byName(namespace, name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.object.DeepCopy(), nil
}

// GetPodStatus is the status of GetPod.
func (r *Runtime) GetPodStatus(ctx context.Context, namespace, name string) (*v1.PodStatus, error) {
	object, err := r.GetPod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return &object.Status, nil
}

// GetPods lists every pod that the runtime has not forgotten.
func (r *Runtime) GetPods(context.Context) ([]*v1.Pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*v1.Pod
	for _, uid := range sortedKeys(r.pods) {
		list = append(list, r.pods[uid].object.DeepCopy())
	}
	return list, nil
}

// Knows says whether a pod was created here.
func (r *Runtime) Knows(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pods[uid] != nil
}

// Runs says whether any process of a pod is left, or may still be started.
func (r *Runtime) Runs(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[uid]
	return p != nil && !p.facts.finished
}

func (r *Runtime) byUID(object *v1.Pod) (*pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pods[object.UID]; p != nil {
		return p, nil
	}
	return nil, errdefs.NotFoundf("pod %s/%s (UID %s) is not on this node", object.Namespace, object.Name, object.UID)
}

func (r *Runtime) byName(namespace, name string) (*pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *pod
	for _, p := range r.pods {
		if p.object.Namespace == namespace && p.object.Name == name && (found == nil || p.born.After(found.born)) {
			found = p
		}
	}
	if found == nil {
		return nil, errdefs.NotFoundf("pod %s/%s is not on this node", namespace, name)
	}
	return found, nil
}

// publish recomputes a pod's status and tells it, and lets the names follow.
func (r *Runtime) publish(p *pod) {
	r.publishing.Lock()
	r.mu.Lock()
	p.object.Status = podStatus(p.object, p.facts, metav1.NewTime(time.Now().Truncate(time.Second)))
	object, closed := p.object.DeepCopy(), r.closed
	r.mu.Unlock()
	if !closed {
		r.notify(object)
	}
	r.publishing.Unlock()
	r.refreshNames()
}

// refreshNames rewrites the hosts files after a change of pods or Services.
func (r *Runtime) refreshNames() {
	r.mu.Lock()
	defer r.mu.Unlock()
	services := r.cluster.Services()
	var all []endpoint
	for _, p := range r.pods {
		if p.facts.podIP != "" && !p.facts.finished {
			all = append(all, p.endpoint())
		}
	}
	r.table = names(services, all)
	for _, p := range r.pods {
		if p.facts.podIP == "" || p.facts.finished {
			continue
		}
		text := hostsFile(p.endpoint(), p.object.Spec.HostAliases, r.table)
		if text == p.hosts {
			continue
		}
		if err := rewrite(p.hostsPath(), text); err != nil {
			r.log.Error("hosts file of a pod", "pod", p.name, "error", err)
			continue
		}
		p.hosts = text
	}
	close(r.renamed)
	r.renamed = make(chan struct{})
}

// rewrite changes a file in place, because it is mounted: the new text goes in with one write, then what is left of the old is cut.
func rewrite(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(text)))
}

// resolve finds a name now, and gives a channel that is closed when that may have changed.
func (r *Runtime) resolve(namespace, name string) ([]string, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.resolve(namespace, name), r.renamed
}

// own gives a file to the user that commands run as.
func (r *Runtime) own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid := r.sandbox.CommandUser()
	return os.Lchown(path, uid, gid)
}
