package bench

import (
	"context"
	"fmt"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// The schedulers that can be measured.
const (
	Lockstep = "lockstep"
	// Default is kube-scheduler as it is: the same program without the plugin.
	Default = "default"
)

// Peers names the schedulers that Lockstep can be measured beside.
func Peers() []string { return []string{Default} }

// scheduler is one contestant.
type scheduler struct {
	name string
	// podsName is the schedulerName that pods carry.
	podsName string
	// gangs says that pods belong to a PodGroup.
	gangs  bool
	config []byte // nil: as shipped
}

// plain is kube-scheduler's own configuration with the client limits that
// Lockstep ships with.
const plain = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  qps: 5000
  burst: 10000
profiles:
  - schedulerName: bench-default
`

func contestants(peers []string) ([]scheduler, error) {
	list := []scheduler{{name: Lockstep, podsName: "lockstep", gangs: true}}
	for _, peer := range peers {
		switch peer {
		case "none", "":
		case Default:
			list = append(list, scheduler{name: Default, podsName: "bench-default", config: []byte(plain)})
		default:
			return nil, fmt.Errorf("no peer %q; there are: none, %s", peer, Default)
		}
	}
	return list, nil
}

func (s scheduler) start(ctx context.Context, cluster *devcluster.Cluster) (*devcluster.Process, error) {
	p, err := cluster.StartScheduler(ctx, devcluster.ProgramOptions{Config: s.config})
	if err != nil {
		return nil, fmt.Errorf("scheduler %s: %w", s.name, err)
	}
	return p, nil
}
