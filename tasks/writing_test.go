package tasks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/spans"
)

// summaries is a task file of a user, with the form of the authors' customization.
const summaries = `task: Summaries
files: {train: train.source, val: val.source, test: test.jsonl}
fields: {source: source}
writes: target
patterns:
  - parts: ["←✂{source}", "▢"]
metrics: [rouge1, bleu]
`

func newTokenizer(t *testing.T) *wordpiece.Tokenizer {
	t.Helper()
	tok, err := wordpiece.New(strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] the old man and sea . , : question answer who ? is"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// folder writes files to a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, task *Task, path, split string) ([]Example, error) {
	t.Helper()
	var examples []Example
	for example, err := range task.Read(path, split, Cloze) {
		if err != nil {
			return examples, err
		}
		examples = append(examples, example)
	}
	return examples, nil
}

func TestPairsOfFiles(t *testing.T) {
	task := declared(t, summaries)
	dir := folder(t, map[string]string{
		"train.source": "\ufeffone “two”\nthree\n", "train.target": "1 2\n3",
		"short.source": "a\nb\n", "short.target": "c\n",
		"long.source": "a\n", "long.target": "c\nd\n",
		"lone.source":  "a\n",
		"empty.source": "a\nb\n", "empty.target": "c\n  \n",
		"blank.source": "\n", "blank.target": "c\n",
		"latin.source": "caf\xe9\n", "latin.target": "c\n",
	})
	got, err := read(t, task, filepath.Join(dir, "train.source"), "train")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	if e := got[0]; e.Fields["source"] != `one "two"` || e.Answers[0] != "1 2" || e.Gold[0] != "1 2" || e.Label != -1 || e.ID != "train-0" || e.Line != 1 {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]string{
		"short": "short.target:2: the file cannot be read further: it has 1 lines, and short.source more",
		"long":  "long.source:2: the file cannot be read further: it has 1 lines, and long.target more",
		"lone":  "lone.target: there is no such file",
		"empty": "empty.source:2: train-1: target: the text is empty",
		"blank": "blank.source:1: train-0: source: the text is empty",
		"latin": "latin.source:1: the line is not UTF-8",
	} {
		_, err := read(t, task, filepath.Join(dir, name+".source"), "train")
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// Without an answer a test file can be read, a training file cannot.
func TestWithoutReference(t *testing.T) {
	task := declared(t, summaries)
	dir := folder(t, map[string]string{"test.jsonl": `{"source": "a b"}`})
	got, err := read(t, task, filepath.Join(dir, "test.jsonl"), "test")
	if err != nil || got[0].Gold != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := read(t, task, filepath.Join(dir, "test.jsonl"), "train"); err == nil || !strings.Contains(err.Error(), `the field "target" is missing`) {
		t.Errorf("training without an answer: %v", err)
	}
}

func TestWritingLayout(t *testing.T) {
	tok := newTokenizer(t)
	e, err := declared(t, summaries).NewEncoder(Cloze, 0, 6, tok)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetWriting(3, false); err != nil {
		t.Fatal(err)
	}
	sp := tok.Special()
	id := func(text string) []int32 { return tok.Encode(nil, text) }
	x := Example{Fields: map[string]string{"source": "the old man and the sea"}, Answers: []string{"the sea"}, Gold: []string{"the sea"}}
	encoded, cut, err := e.Encode(x)
	if err != nil || cut != 3 {
		t.Fatalf("cut %d, %v", cut, err)
	}
	b := encoded.Sequences[0]
	want := slices.Concat([]int32{sp.CLS}, id("and the sea"), []int32{sp.Mask, sp.Pad, sp.SOP}, id("the sea"))
	if !slices.Equal(b.Input, want) || b.Sep != 6 || !slices.Equal(b.Target[b.Sep:], append(id("the sea"), sp.EOP)) {
		t.Errorf("%v with Part A of %d, want %v", b.Input, b.Sep, want)
	}
	if b.Position[6] != 4 || b.BlockPosition[8] != 3 {
		t.Errorf("positions %v, %v", b.Position, b.BlockPosition)
	}
	// An answer too long loses its end with eop.
	x.Answers[0] = "the old man"
	if encoded, cut, err = e.Encode(x); err != nil || cut != 4 || !slices.Equal(encoded.Sequences[0].Target[6:], id("the old man")) {
		t.Errorf("targets %v, cut %d, %v", encoded.Sequences[0].Target[6:], cut, err)
	}
	// Masks of the objectives.
	if err := e.SetWriting(3, true); err != nil || e.Header().Mask != "[sMASK]" {
		t.Fatal(err)
	}
	if encoded, _, _ = e.Encode(x); encoded.Sequences[0].Input[4] != sp.SMask {
		t.Errorf("blank %d, want %d", encoded.Sequences[0].Input[4], sp.SMask)
	}
	if err := e.SetWriting(1, false); err == nil {
		t.Error("an answer of one token is taken")
	}
}

// What is kept of a long context is around the answer.
func TestSQuADQuestions(t *testing.T) {
	task, err := Get("squad-qg")
	if err != nil {
		t.Fatal(err)
	}
	const data = `{"version": "1.1", "data": [
		{"title": "Sea", "paragraphs": [{"context": "é. The old man, and the sea.", "qas": [
			{"id": "q1", "question": "who? ", "answers": [{"text": "old man", "answer_start": 7}, {"text": "old man", "answer_start": 7}, {"text": "man", "answer_start": 99}]},
			{"id": "q2", "question": "what?", "answers": [{"text": "é.", "answer_start": 0}]}]}]},
		{"title": "Land", "paragraphs": [{"context": "The end", "qas": [{"id": "q3", "question": "what?", "answers": [{"text": "The end", "answer_start": 0}]}]}]}]}`
	dir := folder(t, map[string]string{
		"train-v1.1.json": data, "doclist-train.txt": "Sea\r\n", "dev-v1.1.json": data,
		"cut.json": data[:200], "other.json": `[1]`, "none.json": `{"data": 3}`, "empty.json": `{"data": []}`,
		"wrong.json": strings.Replace(data, `"text": "é."`, `"text": "sand"`, 1),
	})
	for split, want := range map[string][]string{
		"train": {"train-q1", "train-q1-a2", "train-q2"}, "val": {"dev-q3"}, "test": {"test-q1", "test-q2", "test-q3"},
	} {
		got, err := read(t, task, filepath.Join(dir, task.File(split)), split)
		var ids []string
		for _, e := range got {
			ids = append(ids, e.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%s: %q, %v; want %q", split, ids, err, want)
		}
	}
	got, err := read(t, task, filepath.Join(dir, "dev-v1.1.json"), "test")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"before": "é. The", "span": " old man", "after": ", and the sea.", "answer": "old man"}; !reflect.DeepEqual(got[0].Fields, want) {
		t.Errorf("%q, want %q", got[0].Fields, want)
	}
	if got[0].Gold[0] != "who?" {
		t.Errorf("the reference is %q, not the question", got[0].Gold)
	}
	for name, want := range map[string]string{
		"cut.json": "behind question 0: unexpected EOF", "other.json": "want a JSON object",
		"none.json": `"data" is not an array`, "empty.json": "none of its 0 lines makes an example",
		"wrong.json": `answers[0]: "sand" is not in the context`,
	} {
		_, err := read(t, task, filepath.Join(dir, name), "test")
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	tok := newTokenizer(t)
	e, err := task.NewEncoder(Cloze, 0, 16, tok)
	if err != nil {
		t.Fatal(err)
	}
	x := Example{Answers: []string{"who?"}, Fields: map[string]string{
		"before": "the the the old", "span": " man", "after": " sea the the the the the", "answer": "man",
	}}
	encoded, _, err := e.Encode(x)
	if err != nil {
		t.Fatal(err)
	}
	tokens := encoded.Sequences[0].Input[:encoded.Sequences[0].Sep]
	at := slices.Index(tokens, tok.Encode(nil, "man")[0])
	if tokens[at-1] != tok.Encode(nil, "old")[0] || tokens[at+1] != tok.Encode(nil, "sea")[0] || len(tokens) > 16 {
		t.Errorf("the answer is at %d of %v", at, tokens)
	}
}

// Whatever is blanked, filling the blanks gives the text back, and the block is
// the one that pretraining makes of the same spans left to right.
func TestInfilling(t *testing.T) {
	task, err := Get("Yahoo")
	if err != nil {
		t.Fatal(err)
	}
	tok := newTokenizer(t)
	sp := tok.Special()
	text := strings.Repeat("the old man and the sea . ", 6)
	words := strings.Fields(text)
	for pattern, ratio := range []float64{0.1, 0.2, 0.3, 0.4, 0.5} {
		e, err := task.NewEncoder(Cloze, pattern, 200, tok)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.SetWriting(100, false); err != nil {
			t.Fatal(err)
		}
		x := Example{ID: fmt.Sprint("train-", pattern), Fields: map[string]string{"text": text}, Gold: []string{text}}
		encoded, cut, err := e.Encode(x)
		if err != nil || cut != 0 {
			t.Fatalf("cut %d, %v", cut, err)
		}
		again, _, _ := e.Encode(x)
		if !reflect.DeepEqual(encoded, again) {
			t.Error("the blanks differ from one time to the next")
		}
		b := encoded.Sequences[0]
		var whole, piece []int32
		var sps []spans.Span
		at := b.Sep
		for i, id := range b.Input[:b.Sep] {
			if id != sp.Mask {
				whole = append(whole, id)
				continue
			}
			if i > 0 && b.Input[i-1] == sp.Mask {
				t.Error("two blanks side by side")
			}
			for piece = nil; b.Target[at] != sp.EOP; at++ {
				piece = append(piece, b.Target[at])
			}
			at++
			sps = append(sps, spans.Span{Start: len(whole), End: len(whole) + len(piece)})
			whole = append(whole, piece...)
		}
		if at != len(b.Input) || !slices.Equal(whole, tok.Encode(nil, text)) {
			t.Fatalf("filled: %v", whole)
		}
		blanked := 0
		for _, s := range sps {
			blanked += s.End - s.Start
		}
		if want := int(ratio * float64(len(words))); blanked != want { // one token a word
			t.Errorf("%d words of %d are blanked, want %d", blanked, len(words), want)
		}
		want, err := spans.BuildBlock(whole, sps, sp.Mask, sp.SOP, sp.EOP)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(b, want) {
			t.Errorf("block %+v, want %+v", b, want)
		}
		if back := sequenceOf(b, Cloze, Written).block(Cloze, sp); !reflect.DeepEqual(back, b) {
			t.Errorf("stored and read: %+v", back)
		}
	}
}

// A text longer than there is room for loses its end and the blanks there.
func TestInfillingOfLongText(t *testing.T) {
	task, err := Get("Yahoo")
	if err != nil {
		t.Fatal(err)
	}
	tok := newTokenizer(t)
	x := Example{ID: "train-0", Fields: map[string]string{"text": strings.Repeat("the sea ", 40)}}
	for _, test := range []struct{ read, write int }{{30, 40}, {60, 5}, {8, 40}} {
		e, err := task.NewEncoder(Cloze, 4, test.read, tok)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.SetWriting(test.write, false); err != nil {
			t.Fatal(err)
		}
		encoded, cut, err := e.Encode(x)
		if err != nil {
			t.Fatal(err)
		}
		b := encoded.Sequences[0]
		pieces, blanks := 0, 0
		for i, id := range b.Input {
			if id == tok.Special().SOP {
				pieces++
			}
			if id == tok.Special().Mask {
				blanks++
			}
			if int(b.Position[i]) >= test.read {
				t.Errorf("position %d of %d", b.Position[i], test.read)
			}
		}
		if cut == 0 || b.Sep > test.read || len(b.Input)-b.Sep > test.write || pieces != blanks {
			t.Errorf("%d and %d tokens where %d and %d may be, %d pieces for %d blanks, %d cut", b.Sep, len(b.Input)-b.Sep, test.read, test.write, pieces, blanks, cut)
		}
	}
	e, err := task.NewEncoder(Cloze, 0, 8, tok)
	if err != nil {
		t.Fatal(err)
	}
	x.ID = "train-7"
	for i := 0; ; i++ { // a text whose blanks are all behind the eighth token
		x.ID = fmt.Sprint("train-", i)
		if _, _, err = e.Encode(x); err != nil {
			break
		}
		if i == 1000 {
			t.Fatal("no text lost all its blanks")
		}
	}
	if !strings.Contains(err.Error(), "none of its blanks fits") {
		t.Error(err)
	}
}

func TestPrepareWriting(t *testing.T) {
	task := declared(t, summaries)
	dir := folder(t, map[string]string{
		"train.source": "the sea\nthe man\n", "train.target": "sea\nman\n", "test.jsonl": `{"source": "the old man"}`,
	})
	encoder := func() *Encoder {
		e, err := task.NewEncoder(Cloze, 0, 8, newTokenizer(t))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	out := t.TempDir()
	manifest, done, err := encoder().Prepare(context.Background(), dir, out, nil)
	if err != nil || done || len(manifest.Splits) != 2 {
		t.Fatalf("%+v, %v, %v", manifest, done, err)
	}
	split, err := OpenSplit(filepath.Join(out, "Summaries", "train.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	if e := split.Examples[1]; e.Scoring != Written || e.Gold[0] != "man" || split.Header.TargetLength != 2 {
		t.Errorf("%+v", e)
	}
	if err := CheckScorable(filepath.Join(out, "Summaries", "train.arrow")); err != nil {
		t.Error(err)
	}
	if err := CheckScorable(filepath.Join(out, "Summaries", "test.arrow")); err == nil {
		t.Error("a file without references can be scored")
	}
	if _, done, err = encoder().Prepare(context.Background(), dir, out, nil); err != nil || !done {
		t.Errorf("prepared again: %v, %v", done, err)
	}
	longer := encoder()
	if err := longer.SetWriting(4, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err = longer.Prepare(context.Background(), dir, out, nil); err == nil || !strings.Contains(err.Error(), "target length 2, not 4") {
		t.Errorf("prepared otherwise: %v", err)
	}
	// The answers alone have changed.
	if err := os.WriteFile(filepath.Join(dir, "train.target"), []byte("sea\nold\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err = encoder().Prepare(context.Background(), dir, out, nil); err == nil || !strings.Contains(err.Error(), "from other files") {
		t.Errorf("other answers: %v", err)
	}
}

func TestWritingDeclarations(t *testing.T) {
	const blanks = "task: Mine\nfields: {text: text}\ninfill: [0.1]\nmetrics: [bleu]\n"
	declared(t, blanks)
	for _, test := range []struct{ text, old, new, want string }{
		{summaries, "writes: target", "writes: ''", "my.yaml:4: writes: is empty"},
		{summaries, "writes: target", "writes: target\nclean: cnndn", `clean: there is no cleaning "cnndn"; did you mean cnndm?`},
		{summaries, "writes: target", "writes: target\nlabels: [a, b]", "labels: has no use here: the model writes the answer"},
		{summaries, "writes: target", "writes: target\ninfill: [0.1]", "writes: has no use here"},
		{summaries, "rouge1, bleu", "accuracy", "metrics[0]: accuracy is of labels, and the model writes text"},
		{summaries, "train.source", "{name: train.source, only: a.txt}", `"train.source" has no articles to choose from`},
		{sound, "accuracy", "bleu", "metrics[0]: bleu is of text that the model writes"},
		{sound, "label: label", "label: label\nclean: cnndm", "clean: has no use here"},
		{blanks, "0.1", "1.5", `infill[0]: want a share of the words, above 0 and below 1, got "1.5"`},
		{blanks, "[0.1]", "[]", "infill: no share of words is declared"},
		{blanks, "{text: text}", "{body: text}", "infill blanks words of the only field, text"},
		{blanks, "metrics", `patterns: [{parts: ["▢"]}]` + "\nmetrics", "patterns: has no use here"},
	} {
		_, err := declare("my.yaml", []byte(strings.Replace(test.text, test.old, test.new, 1)), registry)
		var wrong *configs.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.new, err, test.want)
		}
	}
}

func TestCleaners(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer bool
		text   string
		want   string
	}{
		{"gigaword", false, "-lrb- ap -rrb- <unk> at&amp;t UNK", "( ap ) [UNK] at&t [UNK]"},
		{"cnndm", true, "he 's here . <S_SEP> `` i do n't '' -LRB- cnn -RRB-", `he's here . [SEP] " i don't " ( cnn )`},
		{"cnndm", false, "one .<S_SEP> two", "one . two"},
		{"blanklm", false, "a _UNK b", "a [UNK] b"},
	} {
		if got := cleaners[test.name](test.text, test.answer); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestScoreWritten(t *testing.T) {
	task, err := Get("CNN-DM")
	if err != nil {
		t.Fatal(err)
	}
	gold := []string{"the gunman fled . [SEP] police came ."}
	figures := task.Score([]Prediction{
		{Label: -1, Gold: gold, Choices: []string{"police came . [SEP] the gunman fled ."}},
		{Label: -1, Gold: gold, Choices: []string{""}},
	})
	// Of the first all words are right and all pairs but one of four; the lines
	// match in any order. The second wrote nothing.
	for i, want := range []float64{50, 37.5, 50} {
		if math.Abs(figures[i].Value-want) > 1e-9 {
			t.Errorf("%s %v, want %v", figures[i].Name, figures[i].Value, want)
		}
	}
}

// What was written is the answer, or the text with the blanks filled; the
// reference is spelled as the vocabulary spells it.
func TestWritten(t *testing.T) {
	tok := newTokenizer(t)
	for name, test := range map[string]struct {
		example Example
		answers []string
		want    string
		gold    string
	}{
		"Gigaword": {Example{Fields: map[string]string{"source": "the old man"}, Gold: []string{"The sea, Man?"}}, []string{"the sea"}, "the sea", "the sea , man ?"},
		"CNN-DM":   {Example{Fields: map[string]string{"source": "the old man"}, Gold: []string{"The sea. [SEP] Man"}}, []string{"the sea"}, "the sea", "the sea . [SEP] man"},
		"Yahoo":    {Example{Fields: map[string]string{"text": "the the the the"}, Gold: []string{"the the the the"}}, []string{"sea . sea ."}, "", "the the the the"},
	} {
		task := mustGet(t, name)
		e, err := task.NewEncoder(Cloze, 0, 30, tok)
		if err != nil {
			t.Fatal(err)
		}
		encoded, _, err := e.Encode(test.example)
		if err != nil {
			t.Fatal(err)
		}
		var answers [][]int32
		for _, text := range test.answers {
			answers = append(answers, tok.Encode(nil, text))
		}
		if blanks := encoded.Blanks(); len(blanks) != len(answers) || encoded.Sequences[0].Input[blanks[0]] != tok.Special().Mask {
			t.Fatalf("%s: blanks at %d", name, blanks)
		}
		got := task.Written(encoded, tok, answers, -1.5)
		if name == "Yahoo" { // wherever its one blank of four words is
			words := make([]string, 0, 7)
			for i, id := range encoded.Sequences[0].Input[:encoded.Sequences[0].Sep] {
				if i == encoded.Blanks()[0] {
					words = append(words, test.answers[0])
				} else {
					words = append(words, tok.Token(id))
				}
			}
			test.want = strings.Join(words, " ")
		}
		if got.Label != -1 || got.Predicted != 0 || got.Choices[0] != test.want || got.Gold[0] != test.gold || got.Scores[0] != -1.5 {
			t.Errorf("%s: %+v, want %q and %q", name, got, test.want, test.gold)
		}
	}
}

// What parts an answer's sentences is one token that the model learns to write.
func TestSentencesOfAnAnswer(t *testing.T) {
	tok := newTokenizer(t)
	sep := tok.Special().SEP
	ids := encodeSentences(tok, "the sea . [SEP] the man ?")
	want := append(append(tok.Encode(nil, " the sea ."), sep), tok.Encode(nil, " the man ?")...)
	if !slices.Equal(ids, want) || slices.Contains(ids, tok.Special().Unk) {
		t.Errorf("encoded as %v, want %v", ids, want)
	}
	if got := decodeSentences(tok, ids); got != "the sea . [SEP] the man ?" {
		t.Errorf("decoded as %q", got)
	}
	if got := decodeSentences(tok, []int32{sep}); got != sentenceEnd {
		t.Errorf("an end alone is %q", got)
	}
	score := ROUGE("the man ? [SEP] the sea .", decodeSentences(tok, ids))
	if score.LSum.F1 != 100 || score.L.F1 == 100 {
		t.Errorf("sentences in another order: Lsum %v, L %v", score.LSum.F1, score.L.F1)
	}
	e, err := mustGet(t, "CNN-DM").NewEncoder(Cloze, 0, 30, tok)
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, err := e.Encode(Example{Fields: map[string]string{"source": "the old man"}, Answers: []string{"the sea [SEP] man"}})
	if err != nil {
		t.Fatal(err)
	}
	if b := encoded.Sequences[0]; !slices.Contains(b.Target[b.Sep:], sep) {
		t.Errorf("the target %v has no token %d", b.Target[b.Sep:], sep)
	}
}

// A file whose blanks are a mask behind the vocabulary's entries is read back.
func TestTaskMaskStored(t *testing.T) {
	dir := folder(t, map[string]string{"summaries.yaml": summaries, "train.source": "the old man and the sea\n", "train.target": "old man\n"})
	task, err := Open(filepath.Join(dir, "summaries.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tok := newTokenizer(t)
	e, err := task.NewEncoder(Cloze, 0, 20, tok)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetWriting(8, true); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, _, err := e.Prepare(context.Background(), dir, out, nil); err != nil {
		t.Fatal(err)
	}
	split, err := OpenSplit(filepath.Join(out, "Summaries", "train.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	x := split.Examples[0]
	if blanks := x.Blanks(); len(blanks) != 1 || x.Sequences[0].Input[blanks[0]] != tok.Special().SMask {
		t.Errorf("blanks %v of %v", blanks, x.Sequences[0].Input)
	}
}
