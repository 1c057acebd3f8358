package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/clean"
	"github.com/glmkit/glmkit/corpus/statistics"
	"github.com/glmkit/glmkit/spans"
)

// corpusView writes a report of a corpus for people.
type corpusView struct {
	*canvas
	terminal bool
	dir      string
}

func (v *corpusView) report(r *statistics.Report) {
	data := r.Config.Data
	windows := "drawn in proportion to documents' lengths"
	if data.Windows == "pack" {
		windows = "every token once"
	}
	v.text(fmt.Sprintf("%s: %s documents, %s tokens; %s windows of up to %d tokens, %s; vocabulary %s (%s, %s entries); prepared by glmkit %s",
		v.dir, v.count(r.Documents), v.count(r.Tokens), v.count(r.Windows), data.SeqLength, windows,
		r.Tokenizer.Name, r.Tokenizer.Kind, v.count(int64(r.Tokenizer.Vocabulary)), r.Glmkit))
	v.sources(r)
	v.splits(r.Splits)
	v.findings("Left out by cleaning", r, func(s statistics.Source) []corpus.Finding { return s.Dropped })
	v.findings("Problems of the input", r, func(s statistics.Source) []corpus.Finding { return s.Problems })

	c := &r.Counted
	if c.Windows == 0 {
		v.printf("\nThe %s split has no windows.\n", c.Split)
		return
	}
	v.heading("Windows of " + c.Split)
	read := "all"
	if c.Windows < c.Of {
		read = v.count(c.Windows) + " of " + v.count(c.Of)
	}
	v.text(fmt.Sprintf("%s were read, with %s tokens; %s are full", read, v.count(c.Tokens), percent(c.Full)))
	v.histogram("windows", c.Lengths)
	v.modes(c.Modes)
	for _, m := range c.Modes {
		if m.Spans == 0 {
			continue
		}
		v.heading(strings.ToUpper(m.Mode[:1]) + m.Mode[1:] + " spans")
		if m.Mode == spans.Token.String() {
			o := r.Config.Objective
			v.text(fmt.Sprintf("the lengths beside the law that they are drawn from: Poisson with mean %g, from 1 to %d", o.MeanSpan, o.MaxSpan-1))
		}
		v.histogram("spans", m.Lengths)
	}
	v.pieces(c, r.Tokenizer.Vocabulary)
	v.examples(c)
}

// text writes a sentence in as many lines as it needs.
func (v *corpusView) text(sentence string) {
	v.flow(wordsOf(sentence))
}

// wordsOf cuts a text at its spaces.
func wordsOf(text string) (words []cell) {
	for _, word := range strings.Fields(text) {
		words = append(words, cell{word, 0})
	}
	return words
}

func (v *corpusView) sources(r *statistics.Report) {
	v.heading("Sources")
	rows := [][]string{{"source", "files", "MB", "documents", "tokens", "share", "weight"}}
	for _, s := range r.Sources {
		weight := "-"
		if s.Weight > 0 {
			weight = fmt.Sprintf("%g", s.Weight)
		}
		rows = append(rows, []string{sourceName(s), v.count(int64(s.Files)), megabytes(s.Bytes), v.count(s.Documents), v.count(s.Tokens), percent(ratio(s.Tokens, r.Tokens)), weight})
	}
	v.aligned(rows, "lrrrrrr")
}

func (v *corpusView) splits(splits []statistics.Split) {
	v.heading("Splits")
	rows := [][]string{{"split", "documents", "tokens", "windows", "shards", "MB", "filled", "masked"}}
	for _, s := range splits {
		rows = append(rows, []string{s.Name, v.count(s.Documents), v.count(s.Tokens), v.count(s.Windows), v.count(int64(s.Shards)), megabytes(s.Bytes), percent(s.Filled), percent(s.MaskedFraction)})
	}
	v.aligned(rows, "lrrrrrrr")
}

// findings lists what was met in the sources, what it means, and where first.
func (v *corpusView) findings(title string, r *statistics.Report, of func(statistics.Source) []corpus.Finding) {
	v.heading(title)
	rows := [][]string{{"source", "what", "count", "meaning"}}
	examples := [][]string{{"first at"}}
	for _, s := range r.Sources {
		for _, f := range of(s) {
			rows = append(rows, []string{sourceName(s), f.Reason, v.count(f.Count), meaning(f.Reason, r)})
			examples = append(examples, f.Examples)
		}
	}
	if len(rows) == 1 {
		v.printf("none\n")
		return
	}
	for i, line := range v.lines(rows, "llrl") {
		switch {
		case !v.terminal:
			v.printf("%s\t%s\n", line, strings.Join(examples[i], " "))
		case i == 0 || len(examples[i]) == 0:
			v.printf("%s\n", line)
		default:
			v.printf("%s\n", line)
			v.flow(places(examples[i]))
		}
	}
}

// places lists where something was first met: path:line, or line alone where
// the path is that of the place before.
func places(examples []string) []cell {
	words := []cell{{"  first at", prompt}}
	last := ""
	for i, example := range examples {
		text := example
		if colon := strings.LastIndexByte(example, ':'); colon >= 0 {
			if example[:colon] == last {
				text = example[colon+1:]
			}
			last = example[:colon]
		}
		if i < len(examples)-1 {
			text += ","
		}
		words = append(words, cell{text, prompt})
	}
	return words
}

// meaning says what a finding's reason stands for.
func meaning(reason string, r *statistics.Report) string {
	c := r.Config.Clean
	switch clean.Reason(reason) {
	case clean.TooShort:
		return fmt.Sprintf("fewer than %d characters", c.MinChars)
	case clean.TooLong:
		return fmt.Sprintf("more than %d characters", c.MaxChars)
	case clean.WrongScript:
		return fmt.Sprintf("less than %s of the letters are %s", percent(c.MinScript), c.Script)
	case clean.Contaminated:
		texts := "a task"
		if r.Decontamination != nil {
			texts = strings.Join(r.Decontamination.Paths, ", ")
		}
		return fmt.Sprintf("has %d words in a row from %s", c.Ngram, texts)
	case clean.Duplicate:
		if c.Dedup {
			return "the same text came before"
		}
		return "the same text came before; kept without clean.dedup"
	}
	return findingMeanings[reason]
}

var findingMeanings = map[string]string{
	"no_tokens":          "the vocabulary sees nothing in it",
	"invalid_utf8_bytes": "replaced by U+FFFD",
	"nul_characters":     "removed",
	"byte_order_marks":   "removed",
	"crlf_lines":         "the CR removed",
	"duplicate_keys":     "the last one counts",
	"lone_surrogates":    "replaced by U+FFFD",
	"blank_records":      "passed over",
	"empty_files":        "passed over",
	"skipped_members":    "parts of archives that are not read",
}

func (v *corpusView) modes(modes []statistics.Mode) {
	v.heading("Modes")
	rows := [][]string{{"mode", "maskings", "share", "configured", "masked", "spans", "mean length"}}
	for _, m := range modes {
		rows = append(rows, []string{m.Mode, v.count(m.Maskings), percent(m.Share), percent(m.Expected), percent(m.MaskedFraction), v.count(m.Spans), fmt.Sprintf("%.2f", m.MeanSpan)})
	}
	v.aligned(rows, "lrrrrrr")
}

func (v *corpusView) histogram(what string, bins []statistics.Bin) {
	law, greatest := false, 0.0
	for _, b := range bins {
		law = law || b.Expected > 0
		greatest = max(greatest, b.Share, b.Expected)
	}
	rows, align := [][]string{{"tokens", what, "share"}}, "rrr"
	if law {
		rows[0], align = append(rows[0], "law"), align+"r"
	}
	for _, b := range bins {
		length := strconv.Itoa(b.From)
		if b.To > b.From {
			length += "–" + strconv.Itoa(b.To)
		}
		row := []string{length, v.count(b.Count), percent(b.Share)}
		if law {
			row = append(row, percent(b.Expected))
		}
		rows = append(rows, row)
	}
	v.withBars(rows, align, greatest, func(i int) (float64, float64) { return bins[i].Share, bins[i].Expected })
}

func (v *corpusView) pieces(c *statistics.Counted, vocabulary int) {
	v.heading("Pieces")
	v.text(fmt.Sprintf("%s of %s occur; %s of the tokens are unknown", v.count(c.Distinct), v.count(int64(vocabulary)), percent(c.Unknown)))
	if len(c.Pieces) == 0 {
		return
	}
	rows := [][]string{{"piece", "id", "count", "share"}}
	greatest := 0.0
	for _, p := range c.Pieces {
		greatest = max(greatest, p.Share)
		rows = append(rows, []string{printable(p.Piece), strconv.Itoa(int(p.ID)), v.count(p.Count), percent(p.Share)})
	}
	v.withBars(rows, "lrrr", greatest, func(i int) (float64, float64) { return c.Pieces[i].Share, 0 })
}

// exampleLines is how much of a window is shown.
const exampleLines = 8

func (v *corpusView) examples(c *statistics.Counted) {
	for _, e := range c.Examples {
		v.heading(fmt.Sprintf("Window %d: %s, %d of %d tokens masked in %d spans", e.Window, e.Mode, e.Masked, e.Tokens, len(e.Spans)))
		words := exampleWords(e)
		shown, room := 0, exampleLines*v.columns
		for shown < len(words) && room > 0 {
			room -= cellWidth(words[shown].text) + 1
			shown++
		}
		if shown < len(words) {
			words = append(words[:shown], cell{"…", 0})
		}
		v.flow(words)
	}
	if len(c.Examples) > 0 {
		split := ""
		if c.Split != corpus.TrainSplit {
			split = " --split " + c.Split
		}
		v.printf("\nWhole, as a model reads it: glmkit inspect sample %s%s --index %d\n", v.dir, split, c.Examples[0].Window)
	}
}

// exampleWords cuts the text of an example into words, with spans in braces
// and in their colours.
func exampleWords(e statistics.Example) []cell {
	pieces := make([]int, len(e.Text)+1) // of each byte
	opens, closes := map[int]string{}, map[int]string{}
	for _, p := range e.Prompts {
		for i := p[0]; i < p[1]; i++ {
			pieces[i] = prompt
		}
	}
	for k, s := range e.Spans {
		from, to := s[0], s[1]
		from = to - len(strings.TrimLeftFunc(e.Text[from:to], unicode.IsSpace)) // a space before a word is no part of what is shown
		for i := from; i < to; i++ {
			pieces[i] = k + 1
		}
		opens[from] += fmt.Sprintf("{%d:", k+1)
		closes[to] += "}"
	}
	var words []cell
	var word strings.Builder
	piece := 0
	end := func() {
		if word.Len() > 0 {
			words = append(words, cell{word.String(), piece})
		}
		word.Reset()
		piece = 0
	}
	for i, r := range e.Text {
		word.WriteString(closes[i])
		if unicode.IsSpace(r) {
			end()
			continue
		}
		word.WriteString(opens[i])
		word.WriteString(printable(string(r)))
		if pieces[i] != 0 {
			piece = pieces[i]
		}
	}
	word.WriteString(closes[len(e.Text)])
	end()
	return words
}

// aligned writes rows in columns, l or r for each, with a heading first.
func (v *corpusView) aligned(rows [][]string, align string) {
	for _, line := range v.lines(rows, align) {
		v.printf("%s\n", line)
	}
}

// lines lays rows out, one a line: in columns on a terminal, else with tabs.
func (v *corpusView) lines(rows [][]string, align string) []string {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], cellWidth(text))
		}
	}
	lines := make([]string, len(rows))
	for k, row := range rows {
		if !v.terminal {
			lines[k] = strings.Join(row, "\t")
			continue
		}
		var line strings.Builder
		for i, text := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			space := strings.Repeat(" ", widths[i]-cellWidth(text))
			if align[i] == 'r' {
				line.WriteString(space + text)
			} else {
				line.WriteString(text + space)
			}
		}
		lines[k] = strings.TrimRight(line.String(), " ")
	}
	return lines
}

const (
	leastBar    = 8 // columns
	greatestBar = 40
)

// withBars writes rows, of which the first is a heading, with a bar behind
// each on a terminal. values gives the length of bar i and of its mark, 0 for
// none.
func (v *corpusView) withBars(rows [][]string, align string, greatest float64, values func(i int) (float64, float64)) {
	lines := v.lines(rows, align)
	used := 0
	for _, line := range lines {
		used = max(used, cellWidth(line))
	}
	room := min(v.columns-used-2, greatestBar)
	for i, line := range lines {
		if v.terminal && i > 0 && room >= leastBar && greatest > 0 {
			value, mark := values(i - 1)
			space := strings.Repeat(" ", used-cellWidth(line)+2)
			line += space + v.paint(cell{bar(value/greatest, mark/greatest, room), 2})
		}
		v.printf("%s\n", strings.TrimRight(line, " "))
	}
}

// bar draws a share of so many columns, and a mark at another one.
func bar(value, mark float64, columns int) string {
	eighths := int(math.Round(value * float64(8*columns)))
	if value > 0 {
		eighths = max(eighths, 1)
	}
	cells := []rune(strings.Repeat("█", eighths/8))
	if rest := eighths % 8; rest > 0 {
		cells = append(cells, []rune("▏▎▍▌▋▊▉")[rest-1])
	}
	if mark > 0 {
		at := int(math.Round(mark * float64(columns)))
		for len(cells) <= at {
			cells = append(cells, ' ')
		}
		cells[at] = '│'
	}
	return string(cells)
}

// count writes a number, with its thousands apart on a terminal.
func (v *corpusView) count(n int64) string {
	if v.terminal {
		return grouped(n)
	}
	return strconv.FormatInt(n, 10)
}

// grouped writes a number with a comma before every three digits.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// percent writes a share with at least two digits that say something.
func percent(share float64) string {
	p := 100 * share
	if p > 0 && p < 0.95 {
		return strconv.FormatFloat(p, 'g', 2, 64) + " %"
	}
	return fmt.Sprintf("%.1f %%", p)
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

// sourceName is the name of a source; input without a name has none.
func sourceName(s statistics.Source) string {
	if s.Name == "" {
		return "input"
	}
	return s.Name
}

// printable is the text without characters that a terminal would obey.
func printable(text string) string {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			quoted := strconv.Quote(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}
