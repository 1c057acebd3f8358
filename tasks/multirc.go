package tasks

import "strings"

// multiRC asks of each of several answers to a question about a passage
// whether it is right.
var multiRC = &Task{
	Name:    "MultiRC",
	Labels:  []string{"0", "1"},
	numeric: true,
	read:    readMultiRC,
	patterns: []pattern{
		0: {
			a:     template{"✂{passage}", ".", " Question:", " {question}?", " Is it", " {answer}", "?", "▢", "."},
			words: []string{" No", " Yes"},
		},
		1: {
			a:     template{"✂{passage}", ".", " Question:", " {question}", "?", ` Is the correct answer "`, "{answer}", `"?`, "▢", "."},
			words: []string{" No", " Yes"},
		},
		2: {
			a:     template{"✂{passage}", ". Based on the previous passage,", " {question}", "?", ` Is "`, "{answer}", `" a correct answer?`, "▢", "."},
			words: []string{" No", " Yes"},
		},
		3: {
			a:     template{"✂{passage}", " {question}", "- [", "▢", "]", "{answer}"},
			words: []string{" False", " True"},
		},
		4: {
			a:     template{"✂{passage}", ".", " Question:", " {question}", "?", " {answer}", "?", "▢", "."},
			words: []string{" No", " Yes"},
		},
	},
	pair:    pair{a: template{"✂{whole passage}"}, b: template{"{whole question} answer: {answer}"}},
	metrics: []metric{f1a, em},
}

func readMultiRC(line value, f file) []Example {
	passageID := f.set + "-p" + line.field("idx").word()
	body := line.field("passage")
	passage := straight(body.field("text").text())
	var examples []Example
	for _, q := range body.field("questions").list() {
		questionID := passageID + "-q" + q.field("idx").word()
		question := straight(q.field("question").text())
		for _, a := range q.field("answers").list() {
			answer := straight(a.field("text").text())
			examples = append(examples, Example{
				ID:       questionID + "-a" + a.field("idx").word(),
				Question: questionID,
				Passage:  passageID,
				Label:    f.label(a),
				Fields: map[string]string{
					"whole passage":  passage,
					"whole question": question,
					"passage":        unpunctuated(strings.TrimRightFunc(passage, isSpace)),
					"question":       unpunctuated(strings.TrimRightFunc(question, isSpace)),
					"answer":         answer,
				},
				Text: "passage: " + passage + "\nquestion: " + question + "\nanswer: " + answer,
			})
		}
	}
	return examples
}
