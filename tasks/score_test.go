package tasks

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScore(t *testing.T) {
	// graded makes predictions of pairs of predicted and gold labels.
	graded := func(pairs ...[2]int) (preds []Prediction) {
		for _, p := range pairs {
			preds = append(preds, Prediction{Predicted: p[0], Label: p[1]})
		}
		return preds
	}
	tests := []struct {
		task  string
		preds []Prediction
		want  []Metric
	}{
		{"BoolQ", graded([2]int{1, 1}, [2]int{1, 0}, [2]int{0, 0}, [2]int{0, 0}), []Metric{{"accuracy", 75}}},
		{"RTE", graded([2]int{1, 1}, [2]int{1, 0}, [2]int{0, -1}), []Metric{{"accuracy", 50}}}, // the unlabelled one is left out
		// Class 0: F1 2/3, class 1: 2/3, class 2 predicted never, gold never.
		{"CB", graded([2]int{0, 0}, [2]int{0, 1}, [2]int{1, 1}), []Metric{{"f1", 200. / 3}, {"accuracy", 200. / 3}}},
		{"MultiRC", []Prediction{
			{Question: "p1-q1", Predicted: 1, Label: 1},
			{Question: "p1-q1", Predicted: 0, Label: 0},
			{Question: "p1-q2", Predicted: 1, Label: 1},
			{Question: "p1-q2", Predicted: 1, Label: 0},
		}, []Metric{{"f1a", 80}, {"em", 50}}},
		{"AX-b", graded([2]int{1, 1}, [2]int{0, 1}, [2]int{1, 1}, [2]int{1, 0}), []Metric{{"matthews", -100. / 3}}},
		{"AX-g", []Prediction{
			{Question: "test-pair0", Predicted: 0, Label: 0}, {Question: "test-pair0", Predicted: 0, Label: 0},
			{Question: "test-pair1", Predicted: 0, Label: 1}, {Question: "test-pair1", Predicted: 1, Label: 1},
		}, []Metric{{"parity", 50}, {"accuracy", 75}}},
		{"ReCoRD", []Prediction{
			{Predicted: 1, Choices: []string{"Bo", "the Port Ness."}, Gold: []string{"Mara", "Port Ness"}, Label: -1},
			{Predicted: 0, Choices: []string{"Port"}, Gold: []string{"Port Ness"}, Label: -1},
			{Predicted: 0, Choices: []string{"Bo"}, Label: -1}, // unlabelled
		}, []Metric{{"f1", 250. / 3}, {"em", 50}}},
	}
	for _, test := range tests {
		t.Run(test.task, func(t *testing.T) {
			task := mustGet(t, test.task)
			got := task.Score(test.preds)
			if diff := cmp.Diff(test.want, got, closeEnough); diff != "" {
				t.Error(diff)
			}
			for _, m := range task.Score(nil) {
				if !math.IsNaN(m.Value) {
					t.Errorf("%s of nothing is %v", m.Name, m.Value)
				}
			}
		})
	}
}

var closeEnough = cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })

func TestPredict(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name    string
		scoring Scoring
		scores  []float64
		want    int
	}{
		{"highest", SingleToken, []float64{-3, -1, -2}, 1},
		{"first of equal", MultiToken, []float64{-2, -1, -1}, 1},
		{"not a number", ClassHead, []float64{nan, -5, nan}, 1},
		{"nothing but not a number", ChoiceHead, []float64{nan, nan}, 0},
		{"match", Generative, []float64{1}, 1},
		{"no match", Generative, []float64{0}, 0},
		{"no score", Generative, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Encoded{ID: "dev-1", Number: 1, Question: "q", Passage: "p", Label: 2, Scoring: test.scoring, Choices: []string{"a", "b", "c"}, Gold: []string{"c"}, Text: "t"}
			got := Predict(e, test.scores)
			want := Prediction{ID: "dev-1", Number: 1, Question: "q", Passage: "p", Label: 2, Predicted: test.want, Answer: e.Choices[test.want], Choices: e.Choices, Scores: test.scores, Gold: e.Gold, Text: "t"}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}
