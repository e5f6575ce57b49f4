package controller

// giveBack lets go of what a gang holds while a ResourceQuota has no room for all of it. A pod that
// waits counts in a quota as one that runs does, so two gangs with half of it each would wait
// for one another for ever. Who has its floor waits for the scheduler, and keeps what it has.
func (p *pass) giveBack() {
	if p.Trouble == nil || !p.Trouble.quota || p.mayCreate() || p.hasFloor() {
		return
	}
	for _, pod := range p.Pods {
		p.remember(pod, accounted)
		p.kill(pod, nil)
	}
	for _, service := range p.Services {
		p.remove(service)
	}
}

// hasFloor: as many members exist as the gang needs, or some of them have their place already.
func (p *pass) hasFloor() bool {
	there := int32(0)
	for _, m := range p.members {
		switch {
		case p.completed.has(m.role, m.index):
			there++
		case m.pod == nil || m.pod.DeletionTimestamp != nil:
		case m.pod.Spec.NodeName != "":
			return true
		default:
			there++
		}
	}
	return there >= p.floor()
}
