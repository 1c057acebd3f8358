//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// network is what the trainer and the evaluator need of an architecture.
type network interface {
	// hidden runs the encoder and returns [B, T, hidden], packed [1, tokens, hidden];
	// of a batch that wants some rows alone, [rows, hidden].
	hidden(s *torch.Scope, b tensors) torch.Tensor
	// vocabulary returns logits [N, V] of hidden rows [N, hidden]; with only
	// token ids of interest, [N, len(only)].
	vocabulary(s *torch.Scope, rows torch.Tensor, only torch.Tensor) torch.Tensor
	// pooled returns one vector [B, hidden] per sequence, of the states of the
	// sequences' first tokens ([CLS]).
	pooled(s *torch.Scope, first torch.Tensor) torch.Tensor
}

// model is a network with its weights.
type model struct {
	network
	config configs.Model
	params *parameters
	device torch.Device
	mode   *mode
	tape   *tape // of a forward pass whose backward pass is to come; nil: none
	// choosing is how a task's choices are scored; by default as they are.
	choosing choosing
}

// mode is what differs between training and evaluation, and how things are
// computed.
type mode struct {
	training bool
	computing
	// answers is the element type of matrix products while the model answers; 0:
	// Float32. kept are the weights in it, by name, in a scope of theirs.
	answers torch.DType
	kept    map[string]torch.Tensor
	keep    *torch.Scope
}

// product is the element type of matrix products.
func (m *mode) product() torch.DType {
	switch {
	case m.training:
		return m.computing.product()
	case m.answers != 0:
		return m.answers
	}
	return torch.Float32
}

// answerIn makes products read an element type from now on while the model answers,
// whose weights no longer change.
func (m *mode) answerIn(t torch.DType) {
	m.forget()
	m.answers = t
}

// forget frees the weights that were kept.
func (m *mode) forget() {
	if m.keep != nil {
		m.keep.Close()
	}
	m.kept, m.keep = nil, nil
}

// weight is what get returns as matrix products read it. While the model answers, it
// is converted once.
func (m *mode) weight(s *torch.Scope, name string, get func(s *torch.Scope) torch.Tensor) torch.Tensor {
	t := m.product()
	switch {
	case t == torch.Float32:
		return get(s)
	case m.training:
		return s.Cast(get(s), t)
	}
	if w, ok := m.kept[name]; ok {
		return w
	}
	w := s.Cast(get(s), t)
	if s.Err() != nil {
		return w
	}
	if m.kept == nil {
		m.kept, m.keep = map[string]torch.Tensor{}, torch.NewScope()
	}
	m.kept[name] = s.Move(m.keep, w)
	return w
}

// dropout returns p while training, else 0.
func (m *mode) dropout(p float64) float64 {
	if m.training {
		return p
	}
	return 0
}

// newModel makes a model with all weights zero: draw or load them next.
func newModel(c configs.Model, device torch.Device) (*model, error) {
	ws, err := declare(c)
	if err != nil {
		return nil, err
	}
	p, err := newParameters(ws, device)
	if err != nil {
		p.close()
		return nil, err
	}
	m := &model{config: c, params: p, device: device, mode: &mode{computing: computing{attention: fastestAttention(device)}}}
	if c.Architecture == "bert" {
		m.network = &bert{m}
	} else {
		m.network = &glm{m}
	}
	return m, nil
}

func (m *model) close() {
	m.mode.forget()
	m.params.close()
}

// read puts a batch on the model's device as its attention wants it. Branches of
// a Part B are for padded batches alone.
func (m *model) read(s *torch.Scope, b *batch) tensors {
	if m.mode.training && m.mode.attention == torch.PackedForm && b.starts == nil {
		return b.packed(s, m.device, m.config.Architecture == "bert")
	}
	return b.to(s, m.device)
}

// states returns the encoder's states [N, hidden] at rows of a batch, numbered as
// when it is padded. Behind the last layer's keys and values nothing else is
// computed there: no other token reads the rest.
func (m *model) states(s *torch.Scope, x tensors, rows []int64) torch.Tensor {
	x.want(s, rows, m.device)
	return m.hidden(s, x)
}

// addClassifier gives a model the head that scores pooled vectors.
func (m *model) addClassifier(outputs int, seed uint64) error {
	from := len(m.params.weights)
	for _, w := range classifierWeights(m.config, outputs) {
		m.params.add(w)
	}
	return m.params.draw(seed, from)
}

// affine is the weight and bias of a projection or a LayerNorm.
type affine struct {
	w, b torch.Tensor
	mode *mode
	name string
}

func (m *model) affine(name string) affine {
	return affine{m.params.get(name + ".weight"), m.params.get(name + ".bias"), m.mode, name}
}

// apply projects x, in the element type of matrix products.
func (a affine) apply(s *torch.Scope, x torch.Tensor) torch.Tensor {
	return a.mode.project(s, x, a.name, func(s *torch.Scope) torch.Tensor { return a.w }, func(s *torch.Scope) torch.Tensor { return a.b })
}

// project returns x·wᵀ + b in the element type of matrix products, of the projection
// of a name.
func (m *mode) project(s *torch.Scope, x torch.Tensor, name string, w, b func(s *torch.Scope) torch.Tensor) torch.Tensor {
	if t := m.product(); t != torch.Float32 {
		x = s.Cast(x, t)
	}
	return s.Linear(x, m.weight(s, name+".weight", w), m.weight(s, name+".bias", b))
}

// words returns the scores of words, x·wᵀ + b of float32 rows x; b may be undefined.
// Only while training are they rounded as other products are.
func (m *mode) words(s *torch.Scope, x, w, b torch.Tensor) torch.Tensor {
	if t := m.product(); m.training && t != torch.Float32 {
		x, w = s.Cast(x, t), s.Cast(w, t)
		if b.Defined() {
			b = s.Cast(b, t)
		}
	}
	return s.Linear(x, w, b)
}

// norm is LayerNorm in float32.
func (a affine) norm(s *torch.Scope, x torch.Tensor, eps float64) torch.Tensor {
	return s.LayerNorm(x, a.w, a.b, eps, torch.Float32)
}

// normForProduct is LayerNorm in the element type of the product that reads it.
func (a affine) normForProduct(s *torch.Scope, x torch.Tensor, eps float64) torch.Tensor {
	return s.LayerNorm(x, a.w, a.b, eps, a.mode.product())
}
