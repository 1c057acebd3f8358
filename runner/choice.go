//go:build cgo

package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

// choiceFile lies in the directory of a finetuning run.
const choiceFile = "choice.json"

// Choice is which epoch of a finetuning run is the best and what all of them
// had: the content of its choice.json.
type Choice struct {
	Split  string  `json:"split"`  // the dev split
	Metric string  `json:"metric"` // decides; of equal epochs the earliest is the best
	Best   Epoch   `json:"best"`
	Epochs []Epoch `json:"epochs"`
}

// Epoch is what a model had on the dev split behind an epoch of finetuning.
type Epoch struct {
	Epoch   float64        `json:"epoch"` // whole but for the last one of a run that max_steps ends
	Step    int            `json:"step"`
	Value   float64        `json:"value"` // of the metric that decides
	Metrics []tasks.Metric `json:"metrics"`
}

// ReadChoice reads the choice of a run's directory. It is a corpus.DataError
// where the run made none.
func ReadChoice(run string) (Choice, error) {
	path := filepath.Join(run, choiceFile)
	var c Choice
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, &corpus.DataError{Path: path, Err: err, Hint: "the directory of a run of glmkit train finetune --dev"}
	}
	return c, nil
}

// chooser scores the model on a dev split at the end of every epoch.
type chooser struct {
	task     *tasks.Task
	split    *tasks.Split
	data     string // identity of the split's file
	path     string // of the record
	perEpoch int    // steps
	record   Choice
}

// newChooser opens a dev split for a run that trains on files like trained; nil
// where there is none.
func newChooser(devFile, run string, trained tasks.Header) (*chooser, error) {
	if devFile == "" {
		return nil, nil
	}
	if err := tasks.CheckScorable(devFile); err != nil {
		return nil, err
	}
	task, err := tasks.Prepared(filepath.Dir(devFile))
	if err != nil {
		return nil, err
	}
	if task.Writes() {
		return nil, &configs.Error{Field: "--dev", Msg: "no epoch is chosen by what the model writes, as " + task.Name + " asks for", Hint: "leave it out"}
	}
	c := &chooser{task: task, path: filepath.Join(run, choiceFile)}
	if c.split, err = tasks.OpenSplit(devFile); err != nil {
		return nil, err
	}
	if h := c.split.Header; h.Task != trained.Task || h.Form != trained.Form || h.Pattern != trained.Pattern {
		return nil, &configs.Error{Field: devFile, Msg: fmt.Sprintf("is %s in the form %s, pattern %d, not what the run trains on", h.Task, h.Form, h.Pattern), Hint: "the dev split prepared with the training split"}
	}
	c.record.Split = strings.TrimSuffix(filepath.Base(devFile), filepath.Ext(devFile))
	c.record.Metric = task.ChoosingMetric()
	c.data, err = hashFile(devFile)
	return c, err
}

// join makes the choice a part of a session that may have begun before: what was
// recorded behind its step is measured again, and what an interruption kept from
// being measured at its step is measured now.
func (c *chooser) join(ctx context.Context, r *session, perEpoch int) error {
	c.perEpoch = perEpoch
	old, err := ReadChoice(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Rank 0 writes the record again only when all have read it.
	if _, err := r.ranks.any(false); err != nil {
		return err
	}
	for _, e := range old.Epochs {
		if e.Step <= r.state.Step {
			c.add(e)
		}
	}
	saved, last := r.state.Best, r.state.Step >= r.state.TotalSteps
	if n := len(c.record.Epochs); r.state.Step > 0 && c.due(r.state.Step, last) && (n == 0 || c.record.Epochs[n-1].Step < r.state.Step) {
		if err := c.measure(ctx, r, &StepInfo{Step: r.state.Step}); errors.Is(err, context.Canceled) {
			return &Interrupted{Step: r.state.Step}
		} else if err != nil {
			return err
		}
	}
	// The checkpoint does not know of an epoch that was measured now, or before a
	// kill that came between the record and the checkpoint.
	if best := c.best(); best != nil && (saved == nil || *saved != *best) {
		r.state.Best = best
		if err := r.save(); err != nil {
			return err
		}
	}
	now := func(step int) bool { return c.due(step, r.ended) }
	r.hooks = append(r.hooks, hook{name: "choosing", due: now, after: func(i *StepInfo) error { return c.measure(ctx, r, i) }})
	return nil
}

// due tells whether a step is the end of an epoch, or of the run.
func (c *chooser) due(step int, last bool) bool { return last || step%c.perEpoch == 0 }

// add records an epoch; it becomes the best only where it is better than all
// before it.
func (c *chooser) add(e Epoch) {
	if len(c.record.Epochs) == 0 || e.Value > c.record.Best.Value {
		c.record.Best = e
	}
	c.record.Epochs = append(c.record.Epochs, e)
}

// best is what the run's state says of the best epoch; nil: there is none yet.
func (c *chooser) best() *Best {
	if len(c.record.Epochs) == 0 {
		return nil
	}
	return &Best{Step: c.record.Best.Step, Value: c.record.Best.Value}
}

// measure scores the dev split and writes the record down. Of several ranks, 0
// does and tells the others; a signal then waits for the next step, which all of
// them do not begin.
func (c *chooser) measure(ctx context.Context, r *session, i *StepInfo) error {
	var text []byte
	if r.ranks.Leads() {
		if r.ranks != nil {
			ctx = context.WithoutCancel(ctx)
		}
		e, err := c.scored(ctx, r, i.Step)
		if err != nil {
			return err
		}
		if text, err = json.Marshal(e); err != nil {
			return err
		}
	}
	told, err := r.ranks.hear(string(text))
	if err != nil {
		return err
	}
	var e Epoch
	if err := json.Unmarshal([]byte(told), &e); err != nil {
		return err
	}
	c.add(e)
	i.Dev = e.Metrics
	r.state.Best = c.best()
	if !r.ranks.Leads() {
		return nil
	}
	if text, err = json.MarshalIndent(c.record, "", "  "); err != nil {
		return err
	}
	return writeWhole(c.path, append(text, '\n'))
}

// scored is what the model has on the dev split.
func (c *chooser) scored(ctx context.Context, r *session, step int) (Epoch, error) {
	scores, err := score(ctx, r.model, r.state.numbered(c.split.Examples))
	if err != nil {
		return Epoch{}, err
	}
	predictions := make([]tasks.Prediction, len(scores))
	for n, e := range c.split.Examples {
		predictions[n] = tasks.Predict(e, scores[n])
	}
	e := Epoch{Epoch: float64(step) / float64(c.perEpoch), Step: step, Metrics: c.task.Score(predictions)}
	for _, m := range e.Metrics {
		if m.Name == c.record.Metric {
			e.Value = m.Value
		}
	}
	return e, nil
}
