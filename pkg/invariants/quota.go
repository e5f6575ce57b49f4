package invariants

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
)

func quotaKey(q *Quota) string { return q.Namespace + "/" + q.Name }

// inUse is what the pods of a namespace that are bound and have not ended ask for.
func (c *Checker) inUse(namespace string) cluster.Resources {
	var used cluster.Resources
	for _, p := range c.world.pods {
		if p.Namespace == namespace && p.Node != "" && !p.Ended() {
			used = used.Add(p.Requests)
		}
	}
	return used
}

func (c *Checker) judgeQuotasOf(namespace string) {
	for _, name := range sortedKeys(c.world.quotas) {
		if q := c.world.quotas[name]; q.Namespace == namespace {
			c.judgeQuota(q)
		}
	}
}

// judgeQuota is S8 for what a quota says of itself: the sum of the pods, never negative.
func (c *Checker) judgeQuota(q *quotaState) {
	if q == nil {
		return
	}
	object := "quota/" + quotaKey(&q.Quota)
	for i, amount := range q.Used {
		if amount < 0 {
			c.broken("S8", []string{object}, []Event{q.event}, "quota %s says that %s %s are in use", quotaKey(&q.Quota), exactly(i, amount), c.opts.Vocabulary.Name(i))
			return
		}
	}
	c.clear("S8", object)
	if c.wrongSum(q) == "" {
		return
	}
	c.suspect("S8", object, c.now, c.opts.Settle, func(since time.Time) (Violation, bool) {
		wrong := c.wrongSum(q)
		return Violation{Objects: []string{object}, Evidence: []Event{q.event}, Sentence: fmt.Sprintf(
			"quota %s has said for %s %s", quotaKey(&q.Quota), lasted(since, c.now), wrong)}, wrong != ""
	})
}

// wrongSum says what of a quota's sums is not true; empty if all is.
func (c *Checker) wrongSum(q *quotaState) string {
	used := c.inUse(q.Namespace)
	for i, amount := range q.Used {
		if amount != used.Get(i) {
			return fmt.Sprintf("that %s %s are in use, and pods use %s", exactly(i, amount), c.opts.Vocabulary.Name(i), exactly(i, used.Get(i)))
		}
	}
	return ""
}
