//go:build cgo

package runner

import (
	"context"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// Plan is what a run would do, found out from its files and its configuration.
type Plan struct {
	Config     *configs.Config // of the run; a finetuning's recipe is its train section
	Task       string          // of a finetuning
	Seed       uint64
	Model      configs.Model
	Parameters int64
	Weights    []string // what there is to know of the weights started from; none: drawn ones

	Device    string
	Threads   int // of CPU operations
	Processes int
	// Precision and Attention are what compute.* comes to.
	Precision, Attention string

	Checkpoint string // to go on from; empty: from the beginning
	Done       int    // steps done by then
	Steps      int    // of the whole run
	Finished   bool   // by steps or tokens
	Schedule   Schedule

	Items int64 // windows, or examples, that there are
	Used  int64 // that all steps take
	Batch Survey
	// Tokens are those of all steps, by the steps that were surveyed.
	Tokens float64
	// ValidWindows are those held out to validate on; 0: there are none.
	ValidWindows int64
	Memory       Memory

	// Windows and Examples are the first batch to be trained: the one in
	// pretraining, the other in finetuning.
	Windows  []Drawn
	Examples []tasks.Encoded
	// Vocabulary spells tokens; nil where none came with the weights. Special are
	// its special tokens.
	Vocabulary tokenizer.Tokenizer
	Special    spans.Special
}

// Schedule is where the learning rate of a run goes.
type Schedule struct {
	Peak   float64
	Warmup int     // step that reaches the peak
	Decay  int     // step that reaches Final, which may be behind the run's end
	Final  float64 // the rate there
	Last   float64 // the rate of the run's last step
}

// Survey is what the first batches that a run would train on look like.
type Survey struct {
	Items     int     // windows or examples of a whole batch
	Steps     int     // that were laid out
	Tokens    float64 // of a whole batch, padding left out
	Targets   float64 // its positions whose prediction counts
	Padding   float64 // share of what the model computes
	Micros    int     // micro-batches of the first of the steps
	Sequences int     // of the micro-batch that takes the most memory
	Length    int     // its tokens, padding included
}

// surveyed bounds the sequences that are laid out for a survey: a second's work
// at most.
const surveyed = 8192

// PlanPretrain says what Pretrain would do in one of the processes of a place. It
// fails where Pretrain would fail before its first step, and writes nothing.
func PlanPretrain(ctx context.Context, c *configs.Config, data, valid string, place Place, o Options) (*Plan, error) {
	o.Ranks = place.planned()
	j, err := pretraining(c, data, valid, o)
	if err != nil {
		return nil, err
	}
	defer j.close()
	w := j.windows
	p := &Plan{Items: w.set.Len(), Vocabulary: w.vocabulary, Special: w.vocabulary.Special()}
	if j.held != nil {
		p.ValidWindows = j.held.set.Len()
	}
	p.Batch.Items = c.Train.BatchSize
	_, p.Used = w.batch(c.Train.Steps)
	if err := p.settle(ctx, j, o); err != nil {
		return nil, err
	}
	first, end := w.batch(p.next())
	for i := first; i < end; i++ {
		d, err := w.draw(i)
		if err != nil {
			return nil, err
		}
		p.Windows = append(p.Windows, d)
	}
	return p, nil
}

// PlanFinetune says what Finetune would do, as PlanPretrain does of Pretrain.
func PlanFinetune(ctx context.Context, c *configs.Config, from, trainFile string, seed uint64, place Place, o Options) (*Plan, error) {
	o.Ranks = place.planned()
	j, err := finetuning(c, from, trainFile, seed, o)
	if err != nil {
		return nil, err
	}
	defer j.close()
	x := j.examples
	p := &Plan{Task: j.identity.Task, Items: int64(len(x.examples)), Special: j.header.Special}
	if j.weights.vocabularyAt != "" {
		// What cannot be read would not keep the run from training.
		if v, err := tokenizer.Open(j.weights.vocabularyAt); err == nil {
			p.Vocabulary = v
		}
	}
	p.Batch.Items = min(x.size, len(x.examples))
	steps := j.identity.TotalSteps
	p.Used = int64(steps/x.perEpoch*len(x.examples) + steps%x.perEpoch*x.size)
	if err := p.settle(ctx, j, o); err != nil {
		return nil, err
	}
	p.Examples = x.batch(p.next())
	return p, nil
}

// planned stands for the processes of a place, which do not meet for a plan.
func (p Place) planned() *Ranks {
	if p.Size <= 1 {
		return nil
	}
	return &Ranks{place: p}
}

// settle finds out under what conditions a job would run, from where to where,
// and what its first batches take.
func (p *Plan) settle(ctx context.Context, j *job, o Options) error {
	p.Config, p.Seed, p.Processes = j.config, j.identity.Seed, o.Ranks.size()
	if err := claimable(o.Out); err != nil {
		return err
	}
	r := &session{dir: o.Out, config: j.config.Train, state: j.identity}
	var found settled
	err := torch.Do(func() error {
		device, err := placed(o.Ranks, o)
		if err != nil {
			return err
		}
		p.Device, p.Threads = device.String(), torch.Threads()
		if found, err = r.settle(j.config, device, nil); err != nil || device != torch.CPU {
			return err
		}
		// With the buffers that libtorch takes for its first product.
		if _, err := productSpeed(found.product(), device, 0); err != nil {
			return err
		}
		p.Memory.Program = memoryInUse(device)
		return nil
	})
	if err != nil {
		return err
	}
	p.Precision, p.Attention = found.precision(), found.attentionName()
	p.Checkpoint, p.Done, p.Steps, p.Model = found.checkpoint, r.state.Step, r.state.TotalSteps, r.state.Model
	p.Finished = r.finished()
	if found.checkpoint == "" && j.weights != nil {
		notes, err := j.weights.check(p.Model)
		if err != nil {
			return err
		}
		p.Weights = append([]string{j.weights.describe(p.Model)}, append(j.weights.notes, notes...)...)
	}
	ws, err := declare(p.Model)
	if err != nil {
		return err
	}
	if r.state.Classifier > 0 {
		ws = append(ws, classifierWeights(p.Model, r.state.Classifier)...)
	}
	m := &p.Memory
	for _, w := range ws {
		p.Parameters += w.size()
		m.Saving = max(m.Saving, 2*4*w.size())
	}
	m.Weights, m.Gradients = 4*p.Parameters, 4*p.Parameters
	m.Moments = 8 * p.Parameters / int64(p.Processes)
	p.Schedule = scheduleOf(j.config.Train, p.Steps)
	if err := p.survey(ctx, j.source, found.computing); err != nil {
		return err
	}
	m.Slack = (m.Weights + m.Gradients + m.Moments + m.Activations) / 8
	return nil
}

// next is the step that would be trained first; of a finished run, its last.
func (p *Plan) next() int { return min(p.Done+1, p.Steps) }

// counted is a source that says how many windows or examples a step takes.
type counted interface {
	source
	items(n int) int
}

// survey lays out batches from the next step on.
func (p *Plan) survey(ctx context.Context, src counted, how computing) error {
	b := &p.Batch
	items, sequences, computed, tokens, targets := 0, 0, 0, 0, 0
	for n := p.next(); n <= p.Steps && sequences < surveyed; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		micros, err := src.step(n)
		if err != nil {
			return err
		}
		items += src.items(n)
		if b.Steps++; b.Steps == 1 {
			b.Micros = len(micros)
		}
		for _, m := range micros {
			size, length := m.shape()
			sequences, computed, tokens = sequences+size, computed+size*length, tokens+m.tokens()
			rows, _ := m.outputs(p.Model)
			targets += rows
			if bytes := activations(p.Model, how, m); bytes > p.Memory.Activations {
				p.Memory.Activations, b.Sequences, b.Length = bytes, size, length
			}
		}
	}
	whole := float64(b.Items) / float64(items)
	b.Tokens, b.Targets = whole*float64(tokens), whole*float64(targets)
	b.Padding = 1 - float64(tokens)/float64(computed)
	p.Tokens = float64(p.Used) / float64(items) * float64(tokens)
	return nil
}

func scheduleOf(c configs.Train, steps int) Schedule {
	decay := c.Schedule.DecaySteps
	if decay <= 0 {
		decay = steps
	}
	rate := func(step int) float64 { return learningRate(c.Optimizer.LR, c.Schedule, step, steps) }
	return Schedule{Peak: c.Optimizer.LR, Warmup: int(c.Schedule.Warmup * float64(decay)), Decay: decay, Final: rate(decay), Last: rate(steps)}
}
