package processnode

import (
	"fmt"
	"hash/fnv"
	"net/netip"
)

// addressPool gives each pod an address and reuses the oldest ones last.
type addressPool struct {
	prefix netip.Prefix
	next   netip.Addr
	used   map[netip.Addr]bool
}

// newAddressPool leaves out the first address, which is the bridge's.
func newAddressPool(prefix netip.Prefix) *addressPool {
	prefix = prefix.Masked()
	return &addressPool{prefix: prefix, next: prefix.Addr().Next().Next(), used: map[netip.Addr]bool{}}
}

// bridgeAddress is the first address of the pool, with its prefix length.
func (p *addressPool) bridgeAddress() string {
	return netip.PrefixFrom(p.prefix.Addr().Next(), p.prefix.Bits()).String()
}

func (p *addressPool) take() (string, error) {
	first := p.prefix.Addr().Next().Next()
	for tries := 0; tries <= len(p.used); tries++ {
		address := p.next
		p.next = address.Next()
		// The last address of a network is for broadcasts.
		if !p.prefix.Contains(address) || !p.prefix.Contains(p.next) {
			p.next = first
			tries--
			continue
		}
		if !p.used[address] {
			p.used[address] = true
			return address.String(), nil
		}
	}
	return "", fmt.Errorf("all %d pod addresses of %s are in use", len(p.used), p.prefix)
}

func (p *addressPool) release(address string) {
	if a, err := netip.ParseAddr(address); err == nil {
		delete(p.used, a)
	}
}

// loopbackPrefix is a part of 127.0.0.0/8 that another process node is unlikely to use.
func loopbackPrefix(seed string) netip.Prefix {
	h := fnv.New32a()
	h.Write([]byte(seed))
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(1 + h.Sum32()%254), 0, 0}), 16)
}

// defaultPodCIDR exists only inside the node's own network namespace.
var defaultPodCIDR = netip.MustParsePrefix("10.231.0.0/16")

// hostIP is the node's address: everything of it listens on loopback only.
const hostIP = "127.0.0.1"
