package configs

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed baselines/*.yaml
var baselineFiles embed.FS

// Baselines are published results of one kind, each with its source: a file in
// baselines/.
type Baselines struct {
	Table   string            `yaml:"table"` // title
	Tasks   []BaselineTask    `yaml:"tasks"` // in the order of the table
	Sources map[string]Source `yaml:"sources"`
	Rows    []Baseline        `yaml:"rows"` // in the order of the table
}

// BaselineTask is a column of published results.
type BaselineTask struct {
	Name     string   `yaml:"name"`
	Metrics  []string `yaml:"metrics"`  // in the order of Baseline.Values
	Examples int      `yaml:"examples"` // of its development set, where counted
}

// Task is the task of that name; without metrics where there is none.
func (b *Baselines) Task(name string) BaselineTask {
	i := slices.IndexFunc(b.Tasks, func(t BaselineTask) bool { return t.Name == name })
	if i < 0 {
		return BaselineTask{}
	}
	return b.Tasks[i]
}

// Source says where published values stand and how they were taken from there.
type Source struct {
	Paper string `yaml:"paper" json:"paper"`
	Table string `yaml:"table" json:"table"`
	Split string `yaml:"split" json:"split"` // of the data; "not stated" where what was read does not say
	// Tag is how it was read: I off a picture of the printed table, RM in the
	// README of the authors' repository, S in a second source that quotes the
	// paper. Values that were only remembered are no baselines.
	Tag  string `yaml:"tag" json:"tag"`
	Read string `yaml:"read" json:"read"`
}

// readTags are the tags of values that were read.
var readTags = []string{"I", "RM", "S"}

// BaselineGroups lists the values of Baseline.Group.
var BaselineGroups = []string{"base", "large", "10b", "ablation"}

// Baseline is one published model.
type Baseline struct {
	Model    string               `yaml:"model"`
	Group    string               `yaml:"group"`   // one of BaselineGroups
	Corpus   string               `yaml:"corpus"`  // what it was pretrained on, where stated
	SourceID string               `yaml:"source"`  // key of Baselines.Sources, for every value of the row
	Values   map[string][]float64 `yaml:"values"`  // by task, as printed
	Average  float64              `yaml:"average"` // as printed; 0: none is
	Note     string               `yaml:"note"`    // what is odd about the row
}

// PublishedBaselines reads the published SuperGLUE results embedded in the
// binary. A row without a source, or with other metrics than the file's own
// list, is an error.
func PublishedBaselines() (*Baselines, error) { return readBaselines("superglue.yaml") }

// AllBaselines reads every file of published results, SuperGLUE first.
func AllBaselines() ([]*Baselines, error) {
	entries, err := baselineFiles.ReadDir("baselines")
	if err != nil {
		return nil, fmt.Errorf("reading the published baselines: %w", err)
	}
	first, err := PublishedBaselines()
	if err != nil {
		return nil, err
	}
	all := []*Baselines{first}
	for _, entry := range entries {
		if entry.Name() == "superglue.yaml" {
			continue
		}
		b, err := readBaselines(entry.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func readBaselines(name string) (*Baselines, error) {
	text, err := baselineFiles.ReadFile("baselines/" + name)
	if err != nil {
		return nil, fmt.Errorf("reading the published baselines: %w", err)
	}
	b, err := parseBaselines(text)
	if err != nil {
		return nil, fmt.Errorf("reading the published baselines of %s: %w", name, err)
	}
	return b, nil
}

func parseBaselines(data []byte) (*Baselines, error) {
	var b Baselines
	if err := yaml.UnmarshalWithOptions(data, &b, yaml.Strict()); err != nil {
		return nil, err
	}
	if b.Table == "" || len(b.Tasks) == 0 {
		return nil, errors.New("there is no table or no task")
	}
	for id, source := range b.Sources {
		if source.Paper == "" || source.Table == "" || source.Split == "" || source.Read == "" {
			return nil, fmt.Errorf("source %q does not say paper, table, split and how it was read", id)
		}
		if !slices.Contains(readTags, source.Tag) {
			return nil, fmt.Errorf("source %q has the tag %q, not one of %s", id, source.Tag, strings.Join(readTags, ", "))
		}
	}
	for _, row := range b.Rows {
		if _, ok := b.Sources[row.SourceID]; !ok {
			return nil, fmt.Errorf("%s: there is no source %q", row.Model, row.SourceID)
		}
		if !slices.Contains(BaselineGroups, row.Group) {
			return nil, fmt.Errorf("%s: group %q is none of %s", row.Model, row.Group, strings.Join(BaselineGroups, ", "))
		}
		for task, values := range row.Values {
			if of := b.Task(task).Metrics; len(values) == 0 || len(values) != len(of) {
				return nil, fmt.Errorf("%s: %s has %d values for %d metrics", row.Model, task, len(values), len(of))
			}
		}
	}
	return &b, nil
}
