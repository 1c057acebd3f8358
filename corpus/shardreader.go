package corpus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/glmkit/glmkit/spans"
)

// The reader below takes single rows out of a shard. Arrow's own
// (ipc.FileReader) reads and copies a whole record batch for each row asked
// for, and allocates whatever a damaged file tells it to. This one reads the
// few places of the two flatbuffers that say where buffers stand, checks every
// number against the file's size, and then reads only a row's bytes.

// shardReader reads rows of one shard. It is safe for concurrent use.
type shardReader struct {
	file               io.ReaderAt
	size               int64
	idWidth, spanWidth int
	batches            []batchLayout
	vocabulary         int       // ids are below it
	scratch            sync.Pool // of *[]byte
}

// batchLayout is where the buffers of one record batch begin in the file.
type batchLayout struct {
	firstRow, rows                                   int64
	tokenEnds, tokens, spanEnds, spans, mode, prefix buffer
}

type buffer struct{ at, size int64 }

// Buffers of a record batch in the order of the schema, validity bitmaps
// included, which are empty.
const (
	bufferTokenEnds = 1
	bufferTokens    = 3
	bufferSpanEnds  = 5
	bufferSpans     = 8
	bufferMode      = 10
	bufferPrefix    = 12
	bufferCount     = 13
)

var errNotShard = errors.New("not an Arrow file of this layout")

// openShard finds the record batches of a file of the given size.
func openShard(file io.ReaderAt, size int64, vocabulary, seqLength int) (*shardReader, error) {
	r := &shardReader{file: file, size: size, idWidth: idWidth(vocabulary), spanWidth: idWidth(seqLength + 1), vocabulary: vocabulary}
	const magic = "ARROW1"
	tail, err := r.bytes(new([]byte), size-int64(4+len(magic)), int64(4+len(magic)))
	if err != nil {
		return nil, err
	}
	if string(tail[4:]) != magic {
		return nil, errors.New("the file does not end as an Arrow file does: it is cut short or damaged")
	}
	footerSize := int64(binary.LittleEndian.Uint32(tail))
	raw, err := r.bytes(new([]byte), size-int64(len(tail))-footerSize, footerSize)
	if err != nil {
		return nil, err
	}
	footer := flatbuffer{data: raw}
	const blockSize, recordBatches = 24, 3
	blocks := footer.vector(footer.root(), recordBatches, blockSize)
	var row int64
	for ; len(blocks) >= blockSize; blocks = blocks[blockSize:] {
		at := int64(binary.LittleEndian.Uint64(blocks))
		metaSize := int64(int32(binary.LittleEndian.Uint32(blocks[8:])))
		bodySize := int64(binary.LittleEndian.Uint64(blocks[16:]))
		batch, err := r.batch(at, metaSize, bodySize)
		if err != nil {
			return nil, err
		}
		batch.firstRow = row
		row += batch.rows
		r.batches = append(r.batches, batch)
	}
	if footer.bad {
		return nil, errNotShard
	}
	return r, nil
}

// batch reads where the buffers of the record batch at a file offset are.
func (r *shardReader) batch(at, metaSize, bodySize int64) (batchLayout, error) {
	var b batchLayout
	const prefix = 8 // 0xffffffff and the message's size
	if metaSize < prefix || bodySize < 0 || bodySize > r.size {
		return b, errNotShard
	}
	raw, err := r.bytes(new([]byte), at, metaSize)
	if err != nil {
		return b, err
	}
	message := flatbuffer{data: raw[prefix:]}
	const header = 2
	batch := message.table(message.root(), header)
	b.rows = message.long(batch, 0)
	const bufferSize, buffers = 16, 2
	all := message.vector(batch, buffers, bufferSize)
	if message.bad || len(all) != bufferCount*bufferSize {
		return b, errNotShard
	}
	body := at + metaSize
	for i, want := range map[int]*buffer{
		bufferTokenEnds: &b.tokenEnds, bufferTokens: &b.tokens, bufferSpanEnds: &b.spanEnds,
		bufferSpans: &b.spans, bufferMode: &b.mode, bufferPrefix: &b.prefix,
	} {
		start := int64(binary.LittleEndian.Uint64(all[i*bufferSize:]))
		size := int64(binary.LittleEndian.Uint64(all[i*bufferSize+8:]))
		if start < 0 || size < 0 || start > bodySize || size > bodySize-start || body > r.size-bodySize {
			return b, errNotShard
		}
		*want = buffer{body + start, size}
	}
	if b.rows < 0 || b.rows > bodySize || b.tokenEnds.size < 4*(b.rows+1) || b.spanEnds.size < 4*(b.rows+1) || b.mode.size < b.rows || b.prefix.size < (b.rows+7)/8 {
		return b, errNotShard
	}
	return b, nil
}

// rows is the number of rows of the shard.
func (r *shardReader) rows() int64 {
	if len(r.batches) == 0 {
		return 0
	}
	last := r.batches[len(r.batches)-1]
	return last.firstRow + last.rows
}

// bytes reads n bytes at an offset into scratch, which grows as needed.
func (r *shardReader) bytes(scratch *[]byte, at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || n > r.size || at > r.size-n {
		return nil, errNotShard
	}
	if int64(cap(*scratch)) < n {
		*scratch = make([]byte, n)
	}
	raw := (*scratch)[:n]
	if _, err := r.file.ReadAt(raw, at); err != nil {
		return nil, err
	}
	return raw, nil
}

// list reads the bytes of one row of a list column whose elements have width
// bytes.
func (r *shardReader) list(scratch *[]byte, ends, values buffer, row, width int64) ([]byte, error) {
	raw, err := r.bytes(scratch, ends.at+4*row, 8)
	if err != nil {
		return nil, err
	}
	start := int64(int32(binary.LittleEndian.Uint32(raw))) * width
	end := int64(int32(binary.LittleEndian.Uint32(raw[4:]))) * width
	if start < 0 || start > end || end > values.size {
		return nil, errNotShard
	}
	return r.bytes(scratch, values.at+start, end-start)
}

// window reads a row.
func (r *shardReader) window(row int64) (Window, error) {
	var w Window
	lo, hi := 0, len(r.batches)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; r.batches[mid].firstRow <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	if lo == hi || row < 0 || row-r.batches[lo].firstRow >= r.batches[lo].rows {
		return Window{}, fmt.Errorf("there is no row %d", row)
	}
	b := &r.batches[lo]
	row -= b.firstRow

	scratch, ok := r.scratch.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	defer r.scratch.Put(scratch)
	raw, err := r.list(scratch, b.tokenEnds, b.tokens, row, int64(r.idWidth))
	if err != nil {
		return Window{}, err
	}
	w.Tokens = appendIDs(make([]int32, 0, len(raw)/r.idWidth), raw, r.idWidth)
	for _, id := range w.Tokens {
		if uint(id) >= uint(r.vocabulary) {
			return Window{}, fmt.Errorf("token id %d of a vocabulary of %d", id, r.vocabulary)
		}
	}
	if raw, err = r.list(scratch, b.spanEnds, b.spans, row, int64(2*r.spanWidth)); err != nil {
		return Window{}, err
	}
	var placeBuf [128]int32
	places := appendIDs(placeBuf[:0], raw, r.spanWidth)
	w.Sample.Spans = make([]spans.Span, 0, len(places)/2)
	for ; len(places) >= 2; places = places[2:] {
		s := spans.Span{Start: int(places[0]), End: int(places[1])}
		if s.Start < 0 || s.Start >= s.End || s.End > len(w.Tokens) {
			return Window{}, fmt.Errorf("span [%d,%d) in a window of %d tokens", s.Start, s.End, len(w.Tokens))
		}
		w.Sample.Spans = append(w.Sample.Spans, s)
	}
	if raw, err = r.bytes(scratch, b.mode.at+row, 1); err != nil {
		return Window{}, err
	}
	if w.Sample.Mode = spans.Mode(raw[0]); w.Sample.Mode > spans.Document {
		return Window{}, fmt.Errorf("unknown mode %d", raw[0])
	}
	if raw, err = r.bytes(scratch, b.prefix.at+row/8, 1); err != nil {
		return Window{}, err
	}
	w.Sample.Prefix = raw[0]>>(row%8)&1 == 1
	return w, nil
}
