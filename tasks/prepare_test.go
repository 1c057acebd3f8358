package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// forms is every form of a task with its pattern.
func forms(task *Task) map[Form]int {
	return map[Form]int{Cloze: task.Patterns() - 1, Masked: task.Patterns() - 1, Classification: -1}
}

// written are the splits that taskFolder writes.
func written(task *Task) []string {
	if task.File("train") == "" {
		return []string{"test"}
	}
	return []string{"train", "val"}
}

// taskFolder makes a source folder with the task's small records as train and
// val, or as the test file that is all that a diagnostic has.
func taskFolder(t *testing.T, task *Task) string {
	t.Helper()
	dir := t.TempDir()
	content, err := os.ReadFile(filepath.Join("testdata", "records", task.Name, "train.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range written(task) {
		if err := os.WriteFile(filepath.Join(dir, task.File(split)), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRoundTrip: what is read back is what was encoded, of every task and form.
func TestRoundTrip(t *testing.T) {
	for _, task := range registry {
		source := taskFolder(t, task)
		for form, pattern := range forms(task) {
			t.Run(task.Name+" "+string(form), func(t *testing.T) {
				encoder := newEncoder(t, task, form, pattern, 60)
				if task == wsc {
					encoder = newEncoder(t, task, form, pattern, 110)
				}
				out := t.TempDir()
				var last int64
				manifest, done, err := encoder.Prepare(context.Background(), source, out, func(_ string, bytes int64) { last = bytes })
				if err != nil || done {
					t.Fatal(done, err)
				}
				size := int64(0)
				for _, split := range written(task) {
					info, err := os.Stat(filepath.Join(source, task.File(split)))
					if err != nil {
						t.Fatal(err)
					}
					size += info.Size()
				}
				if last != size {
					t.Errorf("progress ended at %d bytes of %d", last, size)
				}
				truncated := 0
				for _, summary := range manifest.Splits {
					split, err := OpenSplit(filepath.Join(out, task.Name, summary.File))
					if err != nil {
						t.Fatal(err)
					}
					want := encoder.Header()
					want.Split = summary.Split
					if diff := cmp.Diff(want, split.Header); diff != "" {
						t.Error(diff)
					}
					var encoded []Encoded
					for _, example := range records(t, task, summary.Split, form) {
						e, _, err := encoder.Encode(example)
						if err != nil {
							t.Fatal(err)
						}
						encoded = append(encoded, e)
					}
					if diff := cmp.Diff(encoded, split.Examples, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%s: -encoded +read:\n%s", summary.Split, diff)
					}
					labelled := 0
					for _, n := range summary.Labels {
						labelled += n
					}
					if summary.Examples != len(encoded) || labelled != len(encoded) {
						t.Errorf("%d examples, %d labelled, want %d", summary.Examples, labelled, len(encoded))
					}
					truncated += summary.Truncated
				}
				if form == Cloze && truncated == 0 {
					t.Error("no example was shortened; the test does not try what it says")
				}
			})
		}
	}
}

// contents reads all files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

func TestPrepareAgain(t *testing.T) {
	ctx := context.Background()
	source, out := taskFolder(t, reCoRD), t.TempDir()
	encoder := newEncoder(t, reCoRD, Cloze, 0, 128)
	// What a killed run left is in nobody's way.
	left := filepath.Join(out, ".ReCoRD.partial")
	if err := os.MkdirAll(filepath.Join(left, "train.arrow"), 0o777); err != nil {
		t.Fatal(err)
	}
	first, done, err := encoder.Prepare(ctx, source, out, nil)
	if err != nil || done {
		t.Fatal(done, err)
	}
	if entries, _ := os.ReadDir(out); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
	before := contents(t, filepath.Join(out, "ReCoRD"))
	if names := slices.Sorted(maps.Keys(before)); !slices.Equal(names, []string{"manifest.json", "train.arrow", "val.arrow"}) {
		t.Errorf("files %q", names)
	}

	second, done, err := encoder.Prepare(ctx, source, out, nil)
	if err != nil || !done {
		t.Fatal(done, err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	elsewhere := t.TempDir()
	if _, _, err := encoder.Prepare(ctx, source, elsewhere, nil); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, contents(t, filepath.Join(elsewhere, "ReCoRD"))) {
		t.Error("the same input gave other bytes")
	}

	var config *configs.Error
	if _, _, err := newEncoder(t, reCoRD, Cloze, 0, 127).Prepare(ctx, source, out, nil); !errors.As(err, &config) || !strings.Contains(err.Error(), "was prepared otherwise: max length 128, not 127") {
		t.Errorf("got %v", err)
	}
	if _, _, err := newEncoder(t, reCoRD, Classification, -1, 128).Prepare(ctx, source, out, nil); !errors.As(err, &config) || !strings.Contains(err.Error(), "form cloze, not classification") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(source, "val.jsonl")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := encoder.Prepare(ctx, source, out, nil); !errors.As(err, &config) || !strings.Contains(err.Error(), "was prepared from other files") {
		t.Errorf("got %v", err)
	}
	if !maps.Equal(before, contents(t, filepath.Join(out, "ReCoRD"))) {
		t.Error("a refusal changed the files")
	}
	if err := os.Mkdir(filepath.Join(elsewhere, "CB"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := newEncoder(t, cb, Cloze, 0, 128).Prepare(ctx, taskFolder(t, cb), elsewhere, nil); !errors.As(err, &config) || !strings.Contains(err.Error(), "exists and is not a prepared task") {
		t.Errorf("got %v", err)
	}
}

// TestPrepareWholeOrNot: a bad line or an interruption leaves no task behind.
func TestPrepareWholeOrNot(t *testing.T) {
	source, out := taskFolder(t, cb), t.TempDir()
	bad := filepath.Join(source, "val.jsonl")
	if err := os.WriteFile(bad, []byte("{\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	encoder := newEncoder(t, cb, Cloze, 3, 128)
	var data *corpus.DataError
	if _, _, err := encoder.Prepare(context.Background(), source, out, nil); !errors.As(err, &data) || data.Path != bad || data.Line != 1 {
		t.Errorf("got %v, want a DataError at %s:1", err, bad)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, _, err := encoder.Prepare(ctx, taskFolder(t, cb), out, func(string, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an interruption", err)
	}
	if _, _, err := newEncoder(t, cb, Cloze, 3, 12).Prepare(context.Background(), taskFolder(t, cb), out, nil); err != nil {
		t.Errorf("12 tokens hold all that must stay: %v", err)
	}
	if _, _, err := newEncoder(t, rte, Cloze, 4, 12).Prepare(context.Background(), taskFolder(t, rte), out, nil); !errors.As(err, &data) || data.Line != 1 {
		t.Errorf("got %v, want a DataError with the line", err)
	}
	if _, _, err := encoder.Prepare(context.Background(), t.TempDir(), t.TempDir(), nil); !errors.As(err, &data) {
		t.Errorf("got %v for a folder without files, want a DataError", err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "CB" {
		t.Errorf("left over: %v", entries)
	}
}

// TestDamagedSplit: every truncation and every flipped byte is a DataError
// that names the file, and so is a damaged manifest.
func TestDamagedSplit(t *testing.T) {
	source, out := taskFolder(t, wsc), t.TempDir()
	if _, _, err := newEncoder(t, wsc, Cloze, 0, 128).Prepare(context.Background(), source, out, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "WSC", "val.arrow")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refuses := func(what string, path, named string) {
		t.Helper()
		_, err := OpenSplit(path)
		var data *corpus.DataError
		if !errors.As(err, &data) || data.Path != named || data.Hint == "" {
			t.Errorf("%s: got %v, want a DataError of %s", what, err, named)
		}
	}
	for n := 0; n < len(whole); n += 97 {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		refuses("cut short", path, path)
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		if err := os.WriteFile(path, flipped, 0o666); err != nil {
			t.Fatal(err)
		}
		refuses("one bit", path, path)
		// Arrow's own reader, without the manifest, may accept a flipped bit,
		// but must not panic.
		readSplit(whole[:n], nil)
		readSplit(flipped, nil)
	}
	other := filepath.Join(out, "WSC", "other.arrow")
	if err := os.WriteFile(other, whole, 0o666); err != nil {
		t.Fatal(err)
	}
	refuses("unknown to the manifest", other, other)
	missing := filepath.Join(out, "WSC", "none.arrow")
	refuses("missing", missing, missing)
	manifest := filepath.Join(out, "WSC", "manifest.json")
	if err := os.WriteFile(manifest, []byte(`{"config": `), 0o666); err != nil {
		t.Fatal(err)
	}
	refuses("manifest cut short", path, manifest)
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	refuses("no manifest", path, manifest)
}

// TestArrowMemory: every buffer of writing and reading is released, also where
// reading stops at an error.
func TestArrowMemory(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	encoder := newEncoder(t, multiRC, Cloze, 0, 110)
	path := filepath.Join(t.TempDir(), "val.arrow")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	header := encoder.Header()
	w, err := newSplitWriter(file, mem, header)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range rowsPerBatch/4 + 2 {
		for _, example := range records(t, multiRC, "val", Cloze) {
			encoded, _, err := encoder.Encode(example)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.add(encoded); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	split, err := readSplit(content, mem)
	if err != nil {
		t.Fatal(err)
	}
	if len(split.Examples) != n {
		t.Errorf("%d examples of several record batches, want %d", len(split.Examples), n)
	}
	if _, err := readSplit(bytes.Replace(content, []byte("task/1"), []byte("task/9"), -1), mem); err == nil || !strings.Contains(err.Error(), "not a prepared task of format task/1") {
		t.Errorf("got %v for another format", err)
	}
}

func TestHeaderCheck(t *testing.T) {
	encoder := newEncoder(t, copa, Cloze, 0, 128)
	tests := []struct {
		name, want string
		change     func(*Encoded)
	}{
		{"sound", "", func(*Encoded) {}},
		{"a choice too many", "2 sequences for 3 choices", func(e *Encoded) { e.Choices = append(e.Choices[:2:2], "c") }},
		{"label", "label 2 of 2 choices", func(e *Encoded) { e.Label = 2 }},
		{"token", "a token that is not among the vocabulary's", func(e *Encoded) { e.Sequences[1].Input[3] = 9999 }},
		{"negative token", "a token that is not among the vocabulary's", func(e *Encoded) { e.Sequences[0].Input[1] = -1 }},
		{"position", "position 500 of", func(e *Encoded) { b := e.Sequences[0]; b.Position[b.Sep] = 500 }},
		{"length", "a sequence of 67 tokens", func(e *Encoded) { encoder.header.MaxLength = 66 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			encoded, _, err := encoder.Encode(records(t, copa, "val", Cloze)[0])
			if err != nil {
				t.Fatal(err)
			}
			test.change(&encoded)
			err = encoder.Header().check(encoded)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestSkipBad: bad lines and examples that do not fit are left out and
// recorded; what is kept is what a file without them gives.
func TestSkipBad(t *testing.T) {
	ctx := context.Background()
	good := func(i int, q string) string {
		return fmt.Sprintf(`{"passage": "a b", "question": %q, "label": true, "idx": %d}`, q, i)
	}
	source, out := t.TempDir(), t.TempDir()
	text := strings.Join([]string{good(0, "c"), `{`, good(2, "d"), `{"passage": "a", "question": "b", "label": "maybe", "idx": 3}`, good(4, "c")}, "\n")
	if err := os.WriteFile(filepath.Join(source, "val.jsonl"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	encoder := newEncoder(t, boolQ, Cloze, 0, 64)
	encoder.SkipBad = true
	manifest, _, err := encoder.Prepare(ctx, source, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := manifest.Splits[0]
	want := []Skipped{{2, "not JSON: unexpected end of JSON input"}, {4, `dev-3: label: "maybe" is not one of false, true`}}
	if diff := cmp.Diff(want, s.Skipped); diff != "" || s.Examples != 3 {
		t.Errorf("%d examples kept\n%s", s.Examples, diff)
	}
	split, err := OpenSplit(filepath.Join(out, "BoolQ", "val.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"dev-0", "dev-2", "dev-4"} {
		if e := split.Examples[i]; e.ID != id || e.Number != i {
			t.Errorf("example %d is %s, number %d", i, e.ID, e.Number)
		}
	}
	var config *configs.Error
	if _, _, err := newEncoder(t, boolQ, Cloze, 0, 64).Prepare(ctx, source, out, nil); !errors.As(err, &config) {
		t.Errorf("got %v where nothing may be left out, want a configs.Error", err)
	}
	// RTE's pattern 4 has words that stay: nothing fits six tokens.
	tight := newEncoder(t, rte, Cloze, 4, 6)
	tight.SkipBad = true
	var data *corpus.DataError
	if _, _, err := tight.Prepare(ctx, taskFolder(t, rte), t.TempDir(), nil); !errors.As(err, &data) || !strings.Contains(err.Error(), "all is bad") {
		t.Errorf("got %v where all is bad, want a DataError", err)
	}
}

func TestCheckScorable(t *testing.T) {
	source, out := t.TempDir(), t.TempDir()
	line := `{"passage": "a", "question": "b", "idx": 7}` + "\n"
	labelled := strings.Replace(line, "}", `, "label": true}`, 1)
	for split, text := range map[string]string{"test": line, "val": labelled, "dev32": labelled + line} {
		if err := os.WriteFile(filepath.Join(source, split+".jsonl"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := newEncoder(t, boolQ, Cloze, 0, 64).Prepare(context.Background(), source, out, nil); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		split, want string // want: why it cannot be scored
		labelled    bool
		answerable  bool // without a score, too
	}{
		{"val", "", true, true},
		{"test", "test.arrow: test-7 has no right answer to score against", false, true},
		{"dev32", "dev32.arrow: dev-7 has no right answer to score against, nor have 1 of 2 examples", false, false},
		{"train", "train.arrow: the task was prepared without this split; it has val, dev32, test", false, false},
	}
	for _, test := range tests {
		path := filepath.Join(out, "BoolQ", test.split+".arrow")
		refused := func(err error) bool {
			var data *corpus.DataError
			return errors.As(err, &data) && strings.Contains(err.Error(), test.want)
		}
		if err := CheckScorable(path); test.want == "" && err != nil || test.want != "" && !refused(err) {
			t.Errorf("%s: got %v, want %q", test.split, err, test.want)
		}
		labelled, err := Labelled(path)
		if labelled != test.labelled || test.answerable && err != nil || !test.answerable && !refused(err) {
			t.Errorf("%s: labelled %v, %v", test.split, labelled, err)
		}
	}
}
