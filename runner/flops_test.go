//go:build cgo

package runner

import (
	"math"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// The pairs are those of GLM's mask (GLM repository, GPT2Model.forward): token i
// sees token j where j ≤ i or j < sep.
func TestVisiblePairs(t *testing.T) {
	for used := int64(1); used < 9; used++ {
		for sep := int64(0); sep <= used; sep++ {
			want := int64(0)
			for i := range used {
				for j := range used {
					if j <= i || j < sep && i < sep {
						want++
					}
				}
			}
			// A token of Part B sees all of Part A by j ≤ i already.
			if got := visiblePairs(sep, used); got != want {
				t.Errorf("%d tokens, %d of Part A: %d pairs, want %d", used, sep, got, want)
			}
		}
	}
}

// The work of a batch is that of its model's matrices: two operations for each
// of their elements and each token that passes, forward, three times that with
// the backward pass.
func TestFLOPs(t *testing.T) {
	for _, architecture := range []string{"glm", "bert"} {
		c := tiny(architecture)
		block := exampleBlock(t)
		b := newBatch([]spans.Block{block, block})
		ws, err := declare(c)
		if err != nil {
			t.Fatal(err)
		}
		matrices, head := 0.0, float64(c.Vocab*c.Hidden)
		for _, w := range ws {
			switch {
			case len(w.shape) != 2 || strings.Contains(w.name, "embeddings") || strings.Contains(w.name, "pooler"):
				// biases, tables, and what classifiers alone use
			case w.name == "cls.predictions.transform.dense.weight":
				head += float64(w.size())
			default:
				matrices += float64(w.size())
			}
		}
		tokens, seen, wanted := len(block.Input), visiblePairs(int64(block.Sep), int64(len(block.Input))), 0
		for i, counts := range block.LossMask {
			if counts != 0 {
				wanted += i + 1
			}
		}
		if architecture == "bert" {
			seen, wanted = int64(tokens*tokens), tokens*len(b.rows)/2
		}
		// Of twelve matrices of the last layer nine are for what the loss is taken of.
		targets, layers := len(b.rows), float64(c.Layers)
		passes := float64(2*tokens)*(layers-0.75)/layers + float64(targets)*0.75/layers
		want := 3 * (2*matrices*passes + 4*float64(c.Hidden)*(float64(2*seen)*(layers-1)+float64(2*wanted)) + 2*head*float64(targets))
		if got := b.flops(c); math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s: %g operations, want %g", architecture, got, want)
		}
	}
}

func TestPeaks(t *testing.T) {
	for _, device := range []struct {
		name         string
		half, single float64
	}{
		{"NVIDIA A100-SXM4-80GB", 312e12, 19.5e12},
		{"NVIDIA H100 80GB HBM3", 989e12, 67e12},
		{"NVIDIA H100 PCIe", 756e12, 51e12},
		{"Tesla V100-SXM2-16GB", 125e12, 15.7e12},
		{"NVIDIA L40S", 362e12, 0},
		{"NVIDIA L4", 121e12, 30.3e12},
		{"NVIDIA A10G", 0, 0},
		{"NVIDIA GeForce GT 710", 0, 0},
		{"", 0, 0},
	} {
		if half, single := publishedPeak(device.name, true), publishedPeak(device.name, false); half != device.half || single != device.single {
			t.Errorf("%q: %g and %g, want %g and %g", device.name, half, single, device.half, device.single)
		}
	}
	onThread(t, func() error {
		given, err := peakOf(configs.Compute{PeakTFLOPS: 2}, torch.CPU, computing{})
		if err != nil || given != 2e12 {
			t.Errorf("given 2 TFLOPS, the peak is %g (%v)", given, err)
		}
		measured, err := peakOf(configs.Compute{}, torch.CPU, computing{})
		if err != nil {
			return err
		}
		again, err := peakOf(configs.Compute{}, torch.CPU, computing{})
		if measured <= 0 || again != measured {
			t.Errorf("measured %g, then %g", measured, again)
		}
		return err
	})
}

// The speeds of several steps are those of their sums.
func TestPace(t *testing.T) {
	p := pace{peak: 100}
	var all effort
	all.add(effort{tokens: 10, flops: 200, seconds: 4, waiting: 1, exchanging: 2}, 1)
	all.add(effort{tokens: 30, flops: 200, seconds: 4, waiting: 3}, 1)
	tokens, wait, exchange, mfu := p.speeds(all)
	if tokens != 5 || wait != 0.5 || exchange != 0.25 || mfu != 0.5 {
		t.Errorf("%g tokens a second, %g waiting, %g exchanging, utilization %g; want 5, 0.5, 0.25 and 0.5", tokens, wait, exchange, mfu)
	}
	if tokens, wait, exchange, mfu := (&pace{}).speeds(effort{}); tokens != 0 || wait != 0 || exchange != 0 || mfu != 0 {
		t.Errorf("no step yet: %g, %g, %g, %g", tokens, wait, exchange, mfu)
	}
}
