// Package v1alpha1 is LockstepArgs, the arguments of the scheduler plugin, as
// they stand in a KubeSchedulerConfiguration:
//
//	pluginConfig:
//	  - name: Lockstep
//	    args:
//	      apiVersion: lockstep.dev/v1alpha1
//	      kind: LockstepArgs
//	      permitTimeoutSeconds: 60
//
// Decode reads them strictly: an unknown field, a wrong version or a value out of
// range is an error that names the field's path, and a scheduler that meets one
// does not start.
package v1alpha1
