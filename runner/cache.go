//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// cache holds the keys and values of texts and of what is being written into
// them, so that a new token costs one token's work. It is a stepper.
type cache struct {
	glm      *glm
	keep     *torch.Scope   // owns what follows, a tensor a layer
	context  []torch.Tensor // [texts, tokens, 3·hidden]
	written  []torch.Tensor // [slots, capacity, 2·hidden]
	sep      []int64        // tokens of each text
	capacity int
}

// newCache reads texts, Part A of each, and makes room for so many tokens in
// each slot. Close it.
func newCache(g *glm, texts [][]int32, slots, capacity int) (*cache, error) {
	c := &cache{glm: g, keep: torch.NewScope(), capacity: capacity}
	b := &batch{size: len(texts)}
	for _, tokens := range texts {
		b.length = max(b.length, len(tokens))
		b.sep = append(b.sep, int64(len(tokens)))
	}
	c.sep, b.used = b.sep, b.sep
	n := b.size * b.length
	b.input, b.position, b.block = make([]int64, n), make([]int64, n), make([]int64, n)
	for i, tokens := range texts {
		for j, id := range tokens {
			b.input[i*b.length+j], b.position[i*b.length+j] = int64(id), int64(j)
		}
	}
	s := torch.NewScope()
	defer s.Close()
	x := b.to(s, g.device)
	g.encode(s, g.embed(s, x), func(s *torch.Scope, qkv torch.Tensor) torch.Tensor {
		c.context = append(c.context, qkv)
		return s.Attention(qkv, x.sep, x.used, torch.Tensor{}, g.config.Heads, 0, g.mode.attention)
	})
	for i := range c.context {
		c.context[i] = s.Move(c.keep, c.context[i])
		c.written = append(c.written, c.keep.Zeros(torch.Float32, g.device, int64(slots), int64(capacity), 2*int64(g.config.Hidden)))
	}
	if err := s.Err(); err != nil {
		c.close()
		return nil, err
	}
	if err := c.keep.Err(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cache) close() { c.keep.Close() }

func (c *cache) step(feeds []feed) ([][]float32, error) {
	n := len(feeds)
	rows := make([]torch.CachedRow, n)
	input, position, block := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, f := range feeds {
		rows[i] = torch.CachedRow{Text: int64(f.text), Sep: c.sep[f.text], Slot: int64(f.slot), Length: int64(f.length)}
		input[i], position[i], block[i] = int64(f.token), int64(f.position), int64(f.block)
	}
	s := torch.NewScope()
	defer s.Close()
	x := tensors{input: index(s, input, c.glm.device), position: index(s, position, c.glm.device), block: index(s, block, c.glm.device)}
	layer := 0
	h := c.glm.encode(s, c.glm.embed(s, x), func(s *torch.Scope, qkv torch.Tensor) torch.Tensor {
		layer++
		return s.CachedAttention(qkv, c.context[layer-1], c.written[layer-1], rows, c.glm.config.Heads)
	})
	values := s.Floats(s.LogSoftmax(c.glm.vocabulary(s, h, torch.Tensor{}), 1))
	if err := s.Err(); err != nil {
		return nil, err
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = values[i*c.glm.config.Vocab : (i+1)*c.glm.config.Vocab]
	}
	return out, nil
}

func (c *cache) copySlots(to, from []int, length int) error {
	a, b := make([]int64, len(to)), make([]int64, len(to))
	for i := range to {
		a[i], b[i] = int64(to[i]), int64(from[i])
	}
	s := torch.NewScope()
	defer s.Close()
	for _, written := range c.written {
		s.CopySlots(written, a, b, length)
	}
	return s.Err()
}
