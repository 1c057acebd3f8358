package main

import (
	"strings"
	"testing"
)

// Collectives are used where the library has them and their headers are there,
// and installing the headers is enough to have the fit done again.
func TestCollectives(t *testing.T) {
	w := newWorkshop(t)
	flags := func() string {
		w.mustFit()
		text := w.read("checkout/" + flagsFile)
		if strings.Contains(w.read("checkout/.build/gotch/libtch/lib.go"), "USE_C10D") {
			t.Error("the bindings got the flags of collectives: they would be compiled anew")
		}
		return text
	}
	w.write("libtorch/lib/libtorch_cpu.so", sharedLibrary(t, machine, "_ZN4c10d16ProcessGroupGlooC1Ev"))
	if got := flags(); strings.Contains(got, "USE_C10D") {
		t.Errorf("without headers the flags are\n%s", got)
	}
	w.write("libtorch/include/gloo/context.h", "")
	if got := flags(); !strings.Contains(got, "-O2 -DUSE_C10D_GLOO\n") {
		t.Errorf("with Gloo's headers the flags are\n%s", got)
	}
	w.write("libtorch/lib/libtorch_cpu.so", sharedLibrary(t, machine, newABISymbol))
	if got := flags(); strings.Contains(got, "USE_C10D") {
		t.Errorf("of a libtorch without Gloo the flags are\n%s", got)
	}
	w.write("libtorch/lib/libtorch_cuda.so", sharedLibrary(t, machine, "_ZN4c10d16ProcessGroupNCCLC1Ev"))
	w.write("nvidia/nccl/include/nccl.h", "")
	if got := flags(); !strings.Contains(got, "-DUSE_C10D_NCCL") || !strings.Contains(got, "nvidia/nccl/include") {
		t.Errorf("with NCCL the flags are\n%s", got)
	}
	w.write("compiler.hook", `case "$*" in *NCCL*) echo "collectives.cpp:1:1: error: no" >&2; exit 1 ;; esac`)
	w.write("compiler.version", "13")
	if got := flags(); strings.Contains(got, "USE_C10D") {
		t.Errorf("where its header does not compile the flags are\n%s", got)
	}
}
