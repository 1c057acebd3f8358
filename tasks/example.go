package tasks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// Example is one question of a task before a pattern is applied.
type Example struct {
	ID       string // as the authors name it: dev-12, train-p3-q7-a20
	Number   int    // counts the examples of its file, from 0
	Path     string // of its file
	Line     int    // in it, from 1
	Question string // see Encoded
	Passage  string
	Label    int // see Encoded
	// Fields are the texts that the task's patterns name.
	Fields map[string]string
	// Answers are what the blank, or the place {answer} of a pair, is filled
	// with, one sequence each; nil where labels have verbalizers or a head.
	Answers []string
	Choices []string // texts of the candidates; nil where Labels are the choices
	Gold    []string
	Text    string // for a person, the fields a line each
}

// Splits are the names of a task folder's files in the order in which they are
// prepared; dev32 is FewGLUE's.
var Splits = []string{"train", "val", "dev32", "test"}

// setNames is how the authors call the files in an example's ID.
var setNames = map[string]string{"train": "train", "val": "dev", "dev32": "dev", "test": "test"}

// file is what a reader must know of the file that its line is from.
type file struct {
	set      string // first part of an ID
	training bool
	form     Form
	labels   []string
	row      int // counts the lines that hold data, from 0
}

// maxLine bounds a line of a task file; ReCoRD's and MultiRC's hold a passage
// with all its questions, some tens of kilobytes.
const maxLine = 64 << 20

// Read yields the examples of one file in the form that split asks for: train
// is the training form (ReCoRD one example a right answer, COPA also mirrored,
// WSC as a question only its true examples), any other split the evaluation form. A
// file whose name ends in .tsv is a table, with the columns in its first line
// unless the task names them; one in .source has a text a line and the answers
// in the file of the same name in .target; one in .txt a text a line; one in
// .json is laid out as SQuAD's; any other has one JSON object a line. All but
// tables may be compressed by gzip.
//
// A bad line is a corpus.DataError with its place and, where it is known, the
// example's ID. Whoever goes on ranging gets the examples of the next line; a
// file that cannot be read further ends the sequence. A split that is not one of
// Splits is a configs.Error.
func (t *Task) Read(path, split string, form Form) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		f, err := openSource(path, t.files[split])
		if err != nil {
			yield(Example{}, err)
			return
		}
		defer f.Close()
		t.readFrom(f, path, split, form)(yield)
	}
}

// readFrom is Read on an open file; path is for messages.
func (t *Task) readFrom(r io.Reader, path, split string, form Form) iter.Seq2[Example, error] {
	from := file{set: setNames[split], training: split == "train", form: form, labels: t.Labels}
	return func(yield func(Example, error) bool) {
		if !slices.Contains(Splits, split) {
			yield(Example{}, &configs.Error{Msg: "there is no split " + quote(split), Hint: "one of " + strings.Join(Splits, ", ")})
			return
		}
		fail := func(line int, err error, hint string) bool {
			return yield(Example{}, &corpus.DataError{Path: path, Line: line, Err: err, Hint: hint})
		}
		parse := parseObject
		if strings.HasSuffix(path, ".tsv") {
			parse = (&table{columns: t.files[split].columns}).parse
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		line, number, bad := 0, 0, 0
		var mirrored []Example
		for lines.Scan() {
			line++
			text := lines.Bytes()
			if line == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff")) // a byte order mark
			}
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			examples, err := t.parse(text, parse, from)
			if err != nil {
				bad++
				from.row++
				if !fail(line, err, t.lineHint()) {
					return
				}
				continue
			}
			if examples != nil {
				from.row++
			}
			for _, example := range examples {
				example.Path, example.Line, example.Number = path, line, number
				number++
				if from.training && t.reader.mirror != nil {
					mirrored = append(mirrored, t.reader.mirror(example))
				}
				if !yield(example, nil) {
					return
				}
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			fail(line+1, fmt.Errorf("%w: the line is longer than %d MiB", errUnreadable, maxLine>>20), "one example a line")
			return
		} else if err != nil {
			if !errors.Is(err, errUnreadable) {
				err = &corpus.DataError{Path: path, Line: line + 1, Err: fmt.Errorf("%w: %w", errUnreadable, err), Hint: "check that the path is a readable file"}
			}
			yield(Example{}, err)
			return
		}
		for _, example := range mirrored {
			example.Number = number
			number++
			if !yield(example, nil) {
				return
			}
		}
		if number == 0 {
			err, hint := fmt.Errorf("none of its %d lines makes an example of the form %s", line, form), t.lineHint()
			if from.training && form.Asks() && (t.reader.generative || t.reader.ranked) && line > bad {
				err = fmt.Errorf("none of its %d lines is true, and the form %s trains on true ones", line, form)
				hint = "more lines; --form classification, which trains on false ones too; or the names of the other tasks in place of all"
			}
			fail(0, err, hint)
		}
	}
}

// errUnreadable ends the reading of a file: what follows is not known.
var errUnreadable = errors.New("the file cannot be read further")

// lineHint is what a person does about a bad line.
func (t *Task) lineHint() string {
	if t.declaration != nil {
		return "the line, or what " + t.path + " says of it; prepare task --skip-bad leaves bad lines out"
	}
	return "the file as SuperGLUE distributes " + t.Name + ", one JSON object a line; prepare task --skip-bad leaves bad lines out"
}

// parse reads one line. It makes no examples, and no error, of a table's head.
func (t *Task) parse(line []byte, parse func([]byte) (any, error), from file) ([]Example, error) {
	if !utf8.Valid(line) {
		return nil, errNotUTF8
	}
	values, err := parse(line)
	if values == nil || err != nil {
		return nil, err
	}
	var state lineState
	examples := t.reader.read(value{json: values, line: &state}, from)
	return examples, state.wrong
}

// parseObject reads a line of JSON.
func parseObject(line []byte) (any, error) {
	var object any
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if object == nil {
		return nil, errors.New("want a JSON object, got nothing")
	}
	return object, nil
}

// table reads rows of cells between tabs, as GLUE has them: no cell is quoted.
type table struct{ columns []string }

// parse makes an object of a row; the first one names the columns unless they
// are known, and is no object.
func (t *table) parse(line []byte) (any, error) {
	cells := strings.Split(strings.TrimSuffix(string(line), "\r"), "\t")
	if t.columns == nil {
		t.columns = cells
		return nil, nil
	}
	if len(cells) != len(t.columns) {
		return nil, fmt.Errorf("the row has %d columns where the table has %d", len(cells), len(t.columns))
	}
	object := make(map[string]any, len(cells))
	for i, column := range t.columns {
		object[column] = cells[i]
	}
	return object, nil
}

// openError is the DataError of a file that cannot be opened.
func openError(path string, err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("there is no such file")
	}
	return &corpus.DataError{Path: path, Err: err, Hint: "check the path"}
}

// id names the example by the field idx of v.
func (f file) id(v value) string { return f.set + "-" + v.field("idx").word() }

// label is the index of a field's text among the task's labels, in any case;
// -1 where the field is absent, as only training files must have it.
func (f file) label(v value, field string) int {
	label, ok := v.find(field)
	if !ok && f.training {
		v.at(field)
	}
	if !ok {
		return -1
	}
	word := label.word()
	for i, name := range f.labels {
		if strings.EqualFold(name, word) {
			return i
		}
	}
	label.fail("%s is not one of %s", quote(word), strings.Join(f.labels, ", "))
	return -1
}

// single is an example that no other one shares a question or passage with.
func (f file) single(v value) Example {
	id := f.id(v)
	v.about(id)
	return Example{ID: id, Question: id, Passage: id, Label: f.label(v, "label")}
}

// straight replaces curly quotes and the en dash, as the authors do with all
// text of the tasks but COPA's cloze form.
func straight(s string) string { return straightener.Replace(s) }

var straightener = strings.NewReplacer("“", `"`, "”", `"`, "‘", "'", "’", "'", "–", "-")

// asciiPunctuation is Python's string.punctuation.
const asciiPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// unpunctuated drops the punctuation at the end, so that a pattern can go on.
func unpunctuated(s string) string { return strings.TrimRight(s, asciiPunctuation) }

// isSpace is Python's str.isspace, which unlike unicode.IsSpace counts the
// four information separators.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
