//go:build cgo

package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// LanguageModel lays text out as this model reads it. Length 0 is as many tokens
// as it has positions, stride 0 half of that. What does not fit the model is a
// configs.Error.
func (g *Generator) LanguageModel(length, stride int, unidirectional bool) (tasks.LanguageModel, error) {
	most := g.State.Model.MaxPositions
	length = cmp.Or(length, most)
	l := tasks.LanguageModel{Length: length, Stride: cmp.Or(stride, length/2), Unidirectional: unidirectional, Special: g.Tokenizer.Special()}
	l.Mask = l.Special.Mask
	if g.TaskMask {
		l.Mask = l.Special.GMask
	}
	if length > most {
		return l, &configs.Error{Field: "--length", Msg: fmt.Sprintf("%d tokens: the model has positions for %d", length, most), Hint: fmt.Sprintf("--length %d", most)}
	}
	return l, l.Check()
}

// Likelihood is what a model makes of the tokens of a block that are scored.
type Likelihood struct {
	NLL    float64 `json:"nll"` // nats, summed
	Tokens int     `json:"tokens"`
	Greedy bool    `json:"greedy"` // each was the likeliest
}

// Check refuses what cannot be: a likelihood of nothing, or one that is not a number.
func (l Likelihood) Check() error {
	if math.IsNaN(l.NLL) || math.IsInf(l.NLL, 0) {
		return errors.New("the model's output is not a number: it has diverged")
	}
	if l.Tokens < 1 {
		return errors.New("no token is scored")
	}
	return nil
}

// Scoring says where scores stand until they are all found, and who is told of them.
type Scoring struct {
	Progress func(done, total int) // nil: nobody
	Note     func(string)          // told what to know of scores that are kept; nil: nobody
	// Keep names the file of the scores so far, from which a measurement goes on that
	// was interrupted: one of the same checkpoint and text, read alike. The file stays.
	// "": none is written.
	Keep string
}

// Perplexity is the likelihood of documents, all their tokens but the first of
// each. Progress counts tokens.
func (g *Generator) Perplexity(ctx context.Context, l tasks.LanguageModel, documents [][]int32, how Scoring) (sum Likelihood, err error) {
	windows, tokens := 0, 0
	for _, document := range documents {
		windows, tokens = windows+l.Count(len(document)), tokens+max(0, len(document)-1)
	}
	k, err := scoresOf(g, documents, &l, windows, how)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	tell := how.telling(tokens, func() (done int) {
		for _, one := range k.of {
			done += one.Tokens
		}
		return done
	})
	var waiting []spans.Block
	first := 0 // of the waiting ones, among all windows
	score := func() error {
		err := g.score(ctx, waiting, k, first, tell)
		waiting, first = waiting[:0], first+len(waiting)
		return err
	}
	for _, document := range documents {
		for windows := range slices.Chunk(l.Windows(document), windowsTogether) {
			if waiting = append(waiting, windows...); len(waiting) >= windowsTogether {
				if err := score(); err != nil {
					return sum, err
				}
			}
		}
	}
	if err := score(); err != nil {
		return sum, err
	}
	for _, one := range k.of {
		sum.NLL, sum.Tokens = sum.NLL+one.NLL, sum.Tokens+one.Tokens
	}
	return sum, nil
}

// windowsTogether bounds the windows that are laid out at a time.
const windowsTogether = 256

// Score computes the likelihood of blocks, which have scored tokens. Progress counts
// blocks.
func (g *Generator) Score(ctx context.Context, blocks []spans.Block, how Scoring) (each []Likelihood, err error) {
	k, err := scoresOf(g, blocks, nil, len(blocks), how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	if err := g.score(ctx, blocks, k, 0, how.telling(len(blocks), func() int { return k.count })); err != nil {
		return nil, err
	}
	return k.of, nil
}

// telling returns what tells Progress of what is done, once it has told what was done
// before.
func (how Scoring) telling(total int, done func() int) (tell func()) {
	if how.Progress == nil {
		return func() {}
	}
	tell = func() { how.Progress(done(), total) }
	tell()
	return tell
}

// scoresOf takes over the scores of text so far: of blocks, or of documents' windows.
func scoresOf[T any](g *Generator, text []T, windows *tasks.LanguageModel, count int, how Scoring) (*answers[Likelihood], error) {
	question := asked{Weights: g.weights, Windows: windows, Device: g.model.device.String(), Precision: g.Precision(), Libtorch: torch.Version()}
	if how.Keep != "" {
		hash := sha256.New()
		encoder := json.NewEncoder(hash)
		for _, one := range text {
			if err := encoder.Encode(one); err != nil {
				return nil, err
			}
		}
		question.Data = hex.EncodeToString(hash.Sum(nil))
	}
	if how.Note == nil {
		how.Note = func(string) {}
	}
	whole := func(_ int, l Likelihood) bool { return l.Check() == nil }
	return openAnswers(how.Keep, question, count, whole, how.Note)
}

// scoredAtOnce is how many blocks share a forward pass. Always the same ones do: how a
// product is rounded depends on its rows.
const scoredAtOnce = 8

// score finds the likelihoods of blocks, of which first is the first one's number in k.
func (g *Generator) score(ctx context.Context, blocks []spans.Block, k *answers[Likelihood], first int, tell func()) error {
	var groups [][]int
	for i := range blocks {
		if i%scoredAtOnce == 0 {
			groups = append(groups, nil)
		}
		last := &groups[len(groups)-1]
		*last = append(*last, first+i)
	}
	return k.ask(ctx, groups, func(group []int) (found []Likelihood, err error) {
		from := group[0] - first
		err = torch.Do(func() error {
			found, err = g.likelihoods(blocks[from : from+len(group)])
			return err
		})
		return found, err
	}, tell)
}

// likelihoods are those of a batch. It runs on the tensor thread.
func (g *Generator) likelihoods(blocks []spans.Block) ([]Likelihood, error) {
	s := torch.NewScope()
	defer s.Close()
	b := newBatch(blocks)
	logits, targets := rowLogits(s, g.model, b, torch.Tensor{}), index(s, b.targets, g.model.device)
	greedy := s.Ints(s.Argmax(logits, 1))
	logp := s.Floats(s.Gather(s.LogSoftmax(logits, 1), 1, s.Reshape(targets, -1, 1)))
	if err := s.Err(); err != nil {
		return nil, err
	}
	each := make([]Likelihood, len(blocks))
	for i := range each {
		each[i].Greedy = true
	}
	for i, row := range b.rows {
		l := &each[int(row)/b.length]
		l.NLL -= float64(logp[i])
		l.Tokens++
		l.Greedy = l.Greedy && greedy[i] == b.targets[i]
	}
	return each, nil
}
