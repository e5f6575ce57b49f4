package processnode

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// clusterDomain is the suffix of a Service's longest name.
const clusterDomain = "cluster.local"

// endpoint is a pod as the names of a cluster see it.
type endpoint struct {
	namespace string
	name      string
	hostname  string // spec.hostname, or the pod's name
	subdomain string
	labels    map[string]string
	address   string
	ready     bool
}

// nameTable says which names lead to which addresses. Keys of names are "namespace/service" or, for
// a pod with a subdomain, "namespace/hostname.service".
type nameTable map[string][]string

// names makes the table. Each Service with a selector counts as headless, also one with a cluster address, because
// nothing here forwards packets: its name leads to the pods, at the pods' own ports.
func names(services []*v1.Service, pods []endpoint) nameTable {
	table := nameTable{}
	for _, s := range services {
		if len(s.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromSet(s.Spec.Selector)
		for _, p := range pods {
			if p.namespace != s.Namespace || p.address == "" || !selector.Matches(labels.Set(p.labels)) {
				continue
			}
			if !p.ready && !s.Spec.PublishNotReadyAddresses {
				continue
			}
			table.add(s.Namespace+"/"+s.Name, p.address)
			if p.subdomain == s.Name {
				table.add(s.Namespace+"/"+p.hostname+"."+s.Name, p.address)
			}
		}
	}
	return table
}

func (t nameTable) add(key, address string) {
	if !slices.Contains(t[key], address) {
		t[key] = append(t[key], address)
		slices.Sort(t[key])
	}
}

// resolve finds the addresses of a name as a pod of the namespace would.
func (t nameTable) resolve(namespace, name string) []string {
	name = strings.TrimSuffix(name, ".")
	name = strings.TrimSuffix(name, ".svc."+clusterDomain)
	name = strings.TrimSuffix(name, ".svc")
	if found := t[namespace+"/"+name]; found != nil {
		return found
	}
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return t[name[at+1:]+"/"+name[:at]]
	}
	return nil
}

// hostsFile is the /etc/hosts of a pod.
func hostsFile(self endpoint, aliases []v1.HostAlias, table nameTable) string {
	var out strings.Builder
	out.WriteString("# Written by the Lockstep process node; kept current.\n")
	out.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	if self.address != "" {
		own := []string{self.hostname}
		if self.subdomain != "" {
			own = slices.Insert(own, 0, fmt.Sprintf("%s.%s.%s.svc.%s", self.hostname, self.subdomain, self.namespace, clusterDomain))
		}
		fmt.Fprintf(&out, "%s\t%s\n", self.address, strings.Join(own, " "))
	}
	for _, a := range aliases {
		fmt.Fprintf(&out, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, " "))
	}
	for _, key := range sortedKeys(table) {
		namespace, name, _ := strings.Cut(key, "/")
		long := name + "." + namespace
		aliases := []string{long + ".svc." + clusterDomain, long + ".svc", long}
		if namespace == self.namespace {
			aliases = append(aliases, name)
		}
		for _, address := range table[key] {
			fmt.Fprintf(&out, "%s\t%s\n", address, strings.Join(aliases, " "))
		}
	}
	return out.String()
}
