#!/usr/bin/env bash
# Tries Lockstep on a real kubelet-run cluster: kind, with fake GPU nodes by kwok. One command makes the cluster,
# builds and loads the image, installs Lockstep, runs the sample job and a small benchmark.
#
#   hack/kind-up.sh            needs docker, kind, kubectl and go; leaves the cluster running
#   hack/kind-up.sh --render   prints what it would apply, and touches nothing (needs kubectl and go)
#
# Environment: CLUSTER (lockstep), IMAGE (lockstep:dev), NODES (16), GANGS (10), KIND_IMAGE (kind's default).
set -euo pipefail
cd "$(dirname "$0")/.."

: "${CLUSTER:=lockstep}" "${IMAGE:=lockstep:dev}" "${NODES:=16}" "${GANGS:=10}" "${KIND_IMAGE:=}"
gang_size=8
kube() { kubectl --context "kind-$CLUSTER" "$@"; }
say() { printf '\n== %s\n' "$*"; }
die() { printf 'kind-up: %s\n' "$*" >&2; exit 1; }

# kwok comes from the module that go.mod pins, so that it is the version the devcluster uses.
kwok_dir() {
  go mod download sigs.k8s.io/kwok
  go list -m -f '{{.Dir}}' sigs.k8s.io/kwok
}

render_kwok() {
  local dir version
  dir=$(kwok_dir)
  version=$(go list -m -f '{{.Version}}' sigs.k8s.io/kwok)
  kubectl kustomize "$dir/kustomize/kwok" | sed "s#image: registry.k8s.io/kwok/kwok\$#&:$version#"
}

# Nodes stay alive as kwok has it; pods go through the stages of the devcluster. NeedAlive is a template
# function of the devcluster alone, where a node can be made to fail.
render_stages() {
  local dir file
  dir=$(kwok_dir)
  for file in "$dir"/kustomize/stage/node/fast/node-initialize.yaml \
    "$dir"/kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml \
    pkg/devcluster/fakenodes/stages/*.yaml; do
    echo "---"
    grep -v 'NeedAlive' "$file"
  done
}

# The shape of the devcluster's fake nodes: racks of 4 nodes, blocks of 4 racks. The taint keeps off them what
# really has to run; kind_config has the apiserver add the toleration to pods that ask for GPUs.
render_nodes() {
  local i name
  for ((i = 0; i < NODES; i++)); do
    name=$(printf 'node-%04d' "$i")
    cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: $name
  annotations:
    kwok.x-k8s.io/node: fake
  labels:
    type: kwok
    kubernetes.io/hostname: $name
    kubernetes.io/os: linux
    kubernetes.io/arch: amd64
    topology.kubernetes.io/zone: zone-0
    topology.lockstep.dev/block: block-$((i / 16))
    topology.lockstep.dev/rack: rack-$((i / 4))
spec:
  taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
status:
  allocatable: &room {cpu: "128", memory: 1Ti, pods: "110", nvidia.com/gpu: "8"}
  capacity: *room
YAML
  done
}

render_lockstep() { kubectl kustomize manifests | sed "s#image: lockstep:dev\$#image: $IMAGE#"; }

# The sample, told that its pods end after a while: nothing runs on a fake node.
render_sample() {
  local template='{"metadata":{"annotations":{"fake.lockstep.dev/run-for":"5s"}}}'
  kubectl patch --local -f examples/pytorch-job-example.yaml -o yaml --type merge -p "{\"spec\":{
    \"pytorchReplicaSpecs\":{\"Master\":{\"template\":$template},\"Worker\":{\"template\":$template}}}}"
}

render_bench() {
  local gang pod
  for ((gang = 0; gang < GANGS; gang++)); do
    cat <<YAML
---
apiVersion: scheduling.x-k8s.io/v1alpha1
kind: PodGroup
metadata: {name: bench-$gang, namespace: default, labels: {lockstep-bench: "yes"}}
spec: {minMember: $gang_size}
YAML
    for ((pod = 0; pod < gang_size; pod++)); do
      cat <<YAML
---
apiVersion: v1
kind: Pod
metadata:
  name: bench-$gang-$pod
  namespace: default
  labels: {lockstep-bench: "yes", scheduling.x-k8s.io/pod-group: bench-$gang}
spec:
  schedulerName: lockstep
  nodeSelector: {type: kwok}
  containers:
    - name: train
      image: train
      resources: {limits: {nvidia.com/gpu: 1}}
YAML
    done
  done
}

render() {
  local part
  for part in kwok stages nodes lockstep sample bench; do
    echo "---"
    "render_$part"
  done
}

kind_config() {
  cat <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        enable-admission-plugins: NodeRestriction,ExtendedResourceToleration
YAML
}

create_cluster() {
  if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    say "cluster $CLUSTER is there already"
  else
    say "create the kind cluster $CLUSTER"
    kind_config | kind create cluster --config - --name "$CLUSTER" ${KIND_IMAGE:+--image "$KIND_IMAGE"} --wait 120s
  fi
}

install_fake_nodes() {
  say "install kwok and $NODES fake nodes"
  render_kwok | kube apply --server-side -f -
  kube wait --for=condition=Established --timeout=60s crd/stages.kwok.x-k8s.io
  render_stages | kube apply --server-side -f -
  render_nodes | kube apply -f - # client-side: it keeps the status of a new node
  kube -n kube-system rollout status deployment/kwok-controller --timeout=180s
}

install_lockstep() {
  say "build $IMAGE, load it, install Lockstep"
  make image IMAGE="$IMAGE"
  kind load docker-image "$IMAGE" --name "$CLUSTER"
  render_lockstep | kube apply --server-side -f -
  match_version
  kube -n lockstep-system rollout status deployment/lockstep-scheduler --timeout=180s
  kube -n lockstep-system rollout status deployment/lockstep-controller --timeout=180s
}

# A scheduler that is newer than its cluster has to be told, or it waits for kinds that are not served there.
match_version() {
  local minor
  minor=$(kube version -o json | sed -n '/serverVersion/,$s/.*"minor": *"\([0-9]*\).*/\1/p' | head -n 1)
  ((minor >= 37)) || kube -n lockstep-system patch deployment lockstep-scheduler --type json -p \
    "[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/args/-\",\"value\":\"--emulated-version=1.$minor\"}]"
}

run_sample() {
  say "run the sample job"
  render_sample | kube apply -f -
  kube wait --for=condition=Succeeded --timeout=180s pytorchjob/pytorch-job-example
  kube get pods -o wide -l training.kubeflow.org/job-name=pytorch-job-example
}

run_bench() {
  local begin pods=$((GANGS * gang_size))
  say "bind $GANGS gangs of $gang_size"
  begin=$(date +%s)
  render_bench | kube apply -f - >/dev/null
  kube wait --for=condition=PodScheduled --timeout=300s pod -l lockstep-bench=yes >/dev/null
  echo "$pods pods bound in $(($(date +%s) - begin)) s, their creation by kubectl included"
  kube delete pods,podgroups.scheduling.x-k8s.io -l lockstep-bench=yes --wait=false >/dev/null
}

case "${1:-}" in
  --render)
    render
    exit
    ;;
  "") ;;
  *) die "unknown argument $1; the only one is --render" ;;
esac

for program in docker kind kubectl go; do
  command -v "$program" >/dev/null || die "$program is not installed"
done
create_cluster
install_fake_nodes
install_lockstep
run_sample
run_bench
say "done. Look around: kubectl --context kind-$CLUSTER get pytorchjobs. Remove it: kind delete cluster --name $CLUSTER"
