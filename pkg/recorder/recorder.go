package recorder

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/invariants"
)

// Options of a recording.
type Options struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Namespace whose objects are watched; empty for all. Nodes are always watched.
	Namespace string
	// Lease of the scheduler; both empty for the one that the shipped configuration has.
	LeaseNamespace, LeaseName string
	// Vocabulary names the resources of the history. The recorder adds to it, but not
	// while it hands out an event.
	Vocabulary *cluster.Vocabulary
	// Note is told, once each, of what is not watched, and why. May be nil.
	Note func(string)
}

// Record hands every event to feed, one at a time and in order, until ctx ends. It
// returns when what was there has been listed, and an error if that cannot be done.
func Record(ctx context.Context, o Options, feed func(invariants.Event)) (*Recording, error) {
	if o.LeaseName == "" {
		o.LeaseNamespace, o.LeaseName = "lockstep-system", "lockstep-scheduler"
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	r := &Recording{options: o, feed: feed}
	for _, s := range r.sources() {
		switch err := s.probe(ctx); {
		case err == nil:
			if err := r.start(ctx, s); err != nil {
				return nil, fmt.Errorf("watch %s: %w", s.resource, err)
			}
		case s.needed:
			return nil, fmt.Errorf("list %s: %w", s.resource, err)
		case apierrors.IsForbidden(err):
			o.Note(fmt.Sprintf("you may not list %s: %s", s.resource, s.without))
		case apierrors.IsNotFound(err):
			if s.absent != "" {
				o.Note(s.absent)
			}
		default:
			return nil, fmt.Errorf("list %s: %w", s.resource, err)
		}
	}
	r.synced()
	return r, nil
}

// Recording is a history in the making.
type Recording struct {
	options Options

	mu     sync.Mutex // orders the history, and guards the vocabulary
	feed   func(invariants.Event)
	listed bool // what follows are changes
}

// Do runs f while no event is handed out.
func (r *Recording) Do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// entry is what is kept of an object: its name and what the history says of it.
type entry struct {
	metav1.ObjectMeta
	event invariants.Event
}

// start watches one kind; it returns when all that is there has been handed out.
func (r *Recording) start(ctx context.Context, s source) error {
	informer := s.informer()
	err := informer.SetTransform(func(object any) (any, error) {
		if _, done := object.(*entry); done {
			return object, nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		event, err := s.translate(object)
		if err != nil {
			return nil, err
		}
		m, err := objectMeta(object)
		if err != nil {
			return nil, err
		}
		event.Revision = m.ResourceVersion
		return &entry{m, event}, nil
	})
	if err != nil {
		return err
	}
	seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.put(object, false) },
		UpdateFunc: func(before, after any) { r.update(before, after) },
		DeleteFunc: func(object any) { r.put(object, true) },
	})
	if err != nil {
		return err
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
		return context.Cause(ctx)
	}
	return nil
}

// update leaves out what a watch tells a second time.
func (r *Recording) update(before, after any) {
	old, isOld := before.(*entry)
	e, isNew := after.(*entry)
	switch {
	case !isOld || !isNew || old.ResourceVersion == e.ResourceVersion:
	case old.UID != e.UID:
		r.put(old, true)
		r.put(e, false)
	default:
		r.put(e, false)
	}
}

func (r *Recording) put(object any, gone bool) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	e, ok := object.(*entry)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	event := e.event
	event.At, event.Gone, event.Listed = time.Now(), gone, !r.listed
	r.feed(event)
}

func (r *Recording) synced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = true
	r.feed(invariants.Event{At: time.Now(), Synced: true})
}
