# Lockstep. "make help" lists the targets.

KUBE_VERSION := 1.37.2
kube_parts   := $(subst ., ,$(KUBE_VERSION))
version_pkg  := k8s.io/component-base/version
LDFLAGS      := -s -w \
	-X $(version_pkg).gitVersion=v$(KUBE_VERSION) \
	-X $(version_pkg).gitMajor=$(word 1,$(kube_parts)) \
	-X $(version_pkg).gitMinor=$(word 2,$(kube_parts))

GO      ?= go
BIN     := $(CURDIR)/bin
TOOL    := $(GO) tool -modfile=hack/tools/go.mod
IMAGE   ?= lockstep:dev
GO_BUILD_FLAGS ?=
SOAK_GANGS ?= 1000000
PROGRAMS = $(notdir $(patsubst %/main.go,%,$(wildcard cmd/*/main.go)))

export LOCKSTEP_BIN_DIR = $(BIN)

.DEFAULT_GOAL := help
.PHONY: help build demo test test-peers test-short test-race soak bench bench-quick peers lint generate manifests image kind clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build every program into bin/
	@mkdir -p $(BIN)
	$(GO) build $(GO_BUILD_FLAGS) -ldflags '$(LDFLAGS)' -o $(BIN)/ $(PROGRAMS:%=./cmd/%)
	@ln -sf lockstep $(BIN)/kubectl-lockstep

demo: build ## run the sample job from nothing to Succeeded, leave nothing running
	$(BIN)/lockstep demo

test: build test-peers ## run every test
	$(GO) test -p 2 -timeout 1h ./...

test-peers: ## run the tests against other projects' types, in modules of their own
	cd test/peers/trainingoperator && $(GO) test ./...

test-short: ## run the tests that need no control plane
	$(GO) test -p 2 -short ./...

test-race: ## run the tests of what is concurrent under the race detector
	$(GO) test -p 2 -race -short ./pkg/core/... ./pkg/kube/... ./pkg/plugin/... ./pkg/controller/...

soak: ## simulate 1,000,000 gangs under faults (SOAK_GANGS), twenty minutes or so on two processors
	$(GO) test ./pkg/core -run TestSoak -soak=$(SOAK_GANGS) -timeout 0 -v

bench: build ## run the benchmarks with their peers; JSON goes to bench/out/
	-@$(MAKE) --no-print-directory peers
	$(BIN)/lockstep bench all --out bench/out

bench-quick: build ## the same with fewer and smaller cases
	-@$(MAKE) --no-print-directory peers
	$(BIN)/lockstep bench all --quick --out bench/out

peers: ## build what the benchmarks measure Lockstep beside, each on its own Kubernetes
	cd test/peers/coscheduling && $(GO) build -ldflags '-s -w' -o $(BIN)/peer-coscheduling .
	cd test/peers/kubeflow && $(GO) build -ldflags '-s -w' -o $(BIN)/peer-kubeflow .

lint: ## formatter, vet, linters, known vulnerabilities, generated files up to date
	hack/lint.sh

generate: ## deep copies, CRDs, RBAC, docs of flags and API
	hack/generate.sh

manifests: generate ## the same as generate: manifests are generated with the rest

image: ## build the container image (IMAGE=name:tag)
	docker build -t $(IMAGE) .

kind: ## try everything on a kind cluster with fake GPU nodes
	hack/kind-up.sh

clean: ## remove what was built
	rm -rf $(BIN) bench/out
