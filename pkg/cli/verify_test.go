package cli

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.dev/lockstep/pkg/gang"
)

// Room that is reserved for one gang is no room for another, and is room for itself.
func TestVerdictsKnowReservations(t *testing.T) {
	const member = `---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-0, labels: {scheduling.x-k8s.io/pod-group: %[1]s}}
spec: {containers: [{name: main, image: x, resources: {limits: {nvidia.com/gpu: %[2]d}}}]}
---
apiVersion: scheduling.x-k8s.io/v1alpha1
kind: PodGroup
metadata: {name: %[1]s}
spec: {minMember: 1}
`
	const reservation = `status:
  reservation:
    kind: Draining
    since: "2026-01-01T00:00:00Z"
    expectedStart: "2026-01-01T01:00:00Z"
    nodes: [{name: node-0, resources: {nvidia.com/gpu: "8"}}]
`
	first, large := gang.Key{Namespace: "default", Name: "first"}, gang.Key{Namespace: "default", Name: "large"}
	for _, test := range []struct {
		name, status string
		want         map[gang.Key]bool
	}{
		{"reserved for large", reservation, map[gang.Key]bool{first: false, large: true}},
		{"not reserved", "", map[gang.Key]bool{first: true, large: false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "cluster.yaml", fmt.Sprintf(nodeManifest, "node-0", 0, 8)+
				fmt.Sprintf(member, "first", 1)+fmt.Sprintf(member, "large", 8)+test.status)
			w := newWorld()
			if err := w.addManifests([]string{filepath.Join(dir, "cluster.yaml")}, strings.NewReader(""), "default", "lockstep"); err != nil {
				t.Fatal(err)
			}
			verdicts, err := (&inspection{schedulerName: "lockstep"}).verdicts(w)
			if err != nil {
				t.Fatal(err)
			}
			got := map[gang.Key]bool{}
			for _, v := range verdicts {
				got[v.Gang] = v.Fits
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("fits: %v, want %v", got, test.want)
			}
		})
	}
}
