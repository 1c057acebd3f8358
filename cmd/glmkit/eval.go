package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

type evalOptions struct {
	runs                       []string
	prepared, split, out, name string
	tasks                      []string // to answer; none: each run's own
	checkpoint                 string   // best or latest
	decoding                   []string
	submission                 string // archive to write; empty: none
	errors                     int    // mistakes to show of each run
	shots                      int
	precision                  string
	seeds                      []uint64 // draws of the shots of a pretrained run
	deviceFlags
}

func newEval(s streams) *cobra.Command {
	var o evalOptions
	var taskNames, seeds []string
	cmd := &cobra.Command{
		Use:   "eval RUN...", // a run that is called as a subcommand is: ./perplexity
		Short: "Answer a task's examples with a model and score the answers",
		Long: `Answer a task's examples with finetuned models and score them by the official
metrics on the scale 0-100. RUN is a directory that "glmkit train finetune"
wrote: all runs below it are evaluated, of a grid those of the cell that it chose.
A run that chose its best epoch (finetune --dev) answers with that one.

A pretrained RUN answers every task that --tasks has, as it is: zero-shot. It may be
weights in any form that "glmkit convert --help" lists. --shots puts examples of the
train split, drawn by --seeds, with their answers before each question (few-shot).
Questions are not cut for them: an example that does not fit the model's positions
whole is left out, and the line of the run says how often.

--task answers some tasks only, by the runs that were finetuned on them; other runs
are passed by. The diagnostics AX-b and AX-g (their split is test) are answered by
the runs of RTE.

Where the model writes the answers, the recipe of its task (finetune.tasks of its
config.yaml, decoding) says how they are searched for; --decoding changes that.

Every run yields one result file in --out and its predictions beside it, an
example a line with the prediction, the choices and their log-probabilities, gold,
pattern and text. A result of the same model, task, split and seed is written anew,
but never replaced by one of another checkpoint or of other data. A split without
right answers, as the test files of SuperGLUE, is answered and not scored.

--precision bfloat16 is faster where the device has instructions for it, most of all
on a GPU. Weights and states are rounded to eight bits then, so that scores differ in
their third digit and close choices may be others; the result and its tables say so.

Answers are kept beside the results as they are found, until all runs have
answered: after an interruption the same command goes on.

--submission writes the archive that SuperGLUE's site takes, of the split test:
one run a task, RTE's runs answer AX-b and AX-g too where --tasks has them. Models
of several folders: "glmkit report submission". "glmkit inspect submission" checks
an archive.`,
		Example: `  glmkit eval finetuned/glm --tasks tasks/glm --out results
  glmkit eval finetuned/glm/CB/seed-1 --tasks tasks/glm --split val --out results
  glmkit eval finetuned/glm --tasks tasks/glm --task AX-b,AX-g --split test --out results
  glmkit eval finetuned/glm --tasks tasks/glm --decoding beams=1,no_repeat=3 --name greedy --out results
  glmkit eval finetuned/glm/*/seed-1 --tasks tasks/glm --submission glm.zip
  glmkit eval runs/glm --tasks tasks/glm --shots 4 --seeds 1,2,3 --out results`,
		Args: cobra.MinimumNArgs(1),
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.prepared, "tasks", "", "`directory` that prepare task wrote (required)")
	cmd.Flags().StringSliceVar(&taskNames, "task", []string{"all"}, "tasks to answer, separated by commas, by the models that they are put to; all: a finetuned run's own")
	completeTasks(cmd)
	cmd.Flags().StringVar(&o.split, "split", "val", "split to answer")
	cmd.Flags().StringVar(&o.checkpoint, "checkpoint", "best", "the run's best, where it has chosen one, or its latest")
	cmd.Flags().StringSliceVar(&o.decoding, "decoding", nil, "how answers are written, as in `beams=1`; keys: "+strings.Join(configs.DecodingKeys(), ", "))
	cmd.Flags().StringVar(&o.out, "out", "", "`directory` of the result files")
	cmd.Flags().StringVar(&o.name, "name", "", "the model's name in tables (default: GLM or BERT, and how it was asked where that is not its own way)")
	cmd.Flags().StringVar(&o.submission, "submission", "", "write the answers as a submission to SuperGLUE's site, a zip `file`")
	cmd.Flags().IntVar(&o.errors, "errors", 0, "show the `N` most confident mistakes of each run")
	addPrecision(cmd.Flags(), &o.precision, "float32")
	cmd.Flags().IntVar(&o.shots, "shots", 0, "`examples` of the train split, with answers, before each question")
	cmd.Flags().StringSliceVar(&seeds, "seeds", []string{"1"}, "draws of the examples for a pretrained run, separated by commas; a finetuned run draws by its own seed")
	cmd.MarkFlagRequired("tasks")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.runs = args
		if o.out == "" && o.submission == "" {
			return &configs.Error{Msg: "required flag: one of --out and --submission", Hint: "--out results"}
		}
		if o.submission != "" {
			if err := checkOutput("--submission", o.submission, "submission.zip"); err != nil {
				return err
			}
			if cmd.Flags().Changed("split") && o.split != "test" {
				return &configs.Error{Field: "--split", Msg: "a submission answers the split test, not " + o.split, Hint: "leave it out"}
			}
			o.split = "test"
		}
		if o.shots < 0 || o.errors < 0 {
			return &configs.Error{Field: "--shots, --errors", Msg: "count from 0", Hint: "--shots 4"}
		}
		if o.seeds, err = parseSeeds(seeds); err != nil {
			return err
		}
		if o.checkpoint != "best" && o.checkpoint != "latest" {
			return &configs.Error{Field: "--checkpoint", Msg: strconv.Quote(o.checkpoint) + " is none", Hint: "best or latest"}
		}
		if o.tasks, err = o.chosenTasks(taskNames); err != nil {
			return err
		}
		return evaluate(cmd.Context(), s, o)
	}
	cmd.AddCommand(newPerplexity(s), newLambada(s))
	return cmd
}

// addPrecision adds the flag for what answers are computed in.
func addPrecision(f *pflag.FlagSet, precision *string, usual string) {
	f.StringVar(precision, "precision", usual, "what matrix products read: float32, bfloat16, or auto: what the model was trained with, where the device has instructions for it")
}

// chosenTasks resolves names to tasks that were prepared: those of a user's own are in
// every pattern's folder, where there are such.
func (o evalOptions) chosenTasks(names []string) ([]string, error) {
	chosen, err := chosenTasks(o.prepared, names)
	if err == nil {
		return chosen, nil
	}
	if patterns, _ := filepath.Glob(patternFolder(o.prepared, "*")); len(patterns) > 0 {
		return chosenTasks(patterns[0], names)
	}
	return nil, err
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
	if folders, _ := filepath.Glob(patternFolder(dir, "*")); len(folders) > 0 {
		return &corpus.DataError{Path: dir, Err: errors.New("holds a folder of each pattern, and no task itself"), Hint: "--tasks " + folders[0] + ", or train finetune --grid pattern=…"}
	}
	return &corpus.DataError{Path: dir, Err: errors.New("holds no task with a " + split + " split"), Hint: "glmkit prepare task all --out " + dir}
}

// splitFile is where prepare task put a split.
func splitFile(dir, task, split string) string { return filepath.Join(dir, task, split+".arrow") }

func noRuns(path string, err error) error {
	return &corpus.DataError{Path: path, Err: err, Hint: "the directory given to glmkit train finetune as --out"}
}
