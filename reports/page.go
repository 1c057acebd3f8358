package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

var (
	//go:embed page/page.html.tmpl
	pageText string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"colour": func(i int) int { return i % seriesColours },
	}).Parse(pageText))
)

// Page is a table as one self-contained HTML page, with what stands beside it.
type Page struct {
	Table *Table
	// Runs are training runs, whose curves are drawn; Attach has found their models.
	Runs []*TrainingRun
	// Examples are browsed one by one; nil: left out.
	Examples *Examples
}

// pageView is what the template shows.
type pageView struct {
	Table                          *Table
	Heading, Settings, Legend      string
	Style                          template.CSS
	Script                         template.JS
	Percent                        string
	Width                          int
	Columns                        []pageColumn
	Sections                       []pageSection
	Notes                          []pageNote
	Models, Trained, Axes, Missing []string
	Intervals, Differences, Curves []Figure
	Examples                       template.JS
}

type pageColumn struct{ Task, Metrics string }

type pageSection struct {
	Title string
	Rows  []pageRow
}

type pageRow struct {
	Name   string
	Series int // of its colour; -1: none
	Faint  bool
	Cells  []pageCell
}

type pageCell struct {
	Values  template.HTML
	Reaches string
}

type pageNote struct {
	Number int // 0: of no cell
	Text   string
}

// HTML writes the page: one file that needs no other, in the numbers and notes of
// the other formats.
func (p *Page) HTML(w io.Writer) error {
	view, err := p.view()
	if err != nil {
		return err
	}
	if err := pageTemplate.Execute(w, view); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func (p *Page) view() (*pageView, error) {
	t := p.Table
	settings, err := t.Made.settings()
	if err != nil {
		return nil, err
	}
	v := &pageView{
		Table: t, Heading: "Measured on the " + t.Split + " split", Settings: settings, Legend: t.legend("bold:"),
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Percent: fmt.Sprintf("%.0f", 100*t.Confidence), Missing: p.missing(),
	}
	columns := t.taskColumns()
	v.Width = len(columns) + 1
	for _, c := range columns {
		v.Columns = append(v.Columns, pageColumn{c.task, c.metrics})
	}
	section := func(title string, rows []Row, coloured, faint bool) {
		if len(rows) == 0 {
			return
		}
		s := pageSection{Title: title}
		for i, row := range rows {
			series := -1
			if coloured {
				series = i % seriesColours
			}
			s.Rows = append(s.Rows, t.pageRow(row, columns, series, faint))
		}
		v.Sections = append(v.Sections, s)
	}
	section("", t.chance(), false, true)
	section("", t.Measured, true, false)
	section("", t.Differences, false, false)
	section("Published, not measured here", t.Published, false, true)
	numbers := t.numbers()
	for i, text := range t.notes() {
		v.Notes = append(v.Notes, pageNote{numbers[i], text})
	}
	for _, row := range t.Measured {
		v.Models = append(v.Models, row.Name)
	}
	for _, axis := range curveAxes {
		v.Axes = append(v.Axes, axis.name)
	}
	if v.Intervals, err = t.IntervalFigures(); err != nil {
		return nil, err
	}
	if v.Differences, err = t.DifferenceFigures(); err != nil {
		return nil, err
	}
	trained, colours := curveSeries(p.Runs, v.Models)
	v.Trained = trained
	if v.Curves, err = CurveFigures(p.Runs, colours); err != nil {
		return nil, err
	}
	if p.Examples != nil {
		var text bytes.Buffer
		if err := p.Examples.JSON(&text); err != nil {
			return nil, err
		}
		v.Examples = template.JS(text.String())
	}
	return v, nil
}

// missing says which training curves the page has not.
func (p *Page) missing() (missing []string) {
	if len(p.Runs) == 0 {
		return []string{"No training curves: the folders of the runs were not named (--runs)."}
	}
	var empty, untuned, unpretrained []string
	for _, r := range p.Runs {
		if len(r.Points) == 0 {
			empty = append(empty, r.label())
		}
	}
	for _, row := range p.Table.Measured {
		has := func(finetuned bool) bool {
			return slices.ContainsFunc(p.Runs, func(r *TrainingRun) bool {
				return slices.Contains(r.Models, row.Model) && finetuned == (r.Task != "")
			})
		}
		switch {
		case !has(true):
			untuned = append(untuned, row.Model)
		case !has(false):
			unpretrained = append(unpretrained, row.Model)
		}
	}
	say := func(format string, of []string) {
		if len(of) > 0 {
			missing = append(missing, fmt.Sprintf(format, strings.Join(of, ", ")))
		}
	}
	say("Nothing was logged by: %s.", empty)
	say("The folders hold no finetuning run of %s, which would lead from the results to the pretraining too.", untuned)
	say("The folders hold no pretraining run that led to %s.", unpretrained)
	return missing
}

// pageRow is a row of the table as HTML.
func (t *Table) pageRow(row Row, columns []taskColumn, series int, faint bool) pageRow {
	out := pageRow{Name: row.Name, Series: series, Faint: faint}
	s := style{dress: pageValue, footer: pageFootnote}
	for _, c := range columns {
		values, reaches := t.join(row, c, s)
		out.Cells = append(out.Cells, pageCell{template.HTML(values), reaches})
	}
	return out
}

// pageValue is a value with its mark as HTML.
func pageValue(c *Cell, value string) string {
	value = template.HTMLEscapeString(value)
	switch {
	case c == nil:
	case c.Best:
		value = "<strong>" + value + "</strong>"
	case c.Test != nil && c.Test.Significant && c.Value > 0:
		value = `<span class="up">` + value + "</span>"
	case c.Test != nil && c.Test.Significant:
		value = `<span class="down">` + value + "</span>"
	}
	return value
}

// pageFootnote is a footnote's mark as a link to the first of its notes.
func pageFootnote(mark string) string {
	number := ""
	for _, digit := range mark {
		i := slices.Index(superscripts, digit)
		if i < 0 {
			break
		}
		number += string(rune('0' + i))
	}
	return fmt.Sprintf(`<sup><a href="#note-%s">%s</a></sup>`, number, mark)
}
