//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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

// finished tells whether the run is at its end, by steps, tokens or time. However
// little time it has, it takes one step: a run ends with a checkpoint.
func (r *session) finished() bool {
	c := r.config
	return r.state.Step >= r.state.TotalSteps ||
		c.MaxTokens > 0 && r.state.Tokens >= c.MaxTokens ||
		c.MaxHours > 0 && r.state.Step > 0 && r.hours != nil && r.hours() >= c.MaxHours
}

// underway is a step that has begun.
type underway struct {
	info    StepInfo
	reading *torch.Reading // of what the device decided; nil: the host did, and info has it
	taken   bool           // where the host decided: whether the weights changed
	micros  []microBatch
	began   time.Time     // when its micro-batches were asked for
	waited  time.Duration // until they came
	// exchanged is how long this rank waited for the others.
	exchanged time.Duration
}

// train runs the steps that are left, from the state's step to its total. It
// runs on the tensor thread. Where the device decides about a step, the next one
// is begun before its figures are read, so that the device never waits; but not
// where a hook is to see the model as it is.
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
	var before *underway // the step whose figures are still to be read
	defer func() {
		if before != nil {
			before.reading.Drop()
		}
	}()
	catchUp := func() error {
		if before == nil {
			return nil
		}
		return r.finish(ctx, before)
	}
	for r.ended = ended; !r.ended; {
		step, began, exchanged := r.state.Step+1, time.Now(), r.ranks.exchanging()
		micros, err := next()
		waited := time.Since(began)
		if err != nil {
			err = fmt.Errorf("step %d: %w", step, err)
			if r.ranks == nil { // the others may have their data, and go on
				err = errors.Join(err, catchUp(), r.saveNew())
			}
			return err
		}
		if stop, err := r.ranks.any(ctx.Err() != nil); err != nil {
			return err
		} else if stop {
			if err := catchUp(); err != nil {
				return err
			}
			return r.interrupt()
		}
		now, ended, err := r.begin(step, micros)
		if err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		now.began, now.waited, now.exchanged = began, waited, r.ranks.exchanging()-exchanged
		late := before
		if before = now; late != nil {
			if err := r.finish(ctx, late); err != nil {
				return err
			}
		}
		if r.ended = ended; ended || now.reading == nil || r.anyDue(step) {
			before = nil
			if err := r.finish(ctx, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// anyDue tells whether a hook runs before the step after this one.
func (r *session) anyDue(step int) bool {
	return slices.ContainsFunc(r.hooks, func(h hook) bool { return h.due != nil && h.due(step) })
}

// finish books a step and runs the hooks.
func (r *session) finish(ctx context.Context, u *underway) error {
	if err := r.tally(u); err != nil {
		return fmt.Errorf("step %d: %w", u.info.Step, err)
	}
	r.pace.take(&u.info, r.model.config, u.micros, u.began, u.waited, u.exchanged)
	defer r.pace.resume()
	for _, h := range r.hooks {
		if h.due != nil && !h.due(u.info.Step) {
			continue
		}
		if err := h.after(&u.info); err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return r.interrupt()
		} else if err != nil {
			return fmt.Errorf("%s at step %d: %w", h.name, u.info.Step, err)
		}
	}
	return nil
}

// begin is one optimizer step but for its figures: every micro-batch weighs by its
// targets, so the split into micro-batches, and over ranks, does not change the
// gradient. ended tells whether the run is at its end.
func (r *session) begin(step int, micros []microBatch) (u *underway, ended bool, err error) {
	u = &underway{micros: micros, info: StepInfo{Step: step, Total: r.state.TotalSteps, LR: learningRate(r.optimizer.config.LR, r.config.Schedule, step, r.state.TotalSteps)}}
	total, tokens := 0.0, 0
	for _, b := range micros {
		total += b.weight()
		tokens += b.tokens()
	}
	if total == 0 {
		return u, false, errors.New("the batch has nothing to predict")
	}
	r.model.mode.training = true
	if r.optimizer.book.Defined() {
		err = r.beginThere(u, total)
	} else {
		err = r.beginHere(u, total)
	}
	if err != nil {
		return u, false, err
	}
	r.state.Step = step
	r.state.Tokens += int64(tokens)
	u.info.Tokens = r.state.Tokens
	ended, err = r.ranks.any(r.finished())
	return u, ended, err
}

// beginHere is begin where the host decides: it knows all at the end.
func (r *session) beginHere(u *underway, total float64) error {
	last := -1 // of this rank's micro-batches: some ranks may have none
	for i := range u.micros {
		if r.ranks.mine(i) {
			last = i
		}
	}
	losses := make([]float64, len(u.micros)) // zero where another rank has the micro-batch
	var by perObjective
	for i, b := range u.micros {
		if !r.ranks.mine(i) {
			continue
		}
		if i == last {
			r.optimizer.reduceSoon()
		}
		s := torch.NewScope()
		loss, of := r.backward(s, b, total, r.dropout(u, i))
		by.add(s, of)
		losses[i] = s.Item(loss)
		err := s.Err()
		s.Close()
		if err != nil {
			return r.memoryAdvice(b, err)
		}
	}
	s := torch.NewScope()
	defer s.Close()
	var err error
	if u.info.GradNorm, u.taken, err = r.optimizer.step(s, u.info.LR, r.state.Updates+1); err != nil {
		return err
	}
	// One exchange for all that is summed.
	sums := append(losses, by.values()...)
	if err := r.ranks.sum(sums); err != nil {
		return err
	}
	for _, loss := range sums[:len(u.micros)] {
		u.info.Loss += loss
	}
	u.info.by.set(sums[len(u.micros):])
	u.info.LossBy = u.info.by.means()
	return nil
}

// beginThere is begin where the device decides: the host only says what to do. The
// losses of objectives are left out.
func (r *session) beginThere(u *underway, total float64) (err error) {
	s := torch.NewScope()
	defer s.Close()
	var sum torch.Tensor
	for i, b := range u.micros {
		loss := s.Within(func(s *torch.Scope) torch.Tensor {
			loss, _ := r.backward(s, b, total, r.dropout(u, i))
			return loss
		})
		if sum.Defined() {
			loss = s.Add(sum, loss)
		}
		if sum = loss; s.Err() != nil {
			return r.memoryAdvice(b, s.Err())
		}
	}
	u.reading, err = r.optimizer.stepThere(s, sum, u.info.LR)
	return err
}

// dropout is what a step's i-th micro-batch draws its dropout from.
func (r *session) dropout(u *underway, i int) uint64 {
	return mix(r.state.Seed, streamDropout, uint64(u.info.Step), uint64(i))
}

// backward adds the gradient of a micro-batch to those before it, as a share of the
// mean loss over total weights. It returns that share, and the summed losses of its
// objectives.
func (r *session) backward(s *torch.Scope, b microBatch, total float64, dropout uint64) (loss torch.Tensor, of objectiveSums) {
	s.Seed(dropout)
	sum, of := b.loss(s, r.model)
	loss = s.Scale(sum, 1/total)
	s.Backward(r.optimizer.scaled(s, loss))
	r.model.rewind(s)
	return loss, of
}

// tally waits for a step's figures, where the device has them, and books whether
// the step was taken.
func (r *session) tally(u *underway) error {
	if u.reading == nil {
		return r.count(u.taken, u.info.LR, 1)
	}
	f, err := u.reading.Wait()
	if err != nil {
		return err
	}
	u.info.Loss, u.info.GradNorm = f.Loss, f.Norm
	if r.optimizer.window > 0 {
		r.state.LossScale, r.state.CleanSteps = f.Book.Scale, int(f.Book.Clean)
	}
	return r.count(f.Finite, u.info.LR, f.Scale)
}

// count books whether a step, whose loss was multiplied by scale, changed the
// weights.
func (r *session) count(taken bool, lr, scale float64) error {
	if taken {
		r.state.Updates++
		r.skippedInRow = 0
		return nil
	}
	r.state.Skipped++
	if scale > 1 { // too large a scale is no sign of a lost run: it has been halved
		return nil
	}
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
