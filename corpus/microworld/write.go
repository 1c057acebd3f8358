package microworld

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/glmkit/glmkit/configs"
)

// Manifest is world.json, what a written microworld says of itself.
type Manifest struct {
	What   string `json:"what"`
	Format int    `json:"format"` // rises when the same parameters give other bytes
	Params Params `json:"params"`
	// Texts are the files of documents, Tasks the files of tasks and splits.
	Texts map[string]TextCount        `json:"texts"`
	Tasks map[string]map[string]Count `json:"tasks"`
	// Chance is what can be scored on the validation examples without reading
	// them, by task and metric, 0–100.
	Chance map[string]map[string]float64 `json:"chance"`
}

// TextCount is the size of a file of documents.
type TextCount struct {
	Documents int   `json:"documents"`
	Bytes     int64 `json:"bytes"`
}

// Count is the size of a task file: records, and what metrics count.
type Count struct {
	Records  int `json:"records"`
	Examples int `json:"examples"`
}

// format is the version of the generator.
const format = 1

const what = "A made-up world to check that a training set-up learns: English-like documents and tasks in the SuperGLUE file formats. Not natural text; scores on it say nothing about language understanding."

// ManifestName is the file that makes a microworld complete.
const ManifestName = "world.json"

// Write makes dir: corpus.jsonl and valid.jsonl with {"text"} a line,
// tasks/TASK/{train,val,test}.jsonl, and world.json. The directory appears
// whole or not at all. If it is there already with the same parameters,
// nothing is done and complete is true; any other directory is a
// configs.Error. progress is called with the files done and their number.
func (w *World) Write(ctx context.Context, dir string, progress func(done, total int64)) (m *Manifest, complete bool, err error) {
	dir = filepath.Clean(dir)
	if m, err := readManifest(dir); err != nil || m != nil {
		if err == nil && (m.Format != format || m.Params != w.params) {
			err = &configs.Error{Field: dir, Msg: "holds a microworld of other parameters", Hint: "another --out, or remove the directory"}
		}
		return m, err == nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return nil, false, fmt.Errorf("making the parent of %s: %w", dir, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-")
	if err != nil {
		return nil, false, fmt.Errorf("making a temporary directory beside %s: %w", dir, err)
	}
	defer os.RemoveAll(tmp) // gone already when all went well
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, false, fmt.Errorf("making %s readable: %w", tmp, err)
	}
	m, err = w.writeFiles(ctx, tmp, progress)
	if err != nil {
		return nil, false, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return nil, false, fmt.Errorf("renaming %s to %s: %w", tmp, dir, err)
	}
	return m, false, syncDir(filepath.Dir(dir))
}

// readManifest reads dir's world.json; nil without an error where dir does not
// exist.
func readManifest(dir string) (*Manifest, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(dir, ManifestName))
	m := new(Manifest)
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil {
		return nil, &configs.Error{Field: dir, Msg: "exists and is no microworld", Hint: "another --out, or remove it"}
	}
	return m, nil
}

func (w *World) writeFiles(ctx context.Context, dir string, progress func(done, total int64)) (*Manifest, error) {
	m := &Manifest{What: what, Format: format, Params: w.params, Texts: map[string]TextCount{}, Tasks: map[string]map[string]Count{}, Chance: map[string]map[string]float64{}}
	total := int64(2 + len(Tasks()))
	done := int64(0)
	step := func() error {
		done++
		progress(done, total)
		return ctx.Err()
	}
	for _, f := range []struct {
		name string
		held bool
	}{{"corpus.jsonl", false}, {"valid.jsonl", true}} {
		n, size := 0, int64(0)
		lines := func(yield func(any, error) bool) {
			for text, err := range w.Documents(f.held) {
				n++
				if err == nil {
					err = ctx.Err()
				}
				if !yield(struct {
					Text string `json:"text"`
				}{text}, err) {
					return
				}
			}
		}
		size, err := writeLines(filepath.Join(dir, f.name), lines)
		if err != nil {
			return nil, err
		}
		m.Texts[f.name] = TextCount{n, size}
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, task := range Tasks() {
		splits, err := w.examples(task)
		if err != nil {
			return nil, err
		}
		folder := filepath.Join(dir, "tasks", task)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, fmt.Errorf("making %s: %w", folder, err)
		}
		m.Tasks[task], m.Chance[task] = map[string]Count{}, chance(splits["val"])
		for _, split := range Splits() {
			var c Count
			_, err := writeLines(filepath.Join(folder, split+".jsonl"), func(yield func(any, error) bool) {
				for _, e := range splits[split] {
					c.Records++
					c.Examples += e.size()
					if !yield(e, nil) {
						return
					}
				}
			})
			if err != nil {
				return nil, err
			}
			m.Tasks[task][split] = c
		}
		if err := syncDir(folder); err != nil {
			return nil, err
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := syncDir(filepath.Join(dir, "tasks")); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", ManifestName, err)
	}
	err = writeFile(filepath.Join(dir, ManifestName), func(b *bufio.Writer) error {
		_, err := b.Write(append(data, '\n'))
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, syncDir(dir)
}

// writeLines writes one JSON value a line and returns the bytes written.
func writeLines(path string, lines iter.Seq2[any, error]) (size int64, err error) {
	err = writeFile(path, func(b *bufio.Writer) error {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		for v, err := range lines {
			if err != nil {
				return err
			}
			buf.Reset()
			if err := enc.Encode(v); err != nil {
				return err
			}
			size += int64(buf.Len())
			if _, err := b.Write(buf.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	return size, err
}

// writeFile writes and syncs one file of a directory that is not in use yet.
func writeFile(path string, write func(*bufio.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("creating %s: %w", path, err)
	}
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}
