//go:build cgo

package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

// asked is who is asked what and how: answers to anything else are of no use to an
// evaluation.
type asked struct {
	Format    string               `json:"format"` // set by openAnswers
	Version   int                  `json:"version"`
	Weights   string               `json:"weights_sha256"`
	Data      string               `json:"data_sha256"`
	Decoding  *configs.Decoding    `json:"decoding,omitempty"`
	Shots     int                  `json:"shots,omitempty"`
	ShotSeed  uint64               `json:"shot_seed,omitempty"`
	ShotsData string               `json:"shots_sha256,omitempty"`
	Windows   *tasks.LanguageModel `json:"windows,omitempty"` // of the documents that Data are
	Device    string               `json:"device"`
	Precision string               `json:"precision"`
	Libtorch  string               `json:"libtorch"`
}

// answer is what an evaluation finds for an example of a split or for a window of
// text. What Check refuses is not kept.
type answer interface{ Check() error }

// keptAnswer is a line of a file of answers.
type keptAnswer[A answer] struct {
	Example int     `json:"example"` // its place in the split, or the window's in the text
	Seconds float64 `json:"seconds"` // of the evaluation up to here, over all its sittings
	Answer  A       `json:"answer"`
}

// answers are those of an evaluation so far. They stand in a file too, if one is
// named, so that an evaluation that was interrupted goes on: a line that says what
// was asked, then an answer a line. Lines are appended; what a kill or a power cut
// left of the last ones is dropped.
type answers[A answer] struct {
	of     []A
	known  []bool
	count  int
	file   *os.File // and the lock on it; nil: none
	start  time.Time
	before float64 // seconds of earlier sittings
	synced time.Time
}

// syncEvery is how much work a loss of power may cost.
const syncEvery = 10 * time.Second

// openAnswers takes over what the file at path, "" for none, holds of the same
// question about so many examples, as far as the answers fit these. A file of another
// question begins anew, which note is told.
func openAnswers[A answer](path string, question asked, examples int, fits func(example int, a A) bool, note func(string)) (*answers[A], error) {
	question.Format, question.Version = "glmkit answers", 1
	k := &answers[A]{of: make([]A, examples), known: make([]bool, examples), start: time.Now(), synced: time.Now()}
	if path == "" {
		return k, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	var err error
	if k.file, err = corpus.LockFile(path); err != nil {
		return nil, err
	}
	if k.file == nil {
		return nil, &configs.Error{Field: path, Msg: "another process writes these answers", Hint: "wait for its end, or end it; or another folder for them"}
	}
	if err := k.resume(question, fits, note); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the answers so far: %w", err), k.file.Close())
	}
	return k, nil
}

func (k *answers[A]) resume(question asked, fits func(example int, a A) bool, note func(string)) error {
	first, err := json.Marshal(question)
	if err != nil {
		return err
	}
	first = append(first, '\n')
	lines := bufio.NewReader(k.file)
	line, err := lines.ReadBytes('\n')
	whole := int64(len(line))
	if !bytes.Equal(line, first) {
		if err == nil {
			note(fmt.Sprintf("the answers in %s are those of another model, or to other questions: all are found anew", k.file.Name()))
		}
		if err := k.file.Truncate(0); err != nil {
			return err
		}
		if _, err := k.file.WriteAt(first, 0); err != nil {
			return err
		}
		if _, err := k.file.Seek(int64(len(first)), io.SeekStart); err != nil {
			return err
		}
		return syncDir(filepath.Dir(k.file.Name()))
	}
	for {
		line, err := lines.ReadBytes('\n')
		var a keptAnswer[A]
		if err != nil || json.Unmarshal(line, &a) != nil || a.Example < 0 || a.Example >= len(k.of) || !fits(a.Example, a.Answer) {
			break
		}
		k.take(a.Example, a.Answer)
		k.before, whole = a.Seconds, whole+int64(len(line))
	}
	if err := k.file.Truncate(whole); err != nil {
		return err
	}
	_, err = k.file.Seek(whole, io.SeekStart)
	return err
}

func (k *answers[A]) take(example int, a A) {
	if !k.known[example] {
		k.known[example], k.count = true, k.count+1
	}
	k.of[example] = a
}

// holds tells whether all examples of a group are answered.
func (k *answers[A]) holds(group []int) bool {
	for _, example := range group {
		if !k.known[example] {
			return false
		}
	}
	return true
}

// ask finds the answers to groups of examples, but those that are kept, and tells of
// each group.
func (k *answers[A]) ask(ctx context.Context, groups [][]int, find func(group []int) ([]A, error), tell func()) error {
	for _, group := range groups {
		if k.holds(group) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := find(group)
		if err != nil {
			return err
		}
		if err := k.add(group, found); err != nil {
			return err
		}
		tell()
	}
	return nil
}

// add takes the answers to a group of examples.
func (k *answers[A]) add(group []int, found []A) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for i, example := range group {
		if err := found[i].Check(); err != nil {
			return err
		}
		k.take(example, found[i])
		if err := encoder.Encode(keptAnswer[A]{example, k.seconds(), found[i]}); err != nil {
			return err
		}
	}
	if k.file == nil {
		return nil
	}
	if _, err := k.file.Write(lines.Bytes()); err != nil {
		return fmt.Errorf("keeping answers: %w", err)
	}
	if time.Since(k.synced) < syncEvery {
		return nil
	}
	k.synced = time.Now()
	return k.file.Sync()
}

// seconds of the evaluation so far, over all its sittings.
func (k *answers[A]) seconds() float64 { return k.before + time.Since(k.start).Seconds() }

func (k *answers[A]) close() error {
	if k.file == nil {
		return nil
	}
	return errors.Join(k.file.Sync(), k.file.Close())
}
