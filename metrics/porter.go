package metrics

import "strings"

// porterStem strips the suffixes of an English word in lower case by the
// algorithm of Porter (1980) with the departures that NLTK's stemmer makes by
// default, which rouge_score uses: https://www.nltk.org, nltk.stem.porter.
func porterStem(word string) string {
	if stem, ok := irregular[word]; ok {
		return stem
	}
	if len(word) <= 2 {
		return word
	}
	word = porterPlural(word)
	word = porterPast(word)
	if stem, ok := strings.CutSuffix(word, "y"); ok && len(stem) > 1 && consonant(stem, len(stem)-1) {
		word = stem + "i"
	}
	word = porterDouble(word)
	word = replaceSuffix(word, step3, 0)
	word = porterSingle(word)
	return porterEnd(word)
}

// irregular are the words that NLTK does not leave to the rules.
var irregular = map[string]string{
	"sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
	"inning": "inning", "innings": "inning", "outing": "outing", "outings": "outing",
	"canning": "canning", "cannings": "canning", "howe": "howe",
	"proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// suffix is a rule: the ending and what stands for it.
type suffix struct{ from, to string }

// step2 and step3 need a measure of 1 in front of the suffix, step4 of 2. The
// first ending that fits is the only one tried.
var (
	step2 = []suffix{
		{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
		{"bli", "ble"}, {"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"},
		{"ation", "ate"}, {"ator", "ate"}, {"alism", "al"}, {"iveness", "ive"}, {"fulness", "ful"},
		{"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}, {"fulli", "ful"},
	}
	step3 = []suffix{
		{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
	}
	step4 = []suffix{
		{"al", ""}, {"ance", ""}, {"ence", ""}, {"er", ""}, {"ic", ""}, {"able", ""}, {"ible", ""}, {"ant", ""},
		{"ement", ""}, {"ment", ""}, {"ent", ""}, {"ou", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""},
		{"ive", ""}, {"ize", ""},
	}
)

// replaceSuffix applies the first rule whose ending the word has, if the
// measure of what stands before it is above least.
func replaceSuffix(word string, rules []suffix, least int) string {
	for _, rule := range rules {
		if stem, ok := strings.CutSuffix(word, rule.from); ok {
			if measure(stem) > least {
				return stem + rule.to
			}
			return word
		}
	}
	return word
}

// porterPlural is step 1a: -s.
func porterPlural(word string) string {
	switch {
	case len(word) == 4 && strings.HasSuffix(word, "ies"):
		return word[:len(word)-1] // dies, but flies
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "ies"):
		return word[:len(word)-2]
	case strings.HasSuffix(word, "ss"):
		return word
	}
	return strings.TrimSuffix(word, "s")
}

// porterPast is step 1b: -ed and -ing.
func porterPast(word string) string {
	if stem, ok := strings.CutSuffix(word, "ied"); ok {
		if len(word) == 4 {
			return stem + "ie"
		}
		return stem + "i"
	}
	if stem, ok := strings.CutSuffix(word, "eed"); ok {
		if measure(stem) > 0 {
			return stem + "ee"
		}
		return word
	}
	stem, ok := strings.CutSuffix(word, "ed")
	if !ok || !hasVowel(stem) {
		if stem, ok = strings.CutSuffix(word, "ing"); !ok || !hasVowel(stem) {
			return word
		}
	}
	last := len(stem) - 1
	switch {
	case strings.HasSuffix(stem, "at"), strings.HasSuffix(stem, "bl"), strings.HasSuffix(stem, "iz"):
		return stem + "e"
	case endsDouble(stem):
		if strings.IndexByte("lsz", stem[last]) < 0 {
			return stem[:last]
		}
	case measure(stem) == 1 && endsShort(stem):
		return stem + "e"
	}
	return stem
}

// porterDouble is step 2: one suffix of two becomes one.
func porterDouble(word string) string {
	if stem, ok := strings.CutSuffix(word, "alli"); ok && measure(stem) > 0 {
		return porterDouble(stem + "al")
	}
	if strings.HasSuffix(word, "logi") {
		// The l counts for the stem, so that geology and archaeology are alike.
		if measure(word[:len(word)-3]) > 0 {
			return word[:len(word)-1]
		}
		return word
	}
	return replaceSuffix(word, step2, 0)
}

// porterSingle is step 4: the last suffix goes.
func porterSingle(word string) string {
	if stem, ok := strings.CutSuffix(word, "ion"); ok {
		if measure(stem) > 1 && strings.IndexByte("st", stem[len(stem)-1]) >= 0 {
			return stem
		}
		return word
	}
	return replaceSuffix(word, step4, 1)
}

// porterEnd is step 5: a last e, a double l.
func porterEnd(word string) string {
	if stem, ok := strings.CutSuffix(word, "e"); ok {
		if m := measure(stem); m > 1 || m == 1 && !endsShort(stem) {
			word = stem
		}
	}
	if strings.HasSuffix(word, "ll") && measure(word[:len(word)-1]) > 1 {
		return word[:len(word)-1]
	}
	return word
}

// consonant tells whether the letter at i is one: no vowel, and no y behind a
// consonant.
func consonant(word string, i int) bool {
	switch word[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !consonant(word, i-1)
	}
	return true
}

// measure is how often a vowel is followed by a consonant.
func measure(word string) int {
	n, vowel := 0, false
	for i := range len(word) {
		c := consonant(word, i)
		if c && vowel {
			n++
		}
		vowel = !c
	}
	return n
}

func hasVowel(word string) bool {
	for i := range len(word) {
		if !consonant(word, i) {
			return true
		}
	}
	return false
}

func endsDouble(word string) bool {
	n := len(word)
	return n >= 2 && word[n-1] == word[n-2] && consonant(word, n-1)
}

// endsShort tells whether a word ends in consonant, vowel, consonant, the last
// not w, x or y, or is a vowel and a consonant.
func endsShort(word string) bool {
	n := len(word)
	if n == 2 {
		return !consonant(word, 0) && consonant(word, 1)
	}
	return n > 2 && consonant(word, n-3) && !consonant(word, n-2) && consonant(word, n-1) &&
		strings.IndexByte("wxy", word[n-1]) < 0
}
