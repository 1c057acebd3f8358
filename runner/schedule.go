//go:build cgo

package runner

import (
	"math"

	"github.com/glmkit/glmkit/configs"
)

// learningRate is the rate of a step, counted from 1, of a run of total steps
// (GLM repository, AnnealingLR): linear warmup to the peak, then decay to
// FinalRatio of it at the end of the decay steps, and constant afterwards. The
// authors' linear decay is not clamped there; ours is.
func learningRate(peak float64, c configs.Schedule, step, total int) float64 {
	decay := c.DecaySteps
	if decay <= 0 {
		decay = total
	}
	warmup := c.Warmup * float64(decay)
	at := float64(step)
	if at <= warmup {
		return peak * at / warmup
	}
	f := 1.0
	if rest := float64(decay) - warmup; rest > 0 {
		f = min(1, (at-warmup)/rest)
	}
	r := c.FinalRatio
	switch c.Kind {
	case "constant":
		return peak
	case "linear":
		return peak * (1 - (1-r)*f)
	default: // cosine
		return peak * (r + (1-r)*(1+math.Cos(math.Pi*f))/2)
	}
}
