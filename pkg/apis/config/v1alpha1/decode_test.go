package v1alpha1

import (
	"strings"
	"testing"
)

const head = "apiVersion: lockstep.dev/v1alpha1\nkind: LockstepArgs\n"

func TestDecodeDefaults(t *testing.T) {
	for name, raw := range map[string]string{"nothing": "", "no field": head} {
		args, err := Decode([]byte(raw))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if *args.PermitTimeoutSeconds != 60 || *args.HealTimeoutSeconds != 300 || *args.BindTimeoutSeconds != 60 {
			t.Errorf("%s: time-outs %d, %d, %d", name, *args.PermitTimeoutSeconds, *args.HealTimeoutSeconds, *args.BindTimeoutSeconds)
		}
		if args.Packing != BestFit {
			t.Errorf("%s: packing %q", name, args.Packing)
		}
		if len(args.TopologyLevels) != 0 {
			t.Errorf("%s: levels %v; none means that they are found", name, args.TopologyLevels)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"an unknown field", head + "permitTimeout: 5\n", `unknown field "permitTimeout"`},
		{"another version", "apiVersion: lockstep.dev/v1\nkind: LockstepArgs\n", "want apiVersion: lockstep.dev/v1alpha1"},
		{"a wait longer than the framework allows", head + "permitTimeoutSeconds: 901\n", "permitTimeoutSeconds: Invalid value: 901: must be from 1 to 900"},
		{"no wait at all", head + "healTimeoutSeconds: 0\n", "healTimeoutSeconds: Invalid value: 0"},
		{"a way of packing that is none", head + "packing: bestfit\n", `packing: Unsupported value: "bestfit": supported values: "BestFit", "FGD", "Off"`},
		{"a level without a key", head + "topologyLevels: [{name: rack}]\n", "topologyLevels[0].key: Invalid value"},
		{"a level's name twice", head + "topologyLevels: [{name: rack, key: a}, {name: rack, key: b}]\n", `topologyLevels[1].name: Duplicate value: "rack"`},
		{"a level that is always there", head + "topologyLevels: [{name: host, key: a}]\n", "topologyLevels[0].name: Duplicate value"},
	}
	for _, tt := range tests {
		_, err := Decode([]byte(tt.raw))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.name, err, tt.want)
		}
	}
}
