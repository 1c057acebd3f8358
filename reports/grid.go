package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	"gonum.org/v1/gonum/stat"

	"github.com/glmkit/glmkit/corpus"
)

// gridFile lies in the folder of a task whose recipe was searched for, beside
// the folders of the cells.
const gridFile = "grid.json"

// Grid is what the cells of a search over recipes had on a task's dev split, and
// which of them is chosen: the content of its grid.json.
type Grid struct {
	Task   string `json:"task"`
	Split  string `json:"split"`  // the dev split
	Metric string `json:"metric"` // decides
	// Chosen is the folder of the cell with the highest mean over its seeds, of
	// equal ones the first.
	Chosen string     `json:"chosen"`
	Cells  []GridCell `json:"cells"`
}

// GridCell is one recipe with its runs, one a seed.
type GridCell struct {
	Folder   string    `json:"folder"`
	Settings []string  `json:"settings"` // one of each axis, as in lr=1e-5
	Mean     float64   `json:"mean"`     // of the runs' values
	Runs     []GridRun `json:"runs"`
}

// GridRun is one seed's best epoch.
type GridRun struct {
	Seed  uint64  `json:"seed"`
	Epoch float64 `json:"epoch"`
	Step  int     `json:"step"`
	Value float64 `json:"value"`
}

// values of the runs.
func (c GridCell) values() []float64 {
	values := make([]float64, len(c.Runs))
	for i, r := range c.Runs {
		values[i] = r.Value
	}
	return values
}

// Choose computes the cells' means and names the best cell.
func (g *Grid) Choose() {
	best := -1
	for i := range g.Cells {
		g.Cells[i].Mean = stat.Mean(g.Cells[i].values(), nil)
		if best < 0 || g.Cells[i].Mean > g.Cells[best].Mean {
			best = i
		}
	}
	if best >= 0 {
		g.Chosen = g.Cells[best].Folder
	}
}

// GridRows is the overview of grids over the same axes, its head first: a row a
// cell with its settings, the mean and the standard deviation over seeds, each
// seed's best epoch and, where there are several cells, a star at the chosen one.
func GridRows(grids []*Grid) [][]string {
	var rows [][]string
	search := false
	for _, g := range grids {
		search = search || len(g.Cells) > 1
	}
	for _, g := range grids {
		for _, c := range g.Cells {
			head, row := []string{"task"}, []string{g.Task}
			for _, s := range c.Settings {
				axis, value, _ := strings.Cut(s, "=")
				head, row = append(head, axis), append(row, value)
			}
			sd := ""
			if len(c.Runs) > 1 {
				sd = fmt.Sprintf("%.1f", stat.StdDev(c.values(), nil))
			}
			var epochs []string
			for _, r := range c.Runs {
				epochs = append(epochs, strconv.FormatFloat(r.Epoch, 'g', 3, 64))
			}
			head = append(head, "split", "metric", "mean", "sd", "seeds", "best epochs")
			row = append(row, g.Split, g.Metric, fmt.Sprintf("%.1f", c.Mean), sd, strconv.Itoa(len(c.Runs)), strings.Join(epochs, " "))
			if search {
				chosen := ""
				if c.Folder == g.Chosen {
					chosen = "*"
				}
				head, row = append(head, "chosen"), append(row, chosen)
			}
			if rows == nil {
				rows = append(rows, head)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// WriteGrid writes grid.json into the folder of its task.
func WriteGrid(dir string, g *Grid) error {
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Join(dir, gridFile), err)
	}
	return renameio.WriteFile(filepath.Join(dir, gridFile), append(text, '\n'), 0o644)
}

// ReadGrid reads the grid of a task's folder; nil where none was searched. A
// file that is no grid is a corpus.DataError.
func ReadGrid(dir string) (*Grid, error) {
	path := filepath.Join(dir, gridFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var g Grid
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err == nil && g.Chosen == "" {
		err = errors.New("chooses no cell")
	}
	if err != nil {
		return nil, &corpus.DataError{Path: path, Err: err, Hint: "the glmkit train finetune --grid that wrote it, once more"}
	}
	return &g, nil
}
