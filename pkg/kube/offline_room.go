package kube

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Sized is a gang whose size a recommender may change.
type Sized struct {
	Key gang.Key
	// Spare is how many members it may have to give back to gangs that wait.
	Spare int
}

// Room is the cluster as a recommender of sizes asks about it: what is free, below the caps
// of queues, with the jobs whose size it may change and the gangs that wait. Jobs are gangs
// with members of the given role that have a node; the room, and pending, know gangs as
// namespace/name. now is what their waiting is counted to, from when the gang was made.
//
// A gang waits if its floor has no place and could have one in an empty cluster, and no cap
// keeps it out that jobs could not make room below; members above a floor that is placed do
// not count. Pending is in the order in which gangs are tried.
func (o *Offline) Room(now time.Time, jobs []Sized, role string) (room autoscale.Room, pending []autoscale.Pending) {
	placed := map[string]autoscale.Placed{}
	allowed := o.allowance()
	for _, job := range jobs {
		if p, ok := o.placed(job.Key, role); ok {
			placed[job.Key.String()] = p
			allowed.spare(job, o.queueOf(job.Key), p.Worker)
		}
	}
	waiting := map[string]placement.Request{}
	for _, key := range o.Queue() {
		if req, ok := o.waits(key); ok && allowed.may(key, o.queueOf(key), req) {
			waiting[key.String()] = req
			pending = append(pending, autoscale.Pending{
				Name: key.String(), GPUs: extended(req), Waited: now.Sub(o.groups[key].CreationTimestamp.Time), Priority: Priority(o.leader(key)),
			})
		}
	}
	return allowed.below(autoscale.NewIndexRoom(o.view.Index, placed, waiting)), pending
}

// extended is how much a gang asks for of what its members are chiefly about: GPUs,
// or whatever extended resource they use; 0 where they use none.
func extended(req placement.Request) int {
	sum := int64(0)
	for _, class := range req.Classes {
		if primary := class.Requests.Primary(); primary != cluster.CPU {
			sum += class.Requests.Get(primary) * int64(class.Count)
		}
	}
	return int(sum)
}

// placed is where a job's members are; ok is false if none of the role has a node.
func (o *Offline) placed(key gang.Key, role string) (p autoscale.Placed, ok bool) {
	p.Required = o.required(key)
	for _, pod := range o.pods[key] {
		node, known := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
		if !known {
			continue
		}
		member := o.member(pod)
		if member.Role != role {
			p.Others = append(p.Others, node)
			continue
		}
		p.Workers = append(p.Workers, node)
		p.Worker, ok = o.classOf(member), true
	}
	return p, ok
}

// waits is what a gang has to be given so that its floor is placed; ok is false for one
// that waits for something else than room, or for nothing.
func (o *Offline) waits(key gang.Key) (req placement.Request, ok bool) {
	status, known := o.core.Status(key)
	leader := o.leader(key)
	need := status.Floor - status.Counts.Placed()
	if !known || leader == nil || need <= 0 || o.core.Gate(string(leader.UID)).Code != "" {
		return req, false
	}
	req.Required = o.required(key)
	classes := map[string]int{}
	for _, pod := range o.pods[key] {
		if node, bound := cluster.Find(o.view.Nodes, pod.Spec.NodeName); bound {
			req.Fixed = append(req.Fixed, node)
			continue
		}
		if need == 0 || Barred(pod) != "" {
			continue
		}
		need--
		member := o.member(pod)
		class, there := classes[member.Class]
		if !there {
			class = len(req.Classes)
			classes[member.Class] = class
			req.Classes = append(req.Classes, o.classOf(member))
		}
		req.Classes[class].Count++
	}
	_, rejection := o.view.Index.Solve(req)
	return req, rejection == nil || rejection.Kind == placement.DoesNotFit
}

// required is the level that a gang requires; the cluster where it names none that is known.
func (o *Offline) required(key gang.Key) int {
	group := o.groups[key]
	if group == nil {
		return 0
	}
	level, _ := o.view.Tree.LevelOf(Spec(group).Required.Name)
	return level
}

func (o *Offline) classOf(m gang.Member) placement.Class {
	return placement.Class{Requests: slices.Clone(m.Requests), Key: m.Class,
		Eligible: func(node int) bool { return o.eligible(m.Class, node) }}
}
