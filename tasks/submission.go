package tasks

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// A submission to SuperGLUE's site is a zip archive of one TASK.jsonl for each
// task, a line for each example of the task's test file in its order (the site's
// FAQ; the forms of lines and labels are those of jiant, the toolkit of the
// benchmark's authors: jiant v1, evaluate.py; v2, super_glue_format_preds).

// testSet is the size of an official test file.
type testSet struct {
	task  string
	lines int // of the submitted file: examples, of MultiRC passages
	// questions and answers are MultiRC's.
	questions, answers int
}

// testSets are those of a submission, in the site's order.
var testSets = []testSet{
	{task: "BoolQ", lines: 3245}, {task: "CB", lines: 250}, {task: "COPA", lines: 500},
	{task: "MultiRC", lines: 166, questions: 1820, answers: 9693}, {task: "ReCoRD", lines: 10000},
	{task: "RTE", lines: 3000}, {task: "WiC", lines: 1400}, {task: "WSC", lines: 146},
	{task: "AX-b", lines: 1104}, {task: "AX-g", lines: 356},
}

// SubmissionTasks are the tasks that a whole submission answers.
func SubmissionTasks() []string {
	names := make([]string, len(testSets))
	for i, set := range testSets {
		names[i] = set.task
	}
	return names
}

// SubmittedAs is the task whose file of a submission the answers to a task are: it
// itself, or the one that it asks in another way. A task that no submission has is
// a configs.Error.
func SubmittedAs(name string) (string, error) {
	as := name
	if task, err := Get(name); err == nil && slices.Contains(variant, task.Name) {
		as = task.PatternsOf()
	}
	if !slices.Contains(SubmissionTasks(), as) {
		return "", &configs.Error{Field: name, Msg: "is not a task of a submission to SuperGLUE", Hint: "results of " + strings.Join(SubmissionTasks(), ", ")}
	}
	return as, nil
}

// A line of a submitted file, and what a line of MultiRC holds.
type (
	submittedLine struct {
		Idx   int `json:"idx"`
		Label any `json:"label"`
	}
	submittedPassage struct {
		Idx     int                `json:"idx"`
		Passage submittedQuestions `json:"passage"`
	}
	submittedQuestions struct {
		Questions []submittedQuestion `json:"questions"`
	}
	submittedQuestion struct {
		Idx     int             `json:"idx"`
		Answers []submittedLine `json:"answers"`
	}
)

// exampleID is what the readers call an example of a test file.
var exampleID = regexp.MustCompile(`^test-(?:p(\d+)-q(\d+)(?:-a(\d+))?|(\d+))$`)

// WriteSubmission writes an archive of the predictions on the test files of
// tasks; tasks without any are left out. The same predictions make the same
// bytes. Predictions on another split, or of a task that no submission has, are
// a configs.Error.
func WriteSubmission(w io.Writer, predictions map[string][]Prediction) error {
	of := map[string][]Prediction{}
	for _, name := range sortedKeys(predictions) {
		as, err := SubmittedAs(name)
		if err != nil {
			return err
		}
		if of[as] != nil {
			return &configs.Error{Field: name, Msg: fmt.Sprintf("answers %s a second time", as), Hint: "one of the two results"}
		}
		of[as] = predictions[name]
	}
	archive := zip.NewWriter(w)
	for _, set := range testSets {
		preds := of[set.task]
		if len(preds) == 0 {
			continue
		}
		lines, err := submitted(set.task, preds)
		if err != nil {
			return err
		}
		// The first time that the format knows: the bytes follow from the answers.
		header := zip.FileHeader{Name: set.task + ".jsonl", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		file, err := archive.CreateHeader(&header)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(file)
		encoder.SetEscapeHTML(false)
		for _, line := range lines {
			if err := encoder.Encode(line); err != nil {
				return err
			}
		}
	}
	return archive.Close()
}

// submitted makes the lines of a task's file.
func submitted(name string, preds []Prediction) ([]any, error) {
	task, err := Get(name)
	if err != nil {
		return nil, err
	}
	preds = slices.SortedStableFunc(slices.Values(preds), func(a, b Prediction) int { return a.Number - b.Number })
	var lines []any
	var passages []*submittedPassage
	for _, p := range preds {
		id := exampleID.FindStringSubmatch(p.ID)
		if id == nil {
			return nil, &configs.Error{Field: name, Msg: fmt.Sprintf("%s is not an example of the test file", p.ID), Hint: "results of the split test"}
		}
		number := func(group int) int { n, _ := strconv.Atoi(id[group]); return n }
		label := any(p.Answer)
		if task.numeric {
			label = p.Predicted
		}
		switch {
		case task.reader.name == "MultiRC":
			if n := len(passages); n == 0 || passages[n-1].Idx != number(1) {
				passages = append(passages, &submittedPassage{Idx: number(1)})
				lines = append(lines, passages[n])
			}
			questions := &passages[len(passages)-1].Passage.Questions
			if n := len(*questions); n == 0 || (*questions)[n-1].Idx != number(2) {
				*questions = append(*questions, submittedQuestion{Idx: number(2)})
			}
			q := &(*questions)[len(*questions)-1]
			q.Answers = append(q.Answers, submittedLine{number(3), label})
		case task.reader.name == "ReCoRD":
			lines = append(lines, submittedLine{number(2), label})
		default:
			lines = append(lines, submittedLine{number(4), label})
		}
	}
	return lines, nil
}

// SubmittedFile is what a submission holds of a task.
type SubmittedFile struct {
	Task   string
	Name   string         // in the archive; empty where it is missing
	Lines  int            // read before Fault
	Labels map[string]int // answers by label; of ReCoRD their number alone, under ""
	// Fault is the first thing that the site would not take, a corpus.DataError
	// with file and line; nil where there is none.
	Fault error
}

// CheckSubmission reads an archive as SuperGLUE's site wants it, and returns its
// files, one for each task in the site's order. Files that belong to no task
// come behind, with a fault each. An archive that cannot be read is a
// corpus.DataError.
func CheckSubmission(file string) ([]SubmittedFile, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, openError(file, err)
		}
		return nil, &corpus.DataError{Path: file, Err: err, Hint: "a zip archive, as glmkit report submission writes it"}
	}
	defer archive.Close()
	found := make([]SubmittedFile, len(testSets))
	for i, set := range testSets {
		want := set.task + ".jsonl"
		found[i] = SubmittedFile{Task: set.task, Labels: map[string]int{}}
		at := slices.IndexFunc(archive.File, func(f *zip.File) bool { return path.Base(f.Name) == want })
		if at < 0 {
			found[i].Fault = &corpus.DataError{Path: file, Err: fmt.Errorf("%s is missing", want), Hint: "the site takes all ten tasks together"}
			continue
		}
		found[i].Name = archive.File[at].Name
		found[i].check(set, file, archive.File[at])
	}
	for i, f := range archive.File {
		name := path.Base(f.Name)
		if strings.HasSuffix(f.Name, "/") {
			continue // the site looks into folders
		}
		wanted := slices.Contains(SubmissionTasks(), strings.TrimSuffix(name, ".jsonl")) && strings.HasSuffix(name, ".jsonl")
		twice := slices.ContainsFunc(archive.File[:i], func(g *zip.File) bool { return path.Base(g.Name) == name })
		if wanted && !twice {
			continue
		}
		why := errors.New("is no task's file")
		if wanted {
			why = errors.New("is there twice")
		}
		found = append(found, SubmittedFile{Name: f.Name, Fault: &corpus.DataError{Path: file + ":" + f.Name, Err: why, Hint: "an archive of " + strings.Join(SubmissionTasks(), ".jsonl, ") + ".jsonl alone"}})
	}
	return found, nil
}

// submittedReader checks the lines of a task's file.
type submittedReader struct {
	task               *Task
	questions, answers int // of MultiRC, so far
	labels             map[string]int
}

// check reads a file until its first fault.
func (s *SubmittedFile) check(set testSet, archive string, f *zip.File) {
	fail := func(line int, format string, args ...any) {
		s.Fault = &corpus.DataError{Path: archive + ":" + f.Name, Line: line, Err: fmt.Errorf(format, args...), Hint: "the file as glmkit report submission writes it"}
	}
	task, err := Get(set.task)
	if err != nil {
		s.Fault = err
		return
	}
	content, err := f.Open()
	if err != nil {
		fail(0, "%w", err)
		return
	}
	defer content.Close()
	r := submittedReader{task: task, labels: s.Labels}
	lines := bufio.NewScanner(content)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := r.line(lines.Bytes(), s.Lines); err != nil {
			fail(s.Lines+1, "%w", err)
			return
		}
		s.Lines++
	}
	switch {
	case lines.Err() != nil:
		fail(s.Lines+1, "%w", lines.Err())
	case s.Lines != set.lines:
		fail(0, "it has %d lines, the test file %d", s.Lines, set.lines)
	case r.questions != set.questions || r.answers != set.answers:
		fail(0, "it has %d questions and %d answers, the test file %d and %d", r.questions, r.answers, set.questions, set.answers)
	}
}

// line checks one line, the number-th from 0.
func (r *submittedReader) line(text []byte, number int) error {
	if r.task.reader.name == "MultiRC" {
		var p submittedPassage
		if err := strictly(text, &p); err != nil {
			return err
		}
		if p.Idx != number {
			return fmt.Errorf("idx %d where %d is due", p.Idx, number)
		}
		if len(p.Passage.Questions) == 0 {
			return errors.New("passage.questions is missing")
		}
		for _, q := range p.Passage.Questions {
			if q.Idx != r.questions {
				return fmt.Errorf("question idx %d where %d is due", q.Idx, r.questions)
			}
			r.questions++
			for _, a := range q.Answers {
				if a.Idx != r.answers {
					return fmt.Errorf("question %d: answer idx %d where %d is due", q.Idx, a.Idx, r.answers)
				}
				r.answers++
				if err := r.label(a.Label); err != nil {
					return fmt.Errorf("answer %d: %w", a.Idx, err)
				}
			}
		}
		return nil
	}
	var line submittedLine
	if err := strictly(text, &line); err != nil {
		return err
	}
	if line.Idx != number {
		return fmt.Errorf("idx %d where %d is due", line.Idx, number)
	}
	return r.label(line.Label)
}

// strictly reads a line that has these fields and no others.
func strictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("not a line of this task: %w", err)
	}
	return nil
}

// label checks that an answer is one of the task's, as its test file would have
// it: 0 is not "0", true not "true".
func (r *submittedReader) label(given any) error {
	if given == nil {
		return errors.New("the label is missing")
	}
	if r.task.reader.name == "ReCoRD" {
		if text, ok := given.(string); !ok || strings.TrimSpace(text) == "" {
			return fmt.Errorf("the label %s is not the text of an entity", spelled(given))
		}
		r.labels[""]++
		return nil
	}
	wanted := make([]string, len(r.task.Labels))
	for i, label := range r.task.Labels {
		if wanted[i] = strconv.Quote(label); r.task.numeric {
			wanted[i] = label
		}
		if spelled(given) == wanted[i] {
			r.labels[label]++
			return nil
		}
	}
	return fmt.Errorf("the label %s is not one of %s", spelled(given), strings.Join(wanted, ", "))
}

// spelled is a JSON value as a line has it.
func spelled(json any) string {
	if text, ok := json.(string); ok {
		return quote(text)
	}
	return fmt.Sprint(json)
}
