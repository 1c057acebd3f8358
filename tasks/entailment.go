package tasks

// rte asks whether a premise entails a hypothesis.
var rte = &Task{
	Name:   "RTE",
	Labels: []string{"entailment", "not_entailment"},
	read:   readEntailment,
	patterns: append(
		claims(" Yes", " No"),
		pattern{
			a:     template{"✂{premise}", " question:", "✂ {claim}", " True or False?", " answer:", "▢"},
			words: []string{" true", " false"},
		}),
	pair:    entailmentPair,
	metrics: []metric{accuracy},
}

// cb asks the same with a third answer.
var cb = &Task{
	Name:   "CB",
	Labels: []string{"entailment", "contradiction", "neutral"},
	read:   readEntailment,
	patterns: append(
		claims(" Yes", " No", " Maybe"),
		pattern{
			// Here alone the hypothesis keeps its punctuation.
			a:     template{"✂{premise}", " question:", "✂ {hypothesis}", " true, false or neither?", " answer:", "▢"},
			words: []string{" true", " false", " neither"},
		}),
	pair:    entailmentPair,
	metrics: []metric{macroF1, accuracy},
}

// claims are patterns 0 to 3 of RTE and CB: the hypothesis as a question
// (claim, without its punctuation), then the premise.
func claims(words ...string) []pattern {
	return []pattern{
		0: {a: template{`"`, "✂{claim}", `" ?`}, b: template{"▢", ",", ` "`, "✂{premise}", `"`}, words: words},
		1: {a: template{"✂{claim}", "?"}, b: template{"▢", ",", "✂ {premise}"}, words: words},
		2: {a: template{`"`, "✂{claim}", `" ?`}, b: template{"▢", `. "`, "✂{premise}", `"`}, words: words},
		3: {a: template{"✂{claim}", "?"}, b: template{"▢", ".", "✂ {premise}"}, words: words},
	}
}

var entailmentPair = pair{a: template{"✂{premise}"}, b: template{"✂{hypothesis}"}}

func readEntailment(line value, f file) []Example {
	e := f.single(line)
	premise, hypothesis := straight(line.field("premise").text()), straight(line.field("hypothesis").text())
	e.Fields = map[string]string{
		"premise":    premise,
		"hypothesis": hypothesis,
		"claim":      unpunctuated(hypothesis),
	}
	e.Text = "premise: " + premise + "\nhypothesis: " + hypothesis
	return []Example{e}
}
