package devcluster

import (
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	began := time.Now()
	c, err := Start(t.Context(), Options{Nodes: 16, Log: func(s string) { t.Log(time.Since(began), s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("ready", time.Since(began))
	s, _ := Status(c.DataDir())
	t.Logf("%+v", s)
	began = time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	t.Log("stopped", time.Since(began))
}
