//go:build cgo

package runner

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// Finetune trains a model on one task's training file from pretrained weights in
// any form that is read, from the newest checkpoint of the run's directory if it
// has one. The weights tell the model's shape; c.Model adds to it what they do
// not say, and positions. With o.Dev the checkpoint of the epoch that is best by
// the task's metric is kept as the run's best one, and choice.json tells it and
// what the others had. It returns the final state.
func Finetune(ctx context.Context, c *configs.Config, from, trainFile string, seed uint64, o Options) (State, error) {
	o = o.own()
	j, err := finetuning(c, from, trainFile, seed, o)
	if err != nil {
		return State{}, err
	}
	defer j.close()
	return j.run(ctx, o)
}

// finetuning opens what a finetuning run reads and checks that it fits together.
func finetuning(c *configs.Config, from, trainFile string, seed uint64, o Options) (_ *job, err error) {
	split, err := tasks.OpenSplit(trainFile)
	if err != nil {
		return nil, err
	}
	weights, err := openOrigin(from)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			weights.close()
		}
	}()
	identity, err := pretrained(weights, c.Model, split)
	if err != nil {
		return nil, err
	}
	if identity.Data, err = hashFile(trainFile); err != nil {
		return nil, err
	}
	chooser, err := newChooser(o.Dev, o.Out, split.Header)
	if err != nil {
		return nil, err
	}
	recipe := c.Finetune.For(split.Header.FinetuneRecipe())
	examples := newExampleSource(identity.numbered(split.Examples), recipe.BatchSize, seed)
	if examples.most = recipe.MicroBatch; examples.most == 0 {
		examples.most = ceilDiv(recipe.BatchSize, o.Ranks.size())
	}
	identity.Kind, identity.Task, identity.Seed = "finetune", split.Header.Task, seed
	if split.Header.Form.Asks() {
		identity.Pattern = &split.Header.Pattern
	}
	identity.TotalSteps = examples.perEpoch * recipe.Epochs
	if recipe.MaxSteps > 0 {
		identity.TotalSteps = min(identity.TotalSteps, recipe.MaxSteps)
	}
	switch split.Header.Scoring {
	case tasks.ClassHead:
		identity.Classifier = len(split.Header.Labels)
	case tasks.ChoiceHead:
		identity.Classifier = 1
	}
	if chooser != nil {
		identity.Dev = chooser.data
	}
	if err := identity.choose(recipe, split.Header); err != nil {
		return nil, err
	}
	run := c.Of(identity.Model)
	run.Train.Schedule, run.Train.Optimizer, run.Train.Steps, run.Train.Seed = recipe.Schedule, recipe.Optimizer, identity.TotalSteps, seed
	run.Train.BatchSize, run.Train.MicroBatch, run.Train.Ramp = recipe.BatchSize, 0, configs.Ramp{From: 1}
	run.Train.MaxTokens, run.Train.MaxHours = 0, 0 // pretraining's
	return &job{
		config: run, identity: identity, vocabulary: weights.vocabulary, source: examples, weights: weights,
		examples: examples, header: split.Header, chooser: chooser, close: weights.close,
	}, nil
}

// pretrained is what a run inherits from the weights it starts from, which must
// fit the task file. Where no vocabulary came along, the tasks' is taken.
func pretrained(weights *origin, c configs.Model, split *tasks.Split) (identity State, err error) {
	identity = State{Tokenizer: cmp.Or(weights.tokenizer, split.Header.Tokenizer), PretrainedTokens: weights.state.Tokens, PretrainedSteps: weights.state.Step, PartB: weights.state.PartB}
	if identity.Model, err = weights.model(c); err != nil {
		return identity, err
	}
	if _, err := weights.check(identity.Model); err != nil {
		return identity, err
	}
	if err := fits(identity, split.Header); err != nil {
		return identity, err
	}
	if id := largestID(split.Examples); int(id) >= identity.Model.Vocab {
		return identity, &configs.Error{Field: "--from", Msg: fmt.Sprintf("%s has %d words, %s was prepared with a vocabulary that has a token %d", weights.path, identity.Model.Vocab, split.Header.Task, id), Hint: "glmkit prepare task --tokenizer with the vocabulary of the weights"}
	}
	identity.Pretrained, err = weights.hash()
	return identity, err
}

// largestID is the largest token id of examples.
func largestID(examples []tasks.Encoded) (most int32) {
	for _, e := range examples {
		for _, id := range e.Verbalizers {
			most = max(most, id)
		}
		for _, x := range e.Sequences {
			for i, id := range x.Input {
				most = max(most, id, x.Target[i])
			}
		}
	}
	return most
}

// choose takes over a recipe's way to score and learn choices. A model that
// scores a word or a class has no log-probabilities of choices: their other
// losses would be those of something else.
func (st *State) choose(recipe configs.Recipe, h tasks.Header) error {
	if h.Scoring == tasks.Written {
		st.LabelSmoothing = recipe.LabelSmoothing
	}
	if h.Scoring == tasks.MultiToken || h.Scoring == tasks.Ranked {
		st.LengthPenalty = recipe.LengthPenalty
		if recipe.Loss != configs.CrossEntropyLoss {
			st.Loss = recipe.Loss
		}
		return nil
	}
	if recipe.Loss != configs.CrossEntropyLoss {
		return &configs.Error{Field: "finetune.loss", Msg: fmt.Sprintf("%s is of choices of several tokens, which %s, prepared as %s, does not have", recipe.Loss, h.Task, h.Form),
			Hint: "finetune.loss=" + configs.CrossEntropyLoss + ", and another one under finetune.tasks for a task that has them"}
	}
	return nil
}

// fits checks a task file against the model that is to read it: a GLM writes into
// blanks, a BERT predicts their words; both read [CLS] with a pooler, the GLM as
// the ablation of its paper does.
func fits(st State, h tasks.Header) error {
	architecture, asked := st.Model.Architecture, tasks.Cloze
	forms := fmt.Sprintf("%s or %s", tasks.Cloze, tasks.Classification)
	if architecture == "bert" {
		asked, forms = tasks.Masked, fmt.Sprintf("%s or %s", tasks.Classification, tasks.Masked)
	}
	switch {
	case h.Form != tasks.Classification && h.Form != asked:
		return &configs.Error{Field: "--tasks", Msg: fmt.Sprintf("%s was prepared in the form %s, a %s reads %s", h.Task, h.Form, architecture, forms), Hint: fmt.Sprintf("glmkit prepare task %s --form with one of them", h.Task)}
	case st.Task != "" && (st.Classifier > 0) != h.Scoring.Head():
		form := asked
		if st.Classifier > 0 {
			form = tasks.Classification
		}
		return &configs.Error{Field: "--tasks", Msg: fmt.Sprintf("%s was prepared in the form %s, the model was finetuned in the form %s", h.Task, h.Form, form), Hint: fmt.Sprintf("glmkit prepare task %s --form %s", h.Task, form)}
	case h.Tokenizer != st.Tokenizer:
		return &configs.Error{Field: "--tasks", Msg: h.Task + " was prepared with another vocabulary than the model's", Hint: "glmkit prepare task --tokenizer with the folder of the model's checkpoint, which holds its vocabulary"}
	case h.MaxLength > st.Model.MaxPositions:
		return &configs.Error{Field: "--tasks", Msg: fmt.Sprintf("%s was prepared with up to %d tokens, the model has %d positions", h.Task, h.MaxLength, st.Model.MaxPositions), Hint: fmt.Sprintf("glmkit prepare task %s --max-length %d; or a --config of the model's layers and hidden size with model.max_positions=%d, to grow its tables", h.Task, st.Model.MaxPositions, h.MaxLength)}
	}
	return nil
}

// exampleSource draws finetuning batches: every epoch in a new order keyed by
// the seed, similar lengths together.
type exampleSource struct {
	examples []tasks.Encoded
	size     int // examples of a batch
	most     int // of a micro-batch; 0: as many as there are
	perEpoch int // batches of an epoch
	seed     uint64

	mu    sync.Mutex
	epoch int
	order [][]int // batches of that epoch
}

func newExampleSource(examples []tasks.Encoded, size int, seed uint64) *exampleSource {
	return &exampleSource{examples: examples, size: size, perEpoch: (len(examples) + size - 1) / size, seed: seed, epoch: -1}
}

// pool is the number of batches within which examples are sorted by length:
// enough for little padding, few enough to keep batches random.
const pool = 8

// batches orders an epoch, counted from 0.
func (x *exampleSource) batches(epoch int) [][]int {
	rng := rand.New(rand.NewPCG(mix(x.seed, streamOrder), uint64(epoch)))
	order := rng.Perm(len(x.examples))
	var out [][]int
	for group := range slices.Chunk(order, pool*x.size) {
		slices.SortStableFunc(group, func(a, b int) int {
			return cmp.Compare(longest(&x.examples[a]), longest(&x.examples[b]))
		})
		for b := range slices.Chunk(group, x.size) {
			out = append(out, b)
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// batch is the examples of a step, counted from 1.
func (x *exampleSource) batch(n int) []tasks.Encoded {
	x.mu.Lock()
	defer x.mu.Unlock()
	if epoch := (n - 1) / x.perEpoch; epoch != x.epoch {
		x.epoch, x.order = epoch, x.batches(epoch)
	}
	var out []tasks.Encoded
	for _, i := range x.order[(n-1)%x.perEpoch] {
		out = append(out, x.examples[i])
	}
	return out
}

func (x *exampleSource) items(n int) int { return len(x.batch(n)) }

func (x *exampleSource) step(n int) ([]microBatch, error) {
	var out []*exampleBatch
	group, sequences := []tasks.Encoded{}, 0
	for _, e := range x.batch(n) {
		if len(group) > 0 && (sequences+len(e.Sequences) > evalSequences || len(group) == x.most) {
			out = append(out, newExampleBatch(group))
			group, sequences = nil, 0
		}
		group, sequences = append(group, e), sequences+len(e.Sequences)
	}
	return weighed(append(out, newExampleBatch(group))), nil
}

// weighed makes the answers' tokens of a whole batch count alike, however it is
// split.
func weighed(batches []*exampleBatch) []microBatch {
	examples, tokens := 0, 0
	for _, b := range batches {
		examples, tokens = examples+b.examples, tokens+len(b.targets)
	}
	out := make([]microBatch, len(batches))
	for i, b := range batches {
		b.perToken = float64(examples) / float64(max(1, tokens))
		out[i] = b
	}
	return out
}
