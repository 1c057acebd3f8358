package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workshop is a made-up checkout with a made-up libtorch, gotch, go command
// and compiler. The compiler rejects each line of the generated source that
// says "absent".
type workshop struct {
	t    *testing.T
	dir  string
	root string // the checkout
}

const goScript = `#!/bin/sh
case "$*" in
"env CXX") echo "${CXX:-g++}" ;;
"env GOMODCACHE") echo DIR/modcache ;;
"mod download -json "*) cat DIR/download.json; exit $(cat DIR/download.rc) ;;
*) echo "unexpected: go $*" >&2; exit 9 ;;
esac
`

const compilerScript = `#!/bin/sh
if [ "$1" = --version ]; then echo "g++ (made up) $(cat DIR/compiler.version)"; exit; fi
echo "$*" >>DIR/compiled
[ -f DIR/compiler.hook ] && . DIR/compiler.hook
if grep -n absent torch_api_generated.cpp.h | sed 's/\([0-9]*\):.*/torch_api_generated.cpp.h:\1:5: error: absent/' >&2 &&
   grep -q absent torch_api_generated.cpp.h; then exit 1; fi
`

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	dir := t.TempDir()
	w := &workshop{t: t, dir: dir, root: filepath.Join(dir, "checkout")}
	for name, text := range tree(t, "lib") {
		w.write("libtorch/"+name, text)
	}
	gotch := "modcache/" + gotchPath + "@" + gotchVersion
	w.write(gotch+"/go.mod", "module "+gotchPath+"\n")
	w.write(gotch+"/libtch/"+handSource, "#include \"torch_api_generated.cpp.h\"\nc10::optional<int> x = c10::nullopt;\n")
	w.write(gotch+"/libtch/"+generatedSource, "void atg_here(tensor x) {\n  PROTECT(\n    here(x);\n  )\n}\n\nvoid atg_gone(tensor x) {\n  PROTECT(\n    absent(x);\n  )\n}\n")
	w.write(gotch+"/libtch/lib.go", "package libtch\n")
	w.write(gotch+"/example/big/model.bin", "x")
	if err := os.Chmod(filepath.Join(dir, gotch, "libtch", generatedSource), 0o444); err != nil { // as in a real module cache
		t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]string{"Dir": filepath.Join(dir, gotch)})
	if err != nil {
		t.Fatal(err)
	}
	w.write("download.json", string(answer))
	w.write("download.rc", "0")
	w.write("compiler.version", "12")
	w.write("bin/go", strings.ReplaceAll(goScript, "DIR", dir))
	w.write("bin/g++", strings.ReplaceAll(compilerScript, "DIR", dir))
	w.write("checkout/go.mod", "module m\n\ngo 1.23.0\n")
	w.write("checkout/runner/internal/torch/doc.go", "package torch\n")
	w.write("checkout/runner/internal/hostcuda/doc.go", "package hostcuda\n")
	t.Setenv("PATH", filepath.Join(dir, "bin")+":/usr/bin:/bin")
	t.Setenv("CXX", "")
	return w
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	write(w.t, w.dir, map[string]string{name: text})
}

func (w *workshop) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// compilations counts the runs of the compiler so far.
func (w *workshop) compilations() int {
	text, err := os.ReadFile(filepath.Join(w.dir, "compiled"))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// call runs one of the command's actions in the checkout.
func (w *workshop) call(ctx context.Context, do func(*fitter, context.Context) error) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	code = run(ctx, w.root, do, search{LIBTORCH: filepath.Join(w.dir, "libtorch")}, &out, &errs)
	return code, out.String(), errs.String()
}

func (w *workshop) mustFit() (stdout string) {
	w.t.Helper()
	code, stdout, stderr := w.call(context.Background(), (*fitter).run)
	if code != 0 {
		w.t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout
}

// nothingHalfDone checks that no piece of an unfinished fit is left.
func (w *workshop) nothingHalfDone() {
	w.t.Helper()
	for _, name := range []string{".build/gotch.tmp", ".build/gotch", ".build/libtorch.json", "go.work", flagsFile} {
		if _, err := os.Lstat(filepath.Join(w.root, name)); err == nil {
			w.t.Errorf("%s was left behind", name)
		}
	}
}

func TestFit(t *testing.T) {
	w := newWorkshop(t)
	out := w.mustFit()
	if !strings.Contains(out, "1 functions are not in libtorch 2.6.1: atg_gone") {
		t.Errorf("the output does not name the missing function:\n%s", out)
	}
	if got := w.compilations(); got != 2 {
		t.Errorf("%d compilations, want 2", got)
	}
	generatedText := w.read("checkout/.build/gotch/libtch/" + generatedSource)
	if strings.Contains(generatedText, "absent") || !strings.Contains(generatedText, "here(x);") || !strings.Contains(generatedText, `"atg_gone: not in this libtorch"`) {
		t.Errorf("wrong functions were replaced:\n%s", generatedText)
	}
	if got := w.read("checkout/.build/gotch/libtch/" + handSource); strings.Contains(got, "c10::") {
		t.Errorf("old names were kept:\n%s", got)
	}
	if got, want := w.read("checkout/go.work"), generated+"\ngo 1.23.0\n\nuse .\n\nreplace github.com/sugarme/gotch v0.9.1 => ./.build/gotch\n"; got != want {
		t.Errorf("go.work is\n%s\nwant\n%s", got, want)
	}
	flags := w.read("checkout/" + flagsFile)
	for _, want := range []string{"//go:build cgo\n", "package torch\n", "-I" + w.dir + "/libtorch/include ", "-Wl,-rpath," + w.dir + "/libtorch/lib"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%s lacks %q:\n%s", flagsFile, want, flags)
		}
	}
	if _, err := os.Stat(filepath.Join(w.root, fittedGotch, "example")); err == nil {
		t.Error("the examples were copied")
	}
	if got := w.read("checkout/.build/gotch/go.mod"); got != "module "+gotchPath+"\n" {
		t.Errorf("go.mod is %q", got)
	}
	if text := w.read("modcache/" + gotchPath + "@" + gotchVersion + "/libtch/" + generatedSource); !strings.Contains(text, "absent") {
		t.Error("the module cache was changed")
	}
	if code, out, _ := w.call(context.Background(), (*fitter).print); code != 0 || !strings.Contains(out, "done: .build/gotch") || !strings.Contains(out, "2.6.1") {
		t.Errorf("-print after the fit: exit code %d\n%s", code, out)
	}
}

// A second call does nothing; each change of what the fit depends on, and each
// damage to what it wrote, makes it be done again.
func TestFitAgain(t *testing.T) {
	w := newWorkshop(t)
	w.mustFit()
	// Times in file systems are coarse: make any new file clearly newer.
	later := time.Now().Add(time.Minute)
	touch := func(name string) {
		if err := os.Chtimes(filepath.Join(w.dir, name), later, later); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) {
		if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	changes := []struct {
		name  string
		do    func()
		again bool
	}{
		{"nothing", func() {}, false},
		{"a new library", func() { touch("libtorch/lib/libtorch_cpu.so") }, true},
		{"nothing since", func() {}, false},
		{"a new version", func() { w.write("libtorch/include/"+versionHeader, version("2", "7")) }, true},
		{"CUDA", func() { w.write("libtorch/lib/libtorch_cuda.so", "x") }, true},
		{"another compiler", func() { w.write("compiler.version", "13") }, true},
		{"the fitted gotch removed", func() { remove("checkout/.build/gotch") }, true},
		{"its flags edited", func() { w.write("checkout/.build/gotch/libtch/lib.go", "package libtch") }, true},
		{"our flags removed", func() { remove("checkout/" + flagsFile) }, true},
		{"flags of another package removed", func() { remove("checkout/" + internal + "hostcuda/" + flagsName) }, true},
		{"the workspace removed", func() { remove("checkout/go.work") }, true},
		{"the state damaged", func() { w.write("checkout/.build/libtorch.json", "{") }, true},
		{"an interrupted copy", func() { w.write("checkout/.build/gotch.tmp/go.mod", "") }, false},
		{"nothing at last", func() {}, false},
	}
	for _, change := range changes {
		before := w.compilations()
		change.do()
		out := w.mustFit()
		if got := w.compilations() > before; got != change.again {
			t.Errorf("%s: fitted again: %v, want %v", change.name, got, change.again)
		}
		if !change.again && out != "" {
			t.Errorf("%s: prints %q", change.name, out)
		}
	}
}

func TestFitErrors(t *testing.T) {
	answer := func(text string) string { return `{"Error": "` + text + `"}` }
	tests := []struct {
		name string
		do   func(w *workshop)
		code int
		err  string
		try  string
	}{
		{"no libtorch there", func(w *workshop) { os.RemoveAll(filepath.Join(w.dir, "libtorch")) }, 4, "is not a libtorch", "try: LIBTORCH must name a folder with include/ and lib/"},
		{"no compiler", func(w *workshop) { w.t.Setenv("CXX", "no-such-compiler") }, 4, `no C++ compiler: exec: "no-such-compiler"`, "try: make setup"},
		{"no network", func(w *workshop) {
			w.write("download.json", answer("Get: dial tcp: lookup proxy.golang.org: no such host"))
			w.write("download.rc", "1")
			os.RemoveAll(filepath.Join(w.dir, "modcache"))
		}, 4, "no such host", "try: check the network and go env GOPROXY"},
		{"a module cache that cannot be written", func(w *workshop) {
			w.write("download.json", answer("mkdir /x: read-only file system"))
			w.write("download.rc", "1")
			os.RemoveAll(filepath.Join(w.dir, "modcache"))
		}, 4, "read-only file system", "try: a module cache that this user can write: GOMODCACHE=/path make libtorch"},
		{"a module cache that cannot be written but has gotch", func(w *workshop) {
			w.write("download.json", answer("open x.lock: read-only file system"))
			w.write("download.rc", "1")
		}, 0, "", ""},
		{"a module cache on a full disk", func(w *workshop) {
			w.write("download.json", answer("write /x: no space left on device"))
			w.write("download.rc", "1")
			os.RemoveAll(filepath.Join(w.dir, "modcache"))
		}, 1, "no space left on device", "try: free some space on the disk of the module cache"},
		{"a broken module cache", func(w *workshop) {
			if err := os.Remove(filepath.Join(w.dir, "modcache", gotchPath+"@"+gotchVersion, "libtch", generatedSource)); err != nil {
				w.t.Fatal(err)
			}
		}, 1, "the module cache holds a broken gotch", "try: go clean -modcache"},
		{"an error outside any function", func(w *workshop) {
			w.write("compiler.hook", "echo '/usr/include/c10/x.h:3:1: error: unknown type' >&2; exit 1")
		}, 1, "/usr/include/c10/x.h:3:1: error: unknown type", "try: another libtorch"},
		{"a compiler without memory", func(w *workshop) {
			w.write("compiler.hook", "echo 'g++: fatal error: Killed signal terminated program cc1plus' >&2; exit 1")
		}, 4, "killed, most likely for want of memory", "try: the same command with 2 GB of memory free"},
		{"a killed compiler", func(w *workshop) { w.write("compiler.hook", "kill -9 $$") }, 4, "killed, most likely for want of memory", "2 GB"},
		{"a compiler on a full disk", func(w *workshop) {
			w.write("compiler.hook", "echo 'fatal error: /tmp/x: No space left on device' >&2; exit 1")
		}, 1, "the disk is full", "TMPDIR=/path"},
		{"a workspace of the user's", func(w *workshop) { w.write("checkout/go.work", "go 1.23.0\nuse ./other\n") }, 1, "go.work is there and was not written by make libtorch", "add this line to it: " + replaceLine},
		{"a workspace of the user's that has the line", func(w *workshop) { w.write("checkout/go.work", "go 1.23.0\nuse .\n"+replaceLine+"\n") }, 0, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkshop(t)
			test.do(w)
			workspace, _ := os.ReadFile(filepath.Join(w.root, "go.work"))
			code, stdout, stderr := w.call(context.Background(), (*fitter).run)
			if code != test.code || !strings.Contains(stderr, test.err) || !strings.Contains(stderr, test.try) {
				t.Errorf("exit code %d, want %d with %q and %q; got\n%s%s", code, test.code, test.err, test.try, stdout, stderr)
			}
			if len(workspace) > 0 {
				if now := w.read("checkout/go.work"); now != string(workspace) {
					t.Errorf("the user's go.work became\n%s", now)
				}
				return
			}
			if test.code != 0 {
				w.nothingHalfDone()
			}
		})
	}
}

// A failed fit leaves an earlier one as it was.
func TestFailedFitKeepsTheLast(t *testing.T) {
	w := newWorkshop(t)
	w.mustFit()
	before := w.read("checkout/" + flagsFile)
	w.write("compiler.version", "13")
	w.write("compiler.hook", "echo 'x.h:3:1: error: no' >&2; exit 1")
	if code, _, _ := w.call(context.Background(), (*fitter).run); code != 1 {
		t.Fatalf("exit code %d, want 1", code)
	}
	if w.read("checkout/"+flagsFile) != before || w.read("checkout/.build/libtorch.json") == "" {
		t.Error("the earlier fit was damaged")
	}
	if err := os.Remove(filepath.Join(w.dir, "compiler.hook")); err != nil {
		t.Fatal(err)
	}
	w.mustFit()
}

func TestInterruptedFit(t *testing.T) {
	w := newWorkshop(t)
	w.write("compiler.hook", "echo started >"+w.dir+"/started; sleep 60")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(w.dir, "started")); err == nil {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	start := time.Now()
	code, _, stderr := w.call(ctx, (*fitter).run)
	if code != 130 || !strings.Contains(stderr, "interrupted") {
		t.Errorf("exit code %d, want 130: %s", code, stderr)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the compiler was waited for: %v", took)
	}
	w.nothingHalfDone()
	if err := os.Remove(filepath.Join(w.dir, "compiler.hook")); err != nil {
		t.Fatal(err)
	}
	w.mustFit()
}

func TestPrintBeforeFit(t *testing.T) {
	w := newWorkshop(t)
	code, out, stderr := w.call(context.Background(), (*fitter).print)
	if code != 0 || !strings.Contains(out, "to be done: make libtorch") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	w.nothingHalfDone()
}

// find must work before a compiler is installed.
func TestFindWithoutCompiler(t *testing.T) {
	w := newWorkshop(t)
	t.Setenv("CXX", "no-such-compiler")
	code, out, stderr := w.call(context.Background(), (*fitter).find)
	if code != 0 || !strings.HasPrefix(out, "libtorch 2.6.1 for CPU, from LIBTORCH") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}

func TestOutsideACheckout(t *testing.T) {
	w := newWorkshop(t)
	w.root = w.dir
	if code, _, stderr := w.call(context.Background(), (*fitter).run); code != 1 || !strings.Contains(stderr, "run it inside a checkout") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// The workspace replaces the release that go.mod asks for, or nothing at all.
func TestGotchVersionIsThatOfGoMod(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), gotchPath+" "+gotchVersion+"\n") {
		t.Errorf("go.mod does not require %s %s", gotchPath, gotchVersion)
	}
}

func TestForbiddenPath(t *testing.T) {
	w := newWorkshop(t)
	if err := os.Rename(filepath.Join(w.dir, "libtorch"), filepath.Join(w.dir, "lib(torch)")); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(context.Background(), w.root, (*fitter).run, search{LIBTORCH: filepath.Join(w.dir, "lib(torch)")}, &out, &errs)
	if code != 4 || !strings.Contains(errs.String(), `takes no "("`) || !strings.Contains(errs.String(), "ln -s") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

func TestAdvise(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "free some space on the disk of DIR"},
		{fmt.Errorf("copying: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}), "free some space"},
		{&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}, "make DIR writable"},
		{&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EACCES}, "make DIR writable"},
		{missing("already advised", "x: %w", syscall.ENOSPC), "already advised"},
	}
	for _, test := range tests {
		known, ok := advise(test.err, "DIR").(*problem)
		if !ok || !strings.Contains(known.try, test.want) {
			t.Errorf("%v: got %#v, want advice %q", test.err, known, test.want)
		}
	}
	if other := syscall.EIO; advise(other, "DIR") != error(other) {
		t.Error("an unknown error was changed")
	}
	if advise(nil, "DIR") != nil {
		t.Error("advice on no error")
	}
}
