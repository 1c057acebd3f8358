package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// This file is all that the package knows of Arrow: one IPC file a split, the
// header as JSON in the schema's metadata, one row an example. A sequence is
// stored as the few things its block follows from; buffers are compressed
// with Zstandard, since the choices of an example repeat its passage.

const (
	formatKey     = "glmkit.format"
	formatVersion = "task/1"
	headerKey     = "glmkit.header"
	// rowsPerBatch bounds what is held in memory while writing.
	rowsPerBatch = 1024
)

var sequenceType = arrow.StructOf(
	arrow.Field{Name: "tokens", Type: arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int32)},
	arrow.Field{Name: "pivot", Type: arrow.PrimitiveTypes.Int32},
	arrow.Field{Name: "target", Type: arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int32)},
)

// fields are the columns, in the order of the constants below.
var fields = []arrow.Field{
	{Name: "id", Type: arrow.BinaryTypes.String},
	{Name: "number", Type: arrow.PrimitiveTypes.Int64},
	{Name: "question", Type: arrow.BinaryTypes.String},
	{Name: "passage", Type: arrow.BinaryTypes.String},
	{Name: "label", Type: arrow.PrimitiveTypes.Int32},
	{Name: "choices", Type: arrow.ListOfNonNullable(arrow.BinaryTypes.String)}, // empty where the header's labels are
	{Name: "gold", Type: arrow.ListOfNonNullable(arrow.BinaryTypes.String)},
	{Name: "text", Type: arrow.BinaryTypes.String},
	{Name: "sequences", Type: arrow.ListOfNonNullable(sequenceType)},
}

const (
	colID = iota
	colNumber
	colQuestion
	colPassage
	colLabel
	colChoices
	colGold
	colText
	colSequences
)

// splitWriter writes one split.
type splitWriter struct {
	header Header
	file   *ipc.FileWriter
	rows   *array.RecordBuilder
	n      int // rows not yet written
}

// newSplitWriter writes to w, which the caller closes. close must be called.
// Without mem buffers are Go's own.
func newSplitWriter(w io.WriteSeeker, mem memory.Allocator, header Header) (*splitWriter, error) {
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	encoded, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	metadata := arrow.NewMetadata([]string{formatKey, headerKey}, []string{formatVersion, string(encoded)})
	schema := arrow.NewSchema(fields, &metadata)
	file, err := ipc.NewFileWriter(w, ipc.WithSchema(schema), ipc.WithAllocator(mem), ipc.WithZstd())
	if err != nil {
		return nil, err
	}
	return &splitWriter{header: header, file: file, rows: array.NewRecordBuilder(mem, schema)}, nil
}

func (w *splitWriter) add(e Encoded) error {
	w.rows.Field(colID).(*array.StringBuilder).Append(e.ID)
	w.rows.Field(colNumber).(*array.Int64Builder).Append(int64(e.Number))
	w.rows.Field(colQuestion).(*array.StringBuilder).Append(e.Question)
	w.rows.Field(colPassage).(*array.StringBuilder).Append(e.Passage)
	w.rows.Field(colLabel).(*array.Int32Builder).Append(int32(e.Label))
	choices := e.Choices
	if !w.header.Scoring.Candidates() {
		choices = nil
	}
	appendStrings(w.rows.Field(colChoices).(*array.ListBuilder), choices)
	appendStrings(w.rows.Field(colGold).(*array.ListBuilder), e.Gold)
	w.rows.Field(colText).(*array.StringBuilder).Append(e.Text)

	list := w.rows.Field(colSequences).(*array.ListBuilder)
	list.Append(true)
	row := list.ValueBuilder().(*array.StructBuilder)
	for _, block := range e.Sequences {
		s := sequenceOf(block, w.header.Form, w.header.Scoring)
		row.Append(true)
		appendTokens(row.FieldBuilder(0).(*array.ListBuilder), s.tokens)
		row.FieldBuilder(1).(*array.Int32Builder).Append(int32(s.pivot))
		appendTokens(row.FieldBuilder(2).(*array.ListBuilder), s.target)
	}
	if w.n++; w.n == rowsPerBatch {
		return w.flush()
	}
	return nil
}

func appendStrings(list *array.ListBuilder, values []string) {
	list.Append(true)
	for _, v := range values {
		list.ValueBuilder().(*array.StringBuilder).Append(v)
	}
}

func appendTokens(list *array.ListBuilder, tokens []int32) {
	list.Append(true)
	list.ValueBuilder().(*array.Int32Builder).AppendValues(tokens, nil)
}

func (w *splitWriter) flush() error {
	record := w.rows.NewRecord()
	defer record.Release()
	w.n = 0
	return w.file.Write(record)
}

// close writes what is left and the footer, and frees the builders.
func (w *splitWriter) close() error {
	defer w.rows.Release()
	if w.n > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.file.Close()
}

// readSplit reads the bytes of a whole file. Arrow's reader panics on some
// damaged files; every fault comes back as an error. Without mem buffers are
// Go's own.
func readSplit(content []byte, mem memory.Allocator) (split *Split, err error) {
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	defer func() {
		if fault := recover(); fault != nil {
			split, err = nil, fmt.Errorf("damaged Arrow file: %v", fault)
		}
	}()
	file, err := ipc.NewFileReader(bytes.NewReader(content), ipc.WithAllocator(boundedAllocator{mem}))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	metadata := file.Schema().Metadata()
	if version, _ := metadata.GetValue(formatKey); version != formatVersion {
		return nil, fmt.Errorf("not a prepared task of format %s", formatVersion)
	}
	if !arrow.NewSchema(fields, nil).Equal(arrow.NewSchema(file.Schema().Fields(), nil)) {
		return nil, errors.New("the columns are not those of a prepared task")
	}
	split = &Split{}
	encoded, _ := metadata.GetValue(headerKey)
	if err := json.Unmarshal([]byte(encoded), &split.Header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for i := range file.NumRecords() {
		record, err := file.Record(i)
		if err != nil {
			return nil, fmt.Errorf("record batch %d: %w", i, err)
		}
		if err := split.appendRecord(record); err != nil {
			return nil, err
		}
	}
	return split, nil
}

// maxBuffer is more than any column of a batch of rowsPerBatch examples takes.
const maxBuffer = 1 << 30

// boundedAllocator gives nothing where a damaged file asks for a size that Go
// would end the process over. Arrow's reader then runs out of the buffer, and
// readSplit makes an error of that.
type boundedAllocator struct{ memory.Allocator }

func (a boundedAllocator) Allocate(size int) []byte {
	if size > maxBuffer {
		return nil
	}
	return a.Allocator.Allocate(size)
}

func (a boundedAllocator) Reallocate(size int, b []byte) []byte {
	if size > maxBuffer {
		return nil
	}
	return a.Allocator.Reallocate(size, b)
}

func (s *Split) appendRecord(record arrow.Record) error {
	text := func(column, row int) string {
		// A copy: the column's memory goes with the record.
		return strings.Clone(record.Column(column).(*array.String).Value(row))
	}
	texts := func(column, row int) []string {
		list := record.Column(column).(*array.List)
		start, end := list.ValueOffsets(row)
		var values []string
		for i := start; i < end; i++ {
			values = append(values, strings.Clone(list.ListValues().(*array.String).Value(int(i))))
		}
		return values
	}
	tokens := func(list *array.List, row int) []int32 {
		start, end := list.ValueOffsets(row)
		return list.ListValues().(*array.Int32).Int32Values()[start:end]
	}
	sequences := record.Column(colSequences).(*array.List)
	structs := sequences.ListValues().(*array.Struct)
	for row := range int(record.NumRows()) {
		e := Encoded{
			ID:       text(colID, row),
			Number:   int(record.Column(colNumber).(*array.Int64).Value(row)),
			Question: text(colQuestion, row),
			Passage:  text(colPassage, row),
			Label:    int(record.Column(colLabel).(*array.Int32).Value(row)),
			Scoring:  s.Header.Scoring,
			Choices:  s.Header.Labels,
			Gold:     texts(colGold, row),
			Text:     text(colText, row),

			Verbalizers: s.Header.Verbalizers,
		}
		if s.Header.Scoring.Candidates() {
			e.Choices = texts(colChoices, row)
		}
		start, end := sequences.ValueOffsets(row)
		for i := int(start); i < int(end); i++ {
			e.Sequences = append(e.Sequences, sequence{
				tokens: tokens(structs.Field(0).(*array.List), i),
				pivot:  int(structs.Field(1).(*array.Int32).Value(i)),
				target: tokens(structs.Field(2).(*array.List), i),
			}.block(s.Header.Form, s.Header.Special))
		}
		if err := s.Header.check(e); err != nil {
			return fmt.Errorf("example %s: %w", e.ID, err)
		}
		s.Examples = append(s.Examples, e)
	}
	return nil
}
