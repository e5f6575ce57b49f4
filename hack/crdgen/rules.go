package main

import (
	"fmt"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	kubeflow "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

var (
	forbidden = new(apiextensions.FieldValueForbidden)
	required  = new(apiextensions.FieldValueRequired)
	invalid   = new(apiextensions.FieldValueInvalid)
)

// unlessStored lets a rule of the whole object pass where the stored one breaks it already: it was
// stored under another definition. The apiserver does that by itself for a part that does not change, but
// with every label, status and finalizer the whole object does: without this such an object could
// be told nothing about itself, and not even be deleted in the foreground.
func unlessStored(rule apiextensions.ValidationRule) apiextensions.ValidationRule {
	optional := true
	rule.Rule = "(" + rule.Rule + ") || (oldSelf.hasValue() && !(" + before(rule.Rule) + "))"
	rule.OptionalOldSelf = &optional
	return rule
}

// onCreate is a rule for what never changes, such as a name.
func onCreate(rule apiextensions.ValidationRule) apiextensions.ValidationRule {
	optional := true
	rule.Rule = "oldSelf.hasValue() || " + rule.Rule
	rule.OptionalOldSelf = &optional
	return rule
}

// before is an expression of the stored object.
func before(expression string) string {
	return strings.ReplaceAll(expression, "self.", "oldSelf.value().")
}

// notNegative is for a map of resource quantities.
var notNegative = apiextensions.ValidationRule{
	Rule:    "self.all(name, !quantity(string(self[name])).isLessThan(quantity('0')))",
	Message: "each quantity must be greater than or equal to 0",
}

func finishPodGroup(root *apiextensions.JSONSchemaProps) {
	silence(root, "")
	nameable(root)
	conditions(root)
	reservation(root)
	rule(
		onCreate(apiextensions.ValidationRule{
			Rule:      "self.metadata.name.size() <= 63",
			Message:   "must be no more than 63 characters: pods carry it as the value of a label",
			FieldPath: ".metadata.name",
			Reason:    invalid,
		}),
		unlessStored(apiextensions.ValidationRule{
			Rule:      "has(self.spec) && has(self.spec.minMember)",
			Message:   "must be at least 1",
			FieldPath: ".spec.minMember",
			Reason:    required,
		}),
	)(root)
	at(root, "spec.minResources", maxProperties(64))
	at(root, "spec.minResources.*", maxLength(32))
	at(root, "spec.minResources", rule(notNegative))
}

func finishQueue(root *apiextensions.JSONSchemaProps) {
	silence(root, "apiVersion", "kind", "status.conditions.*")
	nameable(root)
	at(root, "spec.resources.*.name", maxLength(317))
	at(root, "spec.resources.*.guaranteed", maxLength(32))
	at(root, "spec.resources.*.cap", maxLength(32))
}

func finishPyTorchJob(root *apiextensions.JSONSchemaProps) {
	silence(root, "apiVersion", "kind", "spec.elasticPolicy.metrics.*", "status.replicaStatuses.*.labelSelector")
	for _, part := range []string{"metadata", "spec"} { // what the template itself is for is said
		silence(root, "spec.pytorchReplicaSpecs.*.template."+part)
	}
	at(root, "spec.pytorchReplicaSpecs.*.template.metadata", func(metadata *apiextensions.JSONSchemaProps) {
		// null in what Go programs write, and so in manifests that somebody has saved
		metadata.Properties["creationTimestamp"] = apiextensions.JSONSchemaProps{Type: "string", Format: "date-time", Nullable: true}
	})
	nameable(root)
	bound(root)
	rule(nameRules()...)(root)
	rule(immutableRules(root)...)(root)
	at(root, "spec", rule(specRules()...))
	at(root, "spec.pytorchReplicaSpecs", rule(roleRules()...))
	at(root, "spec.pytorchReplicaSpecs.*", nullable) // or a null would be taken away before it can be refused
	at(root, "spec.pytorchReplicaSpecs.*", rule(apiextensions.ValidationRule{
		Rule: "!has(self.template) || !has(self.template.spec) || self.template.spec.containers.size() == 0 || " +
			"self.template.spec.containers.exists(c, c.name == 'pytorch')",
		MessageExpression: "'must have at least one container with name pytorch; found: %s'" +
			".format([self.template.spec.containers.map(c, c.name)])",
		Message:   "must have at least one container with name pytorch",
		FieldPath: ".template.spec.containers",
		Reason:    required,
	}, apiextensions.ValidationRule{
		Rule:      "has(self.template) && has(self.template.spec) && self.template.spec.containers.size() > 0",
		Message:   "must be required",
		FieldPath: ".template.spec.containers",
		Reason:    required,
	}))
	at(root, "spec.pytorchReplicaSpecs.*.template.spec.containers.*", rule(apiextensions.ValidationRule{
		Rule: "has(self.image) && self.image != ''", Message: "must be required", FieldPath: ".image", Reason: required,
	}))
	at(root, "spec.nprocPerNode", rule(apiextensions.ValidationRule{
		Rule: "type(self) == int ? int(self) >= 1 && int(self) <= 2147483647 : " +
			"string(self) in ['auto', 'cpu', 'gpu', 'xpu'] || string(self).matches('^[1-9][0-9]{0,8}$')",
		Message: "must be auto, cpu, gpu, xpu, or a whole number of at least 1",
	}))
	at(root, "spec.runPolicy.schedulingPolicy.minResources", rule(notNegative))
}

// nameable lets a rule be about metadata.name.
func nameable(root *apiextensions.JSONSchemaProps) {
	at(root, "metadata", func(schema *apiextensions.JSONSchemaProps) {
		schema.Properties = map[string]apiextensions.JSONSchemaProps{"name": {Type: "string"}}
	})
}

// bound sets the ranges of single values, and the sizes without which rules have no
// estimate of their cost.
func bound(root *apiextensions.JSONSchemaProps) {
	for _, prefix := range []string{"spec.", "spec.runPolicy."} {
		at(root, prefix+"ttlSecondsAfterFinished", atLeast(0))
		at(root, prefix+"activeDeadlineSeconds", atLeast(1))
		at(root, prefix+"backoffLimit", atLeast(0))
	}
	at(root, "spec.runPolicy.managedBy", enum("kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue"))
	at(root, "spec.runPolicy.schedulingPolicy.minAvailable", atLeast(1))
	at(root, "spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds", atLeast(1))
	at(root, "spec.runPolicy.schedulingPolicy.minResources", maxProperties(64))
	at(root, "spec.runPolicy.schedulingPolicy.minResources.*", maxLength(32))
	at(root, "spec.runPolicy.schedulingPolicy.queue", maxLength(253))

	at(root, "spec.elasticPolicy.minReplicas", atLeast(1))
	at(root, "spec.elasticPolicy.maxReplicas", atLeast(1))
	at(root, "spec.elasticPolicy.maxRestarts", atLeast(0))
	at(root, "spec.elasticPolicy.nProcPerNode", atLeast(1))
	at(root, "spec.elasticPolicy.rdzvPort", between(1, 65535))
	at(root, "spec.elasticPolicy.rdzvId", maxLength(253))

	// There are two; of one more it is the rule about their names that should speak.
	at(root, "spec.pytorchReplicaSpecs", maxProperties(8))
	// The number is stored, because /scale reads it there.
	at(root, "spec.pytorchReplicaSpecs.*.replicas", atLeast(1))
	at(root, "spec.pytorchReplicaSpecs.*.replicas", defaultsTo("1"))
	containers := "spec.pytorchReplicaSpecs.*.template.spec.containers"
	at(root, containers, maxItems(128))
	at(root, containers+".*.name", maxLength(63))
	at(root, containers+".*.ports.*.containerPort", between(1, 65535))
	at(root, "spec.pytorchReplicaSpecs.*.template.spec.schedulerName", maxLength(253))
	at(root, "spec.pytorchReplicaSpecs.*.template.spec.restartPolicy", enum("Always", "OnFailure", "Never", ""))
	boundTemplate(root)
	at(root, "status.conditions", maxItems(16))
}

// workers and most are the number of Workers, and what it may grow to, by CEL.
const (
	roles   = "self.spec.pytorchReplicaSpecs"
	workers = roles + "[?'Worker'].?replicas.orValue(1)"
	grown   = "self.spec.elasticPolicy.?maxReplicas.orValue(self.spec.elasticPolicy.?minReplicas.orValue(1))"
	most    = "(has(self.spec.elasticPolicy) && " + grown + " > " + workers + " ? " + grown + " : " + workers + ")"
	longest = "(self.metadata.name.size() + '-worker-'.size() + string(" + most + " - 1).size())"
)

func nameRules() []apiextensions.ValidationRule {
	return []apiextensions.ValidationRule{onCreate(apiextensions.ValidationRule{
		Rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
		Message: "should match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', " +
			"start with an alphabetic character, and end with an alphanumeric character",
		FieldPath: ".metadata.name",
		Reason:    invalid,
	}), unlessStored(apiextensions.ValidationRule{
		Rule: "!has(self.spec) || !has(" + roles + ") || " + longest + " <= 63",
		MessageExpression: "'must be no more than %d characters: its longest pod name would be %s-worker-%d, " +
			"and pod names end at 63'.format([63 - " + longest + " + self.metadata.name.size(), self.metadata.name, " + most + " - 1])",
		Message:   "is too long for the names of its pods, which end at 63 characters",
		FieldPath: ".metadata.name",
		Reason:    invalid,
	}), unlessStored(apiextensions.ValidationRule{
		Rule:      "has(self.spec) && has(" + roles + ") && " + roles + ".size() > 0",
		Message:   "must be required",
		FieldPath: ".spec.pytorchReplicaSpecs",
		Reason:    required,
	})}
}

func roleRules() []apiextensions.ValidationRule {
	return []apiextensions.ValidationRule{{
		Rule: "self.all(role, role in ['Master', 'Worker'])",
		MessageExpression: "'Unsupported value: %s: supported values: \"Master\", \"Worker\"'" +
			".format([self.filter(role, !(role in ['Master', 'Worker']))])",
		Message: "Unsupported value: supported values: \"Master\", \"Worker\"",
		Reason:  invalid,
	}}
}

func specRules() []apiextensions.ValidationRule {
	optional := true
	const (
		roles     = "self.pytorchReplicaSpecs"
		worker    = "self.?pytorchReplicaSpecs[?'Worker']"
		replicas  = worker + ".?replicas.orValue(1)"
		elastic   = "self.elasticPolicy"
		least     = elastic + ".?minReplicas.orValue(" + elastic + ".?maxReplicas.orValue(" + replicas + "))"
		most      = elastic + ".?maxReplicas.orValue(" + elastic + ".?minReplicas.orValue(" + replicas + "))"
		pods      = "((self.?pytorchReplicaSpecs[?'Master'].hasValue() ? 1 : 0) + (" + worker + ".hasValue() ? " + replicas + " : 0))"
		available = "self.?runPolicy.?schedulingPolicy.?minAvailable"
	)
	notNull := func(role string) apiextensions.ValidationRule {
		return apiextensions.ValidationRule{
			Rule:      fmt.Sprintf("!has(%[1]s) || !('%[2]s' in %[1]s) || %[1]s['%[2]s'] != null", roles, role),
			Message:   "must be required",
			FieldPath: ".pytorchReplicaSpecs['" + role + "']",
			Reason:    required,
		}
	}
	// scheduler is what a role's template names; naming ours is as good as naming none.
	scheduler := func(role string) string {
		return orElse(kubeflow.SchedulerName, roles+"['"+role+"']", "template", "spec", "schedulerName")
	}
	return []apiextensions.ValidationRule{notNull("Master"), notNull("Worker"), {
		Rule:      "self.?pytorchReplicaSpecs[?'Master'].?replicas.orValue(1) == 1",
		Message:   "must be 1",
		FieldPath: ".pytorchReplicaSpecs['Master'].replicas",
		Reason:    forbidden,
	}, {
		Rule:      replicas + " >= 1",
		Message:   "must be at least 1; omit Worker instead",
		FieldPath: ".pytorchReplicaSpecs['Worker'].replicas",
		Reason:    forbidden,
	}, {
		Rule: "!has(" + roles + ") || !('Master' in " + roles + " && 'Worker' in " + roles + ") || " +
			scheduler("Master") + " == " + scheduler("Worker"),
		Message:   "must be the Master's: one scheduler places the whole job",
		FieldPath: ".pytorchReplicaSpecs['Worker'].template.spec.schedulerName",
		Reason:    forbidden,
	}, {
		Rule:      "!has(self.elasticPolicy) || " + worker + ".hasValue()",
		Message:   "must be set with spec.elasticPolicy",
		FieldPath: ".pytorchReplicaSpecs['Worker']",
		Reason:    required,
	}, {
		Rule:      "!has(self.nprocPerNode) || !has(self.elasticPolicy) || !has(self.elasticPolicy.nProcPerNode)",
		Message:   "must not be used with spec.nprocPerNode",
		FieldPath: ".elasticPolicy.nProcPerNode",
		Reason:    forbidden,
	}, {
		Rule:              "!has(self.elasticPolicy) || " + least + " <= " + most,
		Message:           "must be ≤ maxReplicas",
		MessageExpression: "'must be ≤ maxReplicas (%d)'.format([" + most + "])",
		FieldPath:         ".elasticPolicy.minReplicas",
		Reason:            invalid,
	}, {
		// Later the number may leave the range (autoscalers write it): it is clamped then.
		Rule:              "oldSelf.hasValue() || !has(self.elasticPolicy) || " + least + " > " + most + " || " + least + " <= " + replicas,
		Message:           "must be ≤ Worker.replicas",
		MessageExpression: "'must be ≤ Worker.replicas (%d)'.format([" + replicas + "])",
		FieldPath:         ".elasticPolicy.minReplicas",
		Reason:            invalid,
		OptionalOldSelf:   &optional,
	}, {
		Rule:              "oldSelf.hasValue() || !has(self.elasticPolicy) || " + most + " >= " + replicas,
		Message:           "must be ≥ Worker.replicas",
		MessageExpression: "'must be ≥ Worker.replicas (%d)'.format([" + replicas + "])",
		FieldPath:         ".elasticPolicy.maxReplicas",
		Reason:            invalid,
		OptionalOldSelf:   &optional,
	}, {
		// Of an elastic job the number may go below it later. The name of the old object keeps the
		// apiserver from seeing that nothing has changed, so that is said here (as unlessStored does).
		Rule: "!" + available + ".hasValue() || " + available + ".orValue(1) <= " + pods + " || (oldSelf.hasValue() && (has(self.elasticPolicy) || " +
			before(available) + ".orValue(1) > " + before(pods) + "))",
		Message:           "must be ≤ the number of pods",
		MessageExpression: "'must be ≤ the number of pods (%d)'.format([" + pods + "])",
		FieldPath:         ".runPolicy.schedulingPolicy.minAvailable",
		Reason:            invalid,
		OptionalOldSelf:   &optional,
	}, {
		Rule:      orEmpty("self", "runPolicy", "managedBy") + " == " + orEmpty("oldSelf", "runPolicy", "managedBy"),
		Message:   "field is immutable",
		FieldPath: ".runPolicy.managedBy",
		Reason:    invalid,
	}, {
		Rule: orEmpty("self", "runPolicy", "schedulingPolicy", "queue") + " == " +
			orEmpty("oldSelf", "runPolicy", "schedulingPolicy", "queue"),
		Message:   "field is immutable",
		FieldPath: ".runPolicy.schedulingPolicy.queue",
		Reason:    invalid,
	}}
}

// immutableRules hold what a job may not change once it has started and while it is
// not suspended. Its pods were made from these fields. The templates may change in the very
// update that suspends it as well: Kueue takes back what it has added then. And while pods
// cannot be made and none runs they may, for they can be the reason.
func immutableRules(root *apiextensions.JSONSchemaProps) []apiextensions.ValidationRule {
	const idle = "!oldSelf.?status.?startTime.hasValue() || (has(oldSelf.status.conditions) && " +
		"oldSelf.status.conditions.exists(c, c.type == 'Suspended' && c.status == 'True'))"
	const unmade = "(has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(c, c.type == 'CreateFailed' && c.status == 'True') && " +
		"['Master', 'Worker'].all(r, oldSelf.status.?replicaStatuses[?r].?active.orValue(0) == 0))"
	frozen := func(fieldPath, condition string) apiextensions.ValidationRule {
		return apiextensions.ValidationRule{
			Rule:      idle + " || (" + condition + ")",
			Message:   "field is immutable while running",
			FieldPath: ".spec" + fieldPath,
			Reason:    forbidden,
		}
	}
	const replicas = "self.spec.?pytorchReplicaSpecs[?'Worker'].?replicas.orValue(1) == " +
		"oldSelf.spec.?pytorchReplicaSpecs[?'Worker'].?replicas.orValue(1)"
	rules := []apiextensions.ValidationRule{
		frozen(".pytorchReplicaSpecs", sameKey("Master")+" && "+sameKey("Worker")),
		frozen(".nprocPerNode", same("spec", "nprocPerNode")),
		frozen(".runPolicy.schedulingPolicy", schedulingPolicy("self")+" == "+schedulingPolicy("oldSelf")),
		frozen(".pytorchReplicaSpecs['Worker'].replicas", "has(self.spec.elasticPolicy) || "+replicas),
	}
	for _, role := range []string{"Master", "Worker"} {
		parent := fmt.Sprintf("spec.pytorchReplicaSpecs['%s']", role)
		inBoth := fmt.Sprintf("!('%[1]s' in self.spec.pytorchReplicaSpecs && '%[1]s' in oldSelf.spec.pytorchReplicaSpecs) || ", role)
		path := fmt.Sprintf(".pytorchReplicaSpecs['%s'].", role)
		rules = append(rules,
			frozen(path+"template", "self.spec.?runPolicy.?suspend.orValue(false) || "+unmade+" || "+inBoth+sameTemplate(root, role)),
			frozen(path+"restartPolicy", inBoth+orEmpty("self."+parent, "restartPolicy")+" == "+orEmpty("oldSelf."+parent, "restartPolicy")))
	}
	var elastic strings.Builder
	elastic.WriteString("has(self.spec.elasticPolicy) == has(oldSelf.spec.elasticPolicy)")
	for _, name := range []string{"rdzvBackend", "rdzvPort", "rdzvHost", "rdzvId", "standalone",
		"nProcPerNode", "maxRestarts"} {
		elastic.WriteString(" && (" + within("spec.elasticPolicy", same("spec.elasticPolicy", name)) + ")")
	}
	conf := func(object string) string {
		return "(" + each(object, []string{"spec", "elasticPolicy", "rdzvConf"}, "", "[]") + ")"
	}
	elastic.WriteString(" && " + conf("self") + " == " + conf("oldSelf"))
	return append(rules, frozen(".elasticPolicy", elastic.String()))
}

// same says in CEL that a field has not changed. (Optionals would be shorter, but the
// apiserver cannot estimate what it costs to compare them.)
func same(parent, name string) string {
	return fmt.Sprintf("has(self.%[1]s.%[2]s) == has(oldSelf.%[1]s.%[2]s) && "+
		"(!has(self.%[1]s.%[2]s) || self.%[1]s.%[2]s == oldSelf.%[1]s.%[2]s)", parent, name)
}

// within limits a rule about the fields of an object to objects that both versions have.
func within(parent, rule string) string {
	return fmt.Sprintf("!has(self.%[1]s) || !has(oldSelf.%[1]s) || (%[2]s)", parent, rule)
}

// sameKey says that a role was not added or taken away.
func sameKey(role string) string {
	return fmt.Sprintf("('%[1]s' in self.spec.pytorchReplicaSpecs) == ('%[1]s' in oldSelf.spec.pytorchReplicaSpecs)", role)
}

// orEmpty is a string field, "" where it or one of its parents is absent.
func orEmpty(object string, path ...string) string { return orElse("", object, path...) }

// orElse is a string field, the other value where it is empty or absent.
func orElse(otherwise, object string, path ...string) string {
	var present []string
	for _, name := range path {
		object += "." + name
		present = append(present, "has("+object+")")
	}
	if otherwise != "" {
		present = append(present, object+" != ''")
	}
	return fmt.Sprintf("(%s ? %s : '%s')", strings.Join(present, " && "), object, otherwise)
}
