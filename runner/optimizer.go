//go:build cgo

package runner

import (
	"math"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// optimizer is AdamW over a model's parameters with its two moments.
type optimizer struct {
	config configs.Optimizer
	params *parameters
	m, v   []torch.Tensor
	decay  []float64
	scope  *torch.Scope
}

func newOptimizer(c configs.Optimizer, p *parameters) (*optimizer, error) {
	o := &optimizer{config: c, params: p, scope: torch.NewScope()}
	for _, w := range p.weights {
		o.m = append(o.m, o.scope.Zeros(torch.Float32, p.device, w.shape...))
		o.v = append(o.v, o.scope.Zeros(torch.Float32, p.device, w.shape...))
		decay := c.WeightDecay
		if len(w.shape) == 1 { // biases and LayerNorms (GLM repository, get_params_for_weight_decay_optimization)
			decay = 0
		}
		o.decay = append(o.decay, decay)
	}
	return o, o.scope.Err()
}

func (o *optimizer) close() { o.scope.Close() }

// step applies the gradients at a learning rate, clipped to the configured
// norm, and clears them. It returns the norm before clipping and whether the
// step was taken: a norm that is not finite leaves the weights alone.
func (o *optimizer) step(s *torch.Scope, lr float64, step int64) (norm float64, taken bool) {
	norm = s.GradNorm(o.params.tensors)
	taken = !math.IsNaN(norm) && !math.IsInf(norm, 0)
	if taken {
		scale := 1.0
		if clip := o.config.ClipNorm; clip > 0 {
			// PyTorch's clip_grad_norm_, whose 1e-6 keeps a zero norm harmless.
			scale = min(1, clip/(norm+1e-6))
		}
		c := o.config
		s.AdamW(o.params.tensors, o.m, o.v, o.decay, lr, c.Beta1, c.Beta2, c.Eps, step, scale)
	}
	s.ZeroGrad(o.params.tensors)
	return norm, taken
}
