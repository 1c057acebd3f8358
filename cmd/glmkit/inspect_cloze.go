package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/tasks"
)

type inspectClozeOptions struct {
	task, taskFile, tokenizer, split, file string
	form                                   string
	pattern, maxLength, limit              int // -1, 0: the configuration's; 0: all
	json, allPatterns                      bool
	config                                 func() (*configs.Config, error)
}

func newInspectCloze(s streams) *cobra.Command {
	opts := &inspectClozeOptions{}
	cmd := &cobra.Command{
		Aliases: []string{"task"},
		Use:     "cloze --task TASK --tokenizer VOCAB FILE",
		Short:   "Show the cloze questions that a pattern makes of a task's file",
		Long: `Encode every example of FILE, one of SuperGLUE's official files or of those of
a task of your own, and show each:
the parts of the question as they are tokenized (✂ before what may be shortened,
▢ the blank), what the blank can be filled with (* the right answer), the length.

With --json, one line an example: task, pattern, max_length, guid,
example_number, label, label_names, kind, then input, position, block_position,
sep and choice_ids (kind single) or choices, each with input, position,
block_position, sep and target (kind multi), and file. FILE is read in the
evaluation form, whatever its name, unless --split train is given.`,
		Example: `  glmkit inspect cloze --task CB --pattern 3 --tokenizer vocab.txt --limit 2 SuperGLUE/CB/val.jsonl
  glmkit inspect task --task WiC --all-patterns --tokenizer vocab.txt --limit 1 SuperGLUE/WiC/val.jsonl
  glmkit inspect cloze --task COPA --pattern 0 --max-length 256 --tokenizer vocab.txt --json SuperGLUE/COPA/val.jsonl
  glmkit inspect cloze --task-file docs/tasks/SST-2.yaml --tokenizer vocab.txt --limit 3 GLUE/SST-2/dev.tsv`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&opts.task, "task", "", "task of the file (this or --task-file is required)")
	f.StringVar(&opts.taskFile, "task-file", "", "YAML `file` that declares the task (docs/tasks.md)")
	addTokenizerFlag(cmd, &opts.tokenizer)
	f.IntVar(&opts.pattern, "pattern", -1, "cloze pattern (default: finetune.pattern of the configuration)")
	f.Lookup("pattern").DefValue = "0" // so that --help does not add that the default is -1
	f.BoolVar(&opts.allPatterns, "all-patterns", false, "show each example in every pattern")
	f.IntVar(&opts.maxLength, "max-length", 0, "tokens of a sequence at most (default: finetune.seq_length of the configuration)")
	f.StringVar(&opts.form, "form", string(tasks.Cloze), "cloze (GLM), masked or classification (BERT)")
	f.StringVar(&opts.split, "split", "val", "read FILE as this split: train for the training form, val or test")
	f.IntVar(&opts.limit, "limit", 0, "stop after this many examples; 0: show all")
	f.BoolVar(&opts.json, "json", false, "write one JSON object a line")
	opts.config = addConfigFlags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.file = args[0]
		return runInspectCloze(cmd.Context(), s, opts)
	}
	return cmd
}

// shownEncoders are those of the pattern asked for, or of all.
func shownEncoders(task *tasks.Task, opts *inspectClozeOptions, config *configs.Config, vocabulary tasks.Tokenizer) ([]*tasks.Encoder, error) {
	if !opts.allPatterns {
		encoder, err := newTaskEncoder(task, tasks.Form(opts.form), opts.pattern, opts.maxLength, config, vocabulary)
		return []*tasks.Encoder{encoder}, err
	}
	if opts.pattern != -1 {
		return nil, &configs.Error{Field: "--pattern", Msg: "one pattern and all of them", Hint: "--pattern or --all-patterns"}
	}
	var encoders []*tasks.Encoder
	for pattern := range task.Patterns() {
		encoder, err := newTaskEncoder(task, tasks.Form(opts.form), pattern, opts.maxLength, config, vocabulary)
		if err != nil {
			return nil, err
		}
		encoders = append(encoders, encoder)
	}
	return encoders, nil
}

// namedTask is the task of a name or of a file, one of which is given.
func namedTask(name, file string) (*tasks.Task, error) {
	switch {
	case (name == "") == (file == ""):
		return nil, &configs.Error{Msg: "required flag: one of --task and --task-file", Hint: "--task CB, or --task-file with a file of your own"}
	case file != "":
		return tasks.Open(file)
	}
	return tasks.Get(name)
}

func runInspectCloze(ctx context.Context, s streams, opts *inspectClozeOptions) (err error) {
	config, err := opts.config()
	if err != nil {
		return err
	}
	task, err := namedTask(opts.task, opts.taskFile)
	if err != nil {
		return err
	}
	vocabulary, err := tokenizer.Open(opts.tokenizer)
	if err != nil {
		return err
	}
	encoders, err := shownEncoders(task, opts, config, vocabulary)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.out)
	defer func() { err = errors.Join(err, out.Flush()) }()
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	shown, rendered := 0, 0
	for example, err := range task.Read(opts.file, opts.split, tasks.Form(opts.form)) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, encoder := range encoders {
			if opts.json {
				encoded, _, err := encoder.Encode(example)
				if err != nil {
					return err
				}
				if err := lines.Encode(encoder.Vector(encoded, opts.split, opts.file)); err != nil {
					return err
				}
				continue
			}
			if rendered++; rendered > 1 {
				fmt.Fprintln(out)
			}
			if err := encoder.Render(out, example); err != nil {
				return err
			}
		}
		if shown++; shown == opts.limit {
			break
		}
	}
	return nil
}
