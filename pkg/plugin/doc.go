// Package plugin is the adapter between the scheduler framework of Kubernetes
// and package core: every extension point becomes one event, and every effect
// becomes one call on the framework or the apiserver. It decides nothing itself.
//
// One engine is shared by all profiles that enable the plugin, so that a gang is
// one gang whatever name its pods call the scheduler by.
//
// Locks: the framework calls PreEnqueue and Less with its queue locked, and
// activating pods takes that lock. So nothing that touches the queue is done
// under the engine's lock or from those two; activations go through a goroutine
// of their own.
package plugin
