//go:build cgo

package runner

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// oracle returns the folder of test vectors, or skips the test.
func oracle(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GLMKIT_ORACLE")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "oracle")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test vectors: %v (GLMKIT_ORACLE names their folder)", err)
	}
	return dir
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type oracleConfig struct {
	Layers, Hidden, Heads, Vocab int
	MaxPos                       int `json:"max_pos"`
}

func (c oracleConfig) model() configs.Model {
	return configs.Model{Architecture: "glm", Layers: c.Layers, Hidden: c.Hidden, Heads: c.Heads, Vocab: c.Vocab, MaxPositions: c.MaxPos}
}

type oracleBatch struct {
	Input, Target [][]int32
	LossMask      [][]uint8   `json:"loss_mask"`
	Position      [][][]int32 // [batch][2][T]
	Sep           []int
}

func (o oracleBatch) blocks() []spans.Block {
	var out []spans.Block
	for i := range o.Input {
		out = append(out, spans.Block{Input: o.Input[i], Target: o.Target[i], LossMask: o.LossMask[i],
			Position: o.Position[i][0], BlockPosition: o.Position[i][1], Sep: o.Sep[i]})
	}
	return out
}

func relative(got, want float64) float64 { return math.Abs(got-want) / max(math.Abs(want), 1e-12) }

// onThread runs f on the tensor thread and checks that it leaves no tensor.
func onThread(t *testing.T, f func() error) {
	t.Helper()
	err := torch.Do(func() error {
		before := torch.Live()
		if err := f(); err != nil {
			return err
		}
		if left := torch.Live() - before; left != 0 {
			return fmt.Errorf("%d tensors left over", left)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// forms are the ways to compute attention that this libtorch has.
func forms() map[string]torch.AttentionForm {
	all := map[string]torch.AttentionForm{"own": torch.OwnAttention, "plain": torch.PlainAttention}
	if torch.FusedAttention() {
		all["libtorch"] = torch.LibtorchAttention
	}
	return all
}

func TestForwardOracle(t *testing.T) {
	dir := oracle(t)
	var want struct {
		oracleBatch
		Config       oracleConfig
		Checkpoint   string
		Loss         float64
		LogitsRow    []float64          `json:"logits_row"`
		LogitsSum    float64            `json:"logits_sum"`
		LogitsAbsSum float64            `json:"logits_abs_sum"`
		GradNorm     map[string]float64 `json:"grad_norm"`
	}
	readJSON(t, filepath.Join(dir, "forward.json"), &want)
	const tolerance = 1e-4
	for name, form := range forms() {
		t.Run(name, func(t *testing.T) {
			onThread(t, func() error {
				m, err := newModel(want.Config.model(), torch.CPU)
				if err != nil {
					return err
				}
				defer m.close()
				m.mode.attention = form
				if err := importWeights(filepath.Join(dir, want.Checkpoint), m); err != nil {
					return err
				}
				s := torch.NewScope()
				defer s.Close()
				b := newBatch(want.blocks())
				h := s.Reshape(m.hidden(s, b.to(s, m.device)), -1, int64(m.config.Hidden))
				logits := s.Floats(m.vocabulary(s, h, torch.Tensor{}))
				var sum, abs float64
				for _, x := range logits {
					sum += float64(x)
					abs += math.Abs(float64(x))
				}
				if relative(abs, want.LogitsAbsSum) > tolerance {
					t.Errorf("sum of |logits| = %v, want %v", abs, want.LogitsAbsSum)
				}
				if math.Abs(sum-want.LogitsSum) > tolerance*want.LogitsAbsSum {
					t.Errorf("sum of logits = %v, want %v", sum, want.LogitsSum)
				}
				if at := rowOf(logits, want.LogitsRow); at < 0 {
					t.Error("no row of the logits equals the given one")
				}
				loss := s.Scale(tokenLoss(s, m, b), 1/b.weight())
				if got := s.Item(loss); relative(got, want.Loss) > tolerance {
					t.Errorf("loss = %v, want %v", got, want.Loss)
				}
				s.Backward(loss)
				for name, norm := range want.GradNorm {
					p := m.params.get(name)
					if !p.Defined() {
						t.Errorf("the model has no parameter %s", name)
						continue
					}
					if got := s.GradNorm([]torch.Tensor{p}); relative(got, norm) > tolerance {
						t.Errorf("gradient norm of %s = %v, want %v", name, got, norm)
					}
				}
				if len(want.GradNorm) != len(m.params.weights) {
					t.Errorf("%d parameters, the vectors have %d", len(m.params.weights), len(want.GradNorm))
				}
				return s.Err()
			})
		})
	}
}

// rowOf finds the row of logits that equals row within the tolerance; which
// one it is the vectors do not say.
func rowOf(logits []float32, row []float64) int {
	for at := 0; at+len(row) <= len(logits); at += len(row) {
		same := true
		for j, want := range row {
			if math.Abs(float64(logits[at+j])-want) > 1e-4*max(1, math.Abs(want)) {
				same = false
				break
			}
		}
		if same {
			return at / len(row)
		}
	}
	return -1
}

func TestTrainCurveOracle(t *testing.T) {
	dir := oracle(t)
	var want struct {
		Config     oracleConfig
		Checkpoint string
		Optimizer  struct {
			Betas       [2]float64
			Eps         float64
			WeightDecay float64 `json:"weight_decay"`
			ClipNorm    float64 `json:"clip_norm"`
		}
		Schedule struct {
			Kind        string
			Peak        float64
			WarmupSteps int     `json:"warmup_steps"`
			TotalSteps  int     `json:"total_steps"`
			FinalRatio  float64 `json:"final_ratio"`
		}
		Batches []oracleBatch
		Curve   []struct {
			Step     int
			LR, Loss float64
			GradNorm float64 `json:"grad_norm"`
		}
	}
	readJSON(t, filepath.Join(dir, "train_curve.json"), &want)
	for _, onDevice := range []bool{false, true} {
		onThread(t, func() error {
			m, err := newModel(want.Config.model(), torch.CPU)
			if err != nil {
				return err
			}
			defer m.close()
			if err := importWeights(filepath.Join(dir, want.Checkpoint), m); err != nil {
				return err
			}
			sc := configs.Schedule{Kind: want.Schedule.Kind, FinalRatio: want.Schedule.FinalRatio,
				Warmup: float64(want.Schedule.WarmupSteps) / float64(want.Schedule.TotalSteps)}
			oc := configs.Optimizer{LR: want.Schedule.Peak, Beta1: want.Optimizer.Betas[0], Beta2: want.Optimizer.Betas[1],
				Eps: want.Optimizer.Eps, WeightDecay: want.Optimizer.WeightDecay, ClipNorm: want.Optimizer.ClipNorm}
			o, err := newOptimizer(oc, m.params, nil)
			if err != nil {
				return err
			}
			defer o.close()
			r := &session{model: m, optimizer: o, config: configs.Train{Schedule: sc}, state: State{TotalSteps: want.Schedule.TotalSteps}}
			if onDevice {
				if err := o.decideThere(&r.state, false); err != nil {
					return err
				}
			}
			for i, point := range want.Curve {
				b := newBatch(want.Batches[i%len(want.Batches)].blocks())
				info, err := r.update(point.Step, []microBatch{b})
				if err != nil || r.state.Skipped > 0 {
					return fmt.Errorf("step %d: skipped %d: %w", point.Step, r.state.Skipped, err)
				}
				if relative(info.LR, point.LR) > 1e-9 {
					t.Errorf("step %d: learning rate %v, want %v", point.Step, info.LR, point.LR)
				}
				if relative(info.Loss, point.Loss) > 1e-3 {
					t.Errorf("step %d: loss %v, want %v", point.Step, info.Loss, point.Loss)
				}
				if relative(info.GradNorm, point.GradNorm) > 1e-2 {
					t.Errorf("step %d: gradient norm %v, want %v", point.Step, info.GradNorm, point.GradNorm)
				}
			}
			return nil
		})
	}
}
