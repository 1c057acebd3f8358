package tasks

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/spans"
)

// LanguageModel lays text out so that a blank's filling scores it (paper
// section 3.3; GLM repository, tasks/language_model/dataset.py).
type LanguageModel struct {
	Length int // tokens of a window of text, [CLS] counted
	Stride int // tokens of a window that no window before has scored
	// Unidirectional puts all but the first token of a window behind the blank,
	// as a left-to-right model reads it; otherwise what is not scored is Part A.
	Unidirectional bool
	Special        spans.Special
	Mask           int32 // of Special: [gMASK] for models that know it, else [MASK]
}

// Check makes sure that windows can be laid out; else it is a configs.Error.
func (l LanguageModel) Check() error {
	switch {
	case l.Length < 4:
		return &configs.Error{Field: "--length", Msg: fmt.Sprintf("%d tokens hold no text to score", l.Length), Hint: "512 is usual, 1024 for models that have the positions"}
	case l.Stride < 1 || l.Stride > l.Length-2:
		return &configs.Error{Field: "--stride", Msg: fmt.Sprintf("%d of a window's %d tokens cannot be new ones", l.Stride, l.Length-1), Hint: fmt.Sprintf("1 to %d; half a window is usual", l.Length-2)}
	case min(l.Special.CLS, l.Special.SOP, l.Special.Pad, l.Mask) < 0:
		return &configs.Error{Field: "tokenizer", Msg: "the vocabulary lacks [CLS], [PAD], a mask or the start of a piece", Hint: "a vocabulary of BERT's, GPT-2's or RoBERTa's kind"}
	}
	return nil
}

// Windows cuts a document to overlapping windows. Every token but the first is
// scored once (LossMask): in the first window all of them, in the others those
// at the end, with at least Length-1-Stride tokens before them. A document of
// fewer than two tokens has nothing to score and no windows.
func (l LanguageModel) Windows(tokens []int32) []spans.Block {
	var windows []spans.Block
	size := l.Length - 1
	for start, scored := 0, 1; scored < len(tokens); start += l.Stride {
		end := min(start+size, len(tokens))
		prompt := scored - start
		if l.Unidirectional {
			prompt = 1
		}
		b := l.block(tokens[start:start+prompt], nil, tokens[start+prompt:end])
		clear(b.LossMask[b.Sep : b.Sep+scored-start-prompt])
		windows = append(windows, b)
		scored = end
	}
	return windows
}

// Count is how many Windows a document of so many tokens has.
func (l LanguageModel) Count(tokens int) int {
	if tokens < 2 {
		return 0
	}
	behind := max(0, tokens-(l.Length-1)) // the first window
	return 1 + (behind+l.Stride-1)/l.Stride
}

// LastWord lays out a text whose last word is to be guessed (LAMBADA, Paperno
// et al. 2016): only the word is scored. A context too long loses its start.
// There must be a token of each.
func (l LanguageModel) LastWord(context, word []int32) spans.Block {
	room := max(1, l.Length-2-len(word)) // beside [CLS] and the pad
	context = context[max(0, len(context)-room):]
	prompt := len(context)
	if l.Unidirectional {
		prompt = 1
	}
	target := append(context[prompt:len(context):len(context)], word...)
	b := l.block(context[:prompt], []int32{l.Special.Pad}, target)
	clear(b.LossMask[b.Sep : len(b.LossMask)-len(word)])
	return b
}

// block is [CLS] prompt mask end, then sop and the target.
func (l LanguageModel) block(prompt, end, target []int32) spans.Block {
	tokens := append([]int32{l.Special.CLS}, prompt...)
	tokens = append(append(tokens, l.Mask), end...)
	return sequence{tokens: tokens, pivot: len(prompt) + 1, target: target}.block(Cloze, l.Special)
}

// TextForms are the forms of a text whose perplexity is measured: a document a
// file, a document a line, as it is or as {"text": …}, or a file of WikiText as one
// document.
var TextForms = []string{"file", "lines", "jsonl", "wikitext"}

// ReadTexts yields the documents of a text in one of TextForms, with their words
// as Words counts them; WikiText is detokenized first, its words are those of the
// file. A file without text, or with bytes that are none, is a corpus.DataError;
// an error of yield ends the reading.
func ReadTexts(path, form string, yield func(text string, words int) error) error {
	if !slices.Contains(TextForms, form) {
		return &configs.Error{Field: "--format", Msg: fmt.Sprintf("unknown form %s; did you mean %s?", quote(form), configs.Nearest(form, TextForms)), Hint: "one of " + strings.Join(TextForms, ", ")}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return openError(path, err)
	}
	if at := invalidAt(content); at >= 0 {
		return &corpus.DataError{Path: path, Line: 1 + bytes.Count(content[:at], []byte("\n")), Err: errors.New("the text is not UTF-8"), Hint: "iconv -f latin1 -t utf-8"}
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	documents := []string{text}
	if form == "lines" || form == "jsonl" {
		documents = strings.Split(text, "\n")
	}
	found := false
	for i, document := range documents {
		if strings.TrimFunc(document, isSpace) == "" {
			continue
		}
		found = true
		if form == "jsonl" {
			object, err := parseObject([]byte(document))
			var state lineState
			if err == nil {
				document, err = value{json: object, line: &state}.field("text").text(), state.wrong
			}
			if err = cmp.Or(err, state.wrong); err != nil {
				return &corpus.DataError{Path: path, Line: i + 1, Err: err, Hint: `JSON lines, {"text": "a document"}`}
			}
		}
		words := Words(document)
		if form == "wikitext" {
			document = DetokenizeWikiText(document)
		}
		if err := yield(document, words); err != nil {
			return err
		}
	}
	if !found {
		return &corpus.DataError{Path: path, Err: errors.New("there is no text"), Hint: "a text to measure"}
	}
	return nil
}

// invalidAt is where bytes cease to be UTF-8; -1 where they all are.
func invalidAt(content []byte) int {
	for at := 0; at < len(content); {
		r, size := utf8.DecodeRune(content[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return -1
}

// ReadLambada yields the texts of a JSONL file, {"text": …} a line, their last
// word apart; it is encoded with a space before it. A bad line, or one that yield
// refuses, is a corpus.DataError.
func ReadLambada(path string, yield func(context, word string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return openError(path, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n, found := 0, false
	fail := func(err error) error {
		return &corpus.DataError{Path: path, Line: n, Err: err, Hint: `LAMBADA as JSON lines, {"text": "a passage and its last word"}`}
	}
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		object, err := parseObject(lines.Bytes())
		if err != nil {
			return fail(err)
		}
		var state lineState
		context, word := lastWord(value{json: object, line: &state}.field("text"))
		if state.wrong != nil {
			return fail(state.wrong)
		}
		if err := yield(context, word); err != nil {
			return fail(err)
		}
		found = true
	}
	if err := lines.Err(); err != nil {
		n++
		return fail(err)
	}
	if !found {
		n = 0
		return fail(errors.New("the file has no texts"))
	}
	return nil
}

// lastWord cuts a text before its last word.
func lastWord(v value) (context, word string) {
	text := strings.TrimRightFunc(v.text(), isSpace)
	cut := strings.LastIndexFunc(text, isSpace) + 1
	context = strings.TrimFunc(text[:cut], isSpace)
	if context == "" {
		v.fail("%s has no word with a context before it", quote(text))
	}
	return context, text[cut:]
}

// Words counts the words that word-level perplexity is over: the stretches
// between single spaces, so that each line's end in the WikiText files counts,
// as the authors and the WikiText convention have it.
func Words(text string) int {
	return strings.Count(strings.TrimFunc(text, isSpace), " ") + 1
}

// DetokenizeWikiText undoes the tokenization of the WikiText files as the
// authors' evaluation does (GLM repository, tasks/language_model/detokenizer.py,
// after Megatron-LM), so that a vocabulary meets text of the usual kind.
func DetokenizeWikiText(text string) string {
	for _, rule := range wikiSigns {
		text = strings.ReplaceAll(text, rule[0], rule[1])
	}
	for _, pair := range wikiPairs {
		text = pair.at.ReplaceAllString(text, pair.by)
	}
	for _, rule := range wikiRest {
		text = strings.ReplaceAll(text, rule[0], rule[1])
	}
	return text
}

// The rules hold in this order.
var (
	wikiSigns = [][2]string{
		{"s '", "s'"},
		{" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."},
		{" : ", ": "}, {" ; ", "; "}, {" . ", ". "}, {" ! ", "! "}, {" ? ", "? "}, {" , ", ", "},
	}
	wikiPairs = []struct {
		at *regexp.Regexp
		by string
	}{
		{regexp.MustCompile(`\(\s*([^)]*?)\s*\)`), "($1)"},
		{regexp.MustCompile(`\[\s*([^\]]*?)\s*\]`), "[$1]"},
		{regexp.MustCompile(`\{\s*([^}]*?)\s*\}`), "{$1}"},
		{regexp.MustCompile(`"\s*([^"]*?)\s*"`), `"$1"`},
		{regexp.MustCompile(`'\s*([^']*?)\s*'`), "'$1'"},
	}
	wikiRest = [][2]string{
		{"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="},
		{" ° ", "°"}, {" \n", "\n"}, {"\n ", "\n"}, {" N ", " 1 "}, {" 's", "'s"},
	}
)
