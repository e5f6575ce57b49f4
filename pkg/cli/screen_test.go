package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A pipe gets plain text: no colours, no control characters, aligned columns.
func TestScreenIsPlainInAPipe(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	s := newScreen(&out, func() time.Time { return now })
	s.begin("An act")
	now = now.Add(1500 * time.Millisecond)
	s.say("gang %s is %s %s", s.name("a"), s.good("whole"), s.bar(3, 3))
	s.logLine("master", "epoch 1\x1b[31m loss 0.5\r")
	s.table([][]string{{"GANG", "PODS"}, {"long-name", "3"}})
	want := `
1. An act
    1.5s  gang a is whole [##########]
   master | epoch 1[31m loss 0.5
  GANG       PODS
  long-name  3
`
	if out.String() != want {
		t.Errorf("got:\n%q\nwant:\n%q", out.String(), want)
	}
}

func TestScreenColoursATerminal(t *testing.T) {
	s := newScreen(&bytes.Buffer{}, time.Now)
	s.colour = true
	if got := s.good("whole"); !strings.HasPrefix(got, "\x1b[") || !strings.Contains(got, "whole") {
		t.Errorf("got %q", got)
	}
}
