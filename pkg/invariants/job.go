package invariants

import (
	"fmt"
	"time"
)

// judgeTwins is S10: at most one live pod for each place in a job.
func (c *Checker) judgeTwins(p *podState) {
	if p.Job == "" || !p.live() {
		return
	}
	for _, uid := range sortedKeys(c.world.jobPods[p.Job]) {
		other := c.world.jobPods[p.Job][uid]
		if other != p && other.live() && other.Role == p.Role && other.Index == p.Index {
			c.broken("S10", []string{p.object(), other.object()}, []Event{other.event, p.event},
				"pods %s and %s (%s, %s) are both %s %d of job %s", other, p, other.UID, p.UID, p.Role, p.Index, p.Job)
			return
		}
	}
}

// judgeNewPod is S10: a job that has ended gets no new pods.
func (c *Checker) judgeNewPod(p *podState, before *change, j *jobState) {
	if p == nil || before.pod != nil || !j.Ended || !p.live() || c.now.Sub(j.endedAt) <= c.opts.Staleness || j.Foreign {
		return
	}
	c.broken("S10", []string{p.object(), j.object()}, []Event{j.event, p.event},
		"pod %s was created %s after its job had ended", p, lasted(j.endedAt, c.now))
}

// judgeJobEvent is S10 for the job's own story: what has ended stays so, and restarts are
// not forgotten.
func (c *Checker) judgeJobEvent(e Event, before *change) {
	if e.Gone {
		c.clear("V2", (&jobState{Job: *e.Job}).object()) // what it said goes with it
		c.judgeOrphans(e)
		return
	}
	j := c.world.jobs[e.Job.UID]
	if last := before.job; last != nil && !j.Foreign {
		switch {
		case last.Ended && !j.Ended:
			c.broken("S10", []string{j.object()}, []Event{j.event}, "job %s/%s had ended, and goes on", j.Namespace, j.Name)
		case j.Restarts < last.Restarts && !j.resumed:
			c.broken("S10", []string{j.object()}, []Event{j.event}, "job %s/%s has been restarted %d times, and now says %d",
				j.Namespace, j.Name, last.Restarts, j.Restarts)
		}
	}
	c.judgeJob(j)
	c.judgeGang(c.world.gangs[(&PodGroup{Namespace: j.Namespace, Name: j.Name}).key()])
}

// judgeOrphans: pods go with their job.
func (c *Checker) judgeOrphans(e Event) {
	uid := e.Job.UID
	if len(c.world.jobPods[uid]) == 0 {
		return
	}
	c.suspect("S10", orphansOf(uid), c.now, c.opts.Repair, func(since time.Time) (Violation, bool) {
		v := Violation{Evidence: []Event{e}}
		for _, pod := range sortedKeys(c.world.jobPods[uid]) {
			p := c.world.jobPods[uid][pod]
			v.Objects, v.Evidence = append(v.Objects, p.object()), append(v.Evidence, p.event)
		}
		pods := "1 pod is"
		if n := len(v.Objects); n > 1 {
			pods = fmt.Sprintf("%d pods are", n)
		}
		v.Sentence = fmt.Sprintf("%s still there %s after the job %s/%s was deleted", pods, lasted(since, c.now), e.Job.Namespace, e.Job.Name)
		return v, len(v.Objects) > 0
	})
}

func orphansOf(uid string) string { return "orphans of " + uid }

// judgeJob is V2 for a job: what it says of each role is what its pods say.
func (c *Checker) judgeJob(j *jobState) {
	if j.Ended || j.Foreign {
		c.clear("V2", j.object())
		return
	}
	if c.wrongRole(j) == "" {
		c.clear("V2", j.object())
		return
	}
	c.clear("V2", j.object()) // something has changed: there is time again
	c.suspect("V2", j.object(), c.now, c.opts.Settle, func(since time.Time) (Violation, bool) {
		wrong := c.wrongRole(j)
		return Violation{Objects: []string{j.object()}, Evidence: []Event{j.event}, Sentence: fmt.Sprintf(
			"job %s/%s has said for %s %s", j.Namespace, j.Name, lasted(since, c.now), wrong)}, wrong != ""
	})
}

// wrongRole says what of a job's numbers is not true; empty if all is.
func (c *Checker) wrongRole(j *jobState) string {
	for _, role := range j.Roles {
		running := 0
		for _, p := range c.world.jobPods[j.UID] {
			if p.Role == role.Name && p.Phase == Running && !p.Deleting {
				running++
			}
		}
		if running != role.Active {
			return fmt.Sprintf("that %d pods of role %s are active, and %d run", role.Active, role.Name, running)
		}
	}
	return ""
}

func (j *jobState) object() string { return "pytorchjob/" + j.Namespace + "/" + j.Name }
