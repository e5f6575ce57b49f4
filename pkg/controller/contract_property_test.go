package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// TestAnyLifeKeepsTheContract: every policy together with every other, while pods come and go
// as they like. What must hold at every decision is judged by the job and its pods alone.
func TestAnyLifeKeepsTheContract(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := &witness{world: newWorld(t, parseJob(t, drawPolicies(r)))}
		if len(v1.Validate(v1.Effective(l.Job))) > 0 {
			return
		}
		l.lingers = true
		pod := func(phase corev1.PodPhase, do func(name string, pod *corev1.Pod)) func(*rapid.T) {
			return func(r *rapid.T) {
				if name := drawPod(r, l.world, phase); name != "" {
					do(name, l.find(name))
				}
			}
		}
		stays := func(do func(name string)) func(string, *corev1.Pod) {
			return func(name string, pod *corev1.Pod) {
				if pod.DeletionTimestamp == nil {
					do(name)
				}
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"look": l.judge,
			"wait": func(r *rapid.T) { l.wait(time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second) },
			"run":  pod(corev1.PodPending, stays(func(name string) { l.run(name) })),
			"run all": func(*rapid.T) {
				for _, pod := range l.Pods {
					if pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil {
						l.run(strings.TrimPrefix(pod.Name, "job-"))
					}
				}
			},
			"exit": func(r *rapid.T) {
				pod(corev1.PodRunning, func(name string, pod *corev1.Pod) { l.end(r, name, pod) })(r)
			},
			"evict":     pod(corev1.PodRunning, func(name string, _ *corev1.Pod) { l.exit(name, 1).change(name, evict) }),
			"terminate": pod(corev1.PodRunning, stays(func(name string) { l.terminate(name, 30) })),
			"preempt":   pod(corev1.PodRunning, stays(func(name string) { l.bind().preempt(name) })),
			"vanish":    pod("", func(name string, _ *corev1.Pod) { l.vanish(name) }),
			"all gone": func(*rapid.T) {
				for _, pod := range slices.Clone(l.Pods) {
					if pod.DeletionTimestamp != nil {
						l.vanish(pod.Name)
					}
				}
			},
			"suspend": func(r *rapid.T) { suspendTo(rapid.Bool().Draw(r, "suspend"))(l.world) },
			"limit":   func(r *rapid.T) { l.edit(limit(rapid.Int32Range(0, 3).Draw(r, "restarts"))) },
			"clean": func(r *rapid.T) {
				policy := rapid.SampledFrom([]v1.CleanPodPolicy{v1.CleanAll, v1.CleanRunning, v1.CleanNone}).Draw(r, "policy")
				l.edit(func(j *v1.PyTorchJob) { j.Spec.RunPolicy.CleanPodPolicy = &policy })
			},
			"scale": func(r *rapid.T) {
				if l.Job.Spec.ElasticPolicy != nil {
					scaleTo(rapid.Int32Range(1, 6).Draw(r, "workers"))(l.world)
				}
			},
			"range": func(r *rapid.T) {
				least, most := rapid.Int32Range(1, 3).Draw(r, "min"), rapid.Int32Range(3, 5).Draw(r, "max")
				if l.Job.Spec.ElasticPolicy != nil {
					l.edit(func(j *v1.PyTorchJob) {
						j.Spec.ElasticPolicy.MinReplicas, j.Spec.ElasticPolicy.MaxReplicas = &least, &most
					})
				}
			},
			"no gang": func(*rapid.T) { l.PodGroup = nil },
		})
	})
}

func drawPolicies(r *rapid.T) string {
	draw := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(r, name) }
	restart := func(role string) string {
		return role + ": {restartPolicy: " + draw(role, "Always", "OnFailure", "Never", "ExitCode")
	}
	master, worker := restart("Master")+"}", restart("Worker")+", replicas: 3}"
	policies := []string{
		draw("clean", "", "cleanPodPolicy: All", "cleanPodPolicy: Running"),
		draw("limit", "", "backoffLimit: 0", "backoffLimit: 2"),
		draw("ttl", "", "ttlSecondsAfterFinished: 0", "ttlSecondsAfterFinished: 50"),
		draw("deadline", "", "activeDeadlineSeconds: 60", "activeDeadlineSeconds: 600"),
		draw("suspended", "", "suspend: true"),
		draw("floor", "", "schedulingPolicy: {minAvailable: 1}", "schedulingPolicy: {minAvailable: 2}"),
	}
	policies = slices.DeleteFunc(policies, func(policy string) bool { return policy == "" })
	return `{metadata: {annotations: {` + draw("terms", ``, `lockstep.dev/world-sizes: "2,4"`, `lockstep.dev/resize-cooldown: 1m`) +
		`}}, spec: {runPolicy: {` + strings.Join(policies, ", ") + `}, ` + draw("shape",
		`pytorchReplicaSpecs: {`+master+`}`,
		`pytorchReplicaSpecs: {`+worker+`}`,
		`pytorchReplicaSpecs: {`+master+`, `+worker+`}`,
		`elasticPolicy: {}, pytorchReplicaSpecs: {`+worker+`}`,
		`elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {`+worker+`}`,
		`elasticPolicy: {minReplicas: 1, maxReplicas: 5}, pytorchReplicaSpecs: {`+master+`, `+worker+`}`) + `}}`
}

// witness is a world with what its judge remembers.
type witness struct {
	*world
	// fatal: a program has ended in a way that may end the job.
	fatal bool
	ended string
}

// end ends a program as its policy has it: in place, or with its pod.
func (l *witness) end(r *rapid.T, name string, pod *corev1.Pod) {
	code := rapid.SampledFrom([]int32{0, 1, 137}).Draw(r, "code")
	role := v1.Worker
	if strings.HasPrefix(name, "master") {
		role = v1.Master
	}
	switch policy := v1.Effective(l.Job).Spec.PyTorchReplicaSpecs[role].RestartPolicy; {
	case policy == v1.RestartAlways, policy == v1.RestartOnFailure && code != 0 && rapid.Bool().Draw(r, "in place"):
		if pod.DeletionTimestamp == nil {
			l.restart(name, code)
		}
		return
	case code != 0 && policy == v1.RestartNever, code == 1 && policy == v1.RestartExitCode:
		l.fatal = true
	}
	l.exitAt(name, code, l.Now.Add(-time.Duration(rapid.IntRange(0, 3).Draw(r, "seconds ago"))*time.Second))
}

// judge looks once, and says what breaks the contract.
func (l *witness) judge(r *rapid.T) {
	before, was := l.Observed, finished(&l.Job.Status)
	l.look()
	job, status := v1.Effective(l.Job), &l.Job.Status
	policy, over, suspended := job.Spec.RunPolicy, finished(status), *job.Spec.RunPolicy.Suspend
	must := func(holds bool, what string) {
		if !holds {
			r.Fatalf("%s; status %+v, progress %+v, pods %s, plan %+v", what, status, status.Progress, l.pods(), l.last)
		}
	}
	must(l.ended == "" || l.state() == l.ended, "an end changes: "+l.ended)
	if over {
		l.ended = l.state()
	}
	must(!was && !suspended || len(l.last.Create) == 0, "something is made for a job that is suspended or over")
	must(!over && !suspended || l.PodGroup == nil, "the gang outlives its job")
	must(!over || condition(status, v1.JobRestarting) == nil, "restarting at the end")
	must(l.PodGroup == nil || l.PodGroup.Spec.MinMember >= 1 && l.PodGroup.Spec.MinMember <= v1.Largest(job), "the floor")
	if at := policy.BackoffLimit; at != nil && !suspended {
		must(over || l.restarts() <= *at, "more restarts than are allowed")
	}
	if limit := policy.ActiveDeadlineSeconds; limit != nil && !suspended && !over {
		due := status.StartTime.Add(time.Duration(*limit+1) * time.Second)
		must(l.Now.Before(due) && !l.last.Wake.IsZero() && !l.last.Wake.After(due), "the deadline has passed, or has no alarm")
	}
	if ttl := policy.TTLSecondsAfterFinished; ttl != nil && over {
		due := status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
		must(l.last.DeleteJob == !l.Now.Before(due), "deleted too early or too late")
		must(l.last.DeleteJob || !l.last.Wake.IsZero() && !l.last.Wake.After(due), "nobody will delete it")
	}
	must(!isTrue(status, v1.JobFailed) || was || status.Progress.Stopped || l.fatal, "failed without a reason")
	master := slices.IndexFunc(before.Pods, func(pod *corev1.Pod) bool { return pod.Name == "job-master-0" })
	if master >= 0 && !was && !suspended && !isTrue(&before.Job.Status, v1.JobSuspended) {
		pod := before.Pods[master]
		stale := status.Progress.Counted[string(pod.UID)] == accounted
		must(!podSucceeded(pod) || stale || isTrue(status, v1.JobSucceeded), "the Master has succeeded, the job has not")
	}
	for role, counts := range status.ReplicaStatuses {
		must(counts.Active == l.activeBefore(before, role), string(role)+": the number of active pods")
	}
}

// activeBefore are the pods that ran when the last decision was made, and were not told to go by it.
func (l *witness) activeBefore(before Observed, role v1.ReplicaType) int32 {
	n := int32(0)
	for _, pod := range before.Pods {
		told := slices.ContainsFunc(l.last.Delete, func(d Deletion) bool { return d.Object.GetUID() == pod.UID })
		if pod.Labels[LabelReplicaType] == strings.ToLower(string(role)) && pod.Status.Phase == corev1.PodRunning &&
			pod.DeletionTimestamp == nil && !told {
			n++
		}
	}
	return n
}
