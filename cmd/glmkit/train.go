package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
)

func newTrain(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Pretrain on a prepared corpus, or finetune on prepared tasks",
	}
	cmd.AddCommand(newPretrain(s), newFinetune(s))
	return cmd
}

// deviceFlags say what a command computes on.
type deviceFlags struct {
	device  string
	threads int
}

func (d *deviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.device, "device", "auto", "auto, cpu, cuda or cuda:N")
	cmd.Flags().IntVar(&d.threads, "threads", 0, "threads of CPU operations (0: all cores)")
}

// groupFlags say how the processes of a group find each other.
type groupFlags struct{ joinTimeout time.Duration }

func (g *groupFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&g.joinTimeout, "join-timeout", 5*time.Minute, "how long several processes that train together wait for each other to start")
}

// watchFlags say how a run can be watched beside its progress.
type watchFlags struct {
	tensorboard bool
	metricsAddr string
}

func (w *watchFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.tensorboard, "tensorboard", false, "write TensorBoard event files into the run's folder tensorboard")
	cmd.Flags().StringVar(&w.metricsAddr, "metrics-addr", "", "answer Prometheus on this `host:port`, at /metrics")
}

// addDryRun gives cmd the flag --dry-run.
func addDryRun(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "dry-run", false, "only print what would be done, the memory that it would take and the first batch; write nothing")
}

type pretrainOptions struct {
	config                 *configs.Config
	data, valid, from, out string
	dryRun                 bool
	deviceFlags
	groupFlags
	watchFlags
}

func newPretrain(s streams) *cobra.Command {
	var o pretrainOptions
	cmd := &cobra.Command{
		Use:   "pretrain",
		Short: "Train a GLM or a BERT on a corpus that prepare corpus wrote",
		Long: `Train a GLM by blank infilling, or a BERT by masked language modelling, on a
corpus that "glmkit prepare corpus" wrote. model.architecture in the
configuration says which.

The run's directory holds config.yaml (resolved), metrics.jsonl and the
checkpoints. The same command again continues from the newest one, to the same
bytes as if it had never stopped. Ctrl-C saves first and exits with 130; a
second one exits at once.

Several processes train together when torchrun's environment or Slurm's srun says
so (RANK, WORLD_SIZE, MASTER_ADDR, ...): docs/cluster.md.

With --from training begins with weights that exist, in any of the forms that
"glmkit convert --help" lists. They must have the configuration's layers and
hidden size; a larger model.max_positions or model.vocab grows their tables.

--dry-run opens all that the run would read and tells what it would do: the steps
and where they begin, tokens and passes over the corpus, the schedule, memory (an
estimate: docs/training.md has the formula), and the first batch as the model
would read it. It writes nothing, and fails where the run would.`,
		Example: `  glmkit train pretrain --config glm-small --data corpus/ --out runs/glm
  glmkit train pretrain --config glm-small --data corpus/ --out runs/glm --dry-run
  glmkit train pretrain --config glm-large --from glm-large-blank/ --data corpus/ --out runs/more
  glmkit train pretrain --config bert-small --data corpus/ --out runs/bert --set train.steps=2000`,
		Args: noArguments,
	}
	load := addConfigFlags(cmd, "glm-small")
	o.deviceFlags.add(cmd)
	o.groupFlags.add(cmd)
	o.watchFlags.add(cmd)
	cmd.Flags().StringVar(&o.data, "data", "", "`directory` that prepare corpus wrote (required)")
	cmd.Flags().StringVar(&o.valid, "valid", "", "a second one, held out, for the validation loss")
	cmd.Flags().StringVar(&o.from, "from", "", "`weights` to begin with: a run, a checkpoint or a folder of Hugging Face's")
	cmd.Flags().StringVar(&o.out, "out", "", "`directory` of the run (required)")
	addDryRun(cmd, &o.dryRun)
	cmd.MarkFlagRequired("data")
	cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.config, err = load(); err != nil {
			return err
		}
		return pretrain(cmd.Context(), s, o)
	}
	return cmd
}
