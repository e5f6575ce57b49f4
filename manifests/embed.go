// Package manifests holds the installation of Lockstep: the custom resource
// definitions, the rights, the configuration and the Deployments, as
// kustomization.yaml lists them. The devcluster and the tests apply these very
// files, so that a right that is missing in them shows there.
package manifests

import "embed"

// Files is this directory, without its Go code.
//
//go:embed *.yaml */*.yaml
var Files embed.FS
