package gang

import (
	"testing"

	"pgregory.net/rapid"
)

func counts(t *rapid.T) Counts {
	n := rapid.IntRange(0, 3)
	return Counts{
		Waiting: n.Draw(t, "waiting"), Held: n.Draw(t, "held"), Reserved: n.Draw(t, "reserved"),
		Binding: n.Draw(t, "binding"), Bound: n.Draw(t, "bound"), Finished: n.Draw(t, "finished"),
	}
}

// A phase promises something about the members. Whoever reads it in a status or
// decides by it relies on these.
func TestPhasesKeepTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, floor := counts(t), rapid.IntRange(1, 8).Draw(t, "floor")
		safe := c.Bound+c.Finished >= floor
		exists := c.Live()+c.Finished >= floor
		holds := false
		switch phase := c.Phase(floor); phase {
		case Placed:
			holds = safe
		case Incomplete:
			holds = !safe && !exists && c.Bound == 0
		case Degraded:
			holds = !safe && !exists && c.Bound > 0
		case Releasing:
			holds = !safe && exists && c.Binding > 0
		case Healing:
			holds = !safe && exists && c.Binding == 0 && c.Bound > 0
		case Planned:
			holds = !safe && exists && c.Binding+c.Bound == 0 && c.Held+c.Reserved > 0
		case Queued:
			holds = !safe && exists && c.Binding+c.Bound+c.Held+c.Reserved == 0
		}
		if !holds {
			t.Fatalf("%+v with floor %d is %s", c, floor, c.Phase(floor))
		}
	})
}

// Members on their way only ever bring a gang nearer to its release.
func TestReadinessGrowsWithTheMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, floor := counts(t), rapid.IntRange(1, 8).Draw(t, "floor")
		if c.Ready(floor) && c.Placed() < floor {
			t.Fatalf("%+v may be released and only %d of %d have places", c, c.Placed(), floor)
		}
		if c.Ready(floor) && !c.Ready(floor-1) {
			t.Fatalf("%+v is enough for %d and not for %d", c, floor, floor-1)
		}
		for name, on := range map[string]Counts{
			"reserved": {c.Waiting, c.Held - 1, c.Reserved + 1, c.Binding, c.Bound, c.Finished},
			"released": {c.Waiting, c.Held, c.Reserved - 1, c.Binding + 1, c.Bound, c.Finished},
			"bound":    {c.Waiting, c.Held, c.Reserved, c.Binding - 1, c.Bound + 1, c.Finished},
			"finished": {c.Waiting, c.Held, c.Reserved, c.Binding, c.Bound - 1, c.Finished + 1},
		} {
			if c.Ready(floor) && !on.Ready(floor) {
				t.Fatalf("%+v may be released, and may not once one more is %s", c, name)
			}
		}
	})
}

// The rank order decides who is the leader and which process gets which rank, so
// it must not depend on the order in which pods were seen.
func TestRankOrderIsTotal(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) Member {
		return Member{
			Role:  rapid.SampledFrom([]string{"", "Master", "master", "launcher", "worker"}).Draw(t, "role"),
			Index: rapid.IntRange(0, 2).Draw(t, "index"), Name: rapid.StringMatching("[ab]").Draw(t, "name"),
			UID: rapid.StringMatching("[ab]{1,2}").Draw(t, "uid"),
		}
	})
	id := func(m Member) [4]any { return [4]any{m.Role, m.Index, m.Name, m.UID} }
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		if id(a) == id(b) && Before(a, b) || id(a) != id(b) && Before(a, b) == Before(b, a) {
			t.Fatalf("%+v and %+v are not ordered", a, b)
		}
		if Before(a, b) && Before(b, c) && !Before(a, c) {
			t.Fatal("not transitive")
		}
		if roleOrder(a.Role) < roleOrder(b.Role) && !Before(a, b) {
			t.Fatalf("%s comes after %s", a.Role, b.Role)
		}
	})
}

func TestKeysOfTwoNamespacesDiffer(t *testing.T) {
	a, b := Key{"team-a", "job"}, Key{"team-b", "job"}
	if a == b || !a.Less(b) || b.Less(a) || a.Less(a) || !b.Less(Key{"team-b", "k"}) {
		t.Error("keys are not ordered by namespace, then name")
	}
	if a.String() != "team-a/job" {
		t.Errorf("%s", a)
	}
}
