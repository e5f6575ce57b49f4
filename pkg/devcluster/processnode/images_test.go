package processnode

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestFindImage(t *testing.T) {
	own := Image{Pattern: "registry.example/team/*"}
	found, err := pythonImages(&python{Executable: "/usr/bin/python3", MuteTorchrun: true}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	table := append([]Image{own}, found...)
	for reference, want := range map[string]string{
		"pytorch/pytorch:1.9.0-cuda11.1-cudnn8-runtime": "pytorch/pytorch:*",
		"docker.io/pytorch/pytorch:2.0":                 "pytorch/pytorch:*",
		"mirror.example:5000/pytorch/pytorch:2.0":       "*/pytorch/pytorch:*",
		"docker.io/library/python:3.12-slim":            "python:*",
		"registry.example/team/train:1":                 "registry.example/team/*",
		"alpine:3.10":                                   "",
	} {
		if image, ok := findImage(table, reference); image.Pattern != want || ok != (want != "") {
			t.Errorf("%s is taken for %q, want %q", reference, image.Pattern, want)
		}
	}
	if image, _ := findImage(table, "pytorch/pytorch:2.0"); image.Env["PET_REDIRECTS"] == "" {
		t.Error("torchrun of this interpreter would start no worker")
	}
}

func TestOutsideSystem(t *testing.T) {
	dirs := []string{"/usr/bin", "/home/me/.venv/bin", "/home/me/.venv", "/home/me/.venv/lib/python3", "/opt/x", "/"}
	if got, want := outsideSystem(dirs), []string{"/home/me/.venv/bin", "/home/me/.venv"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBackOff(t *testing.T) {
	var waits []time.Duration
	var wait time.Duration
	for crashes := 1; crashes <= 8; crashes++ {
		wait = backOff(wait, crashes, time.Second)
		waits = append(waits, wait)
	}
	s := time.Second
	if want := []time.Duration{0, s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}; !slices.Equal(waits, want) {
		t.Errorf("got %v, want %v", waits, want)
	}
	if wait := backOff(30*s, 9, calmAfter); wait != 0 {
		t.Errorf("after a long run the wait is %v, want none", wait)
	}
}

func TestReadinessTurns(t *testing.T) {
	quick := timing(&v1.Probe{FailureThreshold: 1, SuccessThreshold: 2})
	state := readiness{}
	for i, c := range []struct{ yes, ready bool }{{true, false}, {true, true}, {false, false}, {true, false}, {false, false}, {true, false}, {true, true}} {
		if state = state.next(c.yes, quick); state.ready != c.ready {
			t.Errorf("answer %d: ready %v, want %v", i, state.ready, c.ready)
		}
	}
	if usual := timing(&v1.Probe{}); usual.failures != 3 || usual.period != 10*time.Second || usual.timeout != time.Second {
		t.Errorf("defaults %+v", usual)
	}
}
