package processnode

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// volume is a volume of a pod on this machine's disk.
type volume struct {
	path     string
	readOnly bool
}

// fileTree is the content of a volume: text by path relative to the volume.
type fileTree map[string]string

// volumeContent computes what a volume holds at first; writable is true for one that the pod may write to.
func volumeContent(pod *v1.Pod, v *v1.Volume, d downward, from sources) (files fileTree, writable bool, err error) {
	files = fileTree{}
	switch {
	case v.EmptyDir != nil:
		return files, true, nil
	case v.ConfigMap != nil:
		err = addConfigMap(files, pod.Namespace, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional, from)
	case v.Secret != nil:
		err = addSecret(files, pod.Namespace, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional, from)
	case v.DownwardAPI != nil:
		err = addDownward(files, pod, v.DownwardAPI.Items, d)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			switch {
			case s.ConfigMap != nil:
				err = addConfigMap(files, pod.Namespace, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional, from)
			case s.Secret != nil:
				err = addSecret(files, pod.Namespace, s.Secret.Name, s.Secret.Items, s.Secret.Optional, from)
			case s.DownwardAPI != nil:
				err = addDownward(files, pod, s.DownwardAPI.Items, d)
			case s.ServiceAccountToken != nil, s.ClusterTrustBundle != nil, s.PodCertificate != nil:
				// Left out: a pod here has no way to the apiserver, and every pod gets such a volume unasked.
			}
			if err != nil {
				break
			}
		}
	default:
		err = fmt.Errorf("the process node has no volumes of kind %s (it has emptyDir, configMap, secret, downwardAPI and projected)", volumeKind(v))
	}
	if err != nil {
		return nil, false, fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return files, false, nil
}

func volumeKind(v *v1.Volume) string {
	source := reflect.ValueOf(v.VolumeSource)
	for i := range source.NumField() {
		if !source.Field(i).IsZero() {
			name, _, _ := strings.Cut(source.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return "emptyDir"
}

func addConfigMap(files fileTree, namespace, name string, items []v1.KeyToPath, optional *bool, from sources) error {
	object, err := from.ConfigMap(namespace, name)
	if err != nil {
		return unless(optional, err)
	}
	data := map[string]string{}
	maps.Copy(data, object.Data)
	for k, v := range object.BinaryData {
		data[k] = string(v)
	}
	return addItems(files, fmt.Sprintf("ConfigMap %s/%s", namespace, name), data, items, optional)
}

func addSecret(files fileTree, namespace, name string, items []v1.KeyToPath, optional *bool, from sources) error {
	object, err := from.Secret(namespace, name)
	if err != nil {
		return unless(optional, err)
	}
	data := map[string]string{}
	for k, v := range object.Data {
		data[k] = string(v)
	}
	return addItems(files, fmt.Sprintf("Secret %s/%s", namespace, name), data, items, optional)
}

func addItems(files fileTree, object string, data map[string]string, items []v1.KeyToPath, optional *bool) error {
	if len(items) == 0 {
		maps.Copy(files, data)
		return nil
	}
	for _, item := range items {
		text, ok := data[item.Key]
		if !ok {
			if err := unless(optional, fmt.Errorf("%s has no key %q", object, item.Key)); err != nil {
				return err
			}
			continue
		}
		files[item.Path] = text
	}
	return nil
}

func addDownward(files fileTree, pod *v1.Pod, items []v1.DownwardAPIVolumeFile, d downward) error {
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = podField(pod, item.FieldRef.FieldPath, d)
		case item.ResourceFieldRef != nil:
			c := containerNamed(pod, item.ResourceFieldRef.ContainerName)
			if c == nil {
				return fmt.Errorf("downwardAPI item %s: no container %q", item.Path, item.ResourceFieldRef.ContainerName)
			}
			text, err = resourceField(pod, c, item.ResourceFieldRef, d)
		}
		if err != nil {
			return err
		}
		files[item.Path] = text
	}
	return nil
}

// makeVolumes puts the pod's volumes below dir. Writable ones belong to the user that commands run as.
func makeVolumes(pod *v1.Pod, dir string, d downward, from sources, own func(path string) error) (map[string]volume, error) {
	made := map[string]volume{}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		files, writable, err := volumeContent(pod, v, d, from)
		if err != nil {
			return nil, err
		}
		root := filepath.Join(dir, v.Name)
		if err := os.MkdirAll(root, 0o755); err != nil {
			return nil, err
		}
		for _, name := range sortedKeys(files) {
			if err := writeInside(root, name, files[name]); err != nil {
				return nil, fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
		if writable {
			if err := own(root); err != nil {
				return nil, err
			}
		}
		made[v.Name] = volume{path: root, readOnly: !writable}
	}
	return made, nil
}

func writeInside(root, name, text string) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("path %q leads out of the volume", name)
	}
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// volumeMounts are the mounts of one container.
func volumeMounts(c *v1.Container, volumes map[string]volume, env *environment, own func(path string) error) ([]sandbox.Mount, error) {
	var mounts []sandbox.Mount
	for _, m := range c.VolumeMounts {
		v, ok := volumes[m.Name]
		if !ok {
			return nil, fmt.Errorf("volumeMounts %s: no such volume", m.Name)
		}
		source := v.path
		if sub := m.SubPath + expand(m.SubPathExpr, env.get); sub != "" {
			if !filepath.IsLocal(sub) {
				return nil, fmt.Errorf("volumeMounts %s: subPath %q leads out of the volume", m.Name, sub)
			}
			source = filepath.Join(v.path, sub)
			if _, err := os.Stat(source); err != nil && !v.readOnly {
				if err := os.MkdirAll(source, 0o755); err != nil {
					return nil, err
				}
				if err := own(source); err != nil {
					return nil, err
				}
			}
		}
		mounts = append(mounts, sandbox.Mount{Source: source, Target: filepath.Clean(m.MountPath), ReadOnly: v.readOnly || m.ReadOnly})
	}
	return mounts, nil
}
