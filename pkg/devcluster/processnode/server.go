package processnode

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	v1 "k8s.io/api/core/v1"
)

// logServer is the node's side of kubectl logs. It listens on loopback only.
type logServer struct {
	listener net.Listener
	server   *http.Server
}

func newLogServer(r *Runtime, o Options) (*logServer, error) {
	config, err := serverTLS(o)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(hostIP, "0"))
	if err != nil {
		return nil, err
	}
	pods := func(ctx context.Context) ([]*v1.Pod, error) { return r.GetPods(ctx) }
	handler := api.PodHandler(api.PodHandlerConfig{
		GetContainerLogs: r.GetContainerLogs, GetPods: pods, GetPodsFromKubernetes: pods,
	}, false)
	return &logServer{
		listener: tls.NewListener(listener, config),
		server:   &http.Server{Handler: tailNone(handler), ReadHeaderTimeout: 10 * time.Second},
	}, nil
}

func (s *logServer) port() int32 { return int32(s.listener.Addr().(*net.TCPAddr).Port) }

// serve blocks until close.
func (s *logServer) serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("log endpoint: %w", err)
	}
	return nil
}

func (s *logServer) close() { s.server.Close() }

// tailNone carries "tailLines=0" past the handler, for which 0 means all.
func tailNone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("tailLines") == "0" {
			r = r.WithContext(context.WithValue(r.Context(), fromEnd{}, true))
		}
		next.ServeHTTP(w, r)
	})
}

func serverTLS(o Options) (*tls.Config, error) {
	var pair tls.Certificate
	var err error
	if o.CertFile == "" {
		pair, err = selfSigned()
	} else {
		pair, err = tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate of the log endpoint: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if o.ClientCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("client authority of the log endpoint: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client authority of the log endpoint: %s has no certificate", o.ClientCAFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: DefaultNodeName}, IPAddresses: []net.IP{net.ParseIP(hostIP)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}
