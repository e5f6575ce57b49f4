package manifests

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// The namespace enforces the restricted standard; a pod that breaks it would
// never start, and only the Deployment's events would say why.
func TestPodsAreRestricted(t *testing.T) {
	for _, deployment := range ofKind[appsv1.Deployment](t, "Deployment") {
		pod := deployment.Spec.Template.Spec
		wrong := breaches(pod)
		if pod.PriorityClassName != "system-cluster-critical" {
			wrong = append(wrong, "its priority class is "+pod.PriorityClassName)
		}
		if pod.ServiceAccountName == "" || pod.ServiceAccountName == "default" {
			wrong = append(wrong, "it has no service account of its own")
		}
		for _, breach := range wrong {
			t.Errorf("%s: %s", deployment.Name, breach)
		}
	}
}

func breaches(pod corev1.PodSpec) []string {
	var wrong []string
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser != 65532 {
		wrong = append(wrong, "it does not run as the user 65532")
	}
	if s := pod.SecurityContext; s == nil || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		wrong = append(wrong, "its seccomp profile is not RuntimeDefault")
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		wrong = append(wrong, "it shares a namespace of its host")
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		wrong = append(wrong, containerBreaches(c)...)
	}
	return wrong
}

func containerBreaches(c corev1.Container) []string {
	var wrong []string
	add := func(bad bool, what string) {
		if bad {
			wrong = append(wrong, fmt.Sprintf("container %s %s", c.Name, what))
		}
	}
	s := c.SecurityContext
	if s == nil {
		return []string{"container " + c.Name + " has no security context"}
	}
	add(s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation, "may gain privileges")
	add(s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem, "can write to its root file system")
	add(s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}), "keeps capabilities")
	add(s.Capabilities != nil && len(s.Capabilities.Add) > 0, "adds capabilities")
	add(c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero(), "requests no cpu or memory")
	add(c.Resources.Limits.Memory().IsZero(), "has no memory limit")
	add(c.LivenessProbe == nil || c.ReadinessProbe == nil, "lacks a probe")
	return wrong
}

// One image, one tag: kustomize has to have replaced the placeholder everywhere.
func TestAllContainersRunTheSameImage(t *testing.T) {
	images := map[string]bool{}
	for _, deployment := range ofKind[appsv1.Deployment](t, "Deployment") {
		for _, c := range deployment.Spec.Template.Spec.Containers {
			images[c.Image] = true
		}
	}
	if len(images) != 1 || images["lockstep"] {
		t.Errorf("got images %v, want one with a tag", images)
	}
}

// The policy lets in what the containers listen on, and nothing else.
func TestNetworkPolicyOpensWhatListens(t *testing.T) {
	var listening, open []int32
	for _, deployment := range ofKind[appsv1.Deployment](t, "Deployment") {
		for _, c := range deployment.Spec.Template.Spec.Containers {
			for _, port := range c.Ports {
				listening = append(listening, port.ContainerPort)
			}
		}
	}
	for _, policy := range ofKind[networkingv1.NetworkPolicy](t, "NetworkPolicy") {
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				open = append(open, port.Port.IntVal)
			}
		}
	}
	slices.Sort(listening)
	slices.Sort(open)
	if !slices.Equal(slices.Compact(listening), slices.Compact(open)) {
		t.Errorf("containers listen on %v, the network policy opens %v", listening, open)
	}
}

// A flag that the program does not know ends it at the start.
func TestProgramsKnowTheirFlags(t *testing.T) {
	if testing.Short() {
		t.Skip("the programs have to be built for this, and -short was given")
	}
	bin, err := devcluster.FindBinDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, deployment := range ofKind[appsv1.Deployment](t, "Deployment") {
		for _, c := range deployment.Spec.Template.Spec.Containers {
			help, err := exec.Command(filepath.Join(bin, c.Command[0]), "--help").CombinedOutput()
			if err != nil {
				t.Fatalf("%s --help: %v; run make build\n%s", c.Command[0], err, help)
			}
			for _, arg := range c.Args {
				flag, _, _ := strings.Cut(arg, "=")
				if !strings.Contains(string(help), flag+" ") {
					t.Errorf("%s: %s does not know the flag %s", deployment.Name, c.Command[0], flag)
				}
			}
		}
	}
}
