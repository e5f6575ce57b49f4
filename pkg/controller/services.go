package controller

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// wantServices gives each wanted pod a headless Service of its name, which is its
// address, and takes away those of pods that are no longer wanted.
func (p *pass) wantServices() {
	existing := make(map[string]*corev1.Service, len(p.Services))
	for _, service := range p.Services {
		existing[service.Name] = service
	}
	create := p.mayCreate()
	for _, m := range p.members {
		if existing[m.name] == nil && create {
			p.plan.Create = append(p.plan.Create, p.buildService(m))
		}
		delete(existing, m.name)
	}
	for _, service := range p.Services {
		if existing[service.Name] != nil {
			p.remove(service)
		}
	}
}

func (p *pass) buildService(m member) *corev1.Service {
	labels := memberLabels(p.job.Name, m.role, m.index)
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Name:            m.name,
			Namespace:       p.job.Namespace,
			Labels:          labels,
			OwnerReferences: p.owner(),
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  maps.Clone(labels),
			Ports:     servicePorts(v1.Trainer(&p.job.Spec.PyTorchReplicaSpecs[m.role].Template.Spec)),
			// Workers wait for the Master's name before they start, and the Master's
			// readiness may depend on them.
			PublishNotReadyAddresses: true,
		},
	}
}

// servicePorts names every port: a Service with more than one port must.
func servicePorts(trainer *corev1.Container) []corev1.ServicePort {
	type number struct {
		port     int32
		protocol corev1.Protocol
	}
	taken, names := map[number]bool{}, map[string]bool{}
	for _, port := range trainer.Ports {
		names[port.Name] = true
	}
	var ports []corev1.ServicePort
	for _, port := range trainer.Ports {
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		if key := (number{port.ContainerPort, protocol}); taken[key] {
			continue
		} else {
			taken[key] = true
		}
		name := port.Name
		for n := 0; name == ""; n++ {
			candidate := fmt.Sprintf("port-%d", port.ContainerPort)
			if n > 0 {
				candidate = fmt.Sprintf("%s-%d", candidate, n)
			}
			if !names[candidate] {
				names[candidate] = true
				name = candidate
			}
		}
		ports = append(ports, corev1.ServicePort{Name: name, Port: port.ContainerPort, Protocol: port.Protocol})
	}
	return ports
}
