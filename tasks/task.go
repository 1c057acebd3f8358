// Package tasks is SuperGLUE as GLM reads it (paper section 2.3, tables of
// section 3.2): the official files become examples, a pattern turns an example
// into a cloze question whose blank the model fills, and the official metrics
// score what it filled in. BERT reads the same examples as a sentence pair.
//
// A [Task] is data: its files and their fields, its patterns and verbalizers, its
// metrics, declared in YAML (declarations/, and [Open] for a user's own). Only
// what data cannot say is Go: how WSC's pronouns are found, ReCoRD's entities,
// MultiRC's groups, COPA's clauses. CB's validation file through its pattern 3:
//
//	task, _ := tasks.Get("CB")
//	encoder, err := task.NewEncoder(tasks.Cloze, 3, 256, tokenizer)
//	for example, err := range task.Read("CB/val.jsonl", "val", tasks.Cloze) {
//		encoded, cut, err := encoder.Encode(example) // spans.Block, verbalizer ids, gold label
//		prediction := tasks.Predict(encoded, scores)
//	}
//
// [Encoder.Prepare] does so for a whole task folder and writes Arrow files that
// [OpenSplit] reads back. Which pattern and length a task has by default is in
// package configs.
package tasks

import (
	"fmt"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// Task is one task of SuperGLUE, or one that a user declared.
type Task struct {
	Name string // as its folder is called
	// Labels are the label names in the authors' order, which Label and
	// Verbalizers follow. COPA's number its choices; ReCoRD has no use for them.
	Labels []string

	// trainedOn names the task whose models answer this one; empty where it has
	// models of its own.
	trainedOn string
	recipe    string              // whose recipe holds; empty for its own or none
	files     map[string]dataFile // by split; nil: train.jsonl and so on
	reader    lineReader
	declared  *declaredLines // what reader.read does; nil where a reader in Go does it
	numeric   bool           // Labels are integers
	patterns  []pattern
	patternOf string // the task whose patterns these are; empty for its own
	pair      pair
	ratios    []float64 // of words that infilling blanks, numbered like patterns; nil where there are patterns
	metrics   []metric
	choosing  string // name of the metric by which a model is chosen

	path        string // of the declaration, for messages
	declaration []byte // of a user's task; nil for a built-in one
}

// dataFile is the file of a split.
type dataFile struct {
	name    string
	columns []string // of a table without a header
	// only and except name files beside it, a title a line: of SQuAD's articles
	// those, or all the others.
	only, except string
}

// Names lists the tasks that models are finetuned on, SuperGLUE's eight.
func Names() []string { return names(func(t *Task) bool { return t.trainedOn == "" }) }

// Diagnostics lists the tasks that only test what models of another task know,
// SuperGLUE's AX-b and AX-g.
func Diagnostics() []string { return names(func(t *Task) bool { return t.trainedOn != "" }) }

func names(which func(*Task) bool) []string {
	var names []string
	for _, task := range registry {
		if which(task) {
			names = append(names, task.Name)
		}
	}
	return names
}

// Generation lists the built-in tasks whose answers the model writes:
// summaries, questions, missing words.
func Generation() []string { return namesOf(generation) }

// Get returns the task of that name in any case. An unknown name is a
// configs.Error that offers the nearest one.
func Get(name string) (*Task, error) {
	if builtInErr != nil {
		return nil, builtInErr
	}
	for _, task := range builtIns {
		if strings.EqualFold(task.Name, name) {
			return task, nil
		}
	}
	all := namesOf(builtIns)
	return nil, &configs.Error{
		Msg:  fmt.Sprintf("there is no task %s; did you mean %s?", quote(name), configs.Nearest(name, all)),
		Hint: "one of " + strings.Join(all, ", "),
	}
}

// TrainedOn is the task that the models which answer this one are finetuned on:
// its own name, or RTE for the diagnostics AX-b and AX-g.
func (t *Task) TrainedOn() string {
	if t.trainedOn != "" {
		return t.trainedOn
	}
	return t.Name
}

// Recipe names the task in whose part of the configuration, finetune.tasks, this
// one's recipe stands. A task of a user that names none has the common recipe.
func (t *Task) Recipe() string {
	if t.recipe != "" {
		return t.recipe
	}
	return t.TrainedOn()
}

// PatternsOf names the task that declares the task's patterns, mostly itself.
func (t *Task) PatternsOf() string {
	if t.patternOf != "" {
		return t.patternOf
	}
	return t.Name
}

// File is the name of a split's file in the task's folder; empty where the task
// has no such split.
func (t *Task) File(split string) string {
	if t.files != nil {
		return t.files[split].name
	}
	return split + ".jsonl"
}

// Splits lists those of the package's Splits that the task can have.
func (t *Task) Splits() []string {
	var splits []string
	for _, split := range Splits {
		if t.File(split) != "" {
			splits = append(splits, split)
		}
	}
	return splits
}

// ChoosingMetric is the name, among those of [Task.Score], of the metric by
// which the best of several models is chosen: the first that the authors print
// (GLM repository, tasks/superglue/finetune.py).
func (t *Task) ChoosingMetric() string { return t.choosing }

// Patterns is the number of patterns, or of infilling's ratios: ids run from 0 to Patterns()-1.
func (t *Task) Patterns() int { return max(len(t.patterns), len(t.ratios)) }

// Writes tells whether the model writes the answers, which are compared with a
// reference.
func (t *Task) Writes() bool { return t.reader.writes }
