//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// batch is a group of sequences padded to the longest: size rows of length
// tokens, row-major.
type batch struct {
	size, length    int
	input           []int64
	position, block []int64
	sep             []int64 // tokens of Part A, one per row
	used            []int64 // tokens before padding, one per row
	rows            []int64 // flat indices of the positions whose targets count
	targets         []int64 // one per entry of rows
	owner           []int64 // the row each entry of rows belongs to
	attended        int     // tokens before padding, summed
}

// newBatch pads blocks to the longest one. Pads are token 0 at position 0, as
// in the GLM repository: they come last, and attention into Part B is causal,
// so nothing sees them.
func newBatch(blocks []spans.Block) *batch {
	b := &batch{size: len(blocks)}
	for i := range blocks {
		b.length = max(b.length, len(blocks[i].Input))
	}
	n := b.size * b.length
	b.input, b.position, b.block = make([]int64, n), make([]int64, n), make([]int64, n)
	b.sep, b.used = make([]int64, b.size), make([]int64, b.size)
	for i := range blocks {
		x := &blocks[i]
		b.sep[i], b.used[i] = int64(x.Sep), int64(len(x.Input))
		b.attended += len(x.Input)
		at := i * b.length
		for j := range x.Input {
			b.input[at+j] = int64(x.Input[j])
			b.position[at+j] = int64(x.Position[j])
			b.block[at+j] = int64(x.BlockPosition[j])
			if len(x.LossMask) > 0 && x.LossMask[j] != 0 {
				b.rows = append(b.rows, int64(at+j))
				b.targets = append(b.targets, int64(x.Target[j]))
				b.owner = append(b.owner, int64(i))
			}
		}
	}
	return b
}

// shape is the size of the padded batch.
func (b *batch) shape() (sequences, length int) { return b.size, b.length }

// tensors is a batch on a device.
type tensors struct {
	size, length           int64
	input, position, block torch.Tensor // [B, T]
	sep, used              torch.Tensor // [B]
	starts                 torch.Tensor // [B, T], or undefined: torch.Scope.Attention
}

func (b *batch) to(s *torch.Scope, device torch.Device) tensors {
	size, length := int64(b.size), int64(b.length)
	return tensors{
		size: size, length: length,
		input:    s.Int64s(b.input, device, size, length),
		position: s.Int64s(b.position, device, size, length),
		block:    s.Int64s(b.block, device, size, length),
		sep:      s.Int64s(b.sep, device, size),
		used:     s.Int64s(b.used, device, size),
	}
}

// index puts flat row indices on a device.
func index(s *torch.Scope, rows []int64, device torch.Device) torch.Tensor {
	return s.Int64s(rows, device, int64(len(rows)))
}
