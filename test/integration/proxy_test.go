package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// proxy stands between a scheduler and the apiserver and can interfere with binds
// and deletions of pods.
type proxy struct {
	server     *httptest.Server
	kubeconfig string

	mu    sync.Mutex
	rules map[string]rule // by what a request does
	late  chan struct{}   // watches of pods tell nothing until it is closed; nil: they are not late
}

// rule is what happens to a request.
type rule func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// does says what a request does that a rule may be about.
func does(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/binding"):
		return "bind"
	case r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/pods/"):
		return "delete"
	}
	return ""
}

// newProxy makes a proxy, and a kubeconfig that leads to it with the rights of
// the scheduler's service account.
func newProxy(t *testing.T) *proxy {
	t.Helper()
	config := env.cluster.RESTConfig()
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(config.CAData) {
		t.Fatal("the cluster's CA is not PEM")
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.FlushInterval = -1 // watches
	forward.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authorities}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100,
	}
	p := &proxy{rules: map[string]rule{}}
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		rule := p.rules[does(r)]
		p.mu.Unlock()
		if rule != nil {
			// Only a request that has been read whole is noticed to be given up.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			rule(w, r, forward)
			return
		}
		if r.URL.Query().Get("watch") != "" && strings.HasSuffix(r.URL.Path, "/pods") {
			w = &lateWriter{w, p, r}
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	token, err := env.client.CoreV1().ServiceAccounts("lockstep-system").CreateToken(t.Context(), "lockstep-scheduler",
		&authentication.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k := api.NewConfig()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	k.Clusters["proxy"] = &api.Cluster{Server: p.server.URL, CertificateAuthorityData: authority}
	k.AuthInfos["scheduler"] = &api.AuthInfo{Token: token.Status.Token}
	k.Contexts["proxy"] = &api.Context{Cluster: "proxy", AuthInfo: "scheduler"}
	k.CurrentContext = "proxy"
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// lateWriter is a watch that can be held up.
type lateWriter struct {
	http.ResponseWriter
	proxy   *proxy
	request *http.Request
}

func (w *lateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *lateWriter) Write(b []byte) (int, error) {
	w.proxy.mu.Lock()
	late := w.proxy.late
	w.proxy.mu.Unlock()
	if late != nil {
		select {
		case <-late:
		case <-w.request.Context().Done():
		}
	}
	return w.ResponseWriter.Write(b)
}

// holdPods holds up watches of pods until the returned function lets them go on.
func (p *proxy) holdPods() (release func()) {
	late := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = late
	return sync.OnceFunc(func() { close(late) })
}

// onBind sets what happens to requests that bind a pod; nil forwards them.
func (p *proxy) onBind(to rule) { p.on("bind", to) }

// onDelete does the same for requests that delete one.
func (p *proxy) onDelete(to rule) { p.on("delete", to) }

func (p *proxy) on(what string, to rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[what] = to
}
