//go:build cgo

package runner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/glmkit/glmkit/configs"
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

// windowsTogether bounds the windows that are laid out at a time.
const windowsTogether = 256

// Perplexity is the likelihood of documents, all their tokens but the first of
// each. progress, if any, is told how many tokens are done.
func (g *Generator) Perplexity(ctx context.Context, l tasks.LanguageModel, documents [][]int32, progress func(tokens int)) (Likelihood, error) {
	var sum Likelihood
	var waiting []spans.Block
	score := func() error {
		done := sum.Tokens
		each, err := g.Score(ctx, waiting, func(windows int) {
			if progress != nil {
				tokens := 0
				for _, b := range waiting[:windows] {
					tokens += scoredTokens(b)
				}
				progress(done + tokens)
			}
		})
		for _, one := range each {
			sum.NLL, sum.Tokens = sum.NLL+one.NLL, sum.Tokens+one.Tokens
		}
		waiting = waiting[:0]
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
	if math.IsNaN(sum.NLL) || math.IsInf(sum.NLL, 0) {
		return sum, fmt.Errorf("the model's output is not a number: it has diverged")
	}
	return sum, nil
}

func scoredTokens(b spans.Block) (n int) {
	for _, counts := range b.LossMask {
		n += int(counts)
	}
	return n
}
