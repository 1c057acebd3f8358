package reports

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/corpus"
)

// A grid chooses by the mean over seeds, of equal cells the first, shows what
// all had, and is the same when read again.
func TestGrid(t *testing.T) {
	g := &Grid{Task: "RTE", Split: "val", Metric: "accuracy", Cells: []GridCell{
		{Folder: "lr=1e-5", Settings: []string{"lr=1e-5"}, Runs: []GridRun{{Seed: 1, Epoch: 1, Value: 50}, {Seed: 2, Epoch: 2.5, Value: 58}}},
		{Folder: "lr=2e-5", Settings: []string{"lr=2e-5"}, Runs: []GridRun{{Seed: 1, Epoch: 3, Value: 60}, {Seed: 2, Epoch: 1, Value: 60}}},
		{Folder: "lr=3e-5", Settings: []string{"lr=3e-5"}, Runs: []GridRun{{Seed: 1, Epoch: 3, Value: 60}}},
	}}
	g.Choose()
	want := [][]string{
		{"task", "lr", "split", "metric", "mean", "sd", "seeds", "best epochs", "chosen"},
		{"RTE", "1e-5", "val", "accuracy", "54.0", "5.7", "2", "1 2.5", ""},
		{"RTE", "2e-5", "val", "accuracy", "60.0", "0.0", "2", "3 1", "*"},
		{"RTE", "3e-5", "val", "accuracy", "60.0", "", "1", "3", ""},
	}
	if diff := cmp.Diff(want, GridRows([]*Grid{g})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	dir := t.TempDir()
	if none, err := ReadGrid(dir); none != nil || err != nil {
		t.Errorf("no grid is %v, %v", none, err)
	}
	if err := WriteGrid(dir, g); err != nil {
		t.Fatal(err)
	}
	again, err := ReadGrid(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g, again); diff != "" {
		t.Errorf("read again (-written +read):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, gridFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var data *corpus.DataError
	if _, err := ReadGrid(dir); !errors.As(err, &data) {
		t.Errorf("a grid that chooses nothing: %v", err)
	}

	// Runs without a search have nothing to choose among.
	alone := &Grid{Task: "CB", Split: "val", Metric: "accuracy", Cells: []GridCell{{Runs: []GridRun{{Seed: 1, Epoch: 2, Value: 70}}}}}
	alone.Choose()
	if diff := cmp.Diff([][]string{{"task", "split", "metric", "mean", "sd", "seeds", "best epochs"}, {"CB", "val", "accuracy", "70.0", "", "1", "2"}}, GridRows([]*Grid{alone})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
