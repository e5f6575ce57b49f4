package v1

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultCheckpointGrace is the notice that a leaving Worker gets to save its work.
const defaultCheckpointGrace = 60 * time.Second

// leastCheckpointGrace: what every pod gets anyway is no notice.
const leastCheckpointGrace = 31 * time.Second

// Terms are what the annotations of an elastic job say about resizing.
//
// +kubebuilder:object:generate=false
type Terms struct {
	// Sizes are the allowed numbers of Workers, ascending; empty: all. Step: they are
	// multiples of it.
	Sizes []int32
	Step  int32
	// Cooldown is the least time between two changes, MaxResizes how many there may be; -1: any number.
	Cooldown   time.Duration
	MaxResizes int32
	// Grace is the notice that a Worker gets before it has to go.
	Grace time.Duration
	// StepsPort is where the first Worker tells its speed; 0: nowhere.
	StepsPort int32
}

// ReadTerms also says what it could not read; those annotations have no effect.
func ReadTerms(annotations map[string]string) (Terms, []Notice) {
	t := Terms{Step: 1, MaxResizes: -1, Grace: defaultCheckpointGrace}
	var notices []Notice
	read := func(name, want string, parse func(string) bool) {
		if text, ok := annotations[name]; ok && !parse(text) {
			notices = append(notices, invalidAnnotation(name, text, want))
		}
	}
	number := func(into *int32, least int32) func(string) bool {
		return func(text string) bool {
			n, err := strconv.ParseInt(text, 10, 32)
			if err == nil && int32(n) >= least {
				*into = int32(n)
				return true
			}
			return false
		}
	}
	duration := func(into *time.Duration, least time.Duration) func(string) bool {
		return func(text string) bool {
			d, err := time.ParseDuration(text)
			if err == nil && d >= least {
				*into = d
				return true
			}
			return false
		}
	}
	read(AnnotationWorldSizes, `numbers of Workers, such as "2,4,8"`, t.readSizes)
	read(AnnotationWorldSizeStep, "a whole number of at least 1", number(&t.Step, 1))
	read(AnnotationMaxResizes, "a whole number of at least 0", number(&t.MaxResizes, 0))
	read(AnnotationResizeCooldown, "a duration, such as 5m", duration(&t.Cooldown, 0))
	read(AnnotationStepsPort, "a port, 1 to 65535", func(text string) bool {
		n, err := strconv.ParseUint(text, 10, 16)
		t.StepsPort = int32(n)
		return err == nil && n > 0
	})
	read(AnnotationAutoscale, "cluster or off", func(text string) bool { return text == "cluster" || text == "off" })
	read(AnnotationCheckpointGrace, "a duration of more than 30s", duration(&t.Grace, leastCheckpointGrace))
	return t, notices
}

func (t *Terms) readSizes(text string) bool {
	var sizes []int32
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if err != nil || n < 1 {
			return false
		}
		sizes = append(sizes, int32(n))
	}
	slices.Sort(sizes)
	t.Sizes = sizes
	return true
}

// Allowed is the size nearest below the wanted one, or else above it, that the terms
// and the range allow. Where they allow none the range alone decides.
func (t Terms) Allowed(wanted, least, most int32) int32 {
	fits := func(n int32) bool {
		return n%t.Step == 0 && (len(t.Sizes) == 0 || slices.Contains(t.Sizes, n))
	}
	for n := wanted; n >= least; n-- {
		if fits(n) {
			return n
		}
	}
	for n := wanted + 1; n <= most; n++ {
		if fits(n) {
			return n
		}
	}
	return wanted
}
