package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/glmkit/glmkit/corpus/shard"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/spans"
)

// Window is one pretraining sample: a packed window of text and what was
// drawn to be masked in it.
type Window = shard.Window

// Dataset is one split of a prepared folder, open to read. Its methods are safe
// for concurrent use.
type Dataset struct {
	dir      string
	manifest *Manifest
	split    *Split  // of the manifest
	starts   []int64 // first window of each shard
	shards   []openedShard
}

// openedShard is a shard that is opened when it is first asked for.
type openedShard struct {
	once sync.Once
	file *shard.File
	err  error
}

// Open opens the training split of a folder that Prepare has made. It checks
// the manifest, and that every shard is there and has its size; Verify checks
// the content.
func Open(dir string) (*Dataset, error) { return OpenSplit(dir, TrainSplit) }

// OpenSplit is Open for the split of a name. A split that the folder does not
// have is a *DataError.
func OpenSplit(dir, split string) (*Dataset, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	d := &Dataset{dir: dir, manifest: m, split: m.Split(split)}
	if d.split == nil {
		var names []string
		for _, s := range m.Splits {
			names = append(names, s.Name)
		}
		return nil, &DataError{Path: dir, Err: fmt.Errorf("the corpus has no %s split, only %s", split, strings.Join(names, " and ")), Hint: "prepare it with a share of documents for it, such as --set data.valid=0.01"}
	}
	d.shards = make([]openedShard, len(d.split.Shards))
	var rows int64
	for _, shard := range d.split.Shards {
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
	return d, nil
}

// ReadManifest reads and checks the manifest of a folder that Prepare has made.
// What is none is a *DataError.
func ReadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestFile)
	const damaged = "the manifest is damaged: copy the folder again, or prepare it again with --restart"
	var version struct {
		Format int `json:"format"`
	}
	if err := readJSON(path, &version); err != nil {
		var unread *fs.PathError
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			return nil, &DataError{Path: dir, Err: errors.New("not a prepared corpus: it is a file"), Hint: "a folder made by glmkit prepare corpus"}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			if errors.As(err, &unread) {
				return nil, fileError(path, err)
			}
			return nil, &DataError{Path: path, Err: err, Hint: damaged}
		}
		if exists(filepath.Join(dir, workFolder)) {
			return nil, &DataError{Path: dir, Err: errors.New("the preparation was interrupted"), Hint: "the same glmkit prepare corpus command again: it continues where it stopped; tasks need glmkit prepare merge at the end"}
		}
		return nil, &DataError{Path: dir, Err: fmt.Errorf("not a prepared corpus: there is no %s in it", manifestFile), Hint: "a folder made by glmkit prepare corpus"}
	}
	if version.Format != Format {
		return nil, &DataError{Path: path, Err: fmt.Errorf("format version %d, this glmkit reads version %d", version.Format, Format), Hint: "prepare the corpus again with this glmkit"}
	}
	var m Manifest
	err := readJSON(path, &m)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, &DataError{Path: path, Err: err, Hint: damaged}
	}
	return &m, nil
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
func (d *Dataset) Len() int64 { return d.split.Windows }

// Maskings is the number of stored maskings of each window.
func (d *Dataset) Maskings() int { return d.manifest.Config.Data.Maskings }

// Manifest describes the folder. It must not be changed.
func (d *Dataset) Manifest() *Manifest { return d.manifest }

// Split describes the split. It must not be changed.
func (d *Dataset) Split() *Split { return d.split }

// Key is the key that drew a stored masking of window i: laid out with it
// (spans.Objective.Build), the masking gives the same block each time.
func (d *Dataset) Key(i int64, masking int) spans.Key {
	return windowKey(d.manifest.Config.Data.Seed, d.split.Name, i, masking)
}

// Tokenizer opens the vocabulary that the dataset was made with.
func (d *Dataset) Tokenizer() (tokenizer.Tokenizer, error) {
	path := d.dir
	if files := d.manifest.Tokenizer.Files; len(files) == 1 {
		path = filepath.Join(d.dir, files[0])
	}
	t, err := tokenizer.Open(path)
	if err != nil {
		return nil, err
	}
	if t.Hash() != d.manifest.Tokenizer.SHA256 {
		return nil, &DataError{Path: path, Err: errors.New("this is not the vocabulary that the corpus was prepared with"), Hint: "copy the folder again, or prepare it again"}
	}
	return t, nil
}

// Window returns window i with one of its stored maskings, both from 0. The
// caller owns it.
func (d *Dataset) Window(i int64, masking int) (Window, error) {
	if i < 0 || i >= d.Len() {
		return Window{}, fmt.Errorf("window %d of %d", i, d.Len())
	}
	k := sort.Search(len(d.starts), func(k int) bool { return d.starts[k] > i }) - 1
	file, err := d.open(k)
	if err != nil {
		return Window{}, d.damaged(d.split.Shards[k], err)
	}
	w, err := file.Window(i-d.starts[k], masking)
	if err != nil {
		return Window{}, d.damaged(d.split.Shards[k], fmt.Errorf("row %d: %w", i-d.starts[k], err))
	}
	return w, nil
}

// Batches yields all windows in order, some hundred at a time: the fast way
// through a split. What it yields is used again for the next, and its First is
// counted from the beginning of the split. An error ends the sequence.
func (d *Dataset) Batches() iter.Seq2[*shard.Rows, error] {
	return func(yield func(*shard.Rows, error) bool) {
		var rows shard.Rows
		for k, one := range d.split.Shards {
			file, err := d.open(k)
			for i := 0; err == nil && i < file.Batches(); i++ {
				if err = file.ReadBatch(&rows, i); err == nil {
					rows.First += d.starts[k]
					if !yield(&rows, nil) {
						return
					}
				}
			}
			if err != nil {
				yield(nil, d.damaged(one, err))
				return
			}
		}
	}
}

// open returns the reader of shard k.
func (d *Dataset) open(k int) (*shard.File, error) {
	s := &d.shards[k]
	s.once.Do(func() {
		one := d.split.Shards[k]
		if s.file, s.err = shard.Open(filepath.Join(d.dir, one.Name), d.manifest.shardLayout()); s.err != nil {
			return
		}
		if rows := s.file.Rows(); rows != one.Rows {
			s.err = fmt.Errorf("it has %d rows instead of %d", rows, one.Rows)
		}
	})
	return s.file, s.err
}

// Verify reads the shards of all splits whole and compares them with the
// manifest's hashes.
func (d *Dataset) Verify(ctx context.Context) error {
	for _, split := range d.manifest.Splits {
		for _, shard := range split.Shards {
			sum, err := hashFile(ctx, filepath.Join(d.dir, shard.Name), 0, -1, func(int64) {})
			if err != nil {
				return err
			}
			if sum != shard.SHA256 {
				return d.damaged(shard, errors.New("its content has changed since it was prepared"))
			}
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
