//go:build cgo

package runner

import (
	"fmt"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// bert is the baseline: BERT as published (post-LayerNorm, exact GELU, token
// types, a transform before the tied output; Devlin et al. 2019), trained here
// by masked language modelling alone, without next-sentence prediction.
type bert struct{ *model }

const (
	bertNormEps = 1e-12
	bertWords   = "bert.embeddings.word_embeddings.weight" // tied to the output layer
)

// bertWeights are named as in Hugging Face's BertForPreTraining, without its
// next-sentence head.
func bertWeights(c configs.Model) []weight {
	h, v, p := int64(c.Hidden), int64(c.Vocab), int64(c.MaxPositions)
	std := c.InitStd
	ws := []weight{
		normal(bertWords, std, v, h),
		normal("bert.embeddings.position_embeddings.weight", std, p, h),
		normal("bert.embeddings.token_type_embeddings.weight", std, 2, h),
	}
	ws = append(ws, layerNorm("bert.embeddings.LayerNorm", h)...)
	for i := range c.Layers {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", i)
		for _, name := range []string{"query", "key", "value"} {
			ws = append(ws, linear(layer+"attention.self."+name, h, h, std)...)
		}
		ws = append(ws, linear(layer+"attention.output.dense", h, h, std)...)
		ws = append(ws, layerNorm(layer+"attention.output.LayerNorm", h)...)
		ws = append(ws, linear(layer+"intermediate.dense", 4*h, h, std)...)
		ws = append(ws, linear(layer+"output.dense", h, 4*h, std)...)
		ws = append(ws, layerNorm(layer+"output.LayerNorm", h)...)
	}
	ws = append(ws, linear("bert.pooler.dense", h, h, std)...)
	ws = append(ws, zeros("cls.predictions.bias", v))
	ws = append(ws, linear("cls.predictions.transform.dense", h, h, std)...)
	return append(ws, layerNorm("cls.predictions.transform.LayerNorm", h)...)
}

func (t *bert) hidden(s *torch.Scope, b tensors) torch.Tensor {
	drop := t.mode.dropout(t.config.Dropout)
	norm := func(s *torch.Scope, name string, x torch.Tensor) torch.Tensor {
		return t.affine(name).norm(s, x, bertNormEps)
	}
	x := s.Embedding(t.params.get(bertWords), b.input)
	x = s.Add(x, s.Embedding(t.params.get("bert.embeddings.position_embeddings.weight"), b.position))
	x = s.Add(x, s.Embedding(t.params.get("bert.embeddings.token_type_embeddings.weight"), b.block))
	x = s.Dropout(norm(s, "bert.embeddings.LayerNorm", x), drop)
	return t.stack(s, x, bertWords, func(s *torch.Scope, x torch.Tensor, i int) torch.Tensor {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", i)
		self := layer + "attention.self."
		together := func(kind string) func(s *torch.Scope) torch.Tensor { // query, key and value in one product
			return func(s *torch.Scope) torch.Tensor {
				return s.Cat(t.params.get(self+"query."+kind), t.params.get(self+"key."+kind), t.params.get(self+"value."+kind))
			}
		}
		qkv := t.mode.project(s, x, self, together("weight"), together("bias"))
		x, a := b.wanted(s, t.model, i, x, b.attend(s, qkv, b.used, t.model, i))
		a = t.affine(layer+"attention.output.dense").apply(s, a)
		x = norm(s, layer+"attention.output.LayerNorm", s.AddDropped(x, a, drop))
		f := s.GELU(t.affine(layer+"intermediate.dense").apply(s, x), false)
		f = t.affine(layer+"output.dense").apply(s, f)
		return norm(s, layer+"output.LayerNorm", s.AddDropped(x, f, drop))
	})
}

// vocabulary is the masked-language-model head, tied to the word embeddings.
func (t *bert) vocabulary(s *torch.Scope, rows, only torch.Tensor) torch.Tensor {
	x := s.GELU(t.affine("cls.predictions.transform.dense").apply(s, rows), false)
	x = t.affine("cls.predictions.transform.LayerNorm").norm(s, s.Cast(x, torch.Float32), bertNormEps)
	w, bias := t.tiedWords(bertWords), t.params.get("cls.predictions.bias")
	if only.Defined() {
		w, bias = s.Rows(w, only), s.Rows(bias, only)
	}
	return t.mode.words(s, x, w, bias)
}

// pooled is BERT's pooler over [CLS], with dropout while training.
func (t *bert) pooled(s *torch.Scope, first torch.Tensor) torch.Tensor {
	return denseTanh(s, t.mode, first, t.affine("bert.pooler.dense"), t.config.Dropout)
}
