package kube

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"lockstep.dev/lockstep/pkg/topology"
)

// ParseLevels reads topology levels as flags give them, the widest first, each as
// "rack=example.com/rack".
func ParseLevels(texts []string) ([]topology.Level, error) {
	var levels []topology.Level
	for n, text := range texts {
		name, key, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("[%d]: %q is not name=label, such as rack=topology.lockstep.dev/rack", n, text)
		}
		if wrong := validation.IsQualifiedName(key); key != "" && len(wrong) > 0 {
			return nil, fmt.Errorf("[%d].key: %q: %s", n, key, strings.Join(wrong, "; "))
		}
		levels = append(levels, topology.Level{Name: name, Key: key})
	}
	if err := topology.CheckLevels(levels); err != nil {
		return nil, err
	}
	return levels, nil
}
