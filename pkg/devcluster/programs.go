package devcluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authentication "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
)

// tokenLife is the life of the tokens that the programs get: longer than a
// devcluster lives, because nobody renews them.
const tokenLife = 365 * 24 * time.Hour

// ProgramOptions change how a scheduler or controller is started. The zero
// value is how the manifests run it, but for leader election.
type ProgramOptions struct {
	// Program is another binary beside Lockstep's that takes a scheduler's flags;
	// schedulers alone have one.
	Program string
	// LeaderElection makes it take its lease first; needed when two run.
	LeaderElection bool
	// Config replaces manifests/scheduler/config.yaml. The connection and
	// leader election are filled in. Schedulers alone have one.
	Config []byte
	// Kubeconfig replaces the one with the rights of the shipped service account.
	Kubeconfig string
	// Args are added to the command line, Env (NAME=value) to the environment.
	Args, Env []string
}

// StartScheduler starts one more lockstep-scheduler, with the shipped service
// account's rights, and returns when it says that it is ready: its caches are
// filled, though another may lead. Crash tests end it by Kill.
func (c *Cluster) StartScheduler(ctx context.Context, options ProgramOptions) (*Process, error) {
	dir, kubeconfigPath, err := c.programDir(ctx, schedulerBinary, options)
	if err != nil {
		return nil, err
	}
	configPath := filepath.Join(dir, "config.yaml")
	config, err := schedulerConfig(options, kubeconfigPath)
	if err != nil {
		return nil, err
	}
	if err := writeFileAtomically(configPath, config); err != nil {
		return nil, err
	}
	return c.startProgram(ctx, cmp.Or(options.Program, schedulerBinary), &c.scheduler, options, []string{
		"--config=" + configPath,
		"--authentication-kubeconfig=" + kubeconfigPath, "--authorization-kubeconfig=" + kubeconfigPath,
		"--bind-address=" + loopback,
	}, func(ports []int) ([]string, string) {
		return []string{"--secure-port=" + strconv.Itoa(ports[0])}, httpsURL(ports[0]) + "/readyz"
	})
}

// StartController starts one more lockstep-controller, as StartScheduler does.
func (c *Cluster) StartController(ctx context.Context, options ProgramOptions) (*Process, error) {
	_, kubeconfigPath, err := c.programDir(ctx, controllerBinary, options)
	if err != nil {
		return nil, err
	}
	return c.startProgram(ctx, controllerBinary, &c.controller, options, []string{
		"--kubeconfig=" + kubeconfigPath,
		"--leader-elect=" + strconv.FormatBool(options.LeaderElection),
		"--metrics-bind-address=" + loopback + ":0",
	}, func(ports []int) ([]string, string) {
		address := loopback + ":" + strconv.Itoa(ports[0])
		return []string{"--health-probe-bind-address=" + address}, "http://" + address + "/readyz"
	})
}

// startProgram starts one of Lockstep's own programs and waits for its URL.
func (c *Cluster) startProgram(ctx context.Context, name string, latest **Process, options ProgramOptions, args []string,
	listen func(ports []int) (args []string, readyURL string),
) (*Process, error) {
	path, err := binary(c.options.BinDir, name)
	if err != nil {
		return nil, err
	}
	// The certificate is one that the program has made for itself; kubelets do
	// not look at it either when they ask for readiness.
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // as said
	}
	defer client.CloseIdleConnections()
	p, ports, err := c.startServer(ctx, ports{free: 1}, func(ports []int) command {
		more, _ := listen(ports)
		all := append(append(append([]string{}, args...), more...), options.Args...)
		return command{name: name, path: path, args: all, env: options.Env, log: c.logFile(name)}
	}, func(ports []int) func(context.Context) error {
		_, url := listen(ports)
		return answers(client, url)
	})
	if err != nil {
		return nil, err
	}
	_, p.readyURL = listen(ports)
	c.mutex.Lock()
	c.programs = append(c.programs, p)
	*latest = p
	c.mutex.Unlock()
	return p, c.writeState()
}

// programDir makes a directory for one more instance of a program and, unless
// the options have one, a kubeconfig of its service account in it.
func (c *Cluster) programDir(ctx context.Context, name string, options ProgramOptions) (dir, kubeconfigPath string, err error) {
	if err := os.MkdirAll(c.path(name), 0o700); err != nil {
		return "", "", err
	}
	if dir, err = os.MkdirTemp(c.path(name), ""); err != nil {
		return "", "", err
	}
	if options.Kubeconfig != "" {
		return dir, options.Kubeconfig, nil
	}
	kubeconfigPath = filepath.Join(dir, "kubeconfig")
	return dir, kubeconfigPath, c.writeServiceAccountKubeconfig(ctx, name, kubeconfigPath)
}

// writeServiceAccountKubeconfig writes a kubeconfig with exactly the rights of
// a service account of lockstep-system.
func (c *Cluster) writeServiceAccountKubeconfig(ctx context.Context, account, path string) error {
	seconds := int64(tokenLife / time.Second)
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := c.client.CoreV1().ServiceAccounts(systemNamespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of service account %s/%s: %w", systemNamespace, account, err)
	}
	return writeKubeconfig(path, c.kubeconfigFor(userByToken(answer.Status.Token)))
}

// schedulerConfig is the shipped KubeSchedulerConfiguration with the way to
// this cluster in it.
func schedulerConfig(options ProgramOptions, kubeconfigPath string) ([]byte, error) {
	text := options.Config
	if text == nil {
		var err error
		if text, err = manifests.Files.ReadFile("scheduler/config.yaml"); err != nil {
			return nil, fmt.Errorf("manifests: %w", err)
		}
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("scheduler configuration: %w", err)
	}
	for section, values := range map[string]map[string]any{
		"clientConnection": {"kubeconfig": kubeconfigPath},
		"leaderElection":   {"leaderElect": options.LeaderElection},
	} {
		into, ok := config[section].(map[string]any)
		if !ok {
			into = map[string]any{}
			config[section] = into
		}
		maps.Copy(into, values)
	}
	return yaml.Marshal(config)
}
