package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write creates files below dir, with their folders; the mode is executable.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	newABISymbol = "_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
	oldABISymbol = "_ZN3c105ErrorC1ENS_14SourceLocationESs"
)

// sharedLibrary is a little ELF file that defines one dynamic symbol.
func sharedLibrary(t *testing.T, machine elf.Machine, symbol string) string {
	t.Helper()
	names := "\x00.dynsym\x00.dynstr\x00.shstrtab\x00"
	strings := "\x00" + symbol + "\x00"
	const header, symbolSize, sections = 64, 24, 4
	symbolsAt := uint64(header)
	stringsAt := symbolsAt + 2*symbolSize
	namesAt := stringsAt + uint64(len(strings))
	sectionsAt := namesAt + uint64(len(names))
	var b bytes.Buffer
	put := func(value any) {
		if err := binary.Write(&b, binary.LittleEndian, value); err != nil {
			t.Fatal(err)
		}
	}
	put(elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Shoff: sectionsAt, Ehsize: header, Shentsize: 64, Shnum: sections, Shstrndx: 3,
	})
	put(elf.Sym64{})
	put(elf.Sym64{Name: 1, Info: byte(elf.STB_GLOBAL)<<4 | byte(elf.STT_FUNC), Shndx: 1, Value: 1, Size: 1})
	b.WriteString(strings)
	b.WriteString(names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_DYNSYM), Off: symbolsAt, Size: 2 * symbolSize, Link: 2, Entsize: symbolSize})
	put(elf.Section64{Name: 9, Type: uint32(elf.SHT_STRTAB), Off: stringsAt, Size: uint64(len(strings))})
	put(elf.Section64{Name: 17, Type: uint32(elf.SHT_STRTAB), Off: namesAt, Size: uint64(len(names))})
	return b.String()
}

func version(major, minor string) string {
	return "#define TORCH_VERSION_MAJOR " + major + "\n#define TORCH_VERSION_MINOR " + minor + "\n#define TORCH_VERSION_PATCH 1\n"
}

// tree is a made-up libtorch: what find looks at, and nothing else.
func tree(t *testing.T, lib string) map[string]string {
	return map[string]string{
		"include/" + versionHeader:                  version("2", "6"),
		"include/" + apiHeaders + "/torch/all.h":    "#if !defined(_MSC_VER) && __cplusplus < 201703L\n#error C++17\n#endif\n",
		"include/ATen/ATen.h":                       "#pragma once\n",
		"include/c10/util/Optional.h":               "using std::optional;\n",
		filepath.Join(lib, "libc10.so"):             sharedLibrary(t, machine, newABISymbol),
		filepath.Join(lib, "libtorch.so"):           "",
		filepath.Join(lib, "libtorch_cpu.so"):       "",
		filepath.Join(lib, "libunrelated.so.1.2.3"): "",
	}
}

func TestAt(t *testing.T) {
	multiarch := "lib/" + machineName + "-linux-gnu"
	tests := []struct {
		name    string
		lib     string
		change  map[string]string // "" removes the file
		want    libtorch          // Include and Lib are compared below root
		compile string
		link    string
		err     string // part of the error, "" for none
	}{
		{name: "zip", lib: "lib", want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: "lib"},
			compile: "-std=c++17 -IROOT/include -IROOT/include/" + apiHeaders,
			link:    "-LROOT/lib -Wl,-rpath,ROOT/lib -lstdc++ -ltorch -ltorch_cpu -lc10"},
		{name: "distribution", lib: multiarch, want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: multiarch}},
		{name: "lib64", lib: "lib64", want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: "lib64"}},
		{name: "CUDA", lib: "lib", change: map[string]string{"lib/libtorch_cuda.so": "x"},
			want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: "lib", CUDA: true},
			link: "-LROOT/lib -Wl,-rpath,ROOT/lib -lstdc++ -ltorch -ltorch_cpu -lc10 -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed"},
		{name: "OpenBLAS for OpenMP", lib: multiarch, change: map[string]string{multiarch + "/" + blas: "x"},
			want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: multiarch, BLAS: multiarch + "/openblas-openmp"},
			link: "-LROOT/" + multiarch + " -Wl,-rpath,ROOT/" + multiarch + " -lstdc++ -ltorch -ltorch_cpu -lc10" +
				" -LROOT/" + multiarch + "/openblas-openmp -Wl,-rpath,ROOT/" + multiarch + "/openblas-openmp -Wl,--no-as-needed -l:libblas.so.3 -Wl,--as-needed"},
		{name: "old ABI", lib: "lib", change: map[string]string{"lib/libc10.so": sharedLibrary(t, machine, oldABISymbol)},
			want:    libtorch{Version: "2.6.1", Standard: 17, Lib: "lib"},
			compile: "-std=c++17 -IROOT/include -IROOT/include/" + apiHeaders + " -D_GLIBCXX_USE_CXX11_ABI=0"},
		{name: "C++14 asked for", lib: "lib", change: map[string]string{"include/ATen/ATen.h": "#if __cplusplus < 201402L\n", "include/" + apiHeaders + "/torch/all.h": "\n"},
			want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 17, Lib: "lib"}},
		{name: "C++20 asked for", lib: "lib", change: map[string]string{"include/ATen/ATen.h": "#if __cplusplus < 202002L\n"},
			want: libtorch{Version: "2.6.1", CXX11ABI: true, Standard: 20, Lib: "lib"}},
		{name: "C++20 by version", lib: "lib", change: map[string]string{"include/" + versionHeader: version("2", "12")},
			want: libtorch{Version: "2.12.1", CXX11ABI: true, Standard: 20, Lib: "lib"}},
		{name: "version in the newer place", lib: "lib",
			change: map[string]string{"include/" + versionHeader: "#include <" + versionHeader2 + ">\n", "include/" + versionHeader2: version("2", "9")},
			want:   libtorch{Version: "2.9.1", CXX11ABI: true, Standard: 17, Lib: "lib"}},
		{name: "nothing", lib: "lib", change: map[string]string{"include/" + versionHeader: ""}, err: "no such file"},
		{name: "no version", lib: "lib", change: map[string]string{"include/" + versionHeader: "#define TORCH_VERSION_MAJOR 2\n"}, err: "no TORCH_VERSION_MAJOR, _MINOR and _PATCH"},
		{name: "headers alone", lib: "lib", change: map[string]string{"lib/libc10.so": ""}, err: "headers of libtorch 2.6.1 in ROOT/include, but no libc10.so in ROOT/lib"},
		{name: "half a libtorch", lib: "lib", change: map[string]string{"lib/libtorch_cpu.so": ""}, err: "incomplete libtorch 2.6.1"},
		{name: "another architecture", lib: "lib", change: map[string]string{"lib/libc10.so": sharedLibrary(t, elf.EM_S390, newABISymbol)}, err: "is built for EM_S390, this Go for " + machine.String()},
		{name: "not a library", lib: "lib", change: map[string]string{"lib/libc10.so": "hello"}, err: "reading ROOT/lib/libc10.so"},
		{name: "another library", lib: "lib", change: map[string]string{"lib/libc10.so": sharedLibrary(t, machine, "_Z5hellov")}, err: "no c10::Error"},
		{name: "C++98 to come", lib: "lib", change: map[string]string{"include/ATen/ATen.h": "#if __cplusplus < 209902L\n"}, err: "a C++ standard this fit does not know: __cplusplus < 209902L"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			files := tree(t, test.lib)
			for name, text := range test.change {
				if text == "" {
					delete(files, name)
				} else {
					files[name] = text
				}
			}
			write(t, root, files)
			in := func(s string) string { return strings.ReplaceAll(s, "ROOT", root) }
			got, err := at(root)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), in(test.err)) {
					t.Fatalf("got error %v, want one with %q", err, in(test.err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			want.Include, want.Lib = filepath.Join(root, "include"), filepath.Join(root, test.want.Lib)
			if want.BLAS != "" {
				want.BLAS = filepath.Join(root, want.BLAS)
			}
			if *got != want {
				t.Errorf("got %+v, want %+v", *got, want)
			}
			if flags := strings.Join(got.compileFlags(), " "); test.compile != "" && flags != in(test.compile) {
				t.Errorf("compile flags %s, want %s", flags, in(test.compile))
			}
			if flags := strings.Join(got.linkFlags(), " "); test.link != "" && flags != in(test.link) {
				t.Errorf("link flags %s, want %s", flags, in(test.link))
			}
		})
	}
}

// The system's own folders are known to compiler, linker and loader; naming
// them again would change the order in which headers are found.
func TestSystemFlags(t *testing.T) {
	lt := libtorch{Include: "/usr/include", Lib: "/usr/lib/" + machineName + "-linux-gnu", CXX11ABI: true, Standard: 17}
	if got, want := strings.Join(lt.compileFlags(), " "), "-std=c++17 -I/usr/include/"+apiHeaders; got != want {
		t.Errorf("compile flags %s, want %s", got, want)
	}
	if got, want := strings.Join(lt.linkFlags(), " "), "-lstdc++ -ltorch -ltorch_cpu -lc10"; got != want {
		t.Errorf("link flags %s, want %s", got, want)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	place := func(name string) string {
		root := filepath.Join(dir, name)
		write(t, root, tree(t, "lib"))
		return root
	}
	named, wheel, system := place("named"), place("python/torch"), place("system")
	empty := filepath.Join(dir, "empty")
	// Debian's python3-torch has links to the system's files.
	linked := place("linked/torch")
	for _, name := range requiredLibraries {
		path := filepath.Join(linked, "lib", name)
		if err := errors.Join(os.Remove(path), os.Symlink(filepath.Join(system, "lib", name), path)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{
		"linked.sh":             "#!/bin/sh\necho " + linked + "\n",
		"empty/file":            "",
		"without/torch/init.py": "",
		"with.sh":               "#!/bin/sh\necho " + wheel + "\n",
		"without.sh":            "#!/bin/sh\necho " + filepath.Join(dir, "without/torch") + "\n",
		"none.sh":               "#!/bin/sh\necho\n",
		"broken.sh":             "#!/bin/sh\nexit 1\n",
	})
	python := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	tests := []struct {
		name   string
		search search
		want   string // the libtorch's root
		err    string
	}{
		{"LIBTORCH first", search{named, python("with.sh"), []string{system}}, named, ""},
		{"then Python's", search{"", python("with.sh"), []string{system}}, wheel, ""},
		{"the second Python's", search{"", python("absent.sh", "broken.sh", "none.sh", "with.sh"), []string{system}}, wheel, ""},
		{"Python's torch without headers", search{"", python("without.sh"), []string{system}}, system, ""},
		{"Python's torch that is the system's", search{"", python("linked.sh"), []string{system}}, system, ""},
		{"links to elsewhere", search{"", python("linked.sh"), []string{empty}}, linked, ""},
		{"then the system's", search{"", nil, []string{empty, system}}, system, ""},
		{"a wrong LIBTORCH is not passed over", search{empty, python("with.sh"), []string{system}}, "", "LIBTORCH=" + empty + " is not a libtorch"},
		{"none", search{"", python("none.sh"), []string{empty}}, "", "no libtorch found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.search.find(context.Background())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Include != filepath.Join(test.want, "include") {
				t.Errorf("got %s, want the one in %s", got, test.want)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	if got, want := quoted([]string{"-w", "-I/opt/lib torch"}), `-w "-I/opt/lib torch"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLibraryFolders(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"lib/" + machineName + "-linux-gnu/x": "", "lib/other-linux-gnu/x": ""})
	got := libraryFolders(root)
	if !slices.Contains(got, filepath.Join(root, "lib", machineName+"-linux-gnu")) || slices.Contains(got, filepath.Join(root, "lib", "other-linux-gnu")) {
		t.Errorf("got %v", got)
	}
}
