package processnode

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

func TestExpand(t *testing.T) {
	value := func(name string) (string, bool) { return "<" + name + ">", name != "UNKNOWN" }
	for text, want := range map[string]string{
		"plain":           "plain",
		"$(A)-$(B)":       "<A>-<B>",
		"$(UNKNOWN)":      "$(UNKNOWN)",
		"$$(A)":           "$(A)",
		"$$$(A)":          "$<A>",
		"cost: 5$":        "cost: 5$",
		"$A is the shell": "$A is the shell",
		"$(A":             "$(A",
	} {
		if got := expand(text, value); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestContainerEnv(t *testing.T) {
	world := &fakeCluster{
		maps:    map[string]*v1.ConfigMap{"ns/settings": {Data: map[string]string{"LEVEL": "9", "WINS": "configmap"}}},
		secrets: map[string]*v1.Secret{"ns/keys": {Data: map[string][]byte{"word": []byte("sesame")}}},
	}
	pod := script("p", "")
	pod.Namespace, pod.Annotations = "ns", map[string]string{"note": "hi"}
	c := &pod.Spec.Containers[0]
	c.Resources.Limits = v1.ResourceList{v1.ResourceMemory: quantity("1500Mi")}
	field := func(name, path string) v1.EnvVar {
		return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}}
	}
	limit := func(name, of, divisor string) v1.EnvVar {
		ref := &v1.ResourceFieldSelector{Resource: of, Divisor: quantity(divisor)}
		return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{ResourceFieldRef: ref}}
	}
	optional := &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "absent"}, Key: "x", Optional: new(true)}
	c.EnvFrom = []v1.EnvFromSource{{Prefix: "S_", SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "keys"}}},
		{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}}}
	c.Env = []v1.EnvVar{
		{Name: "WINS", Value: "env"}, {Name: "SEEN", Value: "$(LEVEL)/$(WINS)/$(LATER)"}, {Name: "LATER", Value: "1"},
		{Name: "ABSENT", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: optional}},
		field("IP", "status.podIP"), field("NOTE", "metadata.annotations['note']"), field("APP", "metadata.labels['app']"),
		limit("GIB", "limits.memory", "1Gi"), limit("CPUS", "limits.cpu", "1"),
	}
	env := &environment{}
	d := downward{podIP: "10.0.0.9", allocatable: v1.ResourceList{v1.ResourceCPU: quantity("128")}}
	if err := containerEnv(env, pod, c, d, world); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"S_word=sesame", "LEVEL=9", "WINS=env", "SEEN=9/env/$(LATER)", "LATER=1", "IP=10.0.0.9", "NOTE=hi", "APP=p", "GIB=2", "CPUS=128",
	}
	if got := env.list(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, bad := range []struct {
		entry v1.EnvVar
		want  string
	}{
		{field("X", "spec.color"), `env[0] X: fieldRef.fieldPath "spec.color" is not a field of the downward API`},
		{limit("X", "memory", "1"), `want limits.<name> or requests.<name>`},
		{v1.EnvVar{Name: "X", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{
			LocalObjectReference: v1.LocalObjectReference{Name: "keys"}, Key: "no"}}}, `Secret ns/keys has no key "no"`},
	} {
		c.Env = []v1.EnvVar{bad.entry}
		if err := containerEnv(&environment{}, pod, c, d, world); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("got error %v, want %q", err, bad.want)
		}
	}
}

// TestEnvWithoutNamespaces has names, ports and paths of the cluster replaced by what is true on the machine.
func TestEnvWithoutNamespaces(t *testing.T) {
	env := &environment{}
	for name, value := range map[string]string{
		"MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456", "PET_RDZV_ENDPOINT": "job-worker-0.ns:23456", "OTHER_ADDR": "example.org",
		"POD": "job-master-0", "DATA": "/workspace/data", "PATH": "/.lockstep/bin:/usr/bin",
	} {
		env.set(name, value)
	}
	resolve := func(name string) []string {
		return map[string][]string{"job-master-0": {"127.9.0.2"}, "job-worker-0.ns": {"127.9.0.3"}}[name]
	}
	mounts := []sandbox.Mount{{Source: "/home/me/examples", Target: "/workspace"}, {Source: "/data/bin", Target: "/.lockstep/bin"}}
	translateEnv(env, mounts, resolve, func(string) string { return "40001" })
	for name, want := range map[string]string{
		"MASTER_ADDR": "127.9.0.2", "MASTER_PORT": "40001", "PET_RDZV_ENDPOINT": "127.9.0.3:40001", "OTHER_ADDR": "example.org",
		"POD": "job-master-0", "DATA": "/home/me/examples/data", "PATH": "/data/bin:/usr/bin",
	} {
		if got, _ := env.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestFieldsWithoutEffect(t *testing.T) {
	pod := script("p", "")
	pod.Spec.SecurityContext = &v1.PodSecurityContext{} // the apiserver gives this to every pod
	if paths := ignoredFields(pod); len(paths) != 0 {
		t.Errorf("a plain pod has %q", paths)
	}
	pod.Spec.SecurityContext.RunAsUser = new(int64(1000))
	pod.Spec.InitContainers = []v1.Container{{Lifecycle: &v1.Lifecycle{}}}
	want := []string{"spec.securityContext", "spec.initContainers[0].lifecycle"}
	if paths := ignoredFields(pod); !slices.Equal(paths, want) {
		t.Errorf("got %q, want %q", paths, want)
	}
}

func TestStatusPatchKeepsWhatIsOthers(t *testing.T) {
	pod := script("p", "")
	pod.Status.Conditions = []v1.PodCondition{
		{Type: v1.PodScheduled, Status: v1.ConditionTrue}, {Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: "PreemptedByGang"},
	}
	f := facts{podIP: "10.0.0.9", containers: map[string]containerFacts{}}
	patch, err := statusPatch(pod, podStatus(pod, f, metav1.Now()))
	if err != nil {
		t.Fatal(err)
	}
	for _, others := range []string{"PodScheduled", "DisruptionTarget"} {
		if strings.Contains(string(patch), `"status":"True","type":"`+others) || strings.Contains(string(patch), `"$patch":"delete"`) {
			t.Errorf("the patch touches %s:\n%s", others, patch)
		}
	}
	if !strings.Contains(string(patch), `"uid":"p-uid"`) {
		t.Errorf("the patch would fit a pod that was created again:\n%s", patch)
	}
	pod.Status = podStatus(pod, f, metav1.Now())
	if patch, err := statusPatch(pod, pod.Status); patch != nil || err != nil {
		t.Errorf("nothing changed, and the patch is %s (%v)", patch, err)
	}
}
