package kube

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/quota"
)

func TestQueueStatus(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	queues := []*lockstepv1alpha1.Queue{
		queueOf("a", "nowhere", []string{"x"}), queueOf("b", "", []string{"x"}),
	}
	q := NewQuota(queues, nil, cluster.NewVocabulary())
	condition := func(queue *lockstepv1alpha1.Queue) *metav1.Condition {
		return meta.FindStatusCondition(queue.Status.Conditions, ValidCondition)
	}
	tests := []struct {
		queue   *lockstepv1alpha1.Queue
		status  metav1.ConditionStatus
		message string
	}{
		{queues[0], metav1.ConditionFalse, "spec.parent: there is no queue nowhere; it is taken for a part of the cluster"},
		{queues[1], metav1.ConditionTrue, "the queue counts as it is written; spec.namespaces: x is in queue a already"},
	}
	for _, tt := range tests {
		next, changed := NextQueueStatus(tt.queue, q.FaultsOf(tt.queue.Name), nil, now)
		if !changed {
			t.Errorf("%s: nothing to write", tt.queue.Name)
		}
		tt.queue.Status = next
		if c := condition(tt.queue); c.Status != tt.status || !strings.HasPrefix(c.Message, tt.message) {
			t.Errorf("%s is Valid=%s: %s", tt.queue.Name, c.Status, c.Message)
		}
		if _, changed := NextQueueStatus(tt.queue, q.FaultsOf(tt.queue.Name), nil, now.Add(time.Hour)); changed {
			t.Errorf("%s: the same is written again", tt.queue.Name)
		}
	}
}

// What queues have borrowed is written when it is news, and read back as it was.
func TestQueueHistory(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	queue := queueOf("a", "", nil)
	write := func(billionths int64, at time.Time) (changed bool) {
		late := quota.Remembered(at, map[string]int64{"a": billionths})
		queue.Status, changed = NextQueueStatus(queue, nil, &late, at)
		return changed
	}
	write(0, now)
	if queue.Status.History != nil {
		t.Error("a queue that has borrowed nothing has a history")
	}
	if !write(250_000_000, now.Add(time.Hour)) {
		t.Fatal("a quarter of the cluster is no news")
	}
	if write(250_900_000, now.Add(2*time.Hour)) {
		t.Error("less than a thousandth is news")
	}
	late := Late([]*lockstepv1alpha1.Queue{queue, queueOf("b", "", nil)})
	if got := late.Billionths("a"); got < 249_999_990 || got > 250_000_000 || !late.At.Equal(now.Add(time.Hour)) {
		t.Errorf("%d billionths at %s are read back", got, late.At)
	}
	if late.Billionths("b") != 0 {
		t.Error("b has a history")
	}
}
