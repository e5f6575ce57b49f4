package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// atOnce is how many requests are under way for one job.
const atOnce = 16

// delete carries out the deletions of a plan.
func (r *Reconciler) delete(ctx context.Context, o Observed, plan Plan) error {
	done := map[string][]string{}
	defer func() { r.tellMany(o.Job, "SuccessfulDelete", "Deleted", done) }()
	for batch := range slices.Chunk(plan.Delete, atOnce) {
		errs := together(batch, func(deletion Deletion) error { return r.deleteOne(ctx, o, deletion) })
		for i, deletion := range batch {
			switch kind, err := kindOf(deletion.Object), errs[i]; {
			case err == nil:
				done[kind] = append(done[kind], deletion.Object.GetName())
			case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err): // gone, or another of its name
				r.Recorder.Event(o.Job, corev1.EventTypeWarning, "FailedDelete"+kind, fmt.Sprintf("Error deleting: %v", err))
				return err
			}
		}
	}
	if !plan.DeleteJob {
		return nil
	}
	uid := o.Job.UID
	err := r.Client.Delete(ctx, o.Job, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: &uid})
	if err == nil {
		r.Recorder.Event(o.Job, corev1.EventTypeNormal, "SuccessfulDeletePod", "Deleted job: "+o.Job.Name)
	}
	return err
}

func (r *Reconciler) deleteOne(ctx context.Context, o Observed, deletion Deletion) error {
	key, uid := client.ObjectKeyFromObject(o.Job), deletion.Object.GetUID()
	r.notes.expect(key, string(uid), o.Now)
	if kindOf(deletion.Object) == "Pod" {
		r.notes.deleting(key, uid)
	}
	err := r.Client.Delete(ctx, deletion.Object,
		&client.DeleteOptions{GracePeriodSeconds: deletion.Grace, Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil {
		r.notes.seen(key, string(uid))
	}
	return err
}

// together does the same with several at once; the errors are in their order.
func together[T any](items []T, do func(T) error) []error {
	errs := make([]error, len(items))
	var group sync.WaitGroup
	for i, item := range items {
		group.Go(func() { errs[i] = do(item) })
	}
	group.Wait()
	return errs
}

// perPass is how many objects are created before the job is looked at again: it may
// have been suspended or deleted while a large gang is being made.
const perPass = 512

// create carries out the creations. When one fails the rest waits: nothing is made by
// halves that could be made whole later. The result is when to try again.
func (r *Reconciler) create(ctx context.Context, o Observed, plan Plan) (retry time.Duration, err error) {
	if len(plan.Create) == 0 {
		return 0, nil
	}
	for _, pod := range plan.Probe {
		if err := r.Client.Create(ctx, pod.DeepCopy(), client.DryRunAll); err != nil && !apierrors.IsAlreadyExists(err) {
			return r.troubled(ctx, o, "Create", pod, err), nil
		}
	}
	done := map[string][]string{}
	defer func() { r.tellMany(o.Job, "SuccessfulCreate", "Created", done) }()
	now := plan.Create[:min(perPass, len(plan.Create))]
	for _, batch := range batches(now) {
		errs := together(batch, func(object client.Object) error { return r.createOne(ctx, o, object) })
		for i, object := range batch {
			if errs[i] == nil {
				kind := kindOf(object)
				done[kind] = append(done[kind], object.GetName())
			}
		}
		for i, object := range batch {
			if errs[i] != nil {
				return r.troubled(ctx, o, "Create", object, errs[i]), nil
			}
		}
	}
	if len(now) < len(plan.Create) {
		return time.Millisecond, nil
	}
	return 0, nil
}

// patch carries out the changes. One that the apiserver refuses is told and tried again like a creation;
// what the job needs beside it does not wait. The result is when to look again.
func (r *Reconciler) patch(ctx context.Context, o Observed, plan Plan) (again time.Duration, err error) {
	for _, patch := range plan.Patch {
		err := r.Client.Patch(ctx, patch.To, client.MergeFrom(patch.From))
		switch {
		case apierrors.IsInvalid(err), apierrors.IsForbidden(err):
			again = r.troubled(ctx, o, "Update", patch.To, err)
		case client.IgnoreNotFound(err) != nil:
			return 0, err
		}
	}
	return again, nil
}

// batches are created at once, one after another. They never mix kinds, because a pod
// may look for its Service at once; and they double in size, so that what fails for all
// is tried for one.
func batches(objects []client.Object) [][]client.Object {
	var all [][]client.Object
	for start, size := 0, 1; start < len(objects); {
		end := start
		for end < len(objects) && end < start+size && kindOf(objects[end]) == kindOf(objects[start]) {
			end++
		}
		all = append(all, objects[start:end])
		size = min(2*size, atOnce)
		if end < len(objects) && kindOf(objects[end]) != kindOf(objects[start]) {
			size = 1
		}
		start = end
	}
	return all
}

func (r *Reconciler) createOne(ctx context.Context, o Observed, object client.Object) error {
	key, token := client.ObjectKeyFromObject(o.Job), kindOf(object)+"/"+object.GetName()
	r.notes.expect(key, token, o.Now)
	err := r.Client.Create(ctx, object)
	if err == nil {
		return nil
	}
	r.notes.seen(key, token)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	// The cache lags, or does not have it: it may be ours from before a restart.
	existing := object.DeepCopyObject().(client.Object)
	found := r.Live.Get(ctx, client.ObjectKeyFromObject(object), existing) == nil
	if found && metav1.IsControlledBy(existing, o.Job) {
		return nil
	}
	return &takenError{object: object, going: found && existing.GetDeletionTimestamp() != nil}
}

// takenError is about a name that somebody else has.
type takenError struct {
	object client.Object
	going  bool
}

func (e *takenError) Error() string {
	name := fmt.Sprintf("%s %s/%s", strings.ToLower(kindOf(e.object)), e.object.GetNamespace(), e.object.GetName())
	if e.going {
		return name + " is not of this job, and is still going: it is waited for"
	}
	return name + " already exists and is not of this job: delete it, or give the job another name"
}

// troubled takes note of a failed creation or update, for the next decision to show.
func (r *Reconciler) troubled(ctx context.Context, o Observed, verb string, object client.Object, err error) time.Duration {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || ctx.Err() != nil {
		return 0
	}
	trouble := explain(o.Job, verb, object, err)
	r.notes.failed(client.ObjectKeyFromObject(o.Job), o.Job.Generation, trouble, o.Now)
	return time.Millisecond
}

// explain turns the apiserver's words about an object of ours into words about the job.
func explain(job *v1.PyTorchJob, verb string, object client.Object, err error) *Trouble {
	trouble := &Trouble{kind: kindOf(object), Reason: "Failed" + verb + kindOf(object), Message: fmt.Sprintf("Error %sing: %v",
		strings.ToLower(strings.TrimSuffix(verb, "e")), err)}
	if taken := (*takenError)(nil); errors.As(err, &taken) {
		trouble.taken = kindOf(object) + "/" + object.GetName()
	}
	trouble.quota = apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota")
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		if kindOf(object) == autoscalerKind {
			trouble.Message = cmp.Or(fieldCauses(err, "spec.", "spec.elasticPolicy."), trouble.Message) // its fields are the policy's
		}
		return trouble
	}
	path := "spec.pytorchReplicaSpecs[Worker].template."
	if pod.Labels[LabelReplicaType] == "master" {
		path = "spec.pytorchReplicaSpecs[Master].template."
	}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "no PriorityClass with name"):
		where := path + "spec.priorityClassName"
		if template := templateOf(job, pod); template != nil && template.Spec.PriorityClassName == "" {
			where = "spec.runPolicy.schedulingPolicy.priorityClass"
		}
		trouble.Reason = "PriorityClassNotFound"
		trouble.Message = fmt.Sprintf("%s: no PriorityClass with name %q was found", where, pod.Spec.PriorityClassName)
	default:
		trouble.Message = cmp.Or(fieldCauses(err, "", path), trouble.Message)
	}
	return trouble
}

// fieldCauses is what the apiserver says of each wrong field, with the path of the job's field in place of
// that of the object; empty where it speaks of no field.
func fieldCauses(err error, of, path string) string {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return ""
	}
	var causes []string
	for _, cause := range status.Status().Details.Causes {
		causes = append(causes, path+strings.TrimPrefix(cause.Field, of)+": "+cause.Message)
	}
	return strings.Join(causes, "; ")
}

func templateOf(job *v1.PyTorchJob, pod *corev1.Pod) *corev1.PodTemplateSpec {
	for role, replicas := range job.Spec.PyTorchReplicaSpecs {
		if replicas != nil && strings.EqualFold(string(role), pod.Labels[LabelReplicaType]) {
			return &replicas.Template
		}
	}
	return nil
}
