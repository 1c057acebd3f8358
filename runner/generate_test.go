//go:build cgo

package runner

import (
	"context"
	"math"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// The likelihood of a text's windows is what filling says of the same tokens.
func TestLikelihood(t *testing.T) {
	g := sharp(t, 8, 1)
	sp := g.Tokenizer.Special()
	text := g.Tokenizer.Encode(nil, "w1 w5 w2 w2 w7 w0 w3 w4 w6 w1")
	l := tasks.LanguageModel{Length: 7, Stride: 3, Special: sp, Mask: sp.Mask}
	scores, err := g.Score(context.Background(), l.Windows(text), Scoring{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, scored := 0, 1
	for i, got := range scores {
		start := i * l.Stride
		end := min(start+l.Length-1, len(text))
		prompt := append([]int32{sp.CLS}, text[start:scored]...)
		p := Prompt{Tokens: append(prompt, sp.Mask), Blanks: []int{len(prompt)}}
		if want := -g.scoreOf(t, p, nil, Written{Tokens: text[scored:end]}); math.Abs(got.NLL-want) > 1e-4 {
			t.Errorf("window %d: %v, want %v", i, got.NLL, want)
		}
		tokens, scored = tokens+got.Tokens, end
	}
	if tokens != len(text)-1 {
		t.Errorf("%d tokens scored of %d", tokens, len(text))
	}
	// A token with more than half of the probability is the likeliest.
	for id := range int32(g.Tokenizer.Size()) {
		got, err := g.Score(context.Background(), []spans.Block{l.LastWord(text[:3], []int32{id})}, Scoring{})
		if err != nil || got[0].Tokens != 1 || got[0].NLL < math.Ln2 && !got[0].Greedy || got[0].NLL > 5 && got[0].Greedy {
			t.Errorf("token %d: %+v, %v", id, got, err)
		}
	}
}

// A model of which everything can be computed by hand: whatever it reads, token
// i has probability (i+1) / (1 + 2 + ... + V). Each token of a text but the first
// counts once, however the windows lie.
func TestPerplexityByHand(t *testing.T) {
	g := sharp(t, 6, 1)
	v := g.State.Model.Vocab
	if err := torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		for i, w := range g.model.params.weights {
			values := make([]float32, w.size())
			switch w.name {
			case "word_embeddings.weight": // row i begins with the logarithm of i+1
				for id := range v {
					values[id*g.State.Model.Hidden] = float32(math.Log(float64(id + 1)))
				}
			case "transformer.final_layernorm.bias": // and is multiplied with this
				values[0] = 1
			}
			s.SetFloats(g.model.params.tensors[i], values)
		}
		return s.Err()
	}); err != nil {
		t.Fatal(err)
	}
	all := float64(v*(v+1)) / 2
	documents := [][]int32{g.Tokenizer.Encode(nil, "w1 w5 w2 w2 w0 w3 w4 w1 w0 w5 w2 w2 w0 w3"), g.Tokenizer.Encode(nil, "w4 w4"), g.Tokenizer.Encode(nil, "w0")}
	want, tokens := 0.0, 0
	for _, document := range documents {
		for _, id := range document[1:] {
			want += math.Log(all / float64(id+1))
			tokens++
		}
	}
	for _, windows := range [][2]int{{0, 0}, {4, 1}, {6, 2}, {7, 5}, {9, 3}} {
		for _, unidirectional := range []bool{false, true} {
			l, err := g.LanguageModel(windows[0], windows[1], unidirectional)
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			got, err := g.Perplexity(context.Background(), l, documents, Scoring{Progress: func(done, total int) { told = done * total / tokens }})
			if err != nil || got.Tokens != tokens || told != tokens || math.Abs(got.NLL-want) > 1e-4 {
				t.Errorf("windows %d, unidirectional %v: %+v and %d told, want %v over %d (%v)", windows, unidirectional, got, told, want, tokens, err)
			}
		}
	}
	// The likeliest word is the last of the vocabulary.
	l, err := g.LanguageModel(0, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	for id, greedy := range map[int32]bool{int32(v - 1): true, 7: false} {
		got, err := g.Score(context.Background(), []spans.Block{l.LastWord(documents[0], []int32{id})}, Scoring{})
		if err != nil || got[0].Greedy != greedy || math.Abs(got[0].NLL-math.Log(all/float64(id+1))) > 1e-5 {
			t.Errorf("token %d: %+v, %v", id, got, err)
		}
	}
	if _, err := g.LanguageModel(49, 0, true); err == nil {
		t.Error("windows longer than the tables")
	}
}
