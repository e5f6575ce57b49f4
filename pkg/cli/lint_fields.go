package cli

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shape is the type of a value in a manifest, as its Go type has it.
type shape struct{ reflect.Type }

var ownForm = reflect.TypeFor[json.Unmarshaler]()

// shapeOf is the shape of a type; false: what is in it is not a matter of fields, such as
// a quantity or a number.
func shapeOf(t reflect.Type) (shape, bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(ownForm) {
		return shape{}, false
	}
	return shape{t}, slices.Contains([]reflect.Kind{reflect.Struct, reflect.Map, reflect.Slice}, t.Kind())
}

// fields are those of an object by name; none where any name goes.
func (s shape) fields() map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if s.Kind() != reflect.Struct {
		return fields
	}
	for f := range s.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(fields, shape{f.Type}.fields())
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}

// unknownField is a name in a manifest that its object has no field of.
type unknownField struct {
	path *field.Path
	// trail are the shapes from the whole object down to the one that lacks the field, with their paths.
	trail []place
}

type place struct {
	path *field.Path
	shape
}

// unknownFields are those below a value, in the order of their names. The status is left out:
// other versions have other statuses, and nobody writes it.
func unknownFields(value any, t reflect.Type) []unknownField {
	var found []unknownField
	var walk func(value any, t reflect.Type, path *field.Path, trail []place)
	walk = func(value any, t reflect.Type, path *field.Path, trail []place) {
		s, ok := shapeOf(t)
		if !ok {
			return
		}
		trail = append(slices.Clip(trail), place{path, s})
		switch value := value.(type) {
		case []any:
			for i := range value {
				if s.Kind() == reflect.Slice {
					walk(value[i], s.Elem(), path.Index(i), trail)
				}
			}
		case map[string]any:
			fields := s.fields()
			for _, name := range sortedKeys(value) {
				t, known := fields[name]
				switch {
				case path == nil && name == "status":
				case s.Kind() == reflect.Map:
					walk(value[name], s.Elem(), path.Child(name), trail)
				case s.Kind() != reflect.Struct:
				case known:
					walk(value[name], t, path.Child(name), trail)
				default:
					found = append(found, unknownField{path.Child(name), trail})
				}
			}
		}
	}
	walk(value, t, nil, nil)
	return found
}

// meant is the field that was probably meant: one of a similar name in the same object, or one of
// the very name below it, or else near it; empty: none.
func (u unknownField) meant() string {
	name := lastName(u.path)
	here := u.trail[len(u.trail)-1]
	if near := nearest(name, sortedKeys(here.fields())); near != "" {
		return near
	}
	for _, from := range slices.Backward(u.trail) {
		if path := from.find(name); path != "" {
			return path
		}
	}
	return ""
}

func lastName(path *field.Path) string {
	text := path.String()
	return text[strings.LastIndex(text, ".")+1:]
}

// find looks below a place for a field of a name, the shallowest first.
func (p place) find(name string) string {
	const deepest = 4
	level := []place{p}
	for range deepest {
		var next []place
		for _, at := range level {
			fields := at.fields()
			for _, child := range sortedKeys(fields) {
				if at.path == nil && child == "status" {
					continue
				}
				path := at.path.Child(child)
				if strings.EqualFold(child, name) {
					return path.String()
				}
				s, ok := shapeOf(fields[child])
				if ok && s.Kind() == reflect.Slice {
					path = path.Key("*")
					s, ok = shapeOf(s.Elem())
				}
				if ok && s.Kind() == reflect.Struct {
					next = append(next, place{path, s})
				}
			}
		}
		level = next
	}
	return ""
}

// nearest is the candidate that a name was probably meant to be; empty where none is near.
func nearest(name string, candidates []string) string {
	best, least := "", 1+len(name)/4
	for _, candidate := range candidates {
		d := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if d < least || d == least && best == "" {
			best, least = candidate, d
		}
	}
	return best
}

// editDistance is the number of letters to insert, delete, replace or swap with the next one
// that makes b of a.
func editDistance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
