package metrics

import (
	"strings"
	"unicode"
)

// isSpace is Python's str.isspace, which the reference scripts split by; unlike
// unicode.IsSpace it counts the four information separators.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// lower is Python's str.lower as far as it concerns words of a score: Go alone
// would make one ASCII letter of the dotted capital I.
func lower(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "İ", "i\u0307"))
}

// grams counts the runs of n words. Words hold no blanks.
func grams(words []string, n int) map[string]int {
	counts := map[string]int{}
	for i := n; i <= len(words); i++ {
		counts[strings.Join(words[i-n:i], " ")]++
	}
	return counts
}
