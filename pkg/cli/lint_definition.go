package cli

import (
	"context"
	"fmt"
	"math"
	"path"
	"regexp"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
)

// definition is one of the custom resource definitions that we ship, as the apiserver uses it.
type definition struct {
	structure *structural.Structural
	schema    schemavalidation.SchemaValidator
	rules     *cel.Validator
}

// definitions are all of them. What is wrong in one is a mistake of the build.
var definitions = sync.OnceValues(func() (map[schema.GroupVersionKind]*definition, error) {
	entries, err := manifests.Files.ReadDir("crd")
	if err != nil {
		return nil, err
	}
	all := map[schema.GroupVersionKind]*definition{}
	for _, entry := range entries {
		text, err := manifests.Files.ReadFile(path.Join("crd", entry.Name()))
		if err != nil {
			return nil, err
		}
		if err := define(text, all); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return all, nil
})

func define(text []byte, all map[schema.GroupVersionKind]*definition) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(text, crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		props := &apiextensions.JSONSchemaProps{}
		err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, props, nil)
		if err != nil {
			return err
		}
		d := &definition{}
		if d.structure, err = structural.NewStructural(props); err != nil {
			return err
		}
		if d.schema, _, err = schemavalidation.NewSchemaValidator(props); err != nil {
			return err
		}
		d.rules = cel.NewValidator(d.structure, true, celconfig.PerCallLimit)
		all[schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = d
	}
	return nil
}

// judge says what the apiserver would refuse in an object. It comes back as it would be
// stored: without unknown fields, and with the schema's defaults.
func (d *definition) judge(object map[string]any) (stored map[string]any, errs field.ErrorList) {
	stored = runtime.DeepCopyJSON(object)
	pruning.Prune(stored, d.structure, true)
	defaulting.Default(stored, d.structure)
	errs = schemavalidation.ValidateCustomResource(nil, stored, d.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.structure, stored)...)
	broken, _ := d.rules.Validate(context.Background(), nil, d.structure, stored, nil, celconfig.RuntimeCELCostBudget)
	return stored, append(errs, broken...)
}

// inWords are errors as findings: one for each field, and in our own words where the
// schema's are about its own making.
func inWords(errs field.ErrorList) []finding {
	var findings []finding
	at, settled := map[string]int{}, map[string]bool{}
	for _, err := range errs {
		err = placed(err)
		path := strings.TrimPrefix(err.Field, ".")
		if path == "<nil>" || path == "" || strings.Contains(err.Detail, " evaluating rule: ") {
			continue // says that others could not be looked at, or what another says as well
		}
		message, wrongType := wrongType(err)
		if !wrongType {
			message = wording(err)
		}
		f := finding{Severity: severityError, Path: path, Message: message}
		key := dotted(path)
		if i, again := at[key]; !again {
			at[key], settled[key] = len(findings), wrongType
			findings = append(findings, f)
		} else if !settled[key] {
			findings[i] = f // a rule, which comes later, knows more than a bound
		}
	}
	if len(findings) == 0 && len(errs) > 0 {
		findings = append(findings, finding{Severity: severityError, Message: errs[0].ErrorBody()})
	}
	return findings
}

// outOfRange is what the schema says of a number that its format has no room for: with the path at
// the end of the text, and none before it.
var outOfRange = regexp.MustCompile(`^Checked value must be of type integer with format (int32|int64) in (\S+)$`)

// placed is the error with its path before it, and in our words where that is missing.
func placed(err *field.Error) *field.Error {
	m := outOfRange.FindStringSubmatch(err.Detail)
	if m == nil {
		return err
	}
	return &field.Error{Type: field.ErrorTypeInvalid, Field: m[2], BadValue: "", Detail: "must be " + wholeNumbers[m[1]]}
}

// dotted is a path with its keys as names: rules write [Worker] where the schema writes .Worker.
func dotted(path string) string {
	return strings.NewReplacer("['", ".", "']", "", "[", ".", "]", "").Replace(path)
}

// typeNames are JSON's types, and Go's, as people call them.
var typeNames = map[string]string{
	"string": "a string", "integer": "a whole number", "integer,string": "a whole number or a string", "number": "a number",
	"boolean": "true or false", "object": "an object", "array": "a list", "null": "nothing", "bool": "true or false",
	"int32": "a whole number", "int64": "a whole number",
}

// wholeNumbers are those that a type of Go has.
var wholeNumbers = map[string]string{
	"int32": fmt.Sprintf("a whole number from %d to %d", math.MinInt32, math.MaxInt32),
	"int64": fmt.Sprintf("a whole number from %d to %d", math.MinInt64, math.MaxInt64),
}

// wrongType says that a value is of another type than its field.
func wrongType(err *field.Error) (message string, ok bool) {
	_, types, ok := strings.Cut(err.Detail, "must be of type ")
	if !ok {
		return "", false
	}
	wants, is, ok := strings.Cut(types, ": ")
	is = strings.Trim(is, `"`)
	if ok && wholeNumbers[wants] != "" && is == "float64" {
		return "must be " + wholeNumbers[wants], true
	}
	if !ok || typeNames[wants] == "" || typeNames[is] == "" {
		return "", false
	}
	return misfit(wants, is), true
}

// misfit says that a value is of one of JSON's types where another is wanted.
func misfit(wants, is string) string {
	message := fmt.Sprintf("must be %s, not %s", typeNames[wants], typeNames[is])
	if strings.HasSuffix(wants, "string") && is != "object" && is != "array" && is != "null" {
		message += ": put it in quotes"
	}
	return message
}

func wording(err *field.Error) string {
	detail := strings.TrimPrefix(err.Detail, err.Field+" in body ")
	switch {
	case err.Type == field.ErrorTypeRequired && detail == "must be required":
		return "required"
	case err.Type == field.ErrorTypeRequired:
		return "required: " + detail
	case err.Type == field.ErrorTypeForbidden:
		return detail
	}
	switch value := err.BadValue.(type) {
	case string:
		if value != "" && typeNames[value] == "" {
			return fmt.Sprintf("%q: %s", value, detail)
		}
	case int, int32, int64, float64, bool:
		return fmt.Sprintf("%v: %s", value, detail)
	}
	return detail
}
