package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// Checked is what Check compared, and where a document says something else than
// the results do.
type Checked struct {
	Tables  int // of the document that were made again
	Numbers int // of the document that were compared
	Outside int // of the document that stand outside its tables: not compared
	// Missing counts lines with numbers that the results give and the document lacks.
	Missing int
	// Untouched names parts that were not compared for want of their sources.
	Untouched []string
	// Changed says that the results are not those that the document was made from.
	Changed bool
	Faults  []Fault
}

// Fault is one place where a document and the results disagree.
type Fault struct {
	Line int // of the document, from 1
	Msg  string
}

// The settings of a table stand in front of it and its end is marked, so that it
// may be part of a longer text.
const (
	settingsMark = "glmkit report "
	endMark      = "end of glmkit report"
)

var (
	tableStart = regexp.MustCompile(`^(<!--|%) ` + settingsMark + `(\{.*\})( -->)?$`)
	tableEnd   = regexp.MustCompile(`^(<!--|%) ` + endMark + `( -->)?$`)
	pageMeta   = regexp.MustCompile(`<meta name="glmkit-report" content="([^"]*)">`)
)

// settings are what Check needs to make the table again, in one line that may
// stand in a comment of HTML, Markdown or LaTeX.
func (m Made) settings() (string, error) {
	text, err := json.Marshal(m) // which escapes < and >
	if err != nil {
		return "", fmt.Errorf("writing the settings of the table: %w", err)
	}
	return string(text), nil
}

// rendered is a table in a document.
type rendered struct {
	made  Made
	lines []string
	first int // its first line in the document, from 0
	// write makes it again.
	write again
}

// again writes a table in a format.
type again func(*Table, []*Result, io.Writer) error

// Check makes the tables of a document again, with the settings written in them
// and from the results at paths, and compares every number and word: a table of
// Compare needs its two sets in their order. runs are folders of training runs,
// for the curves of a page. A document without settings, and results that make no
// table, are a corpus.DataError.
func Check(document string, paths, runs []string) (*Checked, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return nil, &corpus.DataError{Path: document, Err: reason(err), Hint: "a document that glmkit report wrote"}
	}
	checked := &Checked{}
	found, err := findTables(document, string(text), runs, checked)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &corpus.DataError{Path: document, Err: errors.New("holds no table with the settings of glmkit report"),
			Hint: "glmkit report ... --out with .md, .tex, .csv, .tsv, .json or .html, by this version of glmkit"}
	}
	all, inside := splitLines(string(text)), 0
	for _, r := range found {
		table, results, err := r.made.build(paths)
		if err != nil {
			return nil, err
		}
		var made bytes.Buffer
		if err := r.write(table, results, &made); err != nil {
			return nil, err
		}
		checked.Tables++
		checked.Changed = checked.Changed || table.Made.SHA256 != r.made.SHA256
		checked.compare(r.first, r.lines, splitLines(made.String()))
		for _, line := range r.lines {
			inside += len(numbersIn(line))
		}
	}
	if len(found[0].lines) < len(all) { // not one table from the first line to the last
		for _, line := range all {
			checked.Outside += len(numbersIn(line))
		}
		checked.Outside -= inside
	}
	return checked, nil
}

// build makes the table again.
func (m Made) build(paths []string) (*Table, []*Result, error) {
	o := Options{Published: m.Published, Plan: m.Plan}
	if len(m.Sets) == 0 {
		o.Baseline = m.Baseline
		results, err := ReadResults(paths)
		if err != nil {
			return nil, nil, err
		}
		table, err := Build(results, o)
		return table, results, err
	}
	if len(paths) != len(m.Sets) {
		return nil, nil, &configs.Error{Field: "RESULTS", Msg: fmt.Sprintf("the document compares %d sets of results (%s), and %d are named", len(m.Sets), strings.Join(m.Sets, ", "), len(paths)),
			Hint: "both folders, in the order of glmkit report compare"}
	}
	sets := make([]ResultSet, len(m.Sets))
	var all []*Result
	for i, path := range paths {
		results, err := ReadResults([]string{path})
		if err != nil {
			return nil, nil, err
		}
		sets[i] = ResultSet{Name: m.Sets[i], Results: results}
		all = append(all, sets[i].Labelled()...)
	}
	table, err := Compare(sets[0], sets[1], o)
	return table, all, err
}

// as is a format that needs the table alone.
func as(write func(*Table, io.Writer) error) again {
	return func(t *Table, _ []*Result, w io.Writer) error { return write(t, w) }
}

// findTables finds the tables of a document, whatever its format.
func findTables(document, text string, runs []string, checked *Checked) ([]rendered, error) {
	lines := splitLines(text)
	whole := func(settings string, write again) ([]rendered, error) {
		made, err := parseSettings(document, 1, settings)
		return []rendered{{made: made, lines: lines, write: write}}, err
	}
	bad := func(err error) ([]rendered, error) {
		return nil, &corpus.DataError{Path: document, Err: err, Hint: "the file as glmkit report wrote it"}
	}
	first := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(first, "<!DOCTYPE html>"):
		meta := pageMeta.FindStringSubmatch(text)
		if meta == nil {
			return nil, nil
		}
		return whole(html.UnescapeString(meta[1]), pageAgain(lines, runs, checked))
	case strings.HasPrefix(first, "{"):
		var table struct {
			Made json.RawMessage `json:"made"`
		}
		if err := json.Unmarshal([]byte(text), &table); err != nil {
			return bad(fmt.Errorf("is not whole JSON: %w", err))
		}
		if table.Made == nil {
			return nil, nil
		}
		return whole(string(table.Made), as((*Table).JSON))
	}
	for _, format := range []struct {
		comma rune
		write again
	}{{',', as((*Table).CSV)}, {'\t', as((*Table).TSV)}} {
		if strings.HasPrefix(first, strings.Join(lineHeader, string(format.comma))) {
			settings, err := settingsLine(text, format.comma)
			if err != nil {
				return bad(err)
			}
			return whole(settings, format.write)
		}
	}
	return findMarked(document, lines)
}

// settingsLine is the note of the line of section made.
func settingsLine(text string, comma rune) (string, error) {
	in := csv.NewReader(strings.NewReader(text))
	in.Comma = comma
	lines, err := in.ReadAll()
	if err != nil {
		return "", fmt.Errorf("is not whole: %w", err)
	}
	for _, line := range lines {
		if line[0] == sectionMade {
			return line[len(line)-1], nil
		}
	}
	return "", errors.New("has no line of section " + sectionMade + ", which holds the table's settings")
}

// findMarked finds the tables in a text of Markdown or LaTeX.
func findMarked(document string, lines []string) (found []rendered, err error) {
	for i := 0; i < len(lines); i++ {
		start := tableStart.FindStringSubmatch(lines[i])
		if start == nil {
			continue
		}
		r := rendered{first: i, write: as((*Table).Markdown)}
		if start[1] == "%" {
			r.write = as((*Table).LaTeX)
		}
		if r.made, err = parseSettings(document, i+1, start[2]); err != nil {
			return nil, err
		}
		length := slices.IndexFunc(lines[i:], tableEnd.MatchString)
		if length < 0 {
			return nil, &corpus.DataError{Path: document, Line: i + 1, Err: errors.New("begins a table whose end is not marked"), Hint: "the line \"" + endMark + "\" behind it, as glmkit report writes it"}
		}
		r.lines = lines[i : i+length+1]
		found = append(found, r)
		i += length
	}
	return found, nil
}

func parseSettings(document string, line int, text string) (made Made, err error) {
	if err = json.Unmarshal([]byte(text), &made); err != nil {
		err = &corpus.DataError{Path: document, Line: line, Err: fmt.Errorf("has settings that cannot be read: %w", err), Hint: "the line as glmkit report wrote it"}
	}
	return made, err
}

// Where the training curves of a page begin and end.
const (
	trainingStart = `<section id="training">`
	trainingEnd   = `<section id="examples">`
)

// pageAgain writes a page with what the document's has. Without the folders of
// the runs its curves are left out of both.
func pageAgain(lines []string, runs []string, checked *Checked) again {
	examples, curves := false, false
	for _, line := range lines {
		examples = examples || strings.Contains(line, `id="examples-data"`)
		curves = curves || strings.Contains(line, `id="axis-0"`)
	}
	from, to := slices.Index(lines, trainingStart), slices.Index(lines, trainingEnd)
	without := curves && len(runs) == 0 && from >= 0 && to > from
	if without {
		checked.Untouched = append(checked.Untouched, "the training curves, whose runs are not named (--runs)")
		for i := from; i < to; i++ {
			lines[i] = ""
		}
	}
	return func(t *Table, results []*Result, w io.Writer) error {
		page := &Page{Table: t}
		var err error
		if curves && len(runs) > 0 {
			if page.Runs, err = ReadTrainingRuns(runs); err != nil {
				return err
			}
			Attach(page.Runs, results)
		}
		if examples {
			if page.Examples, err = ReadExamples(results); err != nil {
				return err
			}
		}
		if !without {
			return page.HTML(w)
		}
		var text strings.Builder
		if err := page.HTML(&text); err != nil {
			return err
		}
		before, rest, _ := strings.Cut(text.String(), trainingStart)
		_, after, _ := strings.Cut(rest, trainingEnd)
		_, err = io.WriteString(w, before+trainingEnd+after)
		return err
	}
}

func splitLines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// compare compares the lines of a document from line first on with those that the
// results give.
func (c *Checked) compare(first int, got, want []string) {
	fault := func(line int, format string, args ...any) {
		c.Faults = append(c.Faults, Fault{first + line + 1, fmt.Sprintf(format, args...)})
	}
	for _, pair := range align(got, want) {
		if pair.got < 0 {
			if n := len(numbersIn(want[pair.want])); n > 0 {
				c.Missing++
			}
			continue
		}
		numbers := numbersIn(got[pair.got])
		c.Numbers += len(numbers)
		if pair.want < 0 {
			for _, number := range numbers {
				fault(pair.got, "%s: nothing in the results gives this line", number)
			}
			continue
		}
		theirs := numbersIn(want[pair.want])
		switch {
		case len(numbers) != len(theirs):
			fault(pair.got, "%s: the results give %s", brief(got[pair.got]), brief(want[pair.want]))
			continue
		case slices.EqualFunc(numbers, theirs, sameNumber):
			if words(got[pair.got]) != words(want[pair.want]) {
				fault(pair.got, "other words than the results give: %s, there %s", brief(got[pair.got]), brief(want[pair.want]))
			}
			continue
		}
		for i, number := range numbers {
			if !sameNumber(number, theirs[i]) {
				fault(pair.got, "%s: the results give %s", number, theirs[i])
			}
		}
	}
}

// linePair are two lines that belong together by their indices; -1: there is none.
type linePair struct{ got, want int }

// mostAligned bounds the table of the alignment.
const mostAligned = 4_000_000

// align pairs lines: equal ones with each other in their order, and those between
// them one by one.
func align(got, want []string) (pairs []linePair) {
	head := 0
	for head < len(got) && head < len(want) && got[head] == want[head] {
		pairs = append(pairs, linePair{head, head})
		head++
	}
	tail := 0
	for tail < len(got)-head && tail < len(want)-head && got[len(got)-1-tail] == want[len(want)-1-tail] {
		tail++
	}
	g, w := got[head:len(got)-tail], want[head:len(want)-tail]
	i, j := 0, 0
	between := func(toGot, toWant int) {
		for ; i < toGot || j < toWant; i, j = min(i+1, toGot), min(j+1, toWant) {
			pair := linePair{-1, -1}
			if i < toGot {
				pair.got = head + i
			}
			if j < toWant {
				pair.want = head + j
			}
			pairs = append(pairs, pair)
		}
	}
	if len(g) != len(w) && len(g)*len(w) <= mostAligned {
		for _, equal := range equalLines(g, w) {
			between(equal.got, equal.want)
			between(equal.got+1, equal.want+1)
		}
	}
	between(len(g), len(w))
	for k := range tail {
		pairs = append(pairs, linePair{len(got) - tail + k, len(want) - tail + k})
	}
	return pairs
}

// equalLines is a longest common subsequence, without regard to layout.
func equalLines(got, want []string) (pairs []linePair) {
	plain := func(lines []string) []string {
		out := make([]string, len(lines))
		for i, line := range lines {
			out[i] = words(line)
		}
		return out
	}
	g, w := plain(got), plain(want)
	longest := make([][]int32, len(g)+1)
	for i := range longest {
		longest[i] = make([]int32, len(w)+1)
	}
	for i := len(g) - 1; i >= 0; i-- {
		for j := len(w) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if g[i] == w[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(g) && j < len(w); {
		switch {
		case g[i] == w[j]:
			pairs = append(pairs, linePair{i, j})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// layout is what a formatter may change: blanks, and the rules of tables.
var layout = regexp.MustCompile(`\s+|[-:]{3,}`)

// words is a line without its layout.
func words(line string) string {
	return strings.TrimSpace(layout.ReplaceAllString(line, " "))
}

// brief is a line short enough for a message.
func brief(line string) string { return strconv.Quote(shorten(words(line), 80)) }

// numbersIn are the numbers of a line: not the digits inside a word.
func numbersIn(line string) (numbers []string) {
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	runes := []rune(line)
	for i := 0; i < len(runes); {
		if !inWord(runes[i]) {
			i++
			continue
		}
		start := i
		for i < len(runes) && (inWord(runes[i]) || i+1 < len(runes) && inWord(runes[i+1]) &&
			(runes[i] == '.' || (runes[i] == '-' || runes[i] == '+') && (runes[i-1] == 'e' || runes[i-1] == 'E'))) {
			i++
		}
		if start > 0 && (runes[start-1] == '-' || runes[start-1] == '+') {
			start--
		}
		number := string(runes[start:i])
		if _, err := strconv.ParseFloat(number, 64); err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// sameNumber tells whether two numbers are the same up to the last digits of a
// float64, in which processors may differ.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	exact := min(len(a), len(b)) > 12
	return errX == nil && errY == nil && exact && math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y))
}
