package microworld

import "math"

// chance scores a labelled split as a model would that has not read it: the
// best constant answer or, where that is better, guessing. Metrics
// are named as in package tasks, on the scale 0–100.
func chance(examples []example) map[string]float64 {
	labels := map[any]int{}
	random, answers, right := 0.0, 0, 0
	macro := false
	for _, e := range examples {
		switch e := e.(type) {
		case *boolQ:
			labels[*e.Label]++
		case *inference:
			labels[*e.Label]++
			macro = macro || *e.Label == cbLabels[2]
		case *copa:
			labels[*e.Label]++
		case *wic:
			labels[*e.Label]++
		case *wsc:
			labels[*e.Label]++
		case *multiRC:
			for _, q := range e.Passage.Questions {
				for _, a := range q.Answers {
					answers++
					right += *a.Label
				}
			}
		case *record:
			entities := map[string]bool{}
			for _, span := range e.Passage.Entities {
				entities[e.Passage.Text[span.Start:span.End+1]] = true
			}
			random += 100 / float64(len(entities))
		}
	}
	n := float64(len(examples))
	switch {
	case random > 0:
		return map[string]float64{"f1": rounded(random / n), "em": rounded(random / n)}
	case answers > 0:
		// Yes to everything; every question also has a wrong answer, so that
		// no constant gets one right as a whole.
		p := float64(right) / float64(answers)
		return map[string]float64{"f1a": rounded(100 * 2 * p / (1 + p)), "em": 0}
	}
	most := 0
	for _, count := range labels {
		most = max(most, count)
	}
	p := float64(most) / n
	scores := map[string]float64{"accuracy": rounded(100 * p)}
	if macro {
		// A constant reaches half of what guessing does on macro-F1.
		scores["f1"] = rounded(100 / float64(len(labels)))
	}
	return scores
}

func rounded(x float64) float64 { return math.Round(100*x) / 100 }
