package tasks

// wiC asks whether a word has the same sense in two sentences.
var wiC = &Task{
	Name:   "WiC",
	Labels: []string{"false", "true"},
	read:   readWiC,
	patterns: []pattern{
		0: {
			a:     template{`✂"{sentence1}" / "{sentence2}"`, ` Similar sense of "{word}"?`, "▢", "."},
			words: []string{" No", " Yes"},
		},
		1: {
			a:     template{"✂{sentence1}", "✂ {sentence2}", " Does {word} have the same meaning in both sentences?", "▢"},
			words: []string{" No", " Yes"},
		},
		2: {
			a:     template{"{word}", " .", ` Sense (1) (a) "`, "✂{sentence1}", `"`, " (", "▢", `) "`, "{sentence2}", `"`},
			words: []string{"2", "b"},
		},
	},
	pair:    pair{a: template{"{word}: ", "✂{sentence1}"}, b: template{"✂{sentence2}"}},
	metrics: []metric{accuracy},
}

func readWiC(line value, f file) []Example {
	e := f.single(line)
	word := line.field("word").text()
	first, second := straight(line.field("sentence1").text()), straight(line.field("sentence2").text())
	e.Fields = map[string]string{"word": word, "sentence1": first, "sentence2": second}
	e.Text = "word: " + word + "\nsentence 1: " + first + "\nsentence 2: " + second
	return []Example{e}
}
