package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"
)

// submitFlags are those of submit beside what describes a job.
type submitFlags struct {
	file          string
	watch, dryRun bool
	output        string
	kube          *genericclioptions.ConfigFlags
}

func newSubmitCommand() *cobra.Command {
	var (
		described jobFlags
		f         submitFlags
	)
	command := &cobra.Command{
		Use:     "submit (NAME --image IMAGE [-- COMMAND...] | -f FILE)",
		Aliases: []string{"run"},
		Short:   "Create a PyTorchJob, from flags or from a manifest",
		Long: `Creates a PyTorchJob, from flags or from a manifest. What is wrong with it is said before
anything is sent.

--workers 4 gives a Master, which is rank 0, and four Workers: five pods. Without --workers there
is the Master alone. --master=false leaves the Master out; rank 0 is then worker-0. Each pod
gets MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE: a script that calls
torch.distributed.init_process_group() needs no more. For more than one process per pod
(--nproc) the command has to be torchrun, which finds what it needs in PET_* variables.

--workers 2..8 makes an elastic job: no Master, at least 2 Workers at once, up to 8 as room
comes. The command must be torchrun (or python -m torch.distributed.run), without --nnodes and
--rdzv-* options, which come from PET_* variables; and the script must save checkpoints and go
on from the last one, because every change of the number of Workers starts it again.

The command after -- takes the place of the image's entry point.

Exit codes: 0 created, and with --watch succeeded; 2 failed, with --watch; 1 an error.`,
		Example: `  lockstep submit mnist --image train:1 --workers 3 -- python train.py --epochs 10
  lockstep submit llm --image train:1 --workers 2..8 --gpus-per-worker 8 --nproc 8 --topology-required rack \
    -n team-a --watch -- torchrun train.py
  lockstep submit mnist --image train:1 --dry-run -o yaml -- python train.py > job.yaml
  lockstep submit -f job.yaml --watch`,
		RunE: func(command *cobra.Command, args []string) error {
			s, err := f.submission(command, args, &described)
			if err != nil {
				return err
			}
			return f.submit(command, s)
		},
	}
	command.Flags().AddFlagSet(described.set())
	command.Flags().SortFlags = false
	f.add(command)
	return command
}

func (f *submitFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&f.file, "filename", "f", "", "manifest of one PyTorchJob; - is standard input")
	flags.BoolVar(&f.watch, "watch", false, "follow the job until it has ended")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the job and send nothing; needs no cluster")
	flags.StringVarP(&f.output, "output", "o", "", "print the job as yaml or json (default with --dry-run: yaml)")
	f.kube = addKubeFlags(command)
	fixed := func(flag string, values ...string) {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	fixed("output", "yaml", "json")
	fixed("clean-pods", cleanUps...)
	fixed("nproc", "auto", "cpu", "gpu", "xpu")
	fixed("topology-required", "zone", "block", "rack", "host")
	fixed("topology-preferred", "zone", "block", "rack", "host")
	_ = command.RegisterFlagCompletionFunc("filename", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
	})
	command.ValidArgsFunction = cobra.NoFileCompletions
}

// submission makes the job from what was given, and checks it.
func (f *submitFlags) submission(command *cobra.Command, args []string, described *jobFlags) (*submission, error) {
	switch f.output {
	case "", "yaml", "json":
	default:
		return nil, fmt.Errorf("--output=%s: is neither yaml nor json", f.output)
	}
	if f.watch && (f.dryRun || f.output != "") {
		return nil, errors.New("--watch: tells what happens to a job; leave --dry-run and --output out")
	}
	s, err := f.described(command, args, described)
	if err != nil {
		return nil, err
	}
	if err := f.place(s.object); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	tellNotes(command, s.notes())
	return s, nil
}

func (f *submitFlags) described(command *cobra.Command, args []string, described *jobFlags) (*submission, error) {
	names, program := args, []string(nil)
	if dash := command.ArgsLenAtDash(); dash >= 0 {
		names, program = args[:dash], args[dash:]
	}
	flags := command.Flags()
	described.masterGiven, described.maxRestartsGiven = flags.Changed("master"), flags.Changed("max-restarts")
	switch {
	case f.file != "" && len(args) > 0:
		return nil, errors.New("--filename: a manifest has its own name and command; leave NAME and what follows -- out")
	case f.file != "":
		if flag := strangeToManifests(flags); flag != "" {
			return nil, fmt.Errorf("--%s: goes with NAME, not with --filename: say it in the manifest", flag)
		}
		return readSubmission(f.file, command.InOrStdin())
	case len(names) == 0:
		return nil, errors.New("a NAME and --image, or --filename, must be given; see lockstep submit --help")
	case len(names) > 1:
		return nil, fmt.Errorf("%q: the command goes after --, as in: lockstep submit %s --image IMAGE -- python train.py", names[1], names[0])
	}
	job, err := described.build(names[0], program)
	if err != nil {
		return nil, err
	}
	return newSubmission(job)
}

// strangeToManifests is a flag that was given and describes a job, which a manifest does as well.
func strangeToManifests(given *pflag.FlagSet) (name string) {
	new(jobFlags).set().VisitAll(func(flag *pflag.Flag) {
		if given.Changed(flag.Name) && name == "" {
			name = flag.Name
		}
	})
	return name
}

// place gives the job the namespace of -n. Without one it is that of the manifest, and
// else of the context, which is looked up when the job is sent.
func (f *submitFlags) place(object *unstructured.Unstructured) error {
	asked := *f.kube.Namespace
	switch own := object.GetNamespace(); {
	case asked == "":
		*f.kube.Namespace = own
	case own != "" && own != asked:
		return fmt.Errorf("--namespace=%s: the manifest says %s in metadata.namespace", asked, own)
	default:
		object.SetNamespace(asked)
	}
	return nil
}

func (f *submitFlags) submit(command *cobra.Command, s *submission) error {
	if f.dryRun {
		return f.print(command, s.object)
	}
	j, err := connectJobs(f.kube)
	if err != nil {
		return err
	}
	ctx := command.Context()
	created, err := j.create(ctx, s.object)
	if err != nil {
		return err
	}
	if f.output != "" {
		return f.print(command, created)
	}
	screen := newScreen(command.OutOrStdout(), time.Now)
	screen.plain(j.name(created.GetName()) + " created")
	if f.watch {
		return j.watch(ctx, screen, created, s)
	}
	return nil
}

// create sends a job; the apiserver refuses fields that it does not know.
func (j *jobs) create(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	created, err := j.dynamic.Resource(jobResource).Namespace(j.namespace).Create(ctx, object,
		metav1.CreateOptions{FieldManager: "lockstep", FieldValidation: metav1.FieldValidationStrict})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil, fmt.Errorf("%s exists already: give this one another name, or kubectl delete pytorchjob %s -n %s",
			j.name(object.GetName()), object.GetName(), j.namespace)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", j.name(object.GetName()), j.known(err))
	}
	return created, nil
}

func (f *submitFlags) print(command *cobra.Command, object *unstructured.Unstructured) error {
	if f.output == "json" {
		return printJSON(command.OutOrStdout(), object.Object)
	}
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return err
	}
	_, err = command.OutOrStdout().Write(text)
	return err
}
