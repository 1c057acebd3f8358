package reports

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Inks stand for colours that the page's style sheet gives, one for a light and
// one for a dark background: a drawing holds no colours but these.
var (
	inkText  = color.RGBA{R: 1, G: 0, A: 255}
	inkMuted = color.RGBA{R: 1, G: 1, A: 255}
	inkGrid  = color.RGBA{R: 1, G: 2, A: 255}
)

// seriesColours is how many colours the style sheet has for series; beyond it
// they come again.
const seriesColours = 8

// inkSeries is the colour of the i-th series; faint makes it transparent.
func inkSeries(i int, faint bool) color.RGBA {
	ink := color.RGBA{R: 2, G: uint8(i % seriesColours), A: 255}
	if faint {
		ink.R = 3
	}
	return ink
}

// inkUsed finds the inks in an SVG, fontUsed its fonts.
var (
	inkUsed  = regexp.MustCompile(`(fill|stroke):#(0[1-3])(0[0-9])00`)
	fontUsed = regexp.MustCompile(`font-family:[^;"]*;font-variant:[^;"]*;font-weight:[^;"]*;font-style:[^;"]*;?`)
	svgStart = regexp.MustCompile(`(?s)^.*?<svg[^>]*>`)
)

// newPlot is an empty drawing in the page's inks and letters.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	letters := font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, 11)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Width = inkGrid, 0.8
		axis.Tick.Color, axis.Tick.Width, axis.Tick.Length = inkGrid, 0.8, 4
		axis.Tick.Label.Font, axis.Tick.Label.Color = letters, inkMuted
		axis.Label.TextStyle.Font, axis.Label.TextStyle.Color = letters, inkMuted
		axis.Label.Padding = 3
		axis.Padding = 0
		axis.Tick.Marker = evenTicks{plainNumber}
	}
	return p
}

// addGrid draws lines at the labelled ticks.
func addGrid(p *plot.Plot, vertical, horizontal bool) {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, nil
	if vertical {
		grid.Vertical.Color = inkGrid
	}
	if horizontal {
		grid.Horizontal.Color = inkGrid
	}
	grid.Vertical.Width, grid.Horizontal.Width = 0.5, 0.5
	p.Add(grid)
}

// svg draws p on so many CSS pixels, as an element for a page whose style sheet
// gives the inks; alt is what somebody is told who does not see it.
func svg(p *plot.Plot, width, height float64, alt string) (string, error) {
	canvas := vgsvg.New(vg.Length(width), vg.Length(height))
	// Room for the halves of the outermost labels.
	p.Draw(draw.Crop(draw.New(canvas), 2, -8, 2, -4))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", fmt.Errorf("drawing a figure: %w", err)
	}
	start := fmt.Sprintf(`<svg viewBox="0 0 %g %g" width="%g" role="img" aria-label="%s">`, width, height, width, html.EscapeString(alt))
	text := svgStart.ReplaceAllLiteralString(out.String(), start)
	text = fontUsed.ReplaceAllString(text, "")
	return inkUsed.ReplaceAllStringFunc(text, inked), nil
}

// inked writes the style that an ink stands for.
func inked(used string) string {
	m := inkUsed.FindStringSubmatch(used)
	number, err := strconv.ParseInt(m[3], 16, 0)
	if err != nil {
		return used
	}
	switch m[2] {
	case "01":
		return m[1] + ":var(--" + []string{"text", "muted", "grid"}[number%3] + ")"
	case "02":
		return fmt.Sprintf("%s:var(--s%d)", m[1], number)
	}
	return fmt.Sprintf("%[1]s:var(--s%[2]d);%[1]s-opacity:.35", m[1], number)
}

// intervalRow is one model of an interval plot.
type intervalRow struct {
	name   string
	series int
	cell   *Cell
}

// intervalPlot shows a value as a bar across its interval, and every run as a
// dot above; chance is a broken line.
type intervalPlot struct {
	rows   []intervalRow
	chance *Cell
}

// Plot implements plot.Plotter.
func (f intervalPlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	if f.chance != nil {
		at := x(f.chance.Value)
		c.StrokeLine2(draw.LineStyle{Color: inkMuted, Width: 1, Dashes: []vg.Length{3, 3}}, at, c.Min.Y, at, c.Max.Y)
	}
	for i, row := range f.rows {
		if row.cell == nil {
			continue
		}
		ink, level := inkSeries(row.series, false), y(float64(len(f.rows)-1-i))-2
		low, high, at := x(row.cell.Value), x(row.cell.Value), x(row.cell.Value)
		if row.cell.Interval != nil {
			low, high = x(row.cell.Interval.Lo), x(row.cell.Interval.Hi)
			c.StrokeLine2(draw.LineStyle{Color: ink, Width: 2.2}, low, level, high, level)
		}
		for _, end := range []vg.Length{low, high} {
			if end != at {
				c.StrokeLine2(draw.LineStyle{Color: ink, Width: 1.2}, end, level-3, end, level+3)
			}
		}
		for _, run := range row.cell.Runs {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 2.4, Shape: draw.RingGlyph{}}, vg.Point{X: x(run.Value), Y: level + 9})
		}
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 4, Shape: draw.CircleGlyph{}}, vg.Point{X: at, Y: level})
	}
}

// DataRange implements plot.DataRanger.
func (f intervalPlot) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax = math.Inf(1), math.Inf(-1)
	see := func(v float64) { xmin, xmax = min(xmin, v), max(xmax, v) }
	if f.chance != nil {
		see(f.chance.Value)
	}
	for _, row := range f.rows {
		if row.cell == nil {
			continue
		}
		see(row.cell.Value)
		if row.cell.Interval != nil {
			see(row.cell.Interval.Lo)
			see(row.cell.Interval.Hi)
		}
		for _, run := range row.cell.Runs {
			see(run.Value)
		}
	}
	if xmin == xmax { // a stretch of the scale around the only value
		xmin, xmax = max(xmin-5, min(xmin, 0)), min(xmax+5, max(xmax, 100))
	}
	margin := 0.04 * (xmax - xmin)
	return xmin - margin, xmax + margin, -0.6, float64(len(f.rows)) - 0.4
}

// differencePlot shows differences as bars from nothing, with their intervals;
// those that are not significant are faint.
type differencePlot struct {
	cells  []*Cell // from the top
	series int
}

// Plot implements plot.Plotter.
func (f differencePlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	zero := x(0)
	for i, cell := range f.cells {
		if cell == nil {
			continue
		}
		level := y(float64(len(f.cells) - 1 - i))
		ink := inkSeries(f.series, cell.Test == nil || !cell.Test.Significant)
		at := x(cell.Value)
		c.FillPolygon(ink, []vg.Point{{X: zero, Y: level - 5}, {X: at, Y: level - 5}, {X: at, Y: level + 5}, {X: zero, Y: level + 5}})
		if cell.Interval != nil {
			c.StrokeLine2(draw.LineStyle{Color: inkText, Width: 1}, x(cell.Interval.Lo), level, x(cell.Interval.Hi), level)
		}
	}
	c.StrokeLine2(draw.LineStyle{Color: inkMuted, Width: 1}, zero, c.Min.Y, zero, c.Max.Y)
}

// DataRange implements plot.DataRanger.
func (f differencePlot) DataRange() (xmin, xmax, ymin, ymax float64) {
	for _, cell := range f.cells {
		if cell == nil {
			continue
		}
		xmin, xmax = min(xmin, cell.Value), max(xmax, cell.Value)
		if cell.Interval != nil {
			xmin, xmax = min(xmin, cell.Interval.Lo), max(xmax, cell.Interval.Hi)
		}
	}
	margin := 0.03*(xmax-xmin) + 0.01
	return xmin - margin, xmax + margin, -0.7, float64(len(f.cells)) - 0.3
}

// evenTicks are at most about six ticks at round values, each with a label of its
// own.
type evenTicks struct{ label func(float64) string }

// Ticks implements plot.Ticker.
func (e evenTicks) Ticks(low, high float64) []plot.Tick {
	// The first size is nothing for an empty range: no tick.
	for size := math.Pow(10, math.Floor(math.Log10((high-low)/5))); size > 0 && !math.IsInf(size, 1); size *= 10 {
		for _, times := range []float64{1, 2, 5} {
			if step := times * size; (high-low)/step <= 6 {
				if ticks := e.every(step, low, high); distinct(ticks) {
					return ticks
				}
			}
		}
	}
	return nil
}

// every is a tick at each multiple of step.
func (e evenTicks) every(step, low, high float64) (ticks []plot.Tick) {
	for i := math.Ceil(low / step); i*step <= high; i++ {
		at := i*step + 0 // no minus before zero
		ticks = append(ticks, plot.Tick{Value: at, Label: e.label(at)})
	}
	return ticks
}

// distinct tells whether no two neighbours bear one label, as counts do between
// whole numbers.
func distinct(ticks []plot.Tick) bool {
	for i := 1; i < len(ticks); i++ {
		if ticks[i].Label == ticks[i-1].Label {
			return false
		}
	}
	return true
}

// plainNumber labels a tick as it is, countNumber with k, M and B.
func plainNumber(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func countNumber(v float64) string { return count(int64(math.Round(v))) }

// curve is one series of a line plot.
type curve struct {
	series int
	xs, ys []float64
	marked bool // thick, with a dot at each point, as a lone one always is
	faint  bool
}

// line is the curve as gonum draws it.
func (f curve) line() plot.Plotter {
	points := make(plotter.XYs, len(f.xs))
	for i := range f.xs {
		points[i].X, points[i].Y = f.xs[i], f.ys[i]
	}
	ink := inkSeries(f.series, f.faint)
	style := draw.LineStyle{Color: ink, Width: 1.3}
	if f.series >= seriesColours {
		style.Dashes = []vg.Length{5, 2}
	}
	if !f.marked && len(points) > 1 { // a point alone is no line
		return &plotter.Line{XYs: points, LineStyle: style}
	}
	style.Width = 2
	return markedLine{plotter.Line{XYs: points, LineStyle: style}, draw.GlyphStyle{Color: ink, Radius: 2.6, Shape: draw.CircleGlyph{}}}
}

// markedLine is a line with a glyph at each point.
type markedLine struct {
	plotter.Line
	glyph draw.GlyphStyle
}

// DataRange implements plot.DataRanger, which an embedded value does not.
func (l markedLine) DataRange() (xmin, xmax, ymin, ymax float64) { return l.Line.DataRange() }

// Plot implements plot.Plotter.
func (l markedLine) Plot(c draw.Canvas, p *plot.Plot) {
	l.Line.Plot(c, p)
	x, y := p.Transforms(&c)
	for _, point := range l.XYs {
		c.DrawGlyphNoClip(l.glyph, vg.Point{X: x(point.X), Y: y(point.Y)})
	}
}
