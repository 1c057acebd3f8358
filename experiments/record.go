package experiments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/glmkit/glmkit/corpus"
)

// recordsDir holds the records, logs and locks of the steps, in the experiment's
// folder.
const recordsDir = ".steps"

// Record is what is kept of a step that was run: the file .steps/ID.json.
type Record struct {
	Step    string    `json:"step"`
	Key     string    `json:"key"` // Step.Key when it ran
	Args    []string  `json:"args"`
	Needs   []string  `json:"needs,omitempty"`
	Outcome string    `json:"outcome"` // running, done or failed
	Exit    int       `json:"exit,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"` // zero while it runs
	Host    string    `json:"host"`
	Glmkit  string    `json:"glmkit"` // version
	// Made is the sha256 of what identifies the step's output: the file itself, or
	// the manifest of the folder.
	Made map[string]string `json:"made,omitempty"`
}

// Outcomes of a record.
const (
	outcomeRunning = "running"
	outcomeDone    = "done"
	outcomeFailed  = "failed"
)

// State is how a step stands.
type State string

// The states of a step.
const (
	Done        State = "done"
	Missing     State = "missing"
	Running     State = "running" // by another process, or this one
	Interrupted State = "interrupted"
	Failed      State = "failed"
	// Changed says that the step was done, but is another one now: its arguments,
	// its input or what it needs has changed.
	Changed State = "changed"
)

// file is a file of a step's records.
func (p *Plan) file(s *Step, ending string) string {
	return filepath.Join(p.Out, recordsDir, filepath.FromSlash(s.ID)+ending)
}

// Log is the file with what the step's command said.
func (p *Plan) Log(s *Step) string { return p.file(s, ".log") }

// Record reads the record of a step; nil where it was never run. A record that is
// damaged is a corpus.DataError.
func (p *Plan) Record(s *Step) (*Record, error) {
	path := p.file(s, ".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, &corpus.DataError{Path: path, Err: err, Hint: "remove it: the step is then run again"}
	}
	return &r, nil
}

func (p *Plan) write(s *Step, r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("recording %s: %w", s.ID, err)
	}
	if err := renameio.WriteFile(p.file(s, ".json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("recording %s: %w", s.ID, err)
	}
	return nil
}

// lock takes the lock of a step, to be closed; nil where another process has it.
func (p *Plan) lock(s *Step) (*os.File, error) {
	path := p.file(s, ".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the records: %w", err)
	}
	return corpus.LockFile(path)
}

// State tells how a step stands, and its record where it has one.
func (p *Plan) State(s *Step) (State, *Record, error) {
	r, err := p.Record(s)
	if err != nil || r == nil {
		return Missing, nil, err
	}
	_, err = os.Stat(s.Out)
	there := err == nil
	switch {
	case r.Outcome == outcomeRunning:
		lock, err := p.lock(s)
		if err != nil {
			return "", r, err
		}
		if lock == nil {
			return Running, r, nil
		}
		lock.Close()
		return Interrupted, r, nil
	case r.Outcome == outcomeFailed:
		return Failed, r, nil
	case !there:
		return Missing, r, nil
	case r.Key != s.Key:
		return Changed, r, nil
	}
	return Done, r, nil
}

// made finds what identifies a step's output.
func made(s *Step) map[string]string {
	out := map[string]string{}
	add := func(path string) {
		if text, err := os.ReadFile(path); err == nil {
			hash := sha256.Sum256(text)
			out[filepath.ToSlash(path)] = hex.EncodeToString(hash[:])
		}
	}
	switch dir := filepath.Dir(s.Out); {
	case filepath.Base(s.Out) == "latest": // names the newest checkpoint of a run
		if name, err := os.ReadFile(s.Out); err == nil {
			add(filepath.Join(dir, "checkpoints", strings.TrimSpace(string(name)), "manifest.json"))
		}
	default:
		add(s.Out)
		add(filepath.Join(s.Out, "manifest.json"))
	}
	return out
}
