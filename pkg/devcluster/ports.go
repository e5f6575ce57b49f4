package devcluster

import (
	"fmt"
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// portTries bounds how often a server is started again on another port. A port
// that was free a moment ago can be taken by somebody else before the server
// binds it; there is no way to reserve one for another process.
const portTries = 5

// ports are the ports that a server is to listen on.
type ports struct {
	fixed []int // these
	free  int   // or, without them, so many that are free
}

func (p ports) choose() ([]int, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	return freePorts(p.free)
}

// freePorts returns n different ports of loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("no free port on %s: %w", loopback, err)
		}
		defer listener.Close() // all at the end, so that none is found twice
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func httpsURL(port int) string {
	return "https://" + net.JoinHostPort(loopback, strconv.Itoa(port))
}
