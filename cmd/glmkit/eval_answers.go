package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/glmkit/glmkit/tasks"
)

// shownRunes bounds a line of an example's text on a terminal; a passage is cut.
const shownRunes = 600

// writeMistakes shows the first of the wrong predictions out of all: on a
// terminal wrapped and long passages cut, else every field of an example whole
// on a line.
func writeMistakes(w io.Writer, wrong []tasks.Prediction, all, most int) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d of %d wrong", len(wrong), all)
	if len(wrong) > most {
		if out.WriteString(", the "); most > 1 {
			fmt.Fprintf(&out, "%d ", most)
		}
		out.WriteString("most confident")
		wrong = wrong[:most]
	}
	out.WriteString("\n")
	for _, p := range wrong {
		fmt.Fprintf(&out, "\n%s  %s", p.ID, answerNote(p, p.Predicted))
		for _, gold := range p.Gold {
			choice := -1
			for i, c := range p.Choices {
				if c == gold {
					choice = i
				}
			}
			fmt.Fprintf(&out, ", right %s", strings.TrimSpace(strconv.Quote(gold)+" "+share(p.Probability(choice))))
		}
		out.WriteString("\n")
		for _, line := range strings.Split(p.Text, "\n") {
			if isTerminal(w) {
				line = strings.Join(wrapped(line, columns(w)-4), "\n    ")
			}
			fmt.Fprintf(&out, "  %s\n", line)
		}
	}
	out.WriteString("\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// answerNote is a choice with its probability, where the model gave one.
func answerNote(p tasks.Prediction, choice int) string {
	return strings.TrimSpace(strconv.Quote(p.Answer) + " " + share(p.Probability(choice)))
}

// share is a probability; nothing where there is none.
func share(p float64) string {
	if math.IsNaN(p) {
		return ""
	}
	return fmt.Sprintf("%.3f", p)
}

// wrapped breaks a text between words; a long one is cut.
func wrapped(text string, width int) (lines []string) {
	if runes := []rune(text); len(runes) > shownRunes {
		text = string(runes[:shownRunes]) + "…"
	}
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// submit writes predictions as a submission, and says what the site would not
// take of it.
func submit(s streams, path string, predictions map[string][]tasks.Prediction) error {
	var archive bytes.Buffer
	if err := tasks.WriteSubmission(&archive, predictions); err != nil {
		return err
	}
	if err := writeOutput("submission", path, archive.Bytes()); err != nil {
		return err
	}
	files, err := tasks.CheckSubmission(path)
	if err != nil {
		return err
	}
	whole := 0
	for _, f := range files {
		if f.Fault == nil {
			whole++
			continue
		}
		fmt.Fprintf(s.err, "%v\n", f.Fault)
	}
	fmt.Fprintf(s.out, "%s: %d of %d tasks as SuperGLUE's site takes them\n", path, whole, len(tasks.SubmissionTasks()))
	if whole < len(tasks.SubmissionTasks()) {
		fmt.Fprintln(s.err, "the site takes only all ten tasks together, each with all examples of its test file")
	}
	return nil
}
