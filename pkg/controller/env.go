package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// env is what a member's containers learn about the job: the static rendezvous of
// torch.distributed (MASTER_*, RANK, WORLD_SIZE) and torchrun's arguments (PET_*).
// RANK is the rank of the node; torchrun gives its children ranks of their own.
func (p *pass) env(m member, users []corev1.EnvVar) []corev1.EnvVar {
	env := []corev1.EnvVar{{Name: "PYTHONUNBUFFERED", Value: "1"}}
	switch {
	case p.hasMaster():
		env = append(env, p.static(v1.Master, m.rank(true))...)
	case p.wantsStatic():
		for _, variable := range p.static(v1.Worker, m.rank(false)) {
			if !hasEnv(users, variable.Name) {
				env = append(env, variable)
			}
		}
	}
	env = append(env, corev1.EnvVar{Name: "PET_NPROC_PER_NODE", Value: p.nproc()})
	if p.job.Spec.ElasticPolicy != nil {
		return append(env, p.elasticEnv()...)
	}
	return append(env, corev1.EnvVar{Name: "PET_NNODES", Value: itoa(int32(len(p.members)))})
}

// rank of a pod: the Master's is 0, Workers come after it.
func (m member) rank(withMaster bool) int32 {
	if m.role == v1.Worker && withMaster {
		return m.index + 1
	}
	return m.index
}

// static is the rendezvous at the first pod of a role.
func (p *pass) static(role v1.ReplicaType, rank int32) []corev1.EnvVar {
	address := v1.PodName(p.job.Name, role, 0)
	port := itoa(v1.MeetingPort(&p.job.Spec.PyTorchReplicaSpecs[role].Template.Spec))
	processes := int32(1)
	if n, ok := v1.NprocNumber(p.job.Spec.NprocPerNode); ok {
		processes = n
	}
	return []corev1.EnvVar{
		{Name: "MASTER_PORT", Value: port},
		{Name: "PET_MASTER_PORT", Value: port},
		{Name: "MASTER_ADDR", Value: address},
		{Name: "PET_MASTER_ADDR", Value: address},
		{Name: "WORLD_SIZE", Value: strconv.FormatInt(int64(len(p.members))*int64(processes), 10)},
		{Name: "RANK", Value: itoa(rank)},
		{Name: "PET_NODE_RANK", Value: itoa(rank)},
	}
}

func (p *pass) wantsStatic() bool {
	switch p.Job.Annotations[v1.AnnotationStaticRendezvous] {
	case "on":
		return p.job.Spec.ElasticPolicy == nil
	case "off":
		return false
	}
	return p.StaticRendezvous && p.job.Spec.ElasticPolicy == nil
}

func (p *pass) nproc() string {
	if nproc := p.job.Spec.NprocPerNode; nproc != nil {
		return nproc.String()
	}
	return itoa(*p.job.Spec.ElasticPolicy.NProcPerNode)
}

// elasticEnv is torchrun's dynamic rendezvous.
func (p *pass) elasticEnv() []corev1.EnvVar {
	elastic := p.job.Spec.ElasticPolicy
	host := v1.PodName(p.job.Name, v1.Worker, 0)
	if elastic.RDZVHost != nil {
		host = *elastic.RDZVHost
	}
	port := v1.MeetingPort(&p.job.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec)
	if elastic.RDZVPort != nil {
		port = *elastic.RDZVPort
	}
	env := []corev1.EnvVar{
		{Name: "PET_RDZV_ENDPOINT", Value: fmt.Sprintf("%s:%d", host, port)},
		{Name: "PET_RDZV_BACKEND", Value: *elastic.RDZVBackend},
		{Name: nnodes, Value: p.nnodes()},
	}
	if elastic.MaxRestarts != nil {
		env = append(env, corev1.EnvVar{Name: "PET_MAX_RESTARTS", Value: itoa(*elastic.MaxRestarts)})
	}
	if elastic.RDZVID != nil {
		env = append(env, corev1.EnvVar{Name: "PET_RDZV_ID", Value: *elastic.RDZVID})
	}
	if len(elastic.RDZVConf) > 0 {
		pairs := make([]string, 0, len(elastic.RDZVConf))
		for _, pair := range elastic.RDZVConf {
			pairs = append(pairs, pair.Key+"="+pair.Value)
		}
		env = append(env, corev1.EnvVar{Name: "PET_RDZV_CONF", Value: strings.Join(pairs, ",")})
	}
	if elastic.Standalone != nil && *elastic.Standalone {
		env = append(env, corev1.EnvVar{Name: "PET_STANDALONE", Value: "1"})
	}
	return env
}

const nnodes = "PET_NNODES"

// nnodes is the range of an elastic job.
func (p *pass) nnodes() string {
	elastic := p.job.Spec.ElasticPolicy
	return fmt.Sprintf("%d:%d", *elastic.MinReplicas, *elastic.MaxReplicas)
}

// mergeEnv appends ours to the user's entries. Those of the same name go, but for one that a later
// entry refers to, by $(NAME): the kubelet takes the value that stands before that.
func mergeEnv(users, ours []corev1.EnvVar) []corev1.EnvVar {
	kept := make([]corev1.EnvVar, 0, len(users)+len(ours))
	for i, variable := range users {
		referred := slices.ContainsFunc(users[i+1:], func(later corev1.EnvVar) bool {
			return strings.Contains(later.Value, "$("+variable.Name+")")
		})
		if referred || !hasEnv(ours, variable.Name) {
			kept = append(kept, variable)
		}
	}
	return append(kept, ours...)
}

func hasEnv(env []corev1.EnvVar, name string) bool {
	return slices.ContainsFunc(env, func(variable corev1.EnvVar) bool { return variable.Name == name })
}

// overriddenEnv names the variables of the user that ours replace.
func (p *pass) overriddenEnv() []v1.Notice {
	var notices []v1.Notice
	for _, role := range v1.ReplicaTypes() {
		replicas := p.job.Spec.PyTorchReplicaSpecs[role]
		if replicas == nil {
			continue
		}
		for i, container := range replicas.Template.Spec.Containers {
			ours := p.env(member{role: role}, container.Env)
			for _, variable := range container.Env {
				if hasEnv(ours, variable.Name) {
					notices = append(notices, v1.Notice{Reason: "EnvOverridden", Message: fmt.Sprintf(
						"spec.pytorchReplicaSpecs[%s].template.spec.containers[%d].env[%s]: the controller sets this variable",
						role, i, variable.Name)})
				}
			}
		}
	}
	return notices
}

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }
