package core_test

import (
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// Who holds what in the simulated cluster, and who may be evicted for whom.

// holders are the gangs and the pods without one that hold something, by what the API says.
func (s *sim) holders(h shares) []quota.Holder {
	var list []quota.Holder
	at := map[gang.Key]int{}
	for _, uid := range sorted(s.api.pods) {
		p := s.api.pods[uid]
		if p.node == "" || p.finished {
			continue
		}
		i, known := at[p.key]
		if p.alien || !known {
			i = len(list)
			list = append(list, quota.Holder{ID: uid, Queue: s.queueOf(h, p), Priority: p.member.Priority, Since: p.member.Started, Revocable: !p.alien && s.api.groups[p.key].Revocable})
			if !p.alien {
				at[p.key] = i
				list[i].ID, list[i].Floor = p.key.String(), s.floorOf(h, p.key)
			}
		}
		list[i].Amounts = list[i].Amounts.Add(h.charge(p.member.Requests, p.member.Class, p.node))
		if p.member.Started.Before(list[i].Since) {
			list[i].Since = p.member.Started
		}
	}
	return list
}

// floorOf is what a gang would ask for to start again.
func (s *sim) floorOf(h shares, key gang.Key) (floor cluster.Resources) {
	var members []simPod
	n := max(1, s.api.groups[key].Floor)
	for _, uid := range sorted(s.api.pods) {
		switch p := s.api.pods[uid]; {
		case p.key != key || p.alien:
		case p.finished:
			n--
		case !p.deleting:
			members = append(members, p)
		}
	}
	sortByRank(members)
	for _, p := range members[:min(max(0, n), len(members))] {
		floor = floor.Add(h.charge(p.member.Requests, p.member.Class, ""))
	}
	return floor
}

// fitsWithout asks the planner whether the first members by rank have a place once others
// are gone. A member that was given back in this moment has still its place in the view.
func (s *sim) fitsWithout(gone func(simPod) bool, j *job, waiting []simPod, n int, fixed []int, view core.View) bool {
	freed := view
	freed.Nodes = slices.Clone(view.Nodes)
	leave := func(p simPod) {
		if i, ok := cluster.Find(freed.Nodes, p.node); ok {
			freed.Nodes[i].Free = freed.Nodes[i].Free.Clone().Add(p.member.Requests)
		}
	}
	for _, uid := range sorted(s.bound) {
		if gone(s.bound[uid]) {
			leave(s.bound[uid])
		}
	}
	for _, p := range waiting {
		if given, assumed := s.assumed[p.uid]; assumed {
			leave(given)
		}
	}
	return s.fits(j, waiting, n, fixed, freed)
}

// judgeReclaim: nobody waits for what its queue is guaranteed, or for its queue's share,
// while others have it who may go for that.
func (s *sim) judgeReclaim(j *job, waiting []simPod, n int, fixed []int, view core.View, status core.Status) {
	usage, h := s.usage()
	if usage == nil || len(s.bad) > 0 || s.prompted || j.beyond != "" || strings.Contains(status.Reason.Message, "in vain") {
		return
	}
	sortByRank(waiting)
	var asked, most cluster.Resources
	for _, p := range waiting[:min(n, len(waiting))] {
		asked = asked.Add(h.charge(p.member.Requests, p.member.Class, ""))
		most = most.Add(s.mostOf(h, p))
	}
	holders, may := s.holders(h), map[string]bool{}
	for i, part := range usage.Reclaimable(h.charged(j.spec).Queue, asked) {
		may[holders[i].ID] = part == quota.Whole
	}
	if s.balances > 0 {
		goes := make([]quota.Portion, len(holders)) // those who may go for its importance
		for i, h := range holders {
			if h.Priority < j.priority {
				goes[i] = quota.Whole
			}
		}
		for _, i := range usage.Overdrawn(h.charged(j.spec).Queue, most, j.priority, j.spec.Revocable, goes) {
			may[holders[i].ID] = true
		}
	}
	gone := func(p simPod) bool { return !p.firm && (p.alien && may[p.uid] || !p.alien && may[p.key.String()]) }
	if s.fitsWithout(gone, j, waiting, n, fixed, view) {
		s.assert("L1: %s waits for what its queue is guaranteed or for its share, and would fit without those who have borrowed it, of %v: %+v", j.key, may, status)
	}
}

// judgeCap: nobody waits for a cap below which others have borrowed what its queue is
// guaranteed.
func (s *sim) judgeCap(j *job, waiting []simPod, n int, fixed []int, view core.View, status core.Status) {
	usage, h := s.usage()
	if usage == nil || status.Reason.Code != core.QuotaExceeded || len(s.bad) > 0 || s.prompted || s.typed() || s.promises() || n <= 0 || n > len(waiting) || j.beyond != "" || strings.Contains(status.Reason.Message, "in vain") {
		return
	}
	sortByRank(waiting)
	var asked cluster.Resources
	for _, p := range waiting[:n] {
		asked = asked.Add(h.charge(p.member.Requests, p.member.Class, ""))
	}
	firm := map[string]bool{}
	for _, p := range s.bound {
		firm[p.uid] = p.alien && p.firm
	}
	may, pieces := map[string]bool{}, []quota.Piece(nil)
	holders := s.holders(h)
	for i, part := range usage.Reclaimable(h.charged(j.spec).Queue, asked) {
		if part == quota.Whole && !firm[holders[i].ID] {
			may[holders[i].ID] = true
			pieces = append(pieces, quota.Piece{Owner: i, Queue: holders[i].Queue, Amounts: holders[i].Amounts, Rest: true})
		}
	}
	gone := func(p simPod) bool { return p.alien && may[p.uid] || !p.alien && may[p.key.String()] }
	if _, ok := usage.Lift(h.charged(j.spec).Queue, asked, pieces); ok && s.fitsWithout(gone, j, waiting, n, fixed, view) {
		s.assert("L1: %s waits for a cap below which others have borrowed what its queue is guaranteed, of %v: %+v", j.key, may, status)
	}
}

// mostOf is what a pod may count as wherever it goes.
func (s *sim) mostOf(h shares, p simPod) cluster.Resources {
	most := h.charge(p.member.Requests, p.member.Class, "")
	if !slices.Equal(most, p.member.Requests) {
		return most // it asks for a type of GPU
	}
	for node := range s.api.nodes {
		for r, amount := range h.charge(p.member.Requests, "", node) {
			most = most.Set(r, max(most.Get(r), amount))
		}
	}
	return most
}

// judgeVictims: the gang for which others are evicted has a place once they are gone.
func (s *sim) judgeVictims(key gang.Key, view core.View, effects []core.Effect) {
	victims := map[string]bool{}
	for _, e := range effects {
		if e, ok := e.(core.Evict); ok && e.Reason.Code != core.NotHealed {
			for _, uid := range e.UIDs {
				victims[uid] = true
			}
		}
	}
	j, status := s.jobOf(key), core.Status{}
	if status, _ = s.core.Status(key); len(victims) == 0 || len(s.bad) > 0 || j == nil || s.specs[key] != j.spec || j.beyond != "" || j.spec.Slices.Size > 0 {
		return
	}
	var waiting []simPod
	var fixed []int
	for _, uid := range s.core.Members(key) {
		state, _ := s.core.State(uid)
		p := s.known[uid]
		if !slices.Equal(p.member.Apart, j.apart) {
			return // it was a member of a gang of other ways
		}
		if state == gang.Waiting && p.barred == "" {
			waiting = append(waiting, p)
		} else if i, ok := cluster.Find(view.Nodes, s.nodeOf(uid)); ok && state != gang.Waiting {
			fixed = append(fixed, i)
		}
	}
	n := status.Floor - status.Counts.Placed()
	if n <= 0 || n > len(waiting) {
		return
	}
	gone := func(p simPod) bool {
		now, exists := s.api.pods[p.uid]
		return victims[p.uid] || p.deleting || p.disrupted.Code != "" || now.deleting || !exists
	}
	if !s.fitsWithout(gone, j, waiting, n, fixed, view) {
		s.assert("S4: %v are evicted for %s, and %d of its members do not fit even then", sorted(victims), key, n)
	}
}

func (s *sim) nodeOf(uid string) string {
	if p, assumed := s.assumed[uid]; assumed {
		return p.node
	}
	return s.bound[uid].node
}
