package devcluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

func TestInstallationIsTheShippedOneWithoutDeployments(t *testing.T) {
	objects, err := installation(manifests.Files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		got = append(got, object.GetKind()+" "+object.GetName())
	}
	for _, want := range []string{
		"Namespace lockstep-system", "ServiceAccount lockstep-scheduler", "ServiceAccount lockstep-controller",
		"CustomResourceDefinition pytorchjobs.kubeflow.org", "CustomResourceDefinition podgroups.scheduling.x-k8s.io",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not installed", want)
		}
	}
	if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "Deployment") }) {
		t.Errorf("a Deployment would be installed: %q", got)
	}
}

func TestInstallationNamesTheMissingFile(t *testing.T) {
	files := fstest.MapFS{"kustomization.yaml": {Data: []byte("resources: [rbac/lost.yaml]")}}
	if _, err := installation(files); err == nil || !strings.Contains(err.Error(), "rbac/lost.yaml") {
		t.Errorf("error %v does not name the file", err)
	}
}

func TestSchedulerConfig(t *testing.T) {
	type config struct {
		ClientConnection struct {
			Kubeconfig string  `json:"kubeconfig"`
			QPS        float64 `json:"qps"`
		} `json:"clientConnection"`
		LeaderElection struct {
			LeaderElect  bool   `json:"leaderElect"`
			ResourceName string `json:"resourceName"`
		} `json:"leaderElection"`
		Profiles []struct {
			SchedulerName string `json:"schedulerName"`
		} `json:"profiles"`
	}
	for _, test := range []struct {
		name    string
		options ProgramOptions
		profile string
		lease   string
	}{
		{"shipped", ProgramOptions{}, "lockstep", "lockstep-scheduler"},
		{"with leader election", ProgramOptions{LeaderElection: true}, "lockstep", "lockstep-scheduler"},
		{"own", ProgramOptions{Config: []byte("profiles: [{schedulerName: mine}]")}, "mine", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := schedulerConfig(test.options, "/some/kubeconfig")
			if err != nil {
				t.Fatal(err)
			}
			var got config
			if err := yaml.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if got.ClientConnection.Kubeconfig != "/some/kubeconfig" || got.LeaderElection.LeaderElect != test.options.LeaderElection {
				t.Errorf("connection and leader election are not filled in:\n%s", text)
			}
			if len(got.Profiles) == 0 || got.Profiles[0].SchedulerName != test.profile || got.LeaderElection.ResourceName != test.lease {
				t.Errorf("the rest has changed:\n%s", text)
			}
		})
	}
	if _, err := schedulerConfig(ProgramOptions{Config: []byte("{")}, ""); err == nil {
		t.Error("a configuration that is no YAML was taken")
	}
}

func TestControlPlaneOfKubebuilderIsPreferred(t *testing.T) {
	assets, bin := t.TempDir(), t.TempDir()
	t.Setenv(assetsEnv, assets)
	for _, path := range []string{filepath.Join(assets, etcdName), filepath.Join(bin, controlPlaneBinary)} {
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	theirs, err := findComponent(bin, etcdName)
	if err != nil || theirs.path != filepath.Join(assets, etcdName) || theirs.dieWithPipe || len(theirs.args) > 0 {
		t.Errorf("etcd of the assets: %+v, %v", theirs, err)
	}
	ours, err := findComponent(bin, apiServerName)
	if err != nil || ours.path != filepath.Join(bin, controlPlaneBinary) || !slices.Equal(ours.args, []string{apiServerName}) {
		t.Errorf("kube-apiserver, which the assets lack: %+v, %v", ours, err)
	}
	if _, err := findComponent(t.TempDir(), apiServerName); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v does not say how to get the binary", err)
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for want, options := range map[string]Options{
		"nodes":      {Nodes: -1},
		"node lease": {NodeLease: time.Second},
		"rack size":  {Shape: fakenodes.Shape{RackSize: -1}},
	} {
		_, err := Start(t.Context(), options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v does not name %s", options, err, want)
		}
	}
}
