//go:build cgo

package runner

import (
	"math"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// The counts follow from the published shapes: of GLM (GLM repository, config/)
// as L(12h²+13h) + 2h + V·h + 2(P+1)h; of BERT (Devlin et al. 2019) as
// L(12h²+13h) + (V+P+4)h + 2(h²+h) + 2h + V, which is Hugging Face's
// BertForPreTraining without the next-sentence head's 2h+2.
func TestParameterCounts(t *testing.T) {
	counts := map[string]int64{
		"glm-base": 109_338_624, "glm-large": 334_688_256, "glm-410m": 410_265_600, "glm-515m": 514_632_960,
		"glm-roberta-large": 354_873_344, "glm-2b": 1_920_122_880, "glm-10b": 9_880_682_496, "glm-10b-1024": 9_880_682_496,
		"glm-large-chinese": 355_659_776, "glm-10b-chinese": 9_879_633_920,
		// The ablations; sentinels add 1,022 words and padding.
		"glm-large-no-shuffle": 334_688_256, "glm-large-no-block-position": 334_688_256, "glm-large-sentinel": 334_688_256,
		"glm-small": 12_636_672, "glm-demo": 6_183_680,
		"bert-base": 110_158_720, "bert-large": 336_295_808, "bert-small": 12_766_592, "bert-demo": 6_240_512,
	}
	for _, preset := range configs.Presets() {
		c, err := configs.Load(preset, nil)
		if err != nil {
			t.Errorf("%s: %v", preset, err)
			continue
		}
		if c.Model.Vocab == 0 {
			c.Model.Vocab = 30592 // BERT's 30,522 and GLM's own tokens, padded to 128
		}
		got, err := CountParameters(c.Model)
		if want, known := counts[preset]; err != nil || got != want || !known {
			t.Errorf("%s: %d parameters, want %d (%v)", preset, got, want, err)
		}
	}
}

// BERT as published has these counts with its next-sentence head (Hugging Face's
// bert-base-uncased and bert-large-uncased).
func TestPublishedBERTs(t *testing.T) {
	for _, bert := range []struct {
		layers, hidden int
		want           int64
	}{{12, 768, 110_106_428}, {24, 1024, 336_226_108}} {
		got, err := CountParameters(configs.Model{Architecture: "bert", Layers: bert.layers, Hidden: bert.hidden, MaxPositions: 512, Vocab: 30522})
		if err != nil || got+2*int64(bert.hidden)+2 != bert.want {
			t.Errorf("%d layers: %d parameters and the head, want %d (%v)", bert.layers, got, bert.want, err)
		}
	}
}

func tiny(architecture string) configs.Model {
	return configs.Model{Architecture: architecture, Layers: 2, Hidden: 32, Heads: 4, MaxPositions: 48, Vocab: 128, InitStd: 0.02}
}

// drawn returns a model with starting weights.
func drawn(t *testing.T, c configs.Model, seed uint64) *model {
	t.Helper()
	return drawnOn(t, torch.CPU, c, seed)
}

func drawnOn(t *testing.T, device torch.Device, c configs.Model, seed uint64) *model {
	t.Helper()
	m, err := newModel(c, device)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.params.draw(seed, 0); err != nil {
		t.Fatal(err)
	}
	return m
}

func exampleBlock(t *testing.T) spans.Block {
	t.Helper()
	tokens := []int32{1, 20, 21, 22, 23, 24, 25, 26, 27, 28}
	b, err := spans.BuildBlock(tokens, []spans.Span{{Start: 6, End: 8}, {Start: 2, End: 3}}, 3, 100, 101)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Part A must not depend on Part B, nor Part B on what follows in it.
func TestAttentionIsBlocked(t *testing.T) {
	block := exampleBlock(t)
	last := len(block.Input) - 1
	for name, form := range forms() {
		onThread(t, func() error {
			m := drawn(t, tiny("glm"), 1)
			defer m.close()
			m.mode.attention = form
			states := func(x spans.Block) [][]float32 {
				s := torch.NewScope()
				defer s.Close()
				b := newBatch([]spans.Block{x})
				flat := s.Floats(m.hidden(s, b.to(s, m.device)))
				var rows [][]float32
				for i := range x.Input {
					rows = append(rows, flat[i*m.config.Hidden:(i+1)*m.config.Hidden])
				}
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				return rows
			}
			changed := func(at int) (first int) {
				x := block
				x.Input = append([]int32(nil), block.Input...)
				x.Input[at] = 77
				before, after := states(block), states(x)
				for i := range before {
					for j := range before[i] {
						if before[i][j] != after[i][j] {
							return i
						}
					}
				}
				return -1
			}
			for at := block.Sep; at <= last; at++ {
				if first := changed(at); first != at {
					t.Errorf("%s: changing token %d of Part B changes state %d first", name, at, first)
				}
			}
			if first := changed(block.Sep - 1); first != 0 {
				t.Errorf("%s: changing the end of Part A changes state %d first, want 0", name, first)
			}
			return nil
		})
	}
}

// A longer neighbour in the batch must not change a sequence's states.
func TestPaddingIsInvisible(t *testing.T) {
	long := exampleBlock(t)
	short, err := spans.BuildBlock([]int32{1, 30, 31, 32, 33}, []spans.Span{{Start: 2, End: 3}}, 3, 100, 101)
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"glm", "bert"} {
		onThread(t, func() error {
			c := tiny(architecture)
			m := drawn(t, c, 1)
			defer m.close()
			shape := func(x spans.Block) spans.Block {
				if architecture == "bert" {
					x.Sep, x.BlockPosition = len(x.Input), make([]int32, len(x.Input))
				}
				return x
			}
			s := torch.NewScope()
			defer s.Close()
			alone := s.Floats(m.hidden(s, newBatch([]spans.Block{shape(short)}).to(s, m.device)))
			beside := s.Floats(m.hidden(s, newBatch([]spans.Block{shape(short), shape(long)}).to(s, m.device)))
			for i := range alone {
				if math.Abs(float64(alone[i]-beside[i])) > 1e-5 {
					t.Errorf("%s: state element %d is %v alone, %v beside a longer sequence", architecture, i, alone[i], beside[i])
					break
				}
			}
			return s.Err()
		})
	}
}

// Untrained, every token is about equally likely.
func TestInitialLoss(t *testing.T) {
	for _, architecture := range []string{"glm", "bert"} {
		onThread(t, func() error {
			m := drawn(t, tiny(architecture), 5)
			defer m.close()
			x := exampleBlock(t)
			if architecture == "bert" {
				x.Sep, x.BlockPosition = len(x.Input), make([]int32, len(x.Input))
			}
			s := torch.NewScope()
			defer s.Close()
			b := newBatch([]spans.Block{x})
			got := s.Item(tokenLoss(s, m, b)) / b.weight()
			if want := math.Log(float64(m.config.Vocab)); math.Abs(got-want) > 0.1*want {
				t.Errorf("%s: initial loss %v, want about ln V = %v", architecture, got, want)
			}
			return s.Err()
		})
	}
}

// However a batch is split into micro-batches, the step is the same.
func TestAccumulationDoesNotChangeTheStep(t *testing.T) {
	long := exampleBlock(t)
	short, err := spans.BuildBlock([]int32{1, 30, 31, 32, 33}, []spans.Span{{Start: 2, End: 3}}, 3, 100, 101)
	if err != nil {
		t.Fatal(err)
	}
	splits := [][]microBatch{
		{newBatch([]spans.Block{short, long})},
		{newBatch([]spans.Block{short}), newBatch([]spans.Block{long})},
	}
	var infos []StepInfo
	for _, micros := range splits {
		onThread(t, func() error {
			m := drawn(t, tiny("glm"), 3)
			defer m.close()
			o, err := newOptimizer(configs.Optimizer{LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, ClipNorm: 1}, m.params, nil)
			if err != nil {
				return err
			}
			defer o.close()
			r := &session{model: m, optimizer: o, config: configs.Train{Schedule: configs.Schedule{Kind: "constant"}}, state: State{TotalSteps: 1}}
			info, err := r.update(1, micros)
			infos = append(infos, info)
			return err
		})
	}
	if len(infos) != 2 {
		t.FailNow()
	}
	if relative(infos[1].Loss, infos[0].Loss) > 1e-5 || relative(infos[1].GradNorm, infos[0].GradNorm) > 1e-4 {
		t.Errorf("whole: %+v, split: %+v", infos[0], infos[1])
	}
}

func TestLearningRate(t *testing.T) {
	const peak, total = 2e-3, 100
	for _, kind := range []string{"linear", "cosine"} {
		c := configs.Schedule{Kind: kind, Warmup: 0.1, FinalRatio: 0.05}
		for step, want := range map[int]float64{5: peak / 2, 10: peak, 100: peak * 0.05, 150: peak * 0.05} {
			if got := learningRate(peak, c, step, total); relative(got, want) > 1e-9 {
				t.Errorf("%s at %d = %v, want %v", kind, step, got, want)
			}
		}
		for step := 11; step <= total; step++ {
			if learningRate(peak, c, step, total) > learningRate(peak, c, step-1, total) {
				t.Errorf("%s rises at step %d", kind, step)
			}
		}
	}
	if got := learningRate(peak, configs.Schedule{Kind: "constant"}, 1, total); got != peak {
		t.Errorf("constant without warmup starts at %v", got)
	}
}
