package invariants

import (
	"fmt"
	"slices"
	"time"
)

// writeLog counts, in windows of time, what happens to the cluster and what Lockstep
// writes about it.
type writeLog struct {
	begin  time.Time
	causes int
	writes map[string]int // by object
	last   map[string]Event
}

func newWriteLog() writeLog { return writeLog{writes: map[string]int{}, last: map[string]Event{}} }

// judgeWrites is L3: within a window no object is written more often than things have
// happened in the cluster, and a few times more. In a cluster at rest that is nearly never.
func (c *Checker) judgeWrites(e Event, before *change) {
	l := &c.world.writes
	if e.At.Sub(l.begin) >= c.opts.Window {
		c.world.forget(e.At.Add(-10 * time.Minute))
		*l = newWriteLog()
		l.begin = e.At
	}
	object, ours := c.written(e, before)
	switch {
	case object == "":
		return
	case !ours:
		l.causes++
		return
	}
	l.writes[object]++
	l.last[object] = e
	if n := l.writes[object]; n == l.causes+c.opts.Writes+1 {
		c.broken("L3", []string{object}, []Event{e}, "%s was written %d times within %s, in which %d things happened in the cluster",
			object, n, lasted(l.begin, e.At), l.causes)
	}
}

// written says which object an event is a write to, and whether Lockstep wrote only
// what it tells; a change of anything else is something that happened.
func (c *Checker) written(e Event, before *change) (object string, ours bool) {
	switch {
	case e.Verdict != nil || e.Lease != nil || e.Synced || e.Quota != nil:
		return "", false
	case e.Notice != nil:
		n := e.Notice
		mine := slices.Contains(c.opts.Schedulers, n.Reporter) || n.Reporter == c.opts.SchedulerWriter || n.Reporter == c.opts.ControllerWriter
		if !mine || e.Gone {
			return "", false
		}
		return fmt.Sprintf("events of %s/%s/%s", n.Kind, n.Namespace, n.Name), true
	case e.Group != nil && !e.Gone && before.group != nil && before.group.UID == e.Group.UID:
		return "podgroup/" + e.Group.key().String(), before.group.Floor == e.Group.Floor && before.group.Required == e.Group.Required
	case e.Job != nil && !e.Gone && before.job != nil:
		return "pytorchjob/" + e.Job.Namespace + "/" + e.Job.Name, before.job.Suspended == e.Job.Suspended
	case e.Pod != nil && !e.Gone && before.pod != nil && same(before.pod, e.Pod):
		if e.Pod.Node != "" || !slices.Contains(c.opts.Schedulers, e.Pod.Scheduler) {
			return "", false // its kubelet tells more about it
		}
		return "pod/" + e.Pod.String(), true
	case e.Node != nil && !e.Gone && before.node != nil && sameNode(before.node, e.Node):
		return "", false
	}
	return "something", false
}

// same: nothing is different about a pod but what is told of it.
func same(a, b *Pod) bool {
	return a.Node == b.Node && a.Phase == b.Phase && a.Deleting == b.Deleting && a.Barred == b.Barred && a.Group == b.Group &&
		a.Priority == b.Priority && slices.Equal(a.Requests, b.Requests)
}
