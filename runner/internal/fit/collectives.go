package main

import (
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// collectives are what several processes train together through: a class of
// c10d that this libtorch may have, and whose header needs other ones beside
// libtorch's.
type collectives struct {
	header, symbol, library string
	flags                   []string // with which the package torch uses them
}

// collectives lists those whose headers are there. It only looks at names, so
// that a finished fit can be recognized by it.
func (lt *libtorch) collectives() (found []collectives) {
	has := func(dir, name string) bool { return fileExists(filepath.Join(dir, name)) }
	if has(lt.Include, "gloo/context.h") {
		found = append(found, collectives{
			header: "ProcessGroupGloo.hpp", symbol: "ProcessGroupGlooC1", library: "libtorch_cpu.so", flags: []string{"-DUSE_C10D_GLOO"}})
	}
	if !lt.CUDA {
		return found
	}
	flags, around := []string{"-DUSE_C10D_NCCL"}, lt.cudaFolders()
	for _, dir := range around {
		flags = append(flags, "-I"+dir)
		if has(dir, "cccl/nv/target") { // where CUDA has it from 13 on
			flags = append(flags, "-I"+filepath.Join(dir, "cccl"))
		}
	}
	if slices.ContainsFunc(append(around, lt.Include, "/usr/include"), func(dir string) bool { return has(dir, "nccl.h") }) {
		found = append(found, collectives{
			header: "ProcessGroupNCCL.hpp", symbol: "ProcessGroupNCCLC1", library: "libtorch_cuda.so", flags: flags})
	}
	return found
}

// cudaFolders hold the headers of CUDA and NCCL, the system's own left out.
// Python's packages of them lie beside torch's: nvidia/nccl/include and others.
func (lt *libtorch) cudaFolders() []string {
	folders, _ := filepath.Glob(filepath.Join(lt.Include, "../../nvidia/*/include"))
	if toolkit := "/usr/local/cuda/include"; fileExists(filepath.Join(toolkit, "cuda_runtime_api.h")) {
		folders = append(folders, toolkit)
	}
	return folders
}

// collectiveFlags are those of the collectives that this libtorch was built with
// and that its headers can be compiled for. dir is for a file to try them with.
func (f *fitter) collectiveFlags(ctx context.Context, seen *found, dir string) (flags []string, err error) {
	for _, c := range seen.Libtorch.collectives() {
		if ok, err := defines(filepath.Join(seen.Libtorch.Lib, c.library), c.symbol); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		f.say("trying %s, which lets several processes train together", c.header)
		source := filepath.Join(dir, "collectives.cpp")
		if err := os.WriteFile(source, []byte("#include <torch/csrc/distributed/c10d/"+c.header+">\n"), 0o666); err != nil {
			return nil, err
		}
		words := strings.Fields(seen.Compiler)
		args := append(append(words[1:], seen.Libtorch.compileFlags()...), c.flags...)
		_, err := command(ctx, dir, words[0], append(args, "-w", "-fsyntax-only", filepath.Base(source))...)
		var failed *commandError
		switch {
		case err == nil:
			flags = append(flags, c.flags...)
		case ctx.Err() != nil || !errors.As(err, &failed):
			return nil, err
		default:
			f.say("it does not compile here and is left out")
		}
		if err := os.Remove(source); err != nil {
			return nil, err
		}
	}
	return flags, nil
}

// defines tells whether a shared library has a symbol with a text in its name.
func defines(library, text string) (bool, error) {
	file, err := elf.Open(library)
	if err != nil {
		return false, err
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(symbols, func(s elf.Symbol) bool {
		return s.Section != elf.SHN_UNDEF && strings.Contains(s.Name, text)
	}), nil
}
