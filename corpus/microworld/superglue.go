package microworld

import (
	"fmt"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// The records of the official SuperGLUE files, fields in the official order.
// A nil label is left out, as in the official test files.

type boolQ struct {
	Question string `json:"question"`
	Passage  string `json:"passage"`
	Idx      int    `json:"idx"`
	Label    *bool  `json:"label,omitempty"`
}

type inference struct { // CB and RTE
	Premise    string  `json:"premise"`
	Hypothesis string  `json:"hypothesis"`
	Label      *string `json:"label,omitempty"`
	Idx        int     `json:"idx"`
}

type copa struct {
	Premise  string `json:"premise"`
	Choice1  string `json:"choice1"`
	Choice2  string `json:"choice2"`
	Question string `json:"question"`
	Label    *int   `json:"label,omitempty"`
	Idx      int    `json:"idx"`
}

type multiRC struct {
	Idx     int            `json:"idx"`
	Version float64        `json:"version"`
	Passage multiRCPassage `json:"passage"`
}

type multiRCPassage struct {
	Text      string            `json:"text"`
	Questions []multiRCQuestion `json:"questions"`
}

type multiRCQuestion struct {
	Question string          `json:"question"`
	Answers  []multiRCAnswer `json:"answers"`
	Idx      int             `json:"idx"`
}

type multiRCAnswer struct {
	Text  string `json:"text"`
	Idx   int    `json:"idx"`
	Label *int   `json:"label,omitempty"`
}

type record struct {
	Source  string        `json:"source"`
	Passage recordPassage `json:"passage"`
	Qas     []recordQuery `json:"qas"`
	Idx     int           `json:"idx"`
}

type recordPassage struct {
	Text     string       `json:"text"`
	Entities []recordSpan `json:"entities"`
}

// recordSpan is a range of characters, End inclusive.
type recordSpan struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text,omitempty"`
}

type recordQuery struct {
	Query   string       `json:"query"`
	Answers []recordSpan `json:"answers,omitempty"`
	Idx     int          `json:"idx"`
}

type wic struct {
	Word      string  `json:"word"`
	Sentence1 string  `json:"sentence1"`
	Sentence2 string  `json:"sentence2"`
	Idx       int     `json:"idx"`
	Label     *bool   `json:"label,omitempty"`
	Start1    int     `json:"start1"`
	Start2    int     `json:"start2"`
	End1      int     `json:"end1"`
	End2      int     `json:"end2"`
	Version   float64 `json:"version"`
}

type wsc struct {
	Text   string    `json:"text"`
	Target wscTarget `json:"target"`
	Idx    int       `json:"idx"`
	Label  *bool     `json:"label,omitempty"`
}

// wscTarget names a candidate and a pronoun by text and by the index of their
// first word, counting words between white space.
type wscTarget struct {
	Span2Index int    `json:"span2_index"`
	Span1Index int    `json:"span1_index"`
	Span1Text  string `json:"span1_text"`
	Span2Text  string `json:"span2_text"`
}

// example is one record of a task file.
type example interface {
	// texts are what a document may not contain when the example is held
	// out: its passage, premise or sentences. Together they tell examples of
	// one task apart.
	texts() []string
	// number sets the indices, counting records and, where the format counts
	// them over the whole file, questions.
	number(idx int, questions *int)
	// hide removes the labels.
	hide()
	// size is what the example counts for in Params.Train and Params.Val.
	size() int
}

func (e *boolQ) texts() []string     { return []string{e.Passage} }
func (e *inference) texts() []string { return []string{e.Premise} }
func (e *copa) texts() []string      { return []string{e.Premise} }
func (e *multiRC) texts() []string   { return []string{e.Passage.Text} }
func (e *record) texts() []string    { return []string{e.Passage.Text} }
func (e *wic) texts() []string       { return []string{e.Sentence1, e.Sentence2} }
func (e *wsc) texts() []string       { return []string{e.Text} }

func (e *boolQ) number(i int, _ *int)     { e.Idx = i }
func (e *inference) number(i int, _ *int) { e.Idx = i }
func (e *copa) number(i int, _ *int)      { e.Idx = i }
func (e *wic) number(i int, _ *int)       { e.Idx = i }
func (e *wsc) number(i int, _ *int)       { e.Idx = i }

func (e *multiRC) number(i int, questions *int) {
	// Answers are counted from 0 in each passage.
	e.Idx = i
	answers := 0
	for q := range e.Passage.Questions {
		e.Passage.Questions[q].Idx = *questions
		*questions++
		for a := range e.Passage.Questions[q].Answers {
			e.Passage.Questions[q].Answers[a].Idx = answers
			answers++
		}
	}
}

func (e *record) number(i int, questions *int) {
	e.Idx = i
	for q := range e.Qas {
		e.Qas[q].Idx = *questions
		*questions++
	}
}

func (e *boolQ) hide()     { e.Label = nil }
func (e *inference) hide() { e.Label = nil }
func (e *copa) hide()      { e.Label = nil }
func (e *wic) hide()       { e.Label = nil }
func (e *wsc) hide()       { e.Label = nil }

func (e *multiRC) hide() {
	for q := range e.Passage.Questions {
		for a := range e.Passage.Questions[q].Answers {
			e.Passage.Questions[q].Answers[a].Label = nil
		}
	}
}

func (e *record) hide() {
	for q := range e.Qas {
		e.Qas[q].Answers = nil
	}
}

func (*boolQ) size() int     { return 1 }
func (*inference) size() int { return 1 }
func (*copa) size() int      { return 1 }
func (*record) size() int    { return 1 }
func (*wic) size() int       { return 1 }
func (*wsc) size() int       { return 1 }

func (e *multiRC) size() (n int) {
	for _, q := range e.Passage.Questions {
		n += len(q.Answers)
	}
	return n
}

// generators make one example of each task. The choice counts up from 0 with
// the examples; its remainder is the label, so that labels are balanced.
var generators = map[string]func(w *World, d *draw, choice int) example{
	"BoolQ":   (*World).boolQ,
	"CB":      (*World).cb,
	"COPA":    (*World).copa,
	"MultiRC": (*World).multiRC,
	"ReCoRD":  (*World).record,
	"RTE":     (*World).rte,
	"WiC":     (*World).wic,
	"WSC":     (*World).wsc,
}

// Tasks are the names of the tasks, as their folders are called.
func Tasks() []string {
	return []string{"BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC"}
}

// Splits are the files of a task, in the order they are drawn.
func Splits() []string { return []string{"train", "val", "test"} }

// attempts bounds how often an example that was drawn before is drawn anew.
const attempts = 2000

// examples draws all splits of a task. No two examples have the same texts,
// within a split or across them.
func (w *World) examples(task string) (map[string][]example, error) {
	seen := map[string]bool{}
	splits := map[string][]example{}
	for s, split := range Splits() {
		want := w.params.Val
		if split == "train" {
			want = w.params.Train
		}
		var list []example
		for i, size := 0, 0; size < want; i++ {
			e, err := w.fresh(task, s, i, seen)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
			size += e.size()
		}
		shuffle(newDraw(w.params.Seed, purposeOrder, hash(task), uint64(s)), list)
		questions := 0
		for i, e := range list {
			e.number(i, &questions)
			if split == "test" {
				e.hide()
			}
		}
		splits[split] = list
	}
	return splits, nil
}

// fresh draws the example with the given index until its texts are new.
func (w *World) fresh(task string, split, index int, seen map[string]bool) (example, error) {
	for attempt := range attempts {
		d := newDraw(w.params.Seed, purposeTask, hash(task), uint64(split), uint64(index), uint64(attempt))
		e := generators[task](w, d, index)
		key := words(strings.Join(e.texts(), " / "))
		if !seen[key] {
			seen[key] = true
			return e, nil
		}
	}
	return nil, &configs.Error{Field: "train-size", Msg: fmt.Sprintf("the world is too small for %d %s examples to train and %d to validate on", w.params.Train, task, w.params.Val),
		Hint: "fewer of them, or more people"}
}

// hash is FNV-1a, so that a draw can be keyed by a name.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Purposes key the draws of different parts of the world.
const (
	purposeTask = iota + 1
	purposeOrder
	purposeDocument
	purposeHeld
)
