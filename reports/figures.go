package reports

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
)

// Figure is a drawing for the page.
type Figure struct {
	Title string
	// Drawings are one, or one for each of curveAxes.
	Drawings []Drawing
	Note     string // below it; may be empty
}

// Drawing is one picture of a figure as inline SVG.
type Drawing struct {
	Axis string // its horizontal axis, where a figure has several
	SVG  template.HTML
}

// The sizes of figures, in CSS pixels.
const (
	figureWidth = 340
	rowHeight   = 30
	curveHeight = 210
)

// IntervalFigures are one for each metric: the models' values with intervals, and
// every run.
func (t *Table) IntervalFigures() ([]Figure, error) {
	var figures []Figure
	for i, column := range t.Columns {
		f := intervalPlot{chance: t.Chance.Cells[i]}
		var said []string
		for k, row := range t.Measured {
			cell := row.Cells[i]
			f.rows = append(f.rows, intervalRow{row.Name, k, cell})
			if cell == nil {
				said = append(said, row.Name+": no run")
				continue
			}
			line := fmt.Sprintf("%s %.1f", row.Name, cell.Value)
			if cell.Interval != nil {
				line += fmt.Sprintf(", interval %.1f to %.1f", cell.Interval.Lo, cell.Interval.Hi)
			}
			for _, run := range cell.Runs {
				line += fmt.Sprintf(", seed %d %.1f", run.Seed, run.Value)
			}
			said = append(said, line)
		}
		if !slices.ContainsFunc(f.rows, func(r intervalRow) bool { return r.cell != nil }) {
			continue
		}
		if f.chance != nil {
			said = append(said, fmt.Sprintf("chance %.1f", f.chance.Value))
		}
		p := newPlot()
		addGrid(p, true, false)
		p.Add(f)
		nameRows(p, len(f.rows), func(i int) string { return f.rows[i].name })
		title := t.title(column)
		figure, err := oneDrawing(p, title, float64(40+rowHeight*len(f.rows)), title+": "+strings.Join(said, "; ")+".")
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

// title names a column with its metric.
func (t *Table) title(c Column) string {
	title := strings.TrimSpace(c.Task + " " + c.Metric)
	if c.Split != "" {
		title += " (" + c.Split + ")"
	}
	return title
}

// nameRows labels the rows of a plot from the top.
func nameRows(p *plot.Plot, n int, name func(i int) string) {
	var ticks plot.ConstantTicks
	for i := range n {
		ticks = append(ticks, plot.Tick{Value: float64(n - 1 - i), Label: shorten(name(i), 24)})
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Length = 0
	p.Y.Width = 0
	p.Y.Padding = 10 // where the reader's letters are wider than those measured
	p.Y.Tick.Label.Color = inkText
}

// shorten cuts a name that is too long for a label.
func shorten(name string, most int) string {
	if letters := []rune(name); len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return name
}

func oneDrawing(p *plot.Plot, title string, height float64, alt string) (Figure, error) {
	drawn, err := svg(p, figureWidth, height, alt)
	return Figure{Title: title, Drawings: []Drawing{{SVG: template.HTML(drawn)}}}, err
}

// DifferenceFigures are one for each row of differences: how far the model is
// ahead of the baseline in each column.
func (t *Table) DifferenceFigures() ([]Figure, error) {
	var figures []Figure
	for _, row := range t.Differences {
		f := differencePlot{series: slices.IndexFunc(t.Measured, func(r Row) bool { return r.Model == row.Model })}
		var titles, said []string
		for i, cell := range row.Cells {
			if cell == nil {
				continue
			}
			titles = append(titles, t.title(t.Columns[i]))
			f.cells = append(f.cells, cell)
			line := fmt.Sprintf("%s %+.1f", t.title(t.Columns[i]), cell.Value)
			if cell.Test != nil && !cell.Test.Significant {
				line += " (not significant)"
			}
			said = append(said, line)
		}
		if len(f.cells) == 0 {
			continue
		}
		p := newPlot()
		addGrid(p, true, false)
		p.Add(f)
		nameRows(p, len(titles), func(i int) string { return titles[i] })
		figure, err := oneDrawing(p, row.Name, float64(44+20*len(f.cells)), row.Name+": "+strings.Join(said, "; ")+".")
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

// curveAxes are what curves are drawn against.
var curveAxes = []struct {
	name  string
	label func(float64) string
	of    func(TrainingPoint) float64
}{
	{"steps", countNumber, func(p TrainingPoint) float64 { return float64(p.Step) }},
	{"tokens", countNumber, func(p TrainingPoint) float64 { return float64(p.Tokens) }},
	{"wall time (minutes)", plainNumber, func(p TrainingPoint) float64 { return p.Seconds / 60 }},
}

// mostPoints is how many points of a curve are drawn: a longer one is averaged
// over stretches of equal length.
const mostPoints = 400

// curveSeries gives every run its colour: those of models their model's, the
// others the next ones, in the order of their names. legend names the colours.
func curveSeries(runs []*TrainingRun, models []string) (legend []string, colours map[*TrainingRun]int) {
	legend, colours = slices.Clone(models), map[*TrainingRun]int{}
	for _, r := range runs {
		colour := slices.IndexFunc(models, func(model string) bool { return slices.Contains(r.Models, model) })
		if colour < 0 {
			if colour = slices.Index(legend, r.name()); colour < 0 {
				colour = len(legend)
				legend = append(legend, r.name())
			}
		}
		colours[r] = colour
	}
	return legend, colours
}

// CurveFigures are the loss and the throughput of pretraining, then the loss of
// the finetuning runs, a figure a task. colours gives each run its series.
func CurveFigures(runs []*TrainingRun, colours map[*TrainingRun]int) ([]Figure, error) {
	byTask := map[string][]*TrainingRun{}
	for _, r := range runs {
		if len(r.Points) > 0 {
			byTask[r.Task] = append(byTask[r.Task], r)
		}
	}
	order := func(task string) int {
		if i := slices.Index(knownTasks(), task); i >= 0 || task == "" {
			return i
		}
		return len(knownTasks())
	}
	found := slices.SortedFunc(maps.Keys(byTask), func(a, b string) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a, b))
	})
	var drawn []curveFigure
	for _, task := range found {
		loss := curveFigure{title: task + ": loss", quantity: "loss", runs: byTask[task], colours: colours,
			value: func(p TrainingPoint) *float64 { return &p.Loss }, marked: func(p TrainingPoint) *float64 { return p.Valid }}
		if task != "" {
			drawn = append(drawn, loss)
			continue
		}
		loss.title = "Pretraining: loss"
		speed := loss
		speed.title, speed.quantity, speed.marked, speed.fromZero = "Pretraining: throughput", "tokens/s", nil, true
		speed.value = func(p TrainingPoint) *float64 { return &p.TokensPerS }
		drawn = append(drawn, loss, speed)
	}
	var figures []Figure
	for _, f := range drawn {
		figure, err := f.draw()
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

// name is the models that came of the run, else its folder.
func (r *TrainingRun) name() string {
	return cmp.Or(strings.Join(r.Models, ", "), filepath.ToSlash(r.Path))
}

// curveFigure is a figure of some runs over each of curveAxes.
type curveFigure struct {
	title, quantity string
	runs            []*TrainingRun
	colours         map[*TrainingRun]int
	value, marked   func(TrainingPoint) *float64 // marked may be nil
	fromZero        bool
}

func (f curveFigure) draw() (Figure, error) {
	figure := Figure{Title: f.title, Note: f.key()}
	for _, axis := range curveAxes {
		p := newPlot()
		p.X.Tick.Marker, p.X.Label.Text = evenTicks{axis.label}, axis.name
		p.Y.Label.Text = f.quantity
		addGrid(p, false, true)
		var said []string
		for _, r := range f.runs {
			line := f.curve(r, axis.of, f.value)
			line.faint = f.marked != nil
			line.xs, line.ys = thin(line.xs, line.ys)
			var valid curve
			if f.marked != nil {
				valid = f.curve(r, axis.of, f.marked)
				valid.marked = true
			}
			if len(valid.xs) == 0 {
				line.faint = false
			}
			for _, c := range []curve{line, valid} {
				if len(c.xs) > 0 {
					p.Add(c.line())
				}
			}
			if n := len(line.ys); n > 0 {
				said = append(said, fmt.Sprintf("%s from %.3g to %.3g", r.label(), line.ys[0], line.ys[n-1]))
			}
			if n := len(valid.ys); n > 0 {
				said = append(said, fmt.Sprintf("validation %.3g at the end", valid.ys[n-1]))
			}
		}
		for _, axis := range []*plot.Axis{&p.X, &p.Y} {
			if axis.Min == axis.Max && axis.Min > 0 { // the only value stands in the middle
				axis.Min, axis.Max = 0, 2*axis.Max
			}
		}
		if f.fromZero {
			p.Y.Min = 0
		}
		alt := fmt.Sprintf("%s against %s: %s.", f.title, axis.name, strings.Join(said, "; "))
		drawn, err := svg(p, figureWidth, curveHeight, alt)
		if err != nil {
			return Figure{}, err
		}
		figure.Drawings = append(figure.Drawings, Drawing{Axis: axis.name, SVG: template.HTML(drawn)})
	}
	return figure, nil
}

// curve is one quantity of a run, where it is a number.
func (f curveFigure) curve(r *TrainingRun, x func(TrainingPoint) float64, y func(TrainingPoint) *float64) curve {
	c := curve{series: f.colours[r]}
	for _, p := range r.Points {
		if v := y(p); v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) {
			c.xs, c.ys = append(c.xs, x(p)), append(c.ys, *v)
		}
	}
	return c
}

// label is the name of a run, with the seed of a finetuning.
func (r *TrainingRun) label() string {
	if r.Task == "" {
		return r.name()
	}
	return fmt.Sprintf("%s seed %d", r.name(), r.Seed)
}

// key says what the lines are, where there are lines of two kinds.
func (f curveFigure) key() string {
	if f.marked == nil {
		return ""
	}
	for _, r := range f.runs {
		if slices.ContainsFunc(r.Points, func(p TrainingPoint) bool { return p.Valid != nil }) {
			return "Pale: training. With dots: validation."
		}
	}
	return ""
}

// thin averages a long curve over stretches of equal length.
func thin(xs, ys []float64) ([]float64, []float64) {
	if len(xs) <= mostPoints {
		return xs, ys
	}
	var thinX, thinY []float64
	for i := range mostPoints {
		from, to := i*len(xs)/mostPoints, (i+1)*len(xs)/mostPoints
		thinX, thinY = append(thinX, mean(xs[from:to])), append(thinY, mean(ys[from:to]))
	}
	return thinX, thinY
}
