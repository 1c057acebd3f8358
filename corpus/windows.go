package corpus

import (
	"math/rand/v2"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/spans"
)

// Purposes of this package's random streams (spans.Key.Rand; below 16 belongs
// to spans). A changed number changes every prepared file.
const purposeWindow uint64 = 16

// documentSource is what windows are drawn from: a sequence of tokens that is
// cut into documents, each ending in the end-of-document token.
type documentSource interface {
	size() int64 // in tokens
	// find returns the document that holds a token.
	find(token int64) (start, length int64, err error)
	// read appends the n tokens from at on.
	read(dst []int32, at, n int64) ([]int32, error)
}

// windowDrawer draws windows of a corpus (GLM repository, BlockDataset). It is
// for one goroutine.
type windowDrawer struct {
	source documentSource
	data   configs.Data
	cls    int32
	ends   func(id int32) bool // Tokenizer.EndsWindow
	near   []int32
}

// draw appends the window that key names. Only the key and the corpus decide
// what is in it:
//
// A document is drawn with a probability in proportion to its tokens, its end
// included. Where it is longer than the window, the window starts at a uniform
// offset, moved to the nearest sentence start on a random side unless a draw
// of NonSentenceStart forbids it or it is more than half a window away.
// Otherwise the window holds the whole document and, unless SingleDocument is
// set, is filled with further ones. [CLS] goes before each. What stands beyond
// the window's length is cut at the last sentence end, or hard where that
// would cost more than half.
func (w *windowDrawer) draw(dst []int32, key spans.Key) ([]int32, error) {
	r := key.Rand(purposeWindow)
	size := w.data.SeqLength
	base := len(dst)
	for {
		room := size - (len(dst) - base)
		start, length, err := w.source.find(r.Int64N(w.source.size()))
		if err != nil {
			return dst, err
		}
		skip := int64(0)
		if room == size && length > int64(size-1) {
			if skip, err = w.offset(r, start, length); err != nil {
				return dst, err
			}
		}
		from := len(dst)
		dst = append(dst, w.cls)
		// One token more than there is room for tells a cut from a fit.
		if dst, err = w.source.read(dst, start+skip, min(length-skip, int64(room))); err != nil {
			return dst, err
		}
		full := len(dst)-from >= room
		if len(dst)-from > room {
			dst = dst[:from+w.cut(dst[from:], room)]
		}
		if full || skip > 0 || w.data.SingleDocument {
			return dst, nil
		}
	}
}

// offset is where in a document longer than a window the window starts.
func (w *windowDrawer) offset(r *rand.Rand, start, length int64) (int64, error) {
	size := int64(w.data.SeqLength)
	at := r.Int64N(length - (size - 1))
	if r.Float64() < w.data.NonSentenceStart {
		return at, nil
	}
	left := r.IntN(2) == 0
	reach := size / 2 // the longest way to a sentence's start
	lo, hi := max(0, at-reach-1), min(length, at+reach)
	var err error
	if w.near, err = w.source.read(w.near[:0], start+lo, hi-lo); err != nil {
		return 0, err
	}
	opens := func(at int64) bool { return at == 0 || w.ends(w.near[at-1-lo]) }
	for moved := int64(0); moved < reach && !opens(at); moved++ {
		if left {
			at--
		} else {
			at++
		}
	}
	return at, nil
}

// cut is the number of tokens to keep of a piece that has more than room: up
// to the last sentence end within it, or all there is room for.
func (w *windowDrawer) cut(piece []int32, room int) int {
	for keep := room; keep > 1 && keep >= room/2; keep-- {
		if w.ends(piece[keep-1]) {
			return keep
		}
	}
	return room
}
