package main

import (
	"strings"
	"testing"
)

func TestQueueRules(t *testing.T) {
	check := newJudge(t, "lockstep.dev_queues.yaml")
	for _, tt := range []struct{ name, spec, want string }{
		{"all of it", "{parent: research, namespaces: [a, b], weight: 2, resources: [{name: nvidia.com/gpu, guaranteed: 8, cap: '16'}, {name: nvidia.com/gpu, model: A100, cap: 4}, {name: cpu, guaranteed: 500m}]}", ""},
		{"nothing", "{}", ""},
		{"its own parent", "{parent: vision}", `spec.parent: Invalid value`},
		{"weight", "{weight: 0}", "spec.weight"},
		{"negative guarantee", "{resources: [{name: cpu, guaranteed: -1}]}", "spec.resources[0].guaranteed: Invalid value"},
		{"negative cap", "{resources: [{name: cpu, cap: -500m}]}", "spec.resources[0].cap: Invalid value"},
		{"guarantee above the cap", "{resources: [{name: cpu, guaranteed: 2, cap: 1500m}]}", "must not be above the cap"},
		{"no quantity", "{resources: [{name: cpu, cap: many}]}", "spec.resources[0].cap"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := check(parse(t, "{apiVersion: lockstep.dev/v1alpha1, kind: Queue, metadata: {name: vision}, spec: "+tt.spec+"}"), nil)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
