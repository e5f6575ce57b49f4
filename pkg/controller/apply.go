package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// delete carries out the deletions of a plan.
func (r *Reconciler) delete(ctx context.Context, o Observed, plan Plan) error {
	key := client.ObjectKeyFromObject(o.Job)
	done := map[string][]string{}
	defer func() { r.tellMany(o.Job, "SuccessfulDelete", "Deleted", done) }()
	for _, deletion := range plan.Delete {
		object, kind := deletion.Object, kindOf(deletion.Object)
		uid := object.GetUID()
		r.notes.expect(key, string(uid), o.Now)
		if kind == "Pod" {
			r.notes.deleting(key, uid)
		}
		options := &client.DeleteOptions{GracePeriodSeconds: deletion.Grace, Preconditions: &metav1.Preconditions{UID: &uid}}
		switch err := r.Client.Delete(ctx, object, options); {
		case err == nil:
			done[kind] = append(done[kind], object.GetName())
		case apierrors.IsNotFound(err), apierrors.IsConflict(err):
			r.notes.seen(key, string(uid)) // already gone, or another of its name
		default:
			r.notes.seen(key, string(uid))
			r.Recorder.Event(o.Job, corev1.EventTypeWarning, "FailedDelete"+kind, fmt.Sprintf("Error deleting: %v", err))
			return err
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

// create carries out the creations. When one fails the rest waits: nothing is made by
// halves that could be made whole later. The result is when to try again.
func (r *Reconciler) create(ctx context.Context, o Observed, plan Plan) (retry time.Duration, err error) {
	if len(plan.Create) == 0 {
		return 0, nil
	}
	key := client.ObjectKeyFromObject(o.Job)
	for _, pod := range plan.Probe {
		if err := r.Client.Create(ctx, pod.DeepCopy(), client.DryRunAll); err != nil && !apierrors.IsAlreadyExists(err) {
			return r.troubled(ctx, o, pod, err)
		}
	}
	done := map[string][]string{}
	defer func() { r.tellMany(o.Job, "SuccessfulCreate", "Created", done) }()
	for _, batch := range batches(plan.Create) {
		errs := make([]error, len(batch))
		var group sync.WaitGroup
		for i, object := range batch {
			group.Go(func() { errs[i] = r.createOne(ctx, o, object) })
		}
		group.Wait()
		for i, object := range batch {
			if errs[i] == nil {
				kind := kindOf(object)
				done[kind] = append(done[kind], object.GetName())
			}
		}
		for i, object := range batch {
			if errs[i] != nil {
				return r.troubled(ctx, o, object, errs[i])
			}
		}
	}
	r.notes.succeeded(key)
	return 0, nil
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
		size = min(2*size, 16)
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
	if r.Live.Get(ctx, client.ObjectKeyFromObject(object), existing) == nil && metav1.IsControlledBy(existing, o.Job) {
		return nil
	}
	return fmt.Errorf("%s %s/%s already exists and is not of this job: delete it, or give the job another name",
		strings.ToLower(kindOf(object)), object.GetNamespace(), object.GetName())
}

// troubled takes note of a failed creation, for the next decision to show.
func (r *Reconciler) troubled(ctx context.Context, o Observed, object client.Object, err error) (time.Duration, error) {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || ctx.Err() != nil {
		return 0, nil
	}
	trouble := explain(o.Job, object, err)
	r.notes.failed(client.ObjectKeyFromObject(o.Job), o.Job.Generation, trouble, o.Now)
	return time.Millisecond, nil
}

// explain turns the apiserver's words about an object of ours into words about the job.
func explain(job *v1.PyTorchJob, object client.Object, err error) *Trouble {
	trouble := &Trouble{Reason: "FailedCreate" + kindOf(object), Message: fmt.Sprintf("Error creating: %v", err)}
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return trouble
	}
	path := "spec.pytorchReplicaSpecs[Worker].template."
	if pod.Labels[LabelReplicaType] == "master" {
		path = "spec.pytorchReplicaSpecs[Master].template."
	}
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "no PriorityClass with name"):
		where := path + "spec.priorityClassName"
		if template := templateOf(job, pod); template != nil && template.Spec.PriorityClassName == "" {
			where = "spec.runPolicy.schedulingPolicy.priorityClass"
		}
		trouble.Reason = "PriorityClassNotFound"
		trouble.Message = fmt.Sprintf("%s: no PriorityClass with name %q was found", where, pod.Spec.PriorityClassName)
	case apierrors.IsInvalid(err) && errors.As(err, &status) && status.Status().Details != nil:
		var causes []string
		for _, cause := range status.Status().Details.Causes {
			causes = append(causes, path+cause.Field+": "+cause.Message)
		}
		if len(causes) > 0 {
			trouble.Message = strings.Join(causes, "; ")
		}
	}
	return trouble
}

func templateOf(job *v1.PyTorchJob, pod *corev1.Pod) *corev1.PodTemplateSpec {
	for role, replicas := range job.Spec.PyTorchReplicaSpecs {
		if replicas != nil && strings.EqualFold(string(role), pod.Labels[LabelReplicaType]) {
			return &replicas.Template
		}
	}
	return nil
}
