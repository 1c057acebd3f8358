//go:build cgo

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
	"github.com/glmkit/glmkit/runner"
	"github.com/glmkit/glmkit/tasks"
)

func evaluate(ctx context.Context, s streams, o evalOptions) error {
	runs, err := findRuns(o.runs)
	if err != nil {
		return err
	}
	cells, err := o.answers(runs)
	if err != nil {
		return err
	}
	// Before the first model answers: a mistake shows at once.
	for i, c := range cells {
		if cells[i].labelled, err = tasks.Labelled(splitFile(c.prepared, c.task, o.split)); err != nil {
			return err
		}
	}
	note := noteTo(s)
	submitted := map[string][]tasks.Prediction{}
	var kept []string // files of answers, until the last run has answered
	for n, c := range cells {
		p := newProgress(s.err, fmt.Sprintf("eval %d/%d %s", n+1, len(cells), c.run), "examples")
		e, err := runner.Evaluate(ctx, o.checkpointOf(c.run), splitFile(c.prepared, c.task, o.split), runner.Answering{
			Device: o.device, Threads: o.threads, Precision: o.precision, Decoding: o.decoding, Shots: c.shots(o), Note: note,
			Progress: func(done, total int) { p.report(int64(done), int64(total), "") },
			Keep: func(h tasks.Header) string {
				r := &reports.Result{Task: h.Task, Split: o.split, Model: reports.Model{Name: o.modelName(c, h.Form)}, Seed: c.seed}
				kept = append(kept, reports.AnswersFile(cmp.Or(o.out, o.submission+".unfinished"), r))
				return kept[len(kept)-1]
			},
		})
		p.done()
		if errors.Is(err, context.Canceled) {
			return &interruptedError{fmt.Errorf("stopped by a signal; %d of %d runs have answered, and what the next one has is kept", n, len(cells))}
		}
		if err != nil {
			return exitForm(err)
		}
		task, err := preparedTask(c.prepared, c.task)
		if err != nil {
			return err
		}
		r := c.result(e, task, o)
		if o.out != "" {
			if err := reports.WriteResult(o.out, r, e.Predictions); err != nil {
				return err
			}
		}
		submitted[c.task] = e.Predictions
		if err := writeAnswered(s.out, r, e, c, o); err != nil {
			return err
		}
		if o.errors > 0 && c.labelled && !task.Writes() {
			if err := writeMistakes(s.out, task.Mistakes(e.Predictions), len(e.Predictions), o.errors); err != nil {
				return err
			}
		}
	}
	if o.submission != "" {
		if err := submit(s, o.submission, submitted); err != nil {
			return err
		}
	}
	for _, path := range kept {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if o.out == "" {
		os.Remove(filepath.Dir(kept[0])) // unless answers of something else stand there
	}
	return nil
}

// writeAnswered is a line on what an evaluation came to.
func writeAnswered(w io.Writer, r *reports.Result, e *runner.Evaluation, c evaluation, o evalOptions) error {
	line := fmt.Sprintf("%s seed %d %s:", r.Model.Name, r.Seed, r.Task)
	for _, m := range r.Metrics {
		line += fmt.Sprintf(" %s %.1f", m.Name, m.Value)
	}
	if !c.labelled {
		line += fmt.Sprintf(" %d predictions, not scored: the split %s has no right answers", r.Examples, o.split)
	}
	if e.Fewer > 0 {
		line += fmt.Sprintf(" (%d of %d had room for fewer than %d examples)", e.Fewer, r.Examples, o.shots)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// evaluation is a run, the task that it is to answer, and the folder of the prepared
// task: that of the run's pattern, where there are several.
type evaluation struct {
	run, task, prepared string
	state               runner.State
	seed                uint64 // of the result
	labelled            bool
}

// answers gives every run its own task or, where some are named, those that its model
// answers. A pretrained run answers all tasks that there are.
func (o evalOptions) answers(runs []string) (cells []evaluation, err error) {
	trainedOn := map[string]string{} // by a named task, what answers it was finetuned on
	for _, run := range runs {
		st, err := runner.ReadState(run)
		if err != nil {
			return nil, err
		}
		if st.Task == "" {
			untrained, err := o.untrained(run, st)
			if err != nil {
				return nil, err
			}
			cells = append(cells, untrained...)
			continue
		}
		asked := o.tasks
		if len(asked) == 0 {
			asked = []string{st.Task}
		}
		for _, name := range asked {
			c := evaluation{run: run, task: name, state: st, seed: st.Seed, prepared: o.prepared}
			if st.Pattern != nil && !fileExists(filepath.Join(o.prepared, name)) {
				if folder := patternFolder(o.prepared, strconv.Itoa(*st.Pattern)); fileExists(folder) {
					c.prepared = folder
				}
			}
			if len(o.tasks) > 0 {
				task, err := preparedTask(c.prepared, name)
				if err != nil {
					return nil, err
				}
				if trainedOn[name] = task.TrainedOn(); trainedOn[name] != st.Task {
					continue
				}
			}
			cells = append(cells, c)
			if o.submission != "" && len(o.tasks) == 0 {
				cells = append(cells, c.diagnostics(o.split)...)
			}
		}
	}
	for _, name := range o.tasks {
		if !slices.ContainsFunc(cells, func(c evaluation) bool { return c.task == name }) {
			return nil, &configs.Error{
				Field: "--task",
				Msg:   fmt.Sprintf("%s is put to models finetuned on %s, and none of these %d runs is one", name, trainedOn[name], len(runs)),
				Hint:  "glmkit train finetune --task " + trainedOn[name],
			}
		}
	}
	return cells, o.single(cells)
}

// untrained are the tasks that a pretrained run answers, once for each draw of
// examples.
func (o evalOptions) untrained(run string, st runner.State) (cells []evaluation, err error) {
	names, err := preparedTasks(o.prepared, o.split, o.tasks)
	if err != nil {
		return nil, err
	}
	seeds := []uint64{st.Seed}
	if o.shots > 0 {
		seeds = o.seeds
	}
	for _, name := range names {
		for _, seed := range seeds {
			cells = append(cells, evaluation{run: run, task: name, state: st, seed: seed, prepared: o.prepared})
		}
	}
	return cells, nil
}

// diagnostics are those that the models of the run's task answer too.
func (c evaluation) diagnostics(split string) (cells []evaluation) {
	for _, name := range tasks.Diagnostics() {
		task, err := tasks.Get(name)
		if err == nil && task.TrainedOn() == c.state.Task && fileExists(splitFile(c.prepared, name, split)) {
			c.task = name
			cells = append(cells, c)
		}
	}
	return cells
}

// single makes sure that no two evaluations would write the same result, nor into one
// file of a submission.
func (o evalOptions) single(cells []evaluation) error {
	type model struct {
		task string
		seed uint64
	}
	seen := map[model]string{}
	of := map[string]evaluation{}
	for _, c := range cells {
		if other, twice := seen[model{c.task, c.seed}]; twice {
			return &configs.Error{Field: c.run, Msg: fmt.Sprintf("is a second run of %s with seed %d, beside %s", c.task, c.seed, other), Hint: "name one of them; a finished grid chooses by itself"}
		}
		seen[model{c.task, c.seed}] = c.run
		if o.submission == "" {
			continue
		}
		as, err := tasks.SubmittedAs(c.task)
		if err != nil {
			return err
		}
		if other, twice := of[as]; twice {
			return &configs.Error{Field: "--submission", Msg: fmt.Sprintf("%s is answered by %s and by %s, and a submission holds the answers of one", as, other.run, c.run), Hint: "name the runs, as in " + filepath.Dir(filepath.Dir(c.run)) + "/*/" + filepath.Base(c.run)}
		}
		of[as] = c
	}
	return nil
}

// shots are the examples that stand before each question: drawn with the seed of
// the result, for a finetuned run its own.
func (c evaluation) shots(o evalOptions) runner.Shots {
	if o.shots == 0 {
		return runner.Shots{}
	}
	from := c.task
	if task, err := preparedTask(c.prepared, c.task); err == nil {
		from = task.TrainedOn()
	}
	return runner.Shots{Count: o.shots, Seed: c.seed, File: splitFile(c.prepared, from, "train")}
}

// result is the file that an evaluation becomes.
func (c evaluation) result(e *runner.Evaluation, task *tasks.Task, o evalOptions) *reports.Result {
	r := &reports.Result{
		Task: e.Header.Task, Split: o.split, Metrics: []tasks.Metric{}, Examples: len(e.Predictions),
		Model: reports.Model{Name: o.modelName(c, e.Header.Form), Architecture: e.State.Model.Architecture, Parameters: e.Parameters, Form: e.Header.Form, Pattern: e.Header.Pattern},
		Seed:  c.seed, Shots: o.shots, CheckpointSHA256: e.Weights, DataSHA256: e.Data, TokenizerHash: e.State.Tokenizer,
		Steps: int64(e.State.Step + e.State.PretrainedSteps), Tokens: e.State.Tokens + e.State.PretrainedTokens,
		Decoding: e.Decoding, WallSeconds: e.Seconds, Date: time.Now().UTC().Truncate(time.Second), Glmkit: versionString(),
		Device: e.Device, Precision: e.Precision, Libtorch: e.Libtorch, Unlabelled: !c.labelled,
	}
	if c.labelled {
		r.Metrics = task.Score(e.Predictions)
	}
	return r
}

// modelName is the row of tables: how a model was asked makes it another one. The
// forms that are not a model's own are the ablations of the paper.
func (o evalOptions) modelName(c evaluation, form tasks.Form) string {
	if o.name != "" {
		return o.name
	}
	name := strings.ToUpper(c.state.Model.Architecture)
	switch {
	case form == tasks.Masked:
		name += " cloze"
	case form == tasks.Classification && c.state.Model.Architecture == "glm":
		name += " CLS"
	}
	switch {
	case o.shots > 0:
		name += fmt.Sprintf(" %d-shot", o.shots)
	case c.state.Task == "":
		name += " zero-shot"
	}
	return name
}

// findRuns lists the runs at or below the given directories; of a grid, those
// of the cell that it chose. What holds none may be weights that others wrote.
func findRuns(paths []string) ([]string, error) {
	var runs []string
	for _, path := range paths {
		before := len(runs)
		chosen := map[string]string{} // the cell of a grid's folder
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if runner.IsRun(p) {
				runs = append(runs, p)
				return fs.SkipDir
			}
			if cell, ok := chosen[filepath.Dir(p)]; ok && d.Name() != cell {
				return fs.SkipDir
			}
			grid, err := reports.ReadGrid(p)
			if grid != nil {
				chosen[p] = grid.Chosen
			}
			return err
		})
		if err != nil {
			return nil, noRuns(path, err)
		}
		if len(runs) == before {
			runs = append(runs, path)
		}
	}
	slices.Sort(runs)
	return slices.Compact(runs), nil
}
