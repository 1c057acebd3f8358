// Command fit makes gotch, the Go bindings of libtorch, compile and link
// against the libtorch of this machine.
//
// gotch v0.9.1 is its last release, written for libtorch 2.1.0 with CUDA. Other
// releases of libtorch lack some of the functions that it binds, and its cgo
// flags name libraries that a machine without CUDA does not have. This command
// finds a libtorch, copies gotch out of the module cache into .build/gotch,
// writes the flags for this libtorch, and replaces each bound function that does
// not compile by one that reports "NAME: not in this libtorch". A go.work that
// git ignores makes plain go commands use the copy from then on.
//
// A second call finds the fit and does nothing, unless libtorch, the compiler
// or this command has changed. It needs nothing but Go's standard library and
// no cgo.
//
// Usage:
//
//	go run ./runner/internal/fit [-find | -print | -pack FILE | -unpack FILE -into FOLDER]
//
// -pack and -unpack carry what building takes of a libtorch from a machine that has
// it to one that has Go (docs/devices.md, "Checking a GPU").
//
// The environment: LIBTORCH names the libtorch to use (a folder with include/
// and lib/), CXX the compiler. Exit codes: 0 done, 1 failure, 2 usage, 4
// something is missing on this machine, 130 interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	find := flag.Bool("find", false, "only say which libtorch would be used")
	print := flag.Bool("print", false, "print all that was found, and change nothing")
	pack := flag.String("pack", "", "write headers and symbols of the libtorch found here to this `file` (.tar.gz), for a build elsewhere")
	unpack := flag.String("unpack", "", "lay out a pack's `file` as a libtorch to build against")
	into := flag.String("into", "", "the new `folder` that -unpack makes")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./runner/internal/fit [-find | -print | -pack FILE | -unpack FILE -into FOLDER]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || (*unpack == "") != (*into == "") {
		flag.Usage()
		os.Exit(2)
	}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "fit: %v\n", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := (*fitter).run
	switch {
	case *find:
		do = (*fitter).find
	case *print:
		do = (*fitter).print
	case *pack != "":
		do = packInto(*pack)
	case *unpack != "":
		do = unpackInto(*unpack, *into)
	}
	os.Exit(run(ctx, dir, do, systemSearch(), os.Stdout, os.Stderr))
}

// run does one of the command's actions in dir; it returns the exit code.
func run(ctx context.Context, dir string, do func(*fitter, context.Context) error, search search, stdout, stderr io.Writer) int {
	err := do(&fitter{dir: dir, search: search, out: stdout, start: time.Now()}, ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "fit: interrupted; nothing half done is left behind")
		return 130
	}
	fmt.Fprintf(stderr, "fit: %v\n", err)
	var known *problem
	if errors.As(err, &known) {
		fmt.Fprintf(stderr, "try: %s\n", known.try)
		if known.environment {
			return 4
		}
	}
	return 1
}

// find says which libtorch would be used. It needs no compiler.
func (f *fitter) find(ctx context.Context) error {
	lt, err := f.search.find(ctx)
	if err == nil {
		fmt.Fprintln(f.out, lt)
	}
	return err
}

// print tells what was found.
func (f *fitter) print(ctx context.Context) error {
	if err := f.locate(); err != nil {
		return err
	}
	seen, err := f.look(ctx)
	if err != nil {
		return err
	}
	fingerprint, err := seen.fingerprint()
	if err != nil {
		return err
	}
	fit := "to be done: make libtorch"
	if f.upToDate(seen.Libtorch, fingerprint) {
		fit = "done: " + fittedGotch
	}
	lt := seen.Libtorch
	device, abi := "CPU", "before C++11"
	if lt.CUDA {
		device = "CUDA"
	}
	if lt.CXX11ABI {
		abi = "C++11"
	}
	for _, line := range [][2]string{
		{"libtorch", lt.Version}, {"found by", lt.Source}, {"device", device}, {"headers", lt.Include}, {"libraries", lt.Lib},
		{"string ABI", abi}, {"language", fmt.Sprintf("C++%d", lt.Standard)}, {"compiler", seen.CompilerID},
		{"compile flags", quoted(lt.compileFlags())}, {"link flags", quoted(lt.linkFlags())},
		{"fingerprint", fingerprint}, {"fit", fit},
	} {
		fmt.Fprintf(f.out, "%-14s %s\n", line[0], line[1])
	}
	return nil
}

// locate finds the checkout.
func (f *fitter) locate() (err error) {
	f.root, err = moduleRoot(f.dir)
	return err
}

// moduleRoot is the nearest folder with a go.mod, from dir upwards.
func moduleRoot(dir string) (string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", &problem{err: errors.New("no go.mod in this folder or above it"), try: "run it inside a checkout of glmkit"}
		}
		dir = parent
	}
}
