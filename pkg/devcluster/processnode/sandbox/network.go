package sandbox

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const (
	bridgeName = "pods"
	podLink    = "eth0"
)

// networks are the pods' network namespaces and the bridge that joins them. All of it lives in the
// keeper's own network namespace and goes with it.
type networks struct {
	home   netns.NsHandle
	bridge netlink.Link
	prefix net.IPMask

	mu    sync.Mutex
	names map[string]netns.NsHandle
	count int
}

// newNetworks makes the bridge in the network namespace of this process.
func newNetworks(gateway string) (*networks, error) {
	address, err := netlink.ParseAddr(gateway)
	if err != nil {
		return nil, fmt.Errorf("bridge address %q: %w", gateway, err)
	}
	home, err := netns.Get()
	if err != nil {
		return nil, err
	}
	if err := raise(nil, "lo"); err != nil {
		return nil, err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("make the bridge: %w", err)
	}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return nil, fmt.Errorf("address of the bridge: %w", err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("raise the bridge: %w", err)
	}
	return &networks{home: home, bridge: bridge, prefix: address.Mask, names: map[string]netns.NsHandle{}}, nil
}

// add makes a namespace with a loopback device and, given an address, a link to the bridge.
func (n *networks) add(key, address string) error {
	space, err := newNamespace()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	n.mu.Lock()
	n.count++
	link := fmt.Sprintf("pod%d", n.count)
	_, taken := n.names[key]
	if !taken {
		n.names[key] = space
	}
	n.mu.Unlock()
	if taken {
		space.Close()
		return fmt.Errorf("network %q exists already", key)
	}
	if err := n.connect(space, link, address); err != nil {
		return errors.Join(err, n.remove(key))
	}
	return nil
}

func (n *networks) connect(space netns.NsHandle, link, address string) error {
	inside, err := netlink.NewHandleAt(space)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := raise(inside, "lo"); err != nil {
		return err
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: link, MasterIndex: n.bridge.Attrs().Index},
		PeerName:  podLink, PeerNamespace: netlink.NsFd(space),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the pod's link: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("raise the pod's link: %w", err)
	}
	if address == "" {
		return nil
	}
	eth, err := inside.LinkByName(podLink)
	if err != nil {
		return err
	}
	ip := &net.IPNet{IP: net.ParseIP(address), Mask: n.prefix}
	if err := inside.AddrAdd(eth, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("pod address %s: %w", address, err)
	}
	return inside.LinkSetUp(eth)
}

func (n *networks) remove(key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	space, ok := n.names[key]
	if !ok {
		return nil
	}
	delete(n.names, key)
	// The last handle takes the namespace, its end of the link and so the link with it.
	return space.Close()
}

// within runs f on a thread that is in the namespace, so that a process started by f is born there.
func (n *networks) within(key string, f func() error) error {
	n.mu.Lock()
	space, ok := n.names[key]
	n.mu.Unlock()
	if !ok {
		return fmt.Errorf("no network %q", key)
	}
	runtime.LockOSThread()
	if err := netns.Set(space); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	result := f()
	if err := netns.Set(n.home); err != nil {
		// Keep the lock: a thread in the wrong namespace must not be used again.
		return errors.Join(result, err)
	}
	runtime.UnlockOSThread()
	return result
}

// newNamespace makes a namespace on a thread that ends afterwards.
func newNamespace() (netns.NsHandle, error) {
	type made struct {
		space netns.NsHandle
		err   error
	}
	c := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		space, err := netns.New()
		c <- made{space, err}
	}()
	m := <-c
	return m.space, m.err
}

func raise(h *netlink.Handle, name string) error {
	if h == nil {
		h = &netlink.Handle{}
	}
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("device %s: %w", name, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("raise %s: %w", name, err)
	}
	return nil
}
