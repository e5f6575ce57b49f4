package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/placement"
)

func newPlanCommand() *cobra.Command {
	var (
		look    inspection
		preempt bool
		output  outputFormat
	)
	command := &cobra.Command{
		Use:   "plan -f FILE...",
		Short: "Say where gangs would go, without a cluster",
		Long: `Reads manifests and says where each gang that waits would go, or what it lacks.
It decides with the scheduler's own code, and changes nothing.

Nodes, Pods (bound or pending), PodGroups, PyTorchJobs, PriorityClasses, Queues,
ElasticQuotas and PodDisruptionBudgets are read, many to a file, also as lists
(kubectl get nodes,pods -A -o yaml); other kinds are passed over. A PyTorchJob that has no pods yet gets those that its controller would
create. Pods are a gang by the label scheduling.x-k8s.io/pod-group; those of a gang that
name no scheduler are taken for Lockstep's. Pending pods without a gang are left out.

Gangs are tried in the order of the queue: by priority, then by whose turn it is where
there are Queues, then by age (what has no creationTimestamp is the youngest), then by name;
each sees what those before it got, and leaves the room that is reserved for others.

With --preempt, a gang that does not fit, or is kept out by its queue's cap, may have others
go for it: pods of lower priority that name Lockstep as their scheduler, or none, and those
who have borrowed what its queue is guaranteed. Where these are of no help, those who go once
the gang has waited are named: who has borrowed beyond its queue's share
(reclaimSharesAfterSeconds of the scheduler's LockstepArgs), or has agreed to go for room that
is reserved (revocable, reserveAfterSeconds). The victims are the fewest
possible: surplus members of elastic gangs (those above their floor) first, then whole
gangs and single pods, never a part of a floor. They are gone for the gangs after it.
A gang whose preemptionPolicy is Never has none but the revocable. Pods that are being deleted
are taken for gone, and it is said that they have to leave first.

With --from-cluster the nodes, pods and pod groups of the current context are there as
well. If there are manifests then, only their gangs are told of, each in its turn.

Taken for granted is what only the scheduler's own filters know: affinity between pods
(one pod to a host is planned for), spread constraints, volumes and devices; a note says
where pods ask for that.

In -o json, amounts of cpu are in cores, all others in the unit of the resource.
Exit codes: 0 every gang fits, 2 some gang does not, 1 an error.`,
		Example: `  lockstep plan -f nodes.yaml -f job.yaml
  lockstep plan -f manifests/ -o json
  kubectl get nodes,pods -A -o yaml | lockstep plan -f - -f job.yaml -o json
  lockstep plan --from-cluster --preempt -f job.yaml`,
		Args: cobra.ArbitraryArgs, // what a shell makes of -f *.yaml
		RunE: func(command *cobra.Command, args []string) error {
			if len(look.files) == 0 && len(args) > 0 {
				return fmt.Errorf("%s: manifests are given by -f", args[0])
			}
			look.files = append(look.files, args...)
			if len(look.files) == 0 && !look.fromCluster {
				return errNoManifests
			}
			look.victims = preempt
			w, err := look.look(command)
			if err != nil {
				return err
			}
			offline, err := look.offline(w)
			if err != nil {
				return err
			}
			wanted := func(key gang.Key) bool { return !look.fromCluster || len(look.files) == 0 || w.declared[key] }
			plans := planAll(offline, wanted, preempt, time.Now)
			tellNotes(command, append(queueNotes(offline), uncheckedNotes(offline, plans)...))
			if output == outputJSON {
				err = printJSON(command.OutOrStdout(), map[string]any{"gangs": plans})
			} else {
				printPlans(newScreen(command.OutOrStdout(), time.Now), plans)
			}
			if err != nil {
				return err
			}
			for _, plan := range plans {
				if !plan.Fits {
					return errNo
				}
			}
			return nil
		},
	}
	look.addFlags(command, true)
	command.Flags().BoolVar(&preempt, "preempt", false, "let others go for gangs that do not fit, and say who")
	addOutputFlag(command, &output)
	return command
}

// gangPlan is where one gang would go, in the names of the JSON output.
type gangPlan struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Fits says whether the floor has its place.
	Fits bool `json:"fits"`
	// Floor is absent where no PodGroup says it.
	Floor   int `json:"floor,omitempty"`
	Members int `json:"members"`
	// Level and Domain name the lowest domain that holds the whole gang; empty where it does not fit.
	Level  string `json:"level"`
	Domain string `json:"domain"`
	// Domains is the number of domains in use by level.
	Domains     map[string]int `json:"domains"`
	Assignments []assignment   `json:"assignments"`
	// Bound members were there before.
	Bound []assignment `json:"bound,omitempty"`
	// Waiting members have no place, although the floor may have one.
	Waiting int `json:"waiting,omitempty"`
	// Leaving pods are on their way out on those nodes, and have to leave first.
	Leaving int `json:"leaving,omitempty"`
	// Victims would have to go for the floor; none without --preempt.
	Victims []victim `json:"victims"`
	// VictimsAfter names the field of LockstepArgs that says how long the gang has to wait before they go.
	VictimsAfter string `json:"victims_after,omitempty"`
	// Violations of disruption budgets by the victims.
	Violations int `json:"budget_violations,omitempty"`
	// Minimal is true where it is known that no other victims would be fewer or cheaper.
	Minimal *bool `json:"victims_minimal,omitempty"`
	// Missing is filled where the gang does not fit.
	Missing []shortage `json:"missing"`
	Reason  string     `json:"reason,omitempty"`
	Message string     `json:"message,omitempty"`
	Seconds float64    `json:"plan_seconds"`
}

// victim is what goes of a gang, or of a pod without one, which goes by its own name.
type victim struct {
	Gang string   `json:"gang"`
	Pods []string `json:"pods"`
	// Partial is true for members above the floor of a gang that goes on.
	Partial bool `json:"partial"`
	// Why is the reason of the eviction, as its event has it.
	Why string `json:"why"`
}

type assignment struct {
	Pod  string `json:"pod"`
	Node string `json:"node"`
}

// shortage is what one domain lacks for the whole gang.
type shortage struct {
	Level    string      `json:"level"`
	Domain   string      `json:"domain"`
	Resource string      `json:"resource"`
	Need     json.Number `json:"need"`
	Free     json.Number `json:"free"`
	// Placeable is the number of members that fit, each kind by itself.
	Placeable int `json:"placeable"`
}

// planAll tries every waiting gang in turn and returns the plans of the wanted ones.
func planAll(o *kube.Offline, wanted func(gang.Key) bool, preempt bool, now func() time.Time) []gangPlan {
	plans := []gangPlan{}
	for _, key := range o.Queue() {
		begin := now()
		o.Try(key)
		var outcome kube.Outcome
		preempted := false
		if standing, ok := o.Standing(key); ok && preempt && !standing.Fits() {
			outcome, preempted = o.Preempt(key)
		}
		seconds := now().Sub(begin).Seconds()
		if standing, ok := o.Standing(key); ok && wanted(key) {
			plan := newGangPlan(o, standing)
			if preempted {
				plan.take(o, outcome)
			}
			plan.Seconds = seconds
			plans = append(plans, plan)
		}
	}
	return plans
}

// take takes in what a search for victims came to.
func (p *gangPlan) take(o *kube.Offline, outcome kube.Outcome) {
	if outcome.Rejection != nil || outcome.Capped {
		p.Message += nobody(outcome)
	}
	if outcome.Rejection != nil {
		p.Missing = shortages(o, outcome.Rejection)
	}
	for _, eviction := range outcome.Evictions {
		v := victim{Gang: eviction.Gang.String(), Partial: !eviction.Whole, Why: string(eviction.Why)}
		for _, pod := range eviction.Pods {
			v.Pods = append(v.Pods, pod.Name)
		}
		p.Victims = append(p.Victims, v)
	}
	if len(p.Victims) > 0 {
		p.Violations, p.Minimal, p.VictimsAfter = outcome.Violations, &outcome.Exact, dueAfter[outcome.Due]
	}
}

// dueAfter names the field of LockstepArgs that says how long a gang waits before others go.
var dueAfter = map[core.Due]string{core.SharesDue: "reclaimSharesAfterSeconds", core.RoomReserved: "reserveAfterSeconds"}

// nobody says why nobody goes for a gang.
func nobody(outcome kube.Outcome) string {
	switch {
	case outcome.Patient:
		return "; only who is revocable goes for it, as its preemptionPolicy is Never, and that would not do"
	case outcome.Capped:
		return "; it would be kept out also once all were gone that may be evicted for it"
	}
	return "; nor would it once all were gone that may be evicted for it"
}

// knownFloor is how many members a gang needs; zero where no PodGroup says it.
func knownFloor(s kube.Standing) int {
	if s.Group == nil {
		return 0
	}
	return s.Status.Floor
}

func newGangPlan(o *kube.Offline, s kube.Standing) gangPlan {
	plan := gangPlan{
		Namespace: s.Key.Namespace, Name: s.Key.Name, Fits: s.Fits(), Floor: knownFloor(s),
		Members: len(s.Places) + s.Status.Counts.Finished,
		Domains: map[string]int{}, Assignments: []assignment{}, Victims: []victim{}, Missing: []shortage{},
	}
	for _, place := range s.Places {
		at := assignment{place.Pod.Name, place.Node}
		switch {
		case place.Bound:
			plan.Bound = append(plan.Bound, at)
		case place.Node != "":
			plan.Assignments = append(plan.Assignments, at)
		default:
			plan.Waiting++
		}
	}
	for _, node := range byNode(plan.Assignments) {
		plan.Leaving += o.Left(node.name)
	}
	if plan.Waiting > 0 || !plan.Fits {
		plan.Reason, plan.Message = string(s.Reason.Code), why(s)
	}
	if !plan.Fits {
		plan.Missing = shortages(o, s.Rejection)
	}
	if plan.Fits && s.Domain >= 0 {
		tree := o.Tree()
		domain := tree.Domains[s.Domain]
		plan.Level, plan.Domain = tree.LevelName(domain.Level), domain.Path
		for level := 1; level <= tree.Hosts(); level++ {
			plan.Domains[tree.LevelName(level)] = s.Used[level]
		}
	}
	return plan
}

// why says what a gang waits for.
func why(s kube.Standing) string {
	text := s.Reason.Message
	if sentence := kube.Sentence(s.Status); sentence != "" && !s.Fits() {
		text = sentence
	}
	return text
}

func shortages(o *kube.Offline, r *placement.Rejection) []shortage {
	list := []shortage{}
	if r == nil {
		return list
	}
	tree := o.Tree()
	for _, m := range r.Missing {
		domain, resource := tree.Domains[m.Domain], "nodes"
		if m.Resource != placement.Hosts {
			resource = o.Vocabulary().Name(m.Resource)
		}
		list = append(list, shortage{
			Level: tree.LevelName(domain.Level), Domain: domain.Path, Resource: resource,
			Need: quantity(m.Resource, m.Need), Free: quantity(m.Resource, m.Free), Placeable: m.Placeable,
		})
	}
	return list
}

// quantity is an amount in the unit in which people count the resource.
func quantity(resource int, amount int64) json.Number {
	if resource == cluster.CPU && amount%1000 != 0 {
		return json.Number(strconv.FormatFloat(float64(amount)/1000, 'f', -1, 64))
	}
	if resource == cluster.CPU {
		amount /= 1000
	}
	return json.Number(strconv.FormatInt(amount, 10))
}
