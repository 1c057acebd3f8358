package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realLibtorch is a made-up libtorch whose libraries are real ones, of CUDA or not.
func realLibtorch(t *testing.T, root string) {
	t.Helper()
	files := tree(t, "lib")
	for name := range files {
		if strings.HasPrefix(name, "lib/") {
			delete(files, name)
		}
	}
	files["src/libc10.so.cpp"] = `#include <string>
namespace c10 { struct SourceLocation {}; struct Error { Error(SourceLocation, std::string); }; Error::Error(SourceLocation, std::string) {} }
int answer() { return 40; }
int numbers[3] = {1, 2, 4};
thread_local int mine = 5;`
	files["src/libtorch_cuda.so.cpp"] = "namespace c10d { struct ProcessGroupNCCL { ProcessGroupNCCL(); }; ProcessGroupNCCL::ProcessGroupNCCL() {} }"
	for _, name := range []string{"libtorch.so", "libtorch_cpu.so", "libc10_cuda.so"} {
		files["src/"+name+".cpp"] = ""
	}
	write(t, root, files)
	write(t, filepath.Dir(root), map[string]string{
		"nvidia/nccl/include/nccl.h":                 "",
		"nvidia/cu13/include/cuda_runtime_api.h":     "",
		"nvidia/cu13/include/cccl/nv/target":         "",
		"nvidia/cu13/include/cccl/thrust/everything": "",
	})
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if library, ok := strings.CutSuffix(name, ".so.cpp"); ok {
			library = filepath.Base(library) + ".so"
			compile(t, root, "-shared", "-fPIC", "-Wl,-soname,"+library, "-o", "lib/"+library, name)
		}
	}
}

func compile(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("g++", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("g++ %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A program built against stand-ins runs with the libraries that they stand for, and
// one that asks for more than those have is not built.
func TestStandIns(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++")
	}
	t.Setenv("CXX", "")
	dir := t.TempDir()
	real, file, unpacked := filepath.Join(dir, "site/torch"), filepath.Join(dir, "pack.tar.gz"), filepath.Join(dir, "unpacked")
	realLibtorch(t, real)
	var out, errs bytes.Buffer
	act := func(do func(*fitter, context.Context) error) int {
		errs.Reset()
		return run(context.Background(), dir, do, search{LIBTORCH: real}, &out, &errs)
	}
	if code := act(packInto(file)); code != 0 {
		t.Fatalf("packing: %d\n%s", code, errs.String())
	}
	if code := act(unpackInto(file, unpacked)); code != 0 {
		t.Fatalf("unpacking: %d\n%s", code, errs.String())
	}
	lt, err := at(filepath.Join(unpacked, "torch"))
	if err != nil {
		t.Fatal(err)
	}
	if lt.Version != "2.6.1" || !lt.CUDA || !lt.CXX11ABI || !lt.StandIns || !strings.Contains(lt.String(), "stand-ins") {
		t.Errorf("found %+v", lt)
	}
	if flags := strings.Join(lt.linkFlags(), " "); strings.Contains(flags, "rpath") || !strings.Contains(flags, "-ltorch_cuda -lc10_cuda") {
		t.Errorf("link flags %s", flags)
	}
	found := lt.collectives()
	if len(found) != 1 || !strings.Contains(strings.Join(found[0].flags, " "), "/nvidia/cu13/include/cccl -I") {
		t.Errorf("collectives %+v", found)
	}
	if has, err := defines(filepath.Join(lt.Lib, found[0].library), found[0].symbol); err != nil || !has {
		t.Errorf("the stand-in lacks %s: %v", found[0].symbol, err)
	}
	if fileExists(filepath.Join(unpacked, "nvidia/cu13/include/cccl/thrust")) {
		t.Error("headers of device code were packed")
	}

	write(t, dir, map[string]string{
		"uses.cpp": "int answer(); extern int numbers[3]; extern thread_local int mine; int main() { return answer() + numbers[2] + mine == 49 ? 0 : 1; }",
		"more.cpp": "int absent(); int main() { return absent(); }",
	})
	compile(t, dir, "-o", "uses", "uses.cpp", "-L"+lt.Lib, "-ltorch", "-ltorch_cpu", "-lc10")
	uses := exec.Command(filepath.Join(dir, "uses"))
	if err := uses.Run(); err == nil {
		t.Error("the program runs without its libraries")
	}
	uses = exec.Command(filepath.Join(dir, "uses"))
	uses.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(real, "lib"))
	if text, err := uses.CombinedOutput(); err != nil {
		t.Errorf("with the real libraries: %v\n%s", err, text)
	}
	more := exec.Command("g++", "-o", "more", "more.cpp", "-L"+lt.Lib, "-lc10")
	more.Dir = dir
	if text, err := more.CombinedOutput(); err == nil || !strings.Contains(string(text), "absent") {
		t.Errorf("a symbol that no library has: %v\n%s", err, text)
	}

	// What cannot be.
	if code := act(unpackInto(file, unpacked)); code != 1 || !strings.Contains(errs.String(), "is there already") {
		t.Errorf("into a folder that is there: %d %s", code, errs.String())
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var outside bytes.Buffer
	z := gzip.NewWriter(&outside)
	w := tar.NewWriter(z)
	if err := packFile(w, "../outside", []byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	z.Close()
	for name, content := range map[string]string{"half": string(whole[:len(whole)/2]), "outside": outside.String(), "no pack": "hello"} {
		write(t, dir, map[string]string{"bad": content})
		if code := act(unpackInto(filepath.Join(dir, "bad"), filepath.Join(dir, "new"))); code != 1 || !strings.Contains(errs.String(), "try: a file that fit -pack") {
			t.Errorf("%s: %d %s", name, code, errs.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".fit-*")); err != nil || len(left) > 0 || fileExists(filepath.Join(dir, "new")) || fileExists(filepath.Join(dir, "outside")) {
		t.Errorf("left behind: %v %v", left, err)
	}
}
