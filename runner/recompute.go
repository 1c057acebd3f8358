//go:build cgo

package runner

import "github.com/glmkit/glmkit/runner/internal/torch"

// tape is what a forward pass that forgets its layers' activations leaves for the
// backward pass (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost;
// a segment is a layer).
type tape struct {
	layer  func(s *torch.Scope, x torch.Tensor, i int) torch.Tensor
	start  torch.Tensor   // what the first layer read, with its graph
	inputs []torch.Tensor // of each layer, without
	states []torch.Tensor // of the generator before each layer
	end    torch.Tensor   // what the last layer gave, a leaf
	// words stands for the tied word embeddings in the output layer: their gradient
	// from there and from the input come together at the end, as they do without
	// a tape.
	words, tied torch.Tensor
}

// stack runs x through all layers, and under compute.checkpoint_activations leaves
// a tape. tied names the weights that the output layer shares with the input.
func (m *model) stack(s *torch.Scope, x torch.Tensor, tied string, layer func(s *torch.Scope, x torch.Tensor, i int) torch.Tensor) torch.Tensor {
	m.tape = nil
	if !m.mode.training || !m.mode.recompute {
		for i := range m.config.Layers {
			x = layer(s, x, i)
		}
		return x
	}
	t := &tape{layer: layer, start: x, tied: m.params.get(tied)}
	torch.SetGrad(false)
	for i := range m.config.Layers {
		t.inputs, t.states = append(t.inputs, x), append(t.states, s.GeneratorState(m.device))
		x = s.Within(func(s *torch.Scope) torch.Tensor { return layer(s, x, i) })
	}
	torch.SetGrad(true)
	t.end, t.words = s.Leaf(x), s.Leaf(t.tied)
	m.tape = t
	return t.end
}

// tiedWords are the weights of the output layer.
func (m *model) tiedWords(name string) torch.Tensor {
	if m.tape != nil {
		return m.tape.words
	}
	return m.params.get(name)
}

// rewind takes the backward pass, which has come to the end of the tape, through
// the layers, each computed anew with the same dropout, and the embeddings.
func (m *model) rewind(s *torch.Scope) {
	t := m.tape
	if m.tape = nil; t == nil {
		return
	}
	gradient := s.Gradient(t.end)
	for i := len(t.inputs) - 1; i >= 0; i-- {
		gradient = s.Within(func(s *torch.Scope) torch.Tensor {
			s.SetGeneratorState(t.states[i], m.device)
			x := s.Leaf(t.inputs[i])
			s.BackwardFrom([]torch.Tensor{t.layer(s, x, i)}, []torch.Tensor{gradient})
			return s.Gradient(x)
		})
	}
	s.BackwardFrom([]torch.Tensor{t.start, t.tied}, []torch.Tensor{gradient, s.Gradient(t.words)})
}
