//go:build cgo

package runner

import (
	"slices"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// sequence is a row of a batch before it is padded.
type sequence struct {
	input, position, block []int32
	starts                 []int32 // torch.Scope.Attention's; nil where Part B is one piece
	sep                    int     // tokens of Part A
}

// batch is a group of sequences padded to the longest: size rows of length
// tokens, row-major.
type batch struct {
	size, length    int
	input           []int64
	position, block []int64
	starts          []int64 // nil where no sequence has any
	sep             []int64 // tokens of Part A, one per row
	used            []int64 // tokens before padding, one per row
	rows            []int64 // flat indices of the positions that reach the vocabulary
	targets         []int64 // one per entry of rows, where each has one
	attended        int     // tokens before padding, summed
	// modes are the objectives of rows; nil where they are all of one.
	modes []spans.Mode
}

// pad lays sequences out side by side. Pads are token 0 at position 0, as in the
// GLM repository: they come last, and attention into Part B is causal, so nothing
// sees them.
func pad(sequences []sequence) *batch {
	b := &batch{size: len(sequences)}
	branched := false
	for i := range sequences {
		b.length = max(b.length, len(sequences[i].input))
		branched = branched || sequences[i].starts != nil
	}
	n := b.size * b.length
	b.input, b.position, b.block = make([]int64, n), make([]int64, n), make([]int64, n)
	b.sep, b.used = make([]int64, b.size), make([]int64, b.size)
	if branched {
		b.starts = make([]int64, n)
	}
	for i := range sequences {
		x := &sequences[i]
		b.sep[i], b.used[i] = int64(x.sep), int64(len(x.input))
		b.attended += len(x.input)
		at := i * b.length
		for j := range x.input {
			b.input[at+j] = int64(x.input[j])
			b.position[at+j] = int64(x.position[j])
			b.block[at+j] = int64(x.block[j])
		}
		for j, start := range x.starts {
			b.starts[at+j] = int64(start)
		}
	}
	return b
}

// newBatch pads blocks to the longest one; their targets are the batch's.
func newBatch(blocks []spans.Block) *batch {
	sequences := make([]sequence, len(blocks))
	for i := range blocks {
		sequences[i] = plain(&blocks[i])
	}
	b := pad(sequences)
	for i := range blocks {
		for j, counts := range blocks[i].LossMask {
			if counts != 0 {
				b.rows = append(b.rows, int64(i*b.length+j))
				b.targets = append(b.targets, int64(blocks[i].Target[j]))
			}
		}
	}
	return b
}

// plain is a block as it is.
func plain(x *spans.Block) sequence {
	return sequence{input: x.Input, position: x.Position, block: x.BlockPosition, sep: x.Sep}
}

// shape is the size of the padded batch.
func (b *batch) shape() (sequences, length int) { return b.size, b.length }

// first are the rows of each sequence's first token ([CLS]).
func (b *batch) first() []int64 {
	rows := make([]int64, b.size)
	for i := range rows {
		rows[i] = int64(i * b.length)
	}
	return rows
}

// tensors is a batch on a device.
type tensors struct {
	size, length           int64
	input, position, block torch.Tensor // [B, T], packed [1, tokens]
	sep, used              torch.Tensor // [B]
	starts                 torch.Tensor // [B, T], or undefined: torch.Scope.Attention
	// What want asks for, flat indices and the first of each sequence [B];
	// undefined: everything.
	rows, from torch.Tensor

	packing *torch.Packing // nil: padded
	place   []int64        // of a packed batch: where each row of the padded one lies
}

func (b *batch) to(s *torch.Scope, device torch.Device) tensors {
	size, length := int64(b.size), int64(b.length)
	x := tensors{
		size: size, length: length,
		input:    s.Int64s(b.input, device, size, length),
		position: s.Int64s(b.position, device, size, length),
		block:    s.Int64s(b.block, device, size, length),
		sep:      s.Int64s(b.sep, device, size),
		used:     s.Int64s(b.used, device, size),
	}
	if b.starts != nil {
		x.starts = s.Int64s(b.starts, device, size, length)
	}
	return x
}

// packed puts a batch on a device without its padding, in the order that packed
// attention wants; where whole is set, all of a sequence is Part A.
func (b *batch) packed(s *torch.Scope, device torch.Device, whole bool) tensors {
	a, rest := make([]int64, b.size), make([]int64, b.size)
	for i, used := range b.used {
		a[i] = min(b.sep[i], used)
		if whole {
			a[i] = used
		}
		rest[i] = used - a[i]
	}
	x := tensors{size: int64(b.size), length: int64(b.length), packing: s.Packing(a, rest, device), place: make([]int64, len(b.input))}
	order := make([]int64, 0, b.attended)
	take := func(row, from, n int64) {
		for at := row*x.length + from; n > 0; at, n = at+1, n-1 {
			x.place[at] = int64(len(order))
			order = append(order, at)
		}
	}
	for i, n := range a {
		take(int64(i), 0, n)
	}
	for i, n := range rest {
		take(int64(i), a[i], n)
	}
	pick := func(of []int64) torch.Tensor {
		out := make([]int64, len(order))
		for i, at := range order {
			out[i] = of[at]
		}
		return s.Int64s(out, device, 1, int64(len(out)))
	}
	x.input, x.position, x.block = pick(b.input), pick(b.position), pick(b.block)
	return x
}

// attend is attention over qkv, where sep tokens of each sequence are Part A; a
// packed batch knows that itself. In the last layer only what is wanted counts.
func (x *tensors) attend(s *torch.Scope, qkv, sep torch.Tensor, m *model, layer int) torch.Tensor {
	dropout := m.mode.dropout(m.config.AttentionDropout)
	if x.packing != nil {
		return s.PackedAttention(qkv, x.packing, m.config.Heads, dropout)
	}
	form := m.mode.attention
	if form == torch.PackedForm { // for training alone
		form = fastestAttention(m.device)
	}
	from := torch.Tensor{}
	if layer == m.config.Layers-1 {
		from = x.from
	}
	return s.Attention(qkv, sep, x.used, x.starts, from, m.config.Heads, dropout, form)
}

// want asks for the last states of rows alone, numbered as in the padded batch.
func (x *tensors) want(s *torch.Scope, rows []int64, device torch.Device) {
	from := make([]int64, x.size)
	for i := range from {
		from[i] = x.length
	}
	places := slices.Clone(rows)
	for i, row := range rows {
		from[row/x.length] = min(from[row/x.length], row%x.length)
		if x.packing != nil {
			places[i] = x.place[row]
		}
	}
	x.rows, x.from = index(s, places, device), s.Int64s(from, device, x.size)
}

// wanted are those rows of what enters a layer and of what its attention gave that
// go on: behind the last layer's attention the rows asked for, [rows, hidden].
func (x *tensors) wanted(s *torch.Scope, m *model, layer int, input, attended torch.Tensor) (torch.Tensor, torch.Tensor) {
	if layer < m.config.Layers-1 || !x.rows.Defined() {
		return input, attended
	}
	of := func(states torch.Tensor) torch.Tensor {
		return s.Rows(s.Reshape(states, -1, int64(m.config.Hidden)), x.rows)
	}
	return of(input), of(attended)
}

// index puts flat row indices on a device.
func index(s *torch.Scope, rows []int64, device torch.Device) torch.Tensor {
	return s.Int64s(rows, device, int64(len(rows)))
}
