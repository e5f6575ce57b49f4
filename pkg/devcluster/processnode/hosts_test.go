package processnode

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestNames(t *testing.T) {
	byApp := func(app string) map[string]string { return map[string]string{"app": app} }
	strict := headless("ns", "strict", byApp("a"))
	strict.Spec.PublishNotReadyAddresses = false
	table := names(
		[]*v1.Service{headless("ns", "a", byApp("a")), headless("ns", "set", byApp("set")), strict, headless("ns", "all", nil)},
		[]endpoint{
			{namespace: "ns", name: "a-1", labels: byApp("a"), address: "10.0.0.3"},
			{namespace: "ns", name: "a-0", labels: byApp("a"), address: "10.0.0.2"},
			{namespace: "other", name: "a-0", labels: byApp("a"), address: "10.0.0.9"},
			{namespace: "ns", name: "starting", labels: byApp("a")},
			{namespace: "ns", name: "set-0", hostname: "set-0", subdomain: "set", labels: byApp("set"), address: "10.0.0.4"},
		})
	both := []string{"10.0.0.2", "10.0.0.3"}
	for _, c := range []struct {
		from, name string
		want       []string
	}{
		{"ns", "a", both},
		{"other", "a.ns", both},
		{"other", "a.ns.svc", both},
		{"other", "a.ns.svc.cluster.local.", both},
		{"other", "a", nil},
		{"ns", "set-0.set", []string{"10.0.0.4"}},
		{"other", "set-0.set.ns.svc.cluster.local", []string{"10.0.0.4"}},
		{"ns", "strict", nil}, // its pods are not ready
		{"ns", "all", nil},    // a Service without a selector is somebody else's to fill
		{"ns", "a-0", nil},
	} {
		if got := table.resolve(c.from, c.name); !slices.Equal(got, c.want) {
			t.Errorf("in %s, %q leads to %v, want %v", c.from, c.name, got, c.want)
		}
	}
	file := hostsFile(endpoint{namespace: "ns", hostname: "a-0", address: "10.0.0.2"}, []v1.HostAlias{{IP: "10.9.9.9", Hostnames: []string{"db"}}}, table)
	for _, line := range []string{
		"127.0.0.1\tlocalhost\n", "10.0.0.2\ta-0\n", "10.9.9.9\tdb\n", "10.0.0.3\ta.ns.svc.cluster.local a.ns.svc a.ns a\n",
	} {
		if !strings.Contains(file, line) {
			t.Errorf("hosts file has no line %q:\n%s", line, file)
		}
	}
}

func TestAddressesAreUsedAgainLast(t *testing.T) {
	pool := newAddressPool(netip.MustParsePrefix("10.0.0.0/29")) // .1 is the bridge's, .7 is for broadcasts
	var got []string
	for range 3 {
		address, err := pool.take()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, address)
		pool.release("10.0.0.2")
	}
	for range 3 {
		if address, err := pool.take(); err == nil {
			got = append(got, address)
		}
	}
	if want := []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if address, err := pool.take(); err == nil {
		t.Errorf("a full pool gave %s", address)
	}
}
