package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const contextName = "lockstep-devcluster"

// kubeconfig describes one user's way to the cluster.
func kubeconfig(server string, caPEM []byte, user *api.AuthInfo) *api.Config {
	config := api.NewConfig()
	config.Clusters[contextName] = &api.Cluster{Server: server, CertificateAuthorityData: caPEM}
	config.AuthInfos[contextName] = user
	config.Contexts[contextName] = &api.Context{Cluster: contextName, AuthInfo: contextName, Namespace: "default"}
	config.CurrentContext = contextName
	return config
}

func userByCert(pair KeyPair) *api.AuthInfo {
	return &api.AuthInfo{ClientCertificateData: pair.CertPEM, ClientKeyData: pair.KeyPEM}
}

func userByToken(token string) *api.AuthInfo {
	return &api.AuthInfo{Token: token}
}

// mergeKubeconfig adds the cluster to a file, which may hold others, and makes
// it the current one.
func mergeKubeconfig(path string, config *api.Config) error {
	all, err := loadKubeconfig(path)
	if err != nil {
		return err
	}
	all.Clusters[contextName] = config.Clusters[contextName]
	all.AuthInfos[contextName] = config.AuthInfos[contextName]
	all.Contexts[contextName] = config.Contexts[contextName]
	all.CurrentContext = contextName
	return writeKubeconfig(path, all)
}

// unmergeKubeconfig takes the cluster out again, unless the file names another
// one by now. A file that holds nothing else is removed.
func unmergeKubeconfig(path, server string) error {
	all, err := loadKubeconfig(path)
	if err != nil {
		return err
	}
	if ours := all.Clusters[contextName]; ours == nil || ours.Server != server {
		return nil
	}
	delete(all.Clusters, contextName)
	delete(all.AuthInfos, contextName)
	delete(all.Contexts, contextName)
	if all.CurrentContext == contextName {
		all.CurrentContext = ""
	}
	if len(all.Clusters)+len(all.Contexts)+len(all.AuthInfos) == 0 {
		return os.Remove(path)
	}
	return writeKubeconfig(path, all)
}

// loadKubeconfig reads a file; one that is missing or empty holds nothing.
func loadKubeconfig(path string) (*api.Config, error) {
	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return api.NewConfig(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return config, nil
}

// writeKubeconfig replaces the file at once, so that nobody reads half of it.
func writeKubeconfig(path string, config *api.Config) error {
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return writeFileAtomically(path, data)
}

func writeFileAtomically(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails after the rename, as it should
	if _, err := temporary.Write(data); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
