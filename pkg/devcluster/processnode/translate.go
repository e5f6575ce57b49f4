package processnode

import (
	"net"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// Without namespaces a container sees the machine's own files and names. These functions put the machine's
// words in place of the container's, in arguments and in the values of variables.

// translatePath replaces the beginning of an absolute path by the source of the mount that it lies in.
func translatePath(text string, mounts []sandbox.Mount) string {
	for _, m := range slices.Backward(mounts) {

		if text == m.Target {
			return m.Source
		}
		if rest, ok := strings.CutPrefix(text, strings.TrimSuffix(m.Target, "/")+"/"); ok {
			return strings.TrimSuffix(m.Source, "/") + "/" + rest
		}
	}
	return text
}

// translateSearchPath does it for each directory of a PATH.
func translateSearchPath(text string, mounts []sandbox.Mount) string {
	dirs := strings.Split(text, ":")
	for i := range dirs {
		dirs[i] = translatePath(dirs[i], mounts)
	}
	return strings.Join(dirs, ":")
}

// translateName replaces "name" or "name:port" by an address, if the name has one.
func translateName(text string, resolve func(name string) []string) string {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, ""
	}
	found := resolve(host)
	if host == "" || len(found) == 0 {
		return text
	}
	if port == "" {
		return found[0]
	}
	return net.JoinHostPort(found[0], port)
}

// namesAddress says that a variable's value is an address, or host:port, by what people call such variables.
// Others must not be touched: a pod's own name is often the name of its Service as well.
func namesAddress(variable string) bool {
	for _, end := range []string{"_ADDR", "_ADDRESS", "_HOST", "_ENDPOINT"} {
		if strings.HasSuffix(variable, end) {
			return true
		}
	}
	return false
}

// translateEnv puts the machine's paths, addresses and rendezvous ports into an environment. Programs tend to listen on every
// address, so that two jobs with one port would meet: port gives each job its own.
func translateEnv(env *environment, mounts []sandbox.Mount, resolve func(string) []string, port func(string) string) {
	for name, value := range env.values {
		switch {
		case name == "PATH":
			value = translateSearchPath(value, mounts)
		case name == "MASTER_PORT" || name == "PET_MASTER_PORT":
			value = port(value)
		case namesAddress(name):
			if host, p, err := net.SplitHostPort(value); err == nil && len(resolve(host)) > 0 {
				value = net.JoinHostPort(host, port(p))
			}
			value = translateName(value, resolve)
		default:
			value = translatePath(value, mounts)
		}
		env.values[name] = value
	}
}
