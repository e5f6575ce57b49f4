package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// board is what has been seen of one gang: the demo's own view, made from
// nothing but the pods that the apiserver reports, in the order of the reports.
type board struct {
	name    string
	size    int // members that the gang is to have
	members map[string]*member

	// When the last member had reached each state; zero before that.
	created, bound, running, ended time.Time
	firstBound                     time.Time
	// reasons are the distinct answers to "why does it wait", the newest last.
	reasons []string
}

// member is one pod.
type member struct {
	name, node string
	phase      corev1.PodPhase
	failure    string // why it failed, or is not starting
	fell       string // the container whose end with an error was told last, by ID and time
	leaves     bool   // it was told to go before its program ended
}

// news is one thing that a report changed.
type news int

const (
	memberCreated news = iota
	memberBound
	memberRunning
	memberEnded
	memberFailed
	memberFell   // its program has ended with an error, and may start again
	memberLeaves // it is taken away before its program has ended
	gangWhole    // the last member was bound
	gangRuns     // the last member was running
	gangEnded    // the last member has succeeded
	gangReason   // a reason to wait that was not seen before
)

func newBoard(name string, size int) *board {
	return &board{name: name, size: size, members: map[string]*member{}}
}

// see takes a report of a pod and says what was new in it.
func (b *board) see(pod *corev1.Pod, at time.Time) []news {
	var changes []news
	m := b.members[pod.Name]
	if m == nil {
		m = &member{name: pod.Name, phase: corev1.PodPending}
		b.members[pod.Name] = m
		changes = append(changes, memberCreated)
		b.reach(&b.created, len(b.members), at)
	}
	if pod.Spec.NodeName != "" && m.node == "" {
		m.node = pod.Spec.NodeName
		changes = append(changes, memberBound)
		if b.firstBound.IsZero() {
			b.firstBound = at
		}
		if b.reach(&b.bound, b.boundCount(), at) {
			changes = append(changes, gangWhole)
		}
	}
	if m.phase != pod.Status.Phase && pod.Status.Phase != "" {
		m.phase = pod.Status.Phase
		changes = append(changes, b.phaseNews(m, at)...)
	}
	if pod.DeletionTimestamp != nil && m.leave() {
		changes = append(changes, memberLeaves)
	}
	m.failure = failureOf(pod)
	if id, _ := fall(pod); id != "" && id != m.fell {
		m.fell = id
		changes = append(changes, memberFell)
	}
	if reason := unschedulableReason(pod); b.reason(reason) {
		changes = append(changes, gangReason)
	}
	return changes
}

func (b *board) phaseNews(m *member, at time.Time) []news {
	switch m.phase {
	case corev1.PodRunning:
		if b.reach(&b.running, b.count(corev1.PodRunning, corev1.PodSucceeded), at) {
			return []news{memberRunning, gangRuns}
		}
		return []news{memberRunning}
	case corev1.PodSucceeded:
		if b.reach(&b.ended, b.count(corev1.PodSucceeded), at) {
			return []news{memberEnded, gangEnded}
		}
		return []news{memberEnded}
	case corev1.PodFailed:
		if m.leaves {
			return nil // it ends because it was told to
		}
		return []news{memberFailed}
	default:
		return nil
	}
}

// reach notes the time at which n first was the gang's size.
func (b *board) reach(when *time.Time, n int, at time.Time) bool {
	if n < b.size || !when.IsZero() {
		return false
	}
	*when = at
	return true
}

// reason takes an answer to "why does it wait" and says whether it is a new one.
func (b *board) reason(text string) bool {
	if text == "" || slices.Contains(b.reasons, text) {
		return false
	}
	b.reasons = append(b.reasons, text)
	return true
}

// leave says whether it is new that the member goes, and that before its end.
func (m *member) leave() bool {
	if m.leaves || m.phase == corev1.PodSucceeded || m.phase == corev1.PodFailed {
		return false
	}
	m.leaves = true
	return true
}

// forget takes the report that a pod is gone, and says what was new in it.
func (b *board) forget(pod string) []news {
	m := b.members[pod]
	delete(b.members, pod)
	if m != nil && m.leave() {
		return []news{memberLeaves}
	}
	return nil
}

func (b *board) boundCount() int {
	n := 0
	for _, m := range b.members {
		if m.node != "" {
			n++
		}
	}
	return n
}

func (b *board) count(phases ...corev1.PodPhase) int {
	n := 0
	for _, m := range b.members {
		if slices.Contains(phases, m.phase) {
			n++
		}
	}
	return n
}

// sorted are the members by name, numbers by their value: w-2 before w-10.
func (b *board) sorted() []*member {
	list := make([]*member, 0, len(b.members))
	for _, m := range b.members {
		list = append(list, m)
	}
	slices.SortFunc(list, func(x, y *member) int {
		return cmp.Or(cmp.Compare(len(x.name), len(y.name)), cmp.Compare(x.name, y.name))
	})
	return list
}

// unschedulableReason is what the scheduler says of a pod that it did not place.
func unschedulableReason(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		// The framework counts nodes before it says what the plugin said.
		if _, reason, found := strings.Cut(c.Message, "nodes are available: "); found {
			return reason
		}
		return c.Message
	}
	return ""
}

// failureOf is why a pod has failed or why its containers do not start.
func failureOf(pod *corev1.Pod) string {
	if pod.Status.Phase == corev1.PodFailed {
		for _, c := range pod.Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil {
				return endOf(t, pod.Status.Message)
			}
		}
		return cmp.Or(pod.Status.Message, pod.Status.Reason)
	}
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Message != "" {
			return w.Reason + ": " + w.Message
		}
	}
	return ""
}

// fall is the last end with an error of a container of a pod that goes on: which, and how it ended.
func fall(pod *corev1.Pod) (id, how string) {
	if pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil {
		return "", ""
	}
	for _, c := range pod.Status.ContainerStatuses {
		for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if t != nil && t.ExitCode != 0 {
				return t.ContainerID + " " + t.FinishedAt.String(), endOf(t, "")
			}
		}
	}
	return "", ""
}

// endOf is how a container has ended: its exit code, and what it, or the kubelet, has left to say.
func endOf(t *corev1.ContainerStateTerminated, more string) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" {
		text += " (" + t.Reason + ")"
	}
	if said := cmp.Or(t.Message, more); said != "" {
		text += ": " + said
	}
	return text
}

// lastReason is the current answer to "why does it wait".
func (b *board) lastReason() string {
	if len(b.reasons) == 0 {
		return ""
	}
	return b.reasons[len(b.reasons)-1]
}
