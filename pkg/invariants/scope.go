package invariants

import (
	"slices"
	"strings"
)

// judgeWriter is S11: the scheduler writes to no node and to no pod of another scheduler,
// the controller to no job of another controller.
func (c *Checker) judgeWriter(e Event) {
	complain := func(writer, object string) {
		c.broken("S11", []string{object}, []Event{e}, "%s has written to %s, which is not its own", writer, strings.Replace(object, "/", " ", 1))
	}
	wrote := func(writer string, writers []string) bool {
		return slices.Contains(writers, writer) || strings.HasPrefix(e.By, writer)
	}
	switch scheduler, controller := c.opts.SchedulerWriter, c.opts.ControllerWriter; {
	case e.Gone:
	case e.Pod != nil && !slices.Contains(c.opts.Schedulers, e.Pod.Scheduler) && wrote(scheduler, e.Pod.Writers):
		complain(scheduler, "pod/"+e.Pod.String())
	case e.Node != nil && wrote(scheduler, e.Node.Writers):
		complain(scheduler, "node/"+e.Node.Name)
	case e.Node != nil && wrote(controller, e.Node.Writers):
		complain(controller, "node/"+e.Node.Name)
	case e.Job != nil && e.Job.Foreign && wrote(controller, e.Job.Writers):
		complain(controller, "pytorchjob/"+e.Job.Namespace+"/"+e.Job.Name)
	case e.Job != nil && wrote(scheduler, e.Job.Writers):
		complain(scheduler, "pytorchjob/"+e.Job.Namespace+"/"+e.Job.Name)
	}
}

// judgeOwner is S11 for PodGroups: the controller keeps to those of its jobs.
func (c *Checker) judgeOwner(e Event) {
	if !e.Gone && e.Group.Job == "" && slices.Contains(e.Group.Writers, c.opts.ControllerWriter) {
		c.broken("S11", []string{"podgroup/" + e.Group.key().String()}, []Event{e}, "%s has written to podgroup %s, which no job owns",
			c.opts.ControllerWriter, e.Group.key())
	}
}
