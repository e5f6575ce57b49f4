package controller

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// notebook is what the shell remembers between two decisions on a job. All of it can be
// lost at any time: a fresh controller finds the same by looking.
type notebook struct {
	mu    sync.Mutex
	pages map[types.NamespacedName]*page
}

// page is about one job.
type page struct {
	// uid is the job's; empty before it was first looked at.
	uid types.UID
	// written is the version of the job after our last write to it.
	written uint64
	// expected are writes that the caches have not shown yet: created objects by kind and
	// name, deleted ones by UID. Each has a time after which it is no longer waited for.
	expected map[string]time.Time
	// ours are pods that we deleted, until they are gone.
	ours map[types.UID]bool
	// decided: the job has been decided on.
	decided bool
	// leaving are pods that were told to go, until they are gone, as they were then.
	leaving map[types.UID]*corev1.Pod
	// gone are pods that were deleted by others, until they have been decided on.
	gone []*corev1.Pod
	// failed is when each pod that has failed was first seen so.
	failed map[types.UID]time.Time
	// trouble is the last failed creation, of the job's generation, after so many attempts.
	trouble    *Trouble
	generation int64
	attempts   int
}

// patience is how long a write is waited for to show in the caches. It is far above
// what a watch needs, and only guards against a lost event.
const patience = 30 * time.Second

func newNotebook() *notebook { return &notebook{pages: map[types.NamespacedName]*page{}} }

// on runs f on the page of a job while nobody else does.
func (n *notebook) on(job types.NamespacedName, f func(*page)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pages[job]
	if p == nil {
		p = &page{expected: map[string]time.Time{}, ours: map[types.UID]bool{}}
		n.pages[job] = p
	}
	f(p)
}

// open turns to the page of a job. What stands there of an earlier job of that name is no
// longer of use: its pods may still be going.
func (n *notebook) open(job types.NamespacedName, uid types.UID) {
	n.on(job, func(p *page) {
		if p.uid == uid {
			return
		}
		gone := slices.DeleteFunc(p.gone, func(pod *corev1.Pod) bool { return !controlledBy(pod, uid) })
		*p = page{uid: uid, expected: map[string]time.Time{}, ours: map[types.UID]bool{}, leaving: p.leaving, gone: gone}
	})
}

func (n *notebook) forget(job types.NamespacedName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pages, job)
}

// settled says whether the caches have seen all that was written for a job, and if
// not, after what time to ask again at the latest.
func (n *notebook) settled(job types.NamespacedName, version string, now time.Time) (wait time.Duration) {
	n.on(job, func(p *page) {
		if seen, err := strconv.ParseUint(version, 10, 64); err == nil && seen < p.written {
			wait = time.Second
		}
		for token, until := range p.expected {
			if left := until.Sub(now); left > 0 {
				wait = max(wait, left)
			} else {
				delete(p.expected, token)
			}
		}
	})
	return wait
}

// wrote remembers the version that a write to the job has given it.
func (n *notebook) wrote(job types.NamespacedName, version string) {
	n.on(job, func(p *page) {
		if v, err := strconv.ParseUint(version, 10, 64); err == nil {
			p.written = v
		}
	})
}

func controlledBy(object metav1.Object, job types.UID) bool {
	owner := controllerOf(object)
	return owner != nil && owner.UID == job
}

func (n *notebook) expect(job types.NamespacedName, token string, now time.Time) {
	n.on(job, func(p *page) { p.expected[token] = now.Add(patience) })
}

func (n *notebook) seen(job types.NamespacedName, token string) {
	n.on(job, func(p *page) { delete(p.expected, token) })
}

// deleting remembers that a pod goes because we want it to.
func (n *notebook) deleting(job types.NamespacedName, uid types.UID) {
	n.on(job, func(p *page) { p.ours[uid] = true })
}

// leaving takes note of a pod that was told to go. The kubelet's last word about it is another
// deletion, without a grace period, which looks as if the pod had ended before.
func (n *notebook) leaving(job types.NamespacedName, pod *corev1.Pod) {
	n.on(job, func(p *page) {
		if p.leaving[pod.UID] != nil {
			return
		}
		if p.leaving == nil {
			p.leaving = map[types.UID]*corev1.Pod{}
		}
		p.leaving[pod.UID] = pod
	})
}

// lost takes note of a pod that is no more.
func (n *notebook) lost(job types.NamespacedName, pod *corev1.Pod) {
	n.on(job, func(p *page) {
		delete(p.expected, string(pod.UID))
		if told := p.leaving[pod.UID]; told != nil {
			delete(p.leaving, pod.UID)
			pod = pod.DeepCopy()
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = told.DeletionTimestamp, told.DeletionGracePeriodSeconds
		}
		if p.ours[pod.UID] {
			delete(p.ours, pod.UID)
			return
		}
		if p.uid != "" && !controlledBy(pod, p.uid) {
			return // of an earlier job of that name
		}
		p.gone = append(p.gone, pod)
	})
}

// failures says since when each of the pods that have failed is known to.
func (p *page) failures(pods []*corev1.Pod, now time.Time) map[types.UID]time.Time {
	failed := map[types.UID]time.Time{}
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodFailed {
			continue
		}
		failed[pod.UID] = now
		if since, known := p.failed[pod.UID]; known {
			failed[pod.UID] = since
		}
	}
	p.failed = failed
	return failed
}

// failed takes note of a failed creation and says when to try again: after 1 s, 2 s,
// 4 s, and so on up to a minute; who competes for a quota after half of that or more, each
// job at a time of its own.
func (n *notebook) failed(job types.NamespacedName, generation int64, t *Trouble, now time.Time) {
	n.on(job, func(p *page) {
		if p.trouble == nil || p.generation != generation {
			p.attempts = 0
		}
		wait := min(time.Minute, time.Second<<min(p.attempts, 6))
		if t.quota {
			wait -= time.Duration(share(p.uid, p.attempts) * float64(wait) / 2)
		}
		t.Retry = now.Add(wait)
		p.trouble, p.generation = t, generation
		p.attempts++
	})
}

// share is a number from 0 to 1 that is a job's own at each attempt.
func share(job types.UID, attempt int) float64 {
	hash := fnv.New32a()
	fmt.Fprint(hash, attempt, job)
	return float64(hash.Sum32()) / math.MaxUint32
}

// freed takes note that an object is no more: where its name was what the job lacked, it is
// tried again now.
func (n *notebook) freed(job types.NamespacedName, object string) {
	n.on(job, func(p *page) {
		if p.trouble != nil && p.trouble.taken == object {
			over := *p.trouble
			over.Retry = time.Time{}
			p.trouble = &over
		}
	})
}

func (n *notebook) succeeded(job types.NamespacedName) {
	n.on(job, func(p *page) { p.trouble, p.attempts = nil, 0 })
}
