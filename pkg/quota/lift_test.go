package quota

import (
	"slices"
	"testing"
)

func TestLift(t *testing.T) {
	tree, _ := New([]Queue{
		{Name: "org", Cap: map[int]int64{gpu: 16}}, {Name: "a", Parent: "org"}, {Name: "b", Parent: "org", Cap: map[int]int64{gpu: 12}}, {Name: "other"},
	})
	u := tree.Usage([]Holder{held("a1", "a", 4, 0, 0), held("b1", "b", 8, 0, 0), held("b2", "b", 4, 0, 0), held("o", "other", 8, 0, 0)}, gpus(64))
	piece := func(owner int, queue string, amount int64) Piece {
		return Piece{Owner: owner, Queue: queue, Amounts: gpus(amount)}
	}
	rest := func(owner int, queue string, amount int64) Piece {
		return Piece{Owner: owner, Queue: queue, Amounts: gpus(amount), Rest: true}
	}
	for _, tt := range []struct {
		name   string
		queue  string
		asked  int64
		pieces []Piece
		want   []int
		ok     bool
	}{
		{"admitted as it is", "other", 8, []Piece{rest(0, "b", 8)}, nil, true},
		{"the first that are enough", "a", 4, []Piece{rest(0, "b", 4), rest(1, "b", 8)}, []int{0}, true},
		{"less those that are not needed", "a", 8, []Piece{rest(0, "b", 4), rest(1, "b", 8)}, []int{1}, true},
		{"not of a queue that does not count", "a", 4, []Piece{rest(0, "other", 8), rest(1, "b", 8)}, []int{1}, true},
		{"of the queue whose cap it is", "b", 4, []Piece{rest(0, "a", 4), rest(1, "b", 4)}, []int{1}, true},
		{"of both where both are in the way", "b", 6, []Piece{rest(0, "a", 4), rest(1, "b", 8)}, []int{1}, true},
		{"of a surplus as much as is needed", "a", 2, []Piece{piece(0, "b", 1), piece(0, "b", 1), piece(0, "b", 1)}, []int{0, 1}, true},
		{"the rest takes the surplus along", "a", 8, []Piece{piece(0, "b", 1), piece(1, "b", 1), rest(1, "b", 7)}, []int{1, 2}, true},
		{"not even without all of them", "a", 13, []Piece{rest(0, "b", 8)}, nil, false},
		{"more than the cap", "b", 13, []Piece{rest(0, "b", 8), rest(1, "b", 4)}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := u.Lift(tt.queue, gpus(tt.asked), tt.pieces); ok != tt.ok || !slices.Equal(got, tt.want) {
				t.Errorf("%v go, enough: %v; want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
	if used := u.Used("org"); used.Get(gpu) != 16 {
		t.Errorf("org holds %d after it was asked, want 16", used.Get(gpu))
	}
}
