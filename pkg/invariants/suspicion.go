package invariants

import (
	"slices"
	"time"
)

// suspicion is something that is wrong now and may be so for a while.
type suspicion struct {
	invariant string
	since     time.Time
	due       time.Time
	// tell is asked when it is due; false: it was unfounded.
	tell func(since time.Time) (Violation, bool)
	told bool
	once bool // it is judged when it is due, and over then
}

// wrong reports whether what is suspected is so now.
func (s *suspicion) wrong() bool {
	_, wrong := s.tell(s.since)
	return wrong
}

// suspect notes that an invariant is broken for an object since a time, until
// clear is called; once it has been so for the bound it is a violation. A suspicion
// that stands already keeps its time.
func (c *Checker) suspect(invariant, object string, since time.Time, bound time.Duration, tell func(since time.Time) (Violation, bool)) {
	id := invariant + " " + object
	if old := c.suspected[id]; old != nil {
		old.tell = tell
		return
	}
	s := &suspicion{invariant: invariant, since: since, due: since.Add(bound), tell: tell}
	c.suspected[id] = s
	if c.next.IsZero() || s.due.Before(c.next) {
		c.next = s.due
	}
}

// expect looks once, when the bound is over, whether something is wrong then.
func (c *Checker) expect(invariant, object string, since time.Time, bound time.Duration, tell func(since time.Time) (Violation, bool)) {
	if c.suspected[invariant+" "+object] != nil {
		return
	}
	c.suspect(invariant, object, since, bound, tell)
	c.suspected[invariant+" "+object].once = true
}

// hasten has what was expected be judged now.
func (c *Checker) hasten(invariant, object string) {
	if s := c.suspected[invariant+" "+object]; s != nil {
		s.due, c.next = c.now, c.now
		c.fire()
	}
}

// clear ends a suspicion.
func (c *Checker) clear(invariant, object string) {
	if len(c.suspected) > 0 {
		delete(c.suspected, invariant+" "+object)
	}
}

// restart has all suspicions of an invariant begin now.
func (c *Checker) restart(invariant string) {
	for _, s := range c.suspected {
		if s.invariant == invariant && !s.told {
			s.due, s.since = c.now.Add(s.due.Sub(s.since)), c.now
		}
	}
}

// fire turns suspicions that are due into violations.
func (c *Checker) fire() {
	if c.next.IsZero() || !c.synced || c.now.Before(c.next) {
		return
	}
	var due []string
	for id, s := range c.suspected {
		if !s.told && !c.now.Before(s.due) {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	for _, id := range due {
		s := c.suspected[id]
		s.told = true
		v, founded := s.tell(s.since)
		if founded {
			v.Invariant = s.invariant
			c.violate(v)
			founded = !s.once
		}
		if !founded {
			delete(c.suspected, id)
		}
	}
	c.next = time.Time{}
	for _, s := range c.suspected {
		if !s.told && (c.next.IsZero() || s.due.Before(c.next)) {
			c.next = s.due
		}
	}
}
