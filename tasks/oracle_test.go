package tasks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/corpus/wordpiece"
)

// sharedFolder is the folder that an environment variable names, else def
// below the module's root. The test is skipped where there is none.
func sharedFolder(t *testing.T, variable, def string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = filepath.Join("..", def)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Skipf("no folder %s: set %s to run this test", dir, variable)
	}
	return dir
}

func bertTokenizer(t *testing.T) *wordpiece.Tokenizer {
	t.Helper()
	tokenizer, err := wordpiece.Open(filepath.Join(sharedFolder(t, "GLMKIT_DATA", "../shared/data"), "vocab", "bert-base-uncased"))
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

// TestOracle compares every vector of cloze.jsonl, which the authors' encoder
// made, to the letter.
func TestOracle(t *testing.T) {
	oracle := sharedFolder(t, "GLMKIT_ORACLE", "../shared/oracle")
	data := sharedFolder(t, "GLMKIT_DATA", "../shared/data")
	tokenizer := bertTokenizer(t)
	file, err := os.Open(filepath.Join(oracle, "cloze.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read := map[string][]Example{} // by task and file
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	vectors := 0
	for lines.Scan() {
		var want map[string]any
		var asked ClozeVector
		for _, into := range []any{&want, &asked} {
			if err := json.Unmarshal(lines.Bytes(), into); err != nil {
				t.Fatal(err)
			}
		}
		vectors++
		t.Run(fmt.Sprintf("%s/%d/%s", asked.Task, asked.Pattern, asked.GUID), func(t *testing.T) {
			task, err := Get(asked.Task)
			if err != nil {
				t.Fatal(err)
			}
			key := asked.Task + " " + asked.File
			if read[key] == nil {
				for example, err := range task.Read(filepath.Join(data, asked.File), "val", Cloze) {
					if err != nil {
						t.Fatal(err)
					}
					read[key] = append(read[key], example)
				}
			}
			encoder, err := task.NewEncoder(Cloze, asked.Pattern, asked.MaxLength, tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			if asked.Number >= len(read[key]) {
				t.Fatalf("example %d of %d", asked.Number, len(read[key]))
			}
			encoded, _, err := encoder.Encode(read[key][asked.Number])
			if err != nil {
				t.Fatal(err)
			}
			line, err := json.Marshal(encoder.Vector(encoded, "val", asked.File))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkBlocks(t, encoder, encoded)
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if vectors == 0 {
		t.Fatal("cloze.jsonl holds no vector")
	}
}

// checkBlocks compares what the vectors do not show with what follows from
// them: the targets and the loss mask.
func checkBlocks(t *testing.T, encoder *Encoder, encoded Encoded) {
	t.Helper()
	if err := encoder.Header().check(encoded); err != nil {
		t.Error(err)
	}
	for _, b := range encoded.Sequences {
		for i := range b.Input {
			inB := i >= b.Sep
			if (b.LossMask[i] == 1) != (inB && encoded.Scoring != ClassHead && encoded.Scoring != ChoiceHead) {
				t.Errorf("loss mask %d at %d, Part A has %d tokens", b.LossMask[i], i, b.Sep)
			}
			if inB && i > b.Sep && b.Input[i] != b.Target[i-1] {
				t.Errorf("input %d at %d is not the target before it, %d", b.Input[i], i, b.Target[i-1])
			}
		}
	}
}
