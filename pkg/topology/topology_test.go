package topology

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
)

// labelled makes nodes n0, n1, …, each with labels given as "key=value key=value".
func labelled(labels ...string) []cluster.Node {
	nodes := make([]cluster.Node, len(labels))
	for i, list := range labels {
		nodes[i] = cluster.Node{Name: fmt.Sprintf("n%d", i), Labels: map[string]string{}}
		for pair := range strings.FieldsSeq(list) {
			key, value, _ := strings.Cut(pair, "=")
			nodes[i].Labels[key] = value
		}
	}
	return nodes
}

var blockRack = []Level{{Name: "block", Key: "b"}, {Name: "rack", Key: "r"}}

func TestBuild(t *testing.T) {
	tree := Build(blockRack, labelled("b=x r=1", "b=y r=1", "b=x r=2", "b=x"))
	var paths []string
	for _, d := range tree.AtLevel(2) {
		paths = append(paths, tree.Domains[d].Path)
	}
	if want := []string{"x/1", "x/2", "x/?n3", "y/1"}; !slices.Equal(paths, want) {
		t.Errorf("racks %v, want %v", paths, want)
	}
	if got := tree.Domains[tree.Common(tree.Leaf(0), tree.Leaf(2))].Path; got != "x" {
		t.Errorf("the lowest domain of n0 and n2 is %q, want x", got)
	}
	if tree.Common(tree.Leaf(0), tree.Leaf(1)) != 0 {
		t.Error("rack 1 of block x and rack 1 of block y are taken for one")
	}
	for i := range 4 {
		if d := tree.Leaf(i); tree.Domains[d].Node != i || tree.Ancestor(d, 0) != 0 {
			t.Errorf("leaf of node %d: %+v", i, tree.Domains[d])
		}
	}
}

func TestLevelOf(t *testing.T) {
	tree := Build(blockRack, nil)
	for name, want := range map[string]int{"cluster": 0, "block": 1, "b": 1, "r": 2, "host": 3, "kubernetes.io/hostname": 3} {
		if got, ok := tree.LevelOf(name); !ok || got != want {
			t.Errorf("level %q is %d, want %d", name, got, want)
		}
	}
	if _, ok := tree.LevelOf("row"); ok {
		t.Error("a level that does not exist is found")
	}
}

func TestDiscover(t *testing.T) {
	tests := []struct {
		name    string
		labels  []string
		levels  string
		profile string
	}{
		{"nothing", []string{"a=b"}, "", ""},
		{"ours, in a zone", []string{"topology.kubernetes.io/zone=z topology.lockstep.dev/block=b topology.lockstep.dev/rack=r"},
			"zone block rack", "lockstep"},
		{"one region says nothing", []string{"topology.kubernetes.io/region=eu topology.kubernetes.io/zone=z"}, "zone", ""},
		{"two regions", []string{"topology.kubernetes.io/region=eu", "topology.kubernetes.io/region=us"}, "region", ""},
		{"GKE", []string{"cloud.google.com/gce-topology-block=a cloud.google.com/gce-topology-subblock=b cloud.google.com/gce-topology-host=c"},
			"block subblock machine", "gke"},
		{"AWS", []string{"topology.k8s.aws/network-node-layer-1=a topology.k8s.aws/network-node-layer-2=b topology.k8s.aws/network-node-layer-3=c"},
			"layer-1 layer-2 layer-3", "aws"},
		{"OCI", []string{"oci.oraclecloud.com/rdma.hpc_island_id=a oci.oraclecloud.com/rdma.network_block_id=b oci.oraclecloud.com/rdma.local_block_id=c"},
			"island block local-block", "oci"},
		{"Topograph: tier 0 is closest to the node, 10 is above 9",
			[]string{"fabric.topograph.run/tier-0=a fabric.topograph.run/tier-10=c fabric.topograph.run/tier-9=b accelerator.topograph.run/domain=d"},
			"tier-10 tier-9 tier-0 accelerator", "topograph"},
		{"Topograph 0.3", []string{"network.topology.nvidia.com/spine=a network.topology.nvidia.com/leaf=b"}, "spine leaf", "topograph-0.3"},
		{"Topograph 0.1", []string{"network.topology.nvidia.com/datacenter=d network.topology.nvidia.com/spine=a network.topology.nvidia.com/block=b"},
			"datacenter spine block", "topograph-0.1"},
		{"Kueue's example", []string{"cloud.provider.com/topology-block=a cloud.provider.com/topology-rack=b"}, "block rack", "kueue-example"},
		{"NVLink domains below zones", []string{"topology.kubernetes.io/zone=z nvidia.com/gpu.clique=u.1"}, "zone nvlink-domain", ""},
		{"the convention with the most nodes", []string{
			"cloud.provider.com/topology-rack=r topology.lockstep.dev/rack=r", "cloud.provider.com/topology-rack=r",
		}, "rack", "kueue-example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			levels, profile := Discover(labelled(tt.labels...))
			var names []string
			for _, l := range levels {
				names = append(names, l.Name)
			}
			if got := strings.Join(names, " "); got != tt.levels || profile != tt.profile {
				t.Errorf("levels %q of profile %q, want %q of %q", got, profile, tt.levels, tt.profile)
			}
		})
	}
}

func TestCliquesOfOneDomainAreTogether(t *testing.T) {
	nodes := labelled("nvidia.com/gpu.clique=u.1", "nvidia.com/gpu.clique=u.2", "nvidia.com/gpu.clique=v.1")
	levels, _ := Discover(nodes)
	if got := len(Build(levels, nodes).AtLevel(1)); got != 2 {
		t.Errorf("%d NVLink domains, want 2", got)
	}
}

func TestProfilesAreSound(t *testing.T) {
	for _, p := range Profiles() {
		if err := CheckLevels(p.Levels); err != nil {
			t.Errorf("profile %s: %v", p.Name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	got := Validate(blockRack, labelled("b=x r=1", "b=x r=2", "b=y r=1", "r=3", "b=x r=1"))
	want := Report{
		Levels:     []string{"block", "rack"},
		Unlabelled: []Unlabelled{{"n3", []string{"block"}}},
		Reused:     []Reused{{"rack", "1", []string{"x/1", "y/1"}}},
		Idle:       []string{},
	}
	if !reflect.DeepEqual(got, want) || got.Good() {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if r := Validate(blockRack, labelled("b=x r=1", "b=x r=1", "b=y r=2")); !slices.Equal(r.Idle, []string{"block", "rack"}) {
		t.Errorf("idle levels %v, want block and rack: each block is one rack", r.Idle)
	}
}

func TestCheckLevels(t *testing.T) {
	for want, levels := range map[string][]Level{
		"[1].key":          {{Name: "block", Key: "b"}, {Name: "rack", Key: "b"}},
		"[1].name":         {{Name: "rack", Key: "b"}, {Name: "rack", Key: "r"}},
		"[0].name":         {{Name: "host", Key: "b"}},
		"[0].key":          {{Name: "rack"}},
		"[0].key: \"kuber": {{Name: "machine", Key: "kubernetes.io/hostname"}},
	} {
		if err := CheckLevels(levels); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: error %v, want it to begin with %s", levels, err, want)
		}
	}
}
