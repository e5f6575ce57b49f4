package main

import (
	"fmt"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// quantity is what resource.ParseQuantity takes. controller-gen's pattern allows a
// fraction in the exponent, which does not parse.
const quantity = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,3}))?$`

// walk visits a schema and everything below it.
func walk(schema *apiextensions.JSONSchemaProps, visit func(*apiextensions.JSONSchemaProps)) {
	if schema == nil {
		return
	}
	visit(schema)
	for name, child := range schema.Properties {
		walk(&child, visit)
		schema.Properties[name] = child
	}
	if schema.Items != nil {
		walk(schema.Items.Schema, visit)
	}
	if schema.AdditionalProperties != nil {
		walk(schema.AdditionalProperties.Schema, visit)
	}
}

// silence drops the descriptions at a path and below.
func silence(root *apiextensions.JSONSchemaProps, paths ...string) {
	for _, path := range paths {
		at(root, path, func(schema *apiextensions.JSONSchemaProps) {
			walk(schema, func(below *apiextensions.JSONSchemaProps) { below.Description = "" })
		})
	}
}

// tighten refuses what would be stored but not decoded.
func tighten(schema *apiextensions.JSONSchemaProps) {
	if schema.XIntOrString && schema.Pattern != "" {
		schema.Pattern = quantity
	}
}

// at changes the schema at a path of property names; "*" goes into the values of a
// map or the items of a list. A path that does not exist is a bug of this program.
func at(schema *apiextensions.JSONSchemaProps, path string, edit func(*apiextensions.JSONSchemaProps)) {
	if path == "" {
		edit(schema)
		return
	}
	name, rest, _ := strings.Cut(path, ".")
	if name == "*" {
		at(element(schema), rest, edit)
		return
	}
	child, ok := schema.Properties[name]
	if !ok {
		panic(fmt.Sprintf("no property %s before %s", name, rest))
	}
	at(&child, rest, edit)
	schema.Properties[name] = child
}

func element(schema *apiextensions.JSONSchemaProps) *apiextensions.JSONSchemaProps {
	if schema.Items != nil {
		return schema.Items.Schema
	}
	return schema.AdditionalProperties.Schema
}

func atLeast(n float64) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.Minimum = &n }
}

func between(least, most float64) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.Minimum, schema.Maximum = &least, &most }
}

func maxItems(n int64) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.MaxItems = &n }
}

func maxProperties(n int64) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.MaxProperties = &n }
}

func maxLength(n int64) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.MaxLength = &n }
}

func defaultsTo(value string) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) { schema.Default = &apiextensions.JSON{Raw: []byte(value)} }
}

func nullable(schema *apiextensions.JSONSchemaProps) { schema.Nullable = true }

func enum(values ...string) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) {
		schema.Enum = nil
		for _, value := range values {
			schema.Enum = append(schema.Enum, apiextensions.JSON{Raw: []byte(`"` + value + `"`)})
		}
	}
}

// rule adds CEL rules.
func rule(rules ...apiextensions.ValidationRule) func(*apiextensions.JSONSchemaProps) {
	return func(schema *apiextensions.JSONSchemaProps) {
		schema.XValidations = append(schema.XValidations, rules...)
	}
}
