package spans

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// BuildBlock lays tokens out as Part A and Part B (paper section 2.1; GLM
// repository, ConstructBlockStrategy). Part A is the text with each span
// replaced by one mask; Part B is, for each span in the given order, sop and
// the span's tokens, predicting the span's tokens and eop. Every token of a
// piece of Part B has the Position of its mask and BlockPosition 1, 2, ….
// With n tokens, k spans and m tokens in them, Part A has n-m+k tokens, Part B
// m+k, and every token of Part B is a target.
//
// Spans may touch but must not overlap, be empty or leave the text.
func BuildBlock(tokens []int32, sps []Span, mask, sop, eop int32) (Block, error) {
	var b Block
	err := b.build(tokens, sps, marks{mask: mask, sop: sop, eop: eop, sentinel: -1})
	return b, err
}

// marks are the special tokens that a block is made with.
type marks struct {
	mask, sop, eop int32
	// sentinel is the mask of the second span in the order of prediction; its
	// sop and those of further spans follow. -1: all have mask and sop.
	sentinel int32
}

// of returns the mask and the sop of the span that is predicted i-th, from 0.
func (m marks) of(i int) (mask, sop int32) {
	if i == 0 || m.sentinel < 0 {
		return m.mask, m.sop
	}
	mask = m.sentinel + 2*int32(i-1)
	return mask, mask + 1
}

// build is BuildBlock into b, whose memory it uses again.
func (b *Block) build(tokens []int32, sps []Span, m marks) error {
	var orderBuf [64]uint64
	order, masked, err := textOrder(orderBuf[:0], sps, len(tokens))
	if err != nil {
		return err
	}
	b.Sep = len(tokens) - masked + len(sps)
	b.resize(b.Sep + masked + len(sps))

	var maskBuf [64]int32
	maskAt := maskBuf[:0] // by index in sps: where in Part A the span's mask is
	maskAt = slices.Grow(maskAt, len(sps))[:len(sps)]
	from, to := 0, 0 // next token to copy, next place in Part A
	for _, packed := range order {
		i := int(uint32(packed))
		to += copy(b.Input[to:], tokens[from:sps[i].Start])
		b.Input[to], _ = m.of(i)
		maskAt[i] = int32(to)
		to++
		from = sps[i].End
	}
	copy(b.Input[to:], tokens[from:])
	b.partA()

	at := b.Sep
	for i, s := range sps {
		at += b.append(at, tokens[s.Start:s.End], m, i, maskAt[i])
	}
	return nil
}

// append writes a span as the piece of Part B at place at, which is predicted i-th, and
// returns how many tokens that has. Spans are a few tokens long: one loop over all rows
// takes less time than to copy and fill each.
func (b *Block) append(at int, span []int32, m marks, i int, maskAt int32) int {
	n := len(span)
	input, target := b.Input[at:at+n+1], b.Target[at:at+n+1]
	position, block, loss := b.Position[at:at+n+1], b.BlockPosition[at:at+n+1], b.LossMask[at:at+n+1]
	_, input[0] = m.of(i)
	for k, token := range span {
		input[k+1], target[k] = token, token
		position[k], block[k], loss[k] = maskAt, int32(k+1), 1
	}
	target[n], position[n], block[n], loss[n] = m.eop, maskAt, int32(n+1), 1
	return n + 1
}

// buildPrefix is the form of a document span that ends the window: the piece
// has no eop, because the last token is the document's own end or the place
// where the window was cut. Inner [CLS] tokens open the next document and are
// not predicted, nor are the tokens of prompts, ranges of the window that may
// leave it (GLM repository, ConstructBlockStrategy and BlockDataset).
func (b *Block) buildPrefix(tokens []int32, s Span, m marks, cls int32, prompts []Span) {
	source, target := tokens[:s.Start], tokens[s.Start:]
	b.Sep = len(source) + 1
	b.resize(b.Sep + len(target))
	copy(b.Input, source)
	b.Input[b.Sep-1] = m.mask
	b.partA()
	b.Input[b.Sep] = m.sop
	copy(b.Input[b.Sep+1:], target)
	copy(b.Target[b.Sep:], target)
	b.piece(b.Sep, len(b.Input), int32(b.Sep-1))
	for i, t := range target {
		if t == cls {
			b.LossMask[b.Sep+i] = 0
		}
	}
	for _, prompt := range prompts {
		if from, to := max(prompt.Start, s.Start), min(prompt.End, s.End); from < to {
			clear(b.LossMask[b.Sep+from-s.Start : b.Sep+to-s.Start])
		}
	}
}

// partA completes Part A, of which Input is there.
func (b *Block) partA() {
	copy(b.Target, b.Input[:b.Sep])
	clear(b.LossMask[:b.Sep])
	clear(b.BlockPosition[:b.Sep])
	position := b.Position[:b.Sep]
	for i := copy(position, firstPositions[:]); i < len(position); i++ {
		position[i] = int32(i)
	}
}

// firstPositions holds 0, 1, …: copying is faster than counting.
var firstPositions = func() (p [1024]int32) {
	for i := range p {
		p[i] = int32(i)
	}
	return p
}()

// piece writes the positions and the loss mask of the piece of Part B at
// [at, end), whose mask is token mask of Part A.
func (b *Block) piece(at, end int, mask int32) {
	position, block, loss := b.Position[at:end], b.BlockPosition[at:end], b.LossMask[at:end]
	for i := range position {
		position[i] = mask
		block[i] = int32(i + 1)
		loss[i] = 1
	}
}

// resize gives every slice n elements, whose values are undefined.
func (b *Block) resize(n int) {
	if cap(b.Input) < n || cap(b.Target) < n || cap(b.LossMask) < n || cap(b.Position) < n || cap(b.BlockPosition) < n {
		ids := make([]int32, 4*n) // one piece of memory for the four rows
		b.Input, b.Target = ids[:n:n], ids[n:2*n:2*n]
		b.Position, b.BlockPosition = ids[2*n:3*n:3*n], ids[3*n:]
		b.LossMask = make([]uint8, n)
		return
	}
	b.Input, b.Target, b.LossMask = b.Input[:n], b.Target[:n], b.LossMask[:n]
	b.Position, b.BlockPosition = b.Position[:n], b.BlockPosition[:n]
}

// textOrder appends the spans to dst in the order of the text, each packed as
// Start<<32 | index, and checks that they are disjoint ranges of n tokens.
func textOrder(dst []uint64, sps []Span, n int) (order []uint64, masked int, err error) {
	for i, s := range sps {
		if s.Start < 0 || s.End > n || s.Start >= s.End {
			return nil, 0, fmt.Errorf("span [%d,%d) is not a range of %d tokens", s.Start, s.End, n)
		}
		dst = append(dst, uint64(s.Start)<<32|uint64(i))
		masked += s.End - s.Start
	}
	sortPlaces(dst, 32)
	for i := 1; i < len(dst); i++ {
		a, b := sps[uint32(dst[i-1])], sps[uint32(dst[i])]
		if b.Start < a.End {
			return nil, 0, fmt.Errorf("spans [%d,%d) and [%d,%d) overlap", a.Start, a.End, b.Start, b.End)
		}
	}
	return dst, masked, nil
}

// sortPlaces sorts numbers by what they are from a bit on, places in a window, and
// equal ones in their order: by a bitmap where the places fit one, which for the two
// dozen spans of an ordinary window is faster than to compare.
func sortPlaces(s []uint64, shift int) {
	const size = 1024
	var first [size]uint8 // by place: which of s is there, from 1; those behind it follow by next
	var next [64]uint8
	var filled [size / 64]uint64
	highest := uint64(0)
	for _, x := range s {
		highest = max(highest, x>>shift)
	}
	if len(s) > len(next)-1 || highest >= size {
		slices.SortStableFunc(s, func(a, b uint64) int { return cmp.Compare(a>>shift, b>>shift) })
		return
	}
	var from [len(next)]uint64
	copy(from[1:], s)
	for i := len(s); i > 0; i-- { // backwards, so that equal ones keep their order
		place := from[i] >> shift % size
		next[i%len(next)] = first[place]
		first[place] = uint8(i)
		filled[place/64] |= 1 << (place % 64)
	}
	n := 0
	for w, word := range filled[:highest/64+1] {
		for ; word != 0; word &= word - 1 {
			for i := first[w*64+bits.TrailingZeros64(word)]; i != 0 && n < len(s); i = next[i%uint8(len(next))] {
				s[n] = from[i%uint8(len(from))]
				n++
			}
		}
	}
}
