//go:build cgo

package runner

import (
	"slices"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// cache holds the keys and values of texts and of what is being written into
// them, so that a new token costs one token's work. It is a stepper.
type cache struct {
	glm  *glm
	keep *torch.Scope // owns the tensors
	sep  []int64      // tokens of each text
	// places are, for each slot, the slots in which its tokens lie: a beam goes on
	// from another without a copy of what that wrote.
	places [][]int32

	// Where a writer computes, on a CPU:
	pages  *torch.Pages
	logits torch.Tensor // [≥ rows · V]

	// Where single operations do, on any device, a tensor a layer:
	context  []torch.Tensor // [texts, tokens, 3·hidden]
	written  []torch.Tensor // [capacity, slots, 2·hidden]
	capacity int
}

// firstCapacity is the tokens of a slot that there is room for at first.
const firstCapacity = 64

// newCache reads texts, Part A of each, and makes room for so many slots. w may be
// nil: then single operations compute, not a writer. Close it.
func newCache(g *glm, w *torch.Writer, texts [][]int32, slots int) (*cache, error) {
	c := &cache{glm: g, keep: torch.NewScope(), places: make([][]int32, slots)}
	for _, tokens := range texts {
		c.sep = append(c.sep, int64(len(tokens)))
	}
	var err error
	if w != nil {
		err = c.readByWriter(w, texts)
	} else {
		err = c.readByOperations(texts)
	}
	if err == nil {
		err = c.keep.Err()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// readTogether is how many tokens fill a pass of a writer: it then waits for
// multiplications, not for weights.
const readTogether = 128

func (c *cache) readByWriter(w *torch.Writer, texts [][]int32) (err error) {
	if c.pages, err = w.Pages(len(texts), len(c.places)); err != nil {
		return err
	}
	c.logits = c.keep.Zeros(torch.Float32, torch.CPU, int64(len(c.places))*int64(c.glm.config.Vocab))
	var rows []torch.CachedRow
	var input, position []int64
	for i, tokens := range texts {
		for j, id := range tokens {
			rows = append(rows, torch.CachedRow{Text: int64(i), Sep: c.sep[i], Slot: torch.ReadingSlot, Length: int64(j)})
			input, position = append(input, int64(id)), append(position, int64(j))
		}
		if len(rows) >= readTogether || i == len(texts)-1 {
			if err := c.pages.Pass(torch.Tensor{}, input, position, make([]int64, len(rows)), rows, torch.Places{}); err != nil {
				return err
			}
			rows, input, position = rows[:0], input[:0], position[:0]
		}
	}
	return nil
}

func (c *cache) readByOperations(texts [][]int32) error {
	b := &batch{size: len(texts), sep: c.sep, used: c.sep, length: int(slices.Max(c.sep))}
	n := b.size * b.length
	b.input, b.position, b.block = make([]int64, n), make([]int64, n), make([]int64, n)
	for i, tokens := range texts {
		for j, id := range tokens {
			b.input[i*b.length+j], b.position[i*b.length+j] = int64(id), int64(j)
		}
	}
	s := torch.NewScope()
	defer s.Close()
	x := b.to(s, c.glm.device)
	c.glm.encode(s, x, func(s *torch.Scope, qkv torch.Tensor, layer int) torch.Tensor {
		c.context = append(c.context, qkv)
		return x.attend(s, qkv, x.sep, c.glm.model, layer)
	})
	c.capacity = firstCapacity
	for i := range c.context {
		c.context[i] = s.Move(c.keep, c.context[i])
		c.written = append(c.written, c.keep.Zeros(c.glm.mode.product(), c.glm.device, firstCapacity, int64(len(c.places)), 2*int64(c.glm.config.Hidden)))
	}
	return s.Err()
}

func (c *cache) close() {
	if c.pages != nil {
		c.pages.Free()
	}
	c.keep.Close()
}

// grow makes room for twice as many tokens in each slot.
func (c *cache) grow() {
	keep := torch.NewScope()
	for i, old := range c.written {
		c.written[i] = keep.Cat(old, keep.Zeros(c.glm.mode.product(), c.glm.device, int64(c.capacity), int64(len(c.places)), 2*int64(c.glm.config.Hidden)))
	}
	for i := range c.context {
		c.context[i] = c.keep.Move(keep, c.context[i])
	}
	c.keep.Close()
	c.keep, c.capacity = keep, 2*c.capacity
}

func (c *cache) step(feeds []feed, size, k int) ([]torch.Likely, error) {
	n := len(feeds)
	rows, banned := make([]torch.CachedRow, n), make([][]int32, n)
	input, position, block := make([]int64, n), make([]int64, n), make([]int64, n)
	places := torch.Places{}
	for _, f := range feeds {
		places.Width = max(places.Width, f.length+1)
	}
	places.Slots = make([]int32, n*places.Width)
	for i, f := range feeds {
		rows[i] = torch.CachedRow{Text: int64(f.text), Sep: c.sep[f.text], Slot: int64(f.slot), Length: int64(f.length)}
		input[i], position[i], block[i] = int64(f.token), int64(f.position), int64(f.block)
		c.places[f.slot] = append(c.places[f.slot][:f.length], int32(f.slot))
		copy(places.Slots[i*places.Width:], c.places[f.slot])
		banned[i] = f.banned
	}
	s := torch.NewScope()
	defer s.Close()
	logits := c.logits
	if c.pages != nil {
		if err := c.pages.Pass(logits, input, position, block, rows, places); err != nil {
			return nil, err
		}
	} else {
		logits = c.byOperations(s, input, position, block, rows, places)
	}
	likely := s.Likeliest(logits, c.glm.config.Vocab, size, feeds[0].end, banned, k)
	return likely, s.Err()
}

// byOperations are the logits [rows, V] of a step, on the CPU, by single
// operations wherever the model is.
func (c *cache) byOperations(s *torch.Scope, input, position, block []int64, rows []torch.CachedRow, places torch.Places) torch.Tensor {
	for places.Width > c.capacity {
		c.grow()
	}
	d := c.glm.device
	x := tensors{input: index(s, input, d), position: index(s, position, d), block: index(s, block, d)}
	at := s.Lookup(c.context[0], c.written[0], rows, places)
	h := c.glm.encode(s, x, func(s *torch.Scope, qkv torch.Tensor, layer int) torch.Tensor {
		return s.CachedAttention(qkv, c.context[layer], c.written[layer], at, c.glm.config.Heads)
	})
	return s.To(c.glm.vocabulary(s, h, torch.Tensor{}), torch.CPU, torch.Float32)
}

// copySlots lets slots go on from the first length tokens of others.
func (c *cache) copySlots(to, from []int, length int) {
	places := make([][]int32, len(from))
	for i, slot := range from {
		places[i] = slices.Clone(c.places[slot][:length])
	}
	for i, slot := range to {
		c.places[slot] = places[i]
	}
}
