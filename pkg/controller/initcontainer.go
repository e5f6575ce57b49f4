package controller

import (
	"bytes"
	"fmt"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// Defaults of the container in which Workers wait for their Master.
const (
	DefaultInitImage = "alpine:3.10"
	DefaultInitTries = 100
)

// InitContainer waits until the Master's name resolves, and gives up after some tries,
// two seconds apart. Its command is part of the contract with those who compare specs.
func InitContainer(image string, tries int) func(master string) corev1.Container {
	return func(master string) corev1.Container {
		command := fmt.Sprintf("err=1;for i in $(seq %d); do if nslookup %s; then err=0 && break; fi;"+
			"echo waiting for master; sleep 2; done; exit $err", tries, master)
		return corev1.Container{
			Name:            "init-pytorch",
			Image:           image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Command:         []string{"sh", "-c", command},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("10Mi"),
				},
				Limits: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("20Mi"),
				},
			},
		}
	}
}

// InitContainerFromTemplate makes the container from a Go template of its YAML, with
// the fields MasterAddr, InitContainerImage and MaxTries. It fails on a template that
// gives no container.
func InitContainerFromTemplate(text, image string, tries int) (func(master string) corev1.Container, error) {
	parsed, err := template.New("init container").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	render := func(master string) (corev1.Container, error) {
		var out bytes.Buffer
		container := corev1.Container{}
		err := parsed.Execute(&out, map[string]any{
			"MasterAddr": master, "InitContainerImage": image, "MaxTries": tries,
		})
		if err != nil {
			return container, err
		}
		if err := yaml.UnmarshalStrict(out.Bytes(), &container); err != nil {
			// A list with one container is what older templates hold.
			var list []corev1.Container
			if yaml.UnmarshalStrict(out.Bytes(), &list) != nil || len(list) != 1 {
				return container, err
			}
			container = list[0]
		}
		return container, nil
	}
	if container, err := render("master-0"); err != nil {
		return nil, err
	} else if container.Name == "" || container.Image == "" {
		return nil, fmt.Errorf("the template gives a container without name or image")
	}
	return func(master string) corev1.Container {
		container, _ := render(master) // tried above; the name of the Master cannot break it
		return container
	}, nil
}
