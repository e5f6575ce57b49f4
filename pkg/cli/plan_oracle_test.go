package cli

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// smallCluster is a random cluster with one gang, small enough to try everything.
type smallCluster struct {
	nodes    []smallNode
	pods     []smallPod
	required string
}

type smallNode struct {
	zone, block, rack string // "" is a label that is missing
	gpu, cpu          int
}

type smallPod struct{ gpu, cpu int }

func newSmallCluster(r *rand.Rand) smallCluster {
	c := smallCluster{required: []string{"", "", "rack", "block", "host"}[r.IntN(5)]}
	for range 2 + r.IntN(4) {
		node := smallNode{zone: "z0", block: fmt.Sprint("b", r.IntN(2)), rack: fmt.Sprint("r", r.IntN(2)), gpu: r.IntN(5), cpu: 1 + r.IntN(4)}
		if r.IntN(8) == 0 {
			node.rack = ""
		}
		c.nodes = append(c.nodes, node)
	}
	kinds := []smallPod{{1 + r.IntN(3), 1}, {r.IntN(2), 1 + r.IntN(3)}}
	for range 1 + r.IntN(4) {
		c.pods = append(c.pods, kinds[r.IntN(1+r.IntN(2))])
	}
	return c
}

// manifests in an order that r draws.
func (c smallCluster) manifests(r *rand.Rand) string {
	var documents []string
	for i, n := range c.nodes {
		labels := []string{"topology.kubernetes.io/zone: " + n.zone, "topology.lockstep.dev/block: " + n.block}
		if n.rack != "" {
			labels = append(labels, "topology.lockstep.dev/rack: "+n.rack)
		}
		documents = append(documents, fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: n%d, labels: {%s}}\n"+
			"status: {allocatable: {nvidia.com/gpu: %d, cpu: %d, pods: 10}}\n", i, strings.Join(labels, ", "), n.gpu, n.cpu))
	}
	for i, p := range c.pods {
		documents = append(documents, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, labels: {scheduling.x-k8s.io/pod-group: g}}\n"+
			"spec: {schedulerName: lockstep, containers: [{name: c, resources: {requests: {nvidia.com/gpu: %d, cpu: %d}}}]}\n", i, p.gpu, p.cpu))
	}
	group := "apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata:\n  name: g\n"
	if c.required != "" {
		group += "  annotations: {lockstep.dev/topology-required: " + c.required + "}\n"
	}
	documents = append(documents, group+fmt.Sprintf("spec: {minMember: %d}\n", len(c.pods)))
	r.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	return strings.Join(documents, "---\n")
}

// path of a node from the zone down; what lacks a label stands alone.
func (c smallCluster) path(node int) []string {
	n := c.nodes[node]
	rack := n.rack
	if rack == "" {
		rack = fmt.Sprint("?", node)
	}
	return []string{n.zone, n.zone + "/" + n.block, n.zone + "/" + n.block + "/" + rack, fmt.Sprint("node ", node)}
}

var smallLevels = []string{"zone", "block", "rack", "host"}

// cost of a placement, the lower the better: the number of levels at which the gang lies
// in more than one domain, then the domains at each level, the widest first.
func (c smallCluster) cost(nodes []int) []int {
	cost := []int{0}
	for level := range smallLevels {
		seen := map[string]bool{}
		for _, node := range nodes {
			seen[c.path(node)[level]] = true
		}
		if len(seen) > 1 {
			cost[0]++
		}
		cost = append(cost, len(seen))
	}
	return cost
}

// allowed says whether a placement keeps to capacities and to the required level.
func (c smallCluster) allowed(nodes []int) bool {
	gpu, cpu := map[int]int{}, map[int]int{}
	for pod, node := range nodes {
		gpu[node] += c.pods[pod].gpu
		cpu[node] += c.pods[pod].cpu
		if gpu[node] > c.nodes[node].gpu || cpu[node] > c.nodes[node].cpu {
			return false
		}
	}
	level := slices.Index(smallLevels, c.required)
	for _, node := range nodes {
		if level >= 0 && c.path(node)[level] != c.path(nodes[0])[level] || c.required == "rack" && c.nodes[node].rack == "" {
			return false
		}
	}
	return true
}

// best tries every placement.
func (c smallCluster) best() (cost []int) {
	nodes := make([]int, len(c.pods))
	for {
		if c.allowed(nodes) {
			if found := c.cost(nodes); cost == nil || slices.Compare(found, cost) < 0 {
				cost = found
			}
		}
		i := 0
		for ; i < len(nodes); i++ {
			if nodes[i]++; nodes[i] < len(c.nodes) {
				break
			}
			nodes[i] = 0
		}
		if i == len(nodes) {
			return cost
		}
	}
}

func planned(t *testing.T, manifests string, flags ...string) (plan gangPlan, code int) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "all.yaml", manifests)
	code, out, errOut := invoke(append([]string{"plan", "-o", "json", "-f", filepath.Join(dir, "all.yaml")}, flags...)...)
	var result struct{ Gangs []gangPlan }
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Gangs) != 1 {
		t.Fatalf("%v: %s%s", err, out, errOut)
	}
	plan = result.Gangs[0]
	plan.Seconds = 0
	return plan, code
}

// number is that of a pod or node.
func number(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(name[1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever fits is found, as close together as it can be, in the fewest domains, and
// never where it may not go.
func TestPlanIsWhatTryingEverythingFinds(t *testing.T) {
	fits, lacks := 0, 0
	for seed := range uint64(250) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newSmallCluster(r)
		manifests := c.manifests(r)
		plan, code := planned(t, manifests)
		best := c.best()
		if plan.Fits != (best != nil) || code == exitYes != plan.Fits {
			t.Fatalf("seed %d: fits is %t, exit code %d, the best placement costs %v\n%s", seed, plan.Fits, code, best, manifests)
		}
		if !plan.Fits {
			lacks++
			if plan.Message == "" || len(plan.Assignments) > 0 {
				t.Fatalf("seed %d: does not fit, and is %+v", seed, plan)
			}
			continue
		}
		fits++
		nodes := make([]int, len(c.pods))
		for _, a := range plan.Assignments {
			nodes[number(t, a.Pod)] = number(t, a.Node)
		}
		if !c.allowed(nodes) || slices.Compare(c.cost(nodes), best) != 0 {
			t.Fatalf("seed %d: %v costs %v, the best %v\n%s", seed, plan.Assignments, c.cost(nodes), best, manifests)
		}
		for i, level := range smallLevels {
			if plan.Domains[level] != best[i+1] {
				t.Fatalf("seed %d: domains %v, want %v of %v\n%s", seed, plan.Domains, best[1:], smallLevels, manifests)
			}
		}
	}
	if fits < 60 || lacks < 60 {
		t.Errorf("%d clusters with room and %d without: the sample says little", fits, lacks)
	}
}

func TestOrderOfManifestsMakesNoDifference(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := newSmallCluster(r)
		first, _ := planned(t, c.manifests(r))
		again, _ := planned(t, c.manifests(r))
		a, _ := json.Marshal(first)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("seed %d: the same documents in another order:\n%s\n%s", seed, a, b)
		}
	}
}
