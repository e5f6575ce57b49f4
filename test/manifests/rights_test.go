package manifests

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// never is what a subject must not be able to do, whatever else changes.
var never = map[string][]struct{ group, resource, verb string }{
	"lockstep-scheduler": {
		{"", "secrets", "get"}, {"", "secrets", "list"}, {"", "configmaps", "list"},
		{"", "pods", "create"}, {"", "pods", "update"}, {"", "pods", "patch"}, {"", "pods/exec", "create"},
		{"", "nodes", "update"}, {"", "nodes", "patch"}, {"", "nodes/status", "patch"},
		{"", "persistentvolumes", "update"}, {"", "persistentvolumeclaims", "update"},
		{"scheduling.x-k8s.io", "podgroups", "create"}, {"scheduling.x-k8s.io", "podgroups", "delete"},
		{"", "serviceaccounts/token", "create"}, {"", "users", "impersonate"},
	},
	"lockstep-controller": {
		{"", "secrets", "get"}, {"", "secrets", "list"}, {"", "configmaps", "list"},
		{"", "pods/binding", "create"}, {"", "pods/exec", "create"}, {"", "nodes", "update"}, {"", "nodes", "patch"},
		{"rbac.authorization.k8s.io", "clusterroles", "bind"}, {"rbac.authorization.k8s.io", "clusterroles", "escalate"},
		{"", "serviceaccounts/token", "create"}, {"", "users", "impersonate"},
	},
}

// must is what a subject cannot work without; the integration tests show the rest.
var must = map[string][]struct{ group, resource, verb string }{
	"lockstep-scheduler": {
		{"", "pods", "watch"}, {"", "pods/binding", "create"}, {"", "pods/status", "patch"}, {"", "nodes", "watch"},
		{"scheduling.x-k8s.io", "podgroups", "watch"}, {"events.k8s.io", "events", "create"},
		{"coordination.k8s.io", "leases", "create"}, {"coordination.k8s.io", "leases", "update"},
		{"resource.k8s.io", "resourceclaims", "watch"}, {"resource.k8s.io", "devicetaintrules", "watch"},
	},
	"lockstep-controller": {
		{"kubeflow.org", "pytorchjobs", "watch"}, {"kubeflow.org", "pytorchjobs/status", "patch"},
		{"", "pods", "create"}, {"", "services", "create"}, {"scheduling.x-k8s.io", "podgroups", "create"},
	},
}

func TestRightsAreWhatIsNeededAndNoMore(t *testing.T) {
	for subject, list := range never {
		rules := rulesOf(t, subject)
		for _, right := range list {
			if allows(rules, right.group, right.resource, right.verb) {
				t.Errorf("%s may %s %s (group %q)", subject, right.verb, right.resource, right.group)
			}
		}
		for _, right := range must[subject] {
			if !allows(rules, right.group, right.resource, right.verb) {
				t.Errorf("%s may not %s %s (group %q)", subject, right.verb, right.resource, right.group)
			}
		}
	}
}

// TestUsersRights: the roles that a cluster has for its users are extended, by the labels of ours, and only by what
// they are for. Kubeflow's profiles have roles of their own.
func TestUsersRights(t *testing.T) {
	const cluster, kubeflow = "rbac.authorization.k8s.io/aggregate-to-", "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-"
	of := func(label string) (rules []rbacv1.PolicyRule) {
		for _, role := range ofKind[rbacv1.ClusterRole](t, "ClusterRole") {
			if role.Labels[label] == "true" {
				rules = append(rules, role.Rules...)
			}
		}
		return rules
	}
	for _, test := range []struct {
		group, resource, verb string
		view, edit            bool
	}{
		{"kubeflow.org", "pytorchjobs", "list", true, false},
		{"kubeflow.org", "pytorchjobs/scale", "get", true, false},
		{"scheduling.x-k8s.io", "podgroups", "watch", true, false},
		{"kubeflow.org", "pytorchjobs", "create", false, true},
		{"kubeflow.org", "pytorchjobs", "delete", false, true},
		{"kubeflow.org", "pytorchjobs/scale", "patch", false, true},
		{"scheduling.x-k8s.io", "podgroups", "create", false, true},
		{"kubeflow.org", "pytorchjobs/status", "patch", false, false},
		{"scheduling.x-k8s.io", "podgroups/status", "patch", false, false},
		{"lockstep.dev", "queues", "create", false, false},
		{"", "nodes", "list", false, false},
	} {
		for _, labels := range []string{cluster, kubeflow} {
			for role, want := range map[string]bool{"view": test.view, "edit": test.edit} {
				if got := allows(of(labels+role), test.group, test.resource, test.verb); got != want {
					t.Errorf("%s%s: %s %s: %v, want %v", labels, role, test.verb, test.resource, got, want)
				}
			}
		}
	}
}

func TestNoRuleHasAWildcard(t *testing.T) {
	for name, rules := range allRules(t) {
		for _, rule := range rules {
			for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
				if slices.Contains(list, rbacv1.ResourceAll) {
					t.Errorf("%s: %v", name, rule)
				}
			}
		}
	}
}

// A lease can be taken over by who may update it: only one's own, by name.
func TestLeasesAreLimitedToOnesOwn(t *testing.T) {
	for name, rules := range allRules(t) {
		for _, rule := range rules {
			if !slices.Contains(rule.Resources, "leases") || slices.Equal(rule.Verbs, []string{"create"}) {
				continue
			}
			if len(rule.ResourceNames) == 0 {
				t.Errorf("%s: leases %v are not limited by name", name, rule.Verbs)
			}
		}
	}
	for _, role := range ofKind[rbacv1.ClusterRole](t, "ClusterRole") {
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "leases") {
				t.Errorf("ClusterRole %s has rights on leases of every namespace", role.Name)
			}
		}
	}
}

// allRules are the rules of all roles, by kind and name.
func allRules(t *testing.T) map[string][]rbacv1.PolicyRule {
	rules := map[string][]rbacv1.PolicyRule{}
	for _, role := range ofKind[rbacv1.ClusterRole](t, "ClusterRole") {
		rules["ClusterRole/"+role.Name] = role.Rules
	}
	for _, role := range ofKind[rbacv1.Role](t, "Role") {
		rules["Role/"+role.Name] = role.Rules
	}
	return rules
}

// rulesOf are the rules that the bindings give to a service account.
func rulesOf(t *testing.T, account string) []rbacv1.PolicyRule {
	all := allRules(t)
	var rules []rbacv1.PolicyRule
	give := func(ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		for _, s := range subjects {
			if s.Kind == rbacv1.ServiceAccountKind && s.Name == account && s.Namespace == "lockstep-system" {
				rules = append(rules, all[ref.Kind+"/"+ref.Name]...)
			}
		}
	}
	for _, binding := range ofKind[rbacv1.ClusterRoleBinding](t, "ClusterRoleBinding") {
		give(binding.RoleRef, binding.Subjects)
	}
	for _, binding := range ofKind[rbacv1.RoleBinding](t, "RoleBinding") {
		give(binding.RoleRef, binding.Subjects)
	}
	if len(rules) == 0 {
		t.Fatalf("service account %s has no rights at all", account)
	}
	return rules
}

func allows(rules []rbacv1.PolicyRule, group, resource, verb string) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		has := func(list []string, word string) bool {
			return slices.Contains(list, word) || slices.Contains(list, "*")
		}
		return has(rule.APIGroups, group) && has(rule.Resources, resource) && has(rule.Verbs, verb)
	})
}
