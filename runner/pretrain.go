//go:build cgo

package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// Pretrain trains a model by its objective on a prepared corpus, from the
// newest checkpoint of the run's directory if it has one, else from the weights
// that o.From names or drawn ones. valid is a second prepared corpus to validate
// on; where it is empty, the validation split of the first serves, if it has
// one. It returns the final state.
func Pretrain(ctx context.Context, c *configs.Config, data, valid string, o Options) (State, error) {
	o = o.own()
	j, err := pretraining(c, data, valid, o)
	if err != nil {
		return State{}, err
	}
	defer j.close()
	return j.run(ctx, o)
}

// pretraining opens what a pretraining run reads and checks that it fits
// together.
func pretraining(c *configs.Config, data, valid string, o Options) (_ *job, err error) {
	var opened []func()
	j := &job{config: c, close: func() {
		for _, f := range opened {
			f()
		}
	}}
	defer func() {
		if err != nil {
			j.close()
		}
	}()
	train, err := corpus.Open(data)
	if err != nil {
		return nil, err
	}
	opened = append(opened, func() { train.Close() })
	vocabulary, err := train.Tokenizer()
	if err != nil {
		return nil, err
	}
	if j.windows, err = newWindowSource(train, vocabulary, c); err != nil {
		return nil, err
	}
	j.source, j.vocabulary = j.windows, vocabulary.Files()
	j.windows.ranks = o.Ranks.size()
	rows := vocabulary.PaddedSize()
	if c.Model.Architecture == "glm" {
		rows = j.windows.objective.WordRows(rows, vocabulary.Special())
	}
	if o.From != "" {
		if j.weights, err = openOrigin(o.From); err != nil {
			return nil, err
		}
		opened = append(opened, j.weights.close)
		if j.weights.tokenizer != "" && j.weights.tokenizer != vocabulary.Hash() {
			return nil, &configs.Error{Field: "--from", Msg: fmt.Sprintf("%s and %s have different vocabularies", o.From, data), Hint: "glmkit prepare corpus --tokenizer with the vocabulary of the weights"}
		}
	}
	if c.Model.Vocab == 0 {
		c.Model.Vocab = rows
		if j.weights != nil {
			c.Model.Vocab = max(rows, j.weights.shape.Vocab)
		}
	}
	if c.Model.Vocab < rows {
		return nil, &configs.Error{Field: "model.vocab", Msg: fmt.Sprintf("%d rows, the tokenizer and the objective of %s need %d", c.Model.Vocab, data, rows), Hint: "model.vocab: 0 takes what they need"}
	}
	split := corpus.TrainSplit // of the folder to validate on
	if s := train.Manifest().Split(corpus.ValidSplit); valid == "" && s != nil && s.Windows > 0 {
		valid, split = data, corpus.ValidSplit
	}
	if valid != "" {
		set, err := corpus.OpenSplit(valid, split)
		if err != nil {
			return nil, err
		}
		opened = append(opened, func() { set.Close() })
		if set.Manifest().Tokenizer.SHA256 != train.Manifest().Tokenizer.SHA256 {
			return nil, &configs.Error{Field: "--valid", Msg: fmt.Sprintf("%s and %s were prepared with different vocabularies", valid, data), Hint: "prepare both with the same --tokenizer"}
		}
		if j.held, err = newWindowSource(set, vocabulary, c); err != nil {
			return nil, err
		}
	}
	j.identity = State{
		Kind: "pretrain", Seed: c.Train.Seed, TotalSteps: c.Train.Steps, Model: c.Model,
		Tokenizer: vocabulary.Hash(), Data: dataIdentity(train.Split()),
	}
	if c.Model.Architecture == "glm" {
		j.identity.PartB = partB(j.windows.objective)
	}
	if j.weights != nil {
		if _, err := j.weights.check(c.Model); err != nil {
			return nil, err
		}
		if j.identity.Pretrained, err = j.weights.hash(); err != nil {
			return nil, err
		}
		j.identity.PretrainedTokens, j.identity.PretrainedSteps = j.weights.state.Tokens, j.weights.state.Step
	}
	return j, nil
}

// windowSource draws pretraining batches from a prepared corpus.
type windowSource struct {
	set        *corpus.Dataset
	vocabulary tokenizer.Tokenizer
	config     *configs.Config
	objective  spans.Objective
	mixed      bool    // of several objectives
	starts     []int64 // first window of each step of the ramp, and of the one after
	ranks      int     // that share a batch where train.micro_batch does not cut it; 0 is 1
}

func newWindowSource(set *corpus.Dataset, vocabulary tokenizer.Tokenizer, c *configs.Config) (*windowSource, error) {
	m := set.Manifest()
	if n := m.Config.Data.SeqLength; n > c.Model.MaxPositions {
		return nil, &configs.Error{Field: "model.max_positions", Msg: fmt.Sprintf("%d positions, the corpus was prepared with windows of %d tokens", c.Model.MaxPositions, n), Hint: "a larger model.max_positions, or prepare with a smaller data.seq_length"}
	}
	// The spans are the prepared corpus' own; the configuration at hand decides
	// only what is drawn while training (BERT's masks).
	objective := m.Config.Objective.Spans()
	objective.MaxPositions = c.Model.MaxPositions
	mixed := c.Model.Architecture == "glm" && max(objective.Token, objective.Sentence, objective.Document) < 1
	return &windowSource{set: set, vocabulary: vocabulary, config: c, objective: objective, mixed: mixed, starts: rampStarts(c.Train)}, nil
}

// rampStarts counts the windows before each step of a batch ramp and before the
// first step after it.
func rampStarts(c configs.Train) []int64 {
	starts := []int64{0}
	for i := range c.Ramp.Steps {
		size := c.Ramp.From + (c.BatchSize-c.Ramp.From)*i/c.Ramp.Steps
		starts = append(starts, starts[i]+int64(size))
	}
	return starts
}

// batch numbers the windows of a step, counted from 1: those from first up to
// the one before end.
func (w *windowSource) batch(step int) (first, end int64) {
	ramp := len(w.starts) - 1
	if step <= ramp {
		return w.starts[step-1], w.starts[step]
	}
	size := int64(w.config.Train.BatchSize)
	first = w.starts[ramp] + int64(step-1-ramp)*size
	return first, first + size
}

// dataIdentity names the windows of a split: the hash of its shards'.
func dataIdentity(s *corpus.Split) string {
	h := sha256.New()
	for _, shard := range s.Shards {
		fmt.Fprintln(h, shard.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Drawn is a window as a model reads it.
type Drawn struct {
	Window int64 // its number in the corpus
	Tokens []int32
	Sample spans.Sample // what was drawn to be masked; empty for BERT
	Block  spans.Block
}

// draw lays out the window numbered i in the endless repetition of the corpus.
func (w *windowSource) draw(i int64) (d Drawn, err error) {
	row, epoch := i%w.set.Len(), i/w.set.Len()
	maskings := int64(w.set.Maskings())
	masking := int(epoch % maskings)
	window, err := w.set.Window(row, masking)
	if err != nil {
		return d, err
	}
	d = Drawn{Window: row, Tokens: window.Tokens}
	special := w.vocabulary.Special()
	key := spans.Key{Seed: w.config.Train.Seed, Sample: uint64(row), Epoch: uint64(epoch)}
	if w.config.Model.Architecture == "bert" {
		d.Block = spans.MLM(key, d.Tokens, w.config.Objective.MLMRatio, special, w.vocabulary.Size())
		return d, nil
	}
	d.Sample = window.Sample
	if epoch >= maskings && w.config.Train.Redraw {
		d.Sample = w.objective.Draw(key, d.Tokens, special, w.vocabulary.EndsSentence)
		d.Sample.Prompts = window.Sample.Prompts
	} else {
		key = w.set.Key(row, masking) // that drew the stored masking gives its block
	}
	d.Block, err = w.objective.Build(key, d.Tokens, d.Sample, special)
	return d, err
}

func (w *windowSource) step(n int) ([]microBatch, error) {
	first, end := w.batch(n)
	windows := make([]Drawn, 0, end-first)
	for i := first; i < end; i++ {
		d, err := w.draw(i)
		if err != nil {
			return nil, err
		}
		windows = append(windows, d)
	}
	return w.split(windows), nil
}

func (w *windowSource) items(n int) int {
	first, end := w.batch(n)
	return int(end - first)
}

// split groups windows into micro-batches.
func (w *windowSource) split(windows []Drawn) (out []microBatch) {
	// Similar lengths share a micro-batch: padding is work.
	slices.SortStableFunc(windows, func(a, b Drawn) int { return len(a.Block.Input) - len(b.Block.Input) })
	micro := w.config.Train.MicroBatch
	if micro <= 0 {
		micro = max(1, ceilDiv(len(windows), w.ranks))
	}
	for group := range slices.Chunk(windows, micro) {
		blocks := make([]spans.Block, len(group))
		var modes []spans.Mode
		for i, d := range group {
			blocks[i] = d.Block
			if w.mixed {
				modes = append(modes, slices.Repeat([]spans.Mode{d.Sample.Mode}, targets(d.Block))...)
			}
		}
		if b := newBatch(blocks); len(b.rows) > 0 {
			b.modes = modes
			out = append(out, b)
		}
	}
	return out
}

// targets counts the tokens of a block whose prediction counts.
func targets(b spans.Block) (n int) {
	for _, counts := range b.LossMask {
		n += int(counts)
	}
	return n
}

// ceilDiv is n/d, rounded up; a d below 1 counts as 1.
func ceilDiv(n, d int) int {
	d = max(1, d)
	return (n + d - 1) / d
}

// heldOutLoss is the mean loss per target token, in nats, of the first
// ValidBatches whole batches of a held-out corpus, corrupted the same way each
// time; for GLM also that of each objective. The ranks share the work; the figure
// is that of a process by itself.
func heldOutLoss(m *model, w *windowSource, c configs.Train, ranks *Ranks) (validation, error) {
	m.mode.training = false
	torch.SetGrad(false)
	defer torch.SetGrad(true)
	var losses []float64 // of every micro-batch, zero where another rank has it
	var modes []spans.Mode
	var weights []float64
	for n := range max(1, c.ValidBatches) {
		windows := map[spans.Mode][]Drawn{}
		for i := range c.BatchSize {
			d, err := w.draw(int64(n*c.BatchSize + i))
			if err != nil {
				return validation{}, err
			}
			windows[d.Sample.Mode] = append(windows[d.Sample.Mode], d)
		}
		for mode := spans.Token; mode <= spans.Document; mode++ {
			for _, b := range w.split(windows[mode]) {
				loss := 0.0
				if ranks.mine(len(losses)) {
					var err error
					if loss, err = evaluated(m, b); err != nil {
						return validation{}, err
					}
				}
				losses, modes, weights = append(losses, loss), append(modes, mode), append(weights, b.weight())
			}
		}
	}
	if err := ranks.sum(losses); err != nil {
		return validation{}, err
	}
	sums, counts := map[spans.Mode]float64{}, map[spans.Mode]float64{}
	sum, count := 0.0, 0.0
	for i, mode := range modes {
		sums[mode], counts[mode] = sums[mode]+losses[i], counts[mode]+weights[i]
		sum, count = sum+losses[i], count+weights[i]
	}
	v := validation{loss: sum / count}
	if m.config.Architecture == "glm" {
		v.by = map[string]float64{}
		for mode, n := range counts {
			v.by[mode.String()] = sums[mode] / n
		}
	}
	return v, nil
}

// evaluated is the summed loss of a micro-batch, without a gradient.
func evaluated(m *model, b microBatch) (float64, error) {
	s := torch.NewScope()
	defer s.Close()
	sum, _ := b.loss(s, m)
	return s.Item(sum), s.Err()
}
