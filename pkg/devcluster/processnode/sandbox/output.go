package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// logger copies the command's output to the log.
type logger struct {
	mu   sync.Mutex
	file *os.File
	size int // bytes written
	busy sync.WaitGroup
}

func newLogger(file *os.File) *logger { return &logger{file: file} }

// longestLine is where a line without an end is cut in two; the first part is marked P.
const longestLine = 16 << 10

// largestLog is how many bytes one run of a container can log; what it says afterwards is lost.
const largestLog = 256 << 20

// stream makes a pipe whose lines are appended to the log.
func (l *logger) stream(name string) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.busy.Go(func() {
		defer read.Close()
		in := bufio.NewReaderSize(read, longestLine)
		for {
			line, err := in.ReadSlice('\n')
			if len(line) > 0 {
				l.write(name, line)
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	})
	return write, nil
}

// write appends one record with one system call, so that records of two streams never mix.
func (l *logger) write(stream string, line []byte) {
	record := time.Now().UTC().AppendFormat(make([]byte, 0, len(line)+64), time.RFC3339Nano)
	record = append(record, ' ')
	record = append(record, stream...)
	if line[len(line)-1] == '\n' {
		record = append(record, " F "...)
		record = append(record, line...)
	} else {
		record = append(record, " P "...)
		record = append(record, line...)
		record = append(record, '\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > largestLog {
		return
	}
	if l.size += len(record); l.size > largestLog {
		record = time.Now().UTC().AppendFormat(nil, time.RFC3339Nano)
		record = fmt.Appendf(record, " stderr F The process node keeps no more than %d MiB of a container's log.\n", largestLog>>20)
	}
	// A full disk loses log lines; it must not stop the command.
	_, _ = l.file.Write(record)
}

// drainLimit is far above what a busy machine takes to copy what a pipe holds.
const drainLimit = time.Minute

// drain waits until all output is in the log. Nobody holds the pipe by now but who got it handed over from
// another container: that one is not waited for.
func (l *logger) drain() {
	done := make(chan struct{})
	go func() { l.busy.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainLimit):
	}
}
