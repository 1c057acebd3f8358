package tasks

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/spans"
)

// Tokenizer is what encoding asks of a vocabulary; every tokenizer.Tokenizer is
// one.
type Tokenizer interface {
	Encode(dst []int32, text string) []int32 // appends
	Token(id int32) string
	Special() spans.Special
	Size() int    // entries, without those that Special adds behind them
	Hash() string // identifies the vocabulary
}

// Encoder turns examples of a task into sequences of one form. It is safe for
// concurrent use if its tokenizer is.
type Encoder struct {
	// SkipBad makes Prepare leave out lines and examples that are bad, and record
	// them in the manifest, where otherwise the first one ends it.
	SkipBad bool

	header    Header
	task      *Task
	tokenizer Tokenizer
	special   spans.Special
	mask      int32 // the blank's
	a, b      template
	// words are the tokens of the labels' verbalizers where one of them has
	// several, so that they are scored as choices; else nil.
	words [][]int32
}

// Header says how the examples of a file were encoded.
type Header struct {
	Task        string        `json:"task"`
	Form        Form          `json:"form"`
	Scoring     Scoring       `json:"scoring"`
	Pattern     int           `json:"pattern"` // -1 in the form Classification
	MaxLength   int           `json:"max_length"`
	Labels      []string      `json:"labels"`
	Verbalizers []int32       `json:"verbalizers,omitempty"` // SingleToken only
	Tokenizer   string        `json:"tokenizer"`             // the vocabulary's hash
	VocabSize   int           `json:"vocab_size"`            // entries, without those that Special adds behind them
	Special     spans.Special `json:"special"`
	Split       string        `json:"split,omitempty"`
	// TargetLength bounds the tokens that a Written answer is learnt and written
	// with, and Mask is the name of its blank; 0 and empty for other tasks.
	// MaxLength then bounds the text with the blanks alone.
	TargetLength int    `json:"target_length,omitempty"`
	Mask         string `json:"mask,omitempty"`
	// TrainedOn is the task whose models answer the file; empty for its own.
	TrainedOn string `json:"trained_on,omitempty"`
	// Recipe is the task whose recipe the configuration holds for it; empty for
	// its own.
	Recipe string `json:"recipe,omitempty"`
	// Declaration is the sha256 of a user's task file; empty for a built-in task.
	Declaration string `json:"declaration,omitempty"`
}

// FinetuneRecipe is the key of finetune.tasks under which the configuration has
// the file's recipe.
func (h Header) FinetuneRecipe() string {
	if h.Recipe != "" {
		return h.Recipe
	}
	return h.Task
}

// FinetunedOn is the task that a model which answers the file was finetuned on.
func (h Header) FinetunedOn() string {
	if h.TrainedOn != "" {
		return h.TrainedOn
	}
	return h.Task
}

// NewEncoder encodes a task in one form. pattern is one of the task's in the
// forms that ask, and -1 in the classification form; no sequence is longer than
// maxLength tokens. A pattern that is not there is a configs.Error; one with a
// verbalizer that the vocabulary lacks, or in the form Cloze that is not a single
// token of it, is a corpus.DataError with its place in the declaration.
func (t *Task) NewEncoder(form Form, pattern, maxLength int, tokenizer Tokenizer) (*Encoder, error) {
	e := &Encoder{task: t, tokenizer: tokenizer, special: tokenizer.Special()}
	e.header = Header{
		Task: t.Name, Form: form, Pattern: pattern, MaxLength: maxLength, Labels: t.Labels,
		Tokenizer: tokenizer.Hash(), VocabSize: tokenizer.Size(), Special: e.special,
		TrainedOn: t.trainedOn,
	}
	if recipe := t.Recipe(); recipe != t.Name && t.trainedOn == "" {
		e.header.Recipe = recipe
	}
	if t.declaration != nil {
		e.header.Declaration = sha256Hex(t.declaration)
	}
	if maxLength < 1 {
		return nil, &configs.Error{Field: "max-length", Msg: fmt.Sprintf("%d tokens hold nothing", maxLength), Hint: "256 is usual, 512 for MultiRC and ReCoRD"}
	}
	switch form {
	case Classification:
		if t.pair.a == nil {
			return nil, &configs.Error{Path: t.path, Msg: t.Name + " declares no pair, which the classification form needs", Hint: `pair: {first: ["✂{premise}"], second: ["✂{hypothesis}"]}`}
		}
		if pattern != -1 {
			return nil, &configs.Error{Field: "pattern", Msg: "the classification form has no patterns", Hint: "leave the pattern out, or the form cloze"}
		}
		e.a, e.b = t.pair.a, t.pair.b
		e.header.Scoring = ClassHead
		if t.reader.candidates {
			e.header.Scoring = ChoiceHead
		}
		return e, e.require(map[string]int32{"[CLS]": e.special.CLS, "[SEP]": e.special.SEP, "[PAD]": e.special.Pad})
	case Cloze, Masked:
		if pattern < 0 || pattern >= t.Patterns() {
			return nil, &configs.Error{
				Field: "pattern",
				Msg:   fmt.Sprintf("%s has no pattern %d", t.Name, pattern),
				Hint:  fmt.Sprintf("0 to %d", t.Patterns()-1),
			}
		}
		e.mask = e.special.Mask
		p := t.cloze(pattern)
		e.a, e.b = p.a, p.b
		needed := map[string]int32{"[CLS]": e.special.CLS, "[MASK]": e.special.Mask, "[PAD]": e.special.Pad}
		switch {
		case t.reader.writes && form == Masked:
			return nil, &configs.Error{Field: "form", Msg: "the answers of " + t.Name + " are written, and a masked language model has to know how many tokens it fills in", Hint: "the form cloze, for a GLM"}
		case t.reader.writes:
			e.header.Scoring = Written
			e.header.Mask = "[MASK]"
			e.header.TargetLength = max(2, maxLength/4)
		case p.words != nil:
			e.header.Scoring = SingleToken
		case t.reader.candidates:
			e.header.Scoring = MultiToken
		case t.reader.ranked:
			e.header.Scoring = Ranked
		default:
			e.header.Scoring = Generative
		}
		if form == Masked {
			needed["[SEP]"] = e.special.SEP
		} else {
			needed["sop"], needed["eop"] = e.special.SOP, e.special.EOP
		}
		if err := e.require(needed); err != nil {
			return nil, err
		}
		return e, e.verbalize(p)
	}
	return nil, &configs.Error{Field: "form", Msg: "there is no form " + quote(string(form)), Hint: "cloze (GLM), classification or masked (BERT)"}
}

// Header says how examples are encoded; Split is empty.
func (e *Encoder) Header() Header { return e.header }

// require checks that the vocabulary has the special tokens of a form.
func (e *Encoder) require(ids map[string]int32) error {
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		if ids[name] < 0 {
			return &configs.Error{Field: "tokenizer", Msg: "the vocabulary has no " + name, Hint: "a vocabulary of BERT's, GPT-2's or RoBERTa's kind"}
		}
	}
	return nil
}

// verbalize looks up the token of each verbalizer, or in the form Masked its
// tokens.
func (e *Encoder) verbalize(p pattern) error {
	sp := e.special
	special := []int32{sp.Pad, sp.Unk, sp.CLS, sp.SEP, sp.Mask, sp.SMask, sp.GMask, sp.SOP, sp.EOP, sp.DBlock}
	several := false
	for _, word := range p.words {
		ids := e.tokenizer.Encode(nil, word)
		known := len(ids) > 0 && !slices.ContainsFunc(ids, func(id int32) bool { return slices.Contains(special, id) })
		if known && (len(ids) == 1 || e.header.Form == Masked) {
			e.header.Verbalizers = append(e.header.Verbalizers, ids[0])
			e.words = append(e.words, ids)
			several = several || len(ids) > 1
			continue
		}
		tokens := make([]string, len(ids))
		for i, id := range ids {
			tokens[i] = e.tokenizer.Token(id)
		}
		return &corpus.DataError{
			Path: p.path, Line: p.line,
			Err:  fmt.Errorf("the verbalizer %q of %s's pattern %d is not one token of this vocabulary but %q", word, e.task.Name, e.header.Pattern, tokens),
			Hint: "another pattern, or a vocabulary that has the word",
		}
	}
	if several {
		e.header.Scoring, e.header.Verbalizers = MultiToken, nil
	} else {
		e.words = nil
	}
	return nil
}

// Encode encodes one example; cut is how many tokens of it did not fit, those
// of the sequence that lost most. An example whose parts that must stay are too
// long is a corpus.DataError.
func (e *Encoder) Encode(x Example) (encoded Encoded, cut int, err error) {
	encoded = Encoded{
		ID: x.ID, Number: x.Number, Question: x.Question, Passage: x.Passage,
		Label: x.Label, Scoring: e.header.Scoring, Verbalizers: e.header.Verbalizers,
		Choices: x.Choices, Gold: x.Gold, Text: x.Text,
	}
	if x.Choices == nil {
		encoded.Choices = e.task.Labels
	}
	sequences, cut, err := e.sequences(x)
	if errors.Is(err, errNothing) {
		return Encoded{}, 0, &corpus.DataError{Path: x.Path, Line: x.Line, Err: fmt.Errorf("%s: %w", x.ID, err), Hint: e.task.lineHint()}
	}
	if err != nil {
		err = fmt.Errorf("%s does not fit %d tokens: %w", x.ID, e.header.MaxLength, err)
		return Encoded{}, 0, &corpus.DataError{Path: x.Path, Line: x.Line, Err: err, Hint: "a larger --max-length; prepare task --skip-bad leaves such examples out"}
	}
	encoded.Sequences = make([]spans.Block, len(sequences))
	for i, s := range sequences {
		encoded.Sequences[i] = s.block(e.header.Form, e.special)
	}
	return encoded, cut, nil
}

func (e *Encoder) sequences(x Example) (sequences []sequence, cut int, err error) {
	if e.header.Form == Classification {
		return e.pairs(x)
	}
	if e.task.ratios != nil {
		return e.infilled(x)
	}
	a := e.a.parts(x.Fields, e.tokenizer, e.mask)
	b := e.b.parts(x.Fields, e.tokenizer, e.mask)
	if e.header.Scoring == Written {
		return e.writing(x, a, b)
	}
	for i, target := range e.targets(x) {
		if len(target) == 0 && e.header.Scoring != SingleToken {
			return nil, 0, fmt.Errorf("%s as an answer %w", quote(x.Answers[i]), errNothing)
		}
		s, n, err := e.cloze(slices.Clone(a), slices.Clone(b), target)
		if err != nil {
			return nil, 0, err
		}
		cut = max(cut, n)
		sequences = append(sequences, s)
	}
	return sequences, cut, nil
}

// errNothing is an answer without a token that a [MASK] could stand for.
var errNothing = errors.New("has no tokens")

// targets are what fills the blank, once for each answer, or each label where a
// word has several tokens; one that is empty where the words of all labels have one.
func (e *Encoder) targets(x Example) [][]int32 {
	switch {
	case e.words != nil:
		return e.words
	case x.Answers == nil:
		return [][]int32{nil}
	}
	targets := make([][]int32, len(x.Answers))
	for i, answer := range x.Answers {
		// A leading space, as vocabularies that mind it have most words with one.
		targets[i] = e.tokenizer.Encode(nil, " "+answer)
		if e.header.Form == Cloze { // masks say themselves how many tokens there are
			targets[i] = append(targets[i], e.special.EOP)
		}
	}
	return targets
}

// cloze joins parts and target: [CLS] a b pad, then sop and the target; in the
// form Masked [CLS] a b [SEP] with as many blanks as the target has tokens.
func (e *Encoder) cloze(a, b []part, target []int32) (s sequence, cut int, err error) {
	cut, err = truncate(a, b, e.room(target))
	if err != nil {
		return sequence{}, 0, err
	}
	return e.around(a, b, target), cut, nil
}

// room is how many tokens the parts may have. Beside them stand [CLS], the pad or
// [SEP] that ends the text and, in the form Cloze, Part B: sop and the target
// without its last token; in the form Masked the blanks but one.
func (e *Encoder) room(target []int32) int {
	beside := 2 + max(1, len(target))
	if e.header.Form == Masked {
		beside--
	}
	return e.header.MaxLength - beside
}

// around joins parts that fit.
func (e *Encoder) around(a, b []part, target []int32) sequence {
	end := e.special.Pad
	if e.header.Form == Masked {
		end = e.special.SEP
	}
	tokens := append(join(join([]int32{e.special.CLS}, a), b), end)
	blank := len(tokens) - 1
	for tokens[blank] != e.mask {
		blank--
	}
	if e.header.Form == Masked {
		tokens = slices.Insert(tokens, blank, slices.Repeat([]int32{e.mask}, max(1, len(target))-1)...)
	}
	return sequence{tokens: tokens, pivot: blank, target: target}
}

// pairs joins [CLS] a [SEP] b [SEP], or [CLS] a [SEP] alone, once for each answer where there are some.
func (e *Encoder) pairs(x Example) (sequences []sequence, cut int, err error) {
	a := e.a.parts(x.Fields, e.tokenizer, e.special.Mask)
	fields := maps.Clone(x.Fields)
	answers := x.Answers
	if answers == nil {
		answers = []string{fields["answer"]}
	}
	for _, answer := range answers {
		fields["answer"] = answer
		a, b := slices.Clone(a), e.b.parts(fields, e.tokenizer, e.special.Mask)
		around := 3 // [CLS] and two [SEP]
		if len(e.b) == 0 {
			around = 2
		}
		n, err := truncate(a, b, e.header.MaxLength-around)
		if err != nil {
			return nil, 0, err
		}
		tokens := append(join([]int32{e.special.CLS}, a), e.special.SEP)
		pivot := len(tokens)
		if len(e.b) > 0 {
			tokens = append(join(tokens, b), e.special.SEP)
		}
		cut = max(cut, n)
		sequences = append(sequences, sequence{tokens: tokens, pivot: pivot})
	}
	return sequences, cut, nil
}

func join(dst []int32, parts []part) []int32 {
	for _, p := range parts {
		dst = append(dst, p.tokens...)
	}
	return dst
}
