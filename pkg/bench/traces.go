package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lockstep.dev/lockstep/pkg/sim"
)

// withoutTrace is the end of a scenario whose trace cannot be read.
func (s Settings) withoutTrace(report *Report, err error) error {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case s.LeaveOut:
		report.note("%s is left out: %v; --traces names the directory that has it", report.Scenario, err)
		return nil
	}
	return fmt.Errorf("%w: give --traces the directory that has it", err)
}

// withTables opens tables of a directory of traces for read.
func withTables(dir string, read func(tables []sim.Table) error, names ...string) error {
	tables := make([]sim.Table, len(names))
	for i, name := range names {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer file.Close()
		tables[i] = sim.Table{Name: file.Name(), Text: file}
	}
	return read(tables)
}
