package kube

import (
	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/quota"
)

// allowance is what the caps of queues leave to jobs and gangs: everything, where there are no queues.
type allowance struct {
	trial  *quota.Trial // nil without queues
	least  *quota.Trial // what queues hold once jobs have given back all that they can spare
	of     func(class placement.Class) cluster.Resources
	shares map[string]share // of one Worker of a job, or of the whole of a gang that waits
}

// share is what is charged to a queue.
type share struct {
	queue   string
	amounts cluster.Resources
}

func (o *Offline) allowance() *allowance {
	c := &allowance{shares: map[string]share{}}
	if usage := o.core.Usage(); usage != nil {
		c.trial, c.least = usage.Trial(), usage.Trial()
		c.of = func(class placement.Class) cluster.Resources { return o.charge(class.Requests, class.Key, "") }
	}
	return c
}

// queueOf is the queue of a gang; empty for none.
func (o *Offline) queueOf(key gang.Key) string {
	queue := ""
	if pg := o.groups[key]; pg != nil && o.quota != nil {
		queue, _ = o.quota.QueueOf(pg)
	}
	return queue
}

// spare takes in what one Worker of a job counts as, and what the job can give back.
func (c *allowance) spare(job Sized, queue string, worker placement.Class) {
	if c.trial == nil {
		return
	}
	one := c.of(worker)
	c.shares[job.Key.String()] = share{queue, one}
	c.least.Give(queue, times(one, job.Spare))
}

// may reports whether a gang that waits would be let in once jobs have given back what they
// can spare.
func (c *allowance) may(key gang.Key, queue string, req placement.Request) bool {
	if c.trial == nil {
		return true
	}
	var sum cluster.Resources
	for _, class := range req.Classes {
		sum = sum.Add(times(c.of(class), class.Count))
	}
	c.shares[key.String()] = share{queue, sum}
	return c.least.Admits(queue, sum)
}

func times(amounts cluster.Resources, n int) cluster.Resources {
	out := amounts.Clone()
	for r := range out {
		out[r] *= int64(n)
	}
	return out
}

// below is what of a room is below the caps.
func (c *allowance) below(room autoscale.Room) autoscale.Room {
	if c.trial == nil {
		return room
	}
	return cappedRoom{room, c}
}

// cappedRoom keeps to the caps of queues.
type cappedRoom struct {
	autoscale.Room
	*allowance
}

func (r cappedRoom) Reset() {
	r.Room.Reset()
	r.trial.Reset()
}

func (r cappedRoom) Grow(job string, n int) bool {
	s := r.shares[job]
	more := times(s.amounts, n)
	if !r.trial.Admits(s.queue, more) || !r.Room.Grow(job, n) {
		return false
	}
	r.trial.Take(s.queue, more)
	return true
}

func (r cappedRoom) Shrink(job string, n int) {
	s := r.shares[job]
	r.Room.Shrink(job, n)
	r.trial.Give(s.queue, times(s.amounts, n))
}

func (r cappedRoom) Start(gang string) bool {
	s := r.shares[gang]
	if !r.trial.Admits(s.queue, s.amounts) || !r.Room.Start(gang) {
		return false
	}
	r.trial.Take(s.queue, s.amounts)
	return true
}
