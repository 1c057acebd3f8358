package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// What g++ 12 and clang print for a function that is not there, for a
// template that fails inside a system header, and for a conversion.
const (
	gccOutput = `In file included from torch_api.cpp:1079:
torch_api_generated.cpp.h: In function 'void atg__cslt_compress(at::Tensor**, tensor)':
torch_api_generated.cpp.h:626:29: error: '_cslt_compress' is not a member of 'torch'
  626 |     auto outputs__ = torch::_cslt_compress(*input);
      |                             ^~~~~~~~~~~~~~
torch_api.h:20:5: note: in definition of macro 'PROTECT'
   20 |     x                                                                          \
      |     ^
In file included from /usr/include/c++/12/bits/unique_ptr.h:37,
                 from torch_api.h:8:
/usr/include/c++/12/tuple: In instantiation of 'struct std::tuple_element<5, std::tuple<at::Tensor> >':
torch_api_generated.cpp.h:1458:3:   required from here
/usr/include/c++/12/tuple:1357:25: error: static assertion failed: tuple index must be in range
`
	clangOutput = `In file included from torch_api.cpp:1079:
torch_api_generated.cpp.h:626:29: error: no member named '_cslt_compress' in namespace 'torch'
torch_api.cpp:89:3: error: no matching member function for call to 'sizes'
torch_api.h:20:5: note: expanded from macro 'PROTECT'
2 errors generated.
`
)

func TestPlacesIn(t *testing.T) {
	tests := []struct {
		name, output string
		want         map[string][]int
	}{
		{"gcc", gccOutput, map[string][]int{"torch_api_generated.cpp.h": {626, 1458}, "torch_api.h": {20}, "/usr/include/c++/12/tuple": {1357}}},
		{"clang", clangOutput, map[string][]int{"torch_api_generated.cpp.h": {626}, "torch_api.cpp": {89}, "torch_api.h": {20}}},
		{"nothing", "", map[string][]int{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := placesIn(test.output); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestFirstErrors(t *testing.T) {
	got := firstErrors(gccOutput, 1)
	if want := "torch_api_generated.cpp.h:626:29: error: '_cslt_compress' is not a member of 'torch'"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := firstErrors("g++: cannot execute\n", 3); got != "g++: cannot execute" {
		t.Errorf("without an error line: got %q", got)
	}
}

const source = `#include "torch_api.h"
using namespace std;

void atg_add(tensor *out__, tensor self) {
  PROTECT(
    auto outputs__ = torch::add(*self);
    out__[0] = new torch::Tensor(outputs__);
  )
}

tensor *atg_split(tensor self) {
  PROTECT(
    if (true) { return 0; }
  )
  return nullptr;
}

void at_save(tensor t, char *filename) { PROTECT(torch::save(*t, filename);) }

void *at_data_ptr(tensor t,
                  int64_t unused) {
  PROTECT(return t->data_ptr();)
  return nullptr;
}

template <typename T>
T silent(T x) {
  return x;
}

int64_t atg_size(tensor self) {
  PROTECT(
    return self->size(0);
  )
  return 0;
}
`

func TestStub(t *testing.T) {
	line := func(text string) int {
		before, _, ok := strings.Cut(source, text)
		if !ok {
			t.Fatalf("no %q in the source", text)
		}
		return strings.Count(before, "\n") + 1
	}
	stubOf := func(name string) string {
		return `  PROTECT(throw std::runtime_error("` + name + `: not in this libtorch");)` + "\n"
	}
	tests := []struct {
		name     string
		at       []int
		names    []string
		old, new string // the piece of the source that changes
	}{
		{"nothing", nil, nil, "", ""},
		{"between functions", []int{line("using namespace"), line("template")}, nil, "", ""},
		{"without PROTECT", []int{line("return x;")}, nil, "", ""},
		{"void", []int{line("auto outputs__"), line("auto outputs__") + 1}, []string{"atg_add"},
			"  PROTECT(\n    auto outputs__ = torch::add(*self);\n    out__[0] = new torch::Tensor(outputs__);\n  )\n", stubOf("atg_add")},
		{"pointer", []int{line("if (true)")}, []string{"atg_split"},
			"  PROTECT(\n    if (true) { return 0; }\n  )\n  return nullptr;\n", stubOf("atg_split") + "  return 0;\n"},
		{"one line", []int{line("torch::save")}, []string{"at_save"},
			" PROTECT(torch::save(*t, filename);) }", "\n" + stubOf("at_save") + "}"},
		{"signature of two lines", []int{line("int64_t unused")}, []string{"at_data_ptr"},
			"  PROTECT(return t->data_ptr();)\n  return nullptr;\n", stubOf("at_data_ptr") + "  return 0;\n"},
		{"number", []int{line("int64_t atg_size")}, []string{"atg_size"},
			"  PROTECT(\n    return self->size(0);\n  )\n  return 0;\n", stubOf("atg_size") + "  return 0;\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, names := stub(source, test.at)
			want := source
			if test.old != "" {
				if want = strings.Replace(source, test.old, test.new, 1); want == source {
					t.Fatalf("the test's own piece is not in the source: %q", test.old)
				}
			}
			if got != want || !reflect.DeepEqual(names, test.names) {
				t.Errorf("stubbed %v, want %v; got:\n%s\nwant:\n%s", names, test.names, got, want)
			}
		})
	}
}

// A stubbed function must still be recognized as one: a later pass may name a
// line of it, or of one after it.
func TestStubAgain(t *testing.T) {
	once, _ := stub(source, []int{5})
	if got, want := len(functionsIn(strings.Split(once, "\n"))), len(functionsIn(strings.Split(source, "\n"))); got != want {
		t.Errorf("%d functions after stubbing, %d before", got, want)
	}
}

// Every function of the real generated source must be found.
func TestFunctionsOfGotch(t *testing.T) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	path := filepath.Join(strings.TrimSpace(string(cache)), gotchPath+"@"+gotchVersion, "libtch")
	generated, err := os.ReadFile(filepath.Join(path, generatedSource))
	if err != nil {
		t.Skipf("gotch is not in the module cache: %v", err)
	}
	want := regexp.MustCompile(`(?m)^.*\b(atg_\w+)\(`).FindAllStringSubmatch(string(generated), -1)
	got := functionsIn(strings.Split(string(generated), "\n"))
	if len(got) != len(want) || len(got) < 2000 {
		t.Fatalf("found %d functions, the source has %d", len(got), len(want))
	}
	for i := range got {
		if got[i].name != want[i][1] {
			t.Fatalf("function %d is %s, want %s", i, got[i].name, want[i][1])
		}
	}
	hand, err := os.ReadFile(filepath.Join(path, handSource))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range functionsIn(strings.Split(string(hand), "\n")) {
		names[f.name] = true
	}
	for _, name := range []string{"at_new_tensor", "at_save", "at_copy_data", "atm_load", "ati_to_tensor", "ato_adam"} {
		if !names[name] {
			t.Errorf("%s not found in %s", name, handSource)
		}
	}
}
