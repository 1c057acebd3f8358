//go:build cgo

package runner

import (
	"context"
	"math"
	"testing"

	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// The likelihood of a text's windows is what filling says of the same tokens.
func TestLikelihood(t *testing.T) {
	g := sharp(t, 8, 1)
	sp := g.Tokenizer.Special()
	text := g.Tokenizer.Encode(nil, "w1 w5 w2 w2 w7 w0 w3 w4 w6 w1")
	l := tasks.LanguageModel{Length: 7, Stride: 3, Special: sp, Mask: sp.Mask}
	scores, err := g.Score(context.Background(), l.Windows(text), nil)
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
		got, err := g.Score(context.Background(), []spans.Block{l.LastWord(text[:3], []int32{id})}, nil)
		if err != nil || got[0].Tokens != 1 || got[0].NLL < math.Ln2 && !got[0].Greedy || got[0].NLL > 5 && got[0].Greedy {
			t.Errorf("token %d: %+v, %v", id, got, err)
		}
	}
}
