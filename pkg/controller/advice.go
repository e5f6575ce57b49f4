package controller

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Advice is what a recommender thinks of a job's size.
type Advice struct {
	// Verdict is one CamelCase word, Reason a sentence with the numbers.
	Verdict, Reason string
	// Workers is the size that it recommends, Changes whether that is another than the job has.
	Workers int32
	Changes bool
	// Checkpoint is the last one that the job has told of, nil where it tells of none.
	Checkpoint *v1.Checkpoint
}

// Board is where a recommender leaves its advice, for the decision on the job to show: a
// job's status has one writer.
type Board struct {
	mu    sync.Mutex
	notes map[types.UID]Advice
	news  chan event.GenericEvent
}

// NewBoard returns an empty board.
func NewBoard() *Board {
	return &Board{notes: map[types.UID]Advice{}, news: make(chan event.GenericEvent, 1024)}
}

// Post replaces the advice on a job. The verdict, the size and a checkpoint are news: a reason
// has numbers in it that change with every look.
func (b *Board) Post(job *v1.PyTorchJob, advice Advice) {
	b.mu.Lock()
	before, known := b.notes[job.UID]
	b.notes[job.UID] = advice
	b.mu.Unlock()
	if known && before.Verdict == advice.Verdict && before.Workers == advice.Workers &&
		equality.Semantic.DeepEqual(before.Checkpoint, advice.Checkpoint) {
		return
	}
	select {
	case b.news <- event.GenericEvent{Object: job}:
	default: // the job is looked at for another reason some time
	}
}

// Keep forgets the advice on all other jobs.
func (b *Board) Keep(jobs map[types.UID]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uid := range b.notes {
		if !jobs[uid] {
			delete(b.notes, uid)
		}
	}
}

func (b *Board) of(uid types.UID) *Advice {
	b.mu.Lock()
	defer b.mu.Unlock()
	if advice, ok := b.notes[uid]; ok {
		return &advice
	}
	return nil
}

// noteAdvice shows what the recommender thinks of the job's size, while it is asked for
// that. Its advice is lost when the controller restarts; what was shown stays until there
// is other advice.
func (p *pass) noteAdvice() {
	if !v1.AutoscaledByCluster(p.Job) {
		p.dropCondition(conditionAutoscaled)
		p.status.Progress.Checkpoint = nil
		return
	}
	if p.Advice != nil {
		p.status.Progress.Checkpoint = p.Advice.Checkpoint.DeepCopy()
	}
	c := condition(p.status, conditionAutoscaled)
	if p.Advice == nil || c != nil && c.Reason == p.Advice.Verdict && (!p.Advice.Changes || c.Message == p.Advice.Reason) {
		return
	}
	if p.Advice.Changes {
		p.tell(corev1.EventTypeNormal, string(conditionAutoscaled), p.Advice.Reason)
	}
	p.setCondition(conditionAutoscaled, corev1.ConditionTrue, p.Advice.Verdict, p.Advice.Reason)
}
