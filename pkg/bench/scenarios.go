package bench

// Scenarios are all of them, in the order of "all".
func Scenarios() []Scenario {
	gangs := []string{Ceiling, CeilingWhole, Default, Native, NativeTAS, Coscheduling}
	staged := []string{"nodes", "gpus", "repeat", "shapes", "peer"}
	few := []string{Ceiling, CeilingWhole, Default, NativeTAS}
	return []Scenario{
		{
			Name: "gang", About: "gangs created at once; each asks for the lowest level that holds it, which is a rack for up to 128 GPUs",
			run: measureGang, Uses: staged,
			Defaults: Settings{Nodes: 1000, GPUs: 1, Repeat: 3, Peers: gangs, Shapes: []Shape{{64, 16}, {8, 64}, {1, 1000}}},
			Quick:    Settings{Nodes: 200, GPUs: 1, Repeat: 1, Peers: few, Shapes: []Shape{{16, 16}, {4, 64}}},
		},
		{
			Name: "latency", About: "one gang at a time, from its last create to its last bind",
			run: measureLatency, Uses: staged,
			Defaults: Settings{Nodes: 100, GPUs: 1, Repeat: 3, Peers: []string{Ceiling, CeilingWhole, Default, Native}, Shapes: []Shape{{50, 3}}},
			Quick:    Settings{Nodes: 100, GPUs: 1, Repeat: 1, Peers: []string{Ceiling, Default}, Shapes: []Shape{{30, 3}}},
		},
		{
			Name: "singles", About: "pods of no gang",
			run: measureSingles, Uses: staged,
			Defaults: Settings{Nodes: 1000, GPUs: 1, Repeat: 3, Peers: []string{Ceiling, Default}, Shapes: []Shape{{2000, 1}}},
			Quick:    Settings{Nodes: 200, GPUs: 1, Repeat: 1, Peers: []string{Ceiling, Default}, Shapes: []Shape{{500, 1}}},
		},
		{
			Name: "deadlock", About: "gangs for 2.5 times the GPUs, each created one pod at a time beside all the others",
			run: measureDeadlock, Uses: staged,
			Defaults: Settings{
				Nodes: 32, GPUs: 1, Repeat: 2, Shapes: []Shape{{20, 32}},
				Peers: []string{Default, Native, Coscheduling, CoschedulingTuned},
			},
			Quick: Settings{Nodes: 32, GPUs: 1, Repeat: 1, Peers: []string{Native}, Shapes: []Shape{{20, 32}}},
		},
		{
			Name: "starvation", About: "one gang for 64 GPUs beside single pods that never stop coming to a full cluster: when it starts, and what was idle until then",
			run: measureStarvation, Uses: staged,
			Defaults: Settings{
				Nodes: 16, Repeat: 1, Shapes: []Shape{{1, 8}, {1, 64}},
				Peers: []string{LockstepUnreserved, Default, Native, Coscheduling},
			},
			Quick: Settings{Nodes: 16, Repeat: 1, Peers: []string{LockstepUnreserved}, Shapes: []Shape{{1, 8}}},
		},
		{
			Name: "preemption", About: "more important gangs on a cluster full of others: who has to end, over the fewest that would do",
			run: measurePreemption, Uses: staged,
			Defaults: Settings{
				Nodes: 32, GPUs: 4, Repeat: 3, Shapes: []Shape{{4, 4}, {2, 16}},
				Peers: []string{Default, Native, Coscheduling},
			},
			Quick: Settings{Nodes: 32, GPUs: 4, Repeat: 1, Peers: []string{Default}, Shapes: []Shape{{2, 16}}},
		},
		{
			Name: "recovery", About: "the scheduler is killed and started anew: when it has bound a gang that waits, and completed one that was bound in part; and it is stopped while another stands by",
			run: measureRecovery, Uses: []string{"nodes", "repeat", "shapes", "peer"},
			Defaults: Settings{Nodes: 500, Repeat: 1, Peers: []string{Default}, Shapes: []Shape{{500, 10}}},
			Quick:    Settings{Nodes: 100, Repeat: 1, Peers: []string{Default}, Shapes: []Shape{{50, 10}}},
		},
		{
			Name: "locality", About: "gangs on a cluster with holes: racks and nodes in use over the fewest that there could be",
			run: measureLocality, Uses: []string{"nodes", "repeat", "peer"},
			Defaults: Settings{Nodes: 400, Repeat: 1, Peers: []string{Default, Native, NativeTAS}},
			Quick:    Settings{Nodes: 400, Repeat: 1, Peers: []string{Native}},
		},
		{
			Name: "plan", About: "one plan in this process, 40 % of the GPUs taken",
			run: measurePlan, Uses: []string{"repeat"},
			Defaults: Settings{Repeat: 3},
			Quick:    Settings{Repeat: 1},
		},
		{
			Name: "openb", About: "single pods of a published trace, placed by each policy: GPUs that stay unallocated",
			run: measureOpenb, Uses: []string{"traces"},
		},
		{
			Name: "elastic", About: "a trace of gangs in this process: the work of elastic jobs over their time, beside the same jobs at a fixed size",
			run: measureElastic, Uses: []string{"traces"},
		},
	}
}
