package fakenodes

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// carefulClient is a client that deletes a pod only when it is the one that is
// known to be going. kwok deletes by name, and may do so twice when a pod changes
// while it goes; the second time could meet a new pod of the same name, as those
// of a restarted job have.
type carefulClient struct {
	kubernetes.Interface
	pods *watched
}

func (c carefulClient) CoreV1() corev1client.CoreV1Interface {
	return carefulCore{c.Interface.CoreV1(), c.pods}
}

type carefulCore struct {
	corev1client.CoreV1Interface
	pods *watched
}

func (c carefulCore) Pods(namespace string) corev1client.PodInterface {
	return carefulPods{c.CoreV1Interface.Pods(namespace), c.pods, namespace}
}

type carefulPods struct {
	corev1client.PodInterface
	pods      *watched
	namespace string
}

func (c carefulPods) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	pod, ok := c.pods.pod(c.namespace, name)
	if !ok || pod.DeletionTimestamp == nil {
		return nil // gone already
	}
	options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	return c.PodInterface.Delete(ctx, name, options)
}
