package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/glmkit/glmkit/corpus"
)

// Split is one prepared file of a task, in memory.
type Split struct {
	Header   Header
	Examples []Encoded
}

const (
	manifestName   = "manifest.json"
	taskFileName   = "task.yaml" // of a user's task
	splitExtension = ".arrow"
)

// OpenSplit reads a file that Prepare wrote, such as DIR/CB/val.arrow, and
// checks it against the manifest beside it. A file that is missing, damaged or
// cut short is a corpus.DataError.
func OpenSplit(path string) (*Split, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	manifest, err := OpenManifest(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Split, error) {
		return nil, &corpus.DataError{Path: path, Err: err, Hint: "prepare the task again"}
	}
	for _, s := range manifest.Splits {
		if s.File == filepath.Base(path) {
			if int64(len(content)) < s.Bytes {
				return fail(fmt.Errorf("the file is cut short: %d of %d bytes", len(content), s.Bytes))
			}
			if sha256Hex(content) != s.SHA256 {
				return fail(errors.New("the file is not the one that was prepared: its sha256 differs from the manifest's"))
			}
			split, err := readSplit(content, nil)
			if err != nil {
				return fail(err)
			}
			return split, nil
		}
	}
	return fail(errors.New("the manifest beside it does not know the file"))
}

// OpenManifest reads the manifest of a prepared task's folder.
func OpenManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	var manifest Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, &corpus.DataError{Path: path, Err: fmt.Errorf("not a manifest: %w", err), Hint: "prepare the task again"}
	}
	return &manifest, nil
}

// CheckScorable makes sure that a file that Prepare wrote is there and has a
// right answer for every example; else it is a corpus.DataError.
func CheckScorable(path string) error {
	_, _, err := unlabelled(path)
	return err
}

// Labelled tells whether the examples of a file that Prepare wrote have right
// answers to score against. A file that is missing, or where only some have one,
// is a corpus.DataError.
func Labelled(path string) (bool, error) {
	n, of, err := unlabelled(path)
	if n > 0 && n == of {
		return false, nil
	}
	return err == nil, err
}

// unlabelled counts the examples of a prepared file without a right answer; if
// there are any, err tells the first.
func unlabelled(path string) (n, of int, err error) {
	manifest, err := OpenManifest(filepath.Dir(path))
	if err != nil {
		return 0, 0, err
	}
	var have []string
	for _, s := range manifest.Splits {
		have = append(have, s.Split)
		if s.File != filepath.Base(path) {
			continue
		}
		if s.Labels["unlabelled"] == 0 {
			return 0, s.Examples, nil
		}
		split, err := OpenSplit(path)
		if err != nil {
			return 0, s.Examples, err
		}
		first := ""
		for _, e := range split.Examples {
			if e.Label < 0 && len(e.Gold) == 0 {
				if n++; n == 1 {
					first = e.ID
				}
			}
		}
		if n > 0 {
			err = &corpus.DataError{Path: path, Err: fmt.Errorf("%s has no right answer to score against, nor have %d of %d examples", first, n, s.Examples), Hint: "a labelled split, as --split val"}
		}
		return n, s.Examples, err
	}
	return 0, 0, &corpus.DataError{Path: path, Err: fmt.Errorf("the task was prepared without this split; it has %s", strings.Join(have, ", ")), Hint: "--split with one of them, or prepare the task with its file"}
}

// Prepared is the task that a folder written by Prepare holds: a built-in one,
// or a user's own, whose declaration is kept there.
func Prepared(dir string) (*Task, error) {
	manifest, err := OpenManifest(dir)
	if err != nil {
		return nil, err
	}
	if manifest.Config.Declaration == "" {
		return Get(manifest.Config.Task)
	}
	path := filepath.Join(dir, taskFileName)
	task, err := Open(path)
	if err != nil {
		return nil, err
	}
	if sha256Hex(task.declaration) != manifest.Config.Declaration {
		return nil, &corpus.DataError{Path: path, Err: errors.New("the file is not the one that the task was prepared with: its sha256 differs from the manifest's"), Hint: "prepare the task again"}
	}
	return task, nil
}

func sha256Hex(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Candidates tells whether every example has choices of its own.
func (s Scoring) Candidates() bool { return s == MultiToken || s == ChoiceHead }

// PerChoice tells whether each of an example's choices or candidates has a
// sequence of its own.
func (s Scoring) PerChoice() bool { return s.Candidates() || s == Ranked }

// Head tells whether a classifier over [CLS] scores the examples.
func (s Scoring) Head() bool { return s == ClassHead || s == ChoiceHead }

// check makes sure that an example is one that the header's model can read.
func (h Header) check(e Encoded) error {
	want := 1
	switch {
	case h.Scoring.Candidates():
		want = len(e.Choices)
	case h.Scoring == Ranked:
		want = max(2, len(e.Sequences))
	}
	if len(e.Sequences) != want || want == 0 {
		return fmt.Errorf("%d sequences for %d choices", len(e.Sequences), len(e.Choices))
	}
	if e.Label < -1 || e.Label >= len(e.Choices) {
		return fmt.Errorf("label %d of %d choices", e.Label, len(e.Choices))
	}
	sp := h.Special // some vocabularies have all of these behind their entries
	rows := max(int32(h.VocabSize), 1+max(sp.Pad, sp.CLS, sp.SEP, sp.Mask, sp.SMask, sp.GMask, sp.SOP, sp.EOP))
	for _, b := range e.Sequences {
		most := h.MaxLength + h.TargetLength
		if len(b.Input) > most || b.Sep < 2 {
			return fmt.Errorf("a sequence of %d tokens where 2 to %d are allowed", len(b.Input), most)
		}
		for i := range b.Input {
			if b.Input[i] < 0 || b.Input[i] >= rows || b.Target[i] < 0 || b.Target[i] >= rows {
				return fmt.Errorf("a token that is not among the vocabulary's %d", rows)
			}
			if b.Position[i] < 0 || int(b.Position[i]) >= b.Sep {
				return fmt.Errorf("position %d of %d", b.Position[i], b.Sep)
			}
		}
	}
	return nil
}
