package configs

import (
	_ "embed" // the data file of published results
	"fmt"

	"github.com/goccy/go-yaml"
)

//go:embed baselines/superglue.yaml
var superglueBaselines []byte

// Baselines are published results, each with its source.
type Baselines struct {
	// Metrics names the metrics of each task in the order of Baseline.Values.
	Metrics map[string][]string `yaml:"metrics"`
	// Examples counts those of a task's development set, where counted.
	Examples map[string]int    `yaml:"examples"`
	Sources  map[string]Source `yaml:"sources"`
	Rows     []Baseline        `yaml:"rows"` // in the order of the table
}

// Source says where a published value stands and how it was taken from there.
type Source struct {
	Paper string `yaml:"paper" json:"paper"`
	Table string `yaml:"table" json:"table"`
	Read  string `yaml:"read" json:"read"`
}

// Baseline is one published model.
type Baseline struct {
	Model    string               `yaml:"model"`
	Group    string               `yaml:"group"`  // base or large
	Corpus   string               `yaml:"corpus"` // what it was pretrained on
	SourceID string               `yaml:"source"` // key of Baselines.Sources, for every value of the row
	Values   map[string][]float64 `yaml:"values"` // by task, 0–100
	Average  float64              `yaml:"average"`
	Note     string               `yaml:"note"`
}

// PublishedBaselines reads the published SuperGLUE results embedded in the
// binary. A row without a source, or with other metrics than the file's own
// list, is an error.
func PublishedBaselines() (*Baselines, error) {
	return parseBaselines(superglueBaselines)
}

func parseBaselines(data []byte) (*Baselines, error) {
	var b Baselines
	if err := yaml.UnmarshalWithOptions(data, &b, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("reading the published baselines: %w", err)
	}
	for _, row := range b.Rows {
		source := b.Sources[row.SourceID]
		if source.Paper == "" || source.Table == "" || source.Read == "" {
			return nil, fmt.Errorf("published baseline %s: source %q does not say paper, table and how it was read", row.Model, row.SourceID)
		}
		if row.Group != "base" && row.Group != "large" {
			return nil, fmt.Errorf("published baseline %s: group %q is neither base nor large", row.Model, row.Group)
		}
		for task, values := range row.Values {
			if len(values) == 0 || len(values) != len(b.Metrics[task]) {
				return nil, fmt.Errorf("published baseline %s: %s has %d values for %d metrics", row.Model, task, len(values), len(b.Metrics[task]))
			}
		}
	}
	return &b, nil
}
