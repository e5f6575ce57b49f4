package manifests

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"
)

func schedulerConfig(t *testing.T) configv1.KubeSchedulerConfiguration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "manifests/scheduler/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config configv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// All profiles share one queue: two ways of sorting it are refused at the start.
func TestProfilesDifferInTheirNameOnly(t *testing.T) {
	profiles := schedulerConfig(t).Profiles
	var names []string
	for _, profile := range profiles {
		names = append(names, *profile.SchedulerName)
		profile.SchedulerName = nil
		other := profiles[0]
		other.SchedulerName = nil
		if !reflect.DeepEqual(profile, other) {
			t.Errorf("profile %s differs from the first one", names[len(names)-1])
		}
	}
	if want := []string{"lockstep", "scheduler-plugins-scheduler"}; !slices.Equal(names, want) {
		t.Errorf("got profiles %v, want %v", names, want)
	}
}

// The lease that the scheduler asks for has to be the one that its role names.
func TestLeaseIsTheOneThatTheRoleNames(t *testing.T) {
	election := schedulerConfig(t).LeaderElection
	for _, role := range ofKind[rbacv1.Role](t, "Role") {
		if role.Name != "lockstep-scheduler" || role.Namespace != election.ResourceNamespace {
			continue
		}
		for _, rule := range role.Rules {
			if slices.Contains(rule.ResourceNames, election.ResourceName) {
				return
			}
		}
	}
	t.Errorf("no rule of Role lockstep-scheduler names the lease %s/%s", election.ResourceNamespace, election.ResourceName)
}

// A change of the configuration has to restart the scheduler: the map's name
// carries a hash, and the Deployment mounts it by that name.
func TestConfigurationIsMounted(t *testing.T) {
	maps := ofKind[corev1.ConfigMap](t, "ConfigMap")
	if len(maps) != 1 || maps[0].Data["config.yaml"] == "" || maps[0].Name == "lockstep-scheduler-config" {
		t.Fatalf("got %v, want one map with config.yaml and a hash in its name", maps)
	}
	for _, object := range rendered(t) {
		if object.GetKind() == "Deployment" && object.GetName() == "lockstep-scheduler" {
			text, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(slices.Collect(lines(string(text))), "name: "+maps[0].Name) {
				t.Errorf("Deployment lockstep-scheduler does not mount %s", maps[0].Name)
			}
		}
	}
}
