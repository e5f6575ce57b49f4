package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// grantVolumes applies the manifest that lets the scheduler choose volumes.
func (w *world) grantVolumes() {
	w.t.Helper()
	data, err := os.ReadFile("../../manifests/rbac/scheduler-volumes.yaml")
	w.must(err)
	role, binding, found := strings.Cut(string(data), "\n---\n")
	if !found {
		w.t.Fatal("the manifest is not a role and its binding")
	}
	var (
		r rbacv1.ClusterRole
		b rbacv1.ClusterRoleBinding
	)
	w.must(yaml.UnmarshalStrict([]byte(role), &r))
	w.must(yaml.UnmarshalStrict([]byte(binding), &b))
	if _, err := env.client.RbacV1().ClusterRoles().Create(w.ctx, &r, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		w.must(err)
	}
	if _, err := env.client.RbacV1().ClusterRoleBindings().Create(w.ctx, &b, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		w.must(err)
	}
}

// localVolumes makes a volume on each of the nodes, of the world's own storage class.
func (w *world) localVolumes(nodes []string) {
	w.t.Helper()
	for _, node := range nodes {
		name := w.namespace + "-" + node
		_, err := env.client.CoreV1().PersistentVolumes().Create(w.ctx, &v1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: v1.PersistentVolumeSpec{
				Capacity:         v1.ResourceList{v1.ResourceStorage: resource.MustParse("10Gi")},
				AccessModes:      []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
				StorageClassName: w.namespace, PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimRetain,
				PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: "/data"}},
				NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
					MatchExpressions: []v1.NodeSelectorRequirement{{
						Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{w.label(node, v1.LabelHostname)},
					}},
				}}}},
			},
		}, metav1.CreateOptions{})
		w.must(err)
		w.t.Cleanup(func() {
			_ = env.client.CoreV1().PersistentVolumes().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
}

// withVolume gives each pod of a gang a claim of its own.
func (w *world) withVolume(g gangSpec) gangSpec {
	return changed(g, func(p *v1.Pod) {
		class := w.namespace
		_, err := env.client.CoreV1().PersistentVolumeClaims(w.namespace).Create(w.ctx, &v1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name},
			Spec: v1.PersistentVolumeClaimSpec{
				StorageClassName: &class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
				Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("5Gi")}},
			},
		}, metav1.CreateOptions{})
		w.must(err)
		p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: p.Name},
		}}}
	})
}

// TestVolumesOfNodes: the volumes are on some nodes only, and which nodes these are
// no request says: the gang goes there, or waits as a whole and says for what.
func TestVolumesOfNodes(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 3}, 9)
	w.grantVolumes()
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	_, err := env.client.StorageV1().StorageClasses().Create(w.ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &mode,
	}, metav1.CreateOptions{})
	w.must(err)
	t.Cleanup(func() {
		_ = env.client.StorageV1().StorageClasses().Delete(context.Background(), w.namespace, metav1.DeleteOptions{})
	})

	have := []string{w.nodes[1], w.nodes[4], w.nodes[5], w.nodes[8]}
	w.localVolumes(have)
	w.create(w.withVolume(gangOf("data", 4, "1")))
	got := w.perDomain(w.awaitPlaced("data", 4), v1.LabelHostname)
	for _, node := range have {
		if name := w.label(node, v1.LabelHostname); got[name] != 1 {
			t.Errorf("pods by node: %v; want one on each of %v", got, have)
			break
		}
	}

	w.create(w.withVolume(gangOf("more", 2, "1")))
	w.localVolumes(w.nodes[2:3])
	w.awaitSays("more", "NodeRefused", "persistent volumes")
	if n := w.history.boundGangs()["more"]; n > 0 {
		t.Errorf("%d members are bound, and the other has no volume", n)
	}
	w.localVolumes(w.nodes[7:8])
	w.awaitPlaced("more", 2)
}

// TestClaimsOfDevices: devices that a driver publishes are claimed pod by pod, and
// the gang gets all of its devices or none.
func TestClaimsOfDevices(t *testing.T) {
	const driver = "gpu.example.test"
	w := newWorld(t, fakenodes.Shape{}, 5)
	_, err := env.client.ResourceV1().DeviceClasses().Create(w.ctx, &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{
			CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", driver)},
		}}},
	}, metav1.CreateOptions{})
	w.must(err)
	t.Cleanup(func() {
		_ = env.client.ResourceV1().DeviceClasses().Delete(context.Background(), w.namespace, metav1.DeleteOptions{})
	})
	for _, node := range w.nodes[2:] { // two devices on each of three nodes
		name := w.namespace + "-" + node
		_, err := env.client.ResourceV1().ResourceSlices().Create(w.ctx, &resourcev1.ResourceSlice{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: resourcev1.ResourceSliceSpec{
				Driver: driver, NodeName: &node, Pool: resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1, Generation: 1},
				Devices: []resourcev1.Device{{Name: "gpu-0"}, {Name: "gpu-1"}},
			},
		}, metav1.CreateOptions{})
		w.must(err)
		t.Cleanup(func() {
			_ = env.client.ResourceV1().ResourceSlices().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
	_, err = env.client.ResourceV1().ResourceClaimTemplates(w.namespace).Create(w.ctx, &resourcev1.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
			Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: w.namespace}}},
		}}},
	}, metav1.CreateOptions{})
	w.must(err)
	claiming := func(p *v1.Pod) {
		template := "one"
		p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: &template}}
		p.Spec.Containers[0].Resources.Claims = []v1.ResourceClaim{{Name: "gpu"}}
	}

	w.create(changed(gangOf("first", 4, ""), claiming))
	w.each(w.awaitPlaced("first", 4), v1.LabelHostname, 2, 2)
	w.create(changed(gangOf("second", 4, ""), claiming)) // two devices are left
	w.awaitSays("second", "NodeRefused", "claim")
	if n := w.history.boundGangs()["second"]; n > 0 {
		t.Errorf("%d members are bound, and others have no device", n)
	}
	w.deleteGang("first")
	w.awaitPlaced("second", 4)
}

// TestMissingClaim: pods name a volume claim that does not exist. The gang says which, holds
// nothing meanwhile, and starts when it is there (row 38 of the project's list of bad input).
func TestMissingClaim(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	w.create(changed(gangOf("train", 3, "2"), func(p *v1.Pod) {
		if p.Name == "train-worker-1" {
			p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{
				PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "corpus"},
			}}}
		}
	}))
	w.awaitMessage("train", "MemberStopped", `train-worker-1: persistentvolumeclaim "corpus" not found`)
	w.create(gangOf("whole-node", 1, "8"))
	w.awaitPlaced("whole-node", 1)
	w.deleteGang("whole-node")

	class := ""
	_, err := env.client.CoreV1().PersistentVolumes().Create(w.ctx, &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: v1.PersistentVolumeSpec{
			Capacity:    v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimRetain,
			ClaimRef:               &v1.ObjectReference{Namespace: w.namespace, Name: "corpus"},
			PersistentVolumeSource: v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/corpus"}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	t.Cleanup(func() {
		_ = env.client.CoreV1().PersistentVolumes().Delete(context.Background(), w.namespace, metav1.DeleteOptions{})
	})
	_, err = env.client.CoreV1().PersistentVolumeClaims(w.namespace).Create(w.ctx, &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "corpus"},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: w.namespace, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	w.awaitPlaced("train", 3)
}
