package controller

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// TestLiveRefusalsAreCounted: the apiserver refuses jobs, by the rules of their definition, so it counts
// them, in the series from which docs/metrics.md makes lockstep_admission_rejections_total.
func TestLiveRefusalsAreCounted(t *testing.T) {
	l := newLive(t)
	clientset, err := kubernetes.NewForConfig(shared.cluster.RESTConfig())
	l.must(err)
	count := func() (n float64) {
		text, err := clientset.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(l.ctx)
		l.must(err)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
		l.must(err)
		for _, m := range families["apiserver_request_total"].GetMetric() {
			labels := map[string]string{}
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			if labels["code"] == "422" && labels["group"] == "kubeflow.org" && labels["resource"] == "pytorchjobs" {
				n += m.GetCounter().GetValue()
			}
		}
		return n
	}
	before := count()
	for range 3 {
		if err := l.create("{spec: {}}"); err == nil {
			t.Fatal("a job without roles is taken")
		}
	}
	l.await("three more", func() (bool, any) { // other tests have jobs refused at the same time, and it answers before it counts
		after := count()
		return after >= before+3, fmt.Sprintf("%v jobs were refused before, %v after three more", before, after)
	})
}
