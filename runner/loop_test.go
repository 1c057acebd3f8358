//go:build cgo

package runner

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// same yields one batch for ever.
type same struct{ b *batch }

func (s same) step(int) ([]microBatch, error) { return []microBatch{s.b}, nil }

// update is a whole step, its figures included.
func (r *session) update(step int, micros []microBatch) (StepInfo, error) {
	u, _, err := r.begin(step, micros)
	if err == nil {
		err = r.tally(u)
	}
	return u.info, err
}

// A gradient that is not finite leaves the weights alone and is counted; five
// in a row end the run with advice.
func TestNonFiniteStepsAreSkipped(t *testing.T) {
	dir := t.TempDir()
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 2)
		defer m.close()
		c := configs.Train{SaveEvery: 1, Optimizer: configs.Optimizer{LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, ClipNorm: 1}, Schedule: configs.Schedule{Kind: "constant"}}
		o, err := newOptimizer(c.Optimizer, m.params, nil)
		if err != nil {
			return err
		}
		defer o.close()
		r := &session{dir: dir, config: c, model: m, optimizer: o, state: State{TotalSteps: 20}, source: same{newBatch([]spans.Block{exampleBlock(t)})}}
		r.hooks = []hook{r.saving()}

		final := m.params.get("transformer.final_layernorm.bias")
		s := torch.NewScope()
		defer s.Close()
		broken := s.Floats(final)
		broken[0] = float32(math.Inf(1))
		s.SetFloats(final, broken)
		before := s.Floats(m.params.get("word_embeddings.weight"))

		err = r.train(context.Background())
		if err == nil || !strings.Contains(err.Error(), "not finite 5 times in a row") || !strings.Contains(err.Error(), "train.optimizer.lr") {
			t.Errorf("error = %v, want advice after five steps", err)
		}
		if r.state.Skipped != maxSkipped || r.state.Updates != 0 {
			t.Errorf("skipped %d, updates %d, want %d and 0", r.state.Skipped, r.state.Updates, maxSkipped)
		}
		for i, x := range s.Floats(m.params.get("word_embeddings.weight")) {
			if x != before[i] {
				t.Fatalf("weight %d changed from %v to %v", i, before[i], x)
			}
		}
		return s.Err()
	})
}

// A directory that holds something else than a run is not touched.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	if err := claim(dir); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := claim(dir); err != nil {
		t.Errorf("a run's directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := claim(dir); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("another file in it: %v", err)
	}
}
