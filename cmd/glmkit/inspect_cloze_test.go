package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestInspectClozeOracle asks the command for every vector of cloze.jsonl and
// compares to the letter.
func TestInspectClozeOracle(t *testing.T) {
	oracle := sharedFolder(t, "GLMKIT_ORACLE", "../shared/oracle")
	data := sharedFolder(t, "GLMKIT_DATA", "../shared/data")
	content, err := os.ReadFile(filepath.Join(oracle, "cloze.jsonl"))
	if err != nil {
		t.Skipf("no cloze.jsonl: set GLMKIT_ORACLE to run this test: %v", err)
	}
	if _, err := os.Stat(data); err != nil {
		t.Skipf("set GLMKIT_DATA to run this test: %v", err)
	}
	// The vectors of one command, by example number.
	type question struct {
		task, file         string
		pattern, maxLength int
	}
	wanted := map[question]map[int]map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		var vector map[string]any
		if err := json.Unmarshal([]byte(line), &vector); err != nil {
			t.Fatal(err)
		}
		integer := func(key string) int { return int(vector[key].(float64)) }
		q := question{vector["task"].(string), vector["file"].(string), integer("pattern"), integer("max_length")}
		if wanted[q] == nil {
			wanted[q] = map[int]map[string]any{}
		}
		wanted[q][integer("example_number")] = vector
	}
	for q, vectors := range wanted {
		t.Run(fmt.Sprintf("%s/%d", q.task, q.pattern), func(t *testing.T) {
			file := filepath.Join(data, filepath.FromSlash(q.file))
			last := 0
			for number := range vectors {
				last = max(last, number)
			}
			var out, errs bytes.Buffer
			code := run(context.Background(), []string{
				"inspect", "cloze", "--task", q.task, "--pattern", strconv.Itoa(q.pattern), "--max-length", strconv.Itoa(q.maxLength),
				"--tokenizer", filepath.Join(data, "vocab", "bert-base-uncased"), "--limit", strconv.Itoa(last + 1), "--json", file,
			}, streams{strings.NewReader(""), &out, &errs})
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errs.String())
			}
			lines := strings.Split(out.String(), "\n")
			for number, want := range vectors {
				var got map[string]any
				if err := json.Unmarshal([]byte(lines[number]), &got); err != nil {
					t.Fatal(err)
				}
				want["file"] = file // the command repeats the path it is given
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("example %d, -want +got:\n%s", number, diff)
				}
			}
		})
	}
}
