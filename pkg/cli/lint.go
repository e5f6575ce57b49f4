package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newLintCommand() *cobra.Command {
	var (
		files  []string
		strict bool
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "lint -f FILE...",
		Short: "Find mistakes in manifests, without a cluster",
		Long: `Reads manifests and says what is wrong with them: unknown fields, with the one that was
probably meant; values of a wrong type; what the apiserver would refuse, by the rules of the
definitions that Lockstep installs; and, as warnings, what would be accepted and probably
is not what its author meant.

PyTorchJobs with their pod templates, PodGroups, Queues, LockstepArgs and
KubeSchedulerConfigurations are judged in full. Of ElasticQuotas and Kubernetes' own kinds
the fields and their types are checked. Other kinds are passed over with a note.

No cluster is asked, so what depends on one is not found: whether a queue, a PriorityClass
or a volume claim exists.

Exit codes: 0 nothing is wrong (there may be warnings), 2 something is, 1 an error.`,
		Example: `  lockstep lint -f job.yaml
  lockstep lint -f manifests/ --strict -o json
  helm template ./chart | lockstep lint -f -`,
		Args: cobra.ArbitraryArgs, // what a shell makes of -f *.yaml
		RunE: func(command *cobra.Command, args []string) error {
			if len(files) == 0 {
				return errors.New("nothing to read: give manifests by -f")
			}
			l := &linter{findings: []finding{}}
			if err := l.read(append(files, args...), command.InOrStdin()); err != nil {
				return err
			}
			tellNotes(command, l.notes)
			if err := l.print(command.OutOrStdout(), output); err != nil {
				return err
			}
			if l.count(severityError) > 0 || strict && len(l.findings) > 0 {
				return errNo
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringSliceVarP(&files, "filename", "f", nil, "manifests: files, directories, or - for standard input")
	flags.BoolVar(&strict, "strict", false, "exit with 2 where there are only warnings as well")
	completeManifests(command)
	addOutputFlag(command, &output)
	return command
}

// linter gathers what is wrong with manifests.
type linter struct {
	objects  int
	findings []finding
	notes    []string
	seen     map[string]string // where an object of that name was read
}

func (l *linter) read(names []string, stdin io.Reader) error {
	for _, name := range names {
		files, err := manifestFiles(name)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := readText(file, stdin)
			if err != nil {
				return err
			}
			if err := l.readFile(file, text); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(l.findings, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return nil
}

func readText(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

func (l *linter) readFile(file string, text []byte) error {
	if file == "-" {
		file = "standard input"
	}
	documents, err := split(file, bytes.NewReader(text))
	if err != nil {
		return err
	}
	offset := 0
	for _, d := range documents {
		if at := bytes.Index(text[offset:], d.text); at >= 0 {
			offset += at
		}
		lines := newLines(text, offset, d.text)
		offset += len(d.text)
		values, err := d.jsons()
		if err != nil {
			l.add(d, lines, "", fault("", strings.TrimPrefix(err.Error(), d.where()+": ")))
			continue
		}
		for _, value := range values {
			d.text = value
			if err := l.lint(d, lines); err != nil {
				return err
			}
		}
	}
	return nil
}

// lint judges one object, or each of a list.
func (l *linter) lint(d document, lines lines) error {
	var head struct {
		Kind, APIVersion any
		Metadata         struct{ Name, Namespace, GenerateName any }
		Items            []json.RawMessage
	}
	_ = json.Unmarshal(d.text, &head)
	kind, _ := head.Kind.(string)
	if strings.HasSuffix(kind, "List") && head.Items != nil {
		for i, item := range head.Items {
			if apiVersion, _ := head.APIVersion.(string); kind != "List" {
				item = typed(item, strings.TrimSuffix(kind, "List"), apiVersion)
			}
			d.item, d.text = i, item
			if err := l.lint(d, lines); err != nil {
				return err
			}
		}
		return nil
	}
	name := strings.TrimSpace(kind + " " + text(head.Metadata.Namespace, "/") +
		cmp.Or(text(head.Metadata.Name, ""), text(head.Metadata.GenerateName, "")))
	findings, err := lintObject(d.text)
	switch {
	case errors.Is(err, errPassedOver):
		l.notes = append(l.notes, fmt.Sprintf("%s: %s: %v", d.where(), name, err))
		return nil
	case err != nil:
		return err
	}
	l.objects++
	for _, f := range findings {
		l.add(d, lines, name, f)
	}
	if head.Metadata.Name != nil {
		if first, again := l.seen[name]; again {
			l.add(d, lines, name, fault("metadata.name", "is in "+first+" already"))
		} else {
			if l.seen == nil {
				l.seen = map[string]string{}
			}
			l.seen[name] = d.where()
		}
	}
	return nil
}

func text(value any, after string) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value) + after
}

func (l *linter) add(d document, lines lines, object string, f finding) {
	f.File, f.Document, f.Object = d.file, d.number, object
	f.Line = lines.at(d.item, f.Path)
	if line, message, ok := inYAML(f.Message); ok {
		f.Line, f.Message = lines.first+line-1, message
	}
	l.findings = append(l.findings, f)
}

// yamlFault is what the YAML reader says; it counts the lines of the document.
var yamlFault = regexp.MustCompile(`yaml: (?:unmarshal errors: )?line (\d+): (.*)`)

func inYAML(text string) (line int, message string, ok bool) {
	m := yamlFault.FindStringSubmatch(text)
	if m == nil {
		return 0, "", false
	}
	line, err := strconv.Atoi(m[1])
	return line, "is no YAML: " + m[2], err == nil
}

func (l *linter) count(severity string) int {
	n := 0
	for _, f := range l.findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

func (l *linter) print(out io.Writer, output outputFormat) error {
	if output == outputJSON {
		return printJSON(out, map[string]any{"objects": l.objects, "findings": l.findings})
	}
	for _, f := range l.findings {
		parts := []string{f.File + ":" + strconv.Itoa(f.Line)}
		for _, part := range []string{map[string]string{severityWarning: severityWarning}[f.Severity], f.Object, f.Path, f.Message} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		fmt.Fprintln(out, strings.Join(parts, ": "))
	}
	fmt.Fprintf(out, "%s, %s in %s\n", plural(l.count(severityError), "error"), plural(l.count(severityWarning), "warning"), plural(l.objects, "object"))
	return nil
}
