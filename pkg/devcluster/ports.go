package devcluster

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
)

const loopback = "127.0.0.1"

// portTries bounds how often a server is started again on another port. A port
// that was free a moment ago can be taken by somebody else before the server
// binds it; there is no way to reserve one for another process.
const portTries = 5

func freePort() (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("no free port on %s: %w", loopback, err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func httpsURL(port int) string {
	return "https://" + net.JoinHostPort(loopback, strconv.Itoa(port))
}

// portWasTaken says whether a server's log shows that it lost the race for its port.
func portWasTaken(logPath string) bool {
	text, err := os.ReadFile(logPath)
	return err == nil && bytes.Contains(text, []byte("address already in use"))
}
