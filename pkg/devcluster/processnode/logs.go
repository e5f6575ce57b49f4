package processnode

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
)

// followPause is how often a followed log is looked at.
const followPause = 100 * time.Millisecond

// logRecord is one line of a log file, or a part of a long one.
type logRecord struct {
	at    string // as it stands in the file
	time  time.Time
	text  string // with its line end, if it has one
	whole bool
}

// parseRecord reads a line of the form that package sandbox writes; ok is false for a broken line.
func parseRecord(line string) (r logRecord, ok bool) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 {
		return logRecord{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return logRecord{}, false
	}
	r = logRecord{at: parts[0], time: at, text: parts[3], whole: parts[2] == "F"}
	if !r.whole {
		r.text = strings.TrimSuffix(r.text, "\n")
	}
	return r, true
}

// logFilter turns records into what was asked for.
type logFilter struct {
	since      time.Time
	timestamps bool
	limit      int // bytes; 0 means none
	written    int
	midLine    bool
}

func newLogFilter(o api.ContainerLogOpts, now time.Time) *logFilter {
	f := &logFilter{since: o.SinceTime, timestamps: o.Timestamps, limit: o.LimitBytes}
	if o.SinceSeconds > 0 {
		f.since = now.Add(-time.Duration(o.SinceSeconds) * time.Second)
	}
	return f
}

// apply gives the text to show; done is true when the limit is reached.
func (f *logFilter) apply(r logRecord) (text string, done bool) {
	if r.time.Before(f.since) {
		return "", false
	}
	text = r.text
	if f.timestamps && !f.midLine {
		text = r.at + " " + text
	}
	f.midLine = !r.whole
	if f.limit > 0 && f.written+len(text) >= f.limit {
		text = text[:f.limit-f.written]
		done = true
	}
	f.written += len(text)
	return text, done
}

// tailOffset is where the last n lines begin.
func tailOffset(content []byte, n int) int64 {
	// A record that is part of a longer line does not end a line.
	end := len(content)
	for end > 0 {
		start := bytes.LastIndexByte(content[:end-1], '\n') + 1
		previous := content[:start]
		startsLine := true
		if len(previous) > 0 {
			before := bytes.LastIndexByte(previous[:start-1], '\n') + 1
			if r, ok := parseRecord(string(previous[before:])); ok && !r.whole {
				startsLine = false
			}
		}
		if startsLine {
			n--
			if n == 0 {
				return int64(start)
			}
		}
		end = start
	}
	return 0
}

// readLog streams a log file. With Follow it goes on until ended is closed and all has been read, or ctx ends.
func readLog(ctx context.Context, path string, o api.ContainerLogOpts, skipAll bool, ended <-chan struct{}) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := seekTail(file, o.Tail, skipAll); err != nil {
		file.Close()
		return nil, err
	}
	out, in := io.Pipe()
	go func() {
		defer file.Close()
		in.CloseWithError(copyLog(ctx, file, in, o, ended))
	}()
	return out, nil
}

func seekTail(file *os.File, tail int, skipAll bool) error {
	if skipAll {
		_, err := file.Seek(0, io.SeekEnd)
		return err
	}
	if tail == 0 {
		return nil
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	_, err = file.Seek(tailOffset(content, tail), io.SeekStart)
	return err
}

func copyLog(ctx context.Context, file io.Reader, out io.Writer, o api.ContainerLogOpts, ended <-chan struct{}) error {
	filter := newLogFilter(o, time.Now())
	in := bufio.NewReader(file)
	var partial string
	last := false
	for {
		line, err := in.ReadString('\n')
		partial += line
		if err == nil {
			if r, ok := parseRecord(partial); ok {
				text, done := filter.apply(r)
				if _, err := io.WriteString(out, text); err != nil || done {
					return err
				}
			}
			partial = ""
			continue
		}
		if err != io.EOF {
			return err
		}
		if !o.Follow || last {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			last = true // one more look for what was written before the end
		case <-time.After(followPause):
		}
	}
}
