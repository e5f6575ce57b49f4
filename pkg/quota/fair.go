package quota

import "sort"

// Fair divides an amount among queues by weighted max-min fairness: nobody gets more
// than it wants, and nobody gets more for its weight than another that gets less than it
// wants. What is wanted is by queue, of its own gangs and not of its parts, in any one
// unit. Wants of more important gangs are listed first, and are met before all others;
// what a queue got for them counts when the others are met. Siblings divide what their
// parent gets, after the gangs in the parent itself; Nobody is a queue of weight 1.
func (t *Tree) Fair(amount int64, wants ...map[string]int64) map[string]int64 {
	d := division{tree: t, parts: make([][]int, len(t.nodes)), own: make([]int64, len(t.nodes)), all: make([]int64, len(t.nodes))}
	for i := 1; i < len(t.nodes); i++ {
		d.parts[t.nodes[i].parent] = append(d.parts[t.nodes[i].parent], i)
	}
	for _, w := range wants {
		d.wanted(w)
		d.divide(0, min(max(0, amount), plus(d.all[0], d.sum[0])))
	}
	got := map[string]int64{}
	for i, q := range t.nodes {
		got[q.Name] = d.own[i] // the cluster has the name of Nobody
	}
	return got
}

// division is a division on its way, by place in the tree.
type division struct {
	tree  *Tree
	parts [][]int
	// own is what gangs in a queue itself have so far, all what it has with its parts.
	own, all []int64
	// want is what its gangs of the importance at hand want beyond that, sum with its parts.
	want, sum []int64
}

// wanted takes in the wants of gangs of one importance.
func (d *division) wanted(wants map[string]int64) {
	d.want, d.sum = make([]int64, len(d.own)), make([]int64, len(d.own))
	for i := len(d.own) - 1; i >= 0; i-- {
		d.want[i] = max(0, wants[d.tree.nodes[i].Name])
		d.sum[i] = plus(d.sum[i], d.want[i])
		if i > 0 {
			parent := d.tree.nodes[i].parent
			d.sum[parent] = plus(d.sum[parent], d.sum[i])
		}
	}
}

// claim is what one of several has at least, and what it has at most.
type claim struct{ weight, least, most int64 }

// divide gives a queue an amount, no less than it has.
func (d *division) divide(queue int, amount int64) {
	d.all[queue] = amount
	own := claim{1, d.own[queue], plus(d.own[queue], d.want[queue])}
	var claims []claim
	for _, part := range d.parts[queue] {
		claims = append(claims, claim{d.tree.nodes[part].Weight, d.all[part], plus(d.all[part], d.sum[part])})
	}
	if queue == 0 { // its own are nobody's
		claims = append(claims, own)
	} else {
		d.own[queue] = min(own.most, amount-least(claims))
		amount -= d.own[queue]
	}
	for i, got := range fill(amount, claims) {
		if i == len(d.parts[queue]) {
			d.own[queue] = got
			continue
		}
		d.divide(d.parts[queue][i], got)
	}
}

func least(claims []claim) int64 {
	sum := int64(0)
	for _, c := range claims {
		sum = plus(sum, c.least)
	}
	return sum
}

// fill gives to all alike for their weight, from the least that each has to the most.
func fill(amount int64, claims []claim) []int64 {
	sum := func(level int64) int64 {
		all := int64(0)
		for _, c := range claims {
			all = plus(all, c.at(level))
		}
		return all
	}
	// The lowest level that is too high; where there is none, all get what they want.
	level := int64(sort.Search(int(min(amount, 1<<62))+1, func(level int) bool { return sum(int64(level)) > amount })) - 1
	got := make([]int64, len(claims))
	rest := amount
	for i, c := range claims {
		got[i] = c.at(level)
		rest -= got[i]
	}
	for i, c := range claims { // what is less than all weights together
		more := min(rest, c.at(level+1)-got[i])
		got[i], rest = got[i]+more, rest-more
	}
	return got
}

// at is what the claim gets at a level of weight 1.
func (c claim) at(level int64) int64 {
	if level > c.most/c.weight {
		return c.most
	}
	return max(c.least, level*c.weight)
}

// plus adds amounts that are not negative.
func plus(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
