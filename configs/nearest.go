package configs

import "strings"

// Nearest returns the candidate with the smallest edit distance to name,
// ignoring case; of equals the first. It is "" when there is none.
func Nearest(name string, candidates []string) string {
	best, least := "", -1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(c)); least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// nearestKey returns the known dotted key that an unknown one most likely
// means. The last part counts most, since a key in the wrong section is as
// common a mistake as a misspelt one.
func nearestKey(key string, known []string) string {
	parts := strings.Split(key, ".")
	best, least := "", -1.0
	for _, k := range known {
		candidate := strings.Split(k, ".")
		d := 4*unlike(parts[len(parts)-1], candidate[len(candidate)-1]) +
			sectionDistance(parts[:len(parts)-1], candidate[:len(candidate)-1])
		if least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// sectionDistance is the edit distance of two paths of sections: one for a
// section too many or too few, its unlikeness for one that is spelt otherwise.
func sectionDistance(a, b []string) float64 {
	row := make([]float64, len(b)+1)
	for j := range row {
		row[j] = float64(j)
	}
	for i := range a {
		diagonal := row[0]
		row[0] = float64(i + 1)
		for j := range b {
			substitute := diagonal + 1.5*unlike(a[i], b[j])
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// unlike is the edit distance relative to the longer word, from 0 to 1.
func unlike(a, b string) float64 {
	longer := max(len(a), len(b))
	if longer == 0 {
		return 0
	}
	return float64(editDistance(a, b)) / float64(longer)
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
