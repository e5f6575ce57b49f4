package bench

import (
	"os"
	"path/filepath"

	"lockstep.dev/lockstep/pkg/sim"
)

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
