package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed experiments
var embeddedExperiments embed.FS

// Experiment is a comparison of models as one file: what is prepared, pretrained,
// finetuned, evaluated and reported. "{out}" in a path stands for Out.
type Experiment struct {
	Out     string `yaml:"out"`     // folder of everything that is made
	Device  string `yaml:"device"`  // of training and evaluation; empty: auto
	Threads int    `yaml:"threads"` // 0: all cores

	World        *World                `yaml:"world"` // makes up {out}/world
	Vocabularies map[string]Vocabulary `yaml:"vocabularies"`
	Corpora      map[string]Corpus     `yaml:"corpora"`
	Tasks        map[string]TaskSet    `yaml:"tasks"`
	Models       []ExperimentModel     `yaml:"models"`   // in the order of their training
	Finetune     Finetuning            `yaml:"finetune"` // of every model
	Report       ReportSettings        `yaml:"report"`
}

// World is the made-up world of glmkit prepare microworld; zeros are its defaults.
type World struct {
	Documents  int    `yaml:"documents"`
	Held       int    `yaml:"held"`
	TrainSize  int    `yaml:"train_size"`
	ValSize    int    `yaml:"val_size"`
	People     int    `yaml:"people"`
	Difficulty int    `yaml:"difficulty"`
	Seed       uint64 `yaml:"seed"`
}

// Vocabulary is one that is there (Path), or one to train on text (Input).
type Vocabulary struct {
	Path  string   `yaml:"path"`
	Input []string `yaml:"input"`
	Kind  string   `yaml:"kind"`
	Size  int      `yaml:"size"`
	Cased bool     `yaml:"cased"`
}

// Corpus is text prepared for pretraining.
type Corpus struct {
	Input         []string `yaml:"input"`
	Vocabulary    string   `yaml:"vocabulary"` // of Experiment.Vocabularies
	Config        string   `yaml:"config"`
	Set           []string `yaml:"set"`
	Decontaminate []string `yaml:"decontaminate"`
}

// TaskSet is tasks prepared for models of one form.
type TaskSet struct {
	Data       string   `yaml:"data"`
	Names      []string `yaml:"names"`      // empty: those of Experiment.Finetune; its models get no others
	Vocabulary string   `yaml:"vocabulary"` // of Experiment.Vocabularies
	Form       string   `yaml:"form"`
	Pattern    string   `yaml:"pattern"`
	Config     string   `yaml:"config"`
	Set        []string `yaml:"set"`
}

// ExperimentModel is a row of the table.
type ExperimentModel struct {
	Name   string   `yaml:"name"`
	Config string   `yaml:"config"`
	Set    []string `yaml:"set"`
	Corpus string   `yaml:"corpus"` // pretrained on it; of Experiment.Corpora
	Valid  string   `yaml:"valid"`  // for the validation loss; of Experiment.Corpora
	// From is what the model begins from: another model's name, or a path. Without a
	// corpus it is finetuned as it is.
	From  string `yaml:"from"`
	Tasks string `yaml:"tasks"` // of Experiment.Tasks
}

// Finetuning is what every model is finetuned on.
type Finetuning struct {
	Tasks []string `yaml:"tasks"`
	Seeds []uint64 `yaml:"seeds"`
	Dev   string   `yaml:"dev"`   // chooses the best epoch
	Grid  []string `yaml:"grid"`  // as --grid; then a task is one step, with all its seeds
	Set   []string `yaml:"set"`   // over each model's
	Split string   `yaml:"split"` // to evaluate on; empty: val
}

// ReportSettings are those of glmkit report.
type ReportSettings struct {
	Baseline  string   `yaml:"baseline"`
	Published string   `yaml:"published"`
	Plan      int      `yaml:"plan"`
	Formats   []string `yaml:"formats"` // endings of files; empty: md and html
}

// Experiments returns the names of the embedded experiments.
func Experiments() []string {
	files, _ := fs.Glob(embeddedExperiments, "experiments/*.yaml") // the pattern is well-formed
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

// LoadExperiment reads an embedded experiment or a YAML file. All errors are
// *Error.
func LoadExperiment(nameOrPath string) (*Experiment, error) {
	name := nameOrPath
	text, err := embeddedExperiments.ReadFile("experiments/" + nameOrPath + ".yaml")
	if err == nil {
		name = "experiment " + nameOrPath
	} else if text, err = os.ReadFile(nameOrPath); err != nil {
		bad := &Error{Field: nameOrPath, Msg: "is no experiment and no readable file", Hint: "a YAML file, or " + strings.Join(Experiments(), ", ")}
		var unread *fs.PathError
		switch {
		case !errors.Is(err, fs.ErrNotExist) && errors.As(err, &unread):
			bad.Msg += ": " + unread.Err.Error()
		case path.Ext(nameOrPath) == "":
			bad.Msg += "; did you mean " + Nearest(nameOrPath, Experiments()) + "?"
		}
		return nil, bad
	}
	var e Experiment
	if err := yaml.UnmarshalWithOptions(text, &e, yaml.Strict()); err != nil {
		bad := &Error{Path: name, Msg: err.Error(), Hint: "docs/experiments.md lists the keys"}
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			bad.Msg = syntax.GetMessage()
			if token := syntax.GetToken(); token != nil {
				bad.Line = token.Position.Line
			}
		}
		return nil, bad
	}
	if err := e.check(); err != nil {
		err.Path = name
		return nil, err
	}
	return &e, nil
}

// plainName is a name that may be a part of a path and of a job's name.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// check says what of the experiment cannot be.
func (e *Experiment) check() *Error {
	bad := func(field, format string, args ...any) *Error {
		return &Error{Field: field, Msg: fmt.Sprintf(format, args...), Hint: "docs/experiments.md has an example"}
	}
	if e.Out == "" {
		return bad("out", "names no folder")
	}
	for field, names := range map[string][]string{"vocabularies": slices.Sorted(maps.Keys(e.Vocabularies)), "corpora": slices.Sorted(maps.Keys(e.Corpora)), "tasks": slices.Sorted(maps.Keys(e.Tasks))} {
		for _, name := range names {
			if !plainName.MatchString(name) {
				return bad(field, "the name %q has more than letters, digits, dots, hyphens and underscores", name)
			}
		}
	}
	vocabulary := func(field, name string) *Error {
		if _, ok := e.Vocabularies[name]; !ok {
			return bad(field+".vocabulary", "there is no vocabulary %q among %s", name, strings.Join(slices.Sorted(maps.Keys(e.Vocabularies)), ", "))
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.Vocabularies)) {
		if v := e.Vocabularies[name]; (v.Path == "") == (len(v.Input) == 0) {
			return bad("vocabularies."+name, "needs either a path or input to be trained on")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Corpora)) {
		c := e.Corpora[name]
		if len(c.Input) == 0 {
			return bad("corpora."+name, "has no input")
		}
		if err := vocabulary("corpora."+name, c.Vocabulary); err != nil {
			return err
		}
		if err := loads("corpora."+name, c.Config, c.Set); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Tasks)) {
		t := e.Tasks[name]
		if t.Data == "" {
			return bad("tasks."+name, "has no data")
		}
		if len(t.Names) == 0 && len(e.Finetune.Tasks) == 0 {
			return bad("tasks."+name, "names no tasks, and finetune.tasks neither")
		}
		if err := vocabulary("tasks."+name, t.Vocabulary); err != nil {
			return err
		}
		if err := loads("tasks."+name, t.Config, t.Set); err != nil {
			return err
		}
	}
	if len(e.Models) > 0 && (len(e.Finetune.Tasks) == 0 || len(e.Finetune.Seeds) == 0) {
		return bad("finetune", "needs tasks and seeds")
	}
	if len(e.Finetune.Grid) > 0 && e.Finetune.Dev == "" {
		return bad("finetune.grid", "chooses by a dev split, and finetune.dev names none")
	}
	return e.checkModels(bad)
}

func (e *Experiment) checkModels(bad func(field, format string, args ...any) *Error) *Error {
	var names []string
	for i, m := range e.Models {
		field := fmt.Sprintf("models[%d]", i)
		if !plainName.MatchString(m.Name) {
			return bad(field+".name", "%q is no name of letters, digits, dots, hyphens and underscores", m.Name)
		}
		if slices.Contains(names, m.Name) {
			return bad(field+".name", "two models are called %s", m.Name)
		}
		names = append(names, m.Name)
		field = "models." + m.Name
		if m.Corpus == "" && m.From == "" {
			return bad(field, "needs a corpus to be pretrained on, or from, where its weights are")
		}
		for of, name := range map[string]string{"corpus": m.Corpus, "valid": m.Valid} {
			if _, ok := e.Corpora[name]; !ok && name != "" {
				return bad(field+"."+of, "there is no corpus %q among %s", name, strings.Join(slices.Sorted(maps.Keys(e.Corpora)), ", "))
			}
		}
		if _, ok := e.Tasks[m.Tasks]; !ok {
			return bad(field+".tasks", "there are no tasks %q among %s", m.Tasks, strings.Join(slices.Sorted(maps.Keys(e.Tasks)), ", "))
		}
		if m.From == m.Name {
			return bad(field+".from", "is the model itself")
		}
		if slices.ContainsFunc(e.Models[i+1:], func(later ExperimentModel) bool { return later.Name == m.From }) {
			return bad(field+".from", "%s stands behind it: name the model that others begin from first", m.From)
		}
		if err := loads(field, m.Config, slices.Concat(m.Set, e.Finetune.Set)); err != nil {
			return err
		}
	}
	return nil
}

// loads makes sure that a configuration can be read before anything is run.
func loads(field, config string, set []string) *Error {
	_, err := Load(config, set)
	var bad *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return &Error{Field: field, Msg: bad.Error(), Hint: bad.Hint}
	}
	return &Error{Field: field, Msg: err.Error()}
}
