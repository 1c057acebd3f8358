package tasks

// boolQ asks a yes/no question about a passage.
var boolQ = &Task{
	Name:   "BoolQ",
	Labels: []string{"false", "true"},
	read:   readBoolQ,
	patterns: []pattern{
		0: {a: boolQQuestion, words: []string{" No", " Yes"}},
		1: {a: boolQQuestion, words: []string{" false", " true"}},
		2: {a: boolQPrevious, words: []string{" No", " Yes"}},
		3: {a: boolQPrevious, words: []string{" false", " true"}},
		4: {a: boolQFollowing, words: []string{" No", " Yes"}},
		5: {a: boolQFollowing, words: []string{" false", " true"}},
	},
	pair:    pair{a: template{"✂{passage}"}, b: template{"{question}"}},
	metrics: []metric{accuracy},
}

var (
	boolQQuestion  = template{"✂{passage}", " Question:", "✂ {question}", "? Answer:", "▢", "."}
	boolQPrevious  = template{"✂{passage}", " Based on the previous passage,", "✂ {question}", "?", "▢", "."}
	boolQFollowing = template{"Based on the following passage", "✂ {question}", "?", "▢", ".", "✂ {passage}"}
)

func readBoolQ(line value, f file) []Example {
	e := f.single(line)
	passage, question := straight(line.field("passage").text()), straight(line.field("question").text())
	e.Fields = map[string]string{"passage": passage, "question": question}
	e.Text = "passage: " + passage + "\nquestion: " + question
	return []Example{e}
}
