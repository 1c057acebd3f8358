//go:build cgo

package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// A checkpoint is a directory: weights and optimizer as safetensors, the
// trainer's state, the resolved configuration, the config.json by which Hugging
// Face's tools open it, the files of the vocabulary, as tokenizer.Open reads
// them, and last a manifest with the sha256 of each. It is written under a
// temporary name, synced and renamed, so that a name of this form is always
// whole.
const (
	modelFile     = "model.safetensors"
	optimizerFile = "optimizer.safetensors"
	stateFile     = "state.json"
	configFile    = "config.yaml"
	manifestFile  = "manifest.json"

	checkpointsDir = "checkpoints"
	unfinished     = ".unfinished-" // begins the name of a checkpoint being written
	replaced       = ".replaced-"   // and of one that another of its step takes the place of
	latestFile     = "latest"
	bestFile       = "best"

	checkpointFormat = 1
)

// State is what a run needs beside its weights to go on exactly. Everything
// random is keyed by the seed and the step, so no generator is stored.
type State struct {
	Format     int           `json:"format"`
	Kind       string        `json:"kind"` // pretrain or finetune
	Task       string        `json:"task,omitempty"`
	Seed       uint64        `json:"seed"`
	Step       int           `json:"step"`
	TotalSteps int           `json:"total_steps"`
	Updates    int64         `json:"updates"` // steps that changed the weights
	Skipped    int           `json:"skipped"` // steps left out because the gradient was not finite
	Tokens     int64         `json:"tokens"`  // read by the model, padding left out
	Model      configs.Model `json:"model"`
	Classifier int           `json:"classifier,omitempty"` // outputs of the head, if any
	Tokenizer  string        `json:"tokenizer"`            // sha256 of the vocabulary
	Data       string        `json:"data"`                 // identity of the training data
	Precision  string        `json:"precision"`            // of matrix products in training
	Ranks      int           `json:"ranks,omitempty"`      // processes that trained together, if several
	// LossScale and CleanSteps are those of training in float16: what the loss is
	// multiplied by, and the steps since that overflowed or grew.
	LossScale  float64 `json:"loss_scale,omitempty"`
	CleanSteps int     `json:"clean_steps,omitempty"`
	Pretrained string  `json:"pretrained,omitempty"` // sha256 of the weights started from
	// Loss and LengthPenalty are configs.Recipe's where they matter: in a task of
	// choices of several tokens. An empty loss is cross_entropy.
	Loss          string  `json:"loss,omitempty"`
	LengthPenalty float64 `json:"length_penalty,omitempty"`
	// LabelSmoothing is configs.Recipe's in a task whose answers are written.
	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	// PretrainedTokens and PretrainedSteps are those of the weights started from.
	PretrainedTokens int64 `json:"pretrained_tokens,omitempty"`
	PretrainedSteps  int   `json:"pretrained_steps,omitempty"`
	PartB                  // of GLM; inherited by what is finetuned
	// Pattern is that of the cloze questions that a GLM was finetuned on.
	Pattern *int `json:"pattern,omitempty"`
	// Dev is the identity of the data by which finetuning chooses its epoch.
	Dev  string `json:"dev,omitempty"`
	Best *Best  `json:"best,omitempty"`
}

// Best is where a run was at its best so far: in pretraining under
// train.keep_best the step of the lowest validation loss, in finetuning with a
// dev split that of the highest value of the task's metric.
type Best struct {
	Step  int     `json:"step"`
	Loss  float64 `json:"loss,omitempty"`  // nats per target token
	Value float64 `json:"value,omitempty"` // of the metric, 0-100
}

// choosing is how a run's model scores and learns choices.
func (st State) choosing() choosing {
	return choosing{lengthPenalty: st.LengthPenalty, loss: st.Loss, smoothing: st.LabelSmoothing}
}

// manifest names a checkpoint's files with their sha256 in hex.
type manifest struct {
	Format int               `json:"format"`
	Files  map[string]string `json:"files"`
}

// checkpointName orders as text as it does by step.
func checkpointName(step int) string { return fmt.Sprintf("step-%09d", step) }

// saveCheckpoint writes the checkpoint of a step into a run's directory, makes
// it the latest, and deletes all but the newest keep.
func saveCheckpoint(run string, m *model, o *optimizer, st State, config []byte, vocabulary map[string][]byte, keep int) error {
	dir := filepath.Join(run, checkpointsDir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	name := checkpointName(st.Step)
	temporary, err := os.MkdirTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := writeCheckpoint(temporary, m, o, st, config, vocabulary); err != nil {
		return fmt.Errorf("writing checkpoint %s: %w", name, err)
	}
	if err := putCheckpoint(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(run, latestFile), []byte(name+"\n")); err != nil {
		return err
	}
	return tidy(run, st, keep)
}

// putCheckpoint moves a checkpoint to its place. One of the same step that is
// there, because a signal came before the step's epoch was measured or a kill
// before latest named it, steps aside: at every moment one of the two is whole
// and found by standing.
func putCheckpoint(temporary, final string) error {
	if _, err := os.Lstat(final); err == nil {
		if err := os.RemoveAll(aside(final)); err != nil {
			return err
		}
		if err := os.Rename(final, aside(final)); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary, final); err != nil {
		return err
	}
	return syncDir(filepath.Dir(final))
}

// aside is where a checkpoint waits while another takes its place.
func aside(dir string) string {
	return filepath.Join(filepath.Dir(dir), replaced+filepath.Base(dir))
}

// standing is where a checkpoint is: in its place or, where a kill came between
// the two renames of putCheckpoint, aside.
func standing(dir string) string {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(aside(dir)); err == nil {
			return aside(dir)
		}
	}
	return dir
}

// tidy brings a run's directory into agreement with the state of its latest
// checkpoint: best names that of the state, and of the others the newest keep
// stay.
func tidy(run string, st State, keep int) error {
	best := ""
	if st.Best != nil {
		best = checkpointName(st.Best.Step)
		if err := writeWhole(filepath.Join(run, bestFile), []byte(best+"\n")); err != nil {
			return err
		}
	}
	return prune(filepath.Join(run, checkpointsDir), checkpointName(st.Step), best, keep)
}

// recoverRun undoes what a kill left behind in a run's directory: the remains of
// files about to be renamed, and a checkpoint that stands aside.
func recoverRun(run string) error {
	for _, name := range runFiles {
		// renameio writes .NAME with digits behind it.
		remains, err := filepath.Glob(filepath.Join(run, "."+name+"[0-9]*"))
		if err != nil {
			return err
		}
		for _, path := range remains {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	waiting, err := filepath.Glob(filepath.Join(run, checkpointsDir, replaced+"*"))
	if err != nil {
		return err
	}
	for _, path := range waiting {
		place := filepath.Join(filepath.Dir(path), strings.TrimPrefix(filepath.Base(path), replaced))
		if standing(place) != path {
			continue // prune deletes it
		}
		if err := os.Rename(path, place); err != nil {
			return err
		}
	}
	return nil
}

func writeCheckpoint(dir string, m *model, o *optimizer, st State, config []byte, vocabulary map[string][]byte) error {
	st.Format, st.Model = checkpointFormat, m.config
	state, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	files := map[string]func(path string) error{
		modelFile: func(p string) error { return writeTensors(p, named(m.params, "", m.params.tensors)) },
		optimizerFile: func(p string) error {
			return writeTensors(p, o.moments())
		},
		stateFile:  func(p string) error { return writeSynced(p, append(state, '\n')) },
		configFile: func(p string) error { return writeSynced(p, config) },
		hubConfigFile: func(p string) error {
			text, err := hubConfig(st.Model, st.Classifier, hubDTypes["F32"])
			if err != nil {
				return err
			}
			return writeSynced(p, text)
		},
	}
	for name, content := range vocabulary {
		files[name] = func(p string) error { return writeSynced(p, content) }
	}
	man := manifest{Format: checkpointFormat, Files: make(map[string]string)}
	for name, write := range files {
		path := filepath.Join(dir, name)
		if err := write(path); err != nil {
			return err
		}
		if man.Files[name], err = hashFile(path); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(man, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, manifestFile), append(text, '\n')); err != nil {
		return err
	}
	return syncDir(dir)
}

// prune deletes old checkpoints, but not the best, and what kills left half
// written or half deleted.
func prune(dir, latest, best string, keep int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) || strings.HasPrefix(e.Name(), replaced) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		} else if strings.HasPrefix(e.Name(), "step-") && e.Name() <= latest {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-max(1, keep))] {
		if name == best {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// latestCheckpoint returns the directory of a run's newest checkpoint; ok is
// false when the run has none yet.
func latestCheckpoint(run string) (dir string, ok bool, err error) {
	text, err := os.ReadFile(filepath.Join(run, latestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	dir, err = pointedAt(run, latestFile, text)
	return dir, true, err
}

// pointedAt is the checkpoint of a run that the text of its file latest or best names.
func pointedAt(run, file string, text []byte) (dir string, err error) {
	name := strings.TrimSpace(string(text))
	dir = standing(filepath.Join(run, checkpointsDir, name))
	if _, err := os.Stat(dir); err == nil && name != "" {
		return dir, nil
	}
	path := filepath.Join(run, file)
	hint := "copy the run again, or train again with another --out"
	if newest := newestBefore(filepath.Join(run, checkpointsDir), ""); newest != "" {
		hint = fmt.Sprintf("echo %s > %s", newest, path)
	}
	return "", &corpus.DataError{Path: path, Err: fmt.Errorf("names the checkpoint %q, which is not there", name), Hint: hint}
}

// findCheckpoint accepts a checkpoint's directory, a run's, whose newest
// checkpoint it takes, or the file best or latest in a run's.
func findCheckpoint(path string) (string, error) {
	if name := filepath.Base(path); name == bestFile || name == latestFile {
		if text, err := os.ReadFile(path); err == nil {
			return pointedAt(filepath.Dir(path), name, text)
		}
	}
	if _, err := os.Stat(filepath.Join(path, manifestFile)); err == nil {
		if _, err := os.Stat(filepath.Join(path, modelFile)); err == nil {
			return path, nil
		}
	}
	dir, ok, err := latestCheckpoint(path)
	if err != nil {
		return "", err
	}
	if !ok {
		if _, err := os.Stat(path); err != nil {
			return "", &corpus.DataError{Path: path, Err: errors.New("no such checkpoint or run"), Hint: "give the directory that `glmkit train --out` wrote"}
		}
		return "", &corpus.DataError{Path: path, Err: errors.New("holds no checkpoint"), Hint: "give the directory that `glmkit train --out` wrote"}
	}
	return dir, nil
}

func readManifest(dir string) (man manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		err = json.Unmarshal(text, &man)
	}
	return man, err
}

// readVocabulary reads the files of the vocabulary that a checkpoint keeps: all
// that its manifest names but the trainer's own. There are none where the run
// began with weights that brought none.
func readVocabulary(dir string) (map[string][]byte, error) {
	man, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name := range man.Files {
		switch name {
		case modelFile, optimizerFile, stateFile, configFile, hubConfigFile:
			continue
		}
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// readState verifies a checkpoint against its manifest and returns its state
// and the sha256 of its weights.
func readState(dir string) (st State, weights string, err error) {
	bad := func(name string, err error) error {
		return &corpus.DataError{Path: filepath.Join(dir, name), Err: err, Hint: insteadOf(dir)}
	}
	man, err := readManifest(dir)
	if err != nil {
		return st, "", bad(manifestFile, err)
	}
	for name, want := range man.Files {
		if name != filepath.Base(name) {
			return st, "", bad(manifestFile, fmt.Errorf("names a file outside the checkpoint: %q", name))
		}
		got, err := hashFile(filepath.Join(dir, name))
		if err != nil {
			return st, "", bad(name, err)
		}
		if got != want {
			return st, "", bad(name, errors.New("its sha256 is not the manifest's"))
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return st, "", bad(stateFile, err)
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return st, "", bad(stateFile, err)
	}
	if st.Format != checkpointFormat {
		return st, "", &corpus.DataError{Path: dir, Err: fmt.Errorf("checkpoint format %d, this glmkit reads %d", st.Format, checkpointFormat), Hint: "the glmkit that wrote it"}
	}
	return st, man.Files[modelFile], nil
}

// insteadOf says what to take where a checkpoint is damaged.
func insteadOf(dir string) string {
	checkpoints, latest := filepath.Dir(dir), filepath.Join(filepath.Dir(filepath.Dir(dir)), latestFile)
	if filepath.Base(checkpoints) == checkpointsDir {
		if earlier := newestBefore(checkpoints, filepath.Base(dir)); earlier != "" {
			return fmt.Sprintf("the checkpoint is damaged; to go on from an earlier one: echo %s > %s", earlier, latest)
		}
	}
	return "the checkpoint is damaged, and there is no earlier one beside it; copy it again, or train again with another --out"
}

// newestBefore is the name of the newest of a folder's checkpoints before one, of all
// where that is "".
func newestBefore(checkpoints, name string) string {
	dirs, err := filepath.Glob(filepath.Join(checkpoints, "step-*"))
	if err != nil {
		return ""
	}
	for _, dir := range slices.Backward(dirs) {
		if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil && (name == "" || filepath.Base(dir) < name) {
			return filepath.Base(dir)
		}
	}
	return ""
}

// loadModel makes the model of a checkpoint on a device.
func loadModel(dir string, device torch.Device) (*model, State, string, error) {
	st, weights, err := readState(dir)
	if err != nil {
		return nil, st, "", err
	}
	m, err := newModel(st.Model, device)
	if err != nil {
		return nil, st, "", err
	}
	m.choosing = st.choosing()
	if st.Classifier > 0 {
		err = m.addClassifier(st.Classifier, 0)
	}
	if err == nil {
		err = readTensors(filepath.Join(dir, modelFile), named(m.params, "", m.params.tensors))
	}
	if err != nil {
		m.close()
		return nil, st, "", err
	}
	return m, st, weights, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// writeWhole writes a file that appears whole or not at all, and lasts.
func writeWhole(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o666, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
