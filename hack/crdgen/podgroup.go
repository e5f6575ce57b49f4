package main

import apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

// podGroupColumns puts why a gang waits, or that it has its place, where the original type has
// a number of failed pods that nobody writes: whoever replaces a pod counts its failures.
func podGroupColumns(columns []apiextensions.CustomResourceColumnDefinition) []apiextensions.CustomResourceColumnDefinition {
	for i := range columns {
		if columns[i].JSONPath == ".status.failed" {
			columns[i] = apiextensions.CustomResourceColumnDefinition{
				Name: "Reason", Type: "string", JSONPath: `.status.conditions[?(@.type=="Scheduled")].reason`,
			}
		}
	}
	return columns
}

// conditions adds the list of conditions to a PodGroup's status. The original
// type has none; the scheduler says in it why a gang waits.
func conditions(root *apiextensions.JSONSchemaProps) {
	text := func(longest int64) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "string", MaxLength: &longest}
	}
	byKey := "map"
	status := root.Properties["status"]
	status.Properties["conditions"] = apiextensions.JSONSchemaProps{
		Type: "array", XListType: &byKey, XListMapKeys: []string{"type"},
		Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &apiextensions.JSONSchemaProps{
			Type:     "object",
			Required: []string{"lastTransitionTime", "message", "reason", "status", "type"},
			Properties: map[string]apiextensions.JSONSchemaProps{
				"type":               text(316),
				"status":             {Type: "string", Enum: []apiextensions.JSON{{Raw: []byte(`"True"`)}, {Raw: []byte(`"False"`)}, {Raw: []byte(`"Unknown"`)}}},
				"reason":             text(1024),
				"message":            text(32768),
				"observedGeneration": {Type: "integer", Format: "int64"},
				"lastTransitionTime": {Type: "string", Format: "date-time"},
			},
		}},
	}
	root.Properties["status"] = status
}

// reservation adds the room that the scheduler keeps for a gang to a PodGroup's
// status, where the next scheduler finds it after a restart.
func reservation(root *apiextensions.JSONSchemaProps) {
	moment := apiextensions.JSONSchemaProps{Type: "string", Format: "date-time"}
	quantity := apiextensions.JSONSchemaProps{
		XIntOrString: true, AnyOf: []apiextensions.JSONSchemaProps{{Type: "integer"}, {Type: "string"}},
	}
	most := int64(5000)
	root.Properties["status"].Properties["reservation"] = apiextensions.JSONSchemaProps{
		Type: "object", Required: []string{"kind", "since", "expectedStart", "nodes"},
		Properties: map[string]apiextensions.JSONSchemaProps{
			"kind":  {Type: "string", Enum: []apiextensions.JSON{{Raw: []byte(`"Preempting"`)}, {Raw: []byte(`"Draining"`)}, {Raw: []byte(`"Replacing"`)}}},
			"since": moment, "expectedStart": moment, "order": {Type: "integer", Format: "int64"},
			"nodes": {Type: "array", MaxItems: &most, Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &apiextensions.JSONSchemaProps{
				Type: "object", Required: []string{"name", "resources"},
				Properties: map[string]apiextensions.JSONSchemaProps{
					"name": {Type: "string"},
					"resources": {Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{
						Allows: true, Schema: &quantity,
					}},
				},
			}}},
		},
	}
}
