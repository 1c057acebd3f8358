//go:build cgo

package runner

import (
	"cmp"
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// clozeBlock is a context with a blank and what Part B holds for an answer:
// sop and all but its last token as input, the answer as targets.
func clozeBlock(context []int32, blank int, answer ...int32) spans.Block {
	const sop = 100
	var b spans.Block
	for i, token := range context {
		b.Input, b.Target, b.LossMask = append(b.Input, token), append(b.Target, token), append(b.LossMask, 0)
		b.Position, b.BlockPosition = append(b.Position, int32(i)), append(b.BlockPosition, 0)
	}
	b.Sep = len(context)
	input := append([]int32{sop}, answer...)
	for i, target := range answer {
		b.Input, b.Target, b.LossMask = append(b.Input, input[i]), append(b.Target, target), append(b.LossMask, 1)
		b.Position, b.BlockPosition = append(b.Position, int32(blank)), append(b.BlockPosition, int32(i+1))
	}
	return b
}

// Every scoring, answered in a batch of different lengths and numbers of
// choices, equals its definition computed one sequence at a time.
func TestScoresAreTheirDefinition(t *testing.T) {
	const eop = 101
	contextA, contextB := []int32{1, 20, 3, 21, 0}, []int32{1, 30, 31, 32, 33, 3, 34, 0}
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 9)
		defer m.close()

		// logProbability of each target of a block, from the whole vocabulary.
		logProbabilities := func(b spans.Block) []float64 {
			s := torch.NewScope()
			defer s.Close()
			x := newBatch([]spans.Block{b})
			h := s.Reshape(m.hidden(s, x.to(s, m.device)), -1, int64(m.config.Hidden))
			all := s.Floats(s.LogSoftmax(m.vocabulary(s, h, torch.Tensor{}), 1))
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			var out []float64
			for i, counts := range b.LossMask {
				if counts != 0 {
					out = append(out, float64(all[i*m.config.Vocab+int(b.Target[i])]))
				}
			}
			return out
		}
		sum := func(xs []float64) (total float64) {
			for _, x := range xs {
				total += x
			}
			return total
		}
		normalised := func(xs []float64) []float64 {
			total := 0.0
			for _, x := range xs {
				total += math.Exp(x)
			}
			out := make([]float64, len(xs))
			for i, x := range xs {
				out[i] = x - math.Log(total)
			}
			return out
		}
		check := func(name string, examples []tasks.Encoded, want [][]float64) {
			got, err := score(context.Background(), m, examples)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if len(got[i]) != len(want[i]) {
					t.Fatalf("%s: example %d has %d scores, want %d", name, i, len(got[i]), len(want[i]))
				}
				for j := range want[i] {
					if math.Abs(got[i][j]-want[i][j]) > 1e-4 {
						t.Errorf("%s: example %d, choice %d: score %v, want %v", name, i, j, got[i][j], want[i][j])
					}
				}
			}
		}

		multi := []tasks.Encoded{
			{Scoring: tasks.MultiToken, Sequences: []spans.Block{clozeBlock(contextA, 2, 40, eop), clozeBlock(contextA, 2, 41, 42, 43, eop)}},
			{Scoring: tasks.MultiToken, Sequences: []spans.Block{clozeBlock(contextB, 5, 44, eop), clozeBlock(contextB, 5, 45, 46, eop), clozeBlock(contextB, 5, 47, eop)}},
		}
		var want [][]float64
		for _, e := range multi {
			var sums []float64
			for _, b := range e.Sequences {
				sums = append(sums, sum(logProbabilities(b)))
			}
			want = append(want, normalised(sums))
		}
		check("multi-token", multi, want)

		verbalizers := []int32{50, 51, 52}
		var single []tasks.Encoded
		want = nil
		for _, c := range []struct {
			context []int32
			blank   int
		}{{contextA, 2}, {contextB, 5}} {
			single = append(single, tasks.Encoded{Scoring: tasks.SingleToken, Verbalizers: verbalizers, Sequences: []spans.Block{clozeBlock(c.context, c.blank, 0)}})
			var each []float64
			for _, id := range verbalizers {
				each = append(each, logProbabilities(clozeBlock(c.context, c.blank, id))[0])
			}
			want = append(want, normalised(each))
		}
		check("single-token", single, want)

		// The greedy answer is found by brute force, then both it and another
		// one are put to the test.
		var greedy int32
		best := math.Inf(-1)
		for id := range int32(m.config.Vocab) {
			if p := logProbabilities(clozeBlock(contextA, 2, id))[0]; p > best {
				best, greedy = p, id
			}
		}
		check("generative", []tasks.Encoded{
			{Scoring: tasks.Generative, Sequences: []spans.Block{clozeBlock(contextA, 2, greedy)}},
			{Scoring: tasks.Generative, Sequences: []spans.Block{clozeBlock(contextA, 2, greedy+1)}},
		}, [][]float64{{1}, {0}})
		return nil
	})
}

// A BERT's scores of a cloze question are what its pretraining's head says of the
// labels' words at [MASK], among them alone.
func TestMaskedScores(t *testing.T) {
	onThread(t, func() error {
		m := drawn(t, tiny("bert"), 9)
		defer m.close()
		words := []int32{50, 51, 52}
		question := func(blank int, tokens ...int32) spans.Block {
			b := spans.Block{Input: tokens, Target: tokens, LossMask: make([]uint8, len(tokens)), BlockPosition: make([]int32, len(tokens)), Sep: len(tokens)}
			for i := range tokens {
				b.Position = append(b.Position, int32(i))
			}
			b.LossMask[blank] = 1
			return b
		}
		var examples []tasks.Encoded
		for _, b := range []spans.Block{question(2, 1, 20, 3, 2), question(5, 1, 30, 31, 32, 33, 3, 34, 2)} {
			examples = append(examples, tasks.Encoded{Scoring: tasks.SingleToken, Verbalizers: words, Sequences: []spans.Block{b}})
		}
		got, err := score(context.Background(), m, examples)
		if err != nil {
			return err
		}
		for i, e := range examples {
			s := torch.NewScope()
			defer s.Close()
			b := newBatch(e.Sequences)
			all := s.Floats(s.LogSoftmax(rowLogits(s, m, b, torch.Tensor{}), 1))
			total := 0.0
			for _, id := range words {
				total += math.Exp(float64(all[id]))
			}
			for j, id := range words {
				if want := float64(all[id]) - math.Log(total); math.Abs(got[i][j]-want) > 1e-4 {
					t.Errorf("question %d, word %d: score %v, want %v", i, j, got[i][j], want)
				}
			}
			if err := s.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// A BERT's scores of choices of several tokens, worked out by hand: where all word
// vectors are 0, the head's bias is what it says at every [MASK].
func TestMaskedChoicesByHand(t *testing.T) {
	onThread(t, func() error {
		m := drawn(t, tiny("bert"), 9)
		defer m.close()
		s := torch.NewScope()
		s.SetFloats(m.params.get(bertWords), make([]float32, m.config.Vocab*m.config.Hidden))
		bias := make([]float32, m.config.Vocab)
		bias[40], bias[41] = float32(math.Log(9)), float32(math.Log(3)) // beside 126 words of 1
		s.SetFloats(m.params.get("cls.predictions.bias"), bias)
		if err := s.Err(); err != nil {
			return err
		}
		s.Close()
		const all = 9 + 3 + 126
		question := tasks.Encoded{Scoring: tasks.MultiToken, Choices: []string{"a", "b c", "d"}, Label: 1, Sequences: []spans.Block{
			clozeBlock([]int32{1, 20, 21, 2}, 2, 41, 0), clozeBlock([]int32{1, 20, 21, 2}, 2, 40, 41, 0), clozeBlock([]int32{1, 20, 21, 2}, 2, 50, 0),
		}}
		example := masked([]tasks.Encoded{question})[0]
		for penalty, of := range map[float64][]float64{
			0: {3. / all, 27. / (all * all), 1. / all},
			1: {3. / all, math.Sqrt(27) / all, 1. / all}, // the mean of the log-probabilities
		} {
			m.choosing = choosing{lengthPenalty: penalty}
			got, err := score(context.Background(), m, []tasks.Encoded{example})
			if err != nil {
				return err
			}
			total := of[0] + of[1] + of[2]
			for i, p := range of {
				if want := math.Log(p / total); math.Abs(got[0][i]-want) > 1e-5 {
					t.Errorf("length penalty %v, choice %d: %v, want %v", penalty, i, got[0][i], want)
				}
			}
			s := torch.NewScope()
			if got, want := s.Item(exampleLoss(s, m, newExampleBatch([]tasks.Encoded{example}))), -math.Log(of[1]/total); math.Abs(got-want) > 1e-5 {
				t.Errorf("length penalty %v: loss %v, want %v", penalty, got, want)
			}
			s.Close()
		}
		// The likeliest word is 40 at every [MASK]: that is what it writes.
		phrase := func(answer ...int32) tasks.Encoded {
			return masked([]tasks.Encoded{{Scoring: tasks.Generative, Sequences: []spans.Block{clozeBlock([]int32{1, 20, 21, 2}, 2, append(answer, 0)...)}}})[0]
		}
		got, err := score(context.Background(), m, []tasks.Encoded{phrase(40, 40), phrase(40, 41), phrase(40)})
		if err != nil {
			return err
		}
		if got[0][0] != 1 || got[1][0] != 0 || got[2][0] != 1 {
			t.Errorf("writes %v", got)
		}
		return nil
	})
}

// Ranked candidates are scored as choices are, and in training the first is the
// right one, whatever the label.
func TestRankedCandidates(t *testing.T) {
	const eop = 101
	context1 := []int32{1, 20, 3, 21, 0}
	sequences := []spans.Block{clozeBlock(context1, 2, 40, eop), clozeBlock(context1, 2, 41, 42, eop), clozeBlock(context1, 2, 43, eop)}
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 9)
		defer m.close()
		ranked := tasks.Encoded{Scoring: tasks.Ranked, Sequences: sequences, Choices: []string{"False", "True"}, Label: 1}
		multi := tasks.Encoded{Scoring: tasks.MultiToken, Sequences: sequences, Choices: []string{"a", "b", "c"}}
		of := func(e tasks.Encoded) ([]float64, float32) {
			got, err := score(context.Background(), m, []tasks.Encoded{e})
			if err != nil {
				t.Fatal(err)
			}
			s := torch.NewScope()
			defer s.Close()
			shorter := e // beside one with fewer candidates
			shorter.Sequences, shorter.Choices = e.Sequences[:2], e.Choices[:2]
			loss := s.Floats(exampleLoss(s, m, newExampleBatch([]tasks.Encoded{e, shorter})))
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			return got[0], loss[0]
		}
		scores, loss := of(ranked)
		want, wantLoss := of(multi)
		if !slices.Equal(scores, want) || loss != wantLoss {
			t.Errorf("scores %v and loss %v, want %v and %v", scores, loss, want, wantLoss)
		}
		return nil
	})
}

// The heads of the classification form: one logit per label, or per choice.
func TestClassificationScores(t *testing.T) {
	onThread(t, func() error {
		m := drawn(t, tiny("bert"), 9)
		defer m.close()
		if err := m.addClassifier(1, 4); err != nil {
			return err
		}
		pair := func(tokens ...int32) spans.Block {
			b := spans.Block{Input: tokens, Sep: len(tokens)}
			for i := range tokens {
				b.Position, b.BlockPosition = append(b.Position, int32(i)), append(b.BlockPosition, int32(i%2))
			}
			return b
		}
		a, b, c := pair(1, 20, 2, 30, 2), pair(1, 20, 21, 22, 2, 31, 2), pair(1, 40, 2)
		of := func(examples ...tasks.Encoded) [][]float64 {
			got, err := score(context.Background(), m, examples)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		two := tasks.Encoded{Scoring: tasks.ChoiceHead, Sequences: []spans.Block{a, b}}
		three := tasks.Encoded{Scoring: tasks.ChoiceHead, Sequences: []spans.Block{c, b, a}}
		alone, beside := of(two)[0], of(three, two)
		if len(beside[0]) != 3 || len(beside[1]) != 2 {
			t.Fatalf("numbers of scores: %d and %d, want 3 and 2", len(beside[0]), len(beside[1]))
		}
		for i := range alone {
			if math.Abs(alone[i]-beside[1][i]) > 1e-5 {
				t.Errorf("choice %d: %v alone, %v beside an example with more choices", i, alone[i], beside[1][i])
			}
		}
		// a and b differ by the same amount in both, whatever stands beside them.
		if got, want := beside[0][2]-beside[0][1], alone[0]-alone[1]; math.Abs(got-want) > 1e-4 {
			t.Errorf("difference of two choices: %v among three, %v among two", got, want)
		}
		return nil
	})
}

// Answers in bfloat16 are those in float32 but for its rounding, each by itself; they
// are said to be so, and none of float32 is taken over for one of them.
func TestAnswersInBFloat16(t *testing.T) {
	f := prepare(t)
	dir := t.TempDir()
	kept := filepath.Join(dir, "answers.jsonl")
	for architecture, prepared := range map[string]string{"glm": filepath.Join(f.cloze, "CB"), "bert": filepath.Join(f.masked, "COPA")} {
		run := filepath.Join(dir, architecture)
		if _, err := Pretrain(context.Background(), config(t, architecture), f.corpus, f.corpus, Options{Out: run, Device: "cpu", Threads: 1}); err != nil {
			t.Fatal(err)
		}
		scores := map[string][]float64{}
		for _, precision := range []string{"", "bfloat16", "bfloat16 again"} {
			notes := 0
			precision, _, again := strings.Cut(precision, " ")
			e, err := Evaluate(context.Background(), run, filepath.Join(prepared, "val.arrow"), Answering{
				Device: "cpu", Threads: 1, Precision: precision, Keep: func(tasks.Header) string { return kept }, Note: func(string) { notes++ },
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := cmp.Or(precision, "float32"); e.Precision != want {
				t.Errorf("%s: answers are in %s, want %s", architecture, e.Precision, want)
			}
			if precision != "" && (notes > 0) == again {
				t.Errorf("%s, %s, again %v: %d notes of answers found anew", architecture, precision, again, notes)
			}
			for _, p := range e.Predictions {
				scores[precision] = append(scores[precision], p.Scores...)
			}
			scores[precision] = scores[precision][:len(scores[""])]
		}
		different := 0
		for i, want := range scores[""] {
			d := math.Abs(scores["bfloat16"][i] - want)
			if d > 0.05 {
				t.Errorf("%s: score %d is %v, in bfloat16 %v", architecture, i, want, scores["bfloat16"][i])
			}
			if d > 0 {
				different++
			}
		}
		if different == 0 {
			t.Errorf("%s: bfloat16 changed nothing", architecture)
		}
	}
	if _, err := Evaluate(context.Background(), filepath.Join(dir, "glm"), filepath.Join(f.cloze, "CB", "val.arrow"), Answering{Device: "cpu", Precision: "float64"}); err == nil || !strings.Contains(err.Error(), "--precision") {
		t.Errorf("float64: error %v", err)
	}
}
