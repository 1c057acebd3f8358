package configs

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

//go:embed grids
var embeddedGrids embed.FS

// Grid is a search over recipes of finetuning: every combination of one value
// of each axis. The grid without axes has one cell, the recipe as it is.
type Grid []Axis

// Axis is a key of a recipe with the values that are tried.
type Axis struct {
	Name   string   // the key's last part, as in lr
	Values []string // YAML scalars, numbers in their shortest spelling

	key   string // below finetune, as in optimizer.lr
	layer string // where it was given, for errors,
	line  int    // and on which line, if any
}

// Setting is one value of one axis.
type Setting struct {
	Axis  *Axis
	Value string
}

// Cell is one combination of a grid, in the order of its axes.
type Cell []Setting

// patternAxis is the axis that chooses prepared data instead of a recipe's key.
const patternAxis = "pattern"

// Grids returns the names of the embedded grids in alphabetical order.
func Grids() []string {
	files, _ := fs.Glob(embeddedGrids, "grids/*.yaml") // the pattern is well-formed
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	slices.Sort(files)
	return files
}

// ParseGrid reads a grid of parts, each an axis "lr=1e-5,2e-5", the name of an
// embedded grid, or a YAML file "lr: [1e-5, 2e-5]". A later part replaces an
// earlier one's axis of the same name. Keys are those of a recipe, whole or
// their last part. All errors are *Error.
func ParseGrid(parts []string) (Grid, error) {
	var g Grid
	for _, part := range parts {
		var axes Grid
		var err error
		if key, values, ok := strings.Cut(part, "="); ok {
			var axis Axis
			axis, err = newAxis("--grid "+part, 0, strings.TrimSpace(key), strings.Split(values, ","))
			axes = Grid{axis}
		} else {
			axes, err = readGrid(part)
		}
		if err != nil {
			return nil, err
		}
		for _, axis := range axes {
			if i := slices.IndexFunc(g, func(a Axis) bool { return a.Name == axis.Name }); i >= 0 {
				g[i] = axis
			} else {
				g = append(g, axis)
			}
		}
	}
	return g, nil
}

// readGrid reads an embedded grid or a file.
func readGrid(nameOrPath string) (Grid, error) {
	layer := nameOrPath
	data, err := embeddedGrids.ReadFile("grids/" + nameOrPath + ".yaml")
	if err == nil {
		layer = "grid " + nameOrPath
	} else if data, err = os.ReadFile(nameOrPath); err != nil {
		return nil, &Error{Field: "--grid " + nameOrPath, Msg: "is no axis, no grid and no readable file", Hint: "--grid lr=1e-5,2e-5; a grid: " + strings.Join(Grids(), ", ") + "; or a YAML file like lr: [1e-5, 2e-5]"}
	}
	m := merger{layer: layer}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, m.syntax(err)
	}
	var g Grid
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		mapping, ok := doc.Body.(*ast.MappingNode)
		if !ok {
			return nil, m.errorAt(doc.Body, "", "want keys with lists of values", "lr: [1e-5, 2e-5]")
		}
		for _, entry := range mapping.Values {
			key := entry.Key.GetToken().Value
			list, ok := entry.Value.(*ast.SequenceNode)
			if !ok {
				return nil, m.errorAt(entry.Value, key, "want a list of values", key+": [1, 2]")
			}
			var values []string
			for _, node := range list.Values {
				text, plain := scalarText(node)
				if !plain {
					return nil, m.errorAt(node, key, "want numbers or words", key+": [1, 2]")
				}
				values = append(values, text)
			}
			axis, err := newAxis(layer, m.line(entry.Key), key, values)
			if err != nil {
				return nil, err
			}
			g = append(g, axis)
		}
	}
	if len(g) == 0 {
		return nil, &Error{Path: layer, Msg: "holds no axis", Hint: "lr: [1e-5, 2e-5]"}
	}
	return g, nil
}

func newAxis(layer string, line int, key string, values []string) (Axis, error) {
	fail := func(msg, hint string) (Axis, error) {
		return Axis{}, &Error{Path: layer, Line: line, Msg: msg, Hint: hint}
	}
	known := recipeKeys()
	i := slices.IndexFunc(known, func(k string) bool { return k == key || lastPart(k) == key })
	if i < 0 {
		var names []string
		for _, k := range known {
			names = append(names, lastPart(k))
		}
		return fail(fmt.Sprintf("unknown key %s; did you mean %s?", key, Nearest(key, names)), "a key of finetune: "+strings.Join(names, ", "))
	}
	axis := Axis{Name: lastPart(known[i]), key: known[i], layer: layer, line: line}
	if axis.Name == "seq_length" {
		return fail("seq_length belongs to the prepared tasks", "glmkit prepare task --max-length, into a folder for each length")
	}
	for _, value := range values {
		if value = shortest(strings.TrimSpace(value)); value == "" {
			return fail(axis.Name+" has an empty value", "--grid "+axis.Name+"=1,2")
		}
		if slices.Contains(axis.Values, value) {
			return fail(fmt.Sprintf("%s has the value %s twice", axis.Name, value), "each value once")
		}
		axis.Values = append(axis.Values, value)
	}
	if len(axis.Values) == 0 {
		return fail(axis.Name+" has no values", "--grid "+axis.Name+"=1,2")
	}
	return axis, nil
}

// recipeKeys are the dotted keys of a recipe that hold values.
func recipeKeys() []string {
	var keys []string
	var walk func(t reflect.Type, key string)
	walk = func(t reflect.Type, key string) {
		for f := range fieldsOf(t) {
			if field := t.FieldByIndex(f.index).Type; field.Kind() == reflect.Struct {
				if field != reflect.TypeFor[Decoding]() { // no part of training
					walk(field, join(key, f.key))
				}
			} else {
				keys = append(keys, join(key, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Recipe](), "")
	return keys
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// shortest spells a number in one way, so that the same cell always has the
// same name; what is no number stays.
func shortest(text string) string {
	number, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil {
		return text
	}
	plain := strconv.FormatFloat(number, 'f', -1, 64)
	exponent := strconv.FormatFloat(number, 'e', -1, 64)
	exponent = strings.Replace(strings.Replace(exponent, "e-0", "e-", 1), "e+0", "e", 1)
	if number == math.Trunc(number) || len(plain) <= len(exponent) {
		return plain
	}
	return exponent
}

// Cells lists the combinations, the last axis changing fastest.
func (g Grid) Cells() []Cell {
	cells := []Cell{nil}
	for i := range g {
		var longer []Cell
		for _, cell := range cells {
			for _, value := range g[i].Values {
				longer = append(longer, append(slices.Clone(cell), Setting{&g[i], value}))
			}
		}
		cells = longer
	}
	return cells
}

// Name is the cell's settings as the name of a folder, as in
// lr=1e-5,batch_size=16; empty in the grid without axes.
func (c Cell) Name() string { return strings.Join(c.Settings(), ",") }

// Settings are what the cell's name consists of, one of each axis.
func (c Cell) Settings() []string {
	var settings []string
	for _, s := range c {
		settings = append(settings, s.Axis.Name+"="+s.Value)
	}
	return settings
}

// Pattern is the pattern whose prepared data the cell takes; empty where the
// grid has no axis of patterns.
func (c Cell) Pattern() string {
	for _, s := range c {
		if s.Axis.Name == patternAxis {
			return s.Value
		}
	}
	return ""
}

// With returns the configuration in which the recipe of a task, named as for
// [Finetune.For], has a cell's values. A value that the key cannot have is an
// *Error.
func (c *Config) With(task string, cell Cell) (*Config, error) {
	out := *c
	out.Finetune.Recipe = c.Finetune.For(task)
	m := merger{config: &out, origin: map[string]origin{}}
	for _, s := range cell {
		m.layer, m.at = s.Axis.layer, s.Axis.line
		if err := m.assign("finetune."+s.Axis.key, s.Value); err != nil {
			return nil, err
		}
	}
	// The task's own part has it too: written as YAML and read back, that goes
	// before the common recipe.
	out.Finetune.Tasks = maps.Clone(c.Finetune.Tasks)
	if _, ok := out.Finetune.Tasks[strings.ToLower(task)]; ok {
		out.Finetune.Tasks[strings.ToLower(task)] = out.Finetune.Recipe
	}
	if err := out.Validate(); err != nil {
		return nil, m.locate(err)
	}
	return &out, nil
}
