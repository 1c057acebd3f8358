//go:build cgo

package runner

import (
	"slices"

	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// PartB is how a GLM learnt to tell the tokens of Part B apart, where that is
// not the paper's way (section 2.3): its ablations. A question put to the model
// later must number Part B alike.
type PartB struct {
	// PartBPosition is the position of all of Part B, behind the text's, where
	// numbered masks tell its pieces apart (sentinels); 0: that of the mask. A
	// question's only piece has the first number, which is the plain mask.
	PartBPosition int `json:"part_b_position,omitempty"`
	// OneBlockPosition: all of Part B has block position 1.
	OneBlockPosition bool `json:"one_block_position,omitempty"`
}

// partB is how a GLM's objective numbers Part B.
func partB(o spans.Objective) (b PartB) {
	if o.Sentinel {
		b.PartBPosition = o.MaxPositions
	}
	b.OneBlockPosition = !o.BlockPositions
	return b
}

// numbered returns examples with Part B numbered as the model learnt it.
func (st State) numbered(examples []tasks.Encoded) []tasks.Encoded {
	if st.PartB == (PartB{}) {
		return examples
	}
	examples = slices.Clone(examples)
	for i := range examples {
		e := &examples[i]
		e.Sequences = slices.Clone(e.Sequences)
		for j := range e.Sequences {
			b := &e.Sequences[j]
			if st.PartBPosition > 0 {
				b.Position = slices.Clone(b.Position)
				for k := b.Sep; k < len(b.Position); k++ {
					b.Position[k] = int32(st.PartBPosition)
				}
			}
			if st.OneBlockPosition {
				b.BlockPosition = slices.Clone(b.BlockPosition)
				for k := b.Sep; k < len(b.BlockPosition); k++ {
					b.BlockPosition[k] = 1
				}
			}
		}
	}
	return examples
}
