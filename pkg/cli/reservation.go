package cli

import (
	"fmt"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// reservedRoom is what the scheduler keeps for a gang, in the names of the JSON output.
type reservedRoom struct {
	// Kind is Preempting, Draining or Replacing.
	Kind string `json:"kind"`
	// Level and Domain name the lowest domain that holds all of it.
	Level  string   `json:"level"`
	Domain string   `json:"domain"`
	Nodes  []string `json:"nodes"`
	// Since is when it was made, Until when the gang is expected to start; of Replacing that
	// is when somebody comes.
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"`
}

// reservationOf reads what the scheduler has written; nil where nothing is reserved.
func reservationOf(o *kube.Offline, w *world, key gang.Key) *reservedRoom {
	r := w.Reserved[key]
	if r == nil {
		return nil
	}
	room := &reservedRoom{Kind: string(r.Kind), Nodes: []string{}, Since: r.Since.UTC()}
	for _, node := range r.Nodes {
		room.Nodes = append(room.Nodes, node.Name)
	}
	if !r.ExpectedStart.IsZero() && r.Kind != core.Replacing {
		until := r.ExpectedStart.UTC()
		room.Until = &until
	}
	if d := o.Lowest(room.Nodes); d >= 0 {
		domain := o.Tree().Domains[d]
		room.Level, room.Domain = o.Tree().LevelName(domain.Level), domain.Path
	}
	return room
}

func (r *reservedRoom) text(now time.Time) string {
	if r.Kind == string(core.Replacing) {
		return fmt.Sprintf("the room of members that are gone is kept on %s since %s, for those that come in their place", strings.Join(r.Nodes, ", "), r.Since.Format(time.RFC3339))
	}
	text := fmt.Sprintf("room is reserved for it on %s", plural(len(r.Nodes), "node"))
	if r.Level != "" {
		text += " of " + domainName(r.Level, r.Domain)
	}
	text += " since " + r.Since.Format(time.RFC3339)
	switch {
	case r.Until == nil:
	case r.Until.Before(now):
		text += ", was expected to be free at " + r.Until.Format(time.RFC3339) + ", and is not yet"
	default:
		text += ", and expected to be free at " + r.Until.Format(time.RFC3339)
	}
	return text
}
