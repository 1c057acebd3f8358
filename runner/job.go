//go:build cgo

package runner

import (
	"context"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// job is a run before it begins: what its files and its configuration come to.
// Nothing is written and no tensor made for it. Close it.
type job struct {
	config     *configs.Config // with what data and weights decided
	identity   State
	vocabulary map[string][]byte // its files, which checkpoints keep
	source     counted
	weights    *origin // to start from; nil: drawn ones

	windows, held *windowSource // pretraining's; held, to validate on, may be nil
	examples      *exampleSource
	header        tasks.Header // of the examples
	chooser       *chooser     // of the epoch; nil: none

	close func()
}

// run trains, from the newest checkpoint of the run's directory if it has one.
func (j *job) run(ctx context.Context, o Options) (State, error) {
	return o.Ranks.train(o.Out, func() (State, error) {
		r, err := openSession(j.config, j.identity, o, j.vocabulary, func(m *model) error { return j.start(m, o.Note) })
		if err != nil {
			return State{}, err
		}
		defer r.close()
		if j.chooser != nil {
			if err := j.chooser.join(ctx, r, j.examples.perEpoch); err != nil {
				return r.state, err
			}
		}
		var measure func() (validation, error)
		if j.held != nil {
			measure = func() (validation, error) { return heldOutLoss(r.model, j.held, j.config.Train, o.Ranks) }
		}
		err = r.run(ctx, j.source, measure, o)
		return r.state, err
	})
}

// start gives a new model the weights that the run begins with.
func (j *job) start(m *model, note func(string)) error {
	seed := j.identity.Seed
	if j.weights == nil {
		return m.params.draw(seed, 0)
	}
	if err := j.weights.start(m, seed, note); err != nil {
		return err
	}
	if j.identity.Classifier > 0 {
		return m.addClassifier(j.identity.Classifier, seed)
	}
	return nil
}
