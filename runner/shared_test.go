//go:build cgo

package runner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// drawExamples makes cloze questions of choices of 1 to 4 tokens. Some choices of
// an example have a shorter context than the others, as where they are cut to fit.
func drawExamples(rng *rand.Rand, scoring tasks.Scoring, n int) []tasks.Encoded {
	const eop = 101
	words := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = int32(10 + rng.IntN(80))
		}
		return out
	}
	examples := make([]tasks.Encoded, n)
	for i := range examples {
		e := &examples[i]
		e.Scoring, e.Verbalizers = scoring, []int32{50, 51, 52}
		text := words(4 + rng.IntN(20))
		blank := rng.IntN(len(text) - 1)
		choices := 1
		if scoring.Candidates() {
			choices = 2 + rng.IntN(9)
		}
		for range choices {
			context := text
			if rng.IntN(4) == 0 {
				context = text[:len(text)-1]
			}
			answer := append(words(1+rng.IntN(4)), eop)
			if scoring == tasks.SingleToken {
				answer = []int32{0}
			}
			e.Sequences = append(e.Sequences, clozeBlock(context, blank, answer...))
			e.Choices = append(e.Choices, fmt.Sprint(answer))
		}
		e.Label = rng.IntN(choices)
	}
	return examples
}

// masked puts cloze questions to a BERT: as many blanks as an answer has tokens
// but eop, which are read there.
func masked(examples []tasks.Encoded) []tasks.Encoded {
	const mask = 3
	for i := range examples {
		for c, b := range examples[i].Sequences {
			answer := b.Target[b.Sep:]
			if n := len(answer) - 1; n > 0 {
				answer = answer[:n]
			}
			at := int(b.Position[b.Sep])
			tokens := slices.Insert(slices.Clone(b.Input[:b.Sep]), at, slices.Repeat([]int32{mask}, len(answer))...)
			x := spans.Block{Input: tokens, Target: slices.Clone(tokens), LossMask: make([]uint8, len(tokens)), BlockPosition: make([]int32, len(tokens)), Sep: len(tokens)}
			for j := range tokens {
				x.Position = append(x.Position, int32(j))
			}
			for j, target := range answer {
				x.Target[at+j], x.LossMask[at+j] = target, 1
			}
			examples[i].Sequences[c] = x
		}
	}
	return examples
}

// alone is the logits of an example's choices, each of which is an example, and
// so a sequence, of its own.
func alone(s *torch.Scope, m *model, e tasks.Encoded) torch.Tensor {
	var each []torch.Tensor
	for _, b := range e.Sequences {
		one := tasks.Encoded{Scoring: tasks.MultiToken, Sequences: []spans.Block{b}}
		each = append(each, s.Reshape(choiceLogits(s, m, newExampleBatch([]tasks.Encoded{one})), 1))
	}
	return s.Reshape(s.Cat(each...), 1, -1)
}

// Choices that share a context have the scores that they have in sequences of
// their own, and so has the loss its gradient, in every form of attention.
func TestSharedContexts(t *testing.T) {
	asked := map[string]torch.AttentionForm{"of a BERT": torch.OwnAttention}
	for name, form := range forms() {
		asked[name] = form
	}
	for name, form := range asked {
		t.Run(name, func(t *testing.T) {
			onThread(t, func() error {
				architecture := "glm"
				if name == "of a BERT" {
					architecture = "bert"
				}
				m := drawn(t, tiny(architecture), 9)
				defer m.close()
				m.mode.attention = form
				examples := drawExamples(rand.New(rand.NewPCG(5, 0)), tasks.MultiToken, 12)
				most := 2 // choices to a sequence, at least, on average
				if architecture == "bert" {
					examples, most = masked(examples), 1 // those of as many tokens share one
				}
				sequences, shared := 0, 0
				for _, e := range examples {
					sequences, shared = sequences+len(e.Sequences), shared+newExampleBatch([]tasks.Encoded{e}).size
				}
				if shared >= sequences/most || shared <= len(examples) {
					t.Errorf("%d choices in %d sequences: want some examples with one context and some with two", sequences, shared)
				}
				scores, err := score(context.Background(), m, examples)
				if err != nil {
					return err
				}
				for i, e := range examples {
					s := torch.NewScope()
					want := s.Floats(s.LogSoftmax(alone(s, m, e), 1))
					if err := s.Err(); err != nil {
						return err
					}
					s.Close()
					for c := range want {
						if d := math.Abs(scores[i][c] - float64(want[c])); !(d < 1e-5) {
							t.Errorf("example %d, choice %d: %v shared, %v alone", i, c, scores[i][c], want[c])
						}
					}
					if got, want := slices.Index(scores[i], slices.Max(scores[i])), slices.Index(want, slices.Max(want)); got != want {
						t.Errorf("example %d: choice %d is best shared, %d alone", i, got, want)
					}
				}

				gradients := func(loss func(s *torch.Scope) torch.Tensor) (float64, []float64) {
					s := torch.NewScope()
					defer s.Close()
					l := loss(s)
					s.Backward(l)
					value := s.Item(l)
					var norms []float64
					for _, p := range m.params.tensors {
						norms = append(norms, s.GradNorm([]torch.Tensor{p}))
					}
					s.ZeroGrad(m.params.tensors)
					if err := s.Err(); err != nil {
						t.Error(err)
					}
					return value, norms
				}
				got, gotNorms := gradients(func(s *torch.Scope) torch.Tensor { return exampleLoss(s, m, newExampleBatch(examples)) })
				want, wantNorms := gradients(func(s *torch.Scope) torch.Tensor {
					var losses []torch.Tensor
					for _, e := range examples {
						losses = append(losses, s.Reshape(s.CrossEntropySum(alone(s, m, e), index(s, []int64{int64(e.Label)}, m.device), 0), 1))
					}
					return s.Sum(s.Cat(losses...))
				})
				if relative(got, want) > 1e-5 {
					t.Errorf("loss %v shared, %v alone", got, want)
				}
				for i := range wantNorms {
					if math.Abs(gotNorms[i]-wantNorms[i]) > 1e-4*(wantNorms[i]+1e-2) {
						t.Errorf("norm of the gradient of %s: %v shared, %v alone", m.params.weights[i].name, gotNorms[i], wantNorms[i])
					}
				}
				return nil
			})
		})
	}
}

// Scores are the same bits whatever stands beside an example.
func TestScoresDoNotDependOnTheBatch(t *testing.T) {
	for _, scoring := range []tasks.Scoring{tasks.SingleToken, tasks.MultiToken, tasks.Generative, tasks.ClassHead, tasks.ChoiceHead} {
		for _, architecture := range []string{"glm", "bert"} {
			onThread(t, func() error {
				m := drawn(t, tiny(architecture), 3)
				defer m.close()
				outputs := 1
				if scoring == tasks.ClassHead {
					outputs = 3
				}
				if err := m.addClassifier(outputs, 4); err != nil {
					return err
				}
				rng := rand.New(rand.NewPCG(8, 0))
				examples := drawExamples(rng, scoring, 20)
				if architecture == "bert" && !scoring.Head() {
					examples = masked(examples)
				}
				if scoring == tasks.ClassHead {
					for i := range examples {
						examples[i].Choices = []string{"a", "b", "c"}
					}
				}
				if scoring.Head() {
					for i := range examples {
						for c := range examples[i].Sequences {
							b := &examples[i].Sequences[c]
							for j := range b.BlockPosition { // two texts, seen whole
								b.BlockPosition[j] = min(1, b.BlockPosition[j])
							}
							b.Sep = len(b.Input)
						}
					}
				}
				var failed error
				of := func(examples ...tasks.Encoded) [][]float64 {
					scores, err := score(context.Background(), m, examples)
					failed = cmp.Or(failed, err)
					return scores
				}
				var want [][]float64
				for _, e := range examples {
					want = append(want, of(e)...)
				}
				order := rng.Perm(len(examples))
				shuffled := make([]tasks.Encoded, len(examples))
				for i, j := range order {
					shuffled[i] = examples[j]
				}
				together, mixed := of(examples...), of(shuffled...)
				if failed != nil {
					return failed
				}
				for i, j := range order {
					if !slices.Equal(together[i], want[i]) || !slices.Equal(mixed[i], want[j]) {
						t.Errorf("%s, %s: an example's scores are %v by itself, %v among others; another's %v, and %v in another order", scoring, architecture, want[i], together[i], want[j], mixed[i])
					}
				}
				return nil
			})
		}
	}
}

// Each loss and the length penalty are what the GLM repository computes, by
// numbers worked out from the scores.
func TestLosses(t *testing.T) {
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 9)
		defer m.close()
		examples := drawExamples(rand.New(rand.NewPCG(6, 0)), tasks.MultiToken, 4)
		for _, penalty := range []float64{0, 1, 0.5} {
			m.choosing = choosing{}
			var sums [][]float64 // each choice's log-probability over its length to the power
			for _, e := range examples {
				s := torch.NewScope()
				values := s.Floats(alone(s, m, e))
				s.Close()
				row := make([]float64, len(values))
				for c, v := range values {
					tokens := len(e.Sequences[c].Input) - e.Sequences[c].Sep
					row[c] = float64(v) / math.Pow(float64(tokens), penalty)
				}
				sums = append(sums, row)
			}
			want := map[string]float64{}
			for i, row := range sums {
				right, total := row[examples[i].Label], 0.0
				for c, x := range row {
					total += math.Exp(x)
					if c != examples[i].Label {
						want[configs.HingeLoss] += max(0, 1+x-right)
					}
				}
				want[configs.CrossEntropyLoss] += math.Log(total) - right
				want[configs.GenerativeLoss] -= right
			}
			want[configs.MixLoss] = want[configs.CrossEntropyLoss] + want[configs.GenerativeLoss]
			for loss, want := range want {
				m.choosing = choosing{loss: loss, lengthPenalty: penalty}
				s := torch.NewScope()
				if got := s.Item(exampleLoss(s, m, newExampleBatch(examples))); relative(got, want) > 1e-5 {
					t.Errorf("%s, length penalty %v: %v, want %v", loss, penalty, got, want)
				}
				s.Close()
			}
		}
		return nil
	})
}
