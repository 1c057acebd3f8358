package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/spans"
)

// randomWindows are windows of any shape, the empty one included.
func randomWindows(r *rand.Rand, n, length, vocabulary int) []Window {
	windows := make([]Window, n)
	for i := range windows {
		w := Window{Tokens: make([]int32, r.IntN(length+1)), Sample: spans.Sample{Mode: spans.Mode(r.IntN(3)), Prefix: r.IntN(2) == 0, Spans: []spans.Span{}}}
		for j := range w.Tokens {
			w.Tokens[j] = r.Int32N(int32(vocabulary))
		}
		for len(w.Tokens) > 0 && r.IntN(4) > 0 {
			start := r.IntN(len(w.Tokens))
			w.Sample.Spans = append(w.Sample.Spans, spans.Span{Start: start, End: start + 1 + r.IntN(len(w.Tokens)-start)})
		}
		windows[i] = w
	}
	return windows
}

func testRecipe(vocabulary, length int) *Recipe {
	return &Recipe{
		Format: Format, Glmkit: "test", Field: "text",
		Tokenizer: TokenizerInfo{Name: "tiny", SHA256: "0123", Vocabulary: vocabulary, Special: SpecialIDs{CLS: 1}},
		Config:    Settings{Data: configs.Data{SeqLength: length, Seed: 1 << 63}, Objective: configs.Objective{Token: 1, MaskRatio: 0.15}},
	}
}

// writeShard writes windows in batches of the given size.
func writeShard(t testing.TB, path string, recipe *Recipe, windows []Window, batch int) *shardWriter {
	t.Helper()
	schema, err := shardSchema(recipe)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	w, err := createShardWith(path, schema, mem)
	if err != nil {
		t.Fatal(err)
	}
	var c columns
	for len(windows) > 0 {
		n := min(batch, len(windows))
		c.reset(recipe.Tokenizer.Vocabulary, recipe.Config.Data.SeqLength)
		for _, window := range windows[:n] {
			c.add(window)
		}
		if err := w.add(&c); err != nil {
			t.Fatal(err)
		}
		windows = windows[n:]
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	return w
}

func openTestShard(t testing.TB, path string, recipe *Recipe) *shardReader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := openShard(f, info.Size(), recipe.Tokenizer.Vocabulary, recipe.Config.Data.SeqLength)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestShard writes windows and reads them back with Arrow's own reader and
// with ours.
func TestShard(t *testing.T) {
	for _, test := range []struct{ vocabulary, length, rows, batch int }{
		{30522, 512, 100, 32}, {30522, 7, 100, 100}, {65536, 20, 9, 4}, {65537, 20, 50, 7}, {100, 70_000, 3, 2}, {100, 20, 1, 1},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			recipe := testRecipe(test.vocabulary, test.length)
			want := randomWindows(rand.New(rand.NewPCG(1, uint64(test.rows))), test.rows, test.length, test.vocabulary)
			path := filepath.Join(t.TempDir(), "a.arrow")
			w := writeShard(t, path, recipe, want, test.batch)
			if info, err := os.Stat(path); err != nil || info.Size() != w.size || w.rows != int64(test.rows) {
				t.Errorf("the writer counts %d bytes and %d rows of %v", w.size, w.rows, info)
			}
			if diff := cmp.Diff(want, readByArrow(t, path, recipe)); diff != "" {
				t.Errorf("read by Arrow (-want +got):\n%s", diff)
			}
			r := openTestShard(t, path, recipe)
			if r.rows() != int64(len(want)) {
				t.Errorf("%d rows, want %d", r.rows(), len(want))
			}
			for i := range want {
				got, err := r.window(int64(i))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want[i], got); diff != "" {
					t.Errorf("row %d (-want +got):\n%s", i, diff)
				}
			}
			for _, row := range []int64{-1, int64(len(want))} {
				if _, err := r.window(row); err == nil {
					t.Errorf("row %d can be read", row)
				}
			}
		})
	}
}

// readByArrow reads a shard with the Arrow library.
func readByArrow(t *testing.T, path string, recipe *Recipe) (windows []Window) {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ipc.NewFileReader(f, ipc.WithAllocator(mem))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	schema, err := shardSchema(recipe)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Schema().Equal(schema) || !r.Schema().HasMetadata() {
		t.Errorf("schema %v, want %v", r.Schema(), schema)
	}
	value := func(a interface{ ValueStr(int) string }, i int) (n int32) {
		if err := json.Unmarshal([]byte(a.ValueStr(i)), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for b := range r.NumRecords() {
		record, err := r.RecordAt(b)
		if err != nil {
			t.Fatal(err)
		}
		tokens, list := record.Column(0).(*array.List), record.Column(1).(*array.List)
		places := list.ListValues().(*array.FixedSizeList).ListValues()
		for i := range int(record.NumRows()) {
			w := Window{Tokens: []int32{}, Sample: spans.Sample{
				Mode:   spans.Mode(record.Column(2).(*array.Uint8).Value(i)),
				Prefix: record.Column(3).(*array.Boolean).Value(i),
				Spans:  []spans.Span{},
			}}
			start, end := tokens.ValueOffsets(i)
			for j := start; j < end; j++ {
				w.Tokens = append(w.Tokens, value(tokens.ListValues(), int(j)))
			}
			start, end = list.ValueOffsets(i)
			for j := start; j < end; j++ {
				w.Sample.Spans = append(w.Sample.Spans, spans.Span{Start: int(value(places, int(2*j))), End: int(value(places, int(2*j+1)))})
			}
			windows = append(windows, w)
		}
		record.Release()
	}
	return windows
}

// TestShardDamage cuts a shard at every length and turns every bit: each row
// is then right, another row, or an error, and never a panic.
func TestShardDamage(t *testing.T) {
	recipe := testRecipe(300, 12)
	path := filepath.Join(t.TempDir(), "a.arrow")
	writeShard(t, path, recipe, randomWindows(rand.New(rand.NewPCG(1, 1)), 12, 12, 300), 5)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(content []byte) (failed bool) {
		r, err := openShard(bytes.NewReader(content), int64(len(content)), 300, 12)
		if err != nil {
			return true
		}
		for i := range r.rows() {
			w, err := r.window(i)
			failed = failed || err != nil
			for _, id := range w.Tokens {
				if id < 0 || id >= 300 {
					t.Fatalf("token %d of a vocabulary of 300", id)
				}
			}
			if i > 100 {
				break // a damaged count of rows may be huge
			}
		}
		return failed
	}
	if read(whole) {
		t.Fatal("the undamaged shard fails")
	}
	for n := range whole {
		if !read(whole[:n]) {
			t.Errorf("cut at %d of %d bytes, it reads as whole", n, len(whole))
		}
	}
	failures := 0
	for i := range whole {
		for bit := range 8 {
			whole[i] ^= 1 << bit
			if read(whole) {
				failures++
			}
			whole[i] ^= 1 << bit
		}
	}
	if failures == 0 {
		t.Error("no turned bit is noticed")
	}
}

// FuzzOpenShard reads whatever bytes as a shard.
func FuzzOpenShard(f *testing.F) {
	recipe := testRecipe(300, 12)
	path := filepath.Join(f.TempDir(), "a.arrow")
	writeShard(f, path, recipe, randomWindows(rand.New(rand.NewPCG(1, 1)), 5, 12, 300), 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("ARROW1"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := openShard(bytes.NewReader(content), int64(len(content)), 300, 12)
		if err != nil {
			return
		}
		for i := range min(r.rows(), 20) {
			if w, err := r.window(i); err == nil && len(w.Tokens) > len(content) {
				t.Errorf("%d tokens of %d bytes", len(w.Tokens), len(content))
			}
		}
	})
}
