package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A machine with a GPU may have Python's torch but neither Go nor a network, and
// another one Go but no such torch, which has gigabytes. A pack is what building
// takes of a libtorch, a few megabytes: its headers, those of CUDA and NCCL beside
// it, and of each library the name and the symbols. Unpacked, there is a stand-in
// for each library, which defines the same symbols and can be linked against but
// does nothing. The program built so runs where the libtorch is.

const (
	// standInMark lies beside stand-ins, so that nobody takes them for a libtorch.
	standInMark = "stand-ins"
	// nmSuffix is that of a library's list of symbols in a pack.
	nmSuffix = ".symbols"
)

// cudaLibraries are linked against too where they are.
var cudaLibraries = []string{"libtorch_cuda.so", "libc10_cuda.so"}

// packInto is the action that writes the libtorch found here to a file.
func packInto(path string) func(*fitter, context.Context) error {
	return func(f *fitter, ctx context.Context) error {
		lt, err := f.search.find(ctx)
		if err != nil {
			return err
		}
		if lt.Include == "/usr/include" {
			return missing("LIBTORCH=/path, or a Python with PyTorch's own package", "%s has no folder of its own to pack", lt)
		}
		f.say("packing %s", lt)
		var size int64
		err = whole(path, func(w io.Writer) error {
			z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
			if err != nil {
				return err
			}
			t := tar.NewWriter(z)
			if err := lt.pack(ctx, t); err != nil {
				return err
			}
			return errors.Join(t.Close(), z.Close())
		})
		if err != nil {
			return advise(err, filepath.Dir(path))
		}
		info, err := os.Stat(path)
		if err == nil {
			size = info.Size()
		}
		f.say("%s: %.1f MB; where the build is to be: go run ./runner/internal/fit -unpack %s -into FOLDER", path, float64(size)/1e6, filepath.Base(path))
		return err
	}
}

// whole writes a file so that it is there whole or not at all.
func whole(path string, content func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".fit-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = content(buffered)
	if err = errors.Join(err, buffered.Flush(), file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// pack writes torch/include, torch/lib and nvidia/*/include.
func (lt *libtorch) pack(ctx context.Context, t *tar.Writer) error {
	if err := packFolder(ctx, t, "torch/include", lt.Include); err != nil {
		return err
	}
	names := requiredLibraries
	if lt.CUDA {
		names = append(slices.Clone(names), cudaLibraries...)
	}
	for _, name := range names {
		text, err := symbolsOf(filepath.Join(lt.Lib, name))
		if err != nil {
			return err
		}
		if err := packFile(t, "torch/lib/"+name+nmSuffix, text); err != nil {
			return err
		}
	}
	if !lt.CUDA {
		return nil
	}
	for _, dir := range lt.cudaFolders() {
		// As Python's packages lie, be it there from a package or a toolkit.
		name := cmp.Or(strings.Trim(strings.TrimPrefix(filepath.Dir(dir), filepath.Join(lt.Include, "../../nvidia")), "/"), "cuda")
		if err := packFolder(ctx, t, "nvidia/"+filepath.Base(name)+"/include", dir); err != nil {
			return err
		}
	}
	return nil
}

// deviceHeaders are of code that runs on a GPU, which only nvcc compiles: three
// quarters of CUDA's headers.
var deviceHeaders = []string{"thrust", "cub", "cuda"}

// packFolder writes the headers below a folder, through links.
func packFolder(ctx context.Context, t *tar.Writer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, inside := filepath.Join(dir, entry.Name()), name+"/"+entry.Name()
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // a link to what is not installed
		case err != nil:
			return err
		case info.IsDir():
			if strings.HasPrefix(name, "nvidia/") && slices.Contains(deviceHeaders, entry.Name()) {
				continue
			}
			if err := packFolder(ctx, t, inside, path); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := packFile(t, inside, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func packFile(t *tar.Writer, name string, text []byte) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := t.Write(text)
	return err
}

// symbolsOf lists what a shared library is called and defines: "name SONAME", then
// for each symbol its type, its size and its name, as in "FUNC 0 at_new_tensor".
func symbolsOf(path string) ([]byte, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer file.Close()
	soname, err := file.DynString(elf.DT_SONAME)
	if err != nil || len(soname) != 1 {
		return nil, fmt.Errorf("%s does not say its name (%w)", path, err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	lines := []string{}
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF || strings.ContainsAny(s.Name, "\"\\\n ") || s.Name == "" {
			continue
		}
		line := "FUNC 0 " + s.Name
		switch elf.ST_TYPE(s.Info) {
		case elf.STT_OBJECT, elf.STT_COMMON:
			line = fmt.Sprintf("OBJECT %d %s", s.Size, s.Name)
		case elf.STT_TLS:
			line = fmt.Sprintf("TLS %d %s", s.Size, s.Name)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return []byte("name " + soname[0] + "\n" + strings.Join(slices.Compact(lines), "\n") + "\n"), nil
}

// assembly is the source of a library that defines the symbols of a list, and the
// library's name.
func assembly(list []byte) (source []byte, soname string, err error) {
	var b bytes.Buffer
	text, seen := bufio.NewScanner(bytes.NewReader(list)), map[string]bool{}
	text.Buffer(nil, 1<<20)
	for text.Scan() {
		if name, ok := strings.CutPrefix(text.Text(), "name "); ok {
			soname = name
			continue
		}
		var kind, name string
		var size uint64
		if _, err := fmt.Sscanf(text.Text(), "%s %d %s", &kind, &size, &name); err != nil {
			continue
		}
		// The linker makes these itself.
		if seen[name] || slices.Contains([]string{"_init", "_fini", "_end", "_edata", "__bss_start"}, name) {
			continue
		}
		seen[name] = true
		switch kind {
		case "OBJECT":
			fmt.Fprintf(&b, ".bss\n.balign 16\n.type %[1]q, %%object\n.size %[1]q, %[2]d\n.globl %[1]q\n%[1]q: .skip %[2]d\n", name, size)
		case "TLS":
			fmt.Fprintf(&b, ".section .tbss,\"awT\",%%nobits\n.balign 16\n.type %[1]q, %%tls_object\n.size %[1]q, %[2]d\n.globl %[1]q\n%[1]q: .skip %[2]d\n", name, size)
		default:
			fmt.Fprintf(&b, ".text\n.type %[1]q, %%function\n.size %[1]q, 1\n.globl %[1]q\n%[1]q: .byte 0\n", name)
		}
	}
	if soname == "" {
		return nil, "", errors.New("a list of symbols without the library's name")
	}
	b.WriteString(".section .note.GNU-stack,\"\",%progbits\n")
	return b.Bytes(), soname, text.Err()
}

// unpackInto is the action that lays out a pack in a new folder, with a stand-in
// for each library.
func unpackInto(path, dir string) func(*fitter, context.Context) error {
	return func(f *fitter, ctx context.Context) (err error) {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		if _, err := os.Lstat(dir); err == nil {
			return &problem{err: fmt.Errorf("%s is there already", dir), try: "the name of a new folder"}
		}
		file, err := os.Open(path)
		if err != nil {
			return &problem{err: err, try: "a file that fit -pack has written"}
		}
		defer file.Close()
		tmp, err := os.MkdirTemp(filepath.Dir(dir), ".fit-*")
		if err != nil {
			return advise(err, filepath.Dir(dir))
		}
		defer os.RemoveAll(tmp)
		if err := os.Chmod(tmp, 0o755); err != nil {
			return err
		}
		f.say("unpacking %s", path)
		if err := unpack(ctx, tmp, file); err != nil {
			return &problem{err: advise(fmt.Errorf("%s: %w", path, err), tmp), try: "a file that fit -pack has written, copied whole"}
		}
		lists, err := filepath.Glob(filepath.Join(tmp, "torch/lib/*"+nmSuffix))
		if err != nil || len(lists) == 0 {
			return &problem{err: fmt.Errorf("%s holds no libraries", path), try: "a file that fit -pack has written"}
		}
		for _, list := range lists {
			f.say("making a stand-in for %s", strings.TrimSuffix(filepath.Base(list), nmSuffix))
			if err := f.standIn(ctx, list); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(tmp, "torch/lib", standInMark), []byte("These libraries can be linked against and do nothing.\n"), 0o644); err != nil {
			return err
		}
		if err := os.Rename(tmp, dir); err != nil {
			return err
		}
		f.say("done; to build with it: LIBTORCH=%s make build", filepath.Join(dir, "torch"))
		return nil
	}
}

// unpack writes the files of a pack below a folder.
func unpack(ctx context.Context, dir string, from io.Reader) error {
	z, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		header, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			return fmt.Errorf("an entry %q that is no file of a pack", header.Name)
		}
		path := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, t)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
}

// standIn makes the library of a list of symbols, which goes.
func (f *fitter) standIn(ctx context.Context, list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	source, soname, err := assembly(text)
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	library := strings.TrimSuffix(list, nmSuffix)
	if err := os.WriteFile(library+".s", source, 0o644); err != nil {
		return err
	}
	words := append(strings.Fields(cmp.Or(os.Getenv("CXX"), "g++")), "-shared", "-nostdlib", "-Wl,-soname,"+soname, "-o", library, library+".s")
	if _, err := command(ctx, filepath.Dir(list), words[0], words[1:]...); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing("make setup, or apt-get install g++ libc6-dev", "no compiler: %w", err)
		}
		return err
	}
	return errors.Join(os.Remove(library+".s"), os.Remove(list))
}
