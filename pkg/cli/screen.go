package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// screen prints what a command has to tell while it works, one line per thing
// that happened, so that it reads the same on a terminal, in a pipe and in a
// log. A terminal gets colours as well. Its methods may be called from several goroutines.
type screen struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	now    func() time.Time
	start  time.Time // of the current act, or of the command
	act    int
}

func newScreen(out io.Writer, now func() time.Time) *screen {
	return &screen{out: out, colour: wantsColour(out), now: now, start: now()}
}

// wantsColour says whether out is a terminal whose user has not refused colours.
func wantsColour(out io.Writer) bool {
	if o, ok := out.(*output); ok {
		out = o.to
	}
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint gives a text attributes, where there are colours.
func (s *screen) paint(text string, attributes ...color.Attribute) string {
	c := color.New(attributes...)
	c.DisableColor()
	if s.colour {
		c.EnableColor()
	}
	return c.Sprint(text)
}

func (s *screen) good(text string) string  { return s.paint(text, color.FgGreen) }
func (s *screen) bad(text string) string   { return s.paint(text, color.FgRed) }
func (s *screen) wait(text string) string  { return s.paint(text, color.FgYellow) }
func (s *screen) name(text string) string  { return s.paint(text, color.FgCyan) }
func (s *screen) quiet(text string) string { return s.paint(text, color.Faint) }
func (s *screen) bold(text string) string  { return s.paint(text, color.Bold) }

// begin starts an act; the times of its lines count from here.
func (s *screen) begin(title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act++
	s.start = s.now()
	fmt.Fprintf(s.out, "\n%s\n", s.bold(fmt.Sprintf("%d. %s", s.act, title)))
}

// say prints a line of the current act with its time.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := fmt.Sprintf("%7.1fs", s.now().Sub(s.start).Seconds())
	fmt.Fprintf(s.out, "%s  %s\n", s.quiet(since), fmt.Sprintf(format, args...))
}

// plain prints lines without a time.
func (s *screen) plain(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, text)
}

// logLine prints a line that a container wrote, without what could move the cursor.
func (s *screen) logLine(source, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s %s %s\n", s.name(fmt.Sprintf("%9s", source)), s.quiet("|"), printable(line))
}

// printable drops control characters.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

// bar draws done of all as a bar of ten cells.
func (s *screen) bar(done, all int) string {
	const cells = 10
	filled := 0
	if all > 0 {
		filled = done * cells / all
	}
	return "[" + s.good(strings.Repeat("#", filled)) + strings.Repeat(".", cells-filled) + "]"
}

// table prints rows in columns as wide as their widest cell; the first row is the heading.
// Cells must not carry colours.
func (s *screen) table(rows [][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "  %-*s", widths[i], cell)
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = s.bold(text)
		}
		fmt.Fprintln(s.out, text)
	}
}
