package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

type evalOptions struct {
	runs                             []string
	prepared, task, split, out, name string
	checkpoint                       string // best or latest
	decoding                         []string
	deviceFlags
}

func newEval(s streams) *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval RUN...", // a run that is called as a subcommand is: ./perplexity
		Short: "Answer a task's examples with finetuned models and score them",
		Long: `Answer a task's examples with finetuned models and score them by the official
metrics on the scale 0-100. RUN is a directory that "glmkit train finetune"
wrote: all runs below it are evaluated, of a grid those of the cell that it chose.
A run that chose its best epoch (finetune --dev) answers with that one.

--task answers a diagnostic instead of the run's own task: AX-b and AX-g (their
split is test) by the runs that were finetuned on RTE. Other runs are passed by.

Where the model writes the answers, the recipe of its task (finetune.tasks of its
config.yaml, decoding) says how they are searched for; --decoding changes that.

Every run yields one result file in --out and its predictions beside it, an
example a line with text, scores and gold. A result of the same model, task,
split and seed is written anew, but never replaced by one of another checkpoint
or of other data.`,
		Example: `  glmkit eval finetuned/glm --tasks tasks/glm --out results
  glmkit eval finetuned/glm/CB/seed-1 --tasks tasks/glm --split val --out results
  glmkit eval finetuned/glm --tasks tasks/glm --task AX-b --split test --out results
  glmkit eval finetuned/glm --tasks tasks/glm --decoding beams=1,no_repeat=3 --name greedy --out results`,
		Args: cobra.MinimumNArgs(1),
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.prepared, "tasks", "", "`directory` that prepare task wrote")
	cmd.Flags().StringVar(&o.task, "task", "", "answer this `task` with the models that it is put to (default: each run's own)")
	cmd.Flags().StringVar(&o.split, "split", "val", "split to answer")
	cmd.Flags().StringVar(&o.checkpoint, "checkpoint", "best", "the run's best, where it has chosen one, or its latest")
	cmd.Flags().StringSliceVar(&o.decoding, "decoding", nil, "how answers are written, as in `beams=1`; keys: "+strings.Join(configs.DecodingKeys(), ", "))
	cmd.Flags().StringVar(&o.out, "out", "", "`directory` of the result files")
	cmd.Flags().StringVar(&o.name, "name", "", "the model's name in tables (default: GLM or BERT)")
	cmd.MarkFlagRequired("tasks")
	cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.runs = args
		if o.checkpoint != "best" && o.checkpoint != "latest" {
			return &configs.Error{Field: "--checkpoint", Msg: strconv.Quote(o.checkpoint) + " is none", Hint: "best or latest"}
		}
		return evaluate(cmd.Context(), s, o)
	}
	cmd.AddCommand(newPerplexity(s), newLambada(s))
	return cmd
}

// checkpointOf is the checkpoint with which a run answers.
func (o evalOptions) checkpointOf(run string) string {
	if path := filepath.Join(run, o.checkpoint); fileExists(path) {
		return path
	}
	return run
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func noTasks(dir, split string) error {
	return &corpus.DataError{Path: dir, Err: errors.New("holds no task with a " + split + " split"), Hint: "glmkit prepare task all --out " + dir}
}

// splitFile is where prepare task put a split.
func splitFile(dir, task, split string) string { return filepath.Join(dir, task, split+".arrow") }

func noRuns(path string, err error) error {
	if err == nil {
		err = errors.New("holds no run")
	}
	return &corpus.DataError{Path: path, Err: err, Hint: "the directory given to glmkit train finetune as --out"}
}
