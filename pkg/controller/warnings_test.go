package controller

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// heard collects the warnings that the apiserver answers with, as kubectl prints them.
type heard struct{ list []string }

func (h *heard) HandleWarningHeader(_ int, _ string, text string) {
	_, message, _ := strings.Cut(text, ": ") // before it: which policy says it
	h.list = append(h.list, message)
}

// TestLiveWarnings: who applies a job is warned in the words of the event that tells the same.
func TestLiveWarnings(t *testing.T) {
	l := newLive(t)
	warnings := &heard{}
	config := rest.CopyConfig(shared.cluster.RESTConfig())
	config.WarningHandler = warnings
	kubectl, err := client.New(config, client.Options{Scheme: Scheme()})
	l.must(err)
	create := func(job *v1.PyTorchJob) []string {
		warnings.list = nil
		job.Namespace = l.namespace
		l.must(kubectl.Create(l.ctx, job, client.DryRunAll))
		return warnings.list
	}
	l.await("the policy", func() (bool, any) { // the apiserver takes it up some time after it was made
		odd := parseJob(t, "{spec: {elasticPolicy: {}, pytorchReplicaSpecs: {Master: {}, Worker: {}}}}")
		return len(create(odd)) > 0, "no warning"
	})
	for name, test := range map[string]struct {
		job     string
		reasons []string
	}{
		"nothing odd":   {oneAndTwo, nil},
		"elastic":       {elasticJob, nil},
		"deprecated":    {"{spec: {elasticPolicy: {nProcPerNode: 2}, pytorchReplicaSpecs: {Worker: {}}}}", []string{"DeprecatedField"}},
		"rendezvous":    {"{spec: {elasticPolicy: {rdzvBackend: zookeeper}, pytorchReplicaSpecs: {Worker: {}}}}", []string{"UnknownRendezvousBackend"}},
		"known backend": {"{spec: {elasticPolicy: {rdzvBackend: etcd-v2}, pytorchReplicaSpecs: {Worker: {}}}}", nil},
		"no restarts": {`{spec: {elasticPolicy: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]},
			pytorchReplicaSpecs: {Worker: {}}}}`, []string{"NoTorchRestarts"}},
		"a Master beside elastic Workers": {"{spec: {elasticPolicy: {}, pytorchReplicaSpecs: {Master: {}, Worker: {}}}}", []string{"MasterOfElasticJob"}},
		"low floor": {"{spec: {runPolicy: {schedulingPolicy: {minAvailable: 2}}, pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 2}}}}",
			[]string{"PartialGang"}},
		"full floor": {"{spec: {runPolicy: {schedulingPolicy: {minAvailable: 3}}, pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 2}}}}", nil},
		"timeout": {"{spec: {runPolicy: {schedulingPolicy: {scheduleTimeoutSeconds: 1000}}, pytorchReplicaSpecs: {Worker: {}}}}",
			[]string{"ScheduleTimeoutClamped"}},
	} {
		t.Run(name, func(t *testing.T) {
			job := parseJob(t, test.job)
			var want []string
			for _, notice := range v1.Warnings(job, v1.SchedulerName) {
				if slices.Contains(test.reasons, notice.Reason) {
					want = append(want, notice.Message)
				}
			}
			if len(want) != len(test.reasons) {
				t.Fatalf("events: %v", v1.Warnings(job, v1.SchedulerName))
			}
			if got := create(job); !slices.Equal(got, want) {
				t.Errorf("warned of %q\nwant      %q", got, want)
			}
		})
	}
}
