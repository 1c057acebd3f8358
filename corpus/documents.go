package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Document is one text of a corpus and where it stands.
type Document struct {
	Text string
	Path string
	Line int // from 1
	// Replaced counts the invalid UTF-8 bytes that became U+FFFD.
	Replaced int
}

// ReadOptions says how input files are read.
type ReadOptions struct {
	Field string // the JSON field that holds the text; "" means "text"
}

func (o ReadOptions) field() string {
	if o.Field == "" {
		return "text"
	}
	return o.Field
}

// Documents yields the documents of paths in order, holding one line at a
// time. A path is a file, a folder (its text and JSONL files, in order of
// their names) or a glob pattern. Files named .jsonl or .json hold one JSON
// object a line, all others one document a line; .gz and .zst behind the name
// means compressed. Lines without text are skipped. The first error, a
// *DataError where the input is at fault, ends the sequence.
func Documents(ctx context.Context, paths []string, opt ReadOptions) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		files, err := inputFiles(paths)
		if err != nil {
			yield(Document{}, err)
			return
		}
		for _, path := range files {
			if !yieldFile(ctx, path, opt, yield) {
				return
			}
		}
	}
}

// yieldFile yields the documents of one file. It returns false when the
// sequence has ended, by an error or because no more is wanted.
func yieldFile(ctx context.Context, path string, opt ReadOptions, yield func(Document, error) bool) bool {
	fail := func(err error) bool {
		yield(Document{}, err)
		return false
	}
	r, err := openLines(path)
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	var line []byte
	for {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		line, err = r.next(line[:0])
		if err == io.EOF {
			if err := r.checkNotEmpty(); err != nil {
				return fail(err)
			}
			return true
		}
		if err != nil {
			return fail(err)
		}
		doc, err := decodeLine(path, r.line, line, opt)
		if err != nil {
			return fail(err)
		}
		if doc.Text != "" && !yield(doc, nil) {
			return false
		}
	}
}

// decodeLine makes a document of a line: the line itself, or one field of the
// JSON object on it. The text is "" where there is nothing but space.
func decodeLine(path string, number int, line []byte, opt ReadOptions) (Document, error) {
	doc := Document{Path: path, Line: number}
	if !utf8.Valid(line) {
		line, doc.Replaced = replaceInvalid(line)
	}
	if isJSONL(path) {
		text, ok := scanField(line, opt.field())
		if !ok {
			var err error
			if text, err = decodeField(line, opt.field()); err != nil {
				var data *DataError
				if errors.As(err, &data) {
					data.Path, data.Line = path, number
				}
				return Document{}, err
			}
		}
		doc.Text = text
	} else {
		doc.Text = string(line)
	}
	if strings.TrimSpace(doc.Text) == "" {
		doc.Text = ""
	}
	return doc, nil
}

// decodeField is the plain way to a string field of a JSON object, with a
// reason where there is none.
func decodeField(line []byte, field string) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return "", &DataError{Err: jsonReason(line, err), Hint: "one JSON object a line, as in {\"" + field + "\": \"…\"}"}
	}
	raw, ok := object[field]
	if !ok {
		names := make([]string, 0, len(object))
		for name := range object {
			names = append(names, name)
		}
		slices.Sort(names)
		hint := "--field NAME, where NAME is one of: " + strings.Join(names, ", ")
		if len(names) == 0 {
			hint = "an object that has the field"
		}
		return "", &DataError{Err: fmt.Errorf("there is no field %q", field), Hint: hint}
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", &DataError{Err: fmt.Errorf("the field %q is not a string", field), Hint: "--field NAME, where NAME is a field that holds text"}
	}
	return *text, nil
}

// jsonReason says in plain words why a line is not a JSON object.
func jsonReason(line []byte, err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && int(syntax.Offset) >= len(line):
		return fmt.Errorf("malformed JSON: it ends early: %w", err)
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &mismatch):
		return fmt.Errorf("a JSON object is needed, this is a JSON %s", mismatch.Value)
	}
	return fmt.Errorf("malformed JSON: %w", err)
}

// replaceInvalid returns line with every byte that is not UTF-8 turned into
// U+FFFD, and their number.
func replaceInvalid(line []byte) ([]byte, int) {
	var b bytes.Buffer
	replaced := 0
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if r == utf8.RuneError && size == 1 {
			replaced++
		}
		b.WriteRune(r)
		line = line[size:]
	}
	return b.Bytes(), replaced
}
