package cli

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lines finds the lines of fields in a document.
type lines struct {
	root  *yaml.Node
	first int // of the document in its file, from 1
}

// newLines reads a document that stands in a file after so many bytes.
func newLines(file []byte, offset int, text []byte) lines {
	l := lines{first: 1 + bytes.Count(file[:offset], []byte("\n"))}
	document := &yaml.Node{}
	if yaml.Unmarshal(text, document) == nil && len(document.Content) == 1 {
		l.root = document.Content[0]
	}
	return l
}

// at is the line of a field, or of the nearest object around it that is there.
func (l lines) at(item int, path string) int {
	if l.root == nil {
		return l.first
	}
	node := l.root
	if item >= 0 {
		if items := valueOf(node, "items"); items != nil && item < len(items.Content) {
			node = items.Content[item]
		}
	}
	line := node.Line
	rest := dotted(path)
	for rest != "" {
		key, value, left := step(node, rest)
		if value == nil {
			break
		}
		line, node, rest = key.Line, value, left
	}
	return l.first + line - 1
}

// step goes one field down: the longest name that the path begins with, since names may
// have dots in them.
func step(node *yaml.Node, path string) (key, value *yaml.Node, left string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.MappingNode:
		longest := -1
		for i := 0; i+1 < len(node.Content); i += 2 {
			name := node.Content[i].Value
			if rest, ok := strings.CutPrefix(path, name); ok && (rest == "" || rest[0] == '.') && len(name) > longest {
				longest = len(name)
				key, value, left = node.Content[i], node.Content[i+1], strings.TrimPrefix(rest, ".")
			}
		}
	case node.Kind == yaml.SequenceNode:
		index, rest, _ := strings.Cut(path, ".")
		for i, item := range node.Content {
			if index == strconv.Itoa(i) {
				return item, item, rest
			}
		}
	}
	return key, value, left
}

func valueOf(node *yaml.Node, name string) *yaml.Node {
	_, value, _ := step(node, name)
	return value
}
