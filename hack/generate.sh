#!/usr/bin/env bash
# Writes what is generated: deep copies and custom resource definitions.
# With --check it writes nothing and fails when a committed file is out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/raw" "$work/crd" "$work/queue"

gen() { go tool -modfile=hack/tools/go.mod controller-gen "$@"; }

gen object paths=./pkg/apis/kubeflow/v1 output:object:dir="$work"
gen object paths=./pkg/apis/lockstep/v1alpha1 output:object:dir="$work/queue"
gen crd:generateEmbeddedObjectMeta=true \
  paths="./pkg/apis/kubeflow/v1;./pkg/apis/lockstep/v1alpha1;sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1" \
  output:crd:dir="$work/raw"
go run ./hack/crdgen "$work/raw" "$work/crd"

# put FILE DESTINATION: install a generated file, or compare it.
put() {
  if [[ "${check:-}" == yes ]]; then
    diff -u "$2" "$1" || { echo "$2 is out of date: run 'make generate'" >&2; exit 1; }
  else
    cp "$1" "$2"
  fi
}

[[ "${1:-}" == --check ]] && check=yes
put "$work/zz_generated.deepcopy.go" pkg/apis/kubeflow/v1/zz_generated.deepcopy.go
put "$work/queue/zz_generated.deepcopy.go" pkg/apis/lockstep/v1alpha1/zz_generated.deepcopy.go
put "$work/crd/lockstep.dev_queues.yaml" manifests/crd/lockstep.dev_queues.yaml
put "$work/crd/kubeflow.org_pytorchjobs.yaml" manifests/crd/kubeflow.org_pytorchjobs.yaml
put "$work/crd/scheduling.x-k8s.io_podgroups.yaml" manifests/crd/scheduling.x-k8s.io_podgroups.yaml
