package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	gotchPath    = "github.com/sugarme/gotch"
	gotchVersion = "v0.9.1"

	// generation is raised whenever this program writes something else than
	// before for the same libtorch, so that older fits are done again.
	generation = 1

	// maxPasses bounds the rounds of compiling and stubbing; two are enough
	// for every release tried: one finds the errors, one finds none.
	maxPasses = 10
)

// fitter fits gotch to a libtorch, inside one checkout of glmkit.
type fitter struct {
	dir    string // where it was called
	root   string // the module's, see locate
	search search
	out    io.Writer
	start  time.Time
}

// say prints what is being done, with the time since the start.
func (f *fitter) say(format string, args ...any) {
	fmt.Fprintf(f.out, "fit %5.1fs  %s\n", time.Since(f.start).Seconds(), fmt.Sprintf(format, args...))
}

// found is what a fit depends on.
type found struct {
	Libtorch   *libtorch
	Compiler   string // the command, e.g. "g++"
	CompilerID string // its own description
}

// look finds libtorch and the compiler.
func (f *fitter) look(ctx context.Context) (*found, error) {
	lt, err := f.search.find(ctx)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{lt.Include, lt.Lib} {
		if c := strings.IndexAny(path, forbiddenInFlags); c >= 0 {
			return nil, missing("a link to the folder, without such characters: ln -s THERE /opt/libtorch && LIBTORCH=/opt/libtorch make libtorch",
				"the go command takes no %q in a compiler flag: %s", path[c:c+1], path)
		}
	}
	out, err := command(ctx, f.root, "go", "env", "CXX")
	if err != nil {
		return nil, err
	}
	compiler := strings.TrimSpace(string(out))
	words := strings.Fields(compiler)
	if len(words) == 0 {
		words = []string{"g++"}
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, missing("make setup, or apt-get install g++ libc6-dev, or name one: CXX=clang++ make libtorch", "no C++ compiler: %w", err)
	}
	out, err = command(ctx, f.root, words[0], append(words[1:], "--version")...)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", compiler, err)
	}
	id, _, _ := strings.Cut(string(out), "\n")
	return &found{Libtorch: lt, Compiler: strings.Join(words, " "), CompilerID: id}, nil
}

// forbiddenInFlags are the characters that cgo refuses in a flag, or that
// -Wl,-rpath splits at.
const forbiddenInFlags = "\"'`\\()[]{}<>&|;*?!#$\n\t,"

// run fits gotch, unless the fit that is there is of the same libtorch,
// compiler and gotch.
func (f *fitter) run(ctx context.Context) error {
	if err := f.locate(); err != nil {
		return err
	}
	build := filepath.Join(f.root, ".build")
	if err := os.MkdirAll(build, 0o777); err != nil {
		return advise(err, f.root)
	}
	unlock, err := f.lock(ctx, filepath.Join(build, "fit.lock"))
	if err != nil {
		return advise(err, build)
	}
	defer unlock()

	seen, err := f.look(ctx)
	if err != nil {
		return err
	}
	print, err := seen.fingerprint()
	if err != nil {
		return err
	}
	if f.upToDate(seen.Libtorch, print) {
		return nil
	}
	f.say("%s", seen.Libtorch)
	return advise(f.fit(ctx, seen, print), build)
}

func (f *fitter) fit(ctx context.Context, seen *found, print string) (err error) {
	if err := f.checkWorkspace(); err != nil {
		return err
	}
	module, err := f.download(ctx)
	if err != nil {
		return err
	}
	tmp := filepath.Join(f.root, ".build", "gotch.tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	f.say("copying gotch %s from the module cache", gotchVersion)
	if err := copyModule(tmp, module); err != nil {
		return fmt.Errorf("copying gotch from %s: %w", module, err)
	}
	bindings := filepath.Join(tmp, "libtch")
	if err := modernize(bindings, seen.Libtorch); err != nil {
		return err
	}
	missing, err := f.stubMissing(ctx, bindings, seen)
	if err != nil {
		return err
	}
	collectives, err := f.collectiveFlags(ctx, seen, bindings)
	if err != nil {
		return err
	}
	flags := cgoFlags{seen.Libtorch, print, collectives}
	// The functions here do nothing but call libtorch: debug information and
	// more optimization would only make their compilation take longer.
	if err := os.WriteFile(filepath.Join(bindings, "lib.go"), flags.file("libtch", "", "-O1", "-g0"), 0o666); err != nil {
		return err
	}
	if err := f.install(tmp, flags, missing); err != nil {
		return err
	}
	f.say("done: gotch fitted to libtorch %s, %d of its functions are not in it", seen.Libtorch.Version, len(missing))
	return nil
}

// download returns the folder of gotch in the module cache.
func (f *fitter) download(ctx context.Context) (string, error) {
	module := gotchPath + "@" + gotchVersion
	f.say("asking the module cache for %s", module)
	out, runErr := command(ctx, f.root, "go", "mod", "download", "-json", module)
	var answer struct{ Dir, Error string }
	if err := json.Unmarshal(out, &answer); err == nil && answer.Dir != "" && answer.Error == "" {
		if _, err := os.Stat(filepath.Join(answer.Dir, "libtch", generatedSource)); err != nil {
			return "", &problem{err: fmt.Errorf("the module cache holds a broken gotch: %w", err), try: "go clean -modcache, then the same command again"}
		}
		return answer.Dir, nil
	}
	reason := answer.Error
	if reason == "" && runErr != nil {
		reason = runErr.Error()
	}
	// A read-only cache that holds the module is good enough: the go command
	// wants to lock a file there, this program only wants to read.
	if cache, err := command(ctx, f.root, "go", "env", "GOMODCACHE"); err == nil {
		dir := filepath.Join(strings.TrimSpace(string(cache)), filepath.FromSlash(module))
		if _, err := os.Stat(filepath.Join(dir, "libtch", generatedSource)); err == nil {
			return dir, nil
		}
	}
	err := fmt.Errorf("getting %s: %s", module, strings.TrimPrefix(reason, module+": "))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case strings.Contains(reason, "read-only file system") || strings.Contains(reason, "permission denied"):
		return "", &problem{err: err, try: "a module cache that this user can write: GOMODCACHE=/path make libtorch", environment: true}
	case strings.Contains(reason, "no space left on device"):
		return "", &problem{err: err, try: "free some space on the disk of the module cache (go env GOMODCACHE), then the same command again"}
	}
	return "", &problem{err: err, try: "check the network and go env GOPROXY; without a network, fill the module cache elsewhere (go mod download) and copy it here", environment: true}
}

// copyModule copies gotch without its examples and the generator of its
// bindings, which are nine tenths of it.
func copyModule(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		switch name := entry.Name(); {
		case name == "example" || name == "gen":
		case entry.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			var text []byte
			if text, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(target, text, 0o666)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	handSource      = "torch_api.cpp"
	generatedSource = "torch_api_generated.cpp.h"
)

var oldOptional = regexp.MustCompile(`\b(c10|torch|at)::(optional<|nullopt\b)`)

// modernize replaces names that gotch's sources use and that newer releases of
// libtorch have given up.
func modernize(bindings string, lt *libtorch) error {
	// Until 2.1 c10::optional was a type of its own; since then it is
	// std::optional, and the old name is on its way out.
	if text, err := os.ReadFile(filepath.Join(lt.Include, "c10/util/Optional.h")); err == nil && !bytes.Contains(text, []byte("using std::optional;")) {
		return nil
	}
	for _, name := range []string{handSource, generatedSource} {
		path := filepath.Join(bindings, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, oldOptional.ReplaceAll(text, []byte("std::$2")), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// stubMissing compiles gotch's C++ source without producing code, and replaces
// the functions that do not compile, until it compiles. It returns their names.
func (f *fitter) stubMissing(ctx context.Context, bindings string, seen *found) ([]string, error) {
	var stubbed []string
	for pass := 1; pass <= maxPasses; pass++ {
		f.say("pass %d: checking gotch's C++ against these headers (10 to 60 seconds)", pass)
		output, err := f.check(ctx, bindings, seen)
		if err != nil {
			return nil, err
		}
		if output == "" {
			return stubbed, nil
		}
		places := placesIn(output)
		var names []string
		for _, file := range []string{generatedSource, handSource} {
			if len(places[file]) == 0 {
				continue
			}
			path := filepath.Join(bindings, file)
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			changed, these := stub(string(text), places[file])
			if err := os.WriteFile(path, []byte(changed), 0o666); err != nil {
				return nil, err
			}
			names = append(names, these...)
		}
		if len(names) == 0 {
			return nil, &problem{
				err: fmt.Errorf("gotch %s does not compile against %s:\n%s", gotchVersion, seen.Libtorch, firstErrors(output, 5)),
				try: "another libtorch (LIBTORCH=/path make libtorch; releases 1.13 to 2.6 are tested) or another compiler (CXX=...)",
			}
		}
		f.say("%d functions are not in libtorch %s: %s", len(names), seen.Libtorch.Version, abridged(names))
		stubbed = append(stubbed, names...)
	}
	return nil, fmt.Errorf("gotch %s still does not compile against %s after %d passes", gotchVersion, seen.Libtorch, maxPasses)
}

// check compiles the bindings without producing code. It returns the
// compiler's complaints, "" where it has none.
func (f *fitter) check(ctx context.Context, bindings string, seen *found) (string, error) {
	words := strings.Fields(seen.Compiler)
	args := append(words[1:], seen.Libtorch.compileFlags()...)
	args = append(args, "-w", "-fsyntax-only")
	if strings.Contains(seen.CompilerID, "clang") {
		args = append(args, "-ferror-limit=0")
	} else {
		args = append(args, "-fmax-errors=0")
	}
	_, err := command(ctx, bindings, words[0], append(args, handSource)...)
	if err == nil {
		return "", nil
	}
	var failed *commandError
	if ctx.Err() != nil || !errors.As(err, &failed) {
		return "", err
	}
	switch text := failed.stderr; {
	case strings.Contains(text, "Killed signal") || strings.Contains(text, "out of memory") || failed.signaled:
		return "", &problem{err: fmt.Errorf("%s was killed, most likely for want of memory", seen.Compiler), try: "the same command with 2 GB of memory free", environment: true}
	case strings.Contains(strings.ToLower(text), "no space left on device"):
		return "", &problem{err: fmt.Errorf("%s: the disk is full", seen.Compiler), try: "free some space in " + os.TempDir() + ", or name another folder: TMPDIR=/path make libtorch"}
	default:
		return text, nil
	}
}

func abridged(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:shown], ", ") + ", ..."
}

// commandError is a command that ended with a failure.
type commandError struct {
	name, stderr string
	signaled     bool
	err          error
}

func (e *commandError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %v\n%s", e.name, e.err, e.stderr))
}

func (e *commandError) Unwrap() error { return e.err }

// command runs a program and returns its standard output. When ctx ends, the
// program ends with all that it started: a compiler is a driver and its
// children.
func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	// Messages are read by this program, so they must be English; and a
	// workspace that names a fit which is not there would stop the go command.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, _ := exit.Sys().(syscall.WaitStatus)
		return stdout.Bytes(), &commandError{name: name, stderr: stderr.String(), signaled: status.Signaled(), err: err}
	}
	return stdout.Bytes(), err
}
