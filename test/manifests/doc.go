// Package manifests tests what is installed on other people's clusters: the
// rendered kustomization, the rights in it, the scheduler's configuration, and
// the scripts that apply them.
package manifests
