package topology

import (
	"slices"
	"strconv"
	"strings"
)

// Profile is a convention by which somebody labels nodes with their place in the
// network. Levels that no node is labelled with are passed over.
type Profile struct {
	Name   string
	Levels []Level // widest first
}

// Keys that more than one profile needs, or that stand for themselves.
const (
	RegionKey = "topology.kubernetes.io/region"
	ZoneKey   = "topology.kubernetes.io/zone"
	// cliqueKey is set by NVIDIA's feature discovery to <cluster>.<clique> on nodes
	// of a multi-node NVLink system; the part before the dot is the NVLink domain.
	cliqueKey = "nvidia.com/gpu.clique"
	// tierPrefix is followed by a number; tier 0 is closest to the node.
	tierPrefix = "fabric.topograph.run/tier-"
)

// Profiles are the conventions that are understood without configuration. Where
// nodes are labelled by several, the one with the most nodes is taken, and of
// equals the first.
func Profiles() []Profile { return slices.Clone(profiles) }

var profiles = []Profile{
	{"lockstep", []Level{
		{Name: "block", Key: "topology.lockstep.dev/block"},
		{Name: "rack", Key: "topology.lockstep.dev/rack"},
	}},
	{"gke", []Level{
		{Name: "block", Key: "cloud.google.com/gce-topology-block"},
		{Name: "subblock", Key: "cloud.google.com/gce-topology-subblock"},
		{Name: "machine", Key: "cloud.google.com/gce-topology-host"},
	}},
	{"aws", []Level{
		{Name: "layer-1", Key: "topology.k8s.aws/network-node-layer-1"},
		{Name: "layer-2", Key: "topology.k8s.aws/network-node-layer-2"},
		{Name: "layer-3", Key: "topology.k8s.aws/network-node-layer-3"},
		{Name: "ultraserver", Key: "topology.k8s.aws/ultraserver-id"},
	}},
	{"oci", []Level{
		{Name: "island", Key: "oci.oraclecloud.com/rdma.hpc_island_id"},
		{Name: "block", Key: "oci.oraclecloud.com/rdma.network_block_id"},
		{Name: "local-block", Key: "oci.oraclecloud.com/rdma.local_block_id"},
	}},
	{"oci-host", []Level{
		{Name: "block", Key: "oci.oraclecloud.com/host.network_block_id"},
		{Name: "rack", Key: "oci.oraclecloud.com/host.rack_id"},
	}},
	{"topograph", []Level{ // the tiers come before these, see withTiers
		{Name: "accelerator", Key: "accelerator.topograph.run/domain"},
		{Name: "sub-accelerator", Key: "accelerator.topograph.run/sub-domain"},
	}},
	{"topograph-0.3", []Level{
		{Name: "core", Key: "network.topology.nvidia.com/core"},
		{Name: "spine", Key: "network.topology.nvidia.com/spine"},
		{Name: "leaf", Key: "network.topology.nvidia.com/leaf"},
		{Name: "accelerator", Key: "network.topology.nvidia.com/accelerator"},
	}},
	{"topograph-0.1", []Level{
		{Name: "datacenter", Key: "network.topology.nvidia.com/datacenter"},
		{Name: "spine", Key: "network.topology.nvidia.com/spine"},
		{Name: "block", Key: "network.topology.nvidia.com/block"},
		{Name: "accelerator", Key: "network.topology.nvidia.com/accelerator"},
	}},
	{"kueue-example", []Level{
		{Name: "block", Key: "cloud.provider.com/topology-block"},
		{Name: "rack", Key: "cloud.provider.com/topology-rack"},
	}},
	{"generic", []Level{
		{Name: "rack", Key: "topology.kubernetes.io/rack"},
	}},
}

// withTiers puts a level for every tier that the keys name before a profile's levels.
func withTiers(p Profile, keys map[string]int) Profile {
	var tiers []int
	for key := range keys {
		if n, err := strconv.Atoi(strings.TrimPrefix(key, tierPrefix)); strings.HasPrefix(key, tierPrefix) && err == nil && n >= 0 {
			tiers = append(tiers, n)
		}
	}
	slices.Sort(tiers)
	slices.Reverse(tiers)
	var levels []Level
	for _, n := range tiers {
		name := "tier-" + strconv.Itoa(n)
		levels = append(levels, Level{Name: name, Key: "fabric.topograph.run/" + name})
	}
	return Profile{p.Name, append(levels, p.Levels...)}
}
