package topology

import "lockstep.dev/lockstep/pkg/cluster"

// Discover finds the levels by which the nodes are labelled, widest first, and
// the name of the profile that the network's levels are of; "" if there are none.
//
// Zones come first where nodes have them, and regions before them where there is
// more than one. NVLink domains come last, unless the profile has them already.
func Discover(nodes []cluster.Node) (levels []Level, profile string) {
	keys := map[string]int{} // nodes by key
	regions := map[string]bool{}
	for i := range nodes {
		for key, value := range nodes[i].Labels {
			if value != "" {
				keys[key]++
			}
		}
		if region := nodes[i].Labels[RegionKey]; region != "" {
			regions[region] = true
		}
	}
	if len(regions) > 1 {
		levels = append(levels, Level{Name: "region", Key: RegionKey})
	}
	if keys[ZoneKey] > 0 {
		levels = append(levels, Level{Name: "zone", Key: ZoneKey})
	}
	network, profile := choose(keys)
	levels = append(levels, network...)
	if keys[cliqueKey] > 0 && !named(levels, "accelerator") && !named(levels, "ultraserver") {
		levels = append(levels, Level{Name: "nvlink-domain", Key: cliqueKey, Cut: "."})
	}
	return levels, profile
}

// InUse keeps the levels that some node is labelled by. A level that no node knows of
// would put every node into a domain of its own, and tear apart what is below.
func InUse(levels []Level, nodes []cluster.Node) []Level {
	var used []Level
	for _, level := range levels {
		for i := range nodes {
			if nodes[i].Labels[level.Key] != "" {
				used = append(used, level)
				break
			}
		}
	}
	return used
}

// choose takes the profile that labels the most nodes, of equals the one with
// more levels in use, then the first; levels without a node are left out.
func choose(keys map[string]int) (levels []Level, name string) {
	most, mostLevels := 0, 0
	for _, p := range profiles {
		if p.Name == "topograph" {
			p = withTiers(p, keys)
		}
		var found []Level
		labelled := 0
		for _, level := range p.Levels {
			if keys[level.Key] > 0 {
				found = append(found, level)
				labelled = max(labelled, keys[level.Key])
			}
		}
		if labelled > most || labelled == most && len(found) > mostLevels {
			levels, name, most, mostLevels = found, p.Name, labelled, len(found)
		}
	}
	return levels, name
}

func named(levels []Level, name string) bool {
	for _, level := range levels {
		if level.Name == name {
			return true
		}
	}
	return false
}
