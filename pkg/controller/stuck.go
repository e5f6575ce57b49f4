package controller

// releaseStuck deletes by force what should have been gone long ago. The kubelet of a
// dead node never confirms the end of a pod, and a name can be used only once.
func (p *pass) releaseStuck() {
	if p.ForceDeleteAfter <= 0 {
		return
	}
	for _, m := range p.members {
		if m.pod == nil || m.pod.DeletionTimestamp == nil {
			continue
		}
		due := m.pod.DeletionTimestamp.Add(p.ForceDeleteAfter) // the grace period is in the timestamp
		if p.Now.Before(due) {
			p.wakeAt(due)
			continue
		}
		p.plan.Delete = append(p.plan.Delete, Deletion{m.pod, new(int64)})
	}
}
