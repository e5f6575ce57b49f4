package core

import "lockstep.dev/lockstep/pkg/cluster"

// find returns the place of a node in the view.
func (v View) find(name string) (int, bool) { return cluster.Find(v.Nodes, name) }
