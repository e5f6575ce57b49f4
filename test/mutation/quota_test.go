package mutation

// ofQuota are defects of who may have how much: they belong to the list of the core, whose
// simulation has to notice.
var ofQuota = []defect{
	{"caps are not kept", "pkg/quota/usage.go", "if want > 0 && capped && (want > limit || used > limit-want) {", "if want > 0 && capped && limit < 0 {"},
	{"the caps of queues above are not kept", "pkg/quota/usage.go", "\tfor _, i := range u.tree.path(queue) {\n\t\tq :=", "\tfor _, i := range u.tree.path(queue)[:min(1, len(u.tree.path(queue)))] {\n\t\tq :="},
	{"what is held is counted along", "quota.go", "append(s.holders[:0], s.lone...)", "append(s.holders, s.lone...)"},
	{"members count twice", "account.go", "h.Amounts = h.Amounts.Add(charged);", "h.Amounts = h.Amounts.Add(charged).Add(charged);"},
	{"members that outlive their pod group count for nobody", "account.go", "\tif !g.known {\n\t\th.Queue", "\tif false {\n\t\th.Queue"},
	{"what is on its way counts for nobody", "account.go", "\t\tif m.state == gang.Waiting {\n\t\t\tcontinue", "\t\tif m.state != gang.Bound {\n\t\t\tcontinue"},
	{"pods without a gang count for nobody", "quota.go", "append(s.holders[:0], s.lone...)", "append(s.holders[:0], s.lone[:0]...)"},
	{"who asks what may go changes what is held", "pkg/quota/balance.go", "positive(h.Amounts).Clone().Sub(positive(h.Promised))", "positive(h.Amounts).Sub(positive(h.Promised))"},
	{"shares are taken back by what is asked, wherever it goes", "rights.go", "c.most(g.lacking(), view)", "lacks"},
	{"shares are taken from who may have the gang go", "pkg/quota/balance.go", " || h.Priority == priority && revocable && !h.Revocable", ""},
	{"what a gang has is kept when a member moves", "tally.go", "\tm.group.account, m.group.tenancy = nil, nil\n", ""},
	{"what a gang has is kept when nodes change", "account.go", "\t\tg.account, g.tenancy = nil, nil\n", "\t\t_ = g\n"},
	{"queues that are gone go on to count", "quota.go", "\tc.shares.usage, c.shares.turns = nil, nil\n", ""},
	{"a gang that was refused for its cap is not looked at again", "attempt.go", "(p.rejection != nil || p.reason.Code == QuotaExceeded) &&", "p.rejection != nil &&"},
	{"pods that name no type have no cap of a type", "quota.go", "if s.usage == nil || s.Kind == nil {", "if s.Tree == nil || s.Tree != nil {"},
	{"reclaim takes what is guaranteed", "pkg/quota/reclaim.go", "used.Get(r) > u.tree.nodes[i].Guaranteed.Get(r) {", "used.Get(r) > 0 {"},
	{"reclaim serves who asks for more than is guaranteed", "pkg/quota/reclaim.go", "\t\tif u.within(i, asked) {\n", "\t\tif i > 0 {\n"},
	{"nothing is taken back", "rights.go", "part = r.reclaims[place]; r.owes(place)", "r.owes(place)"},
	{"priority takes what others are guaranteed", "pkg/quota/reclaim.go", "yields[k] = !u.Borrows(queue, asked, h.Queue) ||", "yields[k] = true ||"},
	{"priority takes a gang beside the surplus that leaves its queue with less", "pkg/quota/reclaim.go", "gone[k] = gone[k].Add(positive(", "_ = gone[k].Add(positive("},
	{"others go for what a queue was promised alone", "account.go", "m.state != gang.Bound {\n\t\t\th.Promised", "false {\n\t\t\th.Promised"},
	{"a part within its guarantee makes up for the whole", "pkg/quota/reclaim.go", "(len(own) == 0 || !u.within(own[len(own)-1], asked))", "!slices.ContainsFunc(own, func(i int) bool { return u.within(i, asked) })"},
	{"room that is taken back is open to who borrows", "reservation.go", " && !c.takesBack(g, claim)", ""},
	{"a floor goes that comes back at once", "pkg/quota/reclaim.go", "back(*h) || slices.ContainsFunc(waiting, back)", "slices.ContainsFunc(waiting, back)"},
	{"doubts of a gang that may not be tried have no end", "heal.go", "\t\t\tc.endDoubts(now, g)\n", ""},
	{"the one reservation knows of no turns", "drain.go", "if a, b := c.turn(g), c.turn(other); a != b {", "if a, b := 0, 0; a != b {"},
	{"the one reservation changes queues for ever", "drain.go", " && now.Sub(other.reservation.Since) < settled", ""},
	{"who has borrowed is told that it was revoked", "preempt.go", "case g.mayRevoke(t.Claim):", "case t.Revocable && g.reservation != nil:"},
}
