//go:build cgo

package runner

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// memoryInUse is what a run takes on its device, bytes: this process' resident
// set on a CPU, what is taken of a GPU's memory; 0 where the system does not
// say. It runs on the tensor thread.
func memoryInUse(device torch.Device) int64 {
	if device != torch.CPU {
		taken, _ := torch.DeviceMemory()
		return int64(taken)
	}
	// Linux: pages of the whole, of the resident set, … (proc(5)).
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// effort is what a step, or several, did in a time.
type effort struct {
	tokens     float64
	flops      float64 // floating-point operations of the model
	seconds    float64
	waiting    float64 // of the seconds, for data
	exchanging float64 // of the seconds, with other ranks
}

// add takes a step into account, the ones before weighing by keep.
func (e *effort) add(step effort, keep float64) {
	e.tokens = e.tokens*keep + step.tokens
	e.flops = e.flops*keep + step.flops
	e.seconds = e.seconds*keep + step.seconds
	e.waiting = e.waiting*keep + step.waiting
	e.exchanging = e.exchanging*keep + step.exchanging
}

// pace is how fast a run goes, by the steps of late: the last one weighs most,
// the tenth before it a third of that. A single step's time says little.
type pace struct {
	peak float64 // operations a second that the device does at most; 0: not known
	late effort
	free time.Time // when the hooks of the step before had ended
}

const paceKeep = 0.9

// take puts the run's speed after a step into what is known of the step, which
// began when its micro-batches were asked for; they came after waited, and the
// exchange with other ranks took as long as exchanged. What passed before the hooks
// of the step before had ended is not its own.
func (p *pace) take(i *StepInfo, c configs.Model, micros []microBatch, began time.Time, waited, exchanged time.Duration) {
	if p.free.After(began) {
		began = p.free
	}
	i.effort = effort{seconds: time.Since(began).Seconds(), waiting: waited.Seconds(), exchanging: exchanged.Seconds()}
	for _, b := range micros {
		i.effort.tokens += float64(b.tokens())
		i.effort.flops += b.flops(c)
	}
	p.late.add(i.effort, paceKeep)
	i.TokensPerS, i.DataWait, i.Exchange, i.MFU = p.speeds(p.late)
}

// resume says that the hooks have ended.
func (p *pace) resume() { p.free = time.Now() }

// speeds are the tokens a second, the shares of the time that were spent waiting
// for data and in the exchange with other ranks, and the share of the device's peak
// that the model's work was.
func (p *pace) speeds(e effort) (tokensPerS, dataWait, exchange, mfu float64) {
	seconds := math.Max(e.seconds, 1e-9)
	if p.peak > 0 {
		mfu = e.flops / seconds / p.peak
	}
	return e.tokens / seconds, e.waiting / seconds, e.exchanging / seconds, mfu
}
