package processnode

import (
	"fmt"
	"reflect"

	v1 "k8s.io/api/core/v1"
)

// ignoredFields are the paths of those fields of a pod that ask for something and have no effect here.
func ignoredFields(pod *v1.Pod) []string {
	var paths []string
	note := func(set bool, path string) {
		if set {
			paths = append(paths, path)
		}
	}
	s := &pod.Spec
	note(s.HostNetwork, "spec.hostNetwork")
	note(s.HostPID, "spec.hostPID")
	note(s.HostIPC, "spec.hostIPC")
	note(s.DNSConfig != nil, "spec.dnsConfig")
	note(s.SecurityContext != nil && !reflect.DeepEqual(s.SecurityContext, &v1.PodSecurityContext{}), "spec.securityContext")
	for _, list := range []struct {
		path       string
		containers []v1.Container
	}{{"spec.initContainers", s.InitContainers}, {"spec.containers", s.Containers}} {
		for i := range list.containers {
			c, path := &list.containers[i], fmt.Sprintf("%s[%d].", list.path, i)
			note(c.LivenessProbe != nil, path+"livenessProbe")
			note(c.StartupProbe != nil, path+"startupProbe")
			note(c.Lifecycle != nil, path+"lifecycle")
			note(c.SecurityContext != nil, path+"securityContext")
			note(len(c.VolumeDevices) > 0, path+"volumeDevices")
			note(len(c.RestartPolicyRules) > 0, path+"restartPolicyRules")
		}
	}
	return paths
}
