package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// libtorch is one installed libtorch, as far as building against it goes.
type libtorch struct {
	Source   string // how it was found, for people
	Include  string // holds ATen/, c10/, torch/
	Lib      string // holds libc10.so, libtorch.so, libtorch_cpu.so
	Version  string // as its headers say, e.g. "2.6.0"
	CUDA     bool   // libtorch_cuda.so is there
	CXX11ABI bool   // std::string is std::__cxx11::string in its symbols
	Standard int    // the C++ standard to compile with: 17, 20, ...
	BLAS     string // folder of the BLAS to take instead of the system's choice; may be empty
	StandIns bool   `json:",omitempty"` // the libraries are stand-ins (standin.go)
}

// blas is Debian's OpenBLAS whose threads are OpenMP's, as libtorch's are. Where the
// one with threads of its own is installed too, that is the system's choice, and slow
// when it is called from several threads at a time, as attention does.
const blas = "openblas-openmp/libblas.so.3"

const (
	apiHeaders     = "torch/csrc/api/include"
	versionHeader  = apiHeaders + "/torch/version.h"
	versionHeader2 = "torch/headeronly/version.h" // where newer releases define what the former includes
	installAdvice  = "apt-get install libtorch-dev (Debian, Ubuntu), or name another one: LIBTORCH=/path make libtorch"
)

// requiredLibraries are linked against; each must be in libtorch.Lib.
var requiredLibraries = []string{"libc10.so", "libtorch.so", "libtorch_cpu.so"}

// search says where libtorch is looked for. The zero value looks at the
// machine's usual places; tests give others.
type search struct {
	LIBTORCH string // the environment variable
	Python   []string
	Roots    []string // prefixes such as /usr
}

func systemSearch() search {
	return search{
		LIBTORCH: os.Getenv("LIBTORCH"),
		Python:   []string{"python3", "python"},
		Roots:    []string{"/usr", "/usr/local"},
	}
}

// find returns the libtorch to build against: the one LIBTORCH names, else the
// one Python's torch ships, else the system's.
func (s search) find(ctx context.Context) (*libtorch, error) {
	if s.LIBTORCH != "" {
		root, err := filepath.Abs(s.LIBTORCH)
		if err != nil {
			return nil, err
		}
		lt, err := at(root)
		if err != nil {
			return nil, missing("LIBTORCH must name a folder with include/ and lib/, such as an unpacked libtorch zip, the folder of Python's torch package, or /usr; unset it to let glmkit look by itself",
				"LIBTORCH=%s is not a libtorch: %w", s.LIBTORCH, err)
		}
		lt.Source = "LIBTORCH"
		return lt, nil
	}
	var rejected []error
	var linked *libtorch
	for _, python := range s.Python {
		root := torchOfPython(ctx, python)
		if root == "" {
			continue
		}
		// A distribution's package may keep headers and libraries elsewhere.
		if _, err := os.Stat(filepath.Join(root, "include")); err != nil {
			continue
		}
		lt, err := at(root)
		if err != nil {
			rejected = append(rejected, fmt.Errorf("the torch of %s, %s: %w", python, root, err))
			continue
		}
		lt.Source = "the torch of " + python
		if !lt.linked() {
			return lt, nil
		}
		// Beside the system's own files lie the headers of Gloo, and its BLAS.
		if linked == nil {
			linked = lt
		}
	}
	for _, root := range s.Roots {
		lt, err := at(root)
		if err == nil {
			lt.Source = "the system"
			return lt, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			rejected = append(rejected, err)
		}
	}
	if linked != nil {
		return linked, nil
	}
	if len(rejected) > 0 {
		return nil, missing(installAdvice, "no usable libtorch: %w", errors.Join(rejected...))
	}
	return nil, missing(installAdvice, "no libtorch found: LIBTORCH is not set, Python has no torch with headers, and %s has none", strings.Join(s.Roots, " and "))
}

// torchOfPython asks an interpreter where its torch package is, without
// importing it. It returns "" where there is no such interpreter or package.
func torchOfPython(ctx context.Context, python string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-c", `import importlib.util as u
s = u.find_spec("torch")
print(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")`)
	cmd.Dir = "/" // a folder torch/ of the current directory is not the package
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// at reads the libtorch below root. The error wraps os.ErrNotExist where
// nothing of a libtorch is there.
func at(root string) (*libtorch, error) {
	lt := &libtorch{Include: filepath.Join(root, "include")}
	version, err := readVersion(lt.Include)
	if err != nil {
		return nil, err
	}
	lt.Version = version
	for _, dir := range libraryFolders(root) {
		if _, err := os.Stat(filepath.Join(dir, "libc10.so")); err == nil {
			lt.Lib = dir
			break
		}
	}
	if lt.Lib == "" {
		return nil, fmt.Errorf("headers of libtorch %s in %s, but no libc10.so in %s", version, lt.Include, strings.Join(libraryFolders(root), ", "))
	}
	for _, name := range requiredLibraries {
		if _, err := os.Stat(filepath.Join(lt.Lib, name)); err != nil {
			return nil, fmt.Errorf("incomplete libtorch %s: %v", version, err)
		}
	}
	if _, err := os.Stat(filepath.Join(lt.Lib, "libtorch_cuda.so")); err == nil {
		lt.CUDA = true
	}
	lt.StandIns = fileExists(filepath.Join(lt.Lib, standInMark))
	if path := filepath.Join(lt.Lib, blas); fileExists(path) {
		lt.BLAS = filepath.Dir(path)
	}
	lt.CXX11ABI, err = readABI(filepath.Join(lt.Lib, "libc10.so"))
	if err != nil {
		return nil, err
	}
	lt.Standard, err = readStandard(lt.Include, version)
	return lt, err
}

// linked tells whether the libraries are links to those of another folder, as in
// the Python package of a distribution.
func (lt *libtorch) linked() bool {
	real, err := filepath.EvalSymlinks(filepath.Join(lt.Lib, "libc10.so"))
	if err != nil {
		return false
	}
	folder, err := filepath.EvalSymlinks(lt.Lib)
	return err == nil && filepath.Dir(real) != folder
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// libraryFolders are the places below root that hold shared libraries,
// Debian's multiarch ones included.
func libraryFolders(root string) []string {
	folders := []string{filepath.Join(root, "lib"), filepath.Join(root, "lib64")}
	multiarch, _ := filepath.Glob(filepath.Join(root, "lib", machineName+"-linux-gnu*"))
	return append(multiarch, folders...)
}

var versionMacro = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)`)

// readVersion reads the version macros of the headers below include.
func readVersion(include string) (string, error) {
	text, err := os.ReadFile(filepath.Join(include, versionHeader))
	if err != nil {
		return "", err
	}
	if more, err := os.ReadFile(filepath.Join(include, versionHeader2)); err == nil {
		text = append(text, more...)
	}
	part := map[string]string{}
	for _, match := range versionMacro.FindAllSubmatch(text, -1) {
		part[string(match[1])] = string(match[2])
	}
	if part["MAJOR"] == "" || part["MINOR"] == "" || part["PATCH"] == "" {
		return "", fmt.Errorf("%s: no TORCH_VERSION_MAJOR, _MINOR and _PATCH in it", filepath.Join(include, versionHeader))
	}
	return part["MAJOR"] + "." + part["MINOR"] + "." + part["PATCH"], nil
}

// readABI tells by its symbols whether a library was built with the C++11 ABI
// of libstdc++, and that it is for this machine at all.
func readABI(path string) (cxx11 bool, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	defer file.Close()
	if file.Machine != machine {
		return false, fmt.Errorf("%s is built for %v, this Go for %v", path, file.Machine, machine)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	old := false
	for _, s := range symbols {
		// c10::Error's constructors take a std::string.
		if !strings.HasPrefix(s.Name, "_ZN3c105Error") || s.Section == elf.SHN_UNDEF {
			continue
		}
		if strings.Contains(s.Name, "__cxx11") {
			return true, nil
		}
		if strings.Contains(s.Name, "Ss") { // the mangled old std::string
			old = true
		}
	}
	if !old {
		return false, fmt.Errorf("%s has no c10::Error that takes a string: not libtorch's library, or one this fit does not know", path)
	}
	return false, nil
}

// leastStandard is what gotch's own sources need.
const leastStandard = 17

var standardGuard = regexp.MustCompile(`__cplusplus\s*<\s*(20\d\d)\d\dL`)

// standardOfYear maps the year in __cplusplus to the name of the standard.
var standardOfYear = map[string]int{"2014": 14, "2017": 17, "2020": 20, "2023": 23}

// readStandard returns the C++ standard that the headers ask for: each release
// guards its main header with a check of __cplusplus.
func readStandard(include, version string) (int, error) {
	standard := leastStandard
	// 2.12 uses C++20 in its headers; the guard followed only later.
	if major, minor := split(version); major > 2 || major == 2 && minor >= 12 {
		standard = 20
	}
	for _, name := range []string{"ATen/ATen.h", apiHeaders + "/torch/all.h"} {
		text, err := os.ReadFile(filepath.Join(include, name))
		if err != nil {
			return 0, err
		}
		for _, match := range standardGuard.FindAllSubmatch(text, -1) {
			wanted, ok := standardOfYear[string(match[1])]
			if !ok {
				return 0, fmt.Errorf("%s asks for a C++ standard this fit does not know: %s", filepath.Join(include, name), bytes.TrimSpace(match[0]))
			}
			standard = max(standard, wanted)
		}
	}
	return standard, nil
}

func split(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

// String names the libtorch for people.
func (lt *libtorch) String() string {
	device := "CPU"
	if lt.CUDA {
		device = "CUDA"
	}
	if lt.StandIns {
		device += ", stand-ins to link against"
	}
	return fmt.Sprintf("libtorch %s for %s, from %s (%s, %s)", lt.Version, device, lt.Source, lt.Include, lt.Lib)
}

// compileFlags are for every C++ file that includes libtorch's headers.
func (lt *libtorch) compileFlags() []string {
	flags := []string{fmt.Sprintf("-std=c++%d", lt.Standard)}
	if lt.Include != "/usr/include" { // the compiler looks there by itself, in the right order
		flags = append(flags, "-I"+lt.Include)
	}
	flags = append(flags, "-I"+filepath.Join(lt.Include, apiHeaders))
	if !lt.CXX11ABI {
		flags = append(flags, "-D_GLIBCXX_USE_CXX11_ABI=0")
	}
	return flags
}

// linkFlags are for every program that uses libtorch.
func (lt *libtorch) linkFlags() []string {
	var flags []string
	if !defaultLibraryFolder(lt.Lib) {
		flags = append(flags, "-L"+lt.Lib)
		if !lt.StandIns { // they must never be loaded
			flags = append(flags, "-Wl,-rpath,"+lt.Lib)
		}
	}
	flags = append(flags, "-lstdc++", "-ltorch", "-ltorch_cpu", "-lc10")
	if lt.BLAS != "" {
		// The program itself asks for it, before libtorch_cpu does.
		flags = append(flags, "-L"+lt.BLAS, "-Wl,-rpath,"+lt.BLAS, "-Wl,--no-as-needed", "-l:"+filepath.Base(blas), "-Wl,--as-needed")
	}
	if lt.CUDA {
		// Nothing refers to a symbol of these: they register themselves when
		// they are loaded, so the linker must not drop them.
		flags = append(flags, "-Wl,--no-as-needed", "-ltorch_cuda", "-lc10_cuda", "-Wl,--as-needed")
	}
	return flags
}

// defaultLibraryFolder tells whether linker and loader look there by themselves.
func defaultLibraryFolder(dir string) bool {
	switch parent := filepath.Dir(dir); {
	case dir == "/usr/lib" || dir == "/lib":
		return true
	case parent == "/usr/lib" || parent == "/lib":
		return strings.HasPrefix(filepath.Base(dir), machineName+"-linux-gnu")
	}
	return false
}
