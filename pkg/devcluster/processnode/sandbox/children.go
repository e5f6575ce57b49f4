package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// children are the processes whose parent is this one. It reads every process of /proc: the file that lists
// children alone is missing from some kernels.
func children() []int {
	self := strconv.Itoa(os.Getpid())
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// "pid (name) state parent ...", where the name may have spaces and brackets.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != self {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
