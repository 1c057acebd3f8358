package metrics

import (
	"math"
	"regexp"
	"strings"
	"unicode"
)

// BLEUStyle is how BLEU cuts texts into words and what it does with an order of
// which nothing matches; figures of different styles do not compare.
type BLEUStyle int

const (
	// SacreBLEU is sacrebleu's default (Post 2018), of plain text:
	// mteval-v13a's words, case kept, exponential smoothing.
	SacreBLEU BLEUStyle = iota
	// MultiBLEU is Moses' multi-bleu.perl, of text that is cut into words
	// already: split at ASCII white space, case kept, no smoothing.
	MultiBLEU
)

// bleuOrder is the longest run of words that BLEU counts.
const bleuOrder = 4

// BLEU is the corpus BLEU of predictions against the references of each, 0–100
// (Papineni et al. 2002), not a mean over examples.
func BLEU(pred []string, references [][]string, style BLEUStyle) float64 {
	if len(pred) == 0 || len(pred) != len(references) {
		return math.NaN()
	}
	return BLEUSums(pred, references, style, make([]int, len(pred)), 1).Over([]int{0})
}

// BLEUSums is BLEU over the units drawn.
func BLEUSums(pred []string, references [][]string, style BLEUStyle, unit []int, units int) *Sums {
	// Per unit: examples, words of predictions and of references, then of each
	// order the runs of words that match and all those of predictions.
	s := newSums(3+2*bleuOrder, units, style.value)
	for i := range pred {
		row := s.of(unit[i])
		words := style.words(pred[i])
		var choices [][]string
		for _, reference := range references[i] {
			choices = append(choices, style.words(reference))
		}
		row[0]++
		row[1] += float64(len(words))
		row[2] += float64(closestLength(len(words), choices))
		for n := 1; n <= bleuOrder; n++ {
			allowed := map[string]int{}
			for _, choice := range choices {
				for gram, count := range grams(choice, n) {
					allowed[gram] = max(allowed[gram], count)
				}
			}
			for gram, count := range grams(words, n) {
				row[2*n+1] += float64(min(count, allowed[gram]))
				row[2*n+2] += float64(count)
			}
		}
	}
	return s
}

// closestLength is the length of the reference that is nearest to that of the
// prediction, of two equally near ones the lesser.
func closestLength(length int, references [][]string) int {
	closest, least := 0, -1
	for _, reference := range references {
		n := len(reference)
		away := max(n-length, length-n)
		if least < 0 || away < least || away == least && n < closest {
			closest, least = n, away
		}
	}
	return closest
}

// value is BLEU of a row of sums.
func (style BLEUStyle) value(total []float64) float64 {
	if total[0] == 0 {
		return math.NaN()
	}
	sum, smooth := 0.0, 1.0
	for n := 1; n <= bleuOrder; n++ {
		both, all := total[2*n+1], total[2*n+2]
		if n == 1 && both == 0 || all == 0 {
			return 0
		}
		if both == 0 {
			if style == MultiBLEU {
				return 0
			}
			smooth /= 2
			both = smooth
		}
		sum += math.Log(both / all)
	}
	brevity := min(0, 1-total[2]/total[1])
	return 100 * math.Exp(brevity+sum/bleuOrder)
}

// words cuts a text.
func (style BLEUStyle) words(text string) []string {
	if style == MultiBLEU {
		return strings.FieldsFunc(text, func(r rune) bool { return r < unicode.MaxASCII && unicode.IsSpace(r) })
	}
	text = strings.TrimRightFunc(text, isSpace)
	text = strings.ReplaceAll(text, "<skipped>", "")
	text = strings.ReplaceAll(text, "-\n", "")
	text = strings.ReplaceAll(text, "\n", " ")
	for _, entity := range entities {
		text = strings.ReplaceAll(text, entity.from, entity.to)
	}
	text = " " + text + " "
	for _, rule := range rules13a {
		text = rule.at.ReplaceAllString(text, rule.by)
	}
	return strings.FieldsFunc(text, isSpace)
}

// entities are undone one after another, as mteval does: &amp;lt; becomes <.
var entities = []struct{ from, to string }{
	{"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"},
}

// rules13a set symbols apart, then full stops and commas unless they stand in
// a number, then the hyphen behind a number.
var rules13a = []struct {
	at *regexp.Regexp
	by string
}{
	{regexp.MustCompile("([{-~\\[-` -&(-+:-@/])"), " $1 "},
	{regexp.MustCompile(`([^0-9])([.,])`), "$1 $2 "},
	{regexp.MustCompile(`([.,])([^0-9])`), " $1 $2"},
	{regexp.MustCompile(`([0-9])(-)`), "$1 $2 "},
}
