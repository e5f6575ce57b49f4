package sim

import (
	"fmt"
	"strings"

	"lockstep.dev/lockstep/pkg/placement"
)

// OpenbNode is a node of an openb trace.
type OpenbNode struct {
	Name      string
	CPU       int64 // millicores
	MemoryMiB int64
	GPUs      int
	Model     string
}

// OpenbPod is a pod of an openb trace.
type OpenbPod struct {
	Name      string
	MemoryMiB int64
	Shape     placement.GPUShape
}

// Milli is the total of GPU asked for, in thousandths.
func (p OpenbPod) Milli() int64 { return int64(p.Shape.GPUs) * p.Shape.Milli }

// OpenbTrace is a cluster and a list of pods. It may serve several runs at once.
type OpenbTrace struct {
	Nodes  []OpenbNode
	Pods   []OpenbPod
	models map[string]uint64 // a bit for each GPU model
}

// ReadOpenb reads a table of nodes with the columns sn, cpu_milli, memory_mib, gpu,
// model, and one of pods with name, cpu_milli, memory_mib, num_gpu, gpu_milli,
// gpu_spec (models joined by "|"). Other columns are passed over.
func ReadOpenb(nodes, pods Table) (*OpenbTrace, error) {
	t := &OpenbTrace{models: map[string]uint64{}}
	if err := nodes.read(t.readNode); err != nil {
		return nil, err
	}
	if err := pods.read(t.readPod); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *OpenbTrace) readNode(row row) error {
	n := OpenbNode{
		Name: row.text("sn"), CPU: row.number("cpu_milli"), MemoryMiB: row.number("memory_mib"),
		GPUs: int(row.number("gpu")), Model: row.text("model"),
	}
	if n.GPUs > 64 {
		row.fail(fmt.Errorf("node %s: %d GPUs, at most 64 can be simulated", n.Name, n.GPUs))
	}
	t.Nodes = append(t.Nodes, n)
	t.bit(n.Model, row)
	return row.err()
}

func (t *OpenbTrace) readPod(row row) error {
	p := OpenbPod{Name: row.text("name"), MemoryMiB: row.number("memory_mib")}
	p.Shape.CPU = row.number("cpu_milli")
	p.Shape.GPUs = int(row.number("num_gpu"))
	if p.Shape.GPUs > 0 {
		p.Shape.Milli = row.number("gpu_milli")
		if p.Shape.Milli < 1 || p.Shape.Milli > 1000 || p.Shape.Milli < 1000 && p.Shape.GPUs > 1 {
			row.fail(fmt.Errorf("pod %s: gpu_milli is %d; it is from 1 to 1000, below 1000 only with one GPU",
				p.Name, p.Shape.Milli))
		}
	}
	for model := range strings.SplitSeq(row.text("gpu_spec"), "|") {
		p.Shape.Models |= t.bit(model, row)
	}
	t.Pods = append(t.Pods, p)
	return row.err()
}

// bit returns the bit of a model, a new one on first sight; 0 for "".
func (t *OpenbTrace) bit(model string, row row) uint64 {
	if _, known := t.models[model]; !known && model != "" {
		if len(t.models) == 64 {
			row.fail(fmt.Errorf("more than 64 GPU models, with %q", model))
			return 0
		}
		t.models[model] = 1 << len(t.models)
	}
	return t.models[model]
}
