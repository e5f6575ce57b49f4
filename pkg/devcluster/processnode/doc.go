// Package processnode is a Kubernetes node whose pods run as processes of this machine.
//
// It exists so that a real training job can be watched on a developer's machine, without a container engine and
// without a GPU. It is for development only: images are not run but mapped to what the machine has (see [Image]),
// limits are counted but not enforced, and everything listens on loopback only.
//
// # How it works
//
// [Run] registers the Node, renews its lease, and serves logs where the apiserver looks for them. The kubelet type
// takes pods from the apiserver to the [Runtime] and statuses back. The Runtime walks each pod through its life;
// package sandbox underneath starts the processes and guarantees that none outlives the caller.
//
// The node controller and the log handlers are virtual-kubelet's, and Runtime has its provider interfaces. Its pod
// controller is not used: it tells pods apart by name, so that a pod which is created again with the
// same name and spec while the old one is ending, as a restarted job's pods are, is taken for the old one and never started;
// it also replaces the conditions that other writers have set, and it waits for the whole grace period
// before it lets a deleted pod go. The kubelet type here is keyed by UID and does none of that.
//
// # What a container sees
//
// The machine's system directories read-only; /tmp and a home of its own; the workspace at /workspace, read-only; a
// directory at /checkpoints (in CHECKPOINT_DIR) that all pods of one owner share and that outlives them; an address of its own,
// and an /etc/hosts, kept current, with the Services of the cluster. There is no way out of the pods' network.
// Its environment is what the pod asks for and a few basics, nothing of the developer's. An image that the table does
// not know adds nothing to that: its commands are looked for on the machine's own PATH, and an event says so.
// Without namespaces (see [sandbox.Mode]) there is only the address; paths, names and rendezvous ports in
// the environment are replaced then by what is true on the machine.
//
// # What it does not do
//
// Liveness and startup probes, lifecycle hooks, security contexts, host networking, exec, attach, port
// forwarding, and volumes other than emptyDir, configMap, secret, downwardAPI and projected (without
// service account tokens, because a pod has no way to the apiserver). An event names the fields of a pod that have no
// effect; a volume that the node lacks keeps the pod waiting, with an event too.
// Services are names only: the pods' ports are reached as they are, whatever the Service maps.
// Names lead to pods of this node, not to those of fake nodes.
//
// # Invariants
//
//   - Σ requests of the pods that hold room ≤ allocatable; a pod that does not fit is Failed with reason OutOf<resource>
//   - a pod's status is a function of its spec and [facts]; nothing else writes it
//   - a deleted pod leaves the apiserver only after its last process has ended and its last status is written
//   - restart counts, exit codes and times are those of the processes
package processnode
