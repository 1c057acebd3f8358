package tasks

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
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
}

// maxLine bounds a line of a task file; ReCoRD's and MultiRC's hold a passage
// with all its questions, some tens of kilobytes.
const maxLine = 64 << 20

// Read yields the examples of one file in the form that split asks for: train
// is the training form (ReCoRD one example a right answer, COPA also mirrored,
// WSC as cloze only its true examples), any other split the evaluation form.
// The sequence ends behind the first error, a corpus.DataError, or a
// configs.Error for a split that is not one of Splits.
func (t *Task) Read(path, split string, form Form) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Example{}, openError(path, err))
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
		fail := func(line int, err error, hint string) {
			yield(Example{}, &corpus.DataError{Path: path, Line: line, Err: err, Hint: hint})
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		line, number := 0, 0
		var mirrored []Example
		for lines.Scan() {
			line++
			if len(strings.TrimSpace(lines.Text())) == 0 {
				continue
			}
			examples, err := t.parse(lines.Bytes(), from)
			if err != nil {
				fail(line, err, "the file as SuperGLUE distributes "+t.Name+", one JSON object a line")
				return
			}
			for _, example := range examples {
				example.Path, example.Line, example.Number = path, line, number
				number++
				if from.training && t.mirror != nil {
					mirrored = append(mirrored, t.mirror(example))
				}
				if !yield(example, nil) {
					return
				}
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			fail(line+1, fmt.Errorf("the line is longer than %d MiB", maxLine>>20), "one JSON object a line")
			return
		} else if err != nil {
			fail(line+1, fmt.Errorf("reading: %w", err), "check that the path is a readable file")
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
			fail(0, fmt.Errorf("none of its %d lines makes an example of the form %s", line, form), "the file as SuperGLUE distributes "+t.Name)
		}
	}
}

// parse reads one line.
func (t *Task) parse(line []byte, from file) ([]Example, error) {
	if !utf8.Valid(line) {
		return nil, errNotUTF8
	}
	var wrong error
	root := value{wrong: &wrong}
	if err := json.Unmarshal(line, &root.json); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	examples := t.read(root, from)
	return examples, wrong
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

// label is the index of the field label among the task's labels, in any case;
// -1 where the field is absent, as only training files must have it.
func (f file) label(v value) int {
	label, ok := v.optional("label")
	if !ok && f.training {
		v.field("label")
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
	return Example{ID: id, Question: id, Passage: id, Label: f.label(v)}
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
