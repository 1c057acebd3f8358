package metrics

import (
	"math"
	"testing"
)

func near(a, b float64) bool {
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.IsNaN(a) && math.IsNaN(b)
	}
	return math.Abs(a-b) < 1e-9*(1+math.Abs(b))
}

func TestClassificationMetrics(t *testing.T) {
	tests := []struct {
		name                string
		pred, gold          []int
		accuracy, macro, f1 float64
	}{
		// The example of scikit-learn's f1_score documentation: macro 0.26…
		{"scikit-learn", []int{0, 2, 1, 0, 0, 1}, []int{0, 1, 2, 0, 1, 2}, 100. / 3, 100 * 0.8 / 3, 0},
		{"all right", []int{0, 1, 1}, []int{0, 1, 1}, 100, 100, 100},
		{"all wrong", []int{1, 0}, []int{0, 1}, 0, 0, 0},
		// Class 1 has TP 1, FP 1, FN 1: F1 1/2; class 0 the same.
		{"half", []int{1, 1, 0, 0}, []int{1, 0, 1, 0}, 50, 50, 50},
		// Class 2 occurs in gold only and counts 0; class 3 in no list: not counted.
		// F1: class 0 2/3 (TP 1, FP 1), class 1 1, class 2 0.
		{"class missed", []int{0, 0, 1}, []int{0, 2, 1}, 200. / 3, 100 * (2./3 + 1) / 3, 100},
		// Class 5 is predicted only: class 0 TP 1, FN 1: 2/3; class 5: 0.
		{"class invented", []int{0, 5}, []int{0, 0}, 50, 100. / 3, 0},
		{"no positive class", []int{0, 0}, []int{0, 0}, 100, 100, 0},
		{"empty", nil, nil, math.NaN(), math.NaN(), math.NaN()},
		{"unequal lengths", []int{1}, []int{1, 1}, math.NaN(), math.NaN(), math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Accuracy(test.pred, test.gold); !near(got, test.accuracy) {
				t.Errorf("Accuracy %v, want %v", got, test.accuracy)
			}
			if got := MacroF1(test.pred, test.gold); !near(got, test.macro) {
				t.Errorf("MacroF1 %v, want %v", got, test.macro)
			}
			if got := BinaryF1(test.pred, test.gold); !near(got, test.f1) {
				t.Errorf("BinaryF1 %v, want %v", got, test.f1)
			}
		})
	}
}

func TestGroupedExactMatch(t *testing.T) {
	tests := []struct {
		name       string
		pred, gold []int
		group      []string
		want       float64
	}{
		{"one of two groups", []int{1, 0, 1, 1}, []int{1, 0, 1, 0}, []string{"a", "a", "b", "b"}, 50},
		{"scattered groups, wrong first", []int{0, 1, 1}, []int{1, 1, 1}, []string{"a", "b", "a"}, 50},
		{"every example a group", []int{0, 1, 1, 1}, []int{1, 1, 1, 1}, []string{"a", "b", "c", "d"}, 75},
		{"empty", nil, nil, nil, math.NaN()},
		{"unequal lengths", []int{1}, []int{1}, nil, math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := GroupedExactMatch(test.pred, test.gold, test.group); !near(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		pred   string
		golds  []string
		em, f1 float64
	}{
		{"articles, case, punctuation", "The Beatles!", []string{"beatles"}, 100, 100},
		{"white space", " New \t York ", []string{"new york"}, 100, 100},
		{"accents", "Beyoncé Knowles", []string{"beyonce knowles"}, 100, 100},
		{"strokes and ligatures", "Øresund Straße", []string{"oresund strasse"}, 100, 100},
		{"curly quote", "McDonald’s", []string{"McDonald's"}, 100, 100},
		// Precision 1/2, recall 1/1.
		{"part", "Barack Obama", []string{"Obama"}, 0, 200. / 3},
		{"best gold", "Barack Obama", []string{"Michelle", "Obama", "Barack Obama"}, 100, 100},
		// "to be or to" against "to be": overlap 2, precision 2/4, recall 1.
		{"repeated words count once each", "to be or to", []string{"to be"}, 0, 200. / 3},
		{"nothing shared", "Paris", []string{"Rome"}, 0, 0},
		{"empty prediction", "", []string{"Rome"}, 0, 0},
		{"article inside a word stays", "theatre", []string{"atre"}, 0, 0},
		{"punctuation joins as the official script does", "U.S.", []string{"us"}, 100, 100},
		{"other scripts stay", "東京", []string{"東京"}, 100, 100},
		{"no golds", "x", nil, math.NaN(), math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ExactMatch(test.pred, test.golds); !near(got, test.em) {
				t.Errorf("ExactMatch %v, want %v", got, test.em)
			}
			if got := TokenF1(test.pred, test.golds); !near(got, test.f1) {
				t.Errorf("TokenF1 %v, want %v", got, test.f1)
			}
		})
	}
}
