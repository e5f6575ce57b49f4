package arch

import (
	"slices"
	"strings"
)

// module is the path that the packages of this project begin with.
const module = "lockstep.dev/lockstep/"

// pure are the packages that decide. They run the same in the scheduler, in the
// simulator and under a fuzzer, so they see nothing but their arguments.
var pure = []string{
	"pkg/cluster", "pkg/topology", "pkg/gang", "pkg/quota", "pkg/queue", "pkg/placement", "pkg/autoscale", "pkg/core", "pkg/sim",
	"pkg/invariants", "pkg/preemption", "pkg/backfill",
}

// arrows says for each package (or tree of packages) which others of the project
// it may import; its own tree is always allowed. One that is missing here fails.
var arrows = map[string][]string{
	"pkg/cluster":    {},
	"pkg/topology":   {"pkg/cluster"},
	"pkg/gang":       {"pkg/cluster"},
	"pkg/quota":      {"pkg/cluster", "pkg/topology", "pkg/gang"},
	"pkg/queue":      {"pkg/cluster", "pkg/topology", "pkg/gang"},
	"pkg/placement":  {"pkg/cluster", "pkg/topology", "pkg/gang"},
	"pkg/autoscale":  {"pkg/cluster", "pkg/topology", "pkg/placement"},
	"pkg/core":       {"pkg/cluster", "pkg/topology", "pkg/gang", "pkg/quota", "pkg/queue", "pkg/placement", "pkg/preemption", "pkg/backfill"},
	"pkg/sim":        pure,
	"pkg/preemption": {"pkg/cluster", "pkg/topology", "pkg/gang", "pkg/placement"},
	"pkg/backfill":   {"pkg/cluster", "pkg/topology", "pkg/placement"},
	// What judges a history knows nothing of what has made it.
	"pkg/invariants": {"pkg/cluster", "pkg/topology", "pkg/gang"},

	"pkg/apis":       {},
	"pkg/kube":       append([]string{"pkg/apis"}, pure...),
	"pkg/plugin":     append([]string{"pkg/apis", "pkg/kube"}, pure...),
	"pkg/controller": {"pkg/apis", "pkg/kube", "pkg/gang", "pkg/autoscale", "pkg/placement", "pkg/topology", "pkg/cluster"},
	"pkg/dashboard":  append([]string{"pkg/apis", "pkg/kube"}, pure...),
	"pkg/devcluster": {"manifests"},
	"pkg/recorder":   append([]string{"pkg/apis", "pkg/kube"}, pure...),
	"pkg/bench":      append([]string{"pkg/apis", "pkg/kube", "pkg/devcluster", "manifests"}, pure...),
	"pkg/cli": append([]string{"pkg/apis", "pkg/kube", "pkg/bench", "pkg/devcluster", "pkg/dashboard", "pkg/controller", "pkg/recorder",
		"manifests", "examples"}, pure...),

	"manifests": {},
	"examples":  {},
	"cmd":       {"pkg", "manifests", "examples"},
	"hack":      {"pkg", "manifests"},
	"test":      {"pkg", "manifests", "examples"},
}

// ban forbids imports by prefix to all packages but some.
type ban struct {
	imports string   // prefix of the import path
	only    []string // the packages, by prefix, that may import it all the same
	tests   bool     // whether test files are bound by it, too
	reason  string
}

var bans = []ban{
	{imports: "k8s.io/kubernetes", only: []string{"pkg/plugin", "cmd/lockstep-scheduler", "cmd/lockstep-devcluster"}, tests: true,
		reason: "an upgrade of Kubernetes should touch one place, and what links it takes minutes to build"},
	{imports: "go.etcd.io/etcd/server", only: []string{"cmd/lockstep-devcluster"}, tests: true,
		reason: "only the multi-call binary links the control plane"},
	{imports: "sigs.k8s.io/kwok", only: []string{"pkg/devcluster"},
		reason: "fake nodes belong to the devcluster"},
	{imports: "github.com/virtual-kubelet", only: []string{"pkg/devcluster/processnode", "hack/warm"},
		reason: "the process node is a tool of development; nothing that runs in a cluster may carry it"},
	{imports: "sigs.k8s.io/controller-runtime", only: []string{"pkg/controller", "cmd/lockstep-controller", "hack", "test"},
		reason: "the scheduler has informers of its own, a second cache would see another state of the cluster"},
	{imports: "github.com/stretchr/testify", tests: true,
		reason: "go-cmp and plain comparisons say more about what differs"},
	{imports: "github.com/onsi/", tests: true,
		reason: "tests are table tests, scripts and properties; a second test language hides them"},
	{imports: "github.com/golang/mock", tests: true,
		reason: "tests use the real parts"},
}

// pureBans are parts of the standard library that a pure package may not import.
var pureBans = map[string]string{
	"log":          "a decision returns its reason, the edge logs it",
	"log/slog":     "a decision returns its reason, the edge logs it",
	"net":          "effects belong to the edge",
	"net/http":     "effects belong to the edge",
	"os":           "effects belong to the edge: readers take an io.Reader",
	"os/exec":      "effects belong to the edge",
	"syscall":      "effects belong to the edge",
	"math/rand":    "the same input gives the same plan",
	"math/rand/v2": "the same input gives the same plan",
	"crypto/rand":  "the same input gives the same plan",
	"unsafe":       "there is no need",
}

// sim alone may draw random numbers, from a seed that its caller gives.
var seeded = map[string][]string{"pkg/sim": {"math/rand", "math/rand/v2"}}

// clock are the functions of package time that read the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// badNames say nothing of what a package owns, so everything ends up in them.
var badNames = []string{"util", "utils", "common", "types", "helper", "helpers", "base", "info", "misc", "shared"}

// under says whether path is prefix or lies below it.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func underAny(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return under(path, p) })
}
