package metrics

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ExactMatch is 100 when pred equals one of golds after GLM's normalisation,
// else 0 (ReCoRD's EM of one example). Without golds it is NaN.
func ExactMatch(pred string, golds []string) float64 {
	return SQuADExactMatch(foldASCII(pred), foldAll(golds))
}

// TokenF1 is the F1 of the words of pred against those of the gold that fits
// best, after GLM's normalisation, 0–100 (ReCoRD's F1 of one example). Without
// golds it is NaN.
func TokenF1(pred string, golds []string) float64 {
	return SQuADF1(foldASCII(pred), foldAll(golds))
}

// SQuADExactMatch is 100 when pred equals one of golds after the normalisation
// of SQuAD's evaluate-v1.1.py (lower case, no ASCII punctuation, no articles,
// white space collapsed), else 0: the EM of one example. Without golds it is NaN.
func SQuADExactMatch(pred string, golds []string) float64 {
	best := math.NaN()
	p := answerWords(pred)
	for _, gold := range golds {
		em := 0.0
		if slices.Equal(p, answerWords(gold)) {
			em = 100
		}
		best = maxOver(best, em)
	}
	return best
}

// SQuADF1 is the F1 of the normalised words of pred against those of the gold
// that fits best, 0–100: the F1 of one example by evaluate-v1.1.py, where two
// answers without words share nothing. Without golds it is NaN.
func SQuADF1(pred string, golds []string) float64 {
	best := math.NaN()
	p := answerWords(pred)
	for _, gold := range golds {
		g := answerWords(gold)
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

// answerWords normalises an answer and returns its words.
func answerWords(s string) []string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return r
	}, lower(s))
	var kept strings.Builder
	for len(s) > 0 {
		n := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
		if n < 0 {
			n = len(s)
		}
		if word := s[:n]; word != "a" && word != "an" && word != "the" {
			kept.WriteString(word)
		} else {
			kept.WriteByte(' ')
		}
		_, width := utf8.DecodeRuneInString(s[n:])
		kept.WriteString(s[n : n+width])
		s = s[n+width:]
	}
	return strings.FieldsFunc(kept.String(), isSpace)
}

// asciiOf spells the letters and punctuation that have no decomposition of
// their own. Scripts other than Latin stay as they are.
var asciiOf = strings.NewReplacer(
	"ß", "ss", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ł", "l", "Ł", "L", "ı", "i",
	"‘", "'", "’", "'", "‚", "'", "“", `"`, "”", `"`, "„", `"`, "«", "<<", "»", ">>",
	"‐", "-", "‑", "-", "–", "-", "—", "-", "−", "-", "⁄", "/",
)

func foldAll(texts []string) []string {
	folded := make([]string, len(texts))
	for i, text := range texts {
		folded[i] = foldASCII(text)
	}
	return folded
}

// foldASCII spells letters in ASCII, as GLM's evaluation does before it
// normalises: compatibility decomposition without the marks.
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
