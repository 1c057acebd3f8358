package tasks

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/corpus/wordpiece"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/patterns")

// letters is a vocabulary in which every ASCII text has tokens: the words that
// verbalizers need, and single characters.
func letters(t testing.TB) *wordpiece.Tokenizer {
	t.Helper()
	vocab := strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] yes no maybe true false neither because so ##a")
	for _, c := range "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–“”‘’0123456789abcdefghijklmnopqrstuvwxyz" {
		vocab = append(vocab, string(c))
	}
	for _, c := range "bcdefghijklmnopqrstuvwxyz0123456789" {
		vocab = append(vocab, "##"+string(c))
	}
	tokenizer, err := wordpiece.New(vocab)
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

// records reads a task's own small file in one form.
func records(t testing.TB, task *Task, split string, form Form) []Example {
	t.Helper()
	var examples []Example
	for example, err := range task.Read(filepath.Join("testdata", "records", task.Name, "train.jsonl"), split, form) {
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, example)
	}
	return examples
}

// TestPatterns renders small records through every pattern, once more in the
// training form, for a BERT where the blank is not one word, and as pairs, and compares with the golden files, which are
// for reading beside the authors' patterns.
func TestPatterns(t *testing.T) {
	for _, task := range registry {
		t.Run(task.Name, func(t *testing.T) {
			var got strings.Builder
			render := func(form Form, pattern int, split string) {
				encoder, err := task.NewEncoder(form, pattern, 512, letters(t))
				if err != nil {
					t.Fatal(err)
				}
				for _, example := range records(t, task, split, form) {
					if err := encoder.Render(&got, example); err != nil {
						t.Fatal(err)
					}
					got.WriteByte('\n')
				}
			}
			for pattern := range task.Patterns() {
				render(Cloze, pattern, "val")
			}
			if task.File("train") != "" {
				render(Cloze, 0, "train")
			}
			if task.patterns[0].words == nil {
				render(Masked, 0, "val")
			}
			render(Classification, -1, "val")
			golden := filepath.Join("testdata", "patterns", task.Name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s differs, -want +got (run with -update to accept):\n%s", golden, diff)
			}
		})
	}
}
