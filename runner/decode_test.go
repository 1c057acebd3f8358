//go:build cgo

package runner

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// sharp is a generator of a tiny model with weights so large that it is sure of
// what it says, over a vocabulary of so many words.
func sharp(t *testing.T, words int, seed uint64) *Generator {
	t.Helper()
	vocab := strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK]")
	for i := range words {
		vocab = append(vocab, fmt.Sprintf("w%d", i))
	}
	tok, err := wordpiece.New(vocab)
	if err != nil {
		t.Fatal(err)
	}
	c := tiny("glm")
	c.InitStd = 0.4
	g := &Generator{Tokenizer: tok, State: State{Model: c}, products: torch.Float32}
	torch.Do(func() error { torch.SetGrad(false); g.model = drawn(t, c, seed); return nil })
	t.Cleanup(g.Close)
	return g
}

func writeIn(t *testing.T, g *Generator, precision string) {
	t.Helper()
	if err := g.AnswerIn(precision); err != nil || g.Precision() != precision {
		t.Fatalf("%s: %s, %v", precision, g.Precision(), err)
	}
}

// recomputed is the log-probabilities behind what was written into a prompt's
// blanks so far, by a pass over everything.
func recomputed(t *testing.T, g *Generator, p Prompt, pieces [][]int32) []float32 {
	t.Helper()
	sp := g.Tokenizer.Special()
	b := spans.Block{Sep: len(p.Tokens)}
	for i, id := range p.Tokens {
		b.Input, b.Position, b.BlockPosition = append(b.Input, id), append(b.Position, int32(i)), append(b.BlockPosition, 0)
	}
	for k, piece := range pieces {
		for i, id := range append([]int32{sp.SOP}, piece...) {
			b.Input, b.Position, b.BlockPosition = append(b.Input, id), append(b.Position, int32(p.Blanks[k])), append(b.BlockPosition, int32(i+1))
		}
	}
	b.Target, b.LossMask = make([]int32, len(b.Input)), make([]uint8, len(b.Input))
	b.LossMask[len(b.Input)-1] = 1
	var row []float32
	if err := torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		row = s.Floats(s.LogSoftmax(rowLogits(s, g.model, newBatch([]spans.Block{b}), torch.Tensor{}), 1))
		return s.Err()
	}); err != nil {
		t.Fatal(err)
	}
	return row
}

// score is the log-probability of an answer to the blank behind those filled.
func (g *Generator) scoreOf(t *testing.T, p Prompt, before [][]int32, w Written) float64 {
	sum := 0.0
	for i := 0; i <= len(w.Tokens); i++ {
		if i == len(w.Tokens) && !w.Ended {
			break
		}
		next := g.Tokenizer.Special().EOP
		if i < len(w.Tokens) {
			next = w.Tokens[i]
		}
		sum += float64(recomputed(t, g, p, append(slices.Clip(before), w.Tokens[:i]))[next])
	}
	return sum
}

func somePrompts(g *Generator) []Prompt {
	var prompts []Prompt
	for _, text := range []string{"w1 [MASK] w2", "[MASK] w0 w1 w2 w1 w0 [MASK]", "w2 w2 [MASK] w1 [MASK] w0 [MASK]", "w3 w4 [MASK]"} {
		p := Prompt{Tokens: append([]int32{g.Tokenizer.Special().CLS}, g.Tokenizer.Encode(nil, text)...)}
		for i, id := range p.Tokens {
			if id == g.Tokenizer.Special().Mask {
				p.Blanks = append(p.Blanks, i)
			}
		}
		prompts = append(prompts, p)
	}
	prompts[1].Blanks = []int{7, 1} // the last one first
	return prompts
}

func filled(t *testing.T, g *Generator, prompts []Prompt, d Decoding) [][][]Written {
	t.Helper()
	got, err := g.Fill(context.Background(), prompts, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What the cache says is what a pass over everything says, for beams and
// samples, in every blank.
func TestCachedAsRecomputed(t *testing.T) {
	for name, d := range map[string]Decoding{
		"greedy":  {Decoding: configs.Decoding{Beams: 1, MaxLength: 6}},
		"beam":    {Decoding: configs.Decoding{Beams: 3, MaxLength: 6, LengthPenalty: 0.7, MinLength: 2, NoRepeat: 2}},
		"samples": {Decoding: configs.Decoding{Beams: 1, MaxLength: 6, Sample: true, Temperature: 1.5, TopK: 5, TopP: 0.95}, Seed: 3},
		"halved":  {Decoding: configs.Decoding{Beams: 1, MaxLength: 6}},
	} {
		g := sharp(t, 8, 1)
		tolerance := 1e-4
		if name == "halved" { // recomputed is float32; the weights of this model are huge
			writeIn(t, g, "bfloat16")
			tolerance = 0.3
		}
		prompts := somePrompts(g)
		for i, blanks := range filled(t, g, prompts, d) {
			var before [][]int32
			for k, answers := range blanks {
				for _, w := range answers {
					if want := g.scoreOf(t, prompts[i], before, w); math.Abs(want-w.LogProb) > tolerance {
						t.Errorf("%s, text %d, blank %d: %v has log-probability %v, recomputed %v", name, i, k, w.Tokens, w.LogProb, want)
					}
					if len(w.Tokens) < d.MinLength || len(w.Tokens) > d.MaxLength {
						t.Errorf("%s: an answer of %d tokens", name, len(w.Tokens))
					}
				}
				before = append(before, answers[0].Tokens)
			}
		}
	}
}

// Greedy filling takes the likeliest token that may be written, each time.
func TestGreedy(t *testing.T) {
	for seed := range uint64(4) {
		g := sharp(t, 8, seed)
		sp := g.Tokenizer.Special()
		for i, p := range somePrompts(g) {
			var pieces [][]int32
			for k, answers := range filled(t, g, []Prompt{p}, Decoding{Decoding: configs.Decoding{Beams: 1, MaxLength: 5}})[0] {
				var want []int32
				for len(want) < 5 {
					row := recomputed(t, g, p, append(slices.Clip(pieces), want))
					best := sp.EOP
					for id := sp.SEP; int(id) < g.Tokenizer.Size(); id++ {
						if id != sp.Mask && row[id] > row[best] {
							best = id
						}
					}
					if best == sp.EOP {
						break
					}
					want = append(want, best)
				}
				if !slices.Equal(answers[0].Tokens, want) {
					t.Errorf("seed %d, text %d, blank %d: %v, want %v", seed, i, k, answers[0].Tokens, want)
				}
				pieces = append(pieces, want)
			}
		}
	}
}

// A beam as wide as the number of answers finds the best of all; one of any
// width none below the greedy answer; answers come in their order.
func TestBeams(t *testing.T) {
	for seed := range uint64(6) {
		g := sharp(t, 3, seed)
		sp := g.Tokenizer.Special()
		p := somePrompts(g)[0]
		greedy := filled(t, g, []Prompt{p}, Decoding{Decoding: configs.Decoding{Beams: 1, MaxLength: 4}})[0][0][0]

		best := math.Inf(-1)
		var bestTokens []int32
		var extend func(tokens []int32, sum float64)
		extend = func(tokens []int32, sum float64) {
			if len(tokens) == 4 {
				if sum > best {
					best, bestTokens = sum, slices.Clone(tokens)
				}
				return
			}
			row := recomputed(t, g, p, [][]int32{tokens})
			if ended := sum + float64(row[sp.EOP]); ended > best {
				best, bestTokens = ended, slices.Clone(tokens)
			}
			for id := sp.SEP; int(id) < g.Tokenizer.Size(); id++ {
				if id != sp.Mask {
					extend(append(slices.Clip(tokens), id), sum+float64(row[id]))
				}
			}
		}
		extend(nil, 0)
		wide := filled(t, g, []Prompt{p}, Decoding{Decoding: configs.Decoding{Beams: 4 * 4 * 4, MaxLength: 4}})[0][0]
		if math.Abs(wide[0].Score-best) > 1e-4 || !slices.Equal(wide[0].Tokens, bestTokens) {
			t.Errorf("seed %d: a wide beam finds %v at %v, the best is %v at %v", seed, wide[0].Tokens, wide[0].Score, bestTokens, best)
		}
		for beams := 2; beams < 7; beams++ {
			answers := filled(t, g, []Prompt{p}, Decoding{Decoding: configs.Decoding{Beams: beams, MaxLength: 4}})[0][0]
			if answers[0].Score < greedy.Score-1e-5 {
				t.Errorf("seed %d: %d beams find %v, greedy %v", seed, beams, answers[0].Score, greedy.Score)
			}
			if !slices.IsSortedFunc(answers, func(a, b Written) int { return int(math.Copysign(1, b.Score-a.Score)) }) {
				t.Errorf("seed %d: answers out of order: %v", seed, answers)
			}
		}
	}
}

// writtenIn are the types that products of writing read.
var writtenIn = []string{"float32", "bfloat16"}

// Texts beside a text change nothing in it, to the last bit, in no form of decoding.
func TestFillAloneOrTogether(t *testing.T) {
	for _, precision := range writtenIn {
		g := sharp(t, 8, 2)
		writeIn(t, g, precision)
		prompts := somePrompts(g)
		for name, d := range map[string]Decoding{
			"greedy": {Decoding: configs.Decoding{Beams: 1, MaxLength: 5}}, "beam": {Decoding: configs.Decoding{Beams: 4, MaxLength: 5, LengthPenalty: 1}},
		} {
			together := filled(t, g, prompts, d)
			for i := range prompts {
				if alone := filled(t, g, prompts[i:i+1], d)[0]; !reflect.DeepEqual(together[i], alone) {
					t.Errorf("%s, %s, text %d: %v, alone %v", precision, name, i, together[i], alone)
				}
			}
		}
	}
	g := sharp(t, 8, 2)
	prompts := somePrompts(g)
	samples := Decoding{Decoding: configs.Decoding{Beams: 1, MaxLength: 5, Sample: true, Temperature: 1}, Seed: 5}
	if a, b := filled(t, g, prompts, samples), filled(t, g, prompts, samples); !reflect.DeepEqual(a, b) {
		t.Error("the same seed draws otherwise")
	}
	first := filled(t, g, prompts, samples)
	samples.Seed = 6
	if reflect.DeepEqual(first, filled(t, g, prompts, samples)) {
		t.Error("another seed draws the same")
	}
}

func TestForbidden(t *testing.T) {
	g := sharp(t, 3, 4)
	for _, beams := range []int{1, 3} {
		d := Decoding{Decoding: configs.Decoding{Beams: beams, MinLength: 9, MaxLength: 10, NoRepeat: 2}}
		for _, w := range filled(t, g, somePrompts(g)[:1], d)[0][0] {
			seen := map[[2]int32]bool{}
			for i := 1; i < len(w.Tokens); i++ {
				pair := [2]int32{w.Tokens[i-1], w.Tokens[i]}
				if seen[pair] {
					t.Errorf("%d beams: %v repeats %v", beams, w.Tokens, pair)
				}
				seen[pair] = true
			}
		}
	}
	// Three words, none twice: no fourth token is left but the end.
	got := filled(t, g, somePrompts(g)[:1], Decoding{Decoding: configs.Decoding{Beams: 1, MinLength: 8, MaxLength: 9, NoRepeat: 1}})[0][0][0]
	if got.Ended || len(got.Tokens) != 4 { // the words and [SEP]
		t.Errorf("%+v", got)
	}
}

func TestFillRefuses(t *testing.T) {
	g := sharp(t, 3, 4)
	good := Decoding{Decoding: configs.Decoding{Beams: 1, MaxLength: 4}}
	p := somePrompts(g)[0]
	for name, test := range map[string]struct {
		prompt Prompt
		change func(*Decoding)
		want   string
	}{
		"a long text":   {Prompt{Tokens: make([]int32, 49), Blanks: []int{1}}, func(*Decoding) {}, "text 1 has 49 tokens, the model positions for 48"},
		"no blank":      {Prompt{Tokens: p.Tokens}, func(*Decoding) {}, "text 1 has no blank"},
		"long answers":  {p, func(d *Decoding) { d.MaxLength = 49 }, "the model has positions for 1 to 48"},
		"least length":  {p, func(d *Decoding) { d.MinLength = 4 }, "at least 4 tokens and, with its end, at most 4"},
		"no beam":       {p, func(d *Decoding) { d.Beams = 0 }, "0 beams find nothing"},
		"drawn beams":   {p, func(d *Decoding) { d.Beams, d.Sample, d.Temperature = 2, true, 1 }, "a beam is searched, not drawn"},
		"temperature":   {p, func(d *Decoding) { d.Sample = true }, "0 is not above 0"},
		"probabilities": {p, func(d *Decoding) { d.TopP = 2 }, "there is no share of tokens 2"},
	} {
		d := good
		test.change(&d)
		if _, err := g.Fill(context.Background(), []Prompt{test.prompt}, d, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.Fill(cancelled, []Prompt{p}, good, nil); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
	torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		w := g.model.params.get("transformer.final_layernorm.bias")
		s.SetFloats(w, slices.Repeat([]float32{float32(math.NaN())}, g.State.Model.Hidden))
		return s.Err()
	})
	if _, err := g.Fill(context.Background(), []Prompt{p}, good, nil); err == nil || !strings.Contains(err.Error(), "blank 1, token 1: the model's output is not a number") {
		t.Errorf("NaN: %v", err)
	}
}

// The step of one call says what single operations say, in every form of
// decoding, also where answers outgrow the room that there is at first.
func TestStepByOperations(t *testing.T) {
	for name, d := range map[string]Decoding{
		"greedy":  {Decoding: configs.Decoding{Beams: 1, MaxLength: 6}},
		"beam":    {Decoding: configs.Decoding{Beams: 5, MaxLength: 40, MinLength: 39, LengthPenalty: 0.7}},
		"samples": {Decoding: configs.Decoding{Beams: 1, MaxLength: 6, Sample: true, Temperature: 1.5}, Seed: 3},
	} {
		g := sharp(t, 8, 1)
		prompts := somePrompts(g)
		var answers [2][][][]Written
		if err := torch.Do(func() error {
			for i := range answers {
				sp := g.Tokenizer.Special()
				tokens := writingTokens{sop: sp.SOP, eop: sp.EOP, size: g.Tokenizer.Size(), never: []int32{sp.Pad, sp.Unk, sp.CLS, sp.Mask}}
				var fillings []*filling
				var texts [][]int32
				for n, p := range prompts {
					fillings, texts = append(fillings, newFilling(d, tokens, n, uint64(n), p.Blanks)), append(texts, p.Tokens)
				}
				if err := g.openWriter(); err != nil {
					return err
				}
				c, err := newCache(g.model.network.(*glm), []*torch.Writer{g.writer, nil}[i], texts, len(prompts)*d.Beams)
				if err != nil {
					return err
				}
				defer c.close()
				if err := fillAll(c, fillings, func() error { return nil }); err != nil {
					return err
				}
				if i == 1 && name == "beam" && c.capacity != 2*firstCapacity {
					t.Errorf("room for %d tokens", c.capacity)
				}
				for _, f := range fillings {
					answers[i] = append(answers[i], f.answers)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i, blanks := range answers[0] {
			for k, one := range blanks {
				for n, w := range one {
					if other := answers[1][i][k][n]; !slices.Equal(w.Tokens, other.Tokens) || math.Abs(w.LogProb-other.LogProb) > 1e-3 {
						t.Errorf("%s, text %d, blank %d: %v, by operations %v", name, i, k, w, other)
					}
				}
			}
		}
	}
}
