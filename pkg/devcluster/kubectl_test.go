package devcluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorization "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// What kubectl asks of a cluster, asked as kubectl does: through the file.
func TestKubeconfigServesWhatKubectlNeeds(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	config, err := clientcmd.BuildConfigFromFlags("", c.KubeconfigPath())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	pods := client.CoreV1().Pods(namespace)

	t.Run("version", func(t *testing.T) {
		version, err := client.Discovery().ServerVersion()
		if err != nil || version.GitVersion != "v1.37.2" {
			t.Errorf("version %v, %v", version, err)
		}
	})
	// What the apiserver tells of the kinds of a definition follows some time after it serves them.
	t.Run("api-resources", func(t *testing.T) {
		eventually(t, "the kinds", func(context.Context) error {
			_, lists, err := client.Discovery().ServerGroupsAndResources()
			if err != nil {
				return err
			}
			var kinds []string
			for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists) {
				for _, r := range list.APIResources {
					kinds = append(kinds, r.Kind)
				}
			}
			for _, want := range []string{"Pod", "Node", "PodGroup", "PyTorchJob"} {
				if !slices.Contains(kinds, want) {
					return fmt.Errorf("no kind %s", want)
				}
			}
			return nil
		})
	})
	t.Run("explain", func(t *testing.T) {
		eventually(t, "the schema of kubeflow.org/v1", func(context.Context) error {
			paths, err := client.Discovery().OpenAPIV3().Paths()
			if err == nil && paths["apis/kubeflow.org/v1"] == nil {
				err = errors.New("there is none")
			}
			return err
		})
	})
	t.Run("apply and get as a table", func(t *testing.T) {
		manifest := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
			"spec": {"nodeName": %q, "containers": [{"name": "c", "image": "none"}]}}`, fakenodes.NodeName(0))
		_, err := pods.Patch(t.Context(), "p", types.ApplyPatchType, []byte(manifest), metav1.PatchOptions{FieldManager: "kubectl"})
		if err != nil {
			t.Fatal(err)
		}
		awaitPod(t, c, namespace, "p", "runs", isReady)
		text, err := client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
		if err != nil || !strings.Contains(string(text), `"Table"`) || !strings.Contains(string(text), `"Running"`) {
			t.Errorf("table %s, %v", text, err)
		}
	})
	t.Run("watch", func(t *testing.T) {
		watch, err := pods.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=p"})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		if event := <-watch.ResultChan(); event.Object.(*corev1.Pod).Name != "p" {
			t.Errorf("event %v", event)
		}
	})
	t.Run("auth can-i", func(t *testing.T) {
		review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorization.SelfSubjectAccessReview{
			Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorization.ResourceAttributes{Verb: "*", Resource: "*", Group: "*"}},
		}, metav1.CreateOptions{})
		if err != nil || !review.Status.Allowed {
			t.Errorf("the administrator may not do everything: %v, %v", review, err)
		}
	})
}

func TestStrangersAreTurnedAway(t *testing.T) {
	c := sharedCluster(t)
	strangers := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // who they talk to is not the point
	defer strangers.CloseIdleConnections()
	for _, path := range []string{"/api/v1/secrets", "/version", "/healthz"} {
		response, err := strangers.Get(c.RESTConfig().Host + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("GET %s without a certificate: %s", path, response.Status)
		}
	}
	if response, err := strangers.Get(httpsURL(c.etcdPorts[0]) + "/version"); err == nil {
		response.Body.Close()
		t.Errorf("etcd talks to a client without a certificate: %s", response.Status)
	}
}

func TestServiceAccountsHaveTheShippedRightsOnly(t *testing.T) {
	c := sharedCluster(t)
	for _, account := range []string{schedulerBinary, controllerBinary} {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := c.writeServiceAccountKubeconfig(t.Context(), account, path); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		client := kubernetes.NewForConfigOrDie(config)
		if _, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("%s may not list pods: %v", account, err)
		}
		if _, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err == nil {
			t.Errorf("%s may list secrets", account)
		}
	}
}

func TestEverythingListensOnLoopback(t *testing.T) {
	c := sharedCluster(t)
	for _, p := range []*Process{c.Etcd(), c.APIServer(), c.ControllerManager()} {
		addresses, err := listening(p.Pid())
		if err != nil {
			t.Fatal(err)
		}
		if len(addresses) == 0 && p != c.ControllerManager() {
			t.Errorf("%s does not listen: the test does not see what it should", p.Name())
		}
		for _, address := range addresses {
			if !strings.HasPrefix(address, "0100007F:") { // 127.0.0.1, as the kernel writes it
				t.Errorf("%s listens on %s, which is not loopback", p.Name(), address)
			}
		}
	}
}

// listening is the TCP addresses that a process listens on, as in /proc/net/tcp.
func listening(pid int) ([]string, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	sockets := map[string]bool{}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil {
			sockets[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	const listenState, stateField, inodeField = "0A", 3, 9
	var addresses []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			fields := strings.Fields(line)
			if len(fields) > inodeField && fields[stateField] == listenState && sockets[fields[inodeField]] {
				addresses = append(addresses, fields[1])
			}
		}
	}
	return addresses, nil
}
