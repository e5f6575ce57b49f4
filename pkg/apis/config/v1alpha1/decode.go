package v1alpha1

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Decode reads arguments from YAML or JSON, applies the defaults and validates
// the result. No input means all defaults.
func Decode(raw []byte) (*LockstepArgs, error) {
	args := &LockstepArgs{}
	if len(raw) > 0 {
		if err := yaml.UnmarshalStrict(raw, args); err != nil {
			return nil, fmt.Errorf("%s: %w", Kind, err)
		}
		if args.APIVersion != APIVersion || args.Kind != Kind {
			return nil, fmt.Errorf("apiVersion %q, kind %q: want apiVersion: %s, kind: %s", args.APIVersion, args.Kind, APIVersion, Kind)
		}
	}
	setDefaults(args)
	if errs := Validate(args); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", Kind, errs.ToAggregate())
	}
	return args, nil
}

func setDefaults(args *LockstepArgs) {
	args.Packing = cmp.Or(args.Packing, BestFit)
	for _, f := range []struct {
		value     **int32
		otherwise int32
	}{
		{&args.PermitTimeoutSeconds, 60}, {&args.HealTimeoutSeconds, 300}, {&args.BindTimeoutSeconds, 60},
		{&args.ReserveAfterSeconds, 600}, {&args.ReclaimSharesAfterSeconds, 600},
	} {
		if *f.value == nil {
			value := f.otherwise
			*f.value = &value
		}
	}
	for _, value := range []**bool{&args.DisablePreemption, &args.PreemptOtherSchedulers} {
		if *value == nil {
			*value = new(bool)
		}
	}
}

// Validate says all that is wrong with arguments that have their defaults.
func Validate(args *LockstepArgs) field.ErrorList {
	var errs field.ErrorList
	levels := field.NewPath("topologyLevels")
	names, keys := map[string]bool{"cluster": true, "host": true}, map[string]bool{"kubernetes.io/hostname": true}
	for i, level := range args.TopologyLevels {
		path := levels.Index(i)
		for _, message := range validation.IsDNS1123Label(level.Name) {
			errs = append(errs, field.Invalid(path.Child("name"), level.Name, message))
		}
		for _, message := range validation.IsQualifiedName(level.Key) {
			errs = append(errs, field.Invalid(path.Child("key"), level.Key, message))
		}
		if names[level.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), level.Name))
		}
		if keys[level.Key] {
			errs = append(errs, field.Duplicate(path.Child("key"), level.Key))
		}
		names[level.Name], keys[level.Key] = true, true
	}
	within := func(name string, value *int32, low, high int32) {
		if *value < low || *value > high {
			errs = append(errs, field.Invalid(field.NewPath(name), *value, fmt.Sprintf("must be from %d to %d", low, high)))
		}
	}
	within("permitTimeoutSeconds", args.PermitTimeoutSeconds, 1, 900)
	within("healTimeoutSeconds", args.HealTimeoutSeconds, 1, 1<<30)
	within("bindTimeoutSeconds", args.BindTimeoutSeconds, 1, 600)
	within("reserveAfterSeconds", args.ReserveAfterSeconds, 0, 1<<30)
	within("reclaimSharesAfterSeconds", args.ReclaimSharesAfterSeconds, 0, 1<<30)
	if known := []Packing{BestFit, FGD, Off}; !slices.Contains(known, args.Packing) {
		errs = append(errs, field.NotSupported(field.NewPath("packing"), args.Packing, known))
	}
	return errs
}
