package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// Manifest says what a prepared task's folder holds and what it was made of.
// It has no dates and no folders, so that the same input gives the same bytes.
type Manifest struct {
	Config Header         `json:"config"`
	Splits []SplitSummary `json:"splits"`
}

// SplitSummary describes one file of a prepared task.
type SplitSummary struct {
	Split  string `json:"split"`
	Source string `json:"source"` // file name in the task's source folder
	// SourceSHA256 is that of the file; where two make a split, of their sums
	// in hexadecimal, one behind the other.
	SourceSHA256 string `json:"source_sha256"`
	File         string `json:"file"`
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`

	Examples  int            `json:"examples"`
	Sequences int            `json:"sequences"`
	Truncated int            `json:"truncated"` // examples cut to fit
	Tokens    int64          `json:"tokens"`    // of all sequences
	Longest   int            `json:"longest"`   // tokens of the longest sequence
	Labels    map[string]int `json:"labels"`    // examples by gold label; candidates by their place
	// Skipped are the bad lines and examples that were left out.
	Skipped []Skipped `json:"skipped,omitempty"`
}

// Skipped is a bad line or example that was left out. A line is left out whole,
// so that no question of MultiRC is scored on half its answers.
type Skipped struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"` // begins with the example's ID where it is known
}

// Prepare encodes every split in source, the folder of one task's official
// files, and writes dir/<task>/<split>.arrow and dir/<task>/manifest.json, with
// dir/<task>/task.yaml where a user declared the task. The
// folder dir/<task> appears whole or not at all. Where it is there already and
// was made of the same files in the same way, nothing is done and done is true;
// made otherwise, it is a configs.Error. report is called with the bytes of
// source that were read so far, and may be nil.
func (e *Encoder) Prepare(ctx context.Context, source, dir string, report func(split string, bytes int64)) (manifest *Manifest, done bool, err error) {
	splits, err := e.task.sourceSplits(source)
	if err != nil {
		return nil, false, err
	}
	final := filepath.Join(dir, e.task.Name)
	if _, err := os.Lstat(final); err == nil {
		manifest, err := e.existing(ctx, source, final, splits)
		return manifest, true, err
	}
	// One fixed name: what a killed run left is found and removed.
	partial := filepath.Join(dir, "."+e.task.Name+".partial")
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o777)); err != nil {
		return nil, false, fmt.Errorf("making room for %s: %w", final, err)
	}
	defer os.RemoveAll(partial)

	manifest = &Manifest{Config: e.header}
	var read int64
	for _, split := range splits {
		summary, err := e.writeSplit(ctx, e.task.Source(source, split), partial, split, func(n int64) {
			if report != nil {
				report(split, read+n)
			}
		})
		if err != nil {
			return nil, false, err
		}
		read += summary.sourceBytes
		manifest.Splits = append(manifest.Splits, summary.SplitSummary)
	}
	if e.task.declaration != nil {
		if err := writeSynced(filepath.Join(partial, taskFileName), func(f *os.File) error {
			_, err := f.Write(e.task.declaration)
			return err
		}); err != nil {
			return nil, false, err
		}
	}
	encoded, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return nil, false, err
	}
	if err := writeSynced(filepath.Join(partial, manifestName), func(f *os.File) error {
		_, err := f.Write(append(encoded, '\n'))
		return err
	}); err != nil {
		return nil, false, err
	}
	if err := syncDir(partial); err != nil {
		return nil, false, err
	}
	if err := os.Rename(partial, final); err != nil {
		return nil, false, err
	}
	return manifest, false, syncDir(dir)
}

// sourceSplits lists the splits that the folder has files of.
func (t *Task) sourceSplits(source string) ([]string, error) {
	var splits, files []string
	for _, split := range t.Splits() {
		files = append(files, t.File(split))
		path := t.Source(source, split)
		if _, err := os.Stat(path); err == nil {
			splits = append(splits, split)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, openError(path, err)
		}
	}
	if len(splits) == 0 {
		return nil, &corpus.DataError{
			Path: source,
			Err:  fmt.Errorf("no file of %s: want one of %s", t.Name, strings.Join(files, ", ")),
			Hint: "the folder that holds the files, in folders named after the tasks",
		}
	}
	return splits, nil
}

// existing compares what was prepared before with what is asked for.
func (e *Encoder) existing(ctx context.Context, source, final string, splits []string) (*Manifest, error) {
	manifest, err := OpenManifest(final)
	if err != nil {
		return nil, &configs.Error{Field: final, Msg: "exists and is not a prepared task", Hint: "another output folder"}
	}
	const hint = "another output folder, or remove this one"
	if !reflect.DeepEqual(manifest.Config, e.header) {
		return nil, &configs.Error{Field: final, Msg: "was prepared otherwise: " + difference(manifest.Config, e.header), Hint: hint}
	}
	for _, s := range manifest.Splits {
		if len(s.Skipped) > 0 && !e.SkipBad {
			return nil, &configs.Error{Field: final, Msg: fmt.Sprintf("was prepared with --skip-bad, which left out %d of %s", len(s.Skipped), s.Source), Hint: "--skip-bad, or another output folder"}
		}
	}
	same := len(manifest.Splits) == len(splits)
	for i := 0; same && i < len(splits); i++ {
		sum, err := e.task.sourceSum(ctx, source, splits[i])
		if err != nil {
			return nil, err
		}
		same = manifest.Splits[i].Split == splits[i] && manifest.Splits[i].SourceSHA256 == sum
	}
	if !same {
		return nil, &configs.Error{Field: final, Msg: "was prepared from other files than those in " + source, Hint: hint}
	}
	for _, s := range manifest.Splits {
		path := filepath.Join(final, s.File)
		content, err := tallyFile(ctx, path)
		if err != nil {
			return nil, err
		}
		if content.hex() != s.SHA256 {
			return nil, &corpus.DataError{Path: path, Err: errors.New("the file is damaged: its sha256 differs from the manifest's"), Hint: "remove the folder and prepare the task again"}
		}
	}
	return manifest, nil
}

// difference names the first settings that differ.
func difference(have, want Header) string {
	for _, setting := range []struct {
		name       string
		have, want any
	}{
		{"form", have.Form, want.Form},
		{"pattern", have.Pattern, want.Pattern},
		{"max length", have.MaxLength, want.MaxLength},
		{"target length", have.TargetLength, want.TargetLength},
		{"blank", have.Mask, want.Mask},
		{"tokenizer", have.Tokenizer, want.Tokenizer},
		{"task file", have.Declaration, want.Declaration},
	} {
		if setting.have != setting.want {
			return fmt.Sprintf("%s %v, not %v", setting.name, setting.have, setting.want)
		}
	}
	return "by another version of glmkit"
}

// writtenSplit is a summary with what only progress needs.
type writtenSplit struct {
	SplitSummary
	sourceBytes int64
}

// writeSplit encodes one file.
func (e *Encoder) writeSplit(ctx context.Context, path, dir, split string, report func(int64)) (written writtenSplit, err error) {
	source, err := openSource(path, e.task.files[split])
	if err != nil {
		return written, err
	}
	defer source.Close()
	written.Split, written.Source, written.File = split, filepath.Base(path), split+splitExtension
	written.Labels = map[string]int{}
	header := e.header
	header.Split = split

	err = writeSynced(filepath.Join(dir, written.File), func(f *os.File) (err error) {
		w, err := newSplitWriter(f, nil, header)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		for example, err := range e.task.readFrom(source, path, split, e.header.Form) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var encoded Encoded
			var cut int
			if err == nil {
				encoded, cut, err = e.Encode(example)
			}
			if err != nil {
				if e.SkipBad && written.skip(err) {
					continue
				}
				if e.SkipBad && written.Examples == 0 && len(written.Skipped) > 0 && !errors.Is(err, errUnreadable) {
					return nil // that nothing is left is told below
				}
				return err
			}
			if err := w.add(encoded); err != nil {
				return err
			}
			written.count(encoded, cut)
			report(source.bytes())
		}
		return nil
	})
	if err != nil {
		return written, err
	}
	if written.Examples == 0 {
		return written, &corpus.DataError{Path: path, Err: fmt.Errorf("all is bad: %d lines or examples left out, none kept; the first at line %d: %s", len(written.Skipped), written.Skipped[0].Line, written.Skipped[0].Reason), Hint: e.task.lineHint()}
	}
	content, err := tallyFile(ctx, filepath.Join(dir, written.File))
	if err != nil {
		return written, err
	}
	if written.SourceSHA256, err = source.sha256(ctx); err != nil {
		return written, err
	}
	written.sourceBytes = source.bytes()
	written.SHA256, written.Bytes = content.hex(), content.n
	return written, nil
}

// skip records a fault of one line; another fault is not one to go on after.
func (s *SplitSummary) skip(err error) bool {
	var data *corpus.DataError
	if !errors.As(err, &data) || data.Line == 0 || errors.Is(err, errUnreadable) {
		return false
	}
	s.Skipped = append(s.Skipped, Skipped{Line: data.Line, Reason: data.Err.Error()})
	return true
}

func (s *SplitSummary) count(e Encoded, cut int) {
	s.Examples++
	s.Sequences += len(e.Sequences)
	if cut > 0 {
		s.Truncated++
	}
	for _, b := range e.Sequences {
		s.Tokens += int64(len(b.Input))
		s.Longest = max(s.Longest, len(b.Input))
	}
	switch {
	case e.Scoring == Written && e.Gold != nil:
	case e.Label < 0:
		s.Labels["unlabelled"]++
	case e.Scoring.Candidates():
		s.Labels[fmt.Sprint(e.Label)]++
	default:
		s.Labels[e.Choices[e.Label]]++
	}
}

// tally hashes and counts what is written to it.
type tally struct {
	sum hash.Hash
	n   int64
}

func (t *tally) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	return t.sum.Write(p)
}

func (t *tally) hex() string { return hex.EncodeToString(t.sum.Sum(nil)) }

func tallyFile(ctx context.Context, path string) (*tally, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	defer f.Close()
	t := &tally{sum: sha256.New()}
	if _, err := io.Copy(t, f); err != nil {
		return nil, openError(path, err)
	}
	return t, nil
}

// writeSynced makes a file that is on the disk when it returns.
func writeSynced(path string, write func(*os.File) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
