package configs

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// merger writes layers of YAML over a configuration: a key that a layer lacks
// keeps its value, a map's entry is merged like a section. It works on the
// syntax tree, because a decoder would neither merge map entries nor say where
// a value came from.
type merger struct {
	config *Config
	layer  string            // file or assignment being read, for errors
	at     int               // > 0: the line of layer that a value read by itself is from
	origin map[string]origin // by dotted key: the layer that set it last
	// builtIn tells whether layer is the defaults or a preset.
	builtIn bool
}

type origin struct {
	layer   string
	line    int
	builtIn bool
}

// file merges one YAML document.
func (m *merger) file(name string, data []byte) error {
	m.layer = name
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return m.syntax(err)
	}
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if seen {
			return m.errorAt(doc.Body, "", "more than one YAML document", "one document a file")
		}
		seen = true
		if err := m.merge(reflect.ValueOf(m.config).Elem(), "", doc.Body); err != nil {
			return err
		}
	}
	return nil
}

// set merges one assignment key=value.
func (m *merger) set(assignment string) error {
	m.layer = "--set " + assignment
	key, text, ok := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return &Error{Field: m.layer, Msg: "not of the form key=value", Hint: "--set train.steps=1000"}
	}
	return m.assign(key, text)
}

// assign merges one value, written as YAML.
func (m *merger) assign(key, text string) error {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return m.syntax(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return &Error{Field: m.layer, Msg: "no value", Hint: "--set " + key + "=VALUE"}
	}
	return m.descend(reflect.ValueOf(m.config).Elem(), "", strings.Split(key, "."), file.Docs[0].Body)
}

// descend merges node at the path below v, whose own key is given.
func (m *merger) descend(v reflect.Value, key string, path []string, node ast.Node) error {
	if len(path) == 0 {
		return m.merge(v, key, node)
	}
	if v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
		return m.errorAt(node, key, "is a value, not a section", "--set "+key+"=VALUE")
	}
	return m.child(v, key, path, node, func(child reflect.Value, key string) error {
		return m.descend(child, key, path[1:], node)
	})
}

// merge writes node over v.
func (m *merger) merge(v reflect.Value, key string, node ast.Node) error {
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.TagType:
		return m.errorAt(node, key, "anchors, aliases and tags are not read", "write the value out")
	}
	if v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
		return m.scalar(v, key, node)
	}
	if node.Type() == ast.NullType {
		return nil // an empty section
	}
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		what := "a section"
		if key == "" {
			key, what = "the configuration", "a mapping of sections"
		}
		return m.errorAt(node, key, "is "+what+", not a value", "set the keys inside it: "+strings.Join(keysOf(v), ", "))
	}
	for _, entry := range mapping.Values {
		name, ok := entry.Key.(ast.ScalarNode)
		if !ok || entry.Key.Type() == ast.MergeKeyType {
			return m.errorAt(entry, key, fmt.Sprintf("%s is not a plain key", entry.Key), "write the keys out")
		}
		err := m.child(v, key, []string{name.GetToken().Value}, entry.Key, func(child reflect.Value, key string) error {
			return m.merge(child, key, entry.Value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// child calls f on the field or entry of v that path begins with.
func (m *merger) child(v reflect.Value, key string, path []string, node ast.Node, f func(reflect.Value, string) error) error {
	name := path[0]
	if v.Kind() == reflect.Map {
		name = strings.ToLower(name)
		entry := reflect.New(v.Type().Elem()).Elem()
		switch old := v.MapIndex(reflect.ValueOf(name)); {
		case old.IsValid():
			entry.Set(old)
		case m.layer != defaultsFile: // the defaults name every task
			return m.unknown(node, join(key, strings.Join(path, ".")))
		case v.IsNil():
			v.Set(reflect.MakeMap(v.Type()))
		}
		if err := f(entry, join(key, name)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name), entry)
		return nil
	}
	for field := range fieldsOf(v.Type()) {
		if field.key == name {
			return f(v.FieldByIndex(field.index), join(key, name))
		}
	}
	return m.unknown(node, join(key, strings.Join(path, ".")))
}

// scalar writes a number, a word or a truth value.
func (m *merger) scalar(v reflect.Value, key string, node ast.Node) error {
	if v.Kind() == reflect.Pointer {
		if node.Type() == ast.NullType {
			v.SetZero()
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	text, plain := scalarText(node)
	wrong := func(want string) error {
		if !plain {
			text = strings.ToLower(node.Type().YAMLName())
		}
		return m.errorAt(node, key, fmt.Sprintf("must be %s, got %s", want, text), "")
	}
	number := strings.ReplaceAll(text, "_", "")
	switch v.Kind() {
	case reflect.String:
		if !plain {
			return wrong("a word")
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return wrong("true or false")
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return wrong("a number")
		}
		v.SetFloat(f)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			// 1e6 is a welcome way to write a large count.
			f, ferr := strconv.ParseFloat(number, 64)
			if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
				return wrong("a whole number")
			}
			i = int64(f)
		}
		if v.OverflowInt(i) {
			return wrong("a smaller number")
		}
		v.SetInt(i)
	case reflect.Uint64:
		u, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return wrong("a whole number from 0")
		}
		v.SetUint(u)
	default:
		return fmt.Errorf("configuration field %s has the unreadable type %v", key, v.Type())
	}
	m.origin[key] = origin{m.layer, m.line(node), m.builtIn}
	return nil
}

// scalarText returns a scalar as written, without quotes.
func scalarText(node ast.Node) (text string, ok bool) {
	switch node.Type() {
	case ast.StringType, ast.IntegerType, ast.FloatType, ast.BoolType, ast.InfinityType, ast.NanType:
		return node.GetToken().Value, true
	}
	return "", false
}

// assignment tells a flag from a file, which has lines.
func (m *merger) assignment() bool { return strings.HasPrefix(m.layer, "--") }

func (m *merger) line(node ast.Node) int {
	if m.assignment() {
		return 0
	}
	if m.at > 0 {
		return m.at
	}
	return node.GetToken().Position.Line
}

func (m *merger) errorAt(node ast.Node, key, msg, hint string) error {
	return &Error{Path: m.layer, Line: m.line(node), Field: key, Msg: msg, Hint: hint}
}

func (m *merger) unknown(node ast.Node, key string) error {
	msg := fmt.Sprintf("unknown key %s; did you mean %s?", key, nearestKey(key, allKeys(m.config)))
	return m.errorAt(node, "", msg, "glmkit inspect config prints every key")
}

// syntax turns the parser's complaint into an Error, without its excerpt.
func (m *merger) syntax(err error) error {
	e := &Error{Path: m.layer, Msg: err.Error(), Hint: "correct the YAML there"}
	var positioned interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &positioned) {
		e.Msg = positioned.GetMessage()
		if t := positioned.GetToken(); t != nil && !m.assignment() {
			e.Line = t.Position.Line
		}
	}
	return e
}

// locate adds to a finding of Validate where the value was set.
func (m *merger) locate(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		if o, ok := m.origin[e.Field]; ok {
			e.Path, e.Line = o.layer, o.line
		}
	}
	return err
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// field is one key of a section.
type field struct {
	key   string
	index []int
}

// fieldsOf yields the keys of a section in order, those of an inlined struct
// among them.
func fieldsOf(t reflect.Type) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for _, f := range reflect.VisibleFields(t) {
			key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if options == "inline" || !f.IsExported() {
				continue // the fields of the one are visible too, the other is no key
			}
			if !yield(field{key, f.Index}) {
				return
			}
		}
	}
}

// keysOf returns the keys of a section.
func keysOf(v reflect.Value) []string {
	var keys []string
	if v.Kind() == reflect.Map {
		for _, key := range v.MapKeys() {
			keys = append(keys, key.String())
		}
		slices.Sort(keys)
		return keys
	}
	for f := range fieldsOf(v.Type()) {
		keys = append(keys, f.key)
	}
	return keys
}

// allKeys returns every dotted key of a configuration, sections included.
func allKeys(c *Config) []string {
	var keys []string
	var walk func(v reflect.Value, key string)
	walk = func(v reflect.Value, key string) {
		if key != "" {
			keys = append(keys, key)
		}
		switch v.Kind() {
		case reflect.Struct:
			for f := range fieldsOf(v.Type()) {
				walk(v.FieldByIndex(f.index), join(key, f.key))
			}
		case reflect.Map:
			for _, name := range keysOf(v) {
				walk(v.MapIndex(reflect.ValueOf(name)), join(key, name))
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	return keys
}
