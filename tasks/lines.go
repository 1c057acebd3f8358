package tasks

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// lineReader says how a line of a task's files becomes examples.
type lineReader struct {
	name string // of the task whose lines these are; empty where fields are declared
	read func(line value, f file) []Example
	// mirror makes of a training example the second one that COPA adds.
	mirror func(Example) Example
	fields []string // that patterns can name
	// candidates is true where every example brings its own choices, each of
	// which becomes a sequence.
	candidates bool
	// generative is true where the model is to write a text of the example, and
	// is right or wrong.
	generative bool
	// ranked is true where an answer that the example names competes with other
	// candidates, and is right or wrong.
	ranked bool
	// writes is true where what the model wrote is compared with a reference.
	writes bool
}

// readers are those that need more than the names of fields.
var readers = map[string]lineReader{
	"COPA":    {name: "COPA", read: readCOPA, mirror: mirrorCOPA, candidates: true, fields: []string{"premise", "joiner", "choice1", "choice2"}},
	"MultiRC": {name: "MultiRC", read: readMultiRC, fields: []string{"passage", "question", "answer", "whole passage", "whole question"}},
	"ReCoRD":  {name: "ReCoRD", read: readReCoRD, candidates: true, fields: []string{"passage", "left", "right", "whole left"}},
	"SQuAD":   {name: "SQuAD", read: readSQuAD, writes: true, fields: []string{"before", "span", "after", "answer"}},
	"WSC":     {name: "WSC", read: readWSC, generative: true, fields: []string{"text", "pronoun", "noun phrase"}},

	"WSC-negative": {name: "WSC-negative", read: readWSCNegative, ranked: true, fields: []string{"text", "pronoun", "noun phrase"}},
}

// answerField is the candidate's name in a pair.
const answerField = "answer"

// declaredLines reads one example a line, by the names of fields.
type declaredLines struct {
	id, label  string // fields; without id examples are counted
	group      string // field that the examples of one question share; empty: none do
	every      int    // > 0: so many examples, counted by group, are a question
	fields     []declaredField
	text       []string // lines for a person
	choices    []string // fields that hold the candidates,
	choiceList string   // or one that holds them all
	writes     string   // field of the text that the model is to write
	clean      func(text string, answer bool) string
}

// declaredField is a text that patterns can name.
type declaredField struct {
	name, from             string // in patterns, in the file
	unpunctuated, verbatim bool   // without its last punctuation; with curly quotes as they are
}

func (d *declaredLines) names() []string {
	names := make([]string, len(d.fields))
	for i, field := range d.fields {
		names[i] = field.name
	}
	return names
}

func (d *declaredLines) read(line value, f file) []Example {
	e := Example{ID: f.set + "-" + strconv.Itoa(f.row), Fields: make(map[string]string, len(d.fields))}
	if d.id != "" {
		e.ID = f.set + "-" + line.at(d.id).word()
	}
	line.about(e.ID)
	e.Question, e.Passage = e.ID, e.ID
	if d.group != "" {
		group := line.at(d.group)
		name := ""
		if d.every > 0 {
			name = strconv.Itoa(group.count() / d.every)
		} else {
			name = group.word()
		}
		e.Question = f.set + "-g" + name
		e.Passage = e.Question
	}
	for _, field := range d.fields {
		text := line.at(field.from).text()
		if !field.verbatim {
			text = straight(text)
		}
		if d.writes != "" {
			text = d.written(line.at(field.from), text, false)
		}
		if field.unpunctuated {
			text = unpunctuated(text)
		}
		e.Fields[field.name] = text
	}
	shown := make([]string, len(d.text))
	for i, text := range d.text {
		shown[i] = fill(text, e.Fields)
	}
	e.Text = strings.Join(shown, "\n")
	for _, field := range d.choices {
		e.Choices = append(e.Choices, straight(line.at(field).text()))
	}
	if d.choiceList != "" {
		list := line.at(d.choiceList)
		for _, choice := range list.list() {
			e.Choices = append(e.Choices, straight(choice.text()))
		}
		if len(e.Choices) == 0 {
			list.fail("there are no choices")
		}
	}
	if d.writes != "" {
		e.Label = -1
		if answer, ok := line.find(d.writes); ok || f.training {
			text := d.written(line.at(d.writes), straight(answer.text()), true)
			e.Answers, e.Gold = []string{text}, []string{text}
		}
		return []Example{e}
	}
	e.Answers = e.Choices
	if f.labels != nil {
		e.Label = f.label(line, d.label)
		if e.Choices != nil && e.Label >= len(e.Choices) {
			line.at(d.label).fail("the right one of %d choices is %s", len(e.Choices), quote(f.labels[e.Label]))
		}
	} else {
		e.Label = f.index(line, d.label, len(e.Choices))
	}
	return []Example{e}
}

// written is a text of a task that writes, cleaned; there must be one.
func (d *declaredLines) written(v value, text string, answer bool) string {
	text = strings.TrimFunc(text, isSpace)
	if d.clean != nil {
		text = d.clean(text, answer)
	}
	if text == "" {
		v.fail("the text is empty")
	}
	return text
}

// index is the label as the place of the right choice, from 0; -1 where it is
// absent, as only training files must have it.
func (f file) index(line value, field string, choices int) int {
	label, ok := line.find(field)
	if !ok && f.training {
		line.at(field)
	}
	if !ok {
		return -1
	}
	word := label.word()
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n >= choices {
		label.fail("%s is not the place of one of %d choices, from 0", quote(word), choices)
		return -1
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
