package tasks

import (
	"slices"
	"testing"
)

// The built-in tasks by name, for the tests.
var (
	boolQ   = registered("BoolQ")
	cb      = registered("CB")
	copa    = registered("COPA")
	multiRC = registered("MultiRC")
	reCoRD  = registered("ReCoRD")
	rte     = registered("RTE")
	wsc     = registered("WSC")
)

func registered(name string) *Task {
	task, err := Get(name)
	if err != nil {
		panic(err)
	}
	return task
}

func TestRegistry(t *testing.T) {
	if builtInErr != nil {
		t.Fatal(builtInErr)
	}
	if len(registry) != len(shown) || len(Names()) != 8 || len(Diagnostics()) != 2 {
		t.Errorf("%d tasks of %d: %q and %q", len(registry), len(shown), Names(), Diagnostics())
	}
	if len(generation) != len(generative) {
		t.Errorf("%d tasks that write, of %d", len(generation), len(generative))
	}
	for i, task := range builtIns {
		if want := slices.Concat(shown, variant, generative)[i]; task.Name != want {
			t.Errorf("built-in %s.yaml declares %s", want, task.Name)
		}
	}
}

// BenchmarkDeclarations is what every command pays before it starts.
func BenchmarkDeclarations(b *testing.B) {
	for range b.N {
		if _, err := builtIn(); err != nil {
			b.Fatal(err)
		}
	}
}
