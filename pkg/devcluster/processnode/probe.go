package processnode

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// probeTiming is a probe's timing with the defaults of Kubernetes.
type probeTiming struct {
	delay, period, timeout time.Duration
	successes, failures    int32
}

func timing(p *v1.Probe) probeTiming {
	seconds := func(n, otherwise int32) time.Duration {
		if n <= 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Second
	}
	failures := p.FailureThreshold
	if failures <= 0 {
		failures = 3
	}
	return probeTiming{
		delay: seconds(p.InitialDelaySeconds, 0), period: seconds(p.PeriodSeconds, 10), timeout: seconds(p.TimeoutSeconds, 1),
		successes: max(p.SuccessThreshold, 1), failures: failures,
	}
}

// readiness counts answers; the state turns when one kind has come often enough in a row.
type readiness struct {
	ready bool
	row   int32
}

// next is the state after one more answer.
func (r readiness) next(yes bool, t probeTiming) readiness {
	if yes == r.ready {
		return readiness{ready: r.ready}
	}
	r.row++
	if yes && r.row >= t.successes || !yes && r.row >= t.failures {
		return readiness{ready: yes}
	}
	return r
}

// watchReadiness asks until ctx ends.
func (c *container) watchReadiness(ctx context.Context, spec sandbox.Spec) {
	t := timing(c.c.ReadinessProbe)
	wait := t.delay
	var state readiness
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = t.period
		err := c.ask(c.c.ReadinessProbe, t.timeout, spec, n)
		if err != nil && ctx.Err() == nil {
			c.p.event(v1.EventTypeWarning, "Unhealthy", "Readiness probe failed: "+err.Error())
		}
		after := state.next(err == nil, t)
		if after.ready != state.ready && ctx.Err() == nil {
			c.change(func(f *containerFacts) { f.ready = after.ready && f.state.Running != nil })
		}
		state = after
	}
}

// ask asks a probe once.
func (c *container) ask(p *v1.Probe, timeout time.Duration, spec sandbox.Spec, n int) error {
	switch {
	case p.TCPSocket != nil:
		address, err := c.probeAddress(p.TCPSocket.Host, p.TCPSocket.Port)
		if err != nil {
			return err
		}
		return c.p.r.sandbox.Probe(sandbox.Probe{Address: address, Timeout: timeout})
	case p.HTTPGet != nil:
		address, err := c.probeAddress(p.HTTPGet.Host, p.HTTPGet.Port)
		if err != nil {
			return err
		}
		if strings.EqualFold(string(p.HTTPGet.Scheme), "https") {
			return fmt.Errorf("the process node probes http only, not https")
		}
		url := "http://" + address + "/" + strings.TrimPrefix(p.HTTPGet.Path, "/")
		return c.p.r.sandbox.Probe(sandbox.Probe{Address: address, URL: url, Timeout: timeout})
	case p.Exec != nil:
		return c.askExec(p.Exec.Command, timeout, spec, n)
	}
	return fmt.Errorf("the process node has exec, tcpSocket and httpGet probes only")
}

// askExec runs the command beside the container: same files and network, processes of its own.
func (c *container) askExec(command []string, timeout time.Duration, spec sandbox.Spec, n int) error {
	spec.ID = fmt.Sprintf("%s/probe/%d", spec.ID, n)
	spec.Argv = command
	spec.Log += ".probe"
	exit, err := c.p.r.sandbox.Run(spec)
	if err != nil {
		return err
	}
	select {
	case e := <-exit:
		if e.Code != 0 {
			return fmt.Errorf("exit code %d", e.Code)
		}
		return nil
	case <-time.After(timeout):
		_ = c.p.r.sandbox.Signal(spec.ID, 9)
		<-exit
		return fmt.Errorf("no answer in %s", timeout)
	}
}

func (c *container) probeAddress(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = c.p.facts.podIP
	}
	number := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range c.c.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number == 0 {
		return "", fmt.Errorf("port %s: no such port in container %s", port.String(), c.c.Name)
	}
	return net.JoinHostPort(host, fmt.Sprint(number)), nil
}
