package corpus

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/glmkit/glmkit/spans"
)

// Tokenizer is what the preparation of a corpus needs of a tokenizer, such as
// *wordpiece.Tokenizer. Its methods are safe for concurrent use.
type Tokenizer interface {
	Encode(dst []int32, text string) []int32 // appends
	EndsSentence(id int32) bool              // for the sentence objective
	EndsWindow(id int32) bool                // windows may begin and end behind the token
	Special() spans.Special
	Size() int       // ids of the vocabulary: 0 … Size()-1
	PaddedSize() int // rows of a model's word table
	Hash() string    // sha256 of the vocabulary in hexadecimal
	Vocab() []string // in the order of the ids
}

// chunkBytes is the input that one step of tokenisation takes: large enough
// to make hand-over between goroutines cheap, small enough for many in flight.
const chunkBytes = 256 << 10

// A chunk is a stretch of lines of one input file on its way into the store.
type chunk struct {
	source int
	path   string
	raw    []byte // the lines, one after the other
	ends   []int  // where each ends in raw
	lines  []int  // their numbers
	offset int64  // of the input behind the chunk, decompressed
	line   int    // the last line's number
	last   bool   // no more lines follow in this file
	stored int64  // bytes of the input read so far, all files, as stored

	// What a worker makes of it.
	ids      []byte
	lengths  []uint32
	replaced int64
}

// keepBytes is the size up to which a chunk's memory is kept for the next: one
// huge line must not be paid for ever after.
const keepBytes = 4 << 20

func (c *chunk) reset() {
	if cap(c.raw) > keepBytes {
		c.raw = nil
	}
	if cap(c.ids) > keepBytes {
		c.ids = nil
	}
	*c = chunk{raw: c.raw[:0], ends: c.ends[:0], lines: c.lines[:0], ids: c.ids[:0], lengths: c.lengths[:0]}
}

// chunkReader cuts input files into chunks, beginning where a store ends.
type chunkReader struct {
	files  []Source
	source int
	offset int64
	line   int
	reader *lineReader
	stored int64 // bytes of the files before the current one
}

func newChunkReader(files []Source, state storeState) *chunkReader {
	r := &chunkReader{files: files, source: state.Source, offset: state.Offset, line: state.Line}
	for _, f := range files[:state.Source] {
		r.stored += f.Bytes
	}
	return r
}

// next fills c, or returns false behind the last file.
func (r *chunkReader) next(c *chunk) (bool, error) {
	c.reset()
	if r.source == len(r.files) {
		return false, nil
	}
	if r.reader == nil {
		var err error
		if r.reader, err = openLines(r.files[r.source].Path); err != nil {
			return false, err
		}
		if r.line > 0 {
			if err := r.reader.skip(r.offset, r.line); err != nil {
				return false, err
			}
		}
	}
	c.source, c.path = r.source, r.reader.path
	for len(c.raw) < chunkBytes {
		var err error
		c.raw, err = r.reader.next(c.raw)
		if err == io.EOF {
			if err := r.reader.checkNotEmpty(); err != nil {
				return false, err
			}
			c.last = true
			break
		}
		if err != nil {
			return false, err
		}
		c.ends, c.lines = append(c.ends, len(c.raw)), append(c.lines, r.reader.line)
	}
	c.offset, c.line, c.stored = r.reader.offset, r.reader.line, r.stored+r.reader.stored.n
	if c.last {
		r.stored += r.files[r.source].Bytes
		r.source, r.offset, r.line = r.source+1, 0, 0
		err := r.reader.Close()
		r.reader = nil
		if err != nil {
			return false, fileError(c.path, err)
		}
	}
	return true, nil
}

// Close closes the file that is being read.
func (r *chunkReader) Close() error {
	if r.reader == nil {
		return nil
	}
	return r.reader.Close()
}

// chunkEncoder returns the function of one worker, which turns the lines of a
// chunk into ids.
func chunkEncoder(t Tokenizer, opt ReadOptions) func(*chunk) error {
	special := t.Special()
	width := idWidth(t.Size())
	// Special tokens that a text spells out are words, not structure: a "[PAD]"
	// in it must not end the document.
	reserved := make([]bool, t.Size())
	for _, id := range []int32{special.Pad, special.CLS, special.SEP, special.Mask} {
		if id >= 0 && int(id) < len(reserved) {
			reserved[id] = true
		}
	}
	var ids []int32
	return func(c *chunk) error {
		start := 0
		for i, end := range c.ends {
			doc, err := decodeLine(c.path, c.lines[i], c.raw[start:end], opt)
			if err != nil {
				return err
			}
			start = end
			c.replaced += int64(doc.Replaced)
			if cap(ids) > keepBytes {
				ids = nil
			}
			ids = t.Encode(ids[:0], doc.Text)
			if len(ids) == 0 {
				continue
			}
			for _, id := range ids {
				if uint(id) >= uint(len(reserved)) {
					return fmt.Errorf("%s:%d: the tokenizer returned id %d of a vocabulary of %d", c.path, c.lines[i], id, len(reserved))
				}
				if reserved[id] {
					id = special.Unk
				}
				c.ids = appendID(c.ids, id, width)
			}
			c.ids = appendID(c.ids, special.Pad, width)
			c.lengths = append(c.lengths, uint32(len(ids)+1))
		}
		return nil
	}
}

// tokenise brings the input files into the store, going on where it ends.
// Everything consumed before an error or the context's end is committed, so
// that the next call goes on there.
func tokenise(ctx context.Context, store *storeWriter, files []Source, t Tokenizer, opt ReadOptions, jobs int, report func(done, total int64)) error {
	var total int64
	for _, f := range files {
		total += f.Bytes
	}
	reader := newChunkReader(files, store.state)
	defer reader.Close()
	every := commitEvery(total)
	report(store.state.Stored, total)
	err := inOrder(ctx, jobs, reader.next, func() func(*chunk) error { return chunkEncoder(t, opt) }, func(c *chunk) error {
		if err := store.add(c.source, c.ids, c.lengths); err != nil {
			return err
		}
		store.state.Source, store.state.Offset, store.state.Line = c.source, c.offset, c.line
		store.state.Stored = c.stored
		store.state.Replaced += c.replaced
		if c.last {
			store.state.Source, store.state.Offset, store.state.Line = c.source+1, 0, 0
		}
		report(c.stored, total)
		if store.pending() < every {
			return nil
		}
		return store.commit()
	})
	if commitErr := store.commit(); commitErr != nil {
		return errors.Join(err, commitErr)
	}
	return err
}

// commitEvery is the number of bytes of ids between two commits: a killed run
// loses at most this much work, a small corpus a small part of it.
func commitEvery(inputBytes int64) int64 {
	return min(max(inputBytes/16, 256<<10), 32<<20)
}
