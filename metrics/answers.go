package metrics

import (
	"math"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// ExactMatch is 100 when pred equals one of golds after normalisation, else 0
// (ReCoRD's and SQuAD's EM of one example). Without golds it is NaN.
func ExactMatch(pred string, golds []string) float64 {
	best := math.NaN()
	p := strings.Join(answerTokens(pred), " ")
	for _, gold := range golds {
		em := 0.0
		if p == strings.Join(answerTokens(gold), " ") {
			em = 100
		}
		best = maxOver(best, em)
	}
	return best
}

// TokenF1 is the F1 of the normalised words of pred against those of the gold
// that fits best, 0–100 (ReCoRD's and SQuAD's F1 of one example). Without
// golds it is NaN.
func TokenF1(pred string, golds []string) float64 {
	best := math.NaN()
	p := answerTokens(pred)
	for _, gold := range golds {
		g := answerTokens(gold)
		left := make(map[string]int, len(g))
		for _, w := range g {
			left[w]++
		}
		both := 0
		for _, w := range p {
			if left[w] > 0 {
				left[w]--
				both++
			}
		}
		best = maxOver(best, 100*f1(float64(both), float64(len(p)), float64(len(g))))
	}
	return best
}

// maxOver is the larger of two values where best is NaN before the first.
func maxOver(best, v float64) float64 {
	if math.IsNaN(best) || v > best {
		return v
	}
	return best
}

// answerTokens normalises an answer as the official SQuAD and ReCoRD scripts
// do (lower case, no ASCII punctuation, no articles, white space collapsed)
// after folding letters to ASCII as GLM's evaluation does, and returns its words.
func answerTokens(s string) []string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return r
	}, strings.ToLower(foldASCII(s)))
	words := strings.Fields(s)
	kept := words[:0]
	for _, w := range words {
		if w != "a" && w != "an" && w != "the" {
			kept = append(kept, w)
		}
	}
	return kept
}

// asciiOf spells the letters and punctuation that have no decomposition of
// their own. Scripts other than Latin stay as they are.
var asciiOf = strings.NewReplacer(
	"ß", "ss", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ł", "l", "Ł", "L", "ı", "i",
	"‘", "'", "’", "'", "‚", "'", "“", `"`, "”", `"`, "„", `"`, "«", "<<", "»", ">>",
	"‐", "-", "‑", "-", "–", "-", "—", "-", "−", "-", "⁄", "/",
)

// foldASCII drops accents: compatibility decomposition without the marks.
func foldASCII(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < 0x80
	}
	if ascii {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	return asciiOf.Replace(s)
}
