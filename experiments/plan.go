// Package experiments runs a comparison of models that one file declares: it
// plans the steps, each a glmkit command, runs those that are missing, and keeps a
// record of each, from which a cell of the table leads back to its run.
//
//	plan, err := experiments.NewPlan(experiment)
//	err = plan.Run(ctx, experiments.Options{Exec: exec})
package experiments

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// Step is one command of a plan.
type Step struct {
	ID    string   // such as finetune/GLM/CB/1
	Args  []string // of glmkit
	Needs []string // ids of steps that come before
	Out   string   // the file or folder that it leaves
	Cost  string   // what there is to compute, in words; may be empty
	// Key identifies what the step makes: its arguments, its configuration, the
	// names and sizes of its input, and the keys of what it needs.
	Key string
	// Again says that the step may run anew over what it left before.
	Again bool

	inputs []string // files and folders that no step makes
}

// Plan is an experiment's steps, each behind those that it needs.
type Plan struct {
	Out   string
	Steps []*Step
}

// planner adds steps to a plan.
type planner struct {
	plan *Plan
	e    *configs.Experiment
}

// NewPlan plans an experiment. Input that is not there is found when it is run.
func NewPlan(e *configs.Experiment) (*Plan, error) {
	p := planner{&Plan{Out: filepath.Clean(e.Out)}, e}
	p.world()
	p.vocabularies()
	p.corpora()
	p.tasks()
	for _, m := range e.Models {
		p.pretrain(m)
	}
	for _, m := range e.Models {
		p.finetune(m)
	}
	p.report()
	for _, s := range p.plan.Steps {
		if err := p.plan.identify(s); err != nil {
			return nil, err
		}
	}
	return p.plan, nil
}

// Step is the step of that id; nil where there is none.
func (p *Plan) Step(id string) *Step {
	i := slices.IndexFunc(p.Steps, func(s *Step) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return p.Steps[i]
}

func (p planner) add(s *Step) { p.plan.Steps = append(p.plan.Steps, s) }

// in is a path of the experiment's folder.
func (p planner) in(parts ...string) string {
	return filepath.Join(append([]string{p.plan.Out}, parts...)...)
}

// path puts the experiment's folder into a path.
func (p planner) path(text string) string {
	return strings.ReplaceAll(text, "{out}", p.plan.Out)
}

// input adds paths to the arguments of a step, and what they ask for: the world
// where they lie in it.
func (p planner) input(s *Step, paths ...string) {
	for _, path := range paths {
		path = p.path(path)
		if p.e.World != nil && inside(p.in("world"), path) {
			s.need("world")
		} else {
			s.inputs = append(s.inputs, path)
		}
	}
}

func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (s *Step) need(id string) {
	if !slices.Contains(s.Needs, id) {
		s.Needs = append(s.Needs, id)
	}
}

// flag adds a flag unless its value is the zero one.
func (s *Step) flag(name, value string) {
	if value != "" && value != "0" {
		s.Args = append(s.Args, "--"+name, value)
	}
}

// configured adds a configuration, which may be a file.
func (s *Step) configured(config string, sets ...string) {
	s.flag("config", config)
	for _, set := range sets {
		s.flag("set", set)
	}
	if config != "" && !slices.Contains(configs.Presets(), config) {
		s.inputs = append(s.inputs, config)
	}
}

// vocabulary adds a vocabulary, and the step that trains it.
func (p planner) vocabulary(s *Step, name string) {
	v := p.e.Vocabularies[name]
	if v.Path != "" {
		s.flag("tokenizer", p.path(v.Path))
		p.input(s, v.Path)
		return
	}
	s.flag("tokenizer", p.vocabularyPath(name))
	s.need("vocabulary/" + name)
}

func (p planner) vocabularyPath(name string) string {
	if p.e.Vocabularies[name].Kind == "bpe" {
		return p.in("vocabularies", name)
	}
	return p.in("vocabularies", name, "vocab.txt")
}

func (p planner) world() {
	w := p.e.World
	if w == nil {
		return
	}
	s := &Step{ID: "world", Args: []string{"prepare", "microworld", "--out", p.in("world")}, Out: p.in("world")}
	for _, f := range []struct {
		name  string
		value int
	}{{"documents", w.Documents}, {"held", w.Held}, {"train-size", w.TrainSize}, {"val-size", w.ValSize}, {"people", w.People}, {"difficulty", w.Difficulty}} {
		s.flag(f.name, strconv.Itoa(f.value))
	}
	s.flag("seed", strconv.FormatUint(w.Seed, 10))
	p.add(s)
}

func (p planner) vocabularies() {
	for _, name := range slices.Sorted(maps.Keys(p.e.Vocabularies)) {
		v := p.e.Vocabularies[name]
		if v.Path != "" {
			continue
		}
		s := &Step{ID: "vocabulary/" + name, Args: []string{"prepare", "vocab"}, Out: p.vocabularyPath(name)}
		for _, path := range v.Input {
			s.Args = append(s.Args, p.path(path))
		}
		p.input(s, v.Input...)
		s.flag("kind", v.Kind)
		s.flag("size", strconv.Itoa(v.Size))
		if v.Cased {
			s.Args = append(s.Args, "--cased")
		}
		s.flag("out", s.Out)
		p.add(s)
	}
}

func (p planner) corpora() {
	for _, name := range slices.Sorted(maps.Keys(p.e.Corpora)) {
		c := p.e.Corpora[name]
		s := &Step{ID: "corpus/" + name, Args: []string{"prepare", "corpus"}, Out: p.in("corpora", name, "manifest.json")}
		for _, path := range c.Input {
			s.Args = append(s.Args, p.path(path))
		}
		p.input(s, c.Input...)
		p.vocabulary(s, c.Vocabulary)
		s.configured(c.Config, c.Set...)
		for _, path := range c.Decontaminate {
			s.flag("decontaminate", p.path(path))
		}
		p.input(s, c.Decontaminate...)
		s.flag("out", p.in("corpora", name))
		p.add(s)
	}
}

func (p planner) tasks() {
	for _, name := range slices.Sorted(maps.Keys(p.e.Tasks)) {
		t := p.e.Tasks[name]
		names := t.Names
		if len(names) == 0 {
			names = p.e.Finetune.Tasks
		}
		names = expand(names)
		s := &Step{ID: "tasks/" + name, Args: append([]string{"prepare", "task"}, names...), Out: p.in("tasks", name, names[len(names)-1])}
		s.flag("data", p.path(t.Data))
		p.input(s, t.Data)
		p.vocabulary(s, t.Vocabulary)
		s.flag("form", t.Form)
		s.flag("pattern", t.Pattern)
		s.configured(t.Config, t.Set...)
		s.flag("out", p.in("tasks", name))
		if t.Pattern == "all" || strings.Contains(t.Pattern, ",") {
			s.Out = p.in("tasks", name)
		}
		p.add(s)
	}
}

// expand replaces all by the names of the eight tasks, and gives known tasks their
// own spelling.
func expand(names []string) []string {
	var out []string
	for _, name := range names {
		if strings.EqualFold(name, "all") {
			out = append(out, tasks.Names()...)
			continue
		}
		if task, err := tasks.Get(name); err == nil {
			name = task.Name
		}
		out = append(out, name)
	}
	return out
}

// computed adds where and on how many threads a step computes.
func (p planner) computed(s *Step) {
	s.flag("device", p.e.Device)
	s.flag("threads", strconv.Itoa(p.e.Threads))
}

// weights are what a model begins from: a path, and the step that makes it.
func (p planner) weights(s *Step, from string) string {
	i := slices.IndexFunc(p.e.Models, func(m configs.ExperimentModel) bool { return m.Name == from })
	switch {
	case i < 0:
		p.input(s, from)
		return p.path(from)
	case p.e.Models[i].Corpus == "":
		return p.weights(s, p.e.Models[i].From)
	}
	s.need("pretrain/" + from)
	return p.in("runs", from)
}

func (p planner) pretrain(m configs.ExperimentModel) {
	if m.Corpus == "" {
		return
	}
	s := &Step{ID: "pretrain/" + m.Name, Args: []string{"train", "pretrain"}, Out: p.in("runs", m.Name, "latest")}
	s.configured(m.Config, m.Set...)
	s.flag("data", p.in("corpora", m.Corpus))
	s.need("corpus/" + m.Corpus)
	if m.Valid != "" {
		s.flag("valid", p.in("corpora", m.Valid))
		s.need("corpus/" + m.Valid)
	}
	if m.From != "" {
		s.flag("from", p.weights(s, m.From))
	}
	s.flag("out", p.in("runs", m.Name))
	p.computed(s)
	if c, err := configs.Load(m.Config, m.Set); err == nil {
		t := c.Train
		s.Cost = fmt.Sprintf("%d steps of %d windows of %d tokens", t.Steps, t.BatchSize, c.Data.SeqLength)
	}
	p.add(s)
}

// finetune adds the finetuning and the evaluation of a model: a step for each
// task and seed, or for each task where a grid is searched.
func (p planner) finetune(m configs.ExperimentModel) {
	f := p.e.Finetune
	config, err := configs.Load(m.Config, slices.Concat(m.Set, f.Set))
	seeds := make([]string, len(f.Seeds))
	for i, seed := range f.Seeds {
		seeds[i] = strconv.FormatUint(seed, 10)
	}
	groups := seeds
	if len(f.Grid) > 0 {
		groups = []string{strings.Join(seeds, ",")}
	}
	prepared := expand(p.e.Tasks[m.Tasks].Names)
	for _, task := range expand(f.Tasks) {
		if len(prepared) > 0 && !slices.Contains(prepared, task) {
			continue
		}
		for _, group := range groups {
			id, run := m.Name+"/"+task, p.in("finetuned", m.Name, task)
			left := run
			if len(f.Grid) == 0 {
				id += "/" + group
				run = filepath.Join(run, "seed-"+group)
				left = filepath.Join(run, "latest")
			} else {
				left = filepath.Join(run, "grid.json")
			}
			s := &Step{ID: "finetune/" + id, Args: []string{"train", "finetune"}, Out: left}
			s.configured(m.Config, slices.Concat(m.Set, f.Set)...)
			from := m.Name
			if m.Corpus == "" {
				from = m.From
			}
			s.flag("from", p.weights(s, from))
			s.flag("tasks", p.in("tasks", m.Tasks))
			s.need("tasks/" + m.Tasks)
			s.flag("task", task)
			s.Args = append(s.Args, "--seeds", group)
			s.flag("dev", f.Dev)
			for _, grid := range f.Grid {
				s.flag("grid", grid)
			}
			s.flag("out", p.in("finetuned", m.Name))
			p.computed(s)
			if err == nil {
				recipe := config.Finetune.For(task)
				s.Cost = fmt.Sprintf("%d epochs in batches of %d", recipe.Epochs, recipe.BatchSize)
				if recipe.MaxSteps > 0 {
					s.Cost += fmt.Sprintf(", at most %d steps", recipe.MaxSteps)
				}
			}
			p.add(s)

			split := cmp.Or(f.Split, "val")
			results := p.in("results", m.Name)
			e := &Step{ID: "eval/" + id, Needs: []string{s.ID}, Args: []string{"eval", run}, Out: results, Again: true}
			if len(f.Grid) == 0 {
				e.Out = filepath.Join(results, fmt.Sprintf("%s-%s-%s-seed%s.result.json", task, split, m.Name, group))
			}
			e.flag("tasks", p.in("tasks", m.Tasks))
			e.flag("split", split)
			e.flag("name", m.Name)
			e.flag("out", results)
			p.computed(e)
			p.add(e)
		}
	}
}

func (p planner) report() {
	if len(p.e.Models) == 0 {
		return
	}
	r := p.e.Report
	formats := r.Formats
	if len(formats) == 0 {
		formats = []string{"md", "html"}
	}
	var needs []string
	for _, s := range p.plan.Steps {
		if strings.HasPrefix(s.ID, "eval/") {
			needs = append(needs, s.ID)
		}
	}
	for _, format := range formats {
		s := &Step{ID: "report/" + format, Needs: needs, Args: []string{"report", p.in("results")}, Out: p.in("report." + format), Again: true}
		s.flag("baseline", r.Baseline)
		s.flag("published", r.Published)
		s.flag("plan", strconv.Itoa(r.Plan))
		if format == "html" {
			if slices.ContainsFunc(p.plan.Steps, func(s *Step) bool { return strings.HasPrefix(s.ID, "pretrain/") }) {
				s.flag("runs", p.in("runs"))
			}
			s.flag("runs", p.in("finetuned"))
		}
		s.flag("out", s.Out)
		p.add(s)
	}
}

// identify computes the key of a step, whose needs have theirs.
func (p *Plan) identify(s *Step) error {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q\n", s.Args)
	for _, id := range s.Needs {
		need := p.Step(id)
		if need == nil || need.Key == "" {
			return fmt.Errorf("planning %s: %s does not come before it", s.ID, id)
		}
		fmt.Fprintln(hash, id, need.Key)
	}
	for _, path := range s.inputs {
		if err := describe(hash, path); err != nil {
			return fmt.Errorf("planning %s: %w", s.ID, err)
		}
	}
	s.Key = hex.EncodeToString(hash.Sum(nil)[:16])
	return nil
}

// wholeFile is the size up to which an input is known by its content: it may be a
// configuration.
const wholeFile = 1 << 20

// describe writes what is known of an input without reading all of it. One that
// is no file, such as a pattern or an address, is known by its name.
func describe(w io.Writer, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(w, "%q\n", path)
		return nil
	}
	if !info.IsDir() {
		return describeFile(w, path, info)
	}
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			fmt.Fprintf(w, "%q %d\n", name, info.Size())
		}
		return err
	})
}

func describeFile(w io.Writer, path string, info fs.FileInfo) error {
	fmt.Fprintf(w, "%q %d\n", path, info.Size())
	if info.Size() > wholeFile || !info.Mode().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
