package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/recorder"
)

// history is what happens in a test's namespace, and on all nodes, judged as it happens.
type history struct {
	cancel    context.CancelFunc
	forged    bool // the test breaks things itself
	recording *recorder.Recording
	checker   *invariants.Checker
	broken    []invariants.Violation
	binds     map[gang.Key]int
	bound     map[string]bool // pods by UID
}

func watchHistory(ctx context.Context, t *testing.T, namespace string) *history {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	vocabulary := cluster.NewVocabulary()
	// The machine is busy and schedulers are killed, so what is told has time.
	h := &history{cancel: cancel, binds: map[gang.Key]int{}, bound: map[string]bool{}, checker: invariants.NewChecker(invariants.Options{
		Vocabulary: vocabulary, Explain: patience, Settle: patience, Notice: patience,
	})}
	var err error
	h.recording, err = recorder.Record(ctx, recorder.Options{
		Client: env.client, Dynamic: env.dynamic, Namespace: namespace, Vocabulary: vocabulary,
	}, h.see)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *history) see(e invariants.Event) {
	h.broken = append(h.broken, h.checker.Feed(e)...)
	if p := e.Pod; p != nil && p.Node != "" && !h.bound[p.UID] {
		h.bound[p.UID] = true
		h.binds[gang.Key{Namespace: p.Namespace, Name: p.Group}]++
	}
}

// boundGangs counts the binds seen by gang.
func (h *history) boundGangs() map[string]int {
	counts := map[string]int{}
	h.recording.Do(func() {
		for key, n := range h.binds {
			counts[key.Name] += n
		}
	})
	return counts
}

// verify is the end of every test: nothing that must hold was broken, and what is not
// as it should be is mended without anybody's help.
func (h *history) verify(w *world) {
	w.t.Helper()
	defer h.cancel()
	if h.forged {
		return
	}
	w.await("the end of all suspicions", func() (bool, string) {
		var left []string
		h.recording.Do(func() {
			h.broken = append(h.broken, h.checker.Advance(time.Now())...)
			left = h.checker.Suspected()
		})
		return len(left) == 0, strings.Join(left, ", ")
	})
	for _, v := range h.broken {
		var proof strings.Builder
		for _, e := range v.Evidence {
			fmt.Fprintf(&proof, "\n    %s #%d %s", e.At.Format("15:04:05.000"), e.Seq, e)
		}
		w.t.Errorf("%s%s", v, proof.String())
	}
}
