package tasks

import (
	"slices"
	"strconv"
	"strings"
)

// readWSC marks the pronoun. As a question only true examples train.
func readWSC(line value, f file) []Example {
	e := f.single(line)
	target := line.field("target")
	phrase, pronoun := target.field("span1_text").text(), target.field("span2_text").text()
	text, ok := starPronoun(straight(line.field("text").text()), pronoun, target.field("span2_index").count())
	if !ok {
		target.fail("the pronoun %s is not at word %d of the text, nor beside it", quote(pronoun), target.field("span2_index").count())
		return nil
	}
	if f.form.Asks() {
		if f.training && e.Label != 1 {
			return nil
		}
		e.Answers = []string{phrase}
	}
	e.Fields = map[string]string{"text": text, "pronoun": pronoun, "noun phrase": phrase}
	e.Text = "text: " + text + "\npronoun: " + pronoun + "\nnoun phrase: " + phrase
	return []Example{e}
}

// starPronoun puts asterisks around the pronoun, the word at index. Some
// indices of the official files are wrong, and are repaired as the authors do:
// the pronoun may be a word further left or right, or have punctuation behind
// it. The index of the noun phrase, wrong more often, is not used.
func starPronoun(text, pronoun string, index int) (string, bool) {
	words := strings.FieldsFunc(text, isSpace)
	at := func(i int) string {
		if i < 0 || i >= len(words) {
			return ""
		}
		return words[i]
	}
	switch {
	case pronoun == "":
		return "", false
	case at(index) == pronoun:
	case at(index-1) == pronoun:
		index--
	case at(index+1) == pronoun:
		index++
	case strings.HasPrefix(at(index), pronoun):
		words = slices.Insert(words, index+1, words[index][len(pronoun):])
	default:
		return "", false
	}
	words[index] = "*" + pronoun + "*"
	return strings.Join(words, " "), true
}

// wscRivals is how many candidates a training example ranks beside the right one.
const wscRivals = 9

// readWSCNegative reads WSC with other noun phrases of the text, in the list
// candidates, each {"text": …} (GLM repository, WscProcessor, --wsc-negative;
// its data were never published). A question ranks them: the named phrase,
// then those that differ from it. In training, on true examples only, more than
// nine make several examples, the last one filled up from the first.
func readWSCNegative(line value, f file) []Example {
	examples := readWSC(line, f)
	if !f.form.Asks() || len(examples) == 0 {
		return examples
	}
	e := examples[0]
	phrase := e.Answers[0]
	var rivals []string
	list := line.field("candidates")
	for _, candidate := range list.list() {
		if text := candidate.field("text").text(); text != phrase && !slices.Contains(rivals, text) {
			rivals = append(rivals, text)
		}
	}
	if len(rivals) == 0 {
		list.fail("no candidate differs from %s", quote(phrase))
		return nil
	}
	e.Text += "\ncandidates: " + strings.Join(rivals, "; ")
	if !f.training || len(rivals) <= wscRivals {
		e.Answers = append([]string{phrase}, rivals...)
		return []Example{e}
	}
	examples = nil
	for chunk := range slices.Chunk(rivals, wscRivals) {
		one := e
		one.ID += "-c" + strconv.Itoa(len(examples))
		one.Answers = slices.Concat([]string{phrase}, chunk, rivals[:wscRivals-len(chunk)])
		examples = append(examples, one)
	}
	return examples
}
