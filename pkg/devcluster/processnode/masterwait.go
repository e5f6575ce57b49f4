package processnode

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// masterWait is as long as the script of that init container waits: 100 tries, two seconds apart.
const masterWait = 200 * time.Second

// awaitMaster does what the init container init-pytorch does: wait until the Master's name has an address.
func (c *container) awaitMaster(ctx context.Context, spec sandbox.Spec) *v1.ContainerStateTerminated {
	c.running()
	begin := now()
	object := c.p.current()
	master := object.Labels[jobLabel] + "-master-0"
	timeout := time.After(masterWait)
	for {
		addresses, changed := c.p.r.resolve(object.Namespace, master)
		if len(addresses) > 0 {
			c.note(spec.Log, fmt.Sprintf("%s is %s", master, addresses[0]))
			return c.ended(begin, 0)
		}
		select {
		case <-changed:
		case <-timeout:
			c.note(spec.Log, fmt.Sprintf("%s has no address after %s", master, masterWait))
			return c.ended(begin, 1)
		case <-ctx.Done():
			return c.ended(begin, 143)
		}
	}
}

// note appends a line of the node's own to the container's log.
func (c *container) note(path, text string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return // the log is a courtesy here; the state tells the outcome
	}
	defer file.Close()
	fmt.Fprintf(file, "%s stdout F %s\n", time.Now().UTC().Format(time.RFC3339Nano), text)
}
