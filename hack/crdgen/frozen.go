package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// sameTemplate says in CEL that the pod template of a role has not changed. A client with
// Go types sends what it has read in other words (1 GPU as "1", 1000m as "1", resources: {}), so
// the objects cannot be compared as they are: their essence is.
func sameTemplate(root *apiextensions.JSONSchemaProps, role string) string {
	schema := property(root, "spec.pytorchReplicaSpecs.*.template")
	object := ".spec.pytorchReplicaSpecs['" + role + "']"
	return essence(schema, "self"+object) + " == " + essence(schema, "oldSelf"+object)
}

// essence is what the pod template of a role says, as lists in which equal templates are
// equal. What is in the template's metadata beside these three does not reach the pods.
func essence(template *apiextensions.JSONSchemaProps, role string) string {
	spec := property(template, "spec")
	metadata, object := role+".?template.?metadata", role+".?template.?spec.?"
	parts := []string{metadata + ".?labels", metadata + ".?annotations", metadata + ".?finalizers"}
	for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
		switch name {
		case "containers", "initContainers":
			parts = append(parts, each(role, []string{"template", "spec", name},
				fmt.Sprintf(".map(c, %s)", container(element(property(spec, name)))), "[]"))
		case "resources":
			parts = append(parts, resources(role, "template", "spec", name)...)
		case "overhead":
			parts = append(parts, amounts(role, "template", "spec", name))
		default:
			parts = append(parts, object+name)
		}
	}
	return list(parts)
}

// schedulingPolicy is what a job says to the scheduler; its queue has a rule of its own.
func schedulingPolicy(object string) string {
	policy := []string{"spec", "runPolicy", "schedulingPolicy"}
	field := object + "." + strings.Join(policy, ".?") + ".?"
	return list([]string{
		field + "minAvailable",
		field + "scheduleTimeoutSeconds",
		orEmpty(object, slices.Concat(policy, []string{"priorityClass"})...),
		amounts(object, slices.Concat(policy, []string{"minResources"})...),
	})
}

func container(schema *apiextensions.JSONSchemaProps) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if name == "resources" {
			parts = append(parts, resources("c", name)...)
		} else {
			parts = append(parts, "c.?"+name)
		}
	}
	return list(parts)
}

func resources(object string, path ...string) []string {
	return []string{
		amounts(object, slices.Concat(path, []string{"limits"})...),
		amounts(object, slices.Concat(path, []string{"requests"})...),
		object + ".?" + strings.Join(path, ".?") + ".?claims",
	}
}

// amounts are quantities as numbers.
func amounts(object string, path ...string) string {
	return each(object, path, ".transformMap(k, v, quantity(string(v)).asApproximateFloat())", "{}")
}

// each goes over what is at a path, if it is there. (The apiserver has no estimate of what it
// costs to go over the value of an optional.)
func each(object string, path []string, what, otherwise string) string {
	var present []string
	for _, name := range path {
		object += "." + name
		present = append(present, "has("+object+")")
	}
	return fmt.Sprintf("%s ? %s%s : %s", strings.Join(present, " && "), object, what, otherwise)
}

// list holds values of any type; CEL's lists hold those of one.
func list(parts []string) string {
	return "[dyn(" + strings.Join(parts, "), dyn(") + ")]"
}

// boundTemplate sets the sizes without which the rules above have no estimate of their cost.
func boundTemplate(root *apiextensions.JSONSchemaProps) {
	spec := "spec.pytorchReplicaSpecs.*.template.spec."
	at(root, spec+"initContainers", maxItems(128))
	for _, object := range []string{"containers.*.resources.", "initContainers.*.resources.", "resources."} {
		for _, name := range []string{"limits", "requests"} {
			at(root, spec+object+name, maxProperties(64))
			at(root, spec+object+name+".*", maxLength(32))
		}
	}
	at(root, spec+"overhead", maxProperties(64))
	at(root, spec+"overhead.*", maxLength(32))
}

// property is the schema at a path.
func property(root *apiextensions.JSONSchemaProps, path string) *apiextensions.JSONSchemaProps {
	var found apiextensions.JSONSchemaProps
	at(root, path, func(schema *apiextensions.JSONSchemaProps) { found = *schema })
	return &found
}
