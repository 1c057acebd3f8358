package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

// answeredTask is the examples of a task with the answers of all runs that
// answered the same ones.
type answeredTask struct {
	Task    string        `json:"task"`
	Split   string        `json:"split"`
	Of      string        `json:"of,omitempty"`      // the first model, where models answered different examples
	Choices []string      `json:"choices,omitempty"` // where all examples have the same
	Runs    []answeredRun `json:"runs"`

	preds [][]tasks.Prediction // of each run, in one order
	// choices of each example: where answers are written, all that any run wrote.
	choices [][]string
	written bool
}

// answeredRun says whose answers the columns of an answeredTask are.
type answeredRun struct {
	Model string `json:"model"`
	Seed  uint64 `json:"seed"`
}

// Examples are all examples of some results with every answer, for reading them
// one by one.
type Examples struct{ tasks []*answeredTask }

// ReadExamples reads the predictions of results, in the order of the table's
// columns. Errors are those of Result.ReadPredictions.
func ReadExamples(results []*Result) (*Examples, error) {
	order := func(task string) int {
		if i := slices.Index(knownTasks(), task); i >= 0 {
			return i
		}
		return len(knownTasks())
	}
	results = slices.SortedStableFunc(slices.Values(results), func(a, b *Result) int { return order(a.Task) - order(b.Task) })
	e := &Examples{}
	for _, r := range results {
		preds, err := r.ReadPredictions()
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(preds, func(p, q tasks.Prediction) int { return p.Number - q.Number })
		e.add(r, preds)
	}
	return e, nil
}

func (e *Examples) add(r *Result, preds []tasks.Prediction) {
	run := answeredRun{r.Model.Name, r.Seed}
	others := false
	for _, t := range e.tasks {
		if t.Task != r.Task || t.Split != r.Split {
			continue
		}
		if sameExamples(t.preds[0], preds) && (t.written && written(preds) || t.sameChoices(preds)) {
			t.add(run, preds)
			return
		}
		others, t.Of = true, t.Runs[0].Model
	}
	t := &answeredTask{Task: r.Task, Split: r.Split, written: written(preds), choices: make([][]string, len(preds))}
	if others {
		t.Of = r.Model.Name
	}
	t.add(run, preds)
	e.tasks = append(e.tasks, t)
}

// add adds a run's answers. What all runs share is kept once.
func (t *answeredTask) add(run answeredRun, preds []tasks.Prediction) {
	for i, p := range preds {
		switch {
		case t.written:
			at := slices.Index(t.choices[i], p.Choices[0])
			if at < 0 {
				at = len(t.choices[i])
				t.choices[i] = append(t.choices[i], p.Choices[0])
			}
			preds[i].Predicted = at
		case t.choices[i] == nil:
			t.choices[i] = p.Choices
		}
		preds[i].Choices = nil
		if len(t.preds) > 0 {
			preds[i].Text = ""
		}
	}
	t.Runs, t.preds = append(t.Runs, run), append(t.preds, preds)
}

// written tells whether each answer was written by the model itself.
func written(preds []tasks.Prediction) bool {
	return !slices.ContainsFunc(preds, func(p tasks.Prediction) bool { return len(p.Choices) != 1 || len(p.Gold) == 0 })
}

// sameChoices tells whether an answer's index means the same in both.
func (t *answeredTask) sameChoices(preds []tasks.Prediction) bool {
	return slices.EqualFunc(t.choices, preds, func(choices []string, p tasks.Prediction) bool { return slices.Equal(choices, p.Choices) })
}

// rightChoices are the indices of an example's choices that count as right: the
// label's, or in ReCoRD and where there is none those equal to a reference once
// both are normalised.
func (t *answeredTask) rightChoices(p tasks.Prediction, choices []string) []int {
	if p.Label >= 0 && t.Task != "ReCoRD" {
		return []int{p.Label}
	}
	right := []int{}
	for i, choice := range choices {
		if metrics.ExactMatch(choice, p.Gold) > 0 {
			right = append(right, i)
		}
	}
	return right
}

// JSON writes the examples for a page's script: a line a task (answeredTask) with
// its examples, a line each, as arrays of id, text, choices (null where the
// task's), indices of the right ones, the answer of each run, the scores of each
// run, and where answers are written the references. It may stand inside a script element.
func (e *Examples) JSON(w io.Writer) error {
	out := &bytes.Buffer{}
	out.WriteString("[")
	for i, t := range e.tasks {
		if i > 0 {
			out.WriteString(",")
		}
		t.Choices = t.choices[0]
		if slices.ContainsFunc(t.choices, func(choices []string) bool { return !slices.Equal(choices, t.choices[0]) }) {
			t.Choices = nil
		}
		head, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("writing the examples of %s: %w", t.Task, err)
		}
		fmt.Fprintf(out, "\n%s,\"examples\":[", head[:len(head)-1])
		for k := range t.preds[0] {
			if k > 0 {
				out.WriteString(",")
			}
			out.WriteString("\n")
			if err := t.line(out, k); err != nil {
				return err
			}
		}
		out.WriteString("]}")
		if _, err := w.Write(out.Bytes()); err != nil {
			return err
		}
		out.Reset()
	}
	out.WriteString("]\n")
	_, err := w.Write(out.Bytes())
	return err
}

// line writes example k.
func (t *answeredTask) line(out *bytes.Buffer, k int) error {
	p := t.preds[0][k]
	predicted, scores := []int{}, [][]json.RawMessage{}
	for _, preds := range t.preds {
		predicted = append(predicted, preds[k].Predicted)
		row := []json.RawMessage{}
		if t.written { // the only score is that of what this run wrote
			row = slices.Repeat([]json.RawMessage{json.RawMessage("null")}, preds[k].Predicted)
		}
		for _, score := range preds[k].Scores {
			row = append(row, strconv.AppendFloat(nil, score, 'g', 4, 64))
		}
		scores = append(scores, row)
	}
	var choices, references []string
	if t.Choices == nil {
		choices = t.choices[k]
	}
	if t.written {
		references = p.Gold
	}
	line, err := json.Marshal([]any{p.ID, p.Text, choices, t.rightChoices(p, t.choices[k]), predicted, scores, references})
	if err != nil {
		return fmt.Errorf("writing example %s of %s: %w", p.ID, t.Task, err)
	}
	out.Write(line)
	return nil
}
