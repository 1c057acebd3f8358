package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A grid has a cell for every combination, and a cell one name however its
// values are spelled.
func TestGridCells(t *testing.T) {
	g, err := ParseGrid([]string{"optimizer.lr=0.00001,.001", "batch_size=16, 1e3", "kind=cosine"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, cell := range g.Cells() {
		got = append(got, cell.Name())
	}
	want := []string{
		"lr=1e-5,batch_size=16,kind=cosine", "lr=1e-5,batch_size=1000,kind=cosine",
		"lr=1e-3,batch_size=16,kind=cosine", "lr=1e-3,batch_size=1000,kind=cosine",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if cells := (Grid{}).Cells(); len(cells) != 1 || cells[0].Name() != "" {
		t.Errorf("the empty grid has the cells %v, want one without a name", cells)
	}
}

// Every embedded grid is sound, and a later part replaces an axis of an earlier.
func TestEmbeddedGrids(t *testing.T) {
	if len(Grids()) == 0 {
		t.Fatal("no grids are embedded")
	}
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Grids() {
		g, err := ParseGrid([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range g.Cells() {
			if _, err := c.With("CB", cell); err != nil {
				t.Errorf("%s %s: %v", name, cell.Name(), err)
			}
		}
	}
	g, err := ParseGrid([]string{"authors", "epochs=5"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.Cells()); n != 6 {
		t.Errorf("%d cells of the authors' grid with one number of epochs, want 6", n)
	}
}

// A cell's configuration has its values over the task's own, zeros too, and is
// the same when it was written and read again.
func TestConfigWithCell(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseGrid([]string{"epochs=3", "warmup=0", "pattern=1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []string{"CB", "Mine"} {
		got, err := c.With(task, g.Cells()[0])
		if err != nil {
			t.Fatal(err)
		}
		text, err := got.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(write(t, string(text)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, config := range map[string]*Config{"made": got, "read again": again} {
			r := config.Finetune.For(task)
			if r.Epochs != 3 || r.Schedule.Warmup != 0 || r.Pattern == nil || *r.Pattern != 1 || r.BatchSize != 16 {
				t.Errorf("%s, %s: recipe %+v", task, name, r)
			}
		}
	}
	if r := c.Finetune.For("CB"); r.Epochs != 50 || *r.Pattern != 3 {
		t.Errorf("the configuration that the cell was taken from has changed: %+v", r)
	}
}

// What is no grid is told with its place.
func TestGridErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "grid.yaml")
	for _, c := range []struct{ part, file, want string }{
		{part: "lrr=1", want: "--grid lrr=1: unknown key lrr; did you mean lr?"},
		{part: "lr=1e-5,0.00001", want: "lr has the value 1e-5 twice"},
		{part: "lr=", want: "lr has an empty value"},
		{part: "seq_length=64,128", want: "seq_length belongs to the prepared tasks"},
		{part: "nothing", want: "is no axis, no grid and no readable file"},
		{part: "lr=fast", want: "--grid lr=fast: finetune.optimizer.lr: must be a number, got fast"},
		{part: "epochs=0", want: "--grid epochs=0: finetune.epochs: must be at least 1, got 0"},
		{part: file, file: "# none\n", want: "holds no axis"},
		{part: file, file: "lr: [1e-5]\nbatch: [16]\n", want: "grid.yaml:2: unknown key batch; did you mean"},
		{part: file, file: "lr: 1e-5\n", want: "grid.yaml:1: lr: want a list of values"},
		{part: file, file: "lr: [1e-5]\nepochs: [2.5]\n", want: "grid.yaml:2: finetune.epochs: must be a whole number, got 2.5"},
	} {
		t.Run(c.want, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.file), 0o644); err != nil {
				t.Fatal(err)
			}
			g, err := ParseGrid([]string{c.part})
			if err == nil {
				config, e := Load("", nil)
				if e != nil {
					t.Fatal(e)
				}
				_, err = config.With("CB", g.Cells()[0])
			}
			var wrong *Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
