package configs

import (
	"maps"
	"strings"
)

// cutLengths cuts what may be longer than the model has positions for: the window
// and the lengths of recipes, where may says so of their key, and those of recipes
// for written answers always. A model too small for any recipe is left to Validate.
func (c *Config) cutLengths(may func(key string) bool) {
	most := c.Model.MaxPositions
	if most < shortestRecipe {
		return
	}
	c.cut = map[string]int{}
	cut := func(key string, length *int, writes bool) {
		if *length > most && (writes || may(key)) {
			c.cut[key] = *length
			*length = most
		}
	}
	recipe := func(key string, r *Recipe) {
		cut(key+".seq_length", &r.SeqLength, r.TargetLength > 0)
		cut(key+".target_length", &r.TargetLength, true)
	}
	cut("data.seq_length", &c.Data.SeqLength, false)
	recipe("finetune", &c.Finetune.Recipe)
	for task, r := range c.Finetune.Tasks {
		recipe("finetune.tasks."+task, &r)
		c.Finetune.Tasks[task] = r
	}
}

// CutLength is what data.seq_length of the defaults or a preset was before it was
// cut to the model's positions; 0: it was not cut.
func (c *Config) CutLength() int { return c.cut["data.seq_length"] }

// CutLengthFor is what the seq_length of a task's recipe, named as for
// [Finetune.For], was before it was cut to the model's positions; 0: it was not cut.
func (c *Config) CutLengthFor(task string) int {
	task = strings.ToLower(task)
	if c.Finetune.Tasks[task].SeqLength > 0 {
		return c.cut["finetune.tasks."+task+".seq_length"]
	}
	return c.cut["finetune.seq_length"]
}

// Of returns the configuration of a run whose model came with its weights: lengths
// are cut to its positions.
func (c *Config) Of(m Model) *Config {
	out := *c
	out.Model = m
	out.Finetune.Tasks = maps.Clone(c.Finetune.Tasks)
	out.cutLengths(func(string) bool { return true })
	return &out
}
