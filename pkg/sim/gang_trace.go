package sim

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// vocabulary names the amounts of resources that replays use; gpus is the place of GPUs.
var (
	vocabulary = cluster.NewVocabulary()
	gpus       = vocabulary.Index("nvidia.com/gpu")
)

// levelColumns are the columns of a cluster's table that name levels, widest first.
var levelColumns = []string{"zone", "block", "rack"}

// podsPerNode is what a node takes where the table does not say.
const podsPerNode = 110

// ReadCluster reads the columns node (or sn), gpu, cpu_milli, memory_mib and, as
// far as they are there, zone, block and rack. Where places has a text the levels
// come from there: a table with the columns node and some of zone, block, rack.
// The nodes come sorted by name.
func ReadCluster(table, places Table) ([]cluster.Node, []topology.Level, error) {
	var nodes []cluster.Node
	seen := map[string]bool{}
	at := placesOf{}
	err := table.read(func(row row) error {
		at.levelsIn(row)
		n := cluster.Node{Name: row.optional("sn"), Labels: at.labels(row)}
		if n.Name == "" {
			n.Name = row.text("node")
		}
		n.Allocatable = n.Allocatable.Set(cluster.CPU, row.number("cpu_milli")).
			Set(cluster.Memory, row.number("memory_mib")<<20).Set(cluster.Pods, podsPerNode).Set(gpus, row.number("gpu"))
		n.Free = n.Allocatable.Clone()
		if n.Name == "" || seen[n.Name] {
			row.fail(fmt.Errorf("column \"node\": %q is empty or was there before", n.Name))
		}
		seen[n.Name] = true
		nodes = append(nodes, n)
		return row.err()
	})
	if err != nil {
		return nil, nil, err
	}
	if places.Text != nil {
		if at, err = readPlaces(places, nodes); err != nil {
			return nil, nil, err
		}
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	return nodes, at.levels, nil
}

// placesOf is the levels that a table has columns for.
type placesOf struct{ levels []topology.Level }

func (p *placesOf) levelsIn(row row) {
	if p.levels != nil {
		return
	}
	p.levels = []topology.Level{}
	for _, name := range levelColumns {
		if _, ok := row.column[name]; ok {
			p.levels = append(p.levels, topology.Level{Name: name, Key: name})
		}
	}
}

func (p *placesOf) labels(row row) map[string]string {
	labels := map[string]string{}
	for _, level := range p.levels {
		labels[level.Key] = strings.Clone(row.text(level.Name))
	}
	return labels
}

// readPlaces labels the nodes with their places.
func readPlaces(table Table, nodes []cluster.Node) (placesOf, error) {
	byName := map[string]int{}
	for i := range nodes {
		byName[nodes[i].Name] = i
	}
	var at placesOf
	err := table.read(func(row row) error {
		at.levelsIn(row)
		name := row.text("node")
		i, known := byName[name]
		if !known {
			row.fail(fmt.Errorf("column \"node\": there is no node %q", name))
			return row.err()
		}
		nodes[i].Labels = at.labels(row)
		return row.err()
	})
	return at, err
}

// Job is a gang of a trace: workers, and a Master beside them or not.
type Job struct {
	Name            string
	SubmitSeconds   int64
	DurationSeconds int64 // of a run that succeeds
	Workers         int   // asked for
	MinWorkers      int   // without which it does not run
	MaxWorkers      int   // that it can make use of
	GPUsPerWorker   int64
	CPUPerWorker    int64 // millicores
	MemoryPerWorker int64 // MiB
	MasterCPU       int64 // millicores; 0: no Master apart from the workers
	Priority        int
	Required        string // topology level; empty: none
	Preferred       string
	Queue           string
	FailsAt         float64 // the share of the run after which it fails; 0: it does not
}

// GPUs is what the job holds while it runs at the asked size.
func (j *Job) GPUs() int64 { return int64(j.Workers) * j.GPUsPerWorker }

// Elastic reports whether the job can run at more than one size.
func (j *Job) Elastic() bool { return j.MinWorkers < j.MaxWorkers }

// RunSeconds is how long the job runs once started, at the asked size.
func (j *Job) RunSeconds() int64 {
	if j.FailsAt > 0 {
		return max(1, int64(j.FailsAt*float64(j.DurationSeconds)))
	}
	return j.DurationSeconds
}

// ReadJobs reads the columns of a gang trace, in the order of submission: job,
// submit_s, duration_s, workers, gpu_per_worker, cpu_milli_per_worker,
// memory_mib_per_worker, master_cpu_milli and, if there, min_workers, max_workers
// (without them the size is fixed), priority, required, preferred, queue, fails_at.
func ReadJobs(table Table) ([]Job, error) {
	var jobs []Job
	seen := map[string]bool{}
	err := table.read(func(row row) error {
		j := Job{
			Name: row.text("job"), SubmitSeconds: row.number("submit_s"), DurationSeconds: row.number("duration_s"),
			Workers: int(row.number("workers")), GPUsPerWorker: row.number("gpu_per_worker"),
			CPUPerWorker: row.number("cpu_milli_per_worker"), MemoryPerWorker: row.number("memory_mib_per_worker"),
			MasterCPU: row.number("master_cpu_milli"),
			Required:  row.optional("required"), Preferred: row.optional("preferred"), Queue: row.optional("queue"),
		}
		j.MinWorkers, j.MaxWorkers = int(row.whole("min_workers", int64(j.Workers))), int(row.whole("max_workers", int64(j.Workers)))
		j.readRest(row)
		switch {
		case j.Name == "" || seen[j.Name]:
			row.fail(fmt.Errorf("column \"job\": %q is empty or was there before", j.Name))
		case j.Workers < 1 || j.Workers > 1<<20 || j.DurationSeconds < 1:
			row.fail(fmt.Errorf("job %s: workers and duration_s have to be at least 1, workers at most 2^20", j.Name))
		case j.MinWorkers < 1 || j.MinWorkers > j.Workers || j.MaxWorkers < j.Workers || j.MaxWorkers > 1<<20:
			row.fail(fmt.Errorf("job %s: min_workers %d, workers %d and max_workers %d have to be in this order, from 1 to 2^20",
				j.Name, j.MinWorkers, j.Workers, j.MaxWorkers))
		}
		seen[j.Name] = true
		jobs = append(jobs, j)
		return row.err()
	})
	slices.SortStableFunc(jobs, func(a, b Job) int { return int(max(-1, min(1, a.SubmitSeconds-b.SubmitSeconds))) })
	return jobs, err
}

// readRest reads what need not be there.
func (j *Job) readRest(row row) {
	if text := row.optional("priority"); text != "" {
		priority, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			row.fail(fmt.Errorf("column \"priority\": %q is not a whole number of 32 bits", text))
		}
		j.Priority = int(priority)
	}
	if text := row.optional("fails_at"); text != "" {
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			row.fail(fmt.Errorf("column \"fails_at\": %q is not a share from 0 to 1", text))
		}
		j.FailsAt = share
	}
}

// request is the job as the planner sees it.
func (j *Job) request(tree *topology.Tree) (placement.Request, error) {
	var req placement.Request
	var err error
	if req.Required, err = levelOf(tree, j.Required); err != nil {
		return req, fmt.Errorf("job %s: required: %w", j.Name, err)
	}
	if req.Preferred, err = levelOf(tree, j.Preferred); err != nil {
		return req, fmt.Errorf("job %s: preferred: %w", j.Name, err)
	}
	if j.MasterCPU > 0 {
		master := cluster.Resources{}.Set(cluster.CPU, j.MasterCPU).Set(cluster.Pods, 1)
		req.Classes = append(req.Classes, placement.Class{Requests: master, Count: 1})
	}
	worker := cluster.Resources{}.Set(cluster.CPU, j.CPUPerWorker).Set(cluster.Memory, j.MemoryPerWorker<<20).
		Set(cluster.Pods, 1).Set(gpus, j.GPUsPerWorker)
	req.Classes = append(req.Classes, placement.Class{Requests: worker, Count: j.Workers})
	return req, nil
}

func levelOf(tree *topology.Tree, name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	level, ok := tree.LevelOf(name)
	if !ok {
		return 0, fmt.Errorf("there is no level %q; there are %s", name, strings.TrimSpace(tree.LevelNames()))
	}
	return level, nil
}
