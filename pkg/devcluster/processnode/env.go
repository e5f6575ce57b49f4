package processnode

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// sources are the objects that environment variables and volumes may take values from.
type sources interface {
	ConfigMap(namespace, name string) (*v1.ConfigMap, error)
	Secret(namespace, name string) (*v1.Secret, error)
}

// downward is what of a pod is known only on its node.
type downward struct {
	podIP       string
	hostIP      string
	allocatable v1.ResourceList
}

// expand replaces $(NAME) by the value of NAME and $$ by $; a reference to an unknown name stays as it is.
func expand(text string, value func(string) (string, bool)) string {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at == len(text)-1 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		text = text[at:]
		switch text[1] {
		case '$':
			out.WriteByte('$')
			text = text[2:]
		case '(':
			end := strings.IndexByte(text, ')')
			if end < 0 {
				out.WriteString(text)
				return out.String()
			}
			if v, ok := value(text[2:end]); ok {
				out.WriteString(v)
			} else {
				out.WriteString(text[:end+1])
			}
			text = text[end+1:]
		default:
			out.WriteByte('$')
			text = text[1:]
		}
	}
}

// environment is an ordered list of variables in which the last entry of a name wins.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) get(name string) (string, bool) {
	v, ok := e.values[name]
	return v, ok
}

// list is the environment as a process takes it.
func (e *environment) list() []string {
	list := make([]string, 0, len(e.names))
	for _, name := range e.names {
		list = append(list, name+"="+e.values[name])
	}
	return list
}

// containerEnv adds the container's own variables to a starting environment, in the order that Kubernetes
// gives: envFrom, then env, where later entries see earlier ones.
func containerEnv(env *environment, pod *v1.Pod, c *v1.Container, d downward, from sources) error {
	for i, f := range c.EnvFrom {
		data, err := envFrom(pod.Namespace, f, from)
		if err != nil {
			return fmt.Errorf("container %s: envFrom[%d]: %w", c.Name, i, err)
		}
		for _, name := range sortedKeys(data) {
			env.set(f.Prefix+name, data[name])
		}
	}
	for i, e := range c.Env {
		value := expand(e.Value, env.get)
		if e.ValueFrom != nil {
			var present bool
			var err error
			value, present, err = valueFrom(pod, c, e.ValueFrom, d, from)
			if err != nil {
				return fmt.Errorf("container %s: env[%d] %s: %w", c.Name, i, e.Name, err)
			}
			if !present {
				continue
			}
		}
		env.set(e.Name, value)
	}
	return nil
}

func envFrom(namespace string, f v1.EnvFromSource, from sources) (map[string]string, error) {
	data := map[string]string{}
	switch {
	case f.ConfigMapRef != nil:
		object, err := from.ConfigMap(namespace, f.ConfigMapRef.Name)
		if err != nil {
			return nil, unless(f.ConfigMapRef.Optional, err)
		}
		maps.Copy(data, object.Data)
	case f.SecretRef != nil:
		object, err := from.Secret(namespace, f.SecretRef.Name)
		if err != nil {
			return nil, unless(f.SecretRef.Optional, err)
		}
		for k, v := range object.Data {
			data[k] = string(v)
		}
	}
	return data, nil
}

// valueFrom is the value of a reference; present is false for an optional one that leads nowhere.
func valueFrom(pod *v1.Pod, c *v1.Container, ref *v1.EnvVarSource, d downward, from sources) (value string, present bool, err error) {
	switch {
	case ref.FieldRef != nil:
		value, err = podField(pod, ref.FieldRef.FieldPath, d)
		return value, err == nil, err
	case ref.ResourceFieldRef != nil:
		value, err = resourceField(pod, c, ref.ResourceFieldRef, d)
		return value, err == nil, err
	case ref.ConfigMapKeyRef != nil:
		r := ref.ConfigMapKeyRef
		object, err := from.ConfigMap(pod.Namespace, r.Name)
		if err != nil {
			return "", false, unless(r.Optional, err)
		}
		if v, ok := object.Data[r.Key]; ok {
			return v, true, nil
		}
		return "", false, unless(r.Optional, fmt.Errorf("ConfigMap %s/%s has no key %q", pod.Namespace, r.Name, r.Key))
	case ref.SecretKeyRef != nil:
		r := ref.SecretKeyRef
		object, err := from.Secret(pod.Namespace, r.Name)
		if err != nil {
			return "", false, unless(r.Optional, err)
		}
		if v, ok := object.Data[r.Key]; ok {
			return string(v), true, nil
		}
		return "", false, unless(r.Optional, fmt.Errorf("Secret %s/%s has no key %q", pod.Namespace, r.Name, r.Key))
	}
	return "", false, fmt.Errorf("this kind of valueFrom is not known to the process node")
}

func unless(optional *bool, err error) error {
	if optional != nil && *optional {
		return nil
	}
	return err
}

// podField is a field of the pod by its path in the downward API.
func podField(pod *v1.Pod, path string, d downward) (string, error) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return keyValues(pod.Labels), nil
	case "metadata.annotations":
		return keyValues(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return d.podIP, nil
	case "status.hostIP", "status.hostIPs":
		return d.hostIP, nil
	}
	return "", fmt.Errorf("fieldRef.fieldPath %q is not a field of the downward API", path)
}

func subscript(path, of string) (string, bool) {
	rest, ok := strings.CutPrefix(path, of+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

func keyValues(m map[string]string) string {
	var lines []string
	for _, k := range sortedKeys(m) {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

// resourceField is a container's request or limit in units of the divisor, rounded up. Without a limit it is the node's allocatable.
func resourceField(pod *v1.Pod, c *v1.Container, ref *v1.ResourceFieldSelector, d downward) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		other := containerNamed(pod, ref.ContainerName)
		if other == nil {
			return "", fmt.Errorf("resourceFieldRef.containerName %q: no such container", ref.ContainerName)
		}
		c = other
	}
	kind, name, ok := strings.Cut(ref.Resource, ".")
	var list v1.ResourceList
	switch {
	case ok && kind == "limits":
		list = c.Resources.Limits
	case ok && kind == "requests":
		list = c.Resources.Requests
	default:
		return "", fmt.Errorf("resourceFieldRef.resource %q: want limits.<name> or requests.<name>", ref.Resource)
	}
	quantity, found := list[v1.ResourceName(name)]
	if !found && kind == "limits" {
		quantity = d.allocatable[v1.ResourceName(name)]
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	units := math.Ceil(quantity.AsApproximateFloat64() / divisor.AsApproximateFloat64())
	return strconv.FormatInt(int64(units), 10), nil
}

func containerNamed(pod *v1.Pod, name string) *v1.Container {
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// commandLine is the container's command and arguments with $(NAME) replaced.
func commandLine(c *v1.Container, env *environment) []string {
	var argv []string
	for _, list := range [][]string{c.Command, c.Args} {
		for _, word := range list {
			argv = append(argv, expand(word, env.get))
		}
	}
	return argv
}
