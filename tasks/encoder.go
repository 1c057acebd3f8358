package tasks

import (
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
// maxLength tokens. A pattern that is not there is a configs.Error; one whose
// verbalizers are not single tokens of the vocabulary is a corpus.DataError with
// their place in the declaration.
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
		case form == Masked && p.words == nil:
			return nil, &configs.Error{Field: "form", Msg: t.Name + " has answers of several tokens, and a masked language model fills a blank with one", Hint: "the form classification, or cloze for a GLM"}
		case form == Masked:
			e.header.Scoring = SingleToken
			needed["[SEP]"] = e.special.SEP
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
		if form == Cloze {
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

// verbalize looks up the one token of each verbalizer.
func (e *Encoder) verbalize(p pattern) error {
	sp := e.special
	for _, word := range p.words {
		ids := e.tokenizer.Encode(nil, word)
		if len(ids) == 1 && !slices.Contains([]int32{sp.Pad, sp.Unk, sp.CLS, sp.SEP, sp.Mask, sp.SMask, sp.GMask, sp.SOP, sp.EOP, sp.DBlock}, ids[0]) {
			e.header.Verbalizers = append(e.header.Verbalizers, ids[0])
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
	for _, target := range e.targets(x) {
		s, n, err := e.cloze(slices.Clone(a), slices.Clone(b), target)
		if err != nil {
			return nil, 0, err
		}
		cut = max(cut, n)
		sequences = append(sequences, s)
	}
	return sequences, cut, nil
}

// targets are what fills the blank, once for each answer; one that is empty where
// words of labels do.
func (e *Encoder) targets(x Example) [][]int32 {
	if x.Answers == nil {
		return [][]int32{nil}
	}
	targets := make([][]int32, len(x.Answers))
	for i, answer := range x.Answers {
		// A leading space, as vocabularies that mind it have most words with one.
		targets[i] = append(e.tokenizer.Encode(nil, " "+answer), e.special.EOP)
	}
	return targets
}

// cloze joins parts and target: [CLS] a b pad, then sop and the target; in the
// form Masked [CLS] a b [SEP] alone.
func (e *Encoder) cloze(a, b []part, target []int32) (s sequence, cut int, err error) {
	cut, err = truncate(a, b, e.room(target))
	if err != nil {
		return sequence{}, 0, err
	}
	return e.around(a, b, target), cut, nil
}

// room is how many tokens the parts may have. Beside them stand [CLS], the pad or
// [SEP] that ends the text and, in the form Cloze, Part B: sop and the target
// without its last token.
func (e *Encoder) room(target []int32) int {
	room := e.header.MaxLength - 2
	if e.header.Form == Cloze {
		room -= max(1, len(target))
	}
	return room
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
