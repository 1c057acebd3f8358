//go:build cgo

package runner

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// goHeap is what Go's live objects take, in bytes.
func goHeap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers held in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A run goes on in the memory that its first tenth took, Go's heap and the
// resident set within 2 %, and frees every tensor of a step before the next one;
// validations, checkpoints and charts are part of it. make soak takes ten times as
// many steps.
func TestMemoryDoesNotGrow(t *testing.T) {
	steps := 2000
	if os.Getenv("GLMKIT_SOAK") != "" {
		steps = 20000
	}
	f := prepare(t)
	c := config(t, "glm")
	c.Model.Layers, c.Model.Hidden, c.Model.Heads = 1, 16, 2
	c.Train.Steps, c.Train.BatchSize, c.Train.MicroBatch, c.Train.Ramp.Steps = steps, 2, 0, 0
	c.Train.LogEvery, c.Train.ValidEvery, c.Train.SaveEvery = 10, steps/10, steps/10
	c.Compute.PeakTFLOPS = 1
	// Batches that are ready or under way differ in size from step to step: the
	// least of some steps counts.
	const around = 10
	type memory struct{ heap, resident int64 }
	least := func(m *memory) {
		m.heap, m.resident = min(m.heap, goHeap()), min(m.resident, memoryInUse(torch.CPU))
	}
	early, late := memory{math.MaxInt64, math.MaxInt64}, memory{math.MaxInt64, math.MaxInt64}
	tensors := 0
	_, err := Pretrain(context.Background(), c, f.corpus, f.corpus, Options{
		Out: filepath.Join(t.TempDir(), "run"), Device: "cpu", Threads: 1, TensorBoard: true,
		Observe: func(i StepInfo) {
			if live := torch.Live(); tensors == 0 {
				tensors = live
			} else if live != tensors {
				t.Errorf("step %d leaves %d tensors more than the first", i.Step, live-tensors)
			}
			if first := steps / 10; i.Step > first-around && i.Step <= first {
				least(&early)
			}
			if i.Step > steps-around {
				least(&late)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("from step %d to %d: Go's heap %.3f to %.3f MB, resident %.2f to %.2f MB",
		steps/10, steps, float64(early.heap)/1e6, float64(late.heap)/1e6, float64(early.resident)/1e6, float64(late.resident)/1e6)
	const allowed = 1.02
	if float64(late.heap) > float64(early.heap)*allowed {
		t.Errorf("Go's heap grew from %d to %d bytes", early.heap, late.heap)
	}
	if float64(late.resident) > float64(early.resident)*allowed {
		t.Errorf("the resident set grew from %d to %d bytes", early.resident, late.resident)
	}
}
