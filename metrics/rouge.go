package metrics

import "strings"

// Overlap is how much two texts share, each figure 0–100.
type Overlap struct {
	Precision float64 `json:"precision"` // of the prediction
	Recall    float64 `json:"recall"`    // of the reference
	F1        float64 `json:"f1"`
}

// Rouge holds the ROUGE scores of one prediction (Lin 2004).
type Rouge struct {
	One  Overlap `json:"rouge1"`    // of words
	Two  Overlap `json:"rouge2"`    // of pairs of words
	L    Overlap `json:"rougeL"`    // longest common subsequence of the whole texts
	LSum Overlap `json:"rougeLsum"` // union of the common subsequences of lines
}

// ROUGE compares a prediction with its reference as Google's rouge_score does:
// lower case, words of ASCII letters and digits, with stem those of more than
// three letters by Porter's stemmer. LSum takes each line of a text for a
// sentence, as rougeLsum does. Where either text has no words all is 0; the
// figure of a test set is the mean (MeanSums).
func ROUGE(pred, reference string, stem bool) Rouge {
	p, r := rougeWords(pred, stem), rougeWords(reference, stem)
	return Rouge{
		One:  gramOverlap(p, r, 1),
		Two:  gramOverlap(p, r, 2),
		L:    overlap(len(commonSubsequence(r, p)), len(p), len(r)),
		LSum: summaryOverlap(rougeLines(pred, stem), rougeLines(reference, stem)),
	}
}

// overlap makes figures of counts.
func overlap(both, pred, reference int) Overlap {
	if both == 0 {
		return Overlap{}
	}
	return Overlap{
		Precision: 100 * float64(both) / float64(pred),
		Recall:    100 * float64(both) / float64(reference),
		F1:        100 * f1(float64(both), float64(pred), float64(reference)),
	}
}

func gramOverlap(pred, reference []string, n int) Overlap {
	both, found := 0, grams(pred, n)
	for gram, count := range grams(reference, n) {
		both += min(count, found[gram])
	}
	return overlap(both, len(pred)-n+1, len(reference)-n+1)
}

// rougeWords are the words of a text that count.
func rougeWords(text string, stem bool) []string {
	words := strings.FieldsFunc(lower(text), func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9')
	})
	for i, word := range words {
		if stem && len(word) > 3 {
			words[i] = porterStem(word)
		}
	}
	return words
}

// rougeLines are the words of each line.
func rougeLines(text string, stem bool) [][]string {
	var lines [][]string
	for _, line := range strings.Split(text, "\n") {
		lines = append(lines, rougeWords(line, stem))
	}
	return lines
}

// commonSubsequence is the places in reference of a longest common
// subsequence. Of several it is the one that rouge_score reads out of its
// table, since the union of those of several lines depends on which.
func commonSubsequence(reference, pred []string) []int {
	width := len(pred) + 1
	longest := make([]int32, (len(reference)+1)*width) // of the first i and j words
	for i, word := range reference {
		above, row := longest[i*width:(i+1)*width], longest[(i+1)*width:]
		for j, other := range pred {
			if word == other {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
	}
	places := make([]int, longest[len(longest)-1])
	i, j, n := len(reference), len(pred), len(places)
	for n > 0 {
		switch {
		case reference[i-1] == pred[j-1]:
			i, j, n = i-1, j-1, n-1
			places[n] = i
		case longest[i*width+j-1] > longest[(i-1)*width+j]:
			j--
		default:
			i--
		}
	}
	return places
}

// summaryOverlap is ROUGE-Lsum: for each line of the reference the union of its
// common subsequences with all lines of the prediction, where no occurrence of
// a word counts twice (as ROUGE-1.5.5 has it, beyond section 3.2 of the paper).
func summaryOverlap(pred, reference [][]string) Overlap {
	left := func(lines [][]string) (map[string]int, int) {
		counts, total := map[string]int{}, 0
		for _, line := range lines {
			total += len(line)
			for _, word := range line {
				counts[word]++
			}
		}
		return counts, total
	}
	leftPred, inPred := left(pred)
	leftReference, inReference := left(reference)
	both := 0
	for _, line := range reference {
		union := make([]bool, len(line))
		for _, other := range pred {
			for _, place := range commonSubsequence(line, other) {
				union[place] = true
			}
		}
		for place, word := range line {
			if union[place] && leftPred[word] > 0 && leftReference[word] > 0 {
				both++
				leftPred[word]--
				leftReference[word]--
			}
		}
	}
	return overlap(both, inPred, inReference)
}
