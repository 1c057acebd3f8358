package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module     = "github.com/glmkit/glmkit"
	gotch      = "github.com/sugarme/gotch"
	torchHome  = "runner/internal/torch"  // the one package that speaks to libtorch
	openmpHome = "runner/internal/openmp" // speaks C with OpenMP alone
	// gives a libtorch without CUDA a GPU, in tests
	hostcudaHome = "runner/internal/hostcuda"
)

// tiers holds the folders of the module from the bottom up: a package imports
// from its own tier and those below it.
var tiers = [][]string{
	{"spans", "metrics", "configs"},
	{"corpus", "tasks"},
	{"runner", "reports", "experiments"},
	{"cmd", "bench"},
}

// pure packages import nothing of the module at all.
var pure = []string{"spans", "metrics"}

// clockless packages do not read the clock: the same input gives the same output.
var clockless = []string{"spans", "metrics", "configs", "corpus", "tasks"}

// vague names say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"}

// sourceFile is one Go file of the module, whatever its build constraints.
type sourceFile struct {
	path string // from the module's root, with slashes
	dir  string
	text []byte
	ast  *ast.File
}

func (f *sourceFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// top is the first folder of the path.
func (f *sourceFile) top() string { return strings.SplitN(f.path, "/", 2)[0] }

var fileSet = token.NewFileSet()

// moduleFiles parses every Go file of the module.
func moduleFiles(t *testing.T) []*sourceFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []*sourceFile
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		base := entry.Name()
		if entry.IsDir() {
			if rel != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" || rel == "demo") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fileSet, rel, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, &sourceFile{path: rel, dir: path.Dir(rel), text: text, ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files below the module's root", len(files))
	}
	return files
}

func TestLint(t *testing.T) {
	files := moduleFiles(t)
	t.Run("imports", func(t *testing.T) { lintEach(t, files, lintImports) })
	t.Run("calls", func(t *testing.T) { lintEach(t, files, lintCalls) })
	t.Run("names", func(t *testing.T) { lintEach(t, files, lintNames) })
	t.Run("doc comments", func(t *testing.T) { lintEach(t, files, lintDocs) })
	t.Run("gofmt", func(t *testing.T) { lintEach(t, files, lintFormat) })
}

func lintEach(t *testing.T, files []*sourceFile, check func(*sourceFile) []string) {
	for _, f := range files {
		for _, complaint := range check(f) {
			t.Error(complaint)
		}
	}
}

// at prefixes a complaint with its place.
func at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s: %s", fileSet.Position(pos), fmt.Sprintf(format, args...))
}

// below tells whether the import path is root or a package inside it.
func below(importPath, root string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}

func tierOf(top string) int {
	return slices.IndexFunc(tiers, func(tier []string) bool { return slices.Contains(tier, top) })
}

// lintImports keeps the arrows between packages pointing one way, and libtorch
// in one place, compiled once.
func lintImports(f *sourceFile) (complaints []string) {
	tier := tierOf(f.top())
	if tier < 0 {
		return []string{at(f.ast.Package, "folder %q is not in the list of tiers", f.top())}
	}
	if f.test() && (f.dir == torchHome || f.dir == hostcudaHome) && !strings.HasSuffix(f.ast.Name.Name, "_test") {
		complaints = append(complaints, at(f.ast.Package, "a test inside the package: go vet and go test compile its C++ once more each; make it package %s_test", f.ast.Name.Name))
	}
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{at(spec.Pos(), "%v", err)}
		}
		say := func(format string, args ...any) {
			complaints = append(complaints, at(spec.Pos(), "imports %s: %s", imported, fmt.Sprintf(format, args...)))
		}
		switch {
		case imported == "math/rand":
			say("use math/rand/v2, with a generator made from a key")
		case imported == "C" && (f.dir == openmpHome || f.dir == hostcudaHome):
		case imported == module+"/"+hostcudaHome && !f.test():
			say("a GPU made of host memory is for tests")
		case (imported == "C" || below(imported, gotch)) && f.dir != torchHome:
			say("only %s touches libtorch", torchHome)
		case below(imported, module):
			inside := strings.TrimPrefix(imported, module+"/")
			top := strings.SplitN(inside, "/", 2)[0]
			if inside == f.dir {
				continue // an external test of the package itself
			}
			if slices.Contains(pure, f.top()) {
				say("%s imports nothing of the module", f.top())
			} else if tierOf(top) > tier {
				say("%s stands above %s", top, f.top())
			}
		}
	}
	return complaints
}

// lintCalls forbids ending the process from inside a library, and reading the
// clock where the result must depend on the input alone.
func lintCalls(f *sourceFile) (complaints []string) {
	if f.test() {
		return nil
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			if fun.Name == "panic" && f.dir != torchHome {
				complaints = append(complaints, at(call.Pos(), "panic: return an error"))
			}
		case *ast.SelectorExpr:
			pkg, ok := fun.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + fun.Sel.Name
			if pkg.Name == "log" && (strings.HasPrefix(fun.Sel.Name, "Fatal") || strings.HasPrefix(fun.Sel.Name, "Panic")) {
				complaints = append(complaints, at(call.Pos(), "%s: return an error", name))
			}
			if (name == "time.Now" || name == "time.Since") && slices.Contains(clockless, f.top()) {
				complaints = append(complaints, at(call.Pos(), "%s: let the caller pass the time", name))
			}
		}
		return true
	})
	return complaints
}

// lintNames asks for names that say what a file or a package is for.
func lintNames(f *sourceFile) (complaints []string) {
	words := strings.Split(strings.TrimSuffix(path.Base(f.path), ".go"), "_")
	words = append(words, strings.Split(f.dir, "/")...)
	words = append(words, f.ast.Name.Name)
	slices.Sort(words)
	for _, word := range slices.Compact(words) {
		if slices.Contains(vague, word) {
			complaints = append(complaints, at(f.ast.Package, "the name %q says nothing", word))
		}
	}
	return complaints
}

// lintDocs asks for a comment on every exported declaration of a library.
func lintDocs(f *sourceFile) (complaints []string) {
	if f.test() || f.ast.Name.Name == "main" {
		return nil
	}
	want := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if !name.IsExported() || slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil }) {
			return
		}
		complaints = append(complaints, at(name.Pos(), "%s is exported and has no comment", name.Name))
	}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil || exportedReceiver(decl.Recv) && !wellKnown[decl.Name.Name] {
				want(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					want(spec.Name, decl.Doc, spec.Doc)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						want(name, decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return complaints
}

// wellKnown methods do what the standard library's interfaces say.
var wellKnown = map[string]bool{"Error": true, "Unwrap": true, "String": true, "Len": true, "Less": true, "Swap": true}

func exportedReceiver(recv *ast.FieldList) bool {
	typ := recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}

func lintFormat(f *sourceFile) []string {
	formatted, err := format.Source(f.text)
	if err != nil {
		return []string{at(f.ast.Package, "%v", err)}
	}
	if !bytes.Equal(formatted, f.text) {
		return []string{at(f.ast.Package, "gofmt would change this file")}
	}
	return nil
}

// TestLintComplains makes sure that each rule can fail.
func TestLintComplains(t *testing.T) {
	tests := []struct {
		name, path, text string
		check            func(*sourceFile) []string
		want             string // "" for no complaint
	}{
		{"pure package", "spans/a.go", `package spans; import _ "github.com/glmkit/glmkit/metrics"`, lintImports, "spans imports nothing of the module"},
		{"upwards", "corpus/a.go", `package corpus; import _ "github.com/glmkit/glmkit/runner"`, lintImports, "runner stands above corpus"},
		{"downwards", "runner/a.go", `package runner; import _ "github.com/glmkit/glmkit/corpus/wordpiece"`, lintImports, ""},
		{"gotch outside", "runner/a.go", `package runner; import _ "github.com/sugarme/gotch/libtch"`, lintImports, "only runner/internal/torch touches libtorch"},
		{"OpenMP", "runner/internal/openmp/a.go", `package openmp; import "C"`, lintImports, ""},
		{"cgo outside", "tasks/a.go", `package tasks; import "C"`, lintImports, "only runner/internal/torch touches libtorch"},
		{"gotch at home", "runner/internal/torch/a.go", `package torch; import _ "github.com/sugarme/gotch/libtch"`, lintImports, ""},
		{"test beside libtorch", "runner/internal/torch/a_test.go", `package torch_test`, lintImports, ""},
		{"test inside libtorch", "runner/internal/torch/a_test.go", `package torch`, lintImports, "make it package torch_test"},
		{"old rand", "tasks/a.go", `package tasks; import _ "math/rand"`, lintImports, "use math/rand/v2"},
		{"new rand", "tasks/a.go", `package tasks; import _ "math/rand/v2"`, lintImports, ""},
		{"unknown folder", "engine/a.go", `package engine`, lintImports, `"engine" is not in the list of tiers`},
		{"panic", "tasks/a.go", `package tasks; func f() { panic(1) }`, lintCalls, "panic: return an error"},
		{"panic in test", "tasks/a_test.go", `package tasks; func f() { panic(1) }`, lintCalls, ""},
		{"fatal", "cmd/glmkit/a.go", `package main; func f() { log.Fatalf("") }`, lintCalls, "log.Fatalf: return an error"},
		{"clock", "corpus/a.go", `package corpus; var t = time.Now()`, lintCalls, "let the caller pass the time"},
		{"clock in runner", "runner/a.go", `package runner; var t = time.Now()`, lintCalls, ""},
		{"vague file", "tasks/read_utils.go", `package tasks`, lintNames, `"utils" says nothing`},
		{"vague package", "tasks/common/a.go", `package common`, lintNames, `"common" says nothing`},
		{"clear name", "tasks/commonsense.go", `package tasks`, lintNames, ""},
		{"bare function", "tasks/a.go", `package tasks; func Exported() {}`, lintDocs, "Exported is exported and has no comment"},
		{"bare method of a hidden type", "tasks/a.go", `package tasks; func (h *hidden) Exported() {}`, lintDocs, ""},
		{"bare generic method", "tasks/a.go", `package tasks; func (h *Open[T]) Exported() {}`, lintDocs, "Exported is exported"},
		{"bare constant", "tasks/a.go", "package tasks\nconst A = 1", lintDocs, "A is exported"},
		{"commented constant", "tasks/a.go", "package tasks\nconst A = 1 // A is one", lintDocs, ""},
		{"loose format", "tasks/a.go", "package   tasks\n", lintFormat, "gofmt would change"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			parsed, err := parser.ParseFile(fileSet, test.path, test.text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := test.check(&sourceFile{path: test.path, dir: path.Dir(test.path), text: []byte(test.text), ast: parsed})
			if test.want == "" && len(got) > 0 {
				t.Errorf("complains %q about nothing", got)
			}
			if test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want one complaint with %q", got, test.want)
			}
		})
	}
}
