package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// maxLine is the longest line, in bytes, that is held in memory; longer ones are broken.
const maxLine = 64 << 10

// copyLines hands over what comes, line by line, without the line breaks. A last line
// without a break is a line.
func copyLines(from io.Reader, line func([]byte) error) error {
	reader := bufio.NewReaderSize(from, maxLine)
	for {
		text, err := reader.ReadSlice('\n')
		if len(text) > 0 {
			if err := line(bytes.TrimSuffix(text, []byte("\n"))); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// writeLine writes a line in one piece, so that lines of several ranks don't mix.
func writeLine(out io.Writer, prefix string, line []byte) error {
	whole := make([]byte, 0, len(prefix)+len(line)+1)
	whole = append(append(append(whole, prefix...), line...), '\n')
	_, err := out.Write(whole)
	return err
}

// stamped takes apart a line of a log that is read with time stamps; false: it has none.
func stamped(line []byte) (at time.Time, text []byte, ok bool) {
	stamp, text, found := bytes.Cut(line, []byte(" "))
	if !found {
		return time.Time{}, line, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, line, false
	}
	return at, text, true
}
