package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

func newQueueCommand() *cobra.Command {
	var (
		look   inspection
		all    bool
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "queue",
		Short: "List the gangs that wait, in the order in which they will be tried",
		Long: `Lists the gangs that wait in the order in which they will be tried: by priority,
then, where there are queues of teams, by whose turn it is, then by age. Gangs of which
members do not exist yet cannot be tried and come last.
Positions count the gangs of all namespaces, also with -n.

The reason is what the scheduler has written on the PodGroup; where it has written
nothing, it is worked out from what is there now, by the scheduler's own code.`,
		Example: `  lockstep queue -A
  lockstep queue -n team-a -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			w, err := look.look(command)
			if err != nil {
				return err
			}
			offline, err := look.offline(w)
			if err != nil {
				return err
			}
			tellNotes(command, queueNotes(offline))
			wanted := func(key gang.Key) bool { return all || key.Namespace == look.namespace() }
			entries := queueEntries(offline, w, wanted, time.Now())
			if output == outputJSON {
				return printJSON(command.OutOrStdout(), map[string]any{"gangs": entries})
			}
			printQueue(newScreen(command.OutOrStdout(), time.Now), entries)
			return nil
		},
	}
	look.addFlags(command, false)
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "gangs of all namespaces")
	addOutputFlag(command, &output)
	return command
}

// queueEntry is a gang that waits, in the names of the JSON output.
type queueEntry struct {
	Position  int    `json:"position"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Priority  int32  `json:"priority"`
	// Floor is absent where no PodGroup says it.
	Floor   int `json:"floor,omitempty"`
	Members int `json:"members"`
	Bound   int `json:"bound"`
	// Queue is the one that the gang is charged to; absent where it is in none.
	Queue string `json:"queue,omitempty"`
	// AgeSeconds is null for a gang that has no creationTimestamp.
	AgeSeconds *int64 `json:"age_seconds"`
	Reason     string `json:"reason,omitempty"`
	Message    string `json:"message,omitempty"`
	// Reservation is room that is kept for the gang; absent where none is.
	Reservation *reservedRoom `json:"reservation,omitempty"`
}

// queueEntries lists the wanted gangs of the queue. It tries all gangs on the way.
func queueEntries(o *kube.Offline, w *world, wanted func(gang.Key) bool, now time.Time) []queueEntry {
	entries := []queueEntry{}
	for i, key := range o.Queue() {
		before, _ := o.Standing(key)
		o.Try(key)
		if !wanted(key) {
			continue
		}
		s, _ := o.Standing(key)
		e := queueEntry{
			Position: i + 1, Namespace: key.Namespace, Name: key.Name, State: string(before.Status.Phase),
			Floor: knownFloor(s), Members: len(s.Places) + s.Status.Counts.Finished, Bound: s.Status.Counts.Bound,
			Reason: string(s.Reason.Code), Message: why(s), Reservation: reservationOf(o, w, key),
		}
		if len(s.Places) > 0 {
			e.Priority = kube.Priority(s.Places[0].Pod)
		}
		if s.Group != nil {
			e.AgeSeconds = age(s.Group.CreationTimestamp, now)
			e.Queue = o.Quota().Spec(s.Group).Queue
		}
		if said, ok := w.said[key]; ok && said.Status == metav1.ConditionFalse {
			e.Reason, e.Message = said.Reason, said.Message
		}
		entries = append(entries, e)
	}
	return entries
}

// size is how many members there are, and how many are needed.
func (e queueEntry) size() string {
	switch {
	case e.Floor == 0:
		return strconv.Itoa(e.Members)
	case e.Members > e.Floor:
		return fmt.Sprintf("%d, needs %d", e.Members, e.Floor)
	}
	return fmt.Sprintf("%d of %d", e.Members, e.Floor)
}

// age in seconds; nil for what has not been created yet.
func age(created metav1.Time, now time.Time) *int64 {
	if created.IsZero() || created.Equal(&unborn) {
		return nil
	}
	seconds := max(0, int64(now.Sub(created.Time).Seconds()))
	return &seconds
}

func ageText(seconds *int64) string {
	if seconds == nil {
		return "-"
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}

func printQueue(s *screen, entries []queueEntry) {
	if len(entries) == 0 {
		s.plain("no gang waits")
		return
	}
	rows := [][]string{{"#", "NAMESPACE", "GANG", "STATE", "PRIORITY", "MEMBERS", "AGE", "REASON"}}
	for _, e := range entries {
		rows = append(rows, []string{
			strconv.Itoa(e.Position), e.Namespace, e.Name, e.State, strconv.Itoa(int(e.Priority)),
			e.size(), ageText(e.AgeSeconds), e.why(),
		})
	}
	const after = 3 // GANG
	if slices.ContainsFunc(entries, func(e queueEntry) bool { return e.Queue != "" }) {
		rows[0] = slices.Insert(rows[0], after, "QUEUE")
		for i, e := range entries {
			rows[i+1] = slices.Insert(rows[i+1], after, cmp.Or(e.Queue, "-"))
		}
	}
	s.table(rows)
}

// queueNotes tell what is wrong with queues.
func queueNotes(o *kube.Offline) []string {
	var notes []string
	if q := o.Quota(); q != nil {
		for _, fault := range q.Faults {
			if !fault.Mild {
				notes = append(notes, fault.String())
			}
		}
	}
	return notes
}

func (e queueEntry) why() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Reason != "":
		return e.Reason
	}
	return "fits; waits for its turn"
}
