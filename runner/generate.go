//go:build cgo

package runner

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Generator is a GLM that fills blanks and scores text. Its methods are not for
// concurrent use. Close it.
type Generator struct {
	State     State
	Tokenizer tokenizer.Tokenizer // the vocabulary of the checkpoint
	// TaskMask tells whether the model was trained with [sMASK] and [gMASK].
	TaskMask bool
	model    *model
	config   *configs.Config // of the run
	weights  string          // sha256 of the model file
	products torch.DType     // that answers read
	writer   *torch.Writer   // of these, on a CPU, once something was written
}

// OpenGenerator loads the model of a run or checkpoint, with its vocabulary.
func OpenGenerator(run, device string, threads int) (*Generator, error) {
	dir, err := findCheckpoint(run)
	if err != nil {
		return nil, err
	}
	g := &Generator{products: torch.Float32}
	if g.Tokenizer, err = tokenizer.Open(dir); err != nil {
		return nil, err
	}
	if g.config, err = configs.Load(filepath.Join(dir, configFile), nil); err != nil {
		return nil, err
	}
	g.TaskMask = g.config.Objective.TaskMask
	return g, torch.Do(func() error {
		d, err := chooseDevice(device)
		if err != nil {
			return err
		}
		setThreads(threads)
		if g.model, g.State, g.weights, err = loadModel(dir, d); err != nil {
			return err
		}
		if _, ok := g.model.network.(*glm); !ok {
			g.model.close()
			return &configs.Error{Field: run, Msg: "is a " + g.State.Model.Architecture + ", which fills no blanks", Hint: "a run of a GLM"}
		}
		torch.SetGrad(false)
		return nil
	})
}

// Close frees the model.
func (g *Generator) Close() {
	torch.Do(func() error {
		torch.SetGrad(true)
		if g.writer != nil {
			g.writer.Free()
		}
		g.model.close()
		return nil
	})
}

// AnswerIn says what the matrix products of filling and scoring read: float32, as they
// do by default, or bfloat16, in half the memory traffic: weights and what they are
// multiplied with, keys and values are rounded to it; sums, the scores of words and
// all else are float32. auto is what the model was trained with, where the device has
// instructions for it. Precision is the one chosen, for which it prepares the weights.
func (g *Generator) AnswerIn(precision string) error {
	products, err := answerType(precision, g.State.Precision, g.model.device)
	if err != nil {
		return err
	}
	return torch.Do(func() error {
		if g.writer != nil && g.products != products {
			g.writer.Free()
			g.writer = nil
		}
		g.products = products
		g.model.mode.answerIn(products)
		return g.openWriter()
	})
}

// Precision is what matrix products of filling and scoring read.
func (g *Generator) Precision() string { return g.products.String() }

// openWriter makes the writer that fills on a CPU; there is none elsewhere.
func (g *Generator) openWriter() (err error) {
	if g.model.device == torch.CPU && g.writer == nil {
		m := g.State.Model
		g.writer, err = torch.NewWriter(g.model.params.tensors[:5+12*m.Layers], m.Layers, m.Heads, g.products)
	}
	return err
}

// Prompt is a text with blanks: Part A, and the places of the blanks in it in
// the order in which they are filled. What was filled is read with the rest.
type Prompt struct {
	Tokens []int32
	Blanks []int
	Number int // of the text: what is drawn for it depends on that
}

// fillRows bounds the rows of one pass.
const fillRows = 64

// Fill fills the blanks of prompts, some at a time. It returns for each prompt
// and blank, in the order of filling, the answers, the best first: one, or as
// many as beams found. tell, if any, is told each token when it is chosen, the
// end too; a beam tells nothing. The state of the model does not change, and
// prompts have no influence on each other. A text longer than the model's
// positions is a configs.Error.
func (g *Generator) Fill(ctx context.Context, prompts []Prompt, d Decoding, tell func(prompt, blank int, token int32)) ([][][]Written, error) {
	positions := g.State.Model.MaxPositions
	if err := d.check(positions); err != nil {
		return nil, err
	}
	for i, p := range prompts {
		if len(p.Tokens) > positions {
			return nil, &configs.Error{Msg: fmt.Sprintf("text %d has %d tokens, the model positions for %d", i+1, len(p.Tokens), positions), Hint: "a shorter text"}
		}
		if len(p.Blanks) == 0 {
			return nil, &configs.Error{Msg: fmt.Sprintf("text %d has no blank", i+1), Hint: "[MASK] in the text"}
		}
	}
	sp := g.Tokenizer.Special()
	tokens := writingTokens{sop: sp.SOP, eop: sp.EOP, size: min(g.Tokenizer.Size(), g.State.Model.Vocab)}
	for _, id := range []int32{sp.Pad, sp.Unk, sp.CLS, sp.Mask} {
		if id >= 0 {
			tokens.never = append(tokens.never, id)
		}
	}
	var out [][][]Written
	for from := 0; from < len(prompts); {
		to := min(len(prompts), from+max(1, fillRows/d.Beams))
		err := torch.Do(func() error {
			answers, err := g.fill(ctx, prompts[from:to], from, d, tokens, tell)
			out = append(out, answers...)
			return err
		})
		if err != nil {
			return nil, err
		}
		from = to
	}
	return out, nil
}

func (g *Generator) fill(ctx context.Context, prompts []Prompt, first int, d Decoding, tokens writingTokens, tell func(prompt, blank int, token int32)) ([][][]Written, error) {
	var fillings []*filling
	var texts [][]int32
	for i, p := range prompts {
		f := newFilling(d, tokens, i, uint64(p.Number), p.Blanks)
		if tell != nil {
			f.tell = func(blank int, token int32) { tell(first+i, blank, token) }
		}
		fillings, texts = append(fillings, f), append(texts, p.Tokens)
	}
	if err := g.openWriter(); err != nil {
		return nil, err
	}
	c, err := newCache(g.model.network.(*glm), g.writer, texts, len(prompts)*d.Beams)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := fillAll(c, fillings, ctx.Err); err != nil {
		return nil, err
	}
	var out [][][]Written
	for _, f := range fillings {
		out = append(out, f.answers)
	}
	return out, nil
}
