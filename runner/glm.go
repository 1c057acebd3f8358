//go:build cgo

package runner

import (
	"fmt"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// glm is the Transformer of GLM: pre-LayerNorm, GELU by its tanh approximation,
// two learned position tables, one tied output layer (GLM repository,
// GPT2ParallelTransformer; paper section 2.3).
type glm struct{ *model }

const (
	glmNormEps = 1e-5
	glmWords   = "word_embeddings.weight" // tied to the output layer
)

// glmWeights are named and ordered as in the released checkpoints. Both
// position tables have one row more than the longest sequence.
func glmWeights(c configs.Model) []weight {
	h, v, p := int64(c.Hidden), int64(c.Vocab), int64(c.MaxPositions)
	std := c.InitStd
	ws := []weight{
		normal(glmWords, std, v, h),
		normal("transformer.position_embeddings.weight", std, p+1, h),
		normal("transformer.block_position_embeddings.weight", std, p+1, h),
	}
	residual := residualStd(c)
	for i := range c.Layers {
		layer := fmt.Sprintf("transformer.layers.%d.", i)
		ws = append(ws, layerNorm(layer+"input_layernorm", h)...)
		ws = append(ws, linear(layer+"attention.query_key_value", 3*h, h, std)...)
		ws = append(ws, linear(layer+"attention.dense", h, h, residual)...)
		ws = append(ws, layerNorm(layer+"post_attention_layernorm", h)...)
		ws = append(ws, linear(layer+"mlp.dense_h_to_4h", 4*h, h, std)...)
		ws = append(ws, linear(layer+"mlp.dense_4h_to_h", h, 4*h, residual)...)
	}
	return append(ws, layerNorm("transformer.final_layernorm", h)...)
}

func (g *glm) hidden(s *torch.Scope, b tensors) torch.Tensor {
	return g.encode(s, b, func(s *torch.Scope, qkv torch.Tensor, layer int) torch.Tensor {
		return b.attend(s, qkv, b.sep, g.model, layer)
	})
}

// embed is the sum of the three embeddings of each token.
func (g *glm) embed(s *torch.Scope, b tensors) torch.Tensor {
	x := s.Embedding(g.params.get(glmWords), b.input)
	x = s.Add(x, s.Embedding(g.params.get("transformer.position_embeddings.weight"), b.position))
	x = s.Add(x, s.Embedding(g.params.get("transformer.block_position_embeddings.weight"), b.block))
	return s.Dropout(x, g.mode.dropout(g.config.Dropout))
}

// encode runs the layers; attend is called in each, with queries, keys and values
// side by side, in their order, and again where the backward pass computes a layer
// anew.
func (g *glm) encode(s *torch.Scope, b tensors, attend func(s *torch.Scope, qkv torch.Tensor, layer int) torch.Tensor) torch.Tensor {
	drop := g.mode.dropout(g.config.Dropout)
	x := g.stack(s, g.embed(s, b), glmWords, func(s *torch.Scope, x torch.Tensor, i int) torch.Tensor {
		layer := fmt.Sprintf("transformer.layers.%d.", i)
		a := g.affine(layer+"input_layernorm").normForProduct(s, x, glmNormEps)
		a = g.affine(layer+"attention.query_key_value").apply(s, a)
		x, a = b.wanted(s, g.model, i, x, attend(s, a, i))
		x = s.AddDropped(x, g.affine(layer+"attention.dense").apply(s, a), drop)
		f := g.affine(layer+"post_attention_layernorm").normForProduct(s, x, glmNormEps)
		f = s.GELU(g.affine(layer+"mlp.dense_h_to_4h").apply(s, f), true)
		return s.AddDropped(x, g.affine(layer+"mlp.dense_4h_to_h").apply(s, f), drop)
	})
	return g.affine("transformer.final_layernorm").norm(s, x, glmNormEps)
}

// vocabulary is tied to the word embeddings, without bias.
func (g *glm) vocabulary(s *torch.Scope, rows, only torch.Tensor) torch.Tensor {
	w := g.tiedWords(glmWords)
	if only.Defined() {
		w = s.Rows(w, only)
	}
	return g.mode.words(s, rows, w, torch.Tensor{})
}

// pooled is the pooler of GLM's classifier over [CLS], with dropout while
// training (GLM repository, GLMForSequenceClassification, --pool-token cls).
func (g *glm) pooled(s *torch.Scope, first torch.Tensor) torch.Tensor {
	return denseTanh(s, g.mode, first, g.affine("pool_layer"), g.config.Dropout)
}

// denseTanh is tanh(dense(x)), dropped out while training.
func denseTanh(s *torch.Scope, mode *mode, x torch.Tensor, dense affine, dropout float64) torch.Tensor {
	return s.Dropout(s.Tanh(s.Linear(x, dense.w, dense.b)), mode.dropout(dropout))
}
