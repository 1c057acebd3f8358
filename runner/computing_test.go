//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// gradients are the losses of two micro-batches and the gradients of all
// parameters.
func gradients(t *testing.T, architecture string, dropout float64, choose func(*mode)) (all []float32) {
	t.Helper()
	return gradientsOn(t, torch.CPU, architecture, dropout, choose)
}

func gradientsOn(t *testing.T, device torch.Device, architecture string, dropout float64, choose func(*mode)) (all []float32) {
	t.Helper()
	onThread(t, func() error {
		c := tiny(architecture)
		c.Dropout, c.AttentionDropout = dropout, dropout
		m := drawnOn(t, device, c, 7)
		defer m.close()
		m.mode.training = true
		choose(m.mode)
		long := exampleBlock(t)
		short, err := spans.BuildBlock([]int32{1, 30, 31, 32, 33}, []spans.Span{{Start: 2, End: 3}}, 3, 100, 101)
		if err != nil {
			return err
		}
		if architecture == "bert" {
			for _, b := range []*spans.Block{&long, &short} {
				b.Sep, b.BlockPosition = len(b.Input), make([]int32, len(b.Input))
			}
		}
		r := &session{model: m, optimizer: &optimizer{}}
		s := torch.NewScope()
		defer s.Close()
		for i, blocks := range [][]spans.Block{{short, long}, {long}} {
			loss, _ := r.backward(s, newBatch(blocks), 9, uint64(i))
			all = append(all, float32(s.Item(loss)))
		}
		for _, p := range m.params.tensors {
			all = append(all, s.Floats(s.Gradient(p))...)
		}
		return s.Err()
	})
	return all
}

// Layers computed anew give the same losses and gradients to the bit, dropout
// included.
func TestCheckpointedActivations(t *testing.T) {
	for _, architecture := range []string{"glm", "bert"} {
		for _, half := range []torch.DType{0, torch.BFloat16} {
			kept := gradients(t, architecture, 0.2, func(m *mode) { m.half = half })
			anew := gradients(t, architecture, 0.2, func(m *mode) { m.half, m.recompute = half, true })
			if len(kept) != len(anew) || len(kept) < 1000 {
				t.Fatalf("%s: %d and %d values", architecture, len(kept), len(anew))
			}
			for i := range kept {
				if kept[i] != anew[i] {
					t.Errorf("%s, %v: value %d is %v, computed anew %v", architecture, half, i, kept[i], anew[i])
					break
				}
			}
		}
	}
}

// A packed batch gives the loss and the gradients of the padded one, whatever the
// order of its tokens; where it cannot be had, a run is refused with the reason.
func TestPackedBatch(t *testing.T) {
	onThread(t, func() error {
		_, err := chooseComputing(configs.Compute{Precision: "float32", Attention: "packed"}, torch.CPU, tiny("glm"), 1)
		var refused *DeviceError
		if reason := torch.PackedProblem(torch.CPU, torch.Float32, 8, 0); (reason != nil) != errors.As(err, &refused) {
			t.Errorf("packed attention: problem %v, error %v", reason, err)
		}
		return nil
	})
	if t.Failed() || torch.PackedProblem(torch.CPU, torch.Float32, 8, 0) != nil {
		return
	}
	for _, architecture := range []string{"glm", "bert"} {
		for _, recompute := range []bool{false, true} {
			padded := gradients(t, architecture, 0, func(m *mode) { m.attention = torch.PlainAttention })
			packed := gradients(t, architecture, 0, func(m *mode) { m.attention, m.recompute = torch.PackedForm, recompute })
			name := fmt.Sprintf("%s, recomputed %v", architecture, recompute)
			if len(padded) != len(packed) {
				t.Fatalf("%s: %d and %d values", name, len(padded), len(packed))
			}
			for i := range padded {
				if d := math.Abs(float64(padded[i] - packed[i])); !(d <= 1e-5) {
					t.Errorf("%s: value %d is %v, packed %v", name, i, padded[i], packed[i])
					break
				}
			}
		}
	}
}

// What a device or several processes cannot do is refused before a run begins.
func TestChooseComputing(t *testing.T) {
	onThread(t, func() error {
		for _, wrong := range []struct {
			compute configs.Compute
			ranks   int
			device  bool // a *DeviceError, else a *configs.Error
		}{
			{configs.Compute{Precision: "float16"}, 1, true},
			{configs.Compute{Step: "device"}, 2, false},
		} {
			_, err := chooseComputing(wrong.compute, torch.CPU, tiny("glm"), wrong.ranks)
			var device *DeviceError
			var config *configs.Error
			if wrong.device && !errors.As(err, &device) || !wrong.device && !errors.As(err, &config) {
				t.Errorf("%+v, %d processes: error %v", wrong.compute, wrong.ranks, err)
			}
		}
		for step, want := range map[string]bool{"auto": false, "host": false, "device": true} {
			got, err := chooseComputing(configs.Compute{Precision: "float32", Step: step}, torch.CPU, tiny("glm"), 1)
			if err != nil || got.onDevice != want || got.half != 0 || got.precision() != "float32" {
				t.Errorf("compute.step %s on a CPU: %+v (%v)", step, got, err)
			}
		}
		return nil
	})
}

// pretrainToEnd is a run's directory behind a whole run; with stopAt above 0 of one
// that was stopped in this step, or the one that had begun behind it, and went on.
func pretrainToEnd(t *testing.T, c *configs.Config, corpus string, o Options, stopAt int) string {
	t.Helper()
	if stopAt > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		o.Observe = func(i StepInfo) {
			if i.Step == stopAt {
				cancel()
			}
		}
		_, err := Pretrain(ctx, c, corpus, corpus, o)
		var interrupted *Interrupted
		if !errors.As(err, &interrupted) || interrupted.Step < stopAt || interrupted.Step > stopAt+1 {
			t.Fatalf("%s: stopping after step %d: %v", o.Out, stopAt, err)
		}
		o.Observe = nil
	}
	if _, err := Pretrain(context.Background(), c, corpus, corpus, o); err != nil {
		t.Fatalf("%s: %v", o.Out, err)
	}
	return o.Out
}

// Steps that the device decides about are the host's but for rounding; a run of
// them that is stopped and goes on ends with the same bytes, and so does one that
// computes its layers anew.
func TestStepsOfTheDevice(t *testing.T) {
	f := prepare(t)
	dir := t.TempDir()
	run := func(name, step string, recompute bool, stopAt int) string {
		c := config(t, "glm")
		c.Compute.Precision, c.Compute.Step, c.Compute.CheckpointActivations = "float32", step, recompute
		o := Options{Out: filepath.Join(dir, name), Device: "cpu", Threads: 1}
		return pretrainToEnd(t, c, f.corpus, o, stopAt)
	}
	host, there := lines(t, run("host", "host", false, 0)), run("there", "device", false, 0)
	told := lines(t, there)
	if len(told) != len(host) {
		t.Fatalf("%d lines of metrics, by the host %d", len(told), len(host))
	}
	for i, want := range host {
		if got := told[i]; got.Step != want.Step || got.Tokens != want.Tokens || relative(got.Loss, want.Loss) > 1e-5 || relative(got.GradNorm, want.GradNorm) > 1e-4 || (got.Valid == nil) != (want.Valid == nil) {
			t.Errorf("by the device %+v, by the host %+v", got, want)
		}
	}
	want := finalFiles(t, there)
	for name, stopAt := range map[string]int{"anew": 0, "stopped": 2} {
		got := finalFiles(t, run(name, "device", stopAt == 0, stopAt))
		for _, file := range []string{modelFile, optimizerFile, stateFile} {
			if got[file] != want[file] {
				t.Errorf("%s: %s differs", name, file)
			}
		}
	}
}
