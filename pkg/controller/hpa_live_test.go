package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const externalMetrics = "external.metrics.k8s.io"

// serveMetric is a metrics adapter of one metric, registered through the aggregator: what
// an HPA asks the apiserver for comes from here. The returned function sets its value.
func (l *live) serveMetric(name string) (set func(int64)) {
	l.t.Helper()
	var value atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/apis/"+externalMetrics+"/v1beta1":
			_ = json.NewEncoder(w).Encode(metav1.APIResourceList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: externalMetrics + "/v1beta1",
				APIResources: []metav1.APIResource{{Name: name, Kind: "ExternalMetricValueList", Namespaced: true, Verbs: []string{"get"}}},
			})
		case strings.HasSuffix(r.URL.Path, "/"+name):
			fmt.Fprintf(w, `{"apiVersion":"%s/v1beta1","kind":"ExternalMetricValueList","metadata":{},"items":[
				{"metricName":%q,"metricLabels":{},"timestamp":%q,"value":"%d"}]}`,
				externalMetrics, name, metav1.Now().UTC().Format("2006-01-02T15:04:05Z"), value.Load())
		default:
			http.NotFound(w, r)
		}
	}))
	l.t.Cleanup(server.Close)
	_, text, err := net.SplitHostPort(server.Listener.Addr().String())
	l.must(err)
	port, err := strconv.Atoi(text)
	l.must(err)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "metrics", Namespace: l.namespace},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}
	l.must(l.client.Create(l.ctx, service))
	api := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "v1beta1." + externalMetrics},
		"spec": map[string]any{
			"group": externalMetrics, "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"namespace": l.namespace, "name": "metrics", "port": int64(port)},
		},
	}}
	api.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
	l.must(l.client.Create(l.ctx, api))
	l.t.Cleanup(func() { _ = l.client.Delete(context.Background(), api) })
	return value.Store
}

// TestLiveAutoscaler: the cluster's own HPA controller sizes a job by its metrics, up and down.
func TestLiveAutoscaler(t *testing.T) {
	l := newLive(t)
	set := l.serveMetric("queue_depth")
	set(20)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 4, maxRestarts: 10, metrics: [
		{type: External, external: {metric: {name: queue_depth}, target: {type: AverageValue, averageValue: 10}}}]},
		pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`))
	uid := l.awaitPods("worker-0", "worker-1")["worker-0"].UID
	l.run("worker-0", "worker-1")
	l.awaitState(v1.JobRunning)
	set(40)
	l.awaitPods("worker-0", "worker-1", "worker-2", "worker-3")
	l.run("worker-2", "worker-3")
	l.await("four active Workers", func() (bool, any) {
		active := l.job().Status.ReplicaStatuses[v1.Worker].Active
		return active == 4, active
	})
	l.wantScale(4, 4)
	set(10)
	if pods := l.awaitPods("worker-0"); pods["worker-0"].UID != uid {
		t.Error("worker-0 was replaced")
	}
	l.awaitState(v1.JobRunning)
	l.exit("worker-0", 0)
	l.awaitState(v1.JobSucceeded)
}
