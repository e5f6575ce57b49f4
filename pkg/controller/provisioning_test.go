package controller

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// bareManager is one of a cluster that serves nothing.
type bareManager struct{ manager.Manager }

func (bareManager) GetRESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func TestProvisioningWithoutItsDefinition(t *testing.T) {
	err := (&Reconciler{}).watchProvisioning(t.Context(), bareManager{}, nil)
	want := "the cluster does not serve autoscaling.x-k8s.io/v1, Kind=ProvisioningRequest, whose CRD comes with cluster-autoscaler"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

const provisioningClass = "check-capacity.autoscaling.x-k8s.io"

// answer writes a condition as an autoscaler would.
func answer(request *unstructured.Unstructured, conditionType, message string) {
	conditions := conditionsOf(request)
	meta.SetStatusCondition(&conditions, metav1.Condition{Type: conditionType, Status: metav1.ConditionTrue, Reason: conditionType, Message: message})
	content, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(&struct {
		Conditions []metav1.Condition `json:"conditions"`
	}{conditions})
	request.Object["status"] = content
}

// TestProvisioning: one request for the floor, one per expansion, what becomes of them is on the
// job, and what ends without machines is made again.
func TestProvisioning(t *testing.T) {
	w := newWorld(t, parseJob(t, `{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 5}, pytorchReplicaSpecs: {Worker: {replicas: 3}}}}`))
	w.settings.ProvisioningClass = provisioningClass
	w.rest()
	if got := w.requests(); got != "job-expand-3:1 job:2" {
		t.Errorf("requests %q", got)
	}
	for name, want := range map[string]string{"worker-0": "job", "worker-1": "job", "worker-2": "job-expand-3"} {
		if got := w.find(name).Annotations; got[annotationConsumes] != want || got[annotationClass] != provisioningClass {
			t.Errorf("%s: %v", name, got)
		}
	}
	shown := func() string {
		c := condition(&w.Job.Status, conditionProvisioned)
		if c == nil {
			return ""
		}
		return string(c.Status) + " " + c.Message
	}
	const prefix = "False ProvisioningRequest job of class " + provisioningClass
	if want := prefix + " waits for an autoscaler to take it up"; shown() != want {
		t.Errorf("shown %q, want %q", shown(), want)
	}
	answer(w.findRequest("job"), "Accepted", "looking for machines")
	if w.rest(); shown() != prefix+": Accepted is True: looking for machines" {
		t.Errorf("shown %q", shown())
	}
	answer(w.findRequest("job"), "Provisioned", "")
	answer(w.findRequest("job"), "BookingExpired", "nobody came")
	w.rest()
	if w.findRequest("job") != nil || w.told("ProvisioningRetried") != 1 {
		t.Errorf("not taken back; events %v", w.heard)
	}
	w.Now = w.Job.Status.Progress.Provisioning.Retry.Time
	w.lookNow().rest()
	if w.findRequest("job") == nil || w.Job.Status.Progress.Provisioning.Attempts != 1 {
		t.Errorf("not made again: %q", w.requests())
	}
	answer(w.findRequest("job"), "Provisioned", "")
	answer(w.findRequest("job-expand-3"), "Provisioned", "")
	w.run().bind().rest()
	if !strings.HasPrefix(shown(), "True") || w.Job.Status.Progress.Provisioning != nil {
		t.Errorf("shown %q", shown())
	}
	answer(w.findRequest("job"), "BookingExpired", "") // when the pods are there it has served
	if w.rest(); w.findRequest("job") == nil {
		t.Error("taken back though everybody has a machine")
	}
	scaleTo(5)(w)
	if w.rest(); w.requests() != "job-expand-3:1 job-expand-5:2 job:2" {
		t.Errorf("requests %q", w.requests())
	}
	scaleTo(2)(w)
	if w.rest(); w.requests() != "job:2" || len(w.Templates) != 1 {
		t.Errorf("requests %q, %d templates", w.requests(), len(w.Templates))
	}
	w.exit("worker-0", 0).rest().wantState("Succeeded")
	if len(w.Requests)+len(w.Templates) != 0 || shown() != "" {
		t.Errorf("left: %q, %d templates, %q", w.requests(), len(w.Templates), shown())
	}
}

// requests lists requests with the number of pods that they are for.
func (w *world) requests() string {
	var lines []string
	for _, request := range w.Requests {
		sets, _, _ := unstructured.NestedSlice(request.Object, "spec", "podSets")
		for _, set := range sets {
			count, _, _ := unstructured.NestedInt64(set.(map[string]any), "count")
			lines = append(lines, request.GetName()+":"+itoa(int32(count)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func (w *world) findRequest(name string) *unstructured.Unstructured {
	for _, request := range w.Requests {
		if request.GetName() == name {
			return request
		}
	}
	return nil
}

// TestLiveProvisioning: the apiserver takes the requests, with the rights that are opted into,
// and the job shows what the autoscaler (the test) says.
func TestLiveProvisioning(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, and -short was given")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cluster, err := devcluster.Start(ctx, devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster.RESTConfig(), client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, ctx: t.Context(), namespace: "default", name: "job", client: c}
	definition, err := os.ReadFile("testdata/provisioningrequests.yaml")
	l.must(err)
	l.apply(definition)
	rights, err := manifests.Files.ReadFile("rbac/controller-provisioning.yaml")
	l.must(err)
	l.apply(rights)
	l.await("the kind", func() (bool, any) {
		err := c.List(ctx, newRequestList())
		return err == nil, err
	})
	for _, object := range documented(t, "autoscaling.md") {
		if object.GetKind() == ProvisioningRequestKind.Kind {
			object.SetNamespace(l.namespace)
			l.must(c.Create(ctx, object, client.DryRunAll, client.FieldValidation("Strict")))
		}
	}
	settings := DefaultSettings()
	settings.ProvisioningClass = provisioningClass
	mgr, err := newController(ctx, cluster, settings)
	l.must(err)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = cluster.Stop()
	})

	l.must(l.create(oneAndTwo))
	pods := l.awaitPods(oneAndTwoPods...)
	if pods["worker-1"].Annotations[annotationConsumes] != "job" {
		t.Errorf("annotations %v", pods["worker-1"].Annotations)
	}
	request := newRequest()
	if !l.exists(request, "job") {
		t.Fatal("no request")
	}
	for _, name := range []string{"job-master", "job-worker"} {
		template := &corev1.PodTemplate{}
		if !l.exists(template, name) || template.Template.Spec.Containers[0].Name != v1.ContainerName {
			t.Errorf("template %s: %+v", name, template)
		}
	}
	say := func(conditionType, message string) {
		l.exists(request, "job")
		answer(request, conditionType, message)
		l.must(c.Status().Update(ctx, request))
	}
	awaitShown := func(want string) {
		t.Helper()
		l.await("condition "+want, func() (bool, any) {
			shown := condition(&l.job().Status, conditionProvisioned)
			return shown != nil && strings.Contains(shown.Message, want), shown
		})
	}
	say("Accepted", "looking for machines")
	awaitShown("Accepted is True: looking for machines")
	uid := request.GetUID()
	say("Provisioned", "there they are")
	awaitShown("every ProvisioningRequest of the job is met")
	say("BookingExpired", "nobody came")
	l.awaitEvent("ProvisioningRetried")
	l.await("the end of the request", func() (bool, any) {
		found := newRequest()
		return !l.exists(found, "job") || found.GetUID() != uid, "still there"
	})
	if again := l.job().Status.Progress.Provisioning; again == nil || again.Retry.Before(&metav1.Time{Time: time.Now()}) {
		t.Errorf("not tried again: %+v", again)
	}
	l.must(l.edit(policy(func(p *v1.RunPolicy) { p.Suspend = new(true) })))
	l.await("no templates", func() (bool, any) {
		return !l.exists(&corev1.PodTemplate{}, "job-worker") && !l.exists(&corev1.PodTemplate{}, "job-master"), "still there"
	})
}

// apply creates the objects of a YAML text.
func (l *live) apply(text []byte) {
	l.t.Helper()
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		l.must(yaml.Unmarshal(part, &object.Object))
		l.must(l.client.Create(l.ctx, object))
	}
}
