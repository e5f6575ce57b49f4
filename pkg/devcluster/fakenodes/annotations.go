package fakenodes

import (
	"fmt"
	"strconv"
	"time"
)

// Annotations of a pod that say what it does on a fake node; see the package's
// comment. The stages read them by these names too.
const (
	RunForAnnotation    = "fake.lockstep.dev/run-for"
	ExitCodeAnnotation  = "fake.lockstep.dev/exit-code"
	StopAfterAnnotation = "fake.lockstep.dev/stop-after"
)

// refusal says what is wrong with a pod's annotations, or nothing. The map is
// JSON's, because a template calls this.
func refusal(annotations map[string]any) string {
	for _, name := range []string{RunForAnnotation, StopAfterAnnotation} {
		value, ok := annotations[name].(string)
		if !ok {
			continue
		}
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			return fmt.Sprintf("metadata.annotations[%s]: %q is not a duration such as 10s or 1m30s", name, value)
		}
	}
	if value, ok := annotations[ExitCodeAnnotation].(string); ok {
		if code, err := strconv.Atoi(value); err != nil || code < 0 || code > 255 || value != strconv.Itoa(code) {
			return fmt.Sprintf("metadata.annotations[%s]: %q is not an exit code from 0 to 255", ExitCodeAnnotation, value)
		}
	}
	return ""
}
