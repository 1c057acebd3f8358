package tasks

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/spans"
)

// This file is what tasks whose answers the model writes have of their own:
// summaries, questions and whatever has a text and an answer to it (GLM
// repository, tasks/seq2seq), and missing words (paper section 3.3, text
// infilling).

// CustomRecipe is the recipe of a user's task that writes and names none.
const CustomRecipe = "Custom"

// declareWriting reads what is to be written: the text of a field, or words
// that are blanked.
func (t *Task) declareWriting(keys map[string]node) {
	writes, infill, clean := keys["writes"], keys["infill"], keys["clean"]
	d := t.declared
	if infill.there() {
		writes.excluded("infill blanks words of the text")
	}
	if !writes.there() && !infill.there() {
		clean.excluded("only what the model writes is cleaned: writes, infill")
		return
	}
	if d == nil {
		return // lines said it, and has failed
	}
	for _, key := range []string{"label", "labels", "choices", "group"} {
		keys[key].excluded("the model writes the answer")
	}
	t.reader.writes = true
	if t.recipe == "" {
		t.recipe = CustomRecipe
	}
	d.writes = writes.text()
	if writes.there() && d.writes == "" {
		writes.fail("writes: target, the field of the answer", "is empty")
	}
	for _, n := range infill.list() {
		ratio, err := strconv.ParseFloat(n.text(), 64)
		if err != nil || !(ratio > 0 && ratio < 1) {
			n.fail("infill: [0.1, 0.2]", "want a share of the words, above 0 and below 1, got %s", quote(n.text()))
		}
		t.ratios = append(t.ratios, ratio)
	}
	if infill.there() {
		d.writes = infilledField
		if len(d.fields) != 1 || d.fields[0].name != infilledField {
			at(infill, keys["fields"]).fail("fields: {text: text}", "infill blanks words of the only field, %s", infilledField)
		}
		d.writes = d.fields[0].from
		if t.ratios == nil {
			infill.fail("infill: [0.1, 0.2]", "no share of words is declared")
		}
	}
	if clean.there() {
		rules, ok := cleaners[clean.text()]
		if !ok {
			known := sortedKeys(cleaners)
			clean.fail("one of "+strings.Join(known, ", "), "there is no cleaning %s; did you mean %s?", quote(clean.text()), configs.Nearest(clean.text(), known))
		}
		d.clean = rules
	}
}

// infilledField is the text whose words infilling blanks.
const infilledField = "text"

// cleaners undo what the makers of data sets did to their text, as the authors
// do (GLM repository, tasks/seq2seq/dataset.py).
var cleaners = map[string]func(text string, answer bool) string{
	"gigaword": func(text string, _ bool) string { return gigawordText.Replace(text) },
	"cnndm": func(text string, answer bool) string {
		sentence := ""
		if answer {
			sentence = sentenceEnd
		}
		text = strings.ReplaceAll(text, "<S_SEP>", sentence)
		return cnnDMGlue.Replace(cnnDMText.Replace(text))
	},
	"blanklm": func(text string, _ bool) string { return strings.ReplaceAll(text, "_UNK", "[UNK]") },
}

// sentenceEnd is what a summary's sentences are parted by.
const sentenceEnd = "[SEP]"

var (
	gigawordText = strings.NewReplacer("UNK", "[UNK]", "<unk>", "[UNK]",
		"-lrb-", "(", "-rrb-", ")", "-lsb-", "[", "-rsb-", "]", "-lcb-", "{", "-rcb-", "}",
		"&amp;", "&", "&lt;", "<", "&gt;", ">")
	cnnDMText = strings.NewReplacer("-LRB-", "(", "-RRB-", ")", "-LSB-", "[", "-RSB-", "]", "-LCB-", "{", "-RCB-", "}",
		"''", `"`, "``", `"`, "`", "'")
	cnnDMGlue = strings.NewReplacer(" n't", "n't", " 's", "'s", " 'd", "'d", " 'll", "'ll")
)

// SetWriting says how long an answer may be that the model learns and writes,
// and whether it is trained with a mask for each objective (configs.Objective's
// TaskMask): the blank is then [sMASK], or [gMASK] for missing words, as the
// authors have it. It has no effect on tasks that write nothing.
func (e *Encoder) SetWriting(targetLength int, taskMask bool) error {
	if e.header.Scoring != Written {
		return nil
	}
	if targetLength > 0 {
		e.header.TargetLength = targetLength
	}
	if e.header.TargetLength < 2 {
		return &configs.Error{Field: "target-length", Msg: fmt.Sprintf("%d tokens hold no answer and its end", targetLength), Hint: "32 is usual for headlines, 160 for summaries"}
	}
	if taskMask {
		e.header.Mask, e.mask = "[sMASK]", e.special.SMask
		if e.task.ratios != nil {
			e.header.Mask, e.mask = "[gMASK]", e.special.GMask
		}
	}
	return e.require(map[string]int32{e.header.Mask: e.mask})
}

// writing makes the sequence of an example with a reference, or without one,
// which then has only the end of an answer to learn.
func (e *Encoder) writing(x Example, a, b []part) (sequences []sequence, cut int, err error) {
	cut, err = truncate(a, b, e.header.MaxLength-2)
	if err != nil {
		return nil, 0, err
	}
	var target []int32
	if x.Answers != nil {
		target = encodeSentences(e.tokenizer, x.Answers[0])
	}
	target = append(target, e.special.EOP)
	if excess := len(target) - e.header.TargetLength; excess > 0 {
		// Without its end: the model is not to learn to stop there.
		target, cut = target[:e.header.TargetLength], cut+excess
	}
	return []sequence{e.around(a, b, target)}, cut, nil
}

// infilled blanks words of a text: as many as the ratio says, at least one,
// those side by side as one blank (Shen et al. 2020, "Blank language models";
// GLM repository, BlankLMDataset). They are the same in every epoch, drawn by
// the example's ID. Neither [CLS] nor an end stand around the text. A text too
// long loses its end, with the blanks there.
func (e *Encoder) infilled(x Example) (sequences []sequence, cut int, err error) {
	words := strings.FieldsFunc(x.Fields[infilledField], isSpace)
	ratio := e.task.ratios[e.header.Pattern]
	id := fnv.New64a()
	id.Write([]byte(x.ID))
	rng := rand.New(rand.NewPCG(id.Sum64(), uint64(e.header.Pattern)))
	blanked := rng.Perm(len(words))[:min(len(words), max(1, int(ratio*float64(len(words)))))]
	slices.Sort(blanked)

	var tokens, target []int32
	pivot := -1
	for from := 0; from < len(words); {
		to, blank := from+1, len(blanked) > 0 && blanked[0] == from
		if blank {
			for blanked = blanked[1:]; len(blanked) > 0 && blanked[0] == to; blanked = blanked[1:] {
				to++
			}
		} else {
			to = len(words)
			if len(blanked) > 0 {
				to = blanked[0]
			}
		}
		piece := e.tokenizer.Encode(nil, " "+strings.Join(words[from:to], " "))
		from = to
		if !blank {
			fitting := min(len(piece), e.header.MaxLength-len(tokens))
			tokens, cut = append(tokens, piece[:fitting]...), cut+len(piece)-fitting
			continue
		}
		if len(tokens) == e.header.MaxLength || len(target)+len(piece)+1 > e.header.TargetLength {
			cut += len(piece)
			continue
		}
		if pivot < 0 {
			pivot = len(tokens)
		}
		tokens = append(tokens, e.mask)
		target = append(append(target, piece...), e.special.EOP)
	}
	if pivot < 0 {
		return nil, 0, fmt.Errorf("none of its blanks fits, which are filled with up to %d tokens", e.header.TargetLength)
	}
	return []sequence{{tokens: tokens, pivot: pivot, target: target}}, cut, nil
}

// Blanks are the places in Part A of a Written example that are written into,
// in their order.
func (e Encoded) Blanks() []int {
	b := e.Sequences[0]
	first := int(b.Position[b.Sep])
	var places []int
	for i := first; i < b.Sep; i++ {
		if b.Input[i] == b.Input[first] {
			places = append(places, i)
		}
	}
	return places
}

// Written makes a prediction of what a model wrote into an example's blanks,
// with its score. Where words were blanked the whole text is what it
// wrote, else the answer alone. The reference is spelled as the vocabulary
// spells it, like what is written (GLM repository, seq2seq/dataset.py): what a
// vocabulary loses, such as case, is lost in both.
func (t *Task) Written(e Encoded, tokenizer Decoder, answers [][]int32, score float64) Prediction {
	text := answers[0]
	if t.ratios != nil {
		b, from := e.Sequences[0], 0
		text = nil
		for i, at := range e.Blanks() {
			text = append(append(text, b.Input[from:at]...), answers[i]...)
			from = at + 1
		}
		text = append(text, b.Input[from:b.Sep]...)
	}
	var gold []string
	for _, reference := range e.Gold {
		gold = append(gold, decodeSentences(tokenizer, encodeSentences(tokenizer, reference)))
	}
	written := decodeSentences(tokenizer, text)
	return Prediction{
		ID: e.ID, Number: e.Number, Question: e.Question, Passage: e.Passage, Label: -1, Answer: written,
		Choices: []string{written}, Scores: []float64{score}, Gold: gold, Text: e.Text,
	}
}

// Decoder is a vocabulary that turns tokens to text; every tokenizer.Tokenizer
// is one.
type Decoder interface {
	Encode(dst []int32, text string) []int32
	Decode(ids []int32) string
	Special() spans.Special
}

// encodeSentences encodes an answer. What parts its sentences is one token, however
// the vocabulary reads it in a text.
func encodeSentences(tokenizer interface {
	Encode(dst []int32, text string) []int32
	Special() spans.Special
}, text string) (ids []int32) {
	for i, sentence := range strings.Split(text, sentenceEnd) {
		if i > 0 {
			ids = append(ids, tokenizer.Special().SEP)
		}
		ids = tokenizer.Encode(ids, " "+strings.TrimSpace(sentence))
	}
	return ids
}

// decodeSentences is the text of what encodeSentences or a model made.
func decodeSentences(tokenizer Decoder, ids []int32) string {
	var sentences []string
	from := 0
	for i, id := range ids {
		if id == tokenizer.Special().SEP {
			sentences, from = append(sentences, strings.TrimSpace(tokenizer.Decode(ids[from:i]))), i+1
		}
	}
	sentences = append(sentences, strings.TrimSpace(tokenizer.Decode(ids[from:])))
	return strings.TrimSpace(strings.Join(sentences, " "+sentenceEnd+" "))
}

// ROUGE is that of a summary that was written against its reference, with
// stemming. Sentences parted by [SEP] stand on lines for L-sum.
func ROUGE(text, reference string) metrics.Rouge {
	lines := func(text string) string { return strings.ReplaceAll(text, sentenceEnd, "\n") }
	return metrics.ROUGE(lines(text), lines(reference), true)
}

// rouge is the mean F1 of a ROUGE score.
func rouge(name string, which func(metrics.Rouge) metrics.Overlap) metric {
	return answer(name, func(text string, golds []string) float64 { return which(ROUGE(text, golds[0])).F1 })
}

// answer is the mean of a score of what the model wrote.
func answer(name string, score func(string, []string) float64) metric {
	return metric{name: name, written: true, score: func(preds []Prediction) float64 { return meanAnswer(preds, score) }}
}

func bleu(name string, style metrics.BLEUStyle) metric {
	return metric{name: name, written: true, score: func(preds []Prediction) float64 {
		texts, golds := make([]string, len(preds)), make([][]string, len(preds))
		for i, p := range preds {
			if p.Predicted < len(p.Choices) {
				texts[i] = p.Choices[p.Predicted]
			}
			golds[i] = p.Gold
		}
		return metrics.BLEU(texts, golds, style)
	}}
}
