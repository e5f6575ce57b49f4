package advisor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstep "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// Advisor looks at the cluster again and again.
type Advisor struct {
	// Jobs has jobs, pod groups and autoscalers, and writes sizes.
	Jobs client.Client
	// Cluster has nodes, the pods of everybody, and queues.
	Cluster client.Reader
	// Recommender decides.
	Recommender autoscale.Recommender
	// SchedulerName is the scheduler whose gangs wait for room, and Levels are its topology
	// levels; none: it finds them by the nodes' labels.
	SchedulerName string
	Levels        []topology.Level
	// Board takes the decisions.
	Board *controller.Board
	// Every is the time between two rounds.
	Every time.Duration
	Now   func() time.Time

	transport http.RoundTripper // to jobs; nil: the network
	reports   *reports
	// asked is when a job was last given another size, which the controller has yet to follow.
	asked map[types.UID]time.Time
}

// Start works until the context ends.
func (a *Advisor) Start(ctx context.Context) error {
	a.reports, a.asked = newReports(a.transport), map[types.UID]time.Time{}
	ticker := time.NewTicker(a.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.round(ctx); err != nil && ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "Looking for sizes of elastic jobs")
			}
		}
	}
}

// round decides once on every job that asks for it.
func (a *Advisor) round(ctx context.Context) error {
	jobs, err := a.list(ctx)
	if err != nil {
		return err
	}
	a.forget(jobs)
	if len(jobs) == 0 {
		return nil // nobody asks: the caches of nodes and pods are not even filled
	}
	listing, err := a.look(ctx)
	if err != nil {
		return err
	}
	scaled, err := a.scaled(ctx)
	if err != nil {
		return err
	}
	pods := workersOf(listing.Pods)
	var sized []sizing
	var ours []*v1.PyTorchJob // without another writer
	for _, job := range jobs {
		if scaler := scaled[client.ObjectKeyFromObject(job)]; scaler != "" {
			a.Board.Post(job, controller.Advice{Verdict: "OtherWriter", Reason: fmt.Sprintf(
				"the HorizontalPodAutoscaler %s scales this job: its number of Workers has one writer", scaler)})
			continue
		}
		ours = append(ours, job)
		s := a.sizing(job, pods[job.UID])
		switch {
		case s.moving:
			return nil
		case s.apart != nil:
			s.apart.Checkpoint = a.reports.by[job.UID].shown()
			a.Board.Post(job, *s.apart)
		default:
			if s.told = a.reports.of(ctx, job, s.pods, a.Now); s.told != nil {
				s.job.Samples, s.job.Checkpoint = s.told.samples(), s.told.checkpoint(a.Now())
			}
			sized = append(sized, s)
		}
	}
	return a.decide(ctx, listing, sized, ours)
}

// decide asks the recommender and carries out what it says.
func (a *Advisor) decide(ctx context.Context, listing kube.Listing, sized []sizing, jobs []*v1.PyTorchJob) error {
	if len(sized) == 0 {
		return nil
	}
	offline := kube.NewOffline(listing, levels(a.Levels, listing), func(name string) bool { return name == a.SchedulerName })
	situation := autoscale.Situation{}
	var gangs []kube.Sized
	for _, s := range sized {
		situation.Jobs = append(situation.Jobs, s.withNodes(offline))
		gangs = append(gangs, kube.Sized{
			Key: gang.Key{Namespace: s.stored.Namespace, Name: s.stored.Name}, Spare: max(0, s.job.Current-max(s.job.Min, s.job.Asked)),
		})
	}
	situation.Room, situation.Pending = offline.Room(a.Now(), gangs, "worker")
	elastic(situation.Pending, jobs)
	for i, d := range a.Recommender.Recommend(situation) {
		advice := controller.Advice{
			Verdict: string(d.Verdict), Reason: d.Reason + sized[i].told.silence(), Workers: int32(d.Target), Changes: d.Target != d.Current,
			Checkpoint: sized[i].told.shown(),
		}
		if sized[i].told != nil {
			sized[i].told.await(d.Verdict == autoscale.Awaiting, a.Now())
		}
		if err := a.resize(ctx, sized[i], advice.Workers); err != nil {
			return err
		}
		a.Board.Post(sized[i].stored, advice)
	}
	return nil
}

// resize writes a size, unless the job asks for it already.
func (a *Advisor) resize(ctx context.Context, s sizing, workers int32) error {
	if workers == s.asked {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"spec":{"replicas":%d}}`, s.stored.ResourceVersion, workers)
	err := a.Jobs.SubResource("scale").Patch(ctx, s.stored.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)),
		client.WithSubResourceBody(&autoscalingv1.Scale{}))
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // it is another job by now; it is looked at in the next round
	case err != nil:
		return fmt.Errorf("resizing %s/%s to %d Workers: %w", s.stored.Namespace, s.stored.Name, workers, err)
	}
	a.asked[s.stored.UID] = a.Now()
	return nil
}

// list returns the jobs that want to be sized and have not ended.
func (a *Advisor) list(ctx context.Context) ([]*v1.PyTorchJob, error) {
	list := &v1.PyTorchJobList{}
	if err := a.Jobs.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var jobs []*v1.PyTorchJob
	for i := range list.Items {
		job := &list.Items[i]
		if v1.AutoscaledByCluster(job) && job.DeletionTimestamp == nil && job.Status.CompletionTime == nil {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// scaled names the autoscalers of jobs. (KEDA works through one.)
func (a *Advisor) scaled(ctx context.Context) (map[types.NamespacedName]string, error) {
	scalers := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := a.Jobs.List(ctx, scalers, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	by := map[types.NamespacedName]string{}
	for i := range scalers.Items {
		if target := scalers.Items[i].Spec.ScaleTargetRef; target.Kind == v1.Kind {
			by[types.NamespacedName{Namespace: scalers.Items[i].Namespace, Name: target.Name}] = scalers.Items[i].Name
		}
	}
	return by, nil
}

// forget drops what is remembered of jobs that are no more.
func (a *Advisor) forget(jobs []*v1.PyTorchJob) {
	there := map[types.UID]bool{}
	for _, job := range jobs {
		there[job.UID] = true
	}
	for uid := range a.asked {
		if !there[uid] {
			delete(a.asked, uid)
		}
	}
	a.reports.keep(there)
	a.Board.Keep(there)
}

// look takes down the cluster.
func (a *Advisor) look(ctx context.Context) (kube.Listing, error) {
	listing := kube.Listing{}
	nodes, pods, groups := &nodeList{}, &podList{}, &scheduling.PodGroupList{}
	queues, quotas := &lockstep.QueueList{}, &scheduling.ElasticQuotaList{}
	for _, read := range []struct {
		from client.Reader
		into client.ObjectList
	}{{a.Cluster, nodes}, {a.Cluster, pods}, {a.Jobs, groups}, {a.Cluster, queues}, {a.Cluster, quotas}} {
		err := read.from.List(ctx, read.into, client.UnsafeDisableDeepCopy)
		if err != nil && !meta.IsNoMatchError(err) { // a cluster need not know queues
			return listing, err
		}
	}
	for i := range nodes.Items {
		listing.Nodes = append(listing.Nodes, &nodes.Items[i])
	}
	for i := range pods.Items {
		listing.Pods = append(listing.Pods, &pods.Items[i])
	}
	for i := range groups.Items {
		listing.PodGroups = append(listing.PodGroups, &groups.Items[i])
	}
	for i := range queues.Items {
		listing.Queues = append(listing.Queues, &queues.Items[i])
	}
	for i := range quotas.Items {
		listing.Quotas = append(listing.Quotas, &quotas.Items[i])
	}
	return listing, nil
}

// levels are the given ones that some node is labelled by; where none are given, those that
// the nodes' labels tell of. That is how the scheduler does it.
func levels(given []topology.Level, listing kube.Listing) []topology.Level {
	var nodes []cluster.Node
	for _, node := range listing.Nodes {
		nodes = append(nodes, cluster.Node{Name: node.Name, Labels: node.Labels})
	}
	if len(given) > 0 {
		return topology.InUse(given, nodes)
	}
	found, _ := topology.Discover(nodes)
	return found
}
