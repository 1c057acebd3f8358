//go:build cgo

package runner

import (
	"fmt"
	"math"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// weight declares one parameter before it exists: counting a model of ten
// billion parameters must not allocate them.
type weight struct {
	name  string
	shape []int64
	std   float64 // of the normal distribution it starts from; 0: constant
	fill  float32 // the constant
}

func (w weight) size() int64 {
	n := int64(1)
	for _, d := range w.shape {
		n *= d
	}
	return n
}

func normal(name string, std float64, shape ...int64) weight {
	return weight{name: name, shape: shape, std: std}
}

func zeros(name string, shape ...int64) weight { return weight{name: name, shape: shape} }

func ones(name string, shape ...int64) weight { return weight{name: name, shape: shape, fill: 1} }

// linear is a projection from in to out features, with bias.
func linear(name string, out, in int64, std float64) []weight {
	return []weight{normal(name+".weight", std, out, in), zeros(name+".bias", out)}
}

// layerNorm starts as the identity.
func layerNorm(name string, hidden int64) []weight {
	return []weight{ones(name+".weight", hidden), zeros(name+".bias", hidden)}
}

// declare lists the weights of a model in the order of the released
// checkpoints.
func declare(m configs.Model) ([]weight, error) {
	switch m.Architecture {
	case "glm":
		return glmWeights(m), nil
	case "bert":
		return bertWeights(m), nil
	}
	return nil, &configs.Error{Field: "model.architecture", Msg: fmt.Sprintf("unknown architecture %q", m.Architecture), Hint: "glm or bert"}
}

// classifierWeights are those of a linear head over pooled vectors (name of
// Hugging Face's BertForSequenceClassification), and a GLM's pooler (GLM
// repository, GLMForSequenceClassification).
func classifierWeights(m configs.Model, outputs int) []weight {
	var ws []weight
	h := int64(m.Hidden)
	if m.Architecture == "glm" {
		ws = linear("pool_layer", h, h, m.InitStd)
	}
	return append(ws, linear("classifier", int64(outputs), h, m.InitStd)...)
}

// CountParameters returns the number of parameters of a model without making
// it.
func CountParameters(m configs.Model) (int64, error) {
	ws, err := declare(m)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, w := range ws {
		n += w.size()
	}
	return n, nil
}

// parameters are a model's weights by name, in a fixed order.
type parameters struct {
	weights []weight
	tensors []torch.Tensor
	index   map[string]int
	scope   *torch.Scope
	device  torch.Device
}

// newParameters makes weights on a device, all of them zero.
func newParameters(ws []weight, device torch.Device) (*parameters, error) {
	p := &parameters{index: make(map[string]int, len(ws)), scope: torch.NewScope(), device: device}
	for _, w := range ws {
		p.add(w)
	}
	return p, p.scope.Err()
}

func (p *parameters) add(w weight) {
	t := p.scope.Zeros(torch.Float32, p.device, w.shape...)
	p.scope.RequireGrad(t)
	p.index[w.name] = len(p.tensors)
	p.weights = append(p.weights, w)
	p.tensors = append(p.tensors, t)
}

// draw gives weights from the one numbered from onwards their starting values,
// each from a generator of its own: adding a weight changes no other.
func (p *parameters) draw(seed uint64, from int) error {
	for i := from; i < len(p.weights); i++ {
		if err := p.drawOne(i, seed); err != nil {
			return err
		}
	}
	return nil
}

// drawOne gives one weight its starting values.
func (p *parameters) drawOne(i int, seed uint64) error {
	return p.weights[i].draw(p.scope, p.tensors[i], i, seed)
}

// draw gives a tensor the starting values of a weight, the i-th of its model.
func (w weight) draw(s *torch.Scope, x torch.Tensor, i int, seed uint64) error {
	torch.SetGrad(false)
	defer torch.SetGrad(true)
	switch {
	case w.std > 0:
		s.Seed(mix(seed, streamInit, uint64(i)))
		s.FillNormal(x, w.std)
	case w.fill != 0:
		values := make([]float32, w.size())
		for j := range values {
			values[j] = w.fill
		}
		s.SetFloats(x, values)
	}
	return s.Err()
}

// get returns the tensor of a declared weight.
func (p *parameters) get(name string) torch.Tensor {
	i, ok := p.index[name]
	if !ok {
		return torch.Tensor{}
	}
	return p.tensors[i]
}

func (p *parameters) count() int64 {
	var n int64
	for _, w := range p.weights {
		n += w.size()
	}
	return n
}

func (p *parameters) close() { p.scope.Close() }

// Streams keep the draws of different purposes apart under one seed.
const (
	streamInit uint64 = iota + 1
	streamDropout
	streamOrder
)

// mix hashes a seed and counters to a new seed (SplitMix64's finaliser,
// Steele et al. 2014), so that every draw is keyed by what it is for.
func mix(parts ...uint64) uint64 {
	var h uint64 = 0x9e3779b97f4a7c15
	for _, p := range parts {
		h ^= p + 0x9e3779b97f4a7c15 + h<<6 + h>>2
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// residualStd is the starting deviation of GLM's two projections into the
// residual stream (GLM repository, scaled_init_method).
func residualStd(c configs.Model) float64 { return c.InitStd / math.Sqrt(2*float64(c.Layers)) }
