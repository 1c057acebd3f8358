//go:build cgo

package runner

import (
	"math"

	"github.com/glmkit/glmkit/tasks"
)

// StepInfo is one optimizer step as seen from outside.
type StepInfo struct {
	Step, Total int
	Loss        float64 // mean per target token (pretraining) or example (finetuning), nats
	// LossBy is the loss of each objective of a mixture (token, sentence,
	// document), in nats per target token; nil where there is one alone.
	LossBy     map[string]float64
	GradNorm   float64 // before clipping
	LR         float64
	Tokens     int64   // read so far, padding left out
	TokensPerS float64 // of late, as DataWait, Exchange and MFU are
	DataWait   float64 // share of the time in which the device waited for data
	Exchange   float64 // share of the time in which this rank waited for the others and the network
	MFU        float64 // model FLOPs utilization: share of the device's peak; 0: not known
	Memory     int64   // bytes: the resident set on a CPU, what is taken of a GPU's; 0: not known
	Valid      float64 // validation loss, when this step measured it
	HasValid   bool
	// ValidBy is the validation loss of each objective of a GLM, in nats per target
	// token.
	ValidBy map[string]float64
	// Dev is the task's metrics on the dev split, when this step measured them.
	Dev []tasks.Metric

	effort effort       // of this step
	by     perObjective // what LossBy is made of
}

// hook is what a run does after its steps beside training. Hooks run in order;
// one may add to what the next ones know of the step.
type hook struct {
	name string // as in "logging at step 7"
	// due tells after which steps it runs, before the next one begins; nil: after
	// every step, when its figures have come.
	due   func(step int) bool
	after func(*StepInfo) error
}

func due(step, every int) bool { return every > 0 && step%every == 0 }

// validation is a loss on held-out data, in nats per target token.
type validation struct {
	loss float64
	by   map[string]float64 // objective
}

// watching looks at the memory.
func (r *session) watching() hook {
	return hook{name: "watching", after: func(i *StepInfo) error {
		i.Memory = memoryInUse(r.model.device)
		return nil
	}}
}

// validating measures a held-out loss every ValidEvery steps and at the end, and
// remembers where it was the lowest.
func (r *session) validating(measure func() (validation, error)) hook {
	now := func(step int) bool { return r.ended || due(step, r.config.ValidEvery) }
	return hook{name: "validating", due: now, after: func(i *StepInfo) error {
		v, err := measure()
		i.Valid, i.ValidBy, i.HasValid = v.loss, v.by, true
		if best := r.state.Best; r.config.KeepBest && v.loss < math.Inf(1) && (best == nil || v.loss < best.Loss) {
			r.state.Best = &Best{Step: i.Step, Loss: v.loss}
		}
		return err
	}}
}

// logging appends to metrics.jsonl.
func (r *session) logging(l *metricsLog) hook {
	return hook{name: "logging", after: func(i *StepInfo) error {
		return l.write(*i, r.ended || due(i.Step, r.config.LogEvery))
	}}
}

// observing tells somebody outside of every step.
func (r *session) observing(observe func(StepInfo)) hook {
	return hook{name: "observing", after: func(i *StepInfo) error {
		observe(*i)
		return nil
	}}
}

// saving writes a checkpoint every SaveEvery steps, where the validation loss is
// the best so far, and at the end.
func (r *session) saving() hook {
	now := func(step int) bool {
		return r.ended || due(step, r.config.SaveEvery) || r.state.Best != nil && r.state.Best.Step == step
	}
	return hook{name: "saving", due: now, after: func(*StepInfo) error { return r.save() }}
}
