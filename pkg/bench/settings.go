package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// Settings of a scenario; each uses the ones that mean something to it. A zero
// value stands for the scenario's own.
type Settings struct {
	// Nodes of 8 GPUs, GPUs of a pod, and turns of each contestant.
	Nodes, GPUs, Repeat int
	// Shapes are the cases of a scenario with gangs.
	Shapes []Shape
	// Peers are measured beside Lockstep; see Peers.
	Peers []string
	// Traces is the directory with the traces that "openb" and "elastic" replay.
	Traces string
	// LeaveOut makes a note, instead of an error, of a trace that is not there.
	LeaveOut bool
	// Quick takes fewer and smaller cases.
	Quick bool
	// Log takes a line per step; may be nil.
	Log func(line string)
}

// Validate says what cannot be measured, whatever the scenario. The error begins with the
// setting, which is also the name of its flag.
func (s Settings) Validate() error {
	for _, count := range []struct {
		name  string
		value int
	}{{"nodes", s.Nodes}, {"gpus", s.GPUs}, {"repeat", s.Repeat}} {
		if count.value < 0 {
			return fmt.Errorf("%s=%d: must be 1 or more", count.name, count.value)
		}
	}
	if s.GPUs > gpusPerNode {
		return fmt.Errorf("gpus=%d: must be %d or less, the GPUs of a node", s.GPUs, gpusPerNode)
	}
	if _, err := contestants(s.Peers); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	return nil
}

// Shape is a number of gangs of one size, written "64x16".
type Shape struct{ Gangs, Size int }

func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Gangs, s.Size) }

// ParseShape reads what String writes.
func ParseShape(text string) (Shape, error) {
	gangs, size, cut := strings.Cut(text, "x")
	s := Shape{}
	var errs [2]error
	s.Gangs, errs[0] = strconv.Atoi(gangs)
	s.Size, errs[1] = strconv.Atoi(size)
	if !cut || errs[0] != nil || errs[1] != nil || s.Gangs < 1 || s.Size < 1 {
		return s, fmt.Errorf("shape %q: is to be GANGSxSIZE, such as 64x16", text)
	}
	return s, nil
}

// Scenario is one that can be run by its name.
type Scenario struct {
	Name string
	// About says in a line what it measures.
	About string
	// run puts runs and notes into the report, also before an error.
	run func(context.Context, Settings, *Report) error
	// Uses are the settings that mean something to it beside Quick, by the names that Validate
	// gives them: "nodes", "gpus", "repeat", "shapes", "peer", "traces".
	Uses []string
	// Defaults and Quick fill in what the settings leave open.
	Defaults, Quick Settings
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Measure runs the scenario with its own values where the settings have none. The
// report holds what was measured before an error, too.
func (s Scenario) Measure(ctx context.Context, settings Settings) (*Report, error) {
	settings = s.complete(settings)
	report := &Report{Scenario: s.Name, Title: s.About, Settings: map[string]int{}}
	if err := settings.Validate(); err != nil {
		return report, err
	}
	for name, value := range map[string]int{"nodes": settings.Nodes, "gpus": settings.GPUs, "repeat": settings.Repeat} {
		if value > 0 && slices.Contains(s.Uses, name) {
			report.Settings[name] = value
		}
	}
	err := s.run(ctx, settings, report)
	report.summarise()
	return report, err
}

func (s Scenario) complete(settings Settings) Settings {
	own := s.Defaults
	if settings.Quick {
		own = s.Quick
	}
	settings.Nodes = cmp.Or(settings.Nodes, own.Nodes)
	settings.GPUs = cmp.Or(settings.GPUs, own.GPUs)
	settings.Repeat = cmp.Or(settings.Repeat, own.Repeat)
	if len(settings.Shapes) == 0 {
		settings.Shapes = own.Shapes
	}
	if settings.Peers == nil {
		settings.Peers = own.Peers
	}
	if settings.Log == nil {
		settings.Log = func(string) {}
	}
	return settings
}

// What the nodes of a stage look like: racks of 128 GPUs, blocks of 1,024.
const gpusPerNode, rackSize, racksPerBlock = 8, 16, 8

func stageShape() fakenodes.Shape {
	return fakenodes.Shape{GPUs: gpusPerNode, RackSize: rackSize, RacksPerBlock: racksPerBlock}.WithDefaults()
}
