package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
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

// Models gives each GPU model a bit.
type Models struct{ bit map[string]uint64 }

// Bit returns the bit of a model, a new one on first sight; 0 for "".
func (m *Models) Bit(model string) (uint64, error) {
	if model == "" {
		return 0, nil
	}
	if m.bit == nil {
		m.bit = map[string]uint64{}
	}
	if _, known := m.bit[model]; !known {
		if len(m.bit) == 64 {
			return 0, fmt.Errorf("more than 64 GPU models, with %q", model)
		}
		m.bit[model] = bits.RotateLeft64(1, len(m.bit))
	}
	return m.bit[model], nil
}

// ReadOpenbNodes reads the columns sn, cpu_milli, memory_mib, gpu, model.
func ReadOpenbNodes(r io.Reader) ([]OpenbNode, error) {
	var nodes []OpenbNode
	err := readTable(r, func(row row) error {
		n := OpenbNode{
			Name: row.text("sn"), CPU: row.number("cpu_milli"), MemoryMiB: row.number("memory_mib"),
			GPUs: int(row.number("gpu")), Model: row.text("model"),
		}
		nodes = append(nodes, n)
		return row.err()
	})
	return nodes, err
}

// ReadOpenbPods reads the columns name, cpu_milli, memory_mib, num_gpu, gpu_milli,
// gpu_spec; others are passed over.
func ReadOpenbPods(r io.Reader, models *Models) ([]OpenbPod, error) {
	var pods []OpenbPod
	err := readTable(r, func(row row) error {
		p := OpenbPod{Name: row.text("name"), MemoryMiB: row.number("memory_mib")}
		p.Shape.CPU = row.number("cpu_milli")
		p.Shape.GPUs = int(row.number("num_gpu"))
		if p.Shape.GPUs > 0 {
			p.Shape.Milli = row.number("gpu_milli")
		}
		for _, model := range strings.Split(row.text("gpu_spec"), "|") {
			bit, err := models.Bit(model)
			if err != nil {
				return err
			}
			p.Shape.Models |= bit
		}
		pods = append(pods, p)
		return row.err()
	})
	return pods, err
}

// row is one line of a table with named columns. It remembers the first error.
type row struct {
	column map[string]int
	values []string
	failed *error
}

func (r row) err() error { return *r.failed }

func (r row) text(column string) string {
	i, ok := r.column[column]
	if !ok {
		r.fail(fmt.Errorf("there is no column %q", column))
		return ""
	}
	return r.values[i]
}

// optional is the text of a column that need not be there.
func (r row) optional(column string) string {
	if _, ok := r.column[column]; !ok {
		return ""
	}
	return r.text(column)
}

// number is an amount, not negative; empty counts as 0.
func (r row) number(column string) int64 {
	text := r.text(column)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		r.fail(fmt.Errorf("column %q: %q is not a whole number from 0 to 2^40", column, text))
		return 0
	}
	return n
}

func (r row) fail(err error) {
	if *r.failed == nil {
		*r.failed = err
	}
}

// readTable calls each for every line after the header. Errors name the line.
func readTable(r io.Reader, each func(row) error) error {
	reader := csv.NewReader(r)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	column := map[string]int{}
	for i, name := range header {
		column[strings.TrimSpace(name)] = i
	}
	for {
		values, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := reader.FieldPos(0)
		if err == nil {
			err = each(row{column, values, new(error)})
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}
