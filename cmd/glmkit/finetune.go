package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

type finetuneOptions struct {
	config              *configs.Config
	from, prepared, out string
	dev                 string // split that chooses the epoch; empty: none
	grid                configs.Grid
	tasks               []string
	seeds               []uint64
	dryRun              bool
	deviceFlags
	groupFlags
	watchFlags
}

func newFinetune(s streams) *cobra.Command {
	var o finetuneOptions
	var taskNames, seeds, grid []string
	cmd := &cobra.Command{
		Use:   "finetune",
		Short: "Finetune a pretrained model on tasks that prepare task wrote",
		Long: `Finetune a pretrained model on tasks that "glmkit prepare task" wrote: GLM on
their cloze form, BERT on their classification form, or for comparison GLM on that
too and BERT on the form masked. Every task and seed is a run of its own under
--out, as TASK/seed-N. The same command again skips what is finished and continues
what is not. Several processes train together as in "glmkit train pretrain".

--dev names a labelled split, val or FewGLUE's dev32, on which every epoch is
scored by the task's metric. The best epoch's checkpoint is kept, of equal ones
the earliest, and choice.json in the run says which it is and what the others
had; "glmkit eval" answers with it. A split that chooses no longer tells what a
model is worth: report another one where there is one.

--grid tries every combination of values of the recipe's keys, each cell as
TASK/CELL/seed-N, and chooses the cell with the highest mean of the seeds' best
epochs: TASK/grid.json. It takes axes, lr=1e-5,2e-5, a grid by its name (` + strings.Join(configs.Grids(), ", ") + `),
or a YAML file. The axis pattern=0,1 takes the folders pattern-0 and pattern-1
that "glmkit prepare task --pattern 0,1" wrote into --tasks.

--from is a run of "glmkit train pretrain" or one of its checkpoints, a
checkpoint of the GLM repository, or a folder of Hugging Face's: "glmkit convert
--help" lists the forms. The weights tell the model's shape. A --config of the
same layers and hidden size may ask for more positions.

--dry-run opens all that the runs would read and tells what they would do, as in
"glmkit train pretrain", with the first batch of each task. It writes nothing.`,
		Example: `  glmkit train finetune --from runs/glm --tasks tasks/glm --out finetuned/glm
  glmkit train finetune --from runs/glm --tasks tasks/glm --task CB,COPA --seeds 1,2,3 --dev val --out finetuned/glm
  glmkit train finetune --from runs/glm --tasks tasks/glm --task RTE --dev val --grid lr=1e-5,2e-5 --grid batch_size=16,32 --seeds 1,2,3 --out search/glm
  glmkit train finetune --from bert-base-uncased/ --config bert-base --tasks tasks/bert --out finetuned/bert`,
		Args: noArguments,
	}
	load := addConfigFlags(cmd, "glm-small")
	o.deviceFlags.add(cmd)
	o.groupFlags.add(cmd)
	o.watchFlags.add(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "pretrained `weights`: a run, a checkpoint or a folder of Hugging Face's (required)")
	cmd.Flags().StringVar(&o.prepared, "tasks", "", "`directory` that prepare task wrote (required)")
	cmd.Flags().StringSliceVar(&taskNames, "task", []string{"all"}, "tasks to train, separated by commas")
	cmd.Flags().StringSliceVar(&seeds, "seeds", []string{"1"}, "seeds, separated by commas")
	cmd.Flags().StringVar(&o.dev, "dev", "", "`split` that chooses the best epoch (default: none is chosen)")
	cmd.Flags().StringArrayVar(&grid, "grid", nil, "`axis`, grid or file of recipes to try (repeatable)")
	cmd.Flags().StringVar(&o.out, "out", "", "`directory` of the runs (required)")
	addDryRun(cmd, &o.dryRun)
	for _, name := range []string{"from", "tasks", "out"} {
		cmd.MarkFlagRequired(name)
	}
	completeTasks(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.config, err = load(); err != nil {
			return err
		}
		if o.grid, err = configs.ParseGrid(grid); err != nil {
			return err
		}
		if len(o.grid) > 0 && o.dev == "" {
			return &configs.Error{Field: "--grid", Msg: "chooses a cell by a dev split, and none is named", Hint: "--dev val"}
		}
		if o.tasks, err = chosenTasks(o.folder(o.grid.Cells()[0]), taskNames); err != nil {
			return err
		}
		if o.seeds, err = parseSeeds(seeds); err != nil {
			return err
		}
		return finetune(cmd.Context(), s, o)
	}
	return cmd
}

// parseSeeds reads --seeds; a seed that is there twice counts once.
func parseSeeds(texts []string) (seeds []uint64, err error) {
	for _, text := range texts {
		seed, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return nil, &configs.Error{Field: "--seeds", Msg: strconv.Quote(text) + " is not a seed", Hint: "whole numbers from 0, as in --seeds 1,2,3"}
		}
		if !slices.Contains(seeds, seed) {
			seeds = append(seeds, seed)
		}
	}
	return seeds, nil
}

// patternFolder is where prepare task puts a task's pattern when it is asked for
// several; with one, it is dir itself.
func patternFolder(dir, pattern string) string {
	if pattern == "" {
		return dir
	}
	return filepath.Join(dir, "pattern-"+pattern)
}

// folder is where the prepared tasks of a cell are.
func (o finetuneOptions) folder(cell configs.Cell) string {
	return patternFolder(o.prepared, cell.Pattern())
}

// finetuneJob is one run.
type finetuneJob struct {
	task       string
	cell       configs.Cell
	seed       uint64
	config     *configs.Config
	train, dev string // files; dev may be empty
	out        string
}

// jobs lists the runs, those of a task behind each other. All that they need is
// looked for before the first begins.
func (o finetuneOptions) jobs() ([]finetuneJob, error) {
	cells := o.grid.Cells()
	names, err := preparedTasks(o.folder(cells[0]), "train", o.tasks)
	if err != nil {
		return nil, err
	}
	var jobs []finetuneJob
	for _, name := range names {
		for _, cell := range cells {
			dir := o.folder(cell)
			manifest, err := tasks.OpenManifest(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			config, err := o.config.With(manifest.Config.FinetuneRecipe(), cell)
			if err != nil {
				return nil, err
			}
			job := finetuneJob{task: name, cell: cell, config: config, train: splitFile(dir, name, "train")}
			if o.dev != "" {
				job.dev = splitFile(dir, name, o.dev)
				if err := tasks.CheckScorable(job.dev); err != nil {
					return nil, err
				}
			}
			for _, seed := range o.seeds {
				job.seed, job.out = seed, filepath.Join(o.out, name, cell.Name(), "seed-"+strconv.FormatUint(seed, 10))
				jobs = append(jobs, job)
			}
		}
	}
	return jobs, nil
}

// completeTasks lets a shell complete the names of --task.
func completeTasks(cmd *cobra.Command) {
	cmd.RegisterFlagCompletionFunc("task", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return tasks.Names(), cobra.ShellCompDirectiveNoFileComp
	})
}

// chosenTasks resolves names, "all" among them, to the tasks' own: those of the
// built-in tasks, and of those that a user declared and prepared in dir.
func chosenTasks(dir string, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if strings.EqualFold(name, "all") {
			return nil, nil
		}
		task, err := preparedTask(dir, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, task.Name) {
			out = append(out, task.Name)
		}
	}
	return out, nil
}

// preparedTask is a task that dir holds, be it a user's own, or else a built-in
// one.
func preparedTask(dir, name string) (*tasks.Task, error) {
	if folder := filepath.Join(dir, name); name != "" && fileExists(filepath.Join(folder, "manifest.json")) {
		return tasks.Prepared(folder)
	}
	return tasks.Get(name)
}

// preparedTasks are the tasks to work on: those asked for, or all that the
// directory holds, the built-in ones first.
func preparedTasks(dir, split string, asked []string) ([]string, error) {
	found := asked
	if len(found) == 0 {
		names := tasks.Names()
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, noTasks(dir, split)
		}
		for _, entry := range entries {
			if !slices.Contains(names, entry.Name()) {
				names = append(names, entry.Name())
			}
		}
		for _, name := range names {
			if fileExists(filepath.Join(dir, name, split+".arrow")) {
				found = append(found, name)
			}
		}
	}
	if len(found) == 0 {
		return nil, noTasks(dir, split)
	}
	return found, nil
}
