package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/spans"
)

// Window is one pretraining sample: a packed window of text and what was
// drawn to be masked in it.
type Window struct {
	Tokens []int32 // begins with [CLS]
	Sample spans.Sample
}

// Dataset is a prepared folder, open to read. Its methods are safe for
// concurrent use.
type Dataset struct {
	dir      string
	manifest *Manifest
	starts   []int64 // first window of each shard
	shards   []openedShard
}

// openedShard is a shard that is opened when it is first asked for.
type openedShard struct {
	once   sync.Once
	file   *os.File
	reader *shardReader
	err    error
}

// Open opens a folder that Prepare has made. It checks the manifest, and that
// every shard is there and has its size; Verify checks the content.
func Open(dir string) (*Dataset, error) {
	path := filepath.Join(dir, manifestFile)
	var m Manifest
	if err := readJSON(path, &m); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, &DataError{Path: path, Err: err, Hint: "the manifest is damaged: run glmkit prepare corpus again into a new folder"}
		}
		for _, unfinished := range []string{workFolder, pendingFile} {
			if _, err := os.Stat(filepath.Join(dir, unfinished)); err == nil {
				return nil, &DataError{Path: dir, Err: errors.New("the preparation was interrupted"), Hint: "the same glmkit prepare corpus command again: it continues where it stopped"}
			}
		}
		return nil, &DataError{Path: dir, Err: fmt.Errorf("not a prepared corpus: there is no %s in it", manifestFile), Hint: "a folder made by glmkit prepare corpus"}
	}
	if m.Format != Format {
		return nil, &DataError{Path: path, Err: fmt.Errorf("format version %d, this glmkit reads version %d", m.Format, Format), Hint: "prepare the corpus again with this glmkit"}
	}
	if m.Tokenizer.Vocabulary < 1 || m.Config.Data.SeqLength < 1 {
		return nil, &DataError{Path: path, Err: errors.New("there is no vocabulary or no window length in it"), Hint: "the manifest is damaged: run glmkit prepare corpus again into a new folder"}
	}
	d := &Dataset{dir: dir, manifest: &m, shards: make([]openedShard, len(m.Shards))}
	var rows int64
	for _, shard := range m.Shards {
		d.starts = append(d.starts, rows)
		rows += shard.Rows
		info, err := os.Stat(filepath.Join(dir, shard.Name))
		if err != nil {
			return nil, d.damaged(shard, fileError("", err))
		}
		if info.Size() != shard.Bytes {
			return nil, d.damaged(shard, fmt.Errorf("it has %d bytes instead of %d", info.Size(), shard.Bytes))
		}
	}
	if rows != m.Windows {
		return nil, &DataError{Path: path, Err: fmt.Errorf("the shards have %d windows, not %d", rows, m.Windows), Hint: "the manifest is damaged: run glmkit prepare corpus again into a new folder"}
	}
	return d, nil
}

// damaged is the error of a shard that is not what the manifest says.
func (d *Dataset) damaged(shard Shard, err error) error {
	var data *DataError
	if errors.As(err, &data) {
		err = data.Err
	}
	return &DataError{Path: filepath.Join(d.dir, shard.Name), Err: err, Hint: "copy the folder again, or prepare it again: the same input gives the same bytes"}
}

// Len is the number of windows.
func (d *Dataset) Len() int64 { return d.manifest.Windows }

// Manifest describes the dataset. It must not be changed.
func (d *Dataset) Manifest() *Manifest { return d.manifest }

// Tokenizer opens the vocabulary that the dataset was made with.
func (d *Dataset) Tokenizer() (*wordpiece.Tokenizer, error) {
	path := filepath.Join(d.dir, vocabularyFile)
	t, err := wordpiece.Open(path)
	if err != nil {
		return nil, err
	}
	if t.Hash() != d.manifest.Tokenizer.SHA256 {
		return nil, &DataError{Path: path, Err: errors.New("this is not the vocabulary that the corpus was prepared with"), Hint: "copy the folder again, or prepare it again"}
	}
	return t, nil
}

// Window returns window i, from 0. The caller owns it.
func (d *Dataset) Window(i int64) (Window, error) {
	if i < 0 || i >= d.manifest.Windows {
		return Window{}, fmt.Errorf("window %d of %d", i, d.manifest.Windows)
	}
	k := sort.Search(len(d.starts), func(k int) bool { return d.starts[k] > i }) - 1
	reader, err := d.open(k)
	if err != nil {
		return Window{}, d.damaged(d.manifest.Shards[k], err)
	}
	w, err := reader.window(i - d.starts[k])
	if err != nil {
		return Window{}, d.damaged(d.manifest.Shards[k], fmt.Errorf("row %d: %w", i-d.starts[k], err))
	}
	return w, nil
}

// open returns the reader of shard k.
func (d *Dataset) open(k int) (*shardReader, error) {
	s := &d.shards[k]
	s.once.Do(func() {
		shard := d.manifest.Shards[k]
		if s.file, s.err = os.Open(filepath.Join(d.dir, shard.Name)); s.err != nil {
			return
		}
		if s.reader, s.err = openShard(s.file, shard.Bytes, d.manifest.Tokenizer.Vocabulary, d.manifest.Config.Data.SeqLength); s.err != nil {
			return
		}
		if rows := s.reader.rows(); rows != shard.Rows {
			s.err = fmt.Errorf("it has %d rows instead of %d", rows, shard.Rows)
		}
	})
	return s.reader, s.err
}

// Verify reads every shard whole and compares it with the manifest's sha256.
func (d *Dataset) Verify(ctx context.Context) error {
	for _, shard := range d.manifest.Shards {
		sum, err := hashFile(ctx, filepath.Join(d.dir, shard.Name))
		if err != nil {
			return err
		}
		if sum != shard.SHA256 {
			return d.damaged(shard, errors.New("its content has changed since it was prepared"))
		}
	}
	return nil
}

// Close closes the shards.
func (d *Dataset) Close() error {
	var all []error
	for k := range d.shards {
		s := &d.shards[k]
		s.once.Do(func() { s.err = fs.ErrClosed })
		if s.file != nil {
			all = append(all, s.file.Close())
		}
	}
	return errors.Join(all...)
}
