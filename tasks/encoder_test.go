package tasks

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/spans"
)

func newEncoder(t testing.TB, task *Task, form Form, pattern, maxLength int) *Encoder {
	t.Helper()
	encoder, err := task.NewEncoder(form, pattern, maxLength, letters(t))
	if err != nil {
		t.Fatal(err)
	}
	return encoder
}

func TestUnknownForms(t *testing.T) {
	withoutNeither, err := wordpiece.New(strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] yes no maybe true false nei ##ther"))
	if err != nil {
		t.Fatal(err)
	}
	withoutMaybe, err := wordpiece.New(strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] yes no"))
	if err != nil {
		t.Fatal(err)
	}
	cb := mustGet(t, "CB")
	tests := []struct {
		name      string
		form      Form
		pattern   int
		maxLength int
		tokenizer Tokenizer
		want      string
	}{
		{"pattern", Cloze, 5, 256, letters(t), "pattern: CB has no pattern 5"},
		{"no pattern", Cloze, -1, 256, letters(t), "pattern: CB has no pattern -1"},
		{"pattern of a pair", Classification, 0, 256, letters(t), "pattern: the classification form has no patterns"},
		{"form", "clozed", 0, 256, letters(t), `form: there is no form "clozed"`},
		{"length", Cloze, 0, 0, letters(t), "max-length: 0 tokens hold nothing"},
		{"verbalizer of two tokens", Cloze, 4, 256, withoutNeither, `built-in CB.yaml:26: the verbalizer " neither" of CB's pattern 4 is not one token of this vocabulary but ["nei" "##ther"]`},
		{"verbalizer unknown", Cloze, 3, 256, withoutMaybe, `built-in CB.yaml:24: the verbalizer " Maybe" of CB's pattern 3 is not one token of this vocabulary but ["[UNK]"]`},
		{"no mask", Cloze, 3, 256, maskless{letters(t)}, "tokenizer: the vocabulary has no [MASK]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := cb.NewEncoder(test.form, test.pattern, test.maxLength, test.tokenizer)
			var config *configs.Error
			var data *corpus.DataError
			hint := ""
			switch {
			case errors.As(err, &config):
				hint = config.Hint
			case errors.As(err, &data) && strings.HasPrefix(test.name, "verbalizer"):
				hint = data.Hint
			}
			if err == nil || err.Error() != test.want || hint == "" {
				t.Errorf("got  %v\nwant %s, and a hint", err, test.want)
			}
		})
	}
	if _, err := cb.NewEncoder(Classification, -1, 256, maskless{letters(t)}); err != nil {
		t.Errorf("a pair needs no [MASK]: %v", err)
	}
}

// maskless is a vocabulary without a mask.
type maskless struct{ *wordpiece.Tokenizer }

func (m maskless) Special() spans.Special {
	sp := m.Tokenizer.Special()
	sp.Mask = -1
	return sp
}

// TestPairLayout spells out the classification form, which no vector covers.
func TestPairLayout(t *testing.T) {
	tokenizer := letters(t)
	encoder, err := mustGet(t, "COPA").NewEncoder(Classification, -1, 9, tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	examples, err := readText(copa, `{"premise": "a b c d.", "choice1": "No", "choice2": "x y", "question": "cause", "label": 1, "idx": 0}`, "val", Classification)
	if err != nil {
		t.Fatal(err)
	}
	encoded, cut, err := encoder.Encode(examples[0])
	if err != nil {
		t.Fatal(err)
	}
	if encoded.Scoring != ChoiceHead || encoded.Label != 1 || cut != 2 {
		t.Errorf("scoring %s, label %d, %d cut", encoded.Scoring, encoded.Label, cut)
	}
	wantTokens := []string{"[CLS] a b c d because [SEP] no [SEP]", "[CLS] a b c because [SEP] x y [SEP]"}
	wantSegments := [][]int32{{0, 0, 0, 0, 0, 0, 0, 1, 1}, {0, 0, 0, 0, 0, 0, 1, 1, 1}}
	for i, b := range encoded.Sequences {
		var tokens []string
		for _, id := range b.Input {
			tokens = append(tokens, tokenizer.Token(id))
		}
		if got := strings.Join(tokens, " "); got != wantTokens[i] {
			t.Errorf("choice %d: %s\nwant      %s", i, got, wantTokens[i])
		}
		if diff := cmp.Diff(wantSegments[i], b.BlockPosition); diff != "" {
			t.Errorf("choice %d: segments\n%s", i, diff)
		}
		if b.Sep != len(b.Input) || b.Position[0] != 0 || int(b.Position[b.Sep-1]) != b.Sep-1 || slices.Contains(b.LossMask, 1) {
			t.Errorf("choice %d: %+v", i, b)
		}
	}
}

// asText is the tokens of a row.
func asText(tokenizer Tokenizer, ids []int32) string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = tokenizer.Token(id)
	}
	return strings.Join(tokens, " ")
}

// TestMaskedLayout spells out the form Masked, which no vector covers: each choice
// in a sequence of its own with as many blanks as it has tokens, where its tokens
// are read.
func TestMaskedLayout(t *testing.T) {
	tokenizer := letters(t)
	encoder := newEncoder(t, copa, Masked, 1, 20)
	examples, err := readText(copa, `{"premise": "a b c d.", "choice1": "No", "choice2": "X y.", "question": "cause", "label": 1, "idx": 0}`, "val", Masked)
	if err != nil {
		t.Fatal(err)
	}
	encoded, cut, err := encoder.Encode(examples[0])
	if err != nil {
		t.Fatal(err)
	}
	if encoded.Scoring != MultiToken || encoded.Label != 1 || cut != 0 {
		t.Errorf("scoring %s, label %d, %d cut", encoded.Scoring, encoded.Label, cut)
	}
	question := "[CLS] no o ##r x y ? a b c d because "
	for i, want := range []struct {
		tokens, target string
		from           int
	}{
		{question + "[MASK] . [SEP]", "no", 12},
		{question + "[MASK] [MASK] . [SEP]", "x y", 12},
	} {
		b := encoded.Sequences[i]
		if got := asText(tokenizer, b.Input); got != want.tokens || b.Sep != len(b.Input) {
			t.Errorf("choice %d: %s\nwant      %s", i, got, want.tokens)
		}
		target := tokenizer.Encode(nil, want.target)
		for j := range b.Input {
			token, counts := b.Input[j], uint8(0)
			if j >= want.from && j < want.from+len(target) {
				token, counts = target[j-want.from], 1
			}
			if b.Target[j] != token || b.LossMask[j] != counts || int(b.Position[j]) != j || b.BlockPosition[j] != 0 {
				t.Errorf("choice %d, token %d: target %d, read %d, position %d.%d", i, j, b.Target[j], b.LossMask[j], b.Position[j], b.BlockPosition[j])
			}
		}
		if got := encoder.Vector(encoded, "val", "").Choices[i].Target; !slices.Equal(got, target) {
			t.Errorf("choice %d: the vector's target is %v, want %v", i, got, target)
		}
	}
	// One token less: the choice of two loses one of the premise.
	encoded, cut, err = newEncoder(t, copa, Masked, 1, 15).Encode(examples[0])
	if err != nil || cut != 1 {
		t.Fatal(cut, err)
	}
	if got, want := asText(tokenizer, encoded.Sequences[1].Input), "[CLS] no o ##r x y ? a b c because [MASK] [MASK] . [SEP]"; got != want || len(encoded.Sequences[0].Input) != 15 {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestMaskedWords: a BERT's labels may have words of several tokens, which are
// then choices like others; a GLM's may not, and no word may be unknown.
func TestMaskedWords(t *testing.T) {
	open := func(second string) *Task {
		return declared(t, `task: Mine
fields: {text: text}
label: good
labels: [bad, fine]
patterns:
  - parts: ["✂{text}", "▢", "."]
    words: [" no", "`+second+`"]
metrics: [accuracy]
`)
	}
	task := open(" so so")
	encoder := newEncoder(t, task, Masked, 0, 16)
	examples, err := readText(task, `{"text": "a b", "good": "fine"}`, "val", Masked)
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := encoder.Encode(examples[0])
	if err != nil {
		t.Fatal(err)
	}
	if e.Scoring != MultiToken || e.Label != 1 || !slices.Equal(e.Choices, []string{"bad", "fine"}) || e.Verbalizers != nil || encoder.Header().Verbalizers != nil {
		t.Errorf("%+v", e)
	}
	for i, want := range []string{"[CLS] a b [MASK] . [SEP]", "[CLS] a b [MASK] [MASK] . [SEP]"} {
		if got := asText(encoder.tokenizer, e.Sequences[i].Input); got != want {
			t.Errorf("label %d: %s, want %s", i, got, want)
		}
	}
	var shown strings.Builder
	if err := encoder.Render(&shown, examples[0]); err != nil || !strings.Contains(shown.String(), `* 1 "fine" as " so so", 2 × ▢`) {
		t.Errorf("%v\n%s", err, shown.String())
	}
	var data *corpus.DataError
	if _, err := task.NewEncoder(Cloze, 0, 16, letters(t)); !errors.As(err, &data) || data.Line == 0 {
		t.Errorf("a GLM takes two tokens for a word: %v", err)
	}
	if _, err := open(" so 漢").NewEncoder(Masked, 0, 16, letters(t)); !errors.As(err, &data) || !strings.Contains(err.Error(), "[UNK]") {
		t.Errorf("a word is unknown: %v", err)
	}
}

// TestMaskedRefuses: what has no tokens has no [MASK], and what is still to be
// written has no number of them.
func TestMaskedRefuses(t *testing.T) {
	examples, err := readText(copa, `{"premise": "a.", "choice1": "No", "choice2": "...", "question": "cause", "label": 1, "idx": 3}`, "val", Masked)
	if err != nil {
		t.Fatal(err)
	}
	var data *corpus.DataError
	if _, _, err := newEncoder(t, copa, Masked, 0, 64).Encode(examples[0]); !errors.As(err, &data) || data.Line != 1 || !strings.Contains(err.Error(), `dev-3: "" as an answer has no tokens`) {
		t.Errorf("got %v", err)
	}
	var config *configs.Error
	if _, err := mustGet(t, "XSum").NewEncoder(Masked, 0, 64, letters(t)); !errors.As(err, &config) || !strings.Contains(err.Error(), "XSum are written") {
		t.Errorf("got %v", err)
	}
}

// TestTruncation: whatever the length, the parts that must stay are there, in
// order, with the blank; what is cut is the end of shortenable parts, and no
// more of it than needed.
func TestTruncation(t *testing.T) {
	tokenizer := letters(t)
	rng := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for _, task := range registry {
		for i := -1; i < 2*task.Patterns(); i++ {
			form, pattern := Cloze, i
			if i < 0 {
				form = Classification
			} else if i >= task.Patterns() {
				form, pattern = Masked, i-task.Patterns()
			}
			whole := newEncoder(t, task, form, pattern, 512)
			for _, example := range records(t, task, "val", form) {
				full, cut, err := whole.Encode(example)
				if err != nil || cut != 0 {
					t.Fatalf("%s pattern %d: %d cut of 512, %v", task.Name, pattern, cut, err)
				}
				for range 5 {
					maxLength := 1 + rng.IntN(100)
					encoder := newEncoder(t, task, form, pattern, maxLength)
					short, cut, err := encoder.Encode(example)
					kept := keptTokens(encoder, example)
					longest := 0
					for _, k := range kept {
						longest = max(longest, k)
					}
					if err != nil {
						var data *corpus.DataError
						if !errors.As(err, &data) || longest <= maxLength {
							t.Errorf("%s pattern %d: %v, but the parts that stay are %d tokens", task.Name, pattern, err, longest)
						}
						refused++
						continue
					}
					if longest > maxLength {
						t.Errorf("%s pattern %d: %d tokens that must stay were put into %d", task.Name, pattern, longest, maxLength)
					}
					most := 0
					for i, b := range short.Sequences {
						want := min(len(full.Sequences[i].Input), maxLength)
						if len(b.Input) != want {
							t.Errorf("%s pattern %d: %d tokens, want %d", task.Name, pattern, len(b.Input), want)
						}
						most = max(most, len(full.Sequences[i].Input)-want)
						if form == Cloze && b.Input[b.Position[b.Sep]] != tokenizer.Special().Mask {
							t.Errorf("%s pattern %d: Part B is not at the blank", task.Name, pattern)
						}
						if err := subsequence(b.Input, full.Sequences[i].Input); err != "" {
							t.Errorf("%s pattern %d: %s", task.Name, pattern, err)
						}
					}
					if cut != most {
						t.Errorf("%s pattern %d: %d reported cut, %d are", task.Name, pattern, cut, most)
					}
				}
			}
		}
	}
	if refused == 0 {
		t.Error("no length was too short; the test does not try what it says")
	}
}

// keptTokens counts, for each sequence of an example, the tokens that may not
// be cut.
func keptTokens(e *Encoder, x Example) []int {
	answers := x.Answers
	if answers == nil {
		answers = []string{x.Fields["answer"]}
	}
	var counts []int
	for _, answer := range answers {
		fields := map[string]string{}
		for name, text := range x.Fields {
			fields[name] = text
		}
		fields["answer"] = answer
		n := 3 // [CLS], pad, sop; or [CLS] and two [SEP]
		if e.header.Form == Masked {
			n = 2
		}
		if e.header.Form.Asks() && x.Answers != nil {
			n += len(e.tokenizer.Encode(nil, " "+answer)) // sop for eop
			if e.header.Form == Masked {
				n-- // the blank is a part
			}
		}
		for _, t := range []template{e.a, e.b} {
			for _, p := range t.parts(fields, e.tokenizer, e.special.Mask) {
				if !p.shortenable {
					n += len(p.tokens)
				}
			}
		}
		counts = append(counts, n)
	}
	return counts
}

// subsequence says what of short is not, in order, in long.
func subsequence(short, long []int32) string {
	i := 0
	for _, token := range long {
		if i < len(short) && short[i] == token {
			i++
		}
	}
	if i < len(short) {
		return "the shortened sequence has tokens that the whole one lacks"
	}
	return ""
}

// TestTruncateSides follows the authors' rule: the side with more that is
// shortenable loses a token, side b on a tie, the last shortenable part first.
func TestTruncateSides(t *testing.T) {
	of := func(n int, shortenable bool) part {
		return part{tokens: make([]int32, n), shortenable: shortenable}
	}
	lengths := func(parts []part) (n []int) {
		for _, p := range parts {
			n = append(n, len(p.tokens))
		}
		return n
	}
	tests := []struct {
		name         string
		a, b         []part
		room         int
		wantA, wantB []int
	}{
		{"fits", []part{of(3, true)}, []part{of(3, true)}, 6, []int{3}, []int{3}},
		{"tie", []part{of(3, true)}, []part{of(3, true)}, 5, []int{3}, []int{2}},
		{"in turn", []part{of(5, true)}, []part{of(3, true)}, 4, []int{2}, []int{2}},
		{"only what is shortenable counts", []part{of(9, false), of(2, true)}, []part{of(3, true)}, 13, []int{9, 2}, []int{2}},
		{"last part first", []part{of(4, true), of(1, false), of(2, true)}, nil, 4, []int{3, 1, 0}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := truncate(test.a, test.b, test.room); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.wantA, lengths(test.a)); diff != "" {
				t.Errorf("a: %s", diff)
			}
			if diff := cmp.Diff(test.wantB, lengths(test.b)); diff != "" {
				t.Errorf("b: %s", diff)
			}
		})
	}
	if _, err := truncate([]part{of(4, false), of(1, true)}, nil, 3); err == nil {
		t.Error("4 tokens that must stay were put into 3")
	}
}

// TestSignsInText: texts are not read as templates.
func TestSignsInText(t *testing.T) {
	encoder := newEncoder(t, boolQ, Cloze, 0, 128)
	examples, err := readText(boolQ, `{"passage": "a {question} ▢ ✂", "question": "{passage}", "label": true, "idx": 0}`, "val", Cloze)
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, err := encoder.Encode(examples[0])
	if err != nil {
		t.Fatal(err)
	}
	masks := 0
	for _, id := range encoded.Sequences[0].Input {
		if id == encoder.special.Mask {
			masks++
		}
	}
	got := strings.Join(encoder.a.texts(examples[0].Fields), "|")
	if want := "a {question} ▢ ✂| Question:| {passage}|? Answer:|▢|."; got != want || masks != 1 {
		t.Errorf("got %q with %d blanks, want %q with one", got, masks, want)
	}
}
