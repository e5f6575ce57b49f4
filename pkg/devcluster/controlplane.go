package devcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd/api"
)

const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
)

// startServer starts a program that listens, on ports that are free now, or, when
// it is to be found where it was, on the ports given. It tries again, with other
// ports if it may, when somebody else was faster. ready is asked until it is content.
func (c *Cluster) startServer(ctx context.Context, ports ports, build func(ports []int) command,
	ready func(ports []int) func(context.Context) error,
) (*Process, []int, error) {
	for try := 1; ; try++ {
		chosen, err := ports.choose()
		if err != nil {
			return nil, nil, err
		}
		line := build(chosen)
		p, err := c.spawner.run(line)
		if err != nil {
			return nil, nil, err
		}
		err = await(ctx, p, line.name+" does not get ready", ready(chosen))
		if err == nil {
			return p, chosen, nil
		}
		taken := !p.Running() && p.portWasTaken()
		p.Kill()
		if !taken || try == portTries {
			return nil, nil, err
		}
	}
}

// startEtcd starts an etcd whose data need not survive a crash of the machine.
func (c *Cluster) startEtcd(ctx context.Context) error {
	path, err := findComponent(c.options.BinDir, etcdName)
	if err != nil {
		return err
	}
	client, err := c.httpClient("etcd-client")
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p, chosen, err := c.startServer(ctx, ports{fixed: c.etcdPorts, free: 2}, func(ports []int) command {
		server, peer := httpsURL(ports[0]), httpsURL(ports[1])
		return path.command(etcdName, c.logFile(etcdName),
			"--name=devcluster",
			"--data-dir="+c.path("etcd"),
			"--listen-client-urls="+server, "--advertise-client-urls="+server,
			"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=devcluster="+peer,
			"--client-cert-auth", "--trusted-ca-file="+c.pki.cert("ca"),
			"--cert-file="+c.pki.cert("etcd"), "--key-file="+c.pki.key("etcd"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file="+c.pki.cert("ca"),
			"--peer-cert-file="+c.pki.cert("etcd"), "--peer-key-file="+c.pki.key("etcd"),
			"--unsafe-no-fsync",
			"--quota-backend-bytes="+strconv.Itoa(8<<30),
			"--log-level=warn",
		)
	}, func(ports []int) func(context.Context) error {
		return answers(client, httpsURL(ports[0])+"/readyz")
	})
	if err != nil {
		return err
	}
	c.mutex.Lock()
	c.etcdPorts = chosen
	c.mutex.Unlock()
	c.setProcess(&c.etcd, p)
	return nil
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	path, err := findComponent(c.options.BinDir, apiServerName)
	if err != nil {
		return err
	}
	client, err := c.httpClient("admin")
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p, chosen, err := c.startServer(ctx, ports{fixed: c.apiServerPorts, free: 1}, func(ports []int) command {
		return path.command(apiServerName, c.logFile(apiServerName), c.apiServerArgs(ports[0])...)
	}, func(ports []int) func(context.Context) error {
		return answers(client, httpsURL(ports[0])+"/readyz")
	})
	if err != nil {
		return err
	}
	c.mutex.Lock()
	c.apiServerPorts = chosen
	c.mutex.Unlock()
	c.setProcess(&c.apiServer, p)
	return nil
}

func (c *Cluster) apiServerArgs(port int) []string {
	args := []string{
		"--bind-address=" + loopback, "--advertise-address=" + loopback, "--secure-port=" + strconv.Itoa(port),
		"--endpoint-reconciler-type=none", // it refuses loopback addresses
		"--tls-cert-file=" + c.pki.cert("apiserver"), "--tls-private-key-file=" + c.pki.key("apiserver"),
		"--etcd-servers=" + httpsURL(c.etcdPorts[0]), "--etcd-cafile=" + c.pki.cert("ca"),
		"--etcd-certfile=" + c.pki.cert("etcd-client"), "--etcd-keyfile=" + c.pki.key("etcd-client"),

		"--client-ca-file=" + c.pki.cert("ca"), "--anonymous-auth=false",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		// It gives each new node a taint until the controller-manager has seen it
		// ready. Nodes here are ready when they are created, and a thousand writes
		// less halve the time until a large cluster can be used.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.pki.key("service-account"),
		"--service-account-signing-key-file=" + c.pki.key("service-account"),
		"--requestheader-client-ca-file=" + c.pki.cert("front-proxy-ca"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki.cert("front-proxy"), "--proxy-client-key-file=" + c.pki.key("front-proxy"),

		"--kubelet-client-certificate=" + c.pki.cert("kubelet-client"),
		"--kubelet-client-key=" + c.pki.key("kubelet-client"),
		"--kubelet-certificate-authority=" + c.pki.cert("ca"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",

		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged",
		"--profiling=false",
		// One developer's tests, not tenants to be kept from each other.
		"--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000",
	}
	args = append(args, mapFlag("feature-gates", c.options.FeatureGates)...)
	args = append(args, mapFlag("runtime-config", c.options.RuntimeConfig)...)
	return append(args, c.options.APIServerArgs...)
}

// startControllerManager starts the controllers of a cluster without a cloud.
// It has no port: nobody asks it anything here.
func (c *Cluster) startControllerManager(context.Context) error {
	path, err := findComponent(c.options.BinDir, controllerManagerName)
	if err != nil {
		return err
	}
	pair, err := c.pki.ca.Client("system:kube-controller-manager")
	if err != nil {
		return err
	}
	kubeconfigPath := c.path("controller-manager.kubeconfig")
	if err := writeKubeconfig(kubeconfigPath, c.kubeconfigFor(userByCert(pair))); err != nil {
		return err
	}
	args := []string{
		"--kubeconfig=" + kubeconfigPath,
		"--use-service-account-credentials", // each controller with the rights it has on any cluster
		"--service-account-private-key-file=" + c.pki.key("service-account"),
		"--root-ca-file=" + c.pki.cert("ca"),
		"--secure-port=0",
		"--leader-elect=false",
		"--profiling=false",
		"--controllers=" + strings.Join(controllers, ","),
		"--node-monitor-grace-period=" + c.options.NodeLease.String(),
		// A thousand nodes arrive at once, and each wants a taint taken away.
		"--kube-api-qps=2000", "--kube-api-burst=4000",
	}
	args = append(args, mapFlag("feature-gates", c.options.FeatureGates)...)
	args = append(args, c.options.ControllerManagerArgs...)
	p, err := c.spawner.run(path.command(controllerManagerName, c.logFile(controllerManagerName), args...))
	if err != nil {
		return err
	}
	c.setProcess(&c.controllerManager, p)
	return nil
}

// controllers is all of them but those that need a cloud, a kubelet's
// certificates or a network, which no devcluster has.
var controllers = []string{
	"*", "-node-ipam-controller", "-ttl-controller", "-persistentvolume-attach-detach-controller",
	"-certificatesigningrequest-signing-controller", "-certificatesigningrequest-approving-controller",
	"-certificatesigningrequest-cleaner-controller", "-podcertificaterequest-cleaner-controller",
	"-legacy-serviceaccount-token-cleaner-controller",
}

func mapFlag(name string, values map[string]bool) []string {
	if len(values) == 0 {
		return nil
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, key+"="+strconv.FormatBool(values[key]))
	}
	return []string{"--" + name + "=" + strings.Join(pairs, ",")}
}

// httpClient identifies itself by one of the cluster's certificates.
func (c *Cluster) httpClient(certificate string) (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(c.pki.cert(certificate), c.pki.key(certificate))
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certificate, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.pki.ca.CertPEM)
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
	}, nil
}

// answers returns a check that a URL answers with status 200.
func answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, response.Status)
		}
		return nil
	}
}

// serverURL is where the apiserver listens, or empty when it never has.
func (c *Cluster) serverURL() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.apiServerPorts) == 0 {
		return ""
	}
	return httpsURL(c.apiServerPorts[0])
}

func (c *Cluster) kubeconfigFor(user *api.AuthInfo) *api.Config {
	return kubeconfig(c.serverURL(), c.pki.ca.CertPEM, user)
}

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.options.DataDir}, parts...)...)
}

func (c *Cluster) logFile(name string) string { return c.path("logs", name+".log") }
