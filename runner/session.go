//go:build cgo

package runner

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Options say where and on what a run works.
type Options struct {
	Out     string // the run's directory
	Device  string // auto, cpu, cuda or cuda:N
	Threads int    // of libtorch's CPU operations; 0: all cores
	Observe func(StepInfo)
	// From names the weights that pretraining starts from, in any form that is
	// read; empty: drawn ones.
	From string
	// Note, if set, is told what a person should know of the weights started from.
	Note func(string)
	// Dev names a prepared, labelled split of the task by which finetuning
	// chooses its epoch; empty: none is chosen.
	Dev string
	// TensorBoard writes event files into the run's folder tensorboard.
	TensorBoard bool
	// Version of glmkit and Command line, for the record of the run's environment.
	Version string
	Command []string
	// Ranks are the processes that train together; nil: this one alone. Only the
	// one that leads observes, notes and writes.
	Ranks *Ranks
}

// own leaves out what is not this process' to do.
func (o Options) own() Options {
	if !o.Ranks.Leads() {
		o.Observe, o.Note, o.TensorBoard = nil, nil, false
	}
	return o
}

// openSession makes the model and optimizer of a run, new by start or from the
// newest checkpoint of its directory. It runs on the tensor thread; the caller
// closes the session.
func openSession(c *configs.Config, identity State, o Options, vocabulary map[string][]byte, start func(*model) error) (*session, error) {
	r := &session{dir: o.Out, config: c.Train, state: identity, vocabulary: vocabulary, ranks: o.Ranks}
	if err := r.open(c, o, start); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *session) open(c *configs.Config, o Options, start func(*model) error) error {
	device, err := placed(r.ranks, o)
	if err != nil {
		return err
	}
	if r.ranks.Leads() {
		if err := claim(r.dir); err != nil {
			return err
		}
		if r.release, err = corpus.TryLock(filepath.Join(r.dir, lockFile)); err != nil {
			return err
		}
		if r.release == nil {
			return &configs.Error{Field: r.dir, Msg: "another process trains in this directory", Hint: "wait for its end, or end it; or another --out"}
		}
		if err := recoverRun(r.dir); err != nil {
			return err
		}
	}
	found, err := r.settle(c, device, o.Note)
	if err != nil {
		return err
	}
	if r.state.Ranks = 0; r.ranks.size() > 1 {
		r.state.Ranks = r.ranks.size()
	}
	if r.model, err = newModel(r.state.Model, device); err != nil {
		return modelMemory(r.state.Model, err)
	}
	r.model.mode.computing = found.computing
	r.model.choosing = r.state.choosing()
	if r.pace.peak, err = peakOf(c.Compute, device, found.computing); err != nil {
		return err
	}
	r.pace.peak *= float64(r.ranks.size())
	if found.checkpoint == "" {
		err = start(r.model)
	} else if r.state.Classifier > 0 {
		err = r.model.addClassifier(r.state.Classifier, r.state.Seed)
	}
	if err != nil {
		return err
	}
	if r.optimizer, err = newOptimizer(c.Train.Optimizer, r.model.params, r.ranks); err != nil {
		return modelMemory(r.state.Model, err)
	}
	if found.computing.onDevice {
		if err := r.optimizer.decideThere(&r.state, found.computing.half == torch.Float16); err != nil {
			return err
		}
	}
	if found.checkpoint != "" {
		if err := r.load(found.checkpoint); err != nil {
			return err
		}
		r.saved = r.state.Step
	}
	if err := r.optimizer.spread(); err != nil || !r.ranks.Leads() {
		return err
	}
	if found.checkpoint != "" {
		// A kill may have come after latest and before the rest of saving.
		if err := tidy(r.dir, r.state, c.Train.KeepLast); err != nil {
			return err
		}
	}
	return nil
}

// record writes down what a run is trained with, before it goes on; what a finished
// one was trained with stays.
func (r *session) record(o Options) error {
	path := filepath.Join(r.dir, configFile)
	if !r.finished() {
		if err := r.recordEnvironment(o); err != nil {
			return err
		}
		return writeWhole(path, r.configYAML)
	}
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !bytes.Equal(before, r.configYAML) && o.Note != nil {
		o.Note(fmt.Sprintf("%s is finished, at step %d: the configuration given now is another one than its %s, and changes nothing", r.dir, r.state.Step, configFile))
	}
	return err
}

// placed is the device of this process, whose threads it sets.
func placed(ranks *Ranks, o Options) (torch.Device, error) {
	device, err := chooseDevice(ranks.device(o.Device))
	if err == nil {
		setThreads(ranks.threads(o.Threads))
	}
	return device, err
}

// settled is how a run begins.
type settled struct {
	computing
	checkpoint string // to go on from; empty: none
}

// settle finds out where a run stands and how it is to be computed, and refuses
// to go on with one that was begun otherwise. Nothing is written yet, and no
// tensor made. The state is that of the checkpoint, if there is one.
func (r *session) settle(c *configs.Config, device torch.Device, note func(string)) (found settled, err error) {
	if r.configYAML, err = c.YAML(); err != nil {
		return found, err
	}
	if found.checkpoint, err = r.newest(); err != nil {
		return found, err
	}
	var saved State
	compute := c.Compute
	if found.checkpoint != "" {
		if saved, _, err = readState(found.checkpoint); err != nil {
			return found, err
		}
		if compute.Precision == "auto" {
			compute.Precision = saved.Precision
		}
	}
	if found.computing, err = chooseComputing(compute, device, r.state.Model, r.ranks.size()); err != nil {
		return found, err
	}
	r.state.Precision = found.precision()
	if err := r.agree(); err != nil {
		return found, err
	}
	if found.checkpoint == "" {
		return found, nil
	}
	if err := sameRun(r.dir, saved, r.state); err != nil {
		return found, err
	}
	if err := sameRecipe(r.dir, found.checkpoint, saved.Kind, c.Train); err != nil {
		return found, err
	}
	r.noteRanks(saved, note)
	r.state = saved
	return found, nil
}

// newest is the checkpoint to go on from; empty: none. Rank 0 looks.
func (r *session) newest() (checkpoint string, err error) {
	if r.ranks.Leads() {
		if checkpoint, _, err = latestCheckpoint(r.dir); err != nil {
			return "", err
		}
		checkpoint = strings.TrimPrefix(checkpoint, r.dir)
	}
	if checkpoint, err = r.ranks.hear(checkpoint); err != nil || checkpoint == "" {
		return "", err
	}
	return filepath.Join(r.dir, checkpoint), nil
}

// agree makes sure that all ranks are about to train the same model on the same
// data.
func (r *session) agree() error {
	identity := r.state
	identity.Ranks = r.ranks.size()
	text, err := json.Marshal(identity)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append(text, r.configYAML...))
	mine := hex.EncodeToString(sum[:])
	leader, err := r.ranks.hear(mine)
	if err == nil && leader != mine {
		err = &configs.Error{Field: "RANK", Msg: "this rank was started with another configuration, data or precision than rank 0", Hint: "the same command line for all ranks, and the same files under the same paths"}
	}
	return err
}

// noteRanks says so where a run goes on with another number of processes.
func (r *session) noteRanks(saved State, note func(string)) {
	before, now := max(1, saved.Ranks), r.ranks.size()
	if before == now || note == nil {
		return
	}
	note(fmt.Sprintf("%s was trained by %d processes so far and goes on with %d: its numbers differ from now on by rounding and, where micro_batch is 0, by what dropout draws", r.dir, before, now))
}

// run trains on a source with the hooks that the options ask for. held measures
// the held-out loss; nil: there is none.
func (r *session) run(ctx context.Context, src source, held func() (validation, error), o Options) (failed error) {
	r.source = src
	r.hooks = append(r.hooks, r.watching())
	if held != nil {
		r.hooks = append(r.hooks, r.validating(held))
	}
	if !r.ranks.Leads() {
		r.hooks = append(r.hooks, r.saving())
		return r.train(ctx)
	}
	log, err := openMetrics(r.dir, r.state.Step, &r.pace)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, log.close()) }()
	r.hours = func() float64 { return log.seconds() / 3600 }
	if err := r.record(o); err != nil {
		return err
	}
	r.hooks = append(r.hooks, r.logging(log))
	if o.TensorBoard {
		events, err := newEventFile(r.dir)
		if err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, events.close()) }()
		r.hooks = append(r.hooks, r.charting(events))
	}
	if o.Observe != nil {
		r.hooks = append(r.hooks, r.observing(o.Observe))
	}
	r.hooks = append(r.hooks, r.saving())
	return r.train(ctx)
}

// runFiles are what a run's directory holds.
var runFiles = []string{configFile, metricsFile, checkpointsDir, latestFile, bestFile, choiceFile, tensorboardDir, environmentFile}

// lockFile keeps a second process, such as a job that was queued again too early,
// from training in a run's directory.
const lockFile = ".lock"

// claim makes a run's directory, or accepts one that holds nothing but a run. It
// must be writable: better said before training than at its first checkpoint.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return unwritable(err)
	}
	if err := holdsRun(dir); err != nil {
		return err
	}
	trial, err := os.CreateTemp(dir, "."+latestFile+"*")
	if err != nil {
		return unwritable(err)
	}
	if err := errors.Join(trial.Close(), os.Remove(trial.Name())); err != nil {
		return unwritable(err)
	}
	return nil
}

func unwritable(err error) error {
	return &configs.Error{Field: "--out", Msg: err.Error(), Hint: "a directory that can be written"}
}

// holdsRun accepts a directory with nothing in it but a run, or with nothing.
func holdsRun(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case slices.Contains(runFiles, name):
		case strings.HasPrefix(name, "."): // a file that a killed run was about to rename
		default:
			return &configs.Error{Field: dir, Msg: "holds something else than a run: " + name, Hint: "another --out"}
		}
	}
	return nil
}

// claimable tells whether claim would succeed, as far as can be told without
// making the directory.
func claimable(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return unwritable(err)
		case !info.IsDir():
			return unwritable(fmt.Errorf("%s is no directory", at))
		}
		if at == filepath.Clean(dir) {
			if err := holdsRun(dir); err != nil {
				return err
			}
		}
		const write = 2 // W_OK of access(2)
		if err := syscall.Access(at, write); err != nil {
			return unwritable(fmt.Errorf("%s: %w", at, err))
		}
		return nil
	}
}

// load restores weights and moments from a checkpoint.
func (r *session) load(checkpoint string) error {
	p := r.model.params
	if err := readTensors(filepath.Join(checkpoint, modelFile), named(p, "", p.tensors)); err != nil {
		return err
	}
	return readTensors(filepath.Join(checkpoint, optimizerFile), r.optimizer.moments())
}

// sameRun refuses to go on with a run under other conditions: the result would
// be neither the one nor the other.
func sameRun(dir string, saved, asked State) error {
	var differ string
	switch {
	case saved.Kind != asked.Kind || saved.Task != asked.Task:
		differ = fmt.Sprintf("it is a run of %s %s", saved.Kind, saved.Task)
	case saved.Model != asked.Model:
		differ = differingField("model", saved.Model, asked.Model)
	case saved.Seed != asked.Seed:
		differ = fmt.Sprintf("its seed is %d, asked for %d", saved.Seed, asked.Seed)
	case saved.Tokenizer != asked.Tokenizer:
		differ = "its vocabulary is another one"
	case saved.Data != asked.Data:
		differ = "its training data is another one"
	case saved.Pretrained != asked.Pretrained:
		differ = "it started from other weights"
	case saved.Dev != asked.Dev:
		differ = "it chooses its epoch by another dev split, or by none"
	case saved.Loss != asked.Loss:
		differ = fmt.Sprintf("its finetune.loss is %s, asked for %s", cmp.Or(saved.Loss, configs.CrossEntropyLoss), cmp.Or(asked.Loss, configs.CrossEntropyLoss))
	case saved.LengthPenalty != asked.LengthPenalty:
		differ = fmt.Sprintf("its finetune.length_penalty is %v, asked for %v", saved.LengthPenalty, asked.LengthPenalty)
	case saved.LabelSmoothing != asked.LabelSmoothing:
		differ = fmt.Sprintf("its finetune.label_smoothing is %v, asked for %v", saved.LabelSmoothing, asked.LabelSmoothing)
	case saved.Precision != asked.Precision:
		differ = fmt.Sprintf("its matrix products are %s, here %s (compute.precision)", saved.Precision, asked.Precision)
	case saved.TotalSteps != asked.TotalSteps:
		differ = fmt.Sprintf("its schedule has %d steps, asked for %d", saved.TotalSteps, asked.TotalSteps)
	default:
		return nil
	}
	return &configs.Error{Field: dir, Msg: "holds a run that cannot be continued: " + differ, Hint: "another --out, or the configuration of that run (its config.yaml)"}
}

// sameRecipe refuses to go on with pretraining in other batches, as where a
// step's windows lie depends on all batches before it, and with finetuning by
// another recipe, as the result is to be that of the recipe.
func sameRecipe(dir, checkpoint, kind string, asked configs.Train) error {
	config, err := configs.Load(filepath.Join(checkpoint, configFile), nil)
	if err != nil {
		return err
	}
	saved := config.Train
	var differ string
	switch finetuning := kind == "finetune"; {
	case saved.BatchSize != asked.BatchSize:
		// finetuning writes its recipe's batch there, too
		differ = fmt.Sprintf("its train.batch_size is %d, asked for %d", saved.BatchSize, asked.BatchSize)
	case !finetuning && saved.Ramp != asked.Ramp:
		differ = fmt.Sprintf("its train.ramp is %+v, asked for %+v", saved.Ramp, asked.Ramp)
	case finetuning && saved.Optimizer != asked.Optimizer:
		differ = differingField("optimizer", saved.Optimizer, asked.Optimizer)
	case finetuning && saved.Schedule != asked.Schedule:
		differ = differingField("schedule", saved.Schedule, asked.Schedule)
	default:
		return nil
	}
	return &configs.Error{Field: dir, Msg: "holds a run that cannot be continued: " + differ, Hint: "another --out, or the configuration of that run (its config.yaml)"}
}

// differingField names the first field in which two sections differ.
func differingField[T any](section string, saved, asked T) string {
	a, b := reflect.ValueOf(saved), reflect.ValueOf(asked)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			return fmt.Sprintf("its %s.%s is %v, asked for %v", section, a.Type().Field(i).Tag.Get("yaml"), x, y)
		}
	}
	return ""
}

// goingOn adds to an error of writing into a run's directory what is left to go on
// from.
func goingOn(dir string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	var config *configs.Error
	var data *corpus.DataError
	var where string
	switch {
	case errors.As(err, &config), errors.As(err, &data):
		return err
	case errors.As(err, &path):
		where = path.Path
	case errors.As(err, &link):
		where = link.New
	}
	if in, e := filepath.Rel(dir, where); where == "" || e != nil || !filepath.IsLocal(in) {
		return err
	}
	remedy := ""
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		remedy = "free some space, then "
	}
	if checkpoint, ok, e := latestCheckpoint(dir); e == nil && ok {
		return fmt.Errorf("%w; %sthe same command again goes on from %s", err, remedy, filepath.Base(checkpoint))
	}
	return fmt.Errorf("%w; nothing was saved yet: %sthe same command again begins anew", err, remedy)
}

func (r *session) close() {
	if r.release != nil {
		defer r.release()
	}
	if r.optimizer != nil {
		r.optimizer.close()
	}
	if r.model != nil {
		r.model.close()
	}
}
