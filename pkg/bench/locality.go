package bench

import (
	"context"
	"fmt"
	"math/rand"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/placement"
)

// localityCase is gangs on a cluster of which a share is taken.
type localityCase struct {
	name  string
	taken float64
	Shape
	required, preferred string
}

// In the tight cases there is room for all gangs, but few racks have room for one.
func localityCases() []localityCase {
	return []localityCase{
		{"40 % taken, 8x64, rack required", 0.4, Shape{8, 64}, "rack", ""},
		{"50 % taken, 20x64, rack preferred", 0.5, Shape{20, 64}, "", "rack"},
		{"50 % taken, 20x64, rack required", 0.5, Shape{20, 64}, "rack", ""},
	}
}

// measureLocality is the scenario "locality": first the planner alone, for ten
// seeds, then whole schedulers, for one seed a repeat.
func measureLocality(ctx context.Context, s Settings, report *Report) error {
	for _, c := range localityCases() {
		for seed := range int64(10) {
			report.locality(c, s.Nodes, seed)
		}
	}
	stage := newStage(s)
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	for _, c := range localityCases() {
		err := stage.take(ctx, s, report, c.name, func(ctx context.Context, t *turn) error { return t.locality(ctx, c) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) locality(ctx context.Context, c localityCase) error {
	l := load{Shape: c.Shape, gpus: 1, required: c.required, preferred: c.preferred}
	free := freeGPUs(t.nodes, c.taken, int64(t.repeat-1))
	if err := t.fill(ctx, free); err != nil {
		return err
	}
	if err := t.createGroups(ctx, l); err != nil {
		return err
	}
	if err := t.createPods(ctx, l, l.gangByGang()); err != nil {
		return err
	}
	if _, err := t.awaitQuiet(ctx, l.Gangs*l.Size, quiet); err != nil {
		return err
	}
	outcomes := t.outcomes(l)
	slices.SortStableFunc(outcomes, func(a, b outcome) int { return a.first.Compare(b.first) })
	var placed []spread
	for _, o := range outcomes {
		if o.bound == l.Size {
			placed = append(placed, o.nodes)
		}
	}
	recordLocality(t.record, free, c, placed)
	return nil
}

// freeGPUs is what is free on each node when a share of all GPUs is taken, chosen
// at random.
func freeGPUs(nodes int, taken float64, seed int64) []int {
	free := slices.Repeat([]int{gpusPerNode}, nodes)
	order := rand.New(rand.NewSource(seed)).Perm(nodes * gpusPerNode)
	for _, gpu := range order[:int(taken*float64(len(order))+0.5)] {
		free[gpu/gpusPerNode]--
	}
	return free
}

// fill puts a pod on every node that takes what is not to be free.
func (t *turn) fill(ctx context.Context, free []int) error {
	return parallel(ctx, len(free), func(i int) error {
		if free[i] == gpusPerNode {
			return nil
		}
		node := fakenodes.NodeName(i)
		_, err := t.client.CoreV1().Pods(t.namespace).Create(ctx, &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "taken-" + node},
			Spec:       v1.PodSpec{NodeName: node, Containers: containers(gpusPerNode - free[i])},
		}, metav1.CreateOptions{})
		return err
	})
}

// spread is the number of a gang's pods by the place of the node in the stage.
type spread map[int]int

func (s spread) racks() int {
	racks := map[int]bool{}
	for node := range s {
		racks[node/rackSize] = true
	}
	return len(racks)
}

// recordLocality compares gangs, in the order in which they were placed, with the
// least that there could be.
func recordLocality(record func(string, float64), free []int, c localityCase, placed []spread) {
	free = slices.Clone(free)
	most, least := rackBounds(free, c)
	racks, nodes, fewest := 0, 0, 0
	for _, s := range placed {
		racks += s.racks()
		if n := fewestNodes(free, c.Size); n > 0 {
			nodes, fewest = nodes+len(s), fewest+n
		}
		for node, pods := range s {
			free[node] -= pods
		}
	}
	record("gangs_whole", float64(len(placed)))
	record("gangs_whole_at_most", float64(most))
	record("racks_in_sum", float64(racks))
	if len(placed) == c.Gangs { // otherwise the sums are not of the same gangs
		record("racks_over_least", float64(racks)/float64(least))
	}
	if fewest > 0 {
		record("nodes_over_fewest", float64(nodes)/float64(fewest))
	}
}

// rackBounds is the most gangs that can be whole, and the fewest racks that all
// gangs can be on in sum: no more of them fit into one rack each than racks have
// room for, and every other needs two. Nothing says that so few suffice.
func rackBounds(free []int, c localityCase) (most, least int) {
	inOne, total := 0, 0
	for rack := range slices.Chunk(free, rackSize) {
		room := 0
		for _, n := range rack {
			room += n
		}
		inOne, total = inOne+room/c.Size, total+room
	}
	inOne = min(c.Gangs, inOne)
	most = min(c.Gangs, total/c.Size)
	if c.required != "" {
		most = inOne
	}
	return most, inOne + 2*(c.Gangs-inOne)
}

// fewestNodes is the fewest nodes that a gang of single-GPU pods can be on within
// one rack; 0 if no rack has room for it.
func fewestNodes(free []int, size int) int {
	fewest := 0
	for rack := range slices.Chunk(free, rackSize) {
		rack = slices.Clone(rack)
		slices.SortFunc(rack, func(a, b int) int { return b - a })
		left := size
		for i, n := range rack {
			left -= n
			if left <= 0 {
				if fewest == 0 || i+1 < fewest {
					fewest = i + 1
				}
				break
			}
		}
	}
	return fewest
}

// locality plans the gangs of a case one after the other in this process.
func (r *Report) locality(c localityCase, nodes int, seed int64) {
	free := freeGPUs(nodes, c.taken, seed)
	p := newPlanning(free)
	request := placement.Request{Classes: []placement.Class{p.class(c.Size)}}
	if c.required != "" {
		request.Required, _ = p.tree.LevelOf(c.required)
	}
	if c.preferred != "" {
		request.Preferred, _ = p.tree.LevelOf(c.preferred)
	}
	var placed []spread
	for range c.Gangs {
		plan, _ := p.index.Solve(request)
		if plan == nil {
			break
		}
		p.book(plan, -1)
		s := spread{}
		for _, share := range plan.Shares {
			s[share.Node] += share.Counts[0]
		}
		placed = append(placed, s)
	}
	name := fmt.Sprintf("planner alone: %s", c.name)
	recordLocality(func(metric string, value float64) {
		r.Runs = append(r.Runs, Run{name, Lockstep, metric, int(seed) + 1, value})
	}, free, c, placed)
}
