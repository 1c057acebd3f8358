package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

const defaultsFile = "defaults.yaml"

//go:embed defaults.yaml presets
var embedded embed.FS

// Presets returns the names of the embedded presets in alphabetical order.
func Presets() []string {
	files, _ := fs.Glob(embedded, "presets/*.yaml") // the pattern is well-formed
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	slices.Sort(files)
	return files
}

// Load reads a preset or, where no preset has the name, a YAML file, over the
// built-in defaults, and then applies sets, each "key.of.a.field=value" with a
// YAML value. The empty name is the defaults alone. Lengths of the defaults and of
// presets are cut to the model's positions ([Config.CutLength]); longer ones of a
// file or of sets are wrong. The result is valid; all errors are *Error and name the
// file and line, or the assignment, at fault.
func Load(nameOrPath string, sets []string) (*Config, error) {
	var c Config
	m := merger{config: &c, origin: map[string]origin{}, builtIn: true}
	defaults, err := embedded.ReadFile(defaultsFile)
	if err != nil {
		return nil, fmt.Errorf("reading the built-in defaults: %w", err)
	}
	if err := m.file(defaultsFile, defaults); err != nil {
		return nil, err
	}
	if nameOrPath != "" {
		name, preset, data, err := read(nameOrPath)
		if err != nil {
			return nil, err
		}
		m.builtIn = preset
		if err := m.file(name, data); err != nil {
			return nil, err
		}
	}
	m.builtIn = false
	for _, s := range sets {
		if err := m.set(s); err != nil {
			return nil, err
		}
	}
	c.cutLengths(func(key string) bool { return m.origin[key].builtIn })
	if err := c.Validate(); err != nil {
		return nil, m.locate(err)
	}
	return &c, nil
}

// read returns a preset or a file, and the name that errors give it.
func read(nameOrPath string) (name string, preset bool, data []byte, err error) {
	if slices.Contains(Presets(), nameOrPath) {
		name = nameOrPath + ".yaml"
		data, err = embedded.ReadFile("presets/" + name)
		return "preset " + nameOrPath, true, data, err
	}
	data, err = os.ReadFile(nameOrPath)
	if err == nil {
		return nameOrPath, false, data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, nil, &Error{Field: nameOrPath, Msg: err.Error(), Hint: "a readable YAML file"}
	}
	if strings.ContainsAny(nameOrPath, `/\`) || strings.HasSuffix(nameOrPath, ".yaml") || strings.HasSuffix(nameOrPath, ".yml") {
		return "", false, nil, &Error{Field: nameOrPath, Msg: "no such file", Hint: "a YAML file or a preset: " + strings.Join(Presets(), ", ")}
	}
	return "", false, nil, &Error{
		Msg:  fmt.Sprintf("no preset and no file is named %q; did you mean %s?", nameOrPath, Nearest(nameOrPath, Presets())),
		Hint: "one of the presets " + strings.Join(Presets(), ", ") + ", or a YAML file",
	}
}
