//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// microBatch is what one forward and backward pass takes.
type microBatch interface {
	// loss is summed over what weight counts, and of a mixture of objectives also
	// over the targets of each.
	loss(s *torch.Scope, m *model) (sum torch.Tensor, of objectiveSums)
	weight() float64
	tokens() int // read by the model, padding left out
	shape() (sequences, length int)
	flops(c configs.Model) float64 // of forward and backward
	// outputs is how many positions reach the vocabulary, and of how many words
	// they get the scores.
	outputs(c configs.Model) (rows, words int)
}

// source yields the micro-batches of an optimizer step, counted from 1. It is a
// function of the step alone, so that a resumed run sees what it would have.
type source interface {
	step(n int) ([]microBatch, error)
}

// maxSkipped is the number of steps in a row with a gradient that is not finite
// after which a run stops: the weights no longer recover by themselves.
const maxSkipped = 5

// Interrupted says that a run was stopped by its context after its state was
// saved. It unwraps to context.Canceled.
type Interrupted struct{ Step int }

func (e *Interrupted) Error() string {
	if e.Step == 0 {
		return "interrupted before the first step"
	}
	return fmt.Sprintf("interrupted; saved at step %d", e.Step)
}

func (e *Interrupted) Unwrap() error { return context.Canceled }

// session is a run in progress: the model and all that a checkpoint keeps.
type session struct {
	dir       string
	config    configs.Train
	optimizer *optimizer
	model     *model
	state     State
	// Written into every checkpoint beside the weights.
	configYAML []byte
	vocabulary map[string][]byte // its files, by name

	release      func() // gives the run's directory back
	ranks        *Ranks
	source       source
	hooks        []hook
	skippedInRow int
	saved        int // step of the newest checkpoint; 0: there is none
	ended        bool
	pace         pace
	hours        func() float64 // of training, all sittings together; nil: not measured
}

// finished tells whether the run is at its end, by steps, tokens or time.
func (r *session) finished() bool {
	c := r.config
	return r.state.Step >= r.state.TotalSteps ||
		c.MaxTokens > 0 && r.state.Tokens >= c.MaxTokens ||
		c.MaxHours > 0 && r.hours != nil && r.hours() >= c.MaxHours
}

// train runs the steps that are left, from the state's step to its total. It
// runs on the tensor thread.
func (r *session) train(ctx context.Context) error {
	// A signal does not end the batches: a step that the ranks have agreed to
	// begin is one that each of them must take.
	ahead, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	next := prefetch(ahead, r.source, r.state.Step+1, r.state.TotalSteps)
	ended, err := r.ranks.any(r.finished())
	if err != nil {
		return err
	}
	for r.ended = ended; !r.ended; {
		step, began, exchanged := r.state.Step+1, time.Now(), r.ranks.exchanging()
		micros, err := next()
		waited := time.Since(began)
		if err != nil {
			err = fmt.Errorf("step %d: %w", step, err)
			if r.ranks == nil { // the others may have their data, and go on
				err = errors.Join(err, r.saveNew())
			}
			return err
		}
		if stop, err := r.ranks.any(ctx.Err() != nil); err != nil {
			return err
		} else if stop {
			return r.interrupt()
		}
		info, err := r.update(step, micros)
		if err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		r.pace.take(&info, r.model.config, micros, began, waited, r.ranks.exchanging()-exchanged)
		for _, h := range r.hooks {
			if err := h.after(&info); err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return r.interrupt()
			} else if err != nil {
				return fmt.Errorf("%s at step %d: %w", h.name, step, err)
			}
		}
	}
	return nil
}

// update is one optimizer step: every micro-batch weighs by its targets, so
// the split into micro-batches, and over ranks, does not change the gradient.
func (r *session) update(step int, micros []microBatch) (StepInfo, error) {
	info := StepInfo{Step: step, Total: r.state.TotalSteps, LR: learningRate(r.optimizer.config.LR, r.config.Schedule, step, r.state.TotalSteps)}
	total, tokens := 0.0, 0
	for _, b := range micros {
		total += b.weight()
		tokens += b.tokens()
	}
	if total == 0 {
		return info, errors.New("the batch has nothing to predict")
	}
	r.model.mode.training = true
	last := -1 // of this rank's micro-batches: some ranks may have none
	for i := range micros {
		if r.ranks.mine(i) {
			last = i
		}
	}
	losses := make([]float64, len(micros)) // zero where another rank has the micro-batch
	var by perObjective
	for i, b := range micros {
		if !r.ranks.mine(i) {
			continue
		}
		if i == last {
			r.optimizer.reduceSoon()
		}
		var err error
		if losses[i], err = r.backward(b, total, mix(r.state.Seed, streamDropout, uint64(step), uint64(i)), &by); err != nil {
			return info, r.memoryAdvice(b, err)
		}
	}
	s := torch.NewScope()
	defer s.Close()
	norm, taken, err := r.optimizer.step(s, info.LR, r.state.Updates+1)
	if err != nil {
		return info, err
	}
	r.state.Step = step
	r.state.Tokens += int64(tokens)
	if r.ended, err = r.ranks.any(r.finished()); err != nil {
		return info, err
	}
	// One exchange for all that is summed.
	sums := append(losses, by.values()...)
	if err := r.ranks.sum(sums); err != nil {
		return info, err
	}
	for _, loss := range sums[:len(micros)] {
		info.Loss += loss
	}
	info.by.set(sums[len(micros):])
	info.LossBy = info.by.means()
	info.GradNorm, info.Tokens = norm, r.state.Tokens
	return info, r.count(taken, info.LR)
}

// backward adds the gradient of a micro-batch's share of the mean loss over
// total weights, and returns that share; by takes the loss of each objective.
func (r *session) backward(b microBatch, total float64, dropout uint64, by *perObjective) (float64, error) {
	if err := torch.Seed(dropout); err != nil {
		return 0, err
	}
	s := torch.NewScope()
	defer s.Close()
	sum, of := b.loss(s, r.model)
	loss := s.Scale(sum, 1/total)
	s.Backward(loss)
	by.add(s, of)
	return s.Item(loss), s.Err()
}

// count books whether a step changed the weights.
func (r *session) count(taken bool, lr float64) error {
	if taken {
		r.state.Updates++
		r.skippedInRow = 0
		return nil
	}
	r.state.Skipped++
	if r.skippedInRow++; r.skippedInRow < maxSkipped {
		return nil
	}
	return fmt.Errorf("the gradient was not finite %d times in a row; lower train.optimizer.lr (now %g) or lengthen train.schedule.warmup, and start again from %s",
		r.skippedInRow, lr, filepath.Join(r.dir, latestFile))
}

// save writes a checkpoint: rank 0 does, and the others hand it their moments.
func (r *session) save() error {
	r.saved = r.state.Step
	if !r.ranks.Leads() {
		return r.optimizer.serveMoments()
	}
	err := saveCheckpoint(r.dir, r.model, r.optimizer, r.state, r.configYAML, r.vocabulary, r.config.KeepLast)
	return errors.Join(err, r.optimizer.endMoments(err == nil))
}

// saveNew writes a checkpoint where the step has none yet.
func (r *session) saveNew() error {
	if r.saved == r.state.Step {
		return nil
	}
	return r.save()
}

func (r *session) interrupt() error {
	if err := r.saveNew(); err != nil {
		return fmt.Errorf("saving after the interrupt: %w", err)
	}
	return &Interrupted{Step: r.state.Step}
}

// prefetch makes the steps' batches ahead on another goroutine while libtorch
// computes. The returned function yields them in order.
func prefetch(ctx context.Context, src source, from, to int) func() ([]microBatch, error) {
	type made struct {
		micros []microBatch
		err    error
	}
	ahead := make(chan made, 4)
	go func() {
		defer close(ahead)
		for n := from; n <= to; n++ {
			micros, err := src.step(n)
			select {
			case ahead <- made{micros, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return func() ([]microBatch, error) {
		m, ok := <-ahead
		if !ok {
			return nil, context.Canceled
		}
		return m.micros, m.err
	}
}
