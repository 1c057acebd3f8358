//go:build cgo

package runner

import (
	"slices"

	"github.com/glmkit/glmkit/spans"
)

// Choices of an example mostly differ in Part B alone. They are laid out as one
// sequence: Part A, the token that opens Part B (sop) as a root, and behind it the
// rest of each choice as a branch, at the positions that it has by itself. A branch
// sees Part A, the root and itself (torch.Scope.Attention), so every token's
// hidden state is what it would be in a sequence of its own. The authors run a
// whole sequence for each choice; their --fast-decode option keeps the states of
// Part A, but runs the choices padded to the longest. A BERT's choices have no Part
// B: those of as many tokens are read off the same blanks.

// shared are the sequences of an example and where its choices' tokens are read.
type shared struct {
	sequences []sequence
	reads     []read
}

// read is a token of a choice: its probability stands at a position of a sequence.
type read struct {
	sequence, position int
	target             int32
	choice             int
}

// share lays out the choices of an example, a block each, in as few sequences as
// they have contexts: where they are cut to fit a length, longer choices leave
// their context less room.
func share(blocks []spans.Block) shared {
	var out shared
	for choice := range blocks {
		x := &blocks[choice]
		at := slices.IndexFunc(out.sequences, func(s sequence) bool { return sameContext(&s, x) })
		if at < 0 {
			at = len(out.sequences)
			out.sequences = append(out.sequences, trunk(x))
		}
		s := &out.sequences[at]
		start := len(s.input)
		for j, counts := range x.LossMask {
			position := j
			if j > x.Sep {
				position = start + j - x.Sep - 1
			}
			if counts != 0 {
				out.reads = append(out.reads, read{sequence: at, position: position, target: x.Target[j], choice: choice})
			}
		}
		for j := x.Sep + 1; j < len(x.Input); j++ {
			s.input = append(s.input, x.Input[j])
			s.position = append(s.position, x.Position[j])
			s.block = append(s.block, x.BlockPosition[j])
			s.starts = append(s.starts, int32(start))
		}
	}
	for i := range out.sequences {
		if s := &out.sequences[i]; int(slices.Max(s.starts)) <= s.sep+1 {
			s.starts = nil // one choice: all before it is its own
		}
	}
	return out
}

// trunk is what the choices of a block's kind can share: Part A and the root,
// or all of a block without Part B.
func trunk(x *spans.Block) sequence {
	n := min(x.Sep+1, len(x.Input))
	s := sequence{
		input:    slices.Clone(x.Input[:n]),
		position: slices.Clone(x.Position[:n]),
		block:    slices.Clone(x.BlockPosition[:n]),
		starts:   make([]int32, n),
		sep:      x.Sep,
	}
	if n > x.Sep {
		s.starts[x.Sep] = int32(x.Sep)
	}
	return s
}

// sameContext tells whether a block's context is that of a sequence.
func sameContext(s *sequence, x *spans.Block) bool {
	n := min(x.Sep+1, len(x.Input))
	return s.sep == x.Sep && len(s.input) >= n && slices.Equal(s.input[:n], x.Input[:n]) &&
		slices.Equal(s.position[:n], x.Position[:n]) && slices.Equal(s.block[:n], x.BlockPosition[:n])
}
