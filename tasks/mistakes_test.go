package tasks

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMistakes(t *testing.T) {
	one := func(id string, label, predicted int, share float64) Prediction {
		scores := []float64{math.Log(1 - share), math.Log(1 - share)}
		scores[predicted] = math.Log(share)
		return Prediction{ID: id, Label: label, Predicted: predicted, Choices: []string{"no", "yes"}, Scores: scores}
	}
	tests := []struct {
		name, task string
		preds      []Prediction
		want       []string
	}{
		{"most confident first", "BoolQ", []Prediction{one("a", 0, 1, 0.6), one("b", 0, 0, 0.99), one("c", 1, 0, 0.9), one("d", 0, 1, 0.6)}, []string{"c", "a", "d"}},
		{"unlabelled", "BoolQ", []Prediction{one("a", -1, 1, 0.6)}, nil},
		{"written or not", "WSC", []Prediction{{ID: "a", Label: 1, Scores: []float64{0}, Choices: []string{"False", "True"}}, {ID: "b", Label: 0, Scores: []float64{0}, Choices: []string{"False", "True"}}}, []string{"a"}},
		{"one of several right texts", "ReCoRD", []Prediction{
			{ID: "a", Label: 0, Predicted: 1, Answer: "the Beatles", Choices: []string{"Apple", "the Beatles"}, Gold: []string{"Apple", "Beatles"}, Scores: []float64{-2, -0.1}},
			{ID: "b", Label: -1, Predicted: 0, Answer: "Apple", Choices: []string{"Apple", "EMI"}, Gold: []string{"Lennon"}, Scores: []float64{-0.1, -2}},
		}, []string{"b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range mustGet(t, test.task).Mistakes(test.preds) {
				got = append(got, p.ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if p := one("a", 0, 1, 0.75); math.Abs(p.Probability(1)-0.75) > 1e-12 || !math.IsNaN(p.Probability(2)) || !math.IsNaN(p.Probability(-1)) {
		t.Error("probabilities are not those of the scores")
	}
}
