package experiments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glmkit/glmkit/configs"
)

// Options say how steps are run.
type Options struct {
	// Exec runs a step's command, which writes what it says to the file log, and
	// returns its exit code. The command inherits lock: should this process be killed,
	// the step stays locked for as long as its command goes on. An error says that it
	// could not be run.
	Exec func(ctx context.Context, s *Step, log string, lock *os.File) (exit int, err error)
	// Jobs is how many steps run side by side; 0: one.
	Jobs int
	// Only is the id of the one step to run; empty: all that are missing.
	Only string
	// Wait lets Only wait for what it needs, which other processes make.
	Wait    bool
	Version string // of glmkit, for the records
	// Report, if any, is told when a step begins and when it ends; calls do not
	// overlap.
	Report func(Event)
}

// Event is the beginning or the end of a step.
type Event struct {
	Step      *Step
	Ended     bool
	Took      time.Duration
	Exit      int
	Left, All int // steps that are not done yet, and all
}

// StepError says that a step's command failed.
type StepError struct {
	Step *Step
	Exit int    // its code
	Log  string // what it said
}

func (e *StepError) Error() string {
	return fmt.Sprintf("step %s failed with exit code %d: glmkit %s", e.Step.ID, e.Exit, strings.Join(e.Step.Args, " "))
}

// pause is that between two looks at steps of other processes.
const pause = 500 * time.Millisecond

// Run runs the steps that are missing, failed or were interrupted, each after
// those it needs, until all are done, one fails, or ctx ends. A step that another
// process runs is waited for. Steps that were done but have changed run again
// where they replace what they left; elsewhere they are a configs.Error before
// anything runs, because what was trained is never thrown away.
func (p *Plan) Run(ctx context.Context, o Options) error {
	wanted := p.Steps
	if o.Only != "" {
		s := p.Step(o.Only)
		if s == nil {
			return &configs.Error{Field: "--step", Msg: fmt.Sprintf("there is no step %q", o.Only), Hint: "one that --status lists"}
		}
		wanted = []*Step{s}
		if err := p.awaitNeeds(ctx, s, o.Wait); err != nil {
			return err
		}
	}
	r := &running{plan: p, options: o, done: map[string]bool{}, began: map[string]bool{}}
	for _, s := range wanted {
		state, record, err := p.State(s)
		if err != nil {
			return err
		}
		switch {
		case state == Done:
			r.done[s.ID] = true
		case state == Changed && !s.Again:
			return &configs.Error{Field: s.ID, Msg: fmt.Sprintf("was made by other settings or from other input (then: glmkit %s)", strings.Join(record.Args, " ")),
				Hint: "another folder as out; or remove " + removable(s) + ", and it is made again"}
		}
	}
	return r.all(ctx, wanted)
}

// removable is what a person removes to have a step made again.
func removable(s *Step) string {
	if name := filepath.Base(s.Out); name == "latest" || name == "manifest.json" || name == "grid.json" {
		return filepath.Dir(s.Out)
	}
	return s.Out
}

// awaitNeeds makes sure that what a step needs is done.
func (p *Plan) awaitNeeds(ctx context.Context, s *Step, wait bool) error {
	for _, id := range s.Needs {
		for {
			state, _, err := p.State(p.Step(id))
			switch {
			case err != nil:
				return err
			case state == Done:
			case !wait || state == Changed:
				return &configs.Error{Field: s.ID, Msg: fmt.Sprintf("needs %s, which is %s", id, state), Hint: "--step " + id + " first, or all steps without --step"}
			default:
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(pause):
				}
				continue
			}
			break
		}
	}
	return nil
}

// running is a Run under way.
type running struct {
	plan    *Plan
	options Options

	mu    sync.Mutex
	done  map[string]bool
	began map[string]bool
	err   error
}

// all runs steps side by side, each when it is ready.
func (r *running) all(ctx context.Context, wanted []*Step) error {
	var group sync.WaitGroup
	for range max(r.options.Jobs, 1) {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				s, more := r.next(wanted)
				if !more {
					return
				}
				if s != nil {
					r.step(ctx, s, len(wanted))
					continue
				}
				select { // all that is ready is being run
				case <-ctx.Done():
					return
				case <-time.After(pause / 10):
				}
			}
		}()
	}
	group.Wait()
	if r.err == nil {
		return ctx.Err()
	}
	return r.err
}

// next is a step to begin; nil where none is ready yet. There are no more where
// one has failed or all have begun.
func (r *running) next(wanted []*Step) (s *Step, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, false
	}
	for _, s := range wanted {
		if r.done[s.ID] || r.began[s.ID] {
			continue
		}
		more = true
		ready := !slices.ContainsFunc(s.Needs, func(id string) bool { return r.options.Only == "" && !r.done[id] })
		if ready {
			r.began[s.ID] = true
			return s, true
		}
	}
	return nil, more
}

// step runs one step, or waits for the process that does.
func (r *running) step(ctx context.Context, s *Step, all int) {
	err := r.attempt(ctx, s, all)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	r.done[s.ID] = true
}

func (r *running) attempt(ctx context.Context, s *Step, all int) error {
	p := r.plan
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		lock, err := p.lock(s)
		if err != nil {
			return err
		}
		if lock == nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		defer lock.Close()
		if state, record, err := p.State(s); err != nil {
			return err
		} else if record != nil && record.Outcome == outcomeDone && state == Done {
			return nil // by the process that was waited for
		}
		return r.exec(ctx, s, lock, all)
	}
}

func (r *running) exec(ctx context.Context, s *Step, lock *os.File, all int) error {
	p := r.plan
	host, _ := os.Hostname() // unknown is as good as none
	record := &Record{Step: s.ID, Key: s.Key, Args: s.Args, Needs: s.Needs, Outcome: outcomeRunning, Started: time.Now().UTC(), Host: host, Glmkit: r.options.Version}
	if err := p.write(s, record); err != nil {
		return err
	}
	if i := slices.Index(s.Args, "--out"); i >= 0 { // commands make folders, but not those above
		if err := os.MkdirAll(filepath.Dir(s.Args[i+1]), 0o755); err != nil {
			return fmt.Errorf("making a folder for %s: %w", s.ID, err)
		}
	}
	r.tell(Event{Step: s, All: all})
	exit, err := r.options.Exec(ctx, s, p.Log(s), lock)
	record.Ended, record.Exit = time.Now().UTC(), exit
	interrupted := ctx.Err() != nil || exit == 130
	switch {
	case err == nil && exit == 0:
		record.Outcome, record.Made = outcomeDone, made(s)
	case !interrupted:
		record.Outcome = outcomeFailed
	}
	if err := p.write(s, record); err != nil {
		return err
	}
	r.tell(Event{Step: s, Ended: true, Took: record.Ended.Sub(record.Started), Exit: exit, All: all})
	switch {
	case record.Outcome == outcomeDone:
		return nil
	case interrupted:
		return fmt.Errorf("stopped in step %s: %w", s.ID, context.Canceled)
	case err != nil:
		return fmt.Errorf("running step %s: %w", s.ID, err)
	}
	return &StepError{Step: s, Exit: exit, Log: p.Log(s)}
}

// tell passes an event on.
func (r *running) tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Report == nil {
		return
	}
	e.Left = e.All - len(r.done)
	if e.Ended && e.Exit == 0 {
		e.Left--
	}
	r.options.Report(e)
}
