package sim

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
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

// OpenbTrace is a cluster and a list of pods. It may serve several runs at once.
type OpenbTrace struct {
	Nodes  []OpenbNode
	Pods   []OpenbPod
	models map[string]uint64 // a bit for each GPU model
}

// ReadOpenb reads a table of nodes with the columns sn, cpu_milli, memory_mib, gpu,
// model, and one of pods with name, cpu_milli, memory_mib, num_gpu, gpu_milli,
// gpu_spec (models joined by "|"). Other columns are passed over.
func ReadOpenb(nodes, pods io.Reader) (*OpenbTrace, error) {
	t := &OpenbTrace{models: map[string]uint64{}}
	if err := readTable(nodes, t.readNode); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	if err := readTable(pods, t.readPod); err != nil {
		return nil, fmt.Errorf("pods: %w", err)
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

// whole is an amount that need not be there.
func (r row) whole(column string, otherwise int64) int64 {
	if r.optional(column) == "" {
		return otherwise
	}
	return r.number(column)
}

func (r row) fail(err error) {
	if *r.failed == nil {
		*r.failed = err
	}
}

// Header is the names of a table's columns.
func Header(r io.Reader) ([]string, error) {
	_, header, err := openTable(r)
	return header, err
}

// byteOrderMark is what spreadsheets put before a table.
const byteOrderMark = "\ufeff"

// openTable reads the first line of a table, and gives the reader of the others.
func openTable(r io.Reader) (*csv.Reader, []string, error) {
	text := bufio.NewReader(r)
	if start, _ := text.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark))
	}
	reader := csv.NewReader(text)
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("line 1: it is missing; it is to name the columns")
	}
	if err != nil {
		return nil, nil, tableFault(err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	return reader, header, nil
}

// tableFault says what is no table, and in which line.
func tableFault(err error) error {
	if parse, is := errors.AsType[*csv.ParseError](err); is {
		return fmt.Errorf("line %d: %w", parse.Line, parse.Err)
	}
	return err
}

// readTable calls each for every line after the header. Errors name the line.
func readTable(r io.Reader, each func(row) error) error {
	reader, header, err := openTable(r)
	if err != nil {
		return err
	}
	reader.ReuseRecord = true
	column := map[string]int{}
	for i, name := range header {
		if _, twice := column[name]; twice && name != "" {
			return fmt.Errorf("line 1: column %q is there twice", name)
		}
		column[name] = i
	}
	for {
		values, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, csv.ErrFieldCount):
			return fmt.Errorf("%w: %d, where the header has %d", tableFault(err), len(values), len(header))
		case err != nil:
			return tableFault(err)
		}
		if err := each(row{column, values, new(error)}); err != nil {
			line, _ := reader.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}
