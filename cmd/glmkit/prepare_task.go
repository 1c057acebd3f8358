package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/tasks"
)

type prepareTaskOptions struct {
	tasks, taskFiles           []string
	data, tokenizer, form, out string
	pattern                    string // one, several between commas, all; empty: the configuration's
	skipBad                    bool
	maxLength                  int // 0: the configuration's
	config                     func() (*configs.Config, error)
}

func newPrepareTask(s streams) *cobra.Command {
	opts := &prepareTaskOptions{}
	cmd := &cobra.Command{
		Use:   "task {TASK...|all|--task-file FILE} --data ROOT --tokenizer VOCAB --out DIR",
		Short: "Encode SuperGLUE tasks, others, or your own: as cloze questions for GLM, as pairs for BERT",
		Long: `Read the official files ROOT/TASK/{train,val,test}.jsonl (FewGLUE's dev32.jsonl
too; for one task also ROOT itself), encode them, and write DIR/TASK/SPLIT.arrow
with DIR/TASK/manifest.json. DIR/TASK appears whole or not at all; where it is
already there in the form asked for, nothing is done. Splits without a file are
left out. A bad line ends it, with its place; --skip-bad goes on behind. Of
several patterns each is written to a folder of its own, DIR/pattern-N/TASK.

The form masked asks a BERT the cloze question: the head of its pretraining
predicts what fills the blank, a [MASK] for each token of every answer.

VOCAB is the vocabulary of the model that will read the files, of BERT's, GPT-2's
or RoBERTa's kind; the folder of a checkpoint holds that of its model. The words
that fill a blank have to be single tokens of it.

A task of your own is declared in a YAML file: its files, fields, labels,
patterns and metrics (docs/tasks.md; docs/tasks has GLUE's). --task-file names it.

Tasks: ` + strings.Join(tasks.Names(), ", ") + `, and the
diagnostics ` + strings.Join(tasks.Diagnostics(), " and ") + `, one file ROOT/TASK/TASK.jsonl each, which models of RTE
answer; all: those that ROOT has. WSC-negative is WSC with other noun phrases to
choose from (docs/superglue.md). Tasks whose answers the model writes
(docs/generation.md): ` + strings.Join(tasks.Generation(), ", ") + `. Several stand between
spaces or commas.`,
		Example: `  glmkit prepare task all --data SuperGLUE --tokenizer vocab.txt --out cloze
  glmkit prepare task CB RTE --data SuperGLUE --tokenizer vocab.txt --form classification --out pairs
  glmkit prepare task BoolQ --data SuperGLUE --tokenizer vocab.txt --pattern 0 --max-length 384 --out boolq0
  glmkit prepare task SQuAD-QG --data SQuAD --tokenizer vocab.txt --out questions
  glmkit prepare task RTE WiC --data SuperGLUE --tokenizer vocab.txt --pattern all --out cloze
  glmkit prepare task --task-file docs/tasks/SST-2.yaml --data GLUE --tokenizer vocab.txt --out cloze`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(opts.taskFiles) > 0 {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&opts.taskFiles, "task-file", nil, "YAML `file` that declares a task (repeatable)")
	f.StringVar(&opts.data, "data", "", "`folder` of the task folders (required)")
	addTokenizerFlag(cmd, &opts.tokenizer)
	f.StringVar(&opts.form, "form", string(tasks.Cloze), "cloze (GLM), classification (BERT) or masked (BERT, at [MASK])")
	f.StringVar(&opts.out, "out", "", "`folder` to write to (required)")
	f.StringVar(&opts.pattern, "pattern", "", "cloze `pattern`, several between commas, or all (default: finetune.pattern of the configuration)")
	f.IntVar(&opts.maxLength, "max-length", 0, "tokens of a sequence at most (default: finetune.seq_length of the configuration; a built-in one is cut to model.max_positions)")
	f.BoolVar(&opts.skipBad, "skip-bad", false, "leave out bad lines and examples, count them and record them in manifest.json")
	opts.config = addConfigFlags(cmd, "")
	for _, name := range []string{"data", "out"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, names := range args { // as --task of the other commands takes them, too
			opts.tasks = append(opts.tasks, strings.Split(names, ",")...)
		}
		return runPrepareTask(cmd.Context(), s, opts)
	}
	return cmd
}

// taskJob is one task to prepare.
type taskJob struct {
	task    *tasks.Task
	source  string
	out     string
	encoder *tasks.Encoder
}

// inPatterns are the jobs, once for each pattern that is asked for.
func inPatterns(jobs []taskJob, opts *prepareTaskOptions, config *configs.Config, vocabulary tasks.Tokenizer) ([]taskJob, error) {
	var out []taskJob
	for _, job := range jobs {
		patterns, err := askedPatterns(job.task, opts.pattern)
		if err != nil {
			return nil, err
		}
		for _, pattern := range patterns {
			if job.encoder, err = newTaskEncoder(job.task, tasks.Form(opts.form), pattern, opts.maxLength, config, vocabulary); err != nil {
				return nil, err
			}
			job.encoder.SkipBad = opts.skipBad
			job.out = opts.out
			if opts.pattern == "all" || len(patterns) > 1 {
				job.out = patternFolder(opts.out, strconv.Itoa(pattern))
			}
			out = append(out, job)
		}
	}
	return out, nil
}

// askedPatterns reads --pattern; -1 is the configuration's.
func askedPatterns(task *tasks.Task, text string) (patterns []int, err error) {
	switch text {
	case "":
		return []int{-1}, nil
	case "all":
		for pattern := range task.Patterns() {
			patterns = append(patterns, pattern)
		}
		return patterns, nil
	}
	for _, number := range strings.Split(text, ",") {
		pattern, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || pattern < 0 {
			return nil, &configs.Error{Field: "--pattern", Msg: strconv.Quote(number) + " is no pattern", Hint: "a number from 0, several between commas, or all"}
		}
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	return patterns, nil
}

func runPrepareTask(ctx context.Context, s streams, opts *prepareTaskOptions) error {
	config, err := opts.config()
	if err != nil {
		return err
	}
	vocabulary, err := tokenizer.Open(opts.tokenizer)
	if err != nil {
		return err
	}
	jobs, err := taskJobs(s.err, opts)
	if err != nil {
		return err
	}
	// All of them before the first file is read: a mistake shows at once.
	if jobs, err = inPatterns(jobs, opts, config, vocabulary); err != nil {
		return err
	}
	var total int64
	for _, job := range jobs {
		total += folderBytes(job)
	}
	rows := [][]string{{"task", "split", "examples", "shortened", "longest", "tokens", "file"}}
	bar := newProgress(s.err, "tasks", "B")
	var before int64
	for _, job := range jobs {
		manifest, done, err := job.encoder.Prepare(ctx, job.source, job.out, func(split string, read int64) {
			bar.report(before+read, total, job.task.Name+" "+split)
		})
		if err != nil {
			bar.done()
			return err
		}
		before += folderBytes(job)
		bar.report(before, total, job.task.Name)
		if done {
			fmt.Fprintf(s.err, "%s is complete: nothing to do\n", filepath.Join(job.out, job.task.Name))
		}
		if length := config.CutLengthFor(job.task.Recipe()); length > 0 && opts.maxLength == 0 {
			shortened, examples := 0, 0
			for _, split := range manifest.Splits {
				shortened, examples = shortened+split.Truncated, examples+split.Examples
			}
			fmt.Fprintf(s.err, "%s: sequences of up to %d tokens, the model's positions, where the recipe has %d: %d of %d examples shortened\n", job.task.Name, config.Model.MaxPositions, length, shortened, examples)
		}
		rows = append(rows, splitRows(s.err, job.task, job.out, manifest)...)
	}
	bar.done()
	return printRows(s.out, rows)
}

// newTaskEncoder encodes a task as the flags say, or where they are silent as
// the configuration does.
func newTaskEncoder(task *tasks.Task, form tasks.Form, pattern, maxLength int, config *configs.Config, vocabulary tasks.Tokenizer) (*tasks.Encoder, error) {
	recipe := config.Finetune.For(task.Recipe())
	if pattern == -1 && form.Asks() {
		// A recipe's pattern is one of the patterns of the task it was made for.
		chosen := recipe.Pattern
		if task.PatternsOf() != task.Recipe() {
			chosen = config.Finetune.For(task.Name).Pattern
		}
		if chosen != nil {
			pattern = *chosen
		}
	}
	if maxLength == 0 {
		maxLength = recipe.SeqLength
	}
	encoder, err := task.NewEncoder(form, pattern, maxLength, vocabulary)
	if err != nil {
		return nil, err
	}
	return encoder, encoder.SetWriting(recipe.TargetLength, config.Objective.TaskMask)
}

// taskJobs finds the folders of the tasks that are asked for, each once.
func taskJobs(w io.Writer, opts *prepareTaskOptions) ([]taskJob, error) {
	var asked []*tasks.Task
	all := false
	for _, name := range opts.tasks {
		if all = all || strings.EqualFold(name, "all"); all {
			break
		}
		task, err := tasks.Get(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(asked, task) {
			asked = append(asked, task)
		}
	}
	for _, path := range opts.taskFiles {
		task, err := tasks.Open(path)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(asked, func(t *tasks.Task) bool { return strings.EqualFold(t.Name, task.Name) }) {
			return nil, &configs.Error{Path: path, Field: "task", Msg: "two task files declare " + task.Name, Hint: "a name of its own for each"}
		}
		asked = append(asked, task)
	}
	var jobs []taskJob
	if all {
		for _, name := range append(tasks.Names(), tasks.Diagnostics()...) {
			task, err := tasks.Get(name)
			if err != nil {
				return nil, err
			}
			source := filepath.Join(opts.data, name)
			switch {
			case !isFolder(source):
				fmt.Fprintf(w, "%s: no folder %s, left out\n", name, source)
			default:
				jobs = append(jobs, taskJob{task: task, source: source})
			}
		}
		if len(jobs) == 0 {
			return nil, &corpus.DataError{Path: opts.data, Err: errors.New("no folder of any task"), Hint: "the folder that holds BoolQ, CB, COPA and so on"}
		}
	}
	for _, task := range asked {
		if slices.ContainsFunc(jobs, func(j taskJob) bool { return j.task == task }) {
			continue
		}
		job := taskJob{task: task, source: filepath.Join(opts.data, task.Name)}
		if !isFolder(job.source) && len(asked) == 1 && !all && isFolder(opts.data) {
			job.source = opts.data
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// folderBytes is the size of a task's files.
func folderBytes(job taskJob) (n int64) {
	for _, split := range job.task.Splits() {
		n += job.task.SourceBytes(job.source, split)
	}
	return n
}

// splitRows is the table of a prepared task; splits that it lacks are named on w.
func splitRows(w io.Writer, task *tasks.Task, out string, m *tasks.Manifest) (rows [][]string) {
	for _, split := range task.Splits() {
		if split == "dev32" {
			continue // FewGLUE's alone
		}
		if !slices.ContainsFunc(m.Splits, func(s tasks.SplitSummary) bool { return s.Split == split }) {
			fmt.Fprintf(w, "%s: no %s, left out\n", task.Name, task.File(split))
		}
	}
	for _, s := range m.Splits {
		if n := len(s.Skipped); n > 0 {
			fmt.Fprintf(w, "%s: %d bad in %s left out, the first at line %d: %s\n", task.Name, n, s.Source, s.Skipped[0].Line, s.Skipped[0].Reason)
		}
		rows = append(rows, []string{
			task.Name, s.Split, strconv.Itoa(s.Examples), strconv.Itoa(s.Truncated), strconv.Itoa(s.Longest),
			strconv.FormatInt(s.Tokens, 10), filepath.Join(out, task.Name, s.File),
		})
	}
	return rows
}

// printRows writes a table: aligned on a terminal, else tab-separated.
func printRows(w io.Writer, rows [][]string) error {
	if !isTerminal(w) {
		for _, row := range rows {
			if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}
