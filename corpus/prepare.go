package corpus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/glmkit/glmkit/configs"
)

// PrepareOptions says what to prepare.
type PrepareOptions struct {
	Inputs        []string // as for Documents
	Read          ReadOptions
	Tokenizer     Tokenizer
	TokenizerName string // for people, such as bert-base-uncased
	Config        *configs.Config
	Out           string // the folder to make
	Jobs          int    // goroutines; the result does not depend on it
	Version       string // of the program
	// Progress, where it is set, hears from one goroutine at a time how much
	// of a stage is done.
	Progress func(stage Stage, done, total int64)
}

// Stage is a part of the preparation of a corpus.
type Stage string

// The stages in their order. Check and Tokenise count bytes of input, Draw
// counts windows.
const (
	Check    Stage = "checking"
	Tokenise Stage = "tokenising"
	Draw     Stage = "drawing windows"
)

// Prepared is what Prepare has made.
type Prepared struct {
	Manifest *Manifest
	// Already is true where the folder was complete before the call.
	Already bool
	// Tokenised is the bytes of input that this call tokenised; less than all
	// where it continued an interrupted one.
	Tokenised int64
}

// Files of a prepared folder beside its shards.
const (
	manifestFile   = "manifest.json"
	pendingFile    = "manifest.pending.json" // the manifest before the working folder is gone
	vocabularyFile = "vocab.txt"
	workFolder     = ".work"
	planFile       = "plan.json" // in the working folder: what is being made
)

// plan is the recipe of an unfinished folder and what spares reading the input
// again to know that it has not changed.
type plan struct {
	Recipe
	Modified []int64 `json:"modified"` // of the sources, nanoseconds since 1970
}

// Prepare tokenises documents, draws windows of them with their masked spans,
// and writes these as Arrow shards with a manifest (Open reads them).
//
// Its result depends on the input files, the tokenizer and the configuration's
// data and objective alone. After an interruption, of whatever kind, the same
// call continues: tokens and shards that were finished are kept in Out. A call
// that would give other bytes than the ones begun in Out is a *configs.Error
// that names the difference, and so is an Out with anything else in it.
//
// The order of events makes each moment one to continue from: the working
// folder with the plan comes first; finished pieces go into it or, complete,
// beside it; then the manifest under its pending name; then the working folder
// is removed; the last step gives the manifest its name.
func Prepare(ctx context.Context, opt PrepareOptions) (*Prepared, error) {
	if opt.Progress == nil {
		opt.Progress = func(Stage, int64, int64) {}
	}
	if opt.Jobs < 1 {
		return nil, &configs.Error{Field: "--jobs", Msg: fmt.Sprintf("%d workers can do nothing", opt.Jobs), Hint: "--jobs 1 or more"}
	}
	special := opt.Tokenizer.Special()
	if special.Pad < 0 || special.CLS < 0 || special.Unk < 0 || special.Mask < 0 {
		return nil, &configs.Error{Field: "--tokenizer", Msg: "the vocabulary lacks one of [PAD], [UNK], [CLS] and [MASK]", Hint: "a BERT vocabulary, or one made by glmkit prepare vocab"}
	}
	files, err := inputFiles(opt.Inputs)
	if err != nil {
		return nil, err
	}
	p := &preparation{PrepareOptions: opt, work: filepath.Join(opt.Out, workFolder)}
	before, err := p.look() // an early answer, before files are read
	if err != nil {
		return nil, err
	}
	if err := p.checkSources(ctx, files, before.plan); err != nil {
		return nil, err
	}
	release, err := p.occupy()
	if err != nil {
		return nil, err
	}
	defer release()
	now, err := p.look()
	if err != nil {
		return nil, err
	}
	if err := p.compare(now); err != nil {
		return nil, err
	}
	p.made = !before.exists
	return p.run(ctx, now)
}

// preparation is one call of Prepare.
type preparation struct {
	PrepareOptions
	work    string
	made    bool     // this call made the output folder
	files   []Source // the input as this call names it
	current plan
}

// found is what stands in the output folder.
type found struct {
	exists   bool
	manifest *Manifest // finished,
	pending  bool      // but for the last steps
	plan     *plan     // unfinished
}

// look tells what is in the output folder, touching nothing.
func (p *preparation) look() (*found, error) {
	entries, err := os.ReadDir(p.Out)
	if errors.Is(err, fs.ErrNotExist) {
		return &found{}, nil
	}
	if err != nil {
		return nil, &configs.Error{Field: "--out", Msg: fmt.Sprintf("%s cannot be used: %v", p.Out, err), Hint: "a new folder"}
	}
	f := &found{exists: true}
	for _, name := range []string{manifestFile, pendingFile} {
		var m Manifest
		if err := readJSON(filepath.Join(p.Out, name), &m); err == nil && m.Format > 0 && len(m.Shards) > 0 {
			f.manifest, f.pending = &m, name == pendingFile
			return f, nil
		}
	}
	var begun plan
	if err := readJSON(filepath.Join(p.work, planFile), &begun); err == nil && begun.Format > 0 {
		f.plan = &begun
		return f, nil
	}
	// A run killed before it had a plan leaves at most a temporary file.
	left := entries
	if len(entries) == 1 && entries[0].Name() == workFolder {
		if left, err = os.ReadDir(p.work); err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "."+planFile) })
	}
	if len(left) > 0 {
		return nil, &configs.Error{Field: "--out", Msg: fmt.Sprintf("%s is not empty, and what is in it was not made by this command", p.Out), Hint: "a new or an empty folder"}
	}
	return f, nil
}

// checkSources measures and hashes the input files. One that an unfinished run
// has hashed and that was not modified since is not read again.
func (p *preparation) checkSources(ctx context.Context, files []string, begun *plan) error {
	var total, done int64
	infos := make([]fs.FileInfo, len(files))
	for i, path := range files {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return fileError(path, err)
		case !info.Mode().IsRegular():
			return &DataError{Path: path, Err: errors.New("not a regular file"), Hint: "save the stream to a file first: it may have to be read again"}
		case info.Size() == 0:
			return errEmpty(path)
		}
		infos[i] = info
		total += info.Size()
	}
	for i, path := range files {
		info := infos[i]
		source, modified := Source{Path: path, Bytes: info.Size()}, info.ModTime().UnixNano()
		if begun != nil && i < len(begun.Sources) && i < len(begun.Modified) {
			if old := begun.Sources[i]; old.Path == path && old.Bytes == source.Bytes && begun.Modified[i] == modified {
				source.SHA256 = old.SHA256
			}
		}
		if source.SHA256 == "" {
			var err error
			if source.SHA256, err = hashFile(ctx, path); err != nil {
				return err
			}
		}
		p.files = append(p.files, source)
		p.current.Modified = append(p.current.Modified, modified)
		done += source.Bytes
		p.Progress(Check, done, total)
	}
	return nil
}

// hashFile is the sha256 of a file in hexadecimal.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fileError(path, err)
	}
	defer f.Close()
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		_, err := io.CopyN(h, f, 16<<20)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", fileError(path, err)
		}
	}
}

// occupy makes the output folder and keeps other runs out of it until release
// is called or the process ends.
func (p *preparation) occupy() (release func() error, err error) {
	if err := os.MkdirAll(p.Out, 0o755); err != nil {
		return nil, &configs.Error{Field: "--out", Msg: fmt.Sprintf("%s cannot be made: %v", p.Out, err), Hint: "a folder that can be written to"}
	}
	dir, err := os.Open(p.Out)
	if err != nil {
		return nil, err
	}
	// File systems without locks go without.
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		dir.Close()
		return nil, &configs.Error{Field: "--out", Msg: fmt.Sprintf("another glmkit is at work in %s", p.Out), Hint: "wait for it, or another --out"}
	}
	return dir.Close, nil
}

// compare makes the recipe of this call, and holds it against what was found.
func (p *preparation) compare(f *found) error {
	settings := Settings{Data: p.Config.Data, Objective: p.Config.Objective}
	if settings.Data.ShardMB <= 0 {
		settings.Data.ShardMB = defaultShardMB
	}
	p.current.Recipe = Recipe{
		Format: Format, Glmkit: p.Version, Config: settings, Field: p.Read.field(), Sources: p.files,
		Tokenizer: TokenizerInfo{
			Kind: "wordpiece", Name: p.TokenizerName, SHA256: p.Tokenizer.Hash(), Vocabulary: p.Tokenizer.Size(),
			Padded: p.Tokenizer.PaddedSize(), Special: SpecialIDs(p.Tokenizer.Special()),
		},
	}
	var begun *Recipe
	what, hint := "a corpus that was prepared otherwise", "another --out, or delete the folder to prepare it anew"
	switch {
	case f.manifest != nil:
		begun = &f.manifest.Recipe
	case f.plan != nil:
		begun = &f.plan.Recipe
		what, hint = "an unfinished preparation that differs", "the earlier values to finish it, another --out, or delete the folder to begin anew"
	default:
		return nil
	}
	differences, err := begun.differences(&p.current.Recipe)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return &configs.Error{Field: "--out", Msg: fmt.Sprintf("%s holds %s: %s", p.Out, what, strings.Join(differences, "; ")), Hint: hint}
	}
	p.current.Recipe = *begun // the names that it began with stay
	return nil
}

const defaultShardMB = 64

// run does what is left to do.
func (p *preparation) run(ctx context.Context, f *found) (*Prepared, error) {
	if f.manifest != nil {
		if f.pending {
			if err := p.publish(); err != nil {
				return nil, err
			}
		}
		dataset, err := Open(p.Out)
		if err != nil {
			return nil, err
		}
		defer dataset.Close()
		return &Prepared{Manifest: dataset.Manifest(), Already: !f.pending}, nil
	}
	if err := os.MkdirAll(p.work, 0o755); err != nil {
		return nil, err
	}
	if f.plan == nil {
		if err := writeJSON(filepath.Join(p.work, planFile), p.work, &p.current); err != nil {
			return nil, err
		}
	}
	vocabulary := []byte(strings.Join(p.Tokenizer.Vocab(), "\n") + "\n")
	if err := writeWhole(filepath.Join(p.Out, vocabularyFile), p.work, vocabulary); err != nil {
		return nil, err
	}
	state, tokenised, err := p.tokenise(ctx)
	var data *DataError
	var access *fs.PathError
	if errors.As(err, &data) && !errors.As(err, &access) {
		// The input has to change, so what was made of it is of no use.
		return nil, errors.Join(err, p.clear())
	}
	if err != nil {
		return nil, p.stopped(Tokenise, err)
	}
	manifest, err := p.draw(ctx, state)
	if err != nil {
		return nil, p.stopped(Draw, err)
	}
	if err := writeJSON(filepath.Join(p.Out, pendingFile), p.work, manifest); err != nil {
		return nil, err
	}
	if err := p.publish(); err != nil {
		return nil, err
	}
	return &Prepared{Manifest: manifest, Tokenised: tokenised}, nil
}

// stopped says where an interrupted run stood.
func (p *preparation) stopped(stage Stage, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopped while %s, what is done is kept in %s: %w", stage, p.Out, err)
	}
	return err
}

// tokenise fills the token store and returns its state and the bytes of input
// that were left to tokenise.
func (p *preparation) tokenise(ctx context.Context) (storeState, int64, error) {
	store, err := openStore(p.work, idWidth(p.Tokenizer.Size()), len(p.files))
	if err != nil {
		return storeState{}, 0, err
	}
	defer store.Close()
	before := store.state.Stored
	if store.state.Source < len(p.files) {
		err = tokenise(ctx, store, p.files, p.Tokenizer, p.Read, p.Jobs, func(done, total int64) { p.Progress(Tokenise, done, total) })
	}
	if err == nil && store.state.Tokens == 0 {
		err = &DataError{Path: p.files[0].Path, Err: errors.New("there is no text in the input"), Hint: "check the files and --field"}
	}
	return store.state, store.state.Stored - before, err
}

// draw writes the shards and returns the manifest of them.
func (p *preparation) draw(ctx context.Context, state storeState) (*Manifest, error) {
	store, err := openTokens(p.work, state)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	m := &Manifest{Recipe: p.current.Recipe, Documents: state.Documents, Tokens: state.Tokens, Replaced: state.Replaced}
	data := m.Config.Data
	if m.Windows = data.Samples; m.Windows == 0 {
		perWindow := int64(data.SeqLength - 1) // the first token is [CLS]
		m.Windows = (state.Tokens + perWindow - 1) / perWindow
	}
	m.Sources = slices.Clone(m.Sources)
	for i, count := range state.Sources {
		m.Sources[i].Documents, m.Sources[i].Tokens = count.Documents, count.Tokens
	}
	maker := shardMaker{recipe: &p.current.Recipe, tokenizer: p.Tokenizer, store: store, windows: m.Windows, out: p.Out, work: p.work}
	m.Shards, m.Statistics, err = maker.run(ctx, p.Jobs, func(done, total int64) { p.Progress(Draw, done, total) })
	m.Statistics.finish(m.Windows)
	return m, err
}

// publish is the last step: the manifest gets its name when nothing else is
// left to do.
func (p *preparation) publish() error {
	if err := os.RemoveAll(p.work); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(p.Out, pendingFile), filepath.Join(p.Out, manifestFile)); err != nil {
		return err
	}
	return syncDir(p.Out)
}

// clear removes what a run has made that got no further than its input.
func (p *preparation) clear() error {
	if err := os.Remove(filepath.Join(p.Out, vocabularyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Last, because without it the rest would not be ours.
	if err := os.RemoveAll(p.work); err != nil || !p.made {
		return err
	}
	return os.Remove(p.Out)
}
