package configs

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
)

// YAML returns the configuration as a file that Load reads back to the same
// value. Task recipes show what they change; everything else is written out.
func (c *Config) YAML() ([]byte, error) {
	b, err := yaml.MarshalWithOptions(section(reflect.ValueOf(*c), false), yaml.Indent(2))
	if err != nil {
		return nil, fmt.Errorf("writing the configuration as YAML: %w", err)
	}
	return b, nil
}

// section orders a struct or a map for the encoder; sparse leaves out zeros.
func section(v reflect.Value, sparse bool) yaml.MapSlice {
	out := yaml.MapSlice{}
	add := func(key string, v reflect.Value, sparse bool) {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return
			}
			v = v.Elem()
		} else if sparse && v.IsZero() {
			return
		}
		item := yaml.MapItem{Key: key, Value: v.Interface()}
		if v.Kind() == reflect.Struct || v.Kind() == reflect.Map {
			item.Value = section(v, sparse)
		}
		out = append(out, item)
	}
	if v.Kind() == reflect.Map {
		for _, key := range keysOf(v) {
			add(key, v.MapIndex(reflect.ValueOf(key)), true)
		}
		return out
	}
	for f := range fieldsOf(v.Type()) {
		add(f.key, v.FieldByIndex(f.index), sparse)
	}
	return out
}
