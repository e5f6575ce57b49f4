package queue

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLess(t *testing.T) {
	t0 := time.Unix(1000, 0)
	old := Key{Since: t0, Group: "a/old", UID: "1"}
	tests := []struct {
		name   string
		before Key
		after  Key
	}{
		{"priority before age", Key{Priority: 5, Since: t0.Add(time.Hour)}, old},
		{"age", old, Key{Since: t0.Add(time.Second), Group: "a/new"}},
		{"settled before priority", Key{Settled: true, Since: t0}, Key{Priority: 100, Since: t0}},
		{"a gang stays together", Key{Since: t0, Group: "a", Rank: 9}, Key{Since: t0, Group: "b", Rank: 0}},
		{"rank", Key{Since: t0, Group: "a", Rank: 2}, Key{Since: t0, Group: "a", Rank: 10}},
	}
	for _, tt := range tests {
		if !Less(tt.before, tt.after) || Less(tt.after, tt.before) {
			t.Errorf("%s: %+v must come before %+v", tt.name, tt.before, tt.after)
		}
	}
}

func TestOrderIsTotal(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) Key {
		return Key{
			Settled: rapid.Bool().Draw(t, "settled"), Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
			Since: time.Unix(rapid.Int64Range(0, 1).Draw(t, "since"), 0),
			Group: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "group"),
			Rank:  rapid.IntRange(0, 2).Draw(t, "rank"), UID: rapid.StringMatching("[ab]{1,2}").Draw(t, "uid"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		if a != b && Less(a, b) == Less(b, a) {
			t.Fatalf("%+v and %+v are not ordered", a, b)
		}
		if Less(a, b) && Less(b, c) && !Less(a, c) {
			t.Fatal("not transitive")
		}
	})
}
