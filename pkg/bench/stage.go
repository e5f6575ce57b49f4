package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// creators is the number of requests that a stage has under way at once.
const creators = 16

// Everybody has the client limits that Lockstep ships with; see plain as well.
const clientQPS, clientBurst = 5000, 10000

// stage is a control plane with nodes, on which schedulers take turns.
type stage struct {
	cluster *devcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	shape   fakenodes.Shape
	nodes   int
	place   map[string]int // of a node, by name
	served  bool           // pods run on the nodes and end
	// arguments of Lockstep's plugin that the scenario sets.
	arguments map[string]any
	log       func(string)
	turns     int
}

// newStage is one that has not been started: it knows what its nodes will be like.
func newStage(s Settings) *stage { return &stage{shape: stageShape(), nodes: s.Nodes, log: s.Log} }

// start starts a control plane with what the peers need switched on, and makes nodes. No
// pod starts on them unless they are served.
func (s *stage) start(ctx context.Context, settings Settings) error {
	options := devcluster.Options{
		Log: s.log,
		// It would write an event for every new node, beside the first turns, and take
		// nodes that no kubelet speaks for to be lost.
		ControllerManagerArgs: []string{"--controllers=-node-lifecycle-controller"},
	}
	if slices.Contains(settings.Peers, Native) || slices.Contains(settings.Peers, NativeTAS) {
		options.FeatureGates, options.RuntimeConfig = nativeGates, nativeAPIs
	}
	var err error
	if s.cluster, err = devcluster.Start(ctx, options); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return err
	}
	return nil
}

func (s *stage) prepare(ctx context.Context) error {
	var err error
	if s.client, err = kubernetes.NewForConfig(s.clientConfig()); err != nil {
		return err
	}
	config := s.clientConfig()
	config.ContentConfig = rest.ContentConfig{} // objects without a Go type are JSON
	if s.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	s.place = map[string]int{}
	for i := range s.nodes {
		s.place[fakenodes.NodeName(i)] = i
	}
	err = parallel(ctx, s.nodes, func(i int) error {
		node := s.shape.Node(i)
		if s.served {
			return s.cluster.FakeNodes().AddNode(ctx, node)
		}
		delete(node.Labels, fakenodes.TypeLabel)
		_, err := s.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}) // a node's status is created with it
		return err
	})
	if err != nil {
		return err
	}
	return s.warmUp(ctx)
}

// warmUp binds some pods that are not measured: an apiserver that has just started
// is slower than it will be.
func (s *stage) warmUp(ctx context.Context) error {
	ceiling := known[Ceiling]
	ceiling.name = Ceiling
	return s.turn(ctx, ceiling, func(ctx context.Context, t *turn) error {
		l := load{Shape: Shape{min(300, s.nodes*gpusPerNode), 1}, gpus: 1}
		if err := t.createPods(ctx, l, l.gangByGang()); err != nil {
			return err
		}
		return t.awaitBound(ctx, l.Gangs)
	})
}

// clientConfig is a connection as the schedulers have it.
func (s *stage) clientConfig() *rest.Config {
	config := s.cluster.RESTConfig()
	config.QPS, config.Burst = clientQPS, clientBurst
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config
}

// close stops everything; what does not stop in time ends with this process.
func (s *stage) close() { _ = s.cluster.Stop() }

// parallel does n things, several at a time, and returns the first error.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	errs := make([]error, n)
	workqueue.ParallelizeUntil(ctx, creators, n, func(i int) { errs[i] = do(i) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// turnLimit bounds one contestant's go: one that does not place all pods in that
// time will not do so later.
const turnLimit = 4 * time.Minute

// take gives every contestant its turn, once per case and repeat, and begins with
// another one in each repeat. What a peer fails at is noted, and it is left out of
// the rest of the case; a failure of Lockstep ends the scenario.
func (s *stage) take(ctx context.Context, settings Settings, report *Report, name string, play func(ctx context.Context, t *turn) error) error {
	list, err := contestants(settings.Peers)
	if err != nil {
		return err
	}
	out := map[string]bool{}
	for _, contestant := range list {
		if why := contestant.missing(); why != "" {
			report.note("%s is left out: %s", contestant.name, why)
			out[contestant.name] = true
		}
	}
	for repeat := range settings.Repeat {
		for i := range list {
			contestant := list[(i+repeat)%len(list)]
			if out[contestant.name] {
				continue
			}
			s.log(fmt.Sprintf("%s %s, repeat %d of %d: %s", report.Scenario, name, repeat+1, settings.Repeat, contestant.name))
			err := s.turn(ctx, contestant, func(ctx context.Context, t *turn) error {
				t.repeat = repeat + 1
				t.record = func(metric string, value float64) {
					report.Runs = append(report.Runs, Run{name, contestant.name, metric, t.repeat, value})
				}
				return play(ctx, t)
			})
			if err != nil && (contestant.name == Lockstep || ctx.Err() != nil) {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err != nil {
				report.note("%s, %s: %v", name, contestant.name, err)
				out[contestant.name] = true
			}
		}
	}
	return nil
}

// turn is one contestant's go, whatever comes of it.
func (s *stage) turn(ctx context.Context, contestant scheduler, play func(context.Context, *turn) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("not within %s", turnLimit))
	defer cancel()
	t, err := s.begin(limited, contestant)
	if err == nil {
		err = play(limited, t)
	}
	if left := t.end(ctx); err == nil {
		err = left
	}
	return err
}
