package processnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
)

// masterWait is as long as the script of that init container waits: 100 tries, two seconds apart.
const masterWait = 200 * time.Second

// isMasterWait recognises the init container by which a PyTorchJob's Workers wait for the Master's name. Its script needs
// the tools of its image, which cannot run here, so that its meaning is carried out instead.
func isMasterWait(pod *v1.Pod, c *v1.Container) bool {
	return c.Name == "init-pytorch" && pod.Labels[jobLabel] != ""
}

// awaitMaster does what the init container init-pytorch does: wait until the Master's name has an address.
func (c *container) awaitMaster(ctx context.Context) *v1.ContainerStateTerminated {
	c.running()
	begin := now()
	object := c.p.current()
	master := object.Labels[jobLabel] + "-master-0"
	timeout := time.After(masterWait)
	for {
		addresses, changed := c.p.r.resolve(object.Namespace, master)
		if len(addresses) > 0 {
			c.note(fmt.Sprintf("%s is %s", master, addresses[0]))
			return c.ended(begin, 0)
		}
		select {
		case <-changed:
		case <-timeout:
			c.note(fmt.Sprintf("%s has no address after %s", master, masterWait))
			return c.ended(begin, 1)
		case <-ctx.Done():
			return c.ended(begin, 143)
		}
	}
}

// note writes a line of the node's own to the container's log. The log is a courtesy here, the state tells the
// outcome: a failure to write is not told.
func (c *container) note(text string) {
	dir, err := c.makeDirs()
	if err != nil {
		return
	}
	file, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "%s stdout F %s\n", time.Now().UTC().Format(time.RFC3339Nano), text)
}
