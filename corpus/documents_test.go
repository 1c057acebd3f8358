package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func writeFile(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func collect(ctx context.Context, opt ReadOptions, paths ...string) ([]Document, error) {
	var docs []Document
	for doc, err := range Documents(ctx, paths, opt) {
		if err != nil {
			return docs, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func TestDocuments(t *testing.T) {
	tests := []struct {
		name, file, content string
		opt                 ReadOptions
		want                []Document // without Path
	}{
		{name: "text", file: "a.txt", content: "one\ntwo\n", want: []Document{{Text: "one", Line: 1}, {Text: "two", Line: 2}}},
		{name: "no newline at the end", file: "a.txt", content: "one\ntwo", want: []Document{{Text: "one", Line: 1}, {Text: "two", Line: 2}}},
		{name: "blank lines", file: "a.txt", content: "\n \t\none\n\n\ntwo\n\n", want: []Document{{Text: "one", Line: 3}, {Text: "two", Line: 6}}},
		{name: "CRLF and byte order mark", file: "a.txt", content: "\uFEFFone\r\n\r\ntwo\r\n", want: []Document{{Text: "one", Line: 1}, {Text: "two", Line: 3}}},
		{name: "any extension is text", file: "a.md", content: "{not json\n", want: []Document{{Text: "{not json", Line: 1}}},
		{name: "invalid UTF-8", file: "a.txt", content: "a\xff\xfeb\n\xc3\n", want: []Document{{Text: "a\uFFFD\uFFFDb", Line: 1, Replaced: 2}, {Text: "\uFFFD", Line: 2, Replaced: 1}}},
		{name: "JSONL", file: "a.jsonl", content: `{"title": "x", "text": "one\ntwo \"ü\u00fc\ud83d\ude00"}` + "\n", want: []Document{{Text: "one\ntwo \"üü😀", Line: 1}}},
		{name: "JSONL by .json, CRLF, byte order mark", file: "a.JSON", content: "\uFEFF{\"text\":\"one\"}\r\n\r\n{\"text\":\"two\"}\r\n", want: []Document{{Text: "one", Line: 1}, {Text: "two", Line: 3}}},
		{name: "JSONL, other members of every kind", file: "a.jsonl", content: `{"a":{"text":"no","b":[1,-2.5e+3,true,false,null,{}]},"text":"yes","c":[],"d":"\u0041"}`, want: []Document{{Text: "yes", Line: 1}}},
		{name: "JSONL, the last of equal keys", file: "a.jsonl", content: `{"text":"a","text":"b"}`, want: []Document{{Text: "b", Line: 1}}},
		{name: "JSONL, escaped key", file: "a.jsonl", content: `{"te\u0078t":"b"}`, want: []Document{{Text: "b", Line: 1}}},
		{name: "JSONL, other field", file: "a.jsonl", content: `{"text":"a","body":"b"}`, opt: ReadOptions{Field: "body"}, want: []Document{{Text: "b", Line: 1}}},
		{name: "JSONL, empty text", file: "a.jsonl", content: "{\"text\":\"\"}\n{\"text\":\" \\n\"}\n{\"text\":\"a\"}", want: []Document{{Text: "a", Line: 3}}},
		{name: "JSONL, half a surrogate pair", file: "a.jsonl", content: `{"text":"a\ud800b\udc00\ud800\u0041"}`, want: []Document{{Text: "a\uFFFDb\uFFFD\uFFFDA", Line: 1}}},
		{name: "JSONL, invalid UTF-8", file: "a.jsonl", content: "{\"text\":\"a\xffb\"}", want: []Document{{Text: "a\uFFFDb", Line: 1, Replaced: 1}}},
		{name: "line beyond the read buffer", file: "a.txt", content: strings.Repeat("word ", 200_000) + "\nend", want: []Document{{Text: strings.Repeat("word ", 200_000), Line: 1}, {Text: "end", Line: 2}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), test.file), []byte(test.content))
			for i := range test.want {
				test.want[i].Path = path
			}
			got, err := collect(context.Background(), test.opt, path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

func gzipped(t testing.TB, content string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDocumentsOfFoldersAndPatterns(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "b.jsonl"), []byte(`{"text":"b"}`))
	writeFile(t, filepath.Join(dir, "a.txt"), []byte("a"))
	writeFile(t, filepath.Join(dir, "deep", "c.txt.gz"), append(gzipped(t, "c1\nc2\n"), gzipped(t, "c3\n")...))
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "d.jsonl.zst"), zw.EncodeAll([]byte(`{"text":"d"}`), nil))
	writeFile(t, filepath.Join(dir, "picture.png"), []byte("p"))
	writeFile(t, filepath.Join(dir, ".hidden.txt"), []byte("h"))
	writeFile(t, filepath.Join(dir, ".git", "x.txt"), []byte("x"))

	texts := func(paths ...string) []string {
		docs, err := collect(context.Background(), ReadOptions{}, paths...)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, doc := range docs {
			texts = append(texts, doc.Text)
		}
		return texts
	}
	if diff := cmp.Diff([]string{"a", "b", "d", "c1", "c2", "c3"}, texts(dir)); diff != "" {
		t.Errorf("folder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b", "b", "a"}, texts(filepath.Join(dir, "*.jsonl"), filepath.Join(dir, "?.jsonl"), filepath.Join(dir, "a.txt"))); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
}

func TestDocumentsErrors(t *testing.T) {
	good := "{\"text\":\"fine\"}\n"
	zipped := gzipped(t, strings.Repeat("some words\n", 1000))
	tests := []struct {
		name, file string
		content    []byte
		line       int
		want       string
	}{
		{"empty", "a.txt", nil, 0, "the file is empty"},
		{"blank", "a.jsonl", []byte("\n \r\n\uFEFF\n"), 0, ""}, // a mark inside is text, and no JSON
		{"only blank lines", "a.txt", []byte("\n \r\n"), 0, "the file is empty"},
		{"malformed", "a.jsonl", []byte(good + "\n" + good + `{"text": "x"` + "\n" + good), 4, "it ends early"},
		{"malformed in the middle", "a.jsonl", []byte(good + `{"text" "x"}`), 2, "at byte 9"},
		{"trailing", "a.jsonl", []byte(`{"text":"x"} {"text":"y"}`), 1, "malformed JSON at byte 14"},
		{"bad escape", "a.jsonl", []byte(`{"text":"\x"}`), 1, "malformed JSON at byte 11"},
		{"raw control character", "a.jsonl", []byte("{\"text\":\"a\tb\"}"), 1, "malformed JSON at byte 11"},
		{"array", "a.json", []byte("[\n{\"text\":\"x\"}\n]"), 1, "it ends early"},
		{"array on a line", "a.json", []byte(`[1]`), 1, "this is a JSON array"},
		{"missing field", "a.jsonl", []byte(good + `{"title":"x"}`), 2, `there is no field "text"`},
		{"null", "a.jsonl", []byte(`{"text":null}`), 1, `the field "text" is not a string`},
		{"number", "a.jsonl", []byte(`{"text":7}`), 1, `the field "text" is not a string`},
		{"UTF-16", "a.txt", []byte("\xff\xfea\x00\n\x00"), 0, "the file is UTF-16"},
		{"not gzip", "a.txt.gz", []byte("some words"), 0, "not a gzip file"},
		{"truncated gzip", "a.txt.gz", zipped[:len(zipped)-9], -1, "reading"},
		{"damaged zstd", "a.txt.zst", []byte("some words"), 1, "reading"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), test.file), test.content)
			_, err := collect(context.Background(), ReadOptions{}, path)
			var data *DataError
			if !errors.As(err, &data) {
				t.Fatalf("got %v, want a DataError", err)
			}
			if test.want != "" && (data.Line != test.line && test.line >= 0) || data.Path != path {
				t.Errorf("the error stands at %s:%d, want line %d", data.Path, data.Line, test.line)
			}
			if !strings.Contains(data.Error(), test.want) || data.Hint == "" {
				t.Errorf("got %q with hint %q, want %q", data, data.Hint, test.want)
			}
		})
	}
	for _, path := range []string{"missing.txt", "missing/*.txt", t.TempDir()} {
		_, err := collect(context.Background(), ReadOptions{}, path)
		var data *DataError
		if !errors.As(err, &data) || data.Hint == "" {
			t.Errorf("%s: got %v, want a DataError with a hint", path, err)
		}
	}
}

func TestDocumentsStop(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "a.txt"), []byte("one\ntwo\nthree\n"))
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	for range Documents(ctx, []string{path}, ReadOptions{}) {
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("saw %d documents after a break", seen)
	}
	cancel()
	if _, err := collect(ctx, ReadOptions{}, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestLineReaderSkip resumes behind every line of a file.
func TestLineReaderSkip(t *testing.T) {
	content := "\uFEFFone\r\n\ntwo\nthree"
	dir := t.TempDir()
	for _, path := range []string{
		writeFile(t, filepath.Join(dir, "a.txt"), []byte(content)),
		writeFile(t, filepath.Join(dir, "a.txt.gz"), gzipped(t, content)),
	} {
		type at struct {
			Text   string
			Line   int
			Offset int64
		}
		read := func(r *lineReader) (all []at) {
			defer r.Close()
			for {
				line, err := r.next(nil)
				if err != nil {
					return all
				}
				all = append(all, at{string(line), r.line, r.offset})
			}
		}
		open := func() *lineReader {
			r, err := openLines(path)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		want := read(open())
		if len(want) != 3 {
			t.Fatalf("%s: read %d lines, want 3", path, len(want))
		}
		for i, w := range want {
			r := open()
			if err := r.skip(w.Offset, w.Line); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[i+1:], append([]at{}, read(r)...)); diff != "" {
				t.Errorf("%s behind line %d (-want +got):\n%s", path, w.Line, diff)
			}
		}
	}
}

// FuzzScanField holds the quick JSON scanner to encoding/json: what it takes,
// encoding/json takes, with the same text.
func FuzzScanField(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a"}`, `{"text":"\u00e4\n\ud83d\ude00\ud800"}`, `{"a":[1,-0.5E-7,{"b":null}],"text":"x"}`, `{"text":1}`,
		`{"text":"a",}`, `{"text":"a"}}`, `{`, `[]`, `{"text":"a","text":"b"}`, `{"a":01,"text":"b"}`, `{"a":"\q","text":"b"}`, "{\"text\":\"\x00\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line, _ = replaceInvalid(line)
		got, ok := scanField(line, "text")
		want, err := decodeField(line, "text")
		if ok && (err != nil || got != want) {
			t.Errorf("%q: the scanner finds %q, encoding/json %q, %v", line, got, want, err)
		}
	})
}

// TestScanFieldIsUsed makes sure that ordinary lines take the quick way.
func TestScanFieldIsUsed(t *testing.T) {
	for _, line := range []string{`{"text": "x"}`, `{"meta": {"set": "a", "n": [1, 2]}, "text": "tab\t"}`} {
		if _, ok := scanField([]byte(line), "text"); !ok || !json.Valid([]byte(line)) {
			t.Errorf("the scanner gives up on %s", line)
		}
	}
}
