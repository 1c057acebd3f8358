package tasks

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/spans"
)

var lmSpecial = spans.Special{Pad: 0, CLS: 101, Mask: 103, SOP: 200, EOP: 201}

func counted(n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(i + 1)
	}
	return tokens
}

// Every token but the first is predicted once, and what predicts it is the text
// before it.
func TestWindowsScoreEachTokenOnce(t *testing.T) {
	for _, unidirectional := range []bool{false, true} {
		for _, n := range []int{2, 3, 8, 9, 10, 12, 13, 25, 31} {
			l := LanguageModel{Length: 10, Stride: 4, Unidirectional: unidirectional, Special: lmSpecial, Mask: 103}
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
			tokens := counted(n)
			var scored []int32
			windows := l.Windows(tokens)
			if got := l.Count(n); got != len(windows) {
				t.Errorf("%d tokens: %d windows counted of %d", n, got, len(windows))
			}
			for w, b := range windows {
				var text []int32 // what the model reads, the blank and the special tokens left out
				for i, id := range b.Input {
					if id < 100 {
						text = append(text, id)
					}
					if b.LossMask[i] == 0 {
						continue
					}
					if last := text[len(text)-1]; b.Target[i] != last+1 {
						t.Fatalf("%d tokens, window %d: %d is predicted behind %d", n, w, b.Target[i], last)
					}
					scored = append(scored, b.Target[i])
				}
				if w > 0 && len(text)+1 > 9 || b.Input[0] != 101 || b.Input[b.Sep-1] != 103 || b.Input[b.Sep] != 200 {
					t.Errorf("%d tokens, window %d: %v, Part A of %d", n, w, b.Input, b.Sep)
				}
				if unidirectional && b.Sep != 3 {
					t.Errorf("unidirectional: Part A of %d", b.Sep)
				}
				if int(b.Position[b.Sep]) != b.Sep-1 || b.BlockPosition[b.Sep] != 1 {
					t.Errorf("positions %v, %v", b.Position, b.BlockPosition)
				}
			}
			if !slices.Equal(scored, tokens[1:]) {
				t.Errorf("%d tokens, unidirectional %v: scored %v", n, unidirectional, scored)
			}
		}
	}
	l := LanguageModel{Length: 10, Stride: 4, Special: lmSpecial, Mask: 103}
	for n := range 2 {
		if got := l.Windows(counted(n)); got != nil || l.Count(n) != 0 {
			t.Errorf("%d tokens: %v, %d windows", n, got, l.Count(n))
		}
	}
}

// A later window of the authors' layout, spelled out.
func TestWindowLayout(t *testing.T) {
	l := LanguageModel{Length: 6, Stride: 2, Special: lmSpecial, Mask: 103}
	b := l.Windows(counted(7))[1]
	if want := []int32{101, 3, 4, 5, 103, 200, 6}; !slices.Equal(b.Input, want) {
		t.Errorf("input %v, want %v", b.Input, want)
	}
	if want := []int32{0, 1, 2, 3, 4, 4, 4}; !slices.Equal(b.Position, want) {
		t.Errorf("positions %v, want %v", b.Position, want)
	}
	l.Unidirectional = true
	b = l.Windows(counted(7))[1]
	if want := []int32{101, 3, 103, 200, 4, 5, 6}; !slices.Equal(b.Input, want) {
		t.Errorf("unidirectional input %v, want %v", b.Input, want)
	}
	if want := []uint8{0, 0, 0, 0, 0, 1, 1}; !slices.Equal(b.LossMask, want) {
		t.Errorf("loss mask %v, want %v", b.LossMask, want)
	}
}

func TestLastWord(t *testing.T) {
	l := LanguageModel{Length: 12, Stride: 4, Special: lmSpecial, Mask: 103}
	b := l.LastWord([]int32{1, 2, 3}, []int32{8, 9})
	if want := []int32{101, 1, 2, 3, 103, 0, 200, 8}; !slices.Equal(b.Input, want) || b.Sep != 6 {
		t.Errorf("input %v, want %v; Part A of %d", b.Input, want, b.Sep)
	}
	if want := []int32{8, 9}; !slices.Equal(b.Target[b.Sep:], want) || b.Position[b.Sep] != 4 {
		t.Errorf("targets %v at %d", b.Target[b.Sep:], b.Position[b.Sep])
	}
	l.Unidirectional = true
	b = l.LastWord([]int32{1, 2, 3}, []int32{8, 9})
	if want := []int32{101, 1, 103, 0, 200, 2, 3, 8}; !slices.Equal(b.Input, want) {
		t.Errorf("unidirectional input %v, want %v", b.Input, want)
	}
	if want := []uint8{0, 0, 0, 0, 0, 0, 1, 1}; !slices.Equal(b.LossMask, want) {
		t.Errorf("loss mask %v, want %v", b.LossMask, want)
	}
	context := counted(40)
	b = l.LastWord(context, []int32{8})
	if b.Input[1] != 32 || context[39] != 40 {
		t.Errorf("a long context is not cut from its start: %v of %v", b.Input, context)
	}
}

func TestReadLambada(t *testing.T) {
	read := func(content string) ([]string, error) {
		path := filepath.Join(t.TempDir(), "lambada.jsonl")
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := ReadLambada(path, func(context, word string) error {
			got = append(got, context+"|"+word)
			return nil
		})
		return got, err
	}
	got, err := read("{\"text\": \"She said no\\n\"}\n\n{\"text\": \"a  b\\nc\"}\n")
	if want := []string{"She said|no", "a  b|c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for content, message := range map[string]string{
		"{\"text\": \"a b\"}\n{\"text\": \"one\"}": ":2: text: \"one\" has no word",
		"{\"text\": \"  \"}":                       ":1: text: \"\" has no word",
		"{\"txt\": \"a b\"}":                       ":1: the field \"text\" is missing",
		"a b c":                                    ":1: not JSON",
		"":                                         "the file has no texts",
	} {
		_, err := read(content)
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: %v, want %q", content, err, message)
		}
	}
}

// The reference takes the two apostrophes for a pair of quotes; so must we.
func TestDetokenizeWikiText(t *testing.T) {
	const text = " = = Size = = \n\n It weighs 2 @,@ 000 @-@ odd kilograms ( 4 @.@ 4 lb ) , or \" heavy \" ; the lobsters ' 30 ° C . It 's . \n"
	const want = " == Size ==\n\nIt weighs 2,000-odd kilograms (4.4 lb), or \"heavy\"; the lobsters'30°C. It's.\n"
	if got := DetokenizeWikiText(text); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if n := Words(" = A = \n b c "); n != 6 {
		t.Errorf("%d words", n)
	}
}

func TestReadTexts(t *testing.T) {
	dir := folder(t, map[string]string{
		"plain": "\ufeffone two \n\nthree  four\n", "wiki": " = One = \n a @-@ b , c \n", "json": "{\"text\": \"one two\"}\n\n{\"text\": \"three\", \"more\": 1}\n",
		"latin": "one\n\xff\n", "empty": " \n", "odd": "{\"text\": \"a\"}\n{\"body\": \"b\"}\n",
	})
	for _, test := range []struct {
		name, form string
		want       []string
		words      []int
	}{
		{"plain", "file", []string{"one two \n\nthree  four\n"}, []int{5}},
		{"plain", "lines", []string{"one two ", "three  four"}, []int{2, 3}},
		{"json", "jsonl", []string{"one two", "three"}, []int{2, 1}},
		{"wiki", "wikitext", []string{" = One =\na-b, c\n"}, []int{9}},
	} {
		var got []string
		var words []int
		err := ReadTexts(filepath.Join(dir, test.name), test.form, func(text string, n int) error {
			got, words = append(got, text), append(words, n)
			return nil
		})
		if err != nil || !slices.Equal(got, test.want) || !slices.Equal(words, test.words) {
			t.Errorf("%s as %s: %q, %v words, %v; want %q, %v", test.name, test.form, got, words, err, test.want, test.words)
		}
	}
	for name, want := range map[string]string{"latin": "latin:2: the text is not UTF-8", "empty": "there is no text", "odd": "odd:2: ", "plain": "plain:1: ", "none": "none"} {
		err := ReadTexts(filepath.Join(dir, name), map[bool]string{true: "jsonl", false: "file"}[name == "odd" || name == "plain"], func(string, int) error { return nil })
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), want) || data.Hint == "" {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if err := ReadTexts(filepath.Join(dir, "plain"), "line", nil); err == nil || !strings.Contains(err.Error(), "did you mean lines?") {
		t.Errorf("a form unknown: %v", err)
	}
}
