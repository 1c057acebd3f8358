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
	tasks               []string
	seeds               []uint64
	deviceFlags
	watchFlags
}

// runDir is where the run of a task and seed lives.
func (o finetuneOptions) runDir(task string, seed uint64) string {
	return filepath.Join(o.out, task, "seed-"+strconv.FormatUint(seed, 10))
}

func newFinetune(s streams) *cobra.Command {
	var o finetuneOptions
	var taskNames, seeds []string
	cmd := &cobra.Command{
		Use:   "finetune",
		Short: "Finetune a pretrained model on tasks that prepare task wrote",
		Long: `Finetune a pretrained model on tasks that "glmkit prepare task" wrote: GLM on
their cloze form, BERT on their classification form. Every task and seed is a
run of its own under --out, as TASK/seed-N. The same command again skips what
is finished and continues what is not.

--from is a run of "glmkit train pretrain" or one of its checkpoints, a
checkpoint of the GLM repository, or a folder of Hugging Face's: "glmkit convert
--help" lists the forms. The weights tell the model's shape. A --config of the
same layers and hidden size may ask for more positions.`,
		Example: `  glmkit train finetune --from runs/glm --tasks tasks/glm --out finetuned/glm
  glmkit train finetune --from runs/glm --tasks tasks/glm --task CB,COPA --seeds 1,2,3 --out finetuned/glm
  glmkit train finetune --from bert-base-uncased/ --config bert-base --tasks tasks/bert --out finetuned/bert`,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(cmd, "glm-small")
	o.deviceFlags.add(cmd)
	o.watchFlags.add(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "pretrained `weights`: a run, a checkpoint or a folder of Hugging Face's")
	cmd.Flags().StringVar(&o.prepared, "tasks", "", "`directory` that prepare task wrote")
	cmd.Flags().StringSliceVar(&taskNames, "task", []string{"all"}, "tasks to train, separated by commas")
	cmd.Flags().StringSliceVar(&seeds, "seeds", []string{"1"}, "seeds, separated by commas")
	cmd.Flags().StringVar(&o.out, "out", "", "`directory` of the runs")
	for _, name := range []string{"from", "tasks", "out"} {
		cmd.MarkFlagRequired(name)
	}
	cmd.RegisterFlagCompletionFunc("task", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return tasks.Names(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.config, err = load(); err != nil {
			return err
		}
		if o.tasks, err = chosenTasks(o.prepared, taskNames); err != nil {
			return err
		}
		for _, text := range seeds {
			seed, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return &configs.Error{Field: "--seeds", Msg: strconv.Quote(text) + " is not a seed", Hint: "whole numbers from 0, as in --seeds 1,2,3"}
			}
			o.seeds = append(o.seeds, seed)
		}
		return finetune(cmd.Context(), s, o)
	}
	return cmd
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
