package cli

import (
	"slices"
	"strings"
	"testing"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

func TestTorchOptionsEndAtTheProgram(t *testing.T) {
	for _, tt := range []struct {
		command []string
		want    []torchOption
	}{
		{[]string{"torchrun", "--nnodes", "2", "--nproc_per_node=8", "train.py", "--nnodes", "3"}, []torchOption{{"--nnodes", "2"}, {"--nproc-per-node", "8"}}},
		{[]string{"/opt/bin/torchrun", "-m", "--max-restarts", "3", "pkg.train", "--rdzv-id=1"}, []torchOption{{"-m", ""}, {"--max-restarts", "3"}}},
		{[]string{"python", "-m", "torch.distributed.run", "--standalone", "train.py"}, []torchOption{{"--standalone", ""}}},
		{[]string{"sh", "-c", `exec "torchrun" --nnodes="2" train.py`}, []torchOption{{"--nnodes", "2"}}},
		{[]string{"torchrun", "train.py"}, nil},
		{[]string{"torchrun", "--nnodes"}, []torchOption{{"--nnodes", ""}}},
		{[]string{"python", "train.py", "--nnodes", "3"}, nil},
		{nil, nil},
	} {
		if got := torchOptions(tt.command); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.command, got, tt.want)
		}
	}
}

// What torchrun is told beside what its environment says, and is something else, is told of once
// for each role.
func TestOptionsThatWinOverTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		flags   string
		options string
		want    []string // the options
	}{
		{"--workers 2", "--nnodes 2", []string{"--nnodes 2 wins over the 3"}},
		{"--workers 2", "--nnodes 3 --master_addr m-master-0 --master_port 23456", nil},
		{"--workers 2", "--nnodes $(PET_NNODES) --node-rank=$RANK --master-addr ${MASTER_ADDR}", nil},
		{"--workers 2", "--node_rank 0 --master_addr localhost", []string{"--node-rank 0 wins over the 1", "--master-addr localhost wins over the m-master-0"}},
		{"--workers 2", "--rdzv-backend c10d --rdzv-endpoint somewhere:29400 --log-dir /tmp", nil},
		{"--workers 2", "--nproc-per-node 4", nil},
		{"--workers 2 --nproc 8", "--nproc-per-node 4", []string{"--nproc-per-node 4 wins over the 8"}},
		{"--workers 2 --nproc 8", "--nproc_per_node 8", nil},
		{"--workers 2..8", "--nnodes 2:8", nil},
		{"--workers 2..8", "--nnodes=4 --rdzv_backend=etcd --rdzv-endpoint=e:1 --max-restarts 3",
			[]string{"--nnodes 4 wins over the 2:8", "--rdzv-backend etcd wins over the c10d", "--rdzv-endpoint e:1 wins over the m-worker-0:23456", "--max-restarts 3 wins over the 100"}},
		{"--workers 2", "--standalone", []string{"--standalone makes each"}},
		{"", "--standalone --nnodes 1", nil},
	} {
		args := append([]string{"submit", "m", "--image", "a", "--dry-run"}, strings.Fields(tt.flags)...)
		args = append(append(append(args, "--", "torchrun"), strings.Fields(tt.options)...), "train.py", "--nnodes", "9")
		code, _, errOut := invoke(args...)
		roles := 0
		for _, role := range kubeflowv1.ReplicaTypes() {
			path := "note: spec.pytorchReplicaSpecs[" + string(role) + "].template.spec.containers[0]: "
			for _, want := range tt.want {
				roles += strings.Count(errOut, path+want)
			}
		}
		least, most := len(tt.want), 2*len(tt.want)
		if code != exitYes || roles < least || roles > most || strings.Count(errOut, "\n") != roles {
			t.Errorf("%s: %s: exit code %d, notes %q; want %q", tt.flags, tt.options, code, errOut, tt.want)
		}
	}
}
