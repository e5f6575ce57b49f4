package fakenodes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestOnlyThePodThatGoesIsDeleted(t *testing.T) {
	now := metav1.Now()
	for _, test := range []struct {
		name  string
		known *corev1.Pod
		want  types.UID // of the precondition; empty: no request at all
	}{
		{"going", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "old", DeletionTimestamp: &now}}, "old"},
		{"created again", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "new"}}, ""},
		{"gone", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := fake.NewClientset()
			w, err := newWatched(client)
			if err != nil {
				t.Fatal(err)
			}
			if test.known != nil {
				test.known.Namespace, test.known.Name = "ns", "p"
				if err := w.pods.GetStore().Add(test.known); err != nil {
					t.Fatal(err)
				}
			}
			_ = carefulClient{client, w}.CoreV1().Pods("ns").Delete(t.Context(), "p", metav1.DeleteOptions{}) // the fake has no pod
			var got types.UID
			for _, action := range client.Actions() {
				if deletion, ok := action.(clienttesting.DeleteActionImpl); ok {
					got = *deletion.DeleteOptions.Preconditions.UID
				}
			}
			if got != test.want {
				t.Errorf("deleted under the precondition %q, want %q", got, test.want)
			}
		})
	}
}
