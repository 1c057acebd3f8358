package corpus

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// A shard is one Arrow IPC file with a row for each window:
//
//	tokens  list<uint16 or uint32>                  the packed window
//	spans   list<fixed_size_list<uint16|uint32>[2]> start and end of each span, in prediction order
//	mode    uint8                                   spans.Mode
//	prefix  bool                                    the only span is the window's end (spans.Sample)
//
// Nothing is null or compressed, so a row's bytes stand in the file as they
// are.

// columns are the rows of one record batch in Arrow's own layout.
type columns struct {
	idWidth, spanWidth int
	rows               int
	tokenEnds          []byte // int32: 0, then where each row's tokens end
	tokens             []byte
	spanEnds           []byte // int32: 0, then where each row's spans end
	spans              []byte
	mode               []byte
	prefix             []byte // one bit a row
}

// reset makes c empty, for ids below vocab and windows of up to length tokens.
func (c *columns) reset(vocab, length int) {
	*c = columns{
		idWidth: idWidth(vocab), spanWidth: idWidth(length + 1),
		tokenEnds: append(c.tokenEnds[:0], 0, 0, 0, 0), tokens: c.tokens[:0],
		spanEnds: append(c.spanEnds[:0], 0, 0, 0, 0), spans: c.spans[:0],
		mode: c.mode[:0], prefix: c.prefix[:0],
	}
}

// add appends a row.
func (c *columns) add(w Window) {
	for _, id := range w.Tokens {
		c.tokens = appendID(c.tokens, id, c.idWidth)
	}
	for _, s := range w.Sample.Spans {
		c.spans = appendID(c.spans, int32(s.Start), c.spanWidth)
		c.spans = appendID(c.spans, int32(s.End), c.spanWidth)
	}
	c.tokenEnds = binary.LittleEndian.AppendUint32(c.tokenEnds, uint32(len(c.tokens)/c.idWidth))
	c.spanEnds = binary.LittleEndian.AppendUint32(c.spanEnds, uint32(len(c.spans)/(2*c.spanWidth)))
	c.mode = append(c.mode, byte(w.Sample.Mode))
	if c.rows%8 == 0 {
		c.prefix = append(c.prefix, 0)
	}
	if w.Sample.Prefix {
		c.prefix[c.rows/8] |= 1 << (c.rows % 8)
	}
	c.rows++
}

func idType(width int) arrow.DataType {
	if width == 2 {
		return arrow.PrimitiveTypes.Uint16
	}
	return arrow.PrimitiveTypes.Uint32
}

// shardSchema is the schema of every shard of a recipe. Its metadata lets a
// shard explain itself away from its manifest.
func shardSchema(r *Recipe) (*arrow.Schema, error) {
	config, err := json.Marshal(r.Config)
	if err != nil {
		return nil, err
	}
	special, err := json.Marshal(r.Tokenizer.Special)
	if err != nil {
		return nil, err
	}
	var keys, values []string
	for _, pair := range [][2]string{
		{"glmkit.format", strconv.Itoa(r.Format)},
		{"glmkit.version", r.Glmkit},
		{"glmkit.tokenizer", r.Tokenizer.Name},
		{"glmkit.tokenizer_sha256", r.Tokenizer.SHA256},
		{"glmkit.vocabulary", strconv.Itoa(r.Tokenizer.Vocabulary)},
		{"glmkit.special_ids", string(special)},
		{"glmkit.config", string(config)},
		{"glmkit.seed", strconv.FormatUint(r.Config.Data.Seed, 10)},
	} {
		keys, values = append(keys, pair[0]), append(values, pair[1])
	}
	metadata := arrow.NewMetadata(keys, values)
	id, place := idType(idWidth(r.Tokenizer.Vocabulary)), idType(idWidth(r.Config.Data.SeqLength+1))
	return arrow.NewSchema([]arrow.Field{
		{Name: "tokens", Type: arrow.ListOfNonNullable(id)},
		{Name: "spans", Type: arrow.ListOfNonNullable(arrow.FixedSizeListOfNonNullable(2, place))},
		{Name: "mode", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "prefix", Type: arrow.FixedWidthTypes.Boolean},
	}, &metadata), nil
}

// record is the columns as an Arrow record, which shares their memory. The
// caller releases it.
func (c *columns) record(schema *arrow.Schema) arrow.Record {
	data := func(t arrow.DataType, rows int, child *array.Data, values []byte) *array.Data {
		var children []arrow.ArrayData
		if child != nil {
			children = []arrow.ArrayData{child}
			defer child.Release()
		}
		buffers := []*memory.Buffer{nil}
		if values != nil {
			buffers = append(buffers, memory.NewBufferBytes(values))
		}
		return array.NewData(t, rows, buffers, children, 0, 0)
	}
	tokens := schema.Field(0).Type.(*arrow.ListType)
	list := schema.Field(1).Type.(*arrow.ListType)
	pair := list.Elem().(*arrow.FixedSizeListType)
	places := len(c.spans) / c.spanWidth
	all := []*array.Data{
		data(tokens, c.rows, data(tokens.Elem(), len(c.tokens)/c.idWidth, nil, c.tokens), c.tokenEnds),
		data(list, c.rows, data(pair, places/2, data(pair.Elem(), places, nil, c.spans), nil), c.spanEnds),
		data(schema.Field(2).Type, c.rows, nil, c.mode),
		data(schema.Field(3).Type, c.rows, nil, c.prefix),
	}
	var columns []arrow.Array
	for _, d := range all {
		columns = append(columns, array.MakeFromData(d))
		d.Release()
	}
	record := array.NewRecord(schema, columns, int64(c.rows))
	for _, column := range columns {
		column.Release()
	}
	return record
}

// shardWriter writes one shard under a temporary name.
type shardWriter struct {
	file   *os.File
	buf    *bufio.Writer
	hash   hash.Hash
	size   int64
	schema *arrow.Schema
	arrow  *ipc.FileWriter
	rows   int64
}

func createShard(path string, schema *arrow.Schema) (*shardWriter, error) {
	return createShardWith(path, schema, memory.DefaultAllocator)
}

func createShardWith(path string, schema *arrow.Schema, mem memory.Allocator) (*shardWriter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := &shardWriter{file: file, buf: bufio.NewWriterSize(file, 1<<20), hash: sha256.New(), schema: schema}
	if w.arrow, err = ipc.NewFileWriter(shardSink{w}, ipc.WithSchema(schema), ipc.WithAllocator(mem)); err != nil {
		file.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return w, nil
}

// shardSink is the end of a shardWriter that Arrow writes to.
type shardSink struct{ *shardWriter }

func (s shardSink) Write(p []byte) (int, error) {
	n, err := s.buf.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// Seek only tells the position: Arrow asks for no more.
func (s shardSink) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("a shard is written from beginning to end")
	}
	return s.size, nil
}

// add writes a record batch.
func (w *shardWriter) add(c *columns) error {
	record := c.record(w.schema)
	defer record.Release()
	if err := w.arrow.Write(record); err != nil {
		return fmt.Errorf("writing %s: %w", w.file.Name(), err)
	}
	w.rows += int64(c.rows)
	return nil
}

// finish completes the file and brings it to disk.
func (w *shardWriter) finish() error {
	err := w.arrow.Close()
	for _, step := range []func() error{w.buf.Flush, w.file.Sync} {
		if err == nil {
			err = step()
		}
	}
	if closeErr := w.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", w.file.Name(), err)
	}
	return nil
}

// sum is the sha256 of the finished file in hexadecimal.
func (w *shardWriter) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// abandon closes a file that will not be finished.
func (w *shardWriter) abandon() { w.file.Close() }
