package devcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	validCA   = 10 * 365 * 24 * time.Hour
	validLeaf = 365 * 24 * time.Hour
)

// KeyPair is a certificate with its private key, both PEM.
type KeyPair struct {
	CertPEM, KeyPEM []byte
}

// CA signs the certificates of one cluster.
type CA struct {
	KeyPair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of CA %s: %w", name, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotAfter:              time.Now().Add(validCA),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	pair, cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	return &CA{KeyPair: pair, cert: cert, key: key}, nil
}

// Server returns a certificate for a server on loopback that is also reached
// by the names given. It is good for a client as well, which etcd wants.
func (ca *CA) Server(commonName string, names ...string) (KeyPair, error) {
	return ca.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		DNSNames:    append([]string{"localhost"}, names...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// Client returns a certificate for a user and the groups that it is in.
func (ca *CA) Client(user string, groups ...string) (KeyPair, error) {
	return ca.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (ca *CA) leaf(template *x509.Certificate) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("key of %s: %w", template.Subject.CommonName, err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotAfter = time.Now().Add(validLeaf)
	pair, _, err := sign(template, ca.cert, key, ca.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (KeyPair, *x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return KeyPair{}, nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks jump
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return KeyPair{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return KeyPair{}, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return KeyPair{}, nil, err
	}
	return KeyPair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, cert, nil
}

// pki is everything that the components of one cluster prove themselves with.
// The files lie in dir as NAME.crt and NAME.key.
type pki struct {
	dir string
	// ca signs all but the front proxy's certificate; the front proxy's CA is
	// apart, so that no other client can pose as the aggregator.
	ca    *CA
	admin KeyPair
}

func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := newCA("lockstep-devcluster")
	if err != nil {
		return nil, err
	}
	frontCA, err := newCA("lockstep-devcluster-front-proxy")
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, ca: ca}
	leaves := []struct {
		name string
		make func() (KeyPair, error)
	}{
		{"ca", func() (KeyPair, error) { return ca.KeyPair, nil }},
		{"front-proxy-ca", func() (KeyPair, error) { return frontCA.KeyPair, nil }},
		{"etcd", func() (KeyPair, error) { return ca.Server("etcd") }},
		{"etcd-client", func() (KeyPair, error) { return ca.Client("kube-apiserver-etcd-client") }},
		{"apiserver", func() (KeyPair, error) {
			return ca.Server("kube-apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
		}},
		{"kubelet-client", func() (KeyPair, error) { return ca.Client("kube-apiserver-kubelet-client", "system:masters") }},
		{"front-proxy", func() (KeyPair, error) { return frontCA.Client("front-proxy-client") }},
		{"service-account", func() (KeyPair, error) { return ca.Client("service-account-key") }},
		{"admin", func() (KeyPair, error) { return ca.Client("lockstep-admin", "system:masters") }},
	}
	for _, leaf := range leaves {
		pair, err := leaf.make()
		if err != nil {
			return nil, err
		}
		if err := p.write(leaf.name, pair); err != nil {
			return nil, err
		}
		if leaf.name == "admin" {
			p.admin = pair
		}
	}
	return p, nil
}

func (p *pki) write(name string, pair KeyPair) error {
	if err := os.WriteFile(p.cert(name), pair.CertPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.key(name), pair.KeyPEM, 0o600)
}

func (p *pki) cert(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p *pki) key(name string) string  { return filepath.Join(p.dir, name+".key") }
