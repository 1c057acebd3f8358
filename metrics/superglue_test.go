package metrics

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestSuperGLUEDefinitions compares with what testdata/gen/superglue.py computes
// of drawn answers by the metrics' definitions.
func TestSuperGLUEDefinitions(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "superglue.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases struct {
		Labels []struct {
			Pred, Gold   []int
			Question     []string
			Accuracy, EM float64
			MacroF1      float64 `json:"macro_f1"`
			F1a          *float64
			Matthews     float64
		}
		Answers []struct {
			Pred   string
			Golds  []string
			EM, F1 float64
		}
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases.Labels) < 80 || len(cases.Answers) < 300 {
		t.Fatalf("%d and %d cases", len(cases.Labels), len(cases.Answers))
	}
	for _, c := range cases.Labels {
		check := func(name string, got, want float64) {
			if !near(got, want) {
				t.Errorf("%s of %v against %v, questions %v: %v, want %v", name, c.Pred, c.Gold, c.Question, got, want)
			}
		}
		check("accuracy", Accuracy(c.Pred, c.Gold), c.Accuracy)
		check("macro F1", MacroF1(c.Pred, c.Gold), c.MacroF1)
		check("EM", GroupedExactMatch(c.Pred, c.Gold, c.Question), c.EM)
		if c.F1a != nil {
			check("F1a", BinaryF1(c.Pred, c.Gold), *c.F1a)
			check("Matthews", Matthews(c.Pred, c.Gold), c.Matthews)
		}
	}
	for _, c := range cases.Answers {
		if em, f1 := SQuADExactMatch(c.Pred, c.Golds), SQuADF1(c.Pred, c.Golds); em != c.EM || !near(f1, c.F1) {
			t.Errorf("%q against %q: EM %v and F1 %v, want %v and %v", c.Pred, c.Golds, em, f1, c.EM, c.F1)
		}
	}
}

// TestPublishedCases are the examples of the metric card of Hugging Face's
// super_glue and of the documentation of scikit-learn.
func TestPublishedCases(t *testing.T) {
	tests := []struct {
		name      string
		got, want float64
	}{
		{"COPA, all right", Accuracy([]int{0, 1}, []int{0, 1}), 100},
		{"CB, all right", MacroF1([]int{0, 1}, []int{0, 1}), 100},
		{"MultiRC, EM of nothing right", GroupedExactMatch([]int{0, 1}, []int{1, 0}, []string{"p0-q0", "p2-q3"}), 0},
		{"MultiRC, F1a of nothing right", BinaryF1([]int{0, 1}, []int{1, 0}), 0},
		{"MultiRC, EM of all right", GroupedExactMatch([]int{0, 1}, []int{0, 1}, []string{"p0-q0", "p2-q3"}), 100},
		{"AX-b, one answer for all", Matthews([]int{1, 1}, []int{0, 1}), 0},
		{"ReCoRD, one of two answers", ExactMatch("answer", []string{"answer", "another_answer"}), 100},
		{"ReCoRD, one of two answers, F1", TokenF1("answer", []string{"answer", "another_answer"}), 100},
		{"f1_score, macro", MacroF1([]int{0, 2, 1, 0, 0, 1}, []int{0, 1, 2, 0, 1, 2}), 26.666666666666668},
		{"matthews_corrcoef", Matthews([]int{1, -1, 1, 1}, []int{1, 1, 1, -1}), -33.333333333333336},
	}
	for _, test := range tests {
		if !near(test.got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}

// Scores that hang on one question or one pair.
func TestSuperGLUEEdges(t *testing.T) {
	// All answers called wrong: F1a has no right one to find, EM may still be
	// above 0 where a question has none.
	pred, gold := []int{0, 0, 0, 0}, []int{0, 0, 1, 0}
	questions := []string{"q1", "q1", "q2", "q2"}
	if f, em := BinaryF1(pred, gold), GroupedExactMatch(pred, gold, questions); f != 0 || em != 50 {
		t.Errorf("F1a %v and EM %v, want 0 and 50", f, em)
	}
	// CB's class that is rare weighs as much as the others.
	pred, gold = []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 2}
	if got, want := MacroF1(pred, gold), 100*(18./19)/2; !near(got, want) {
		t.Errorf("macro F1 %v, want %v", got, want)
	}
	// A pair answered wrong twice is parity; accuracy sees it.
	if got := GenderParity([]int{1, 1}, []string{"p", "p"}); got != 100 {
		t.Errorf("parity %v of a pair answered alike", got)
	}
	// Three sentences of one pair: the third has no partner.
	if got := GenderParity([]int{0, 0, 1, 1, 1}, []string{"p", "p", "p", "r", "r"}); got != 100 {
		t.Errorf("parity %v", got)
	}
	// Large counts do not overflow, and the order of examples does not matter.
	n := 200000
	many, right := make([]int, n), make([]int, n)
	for i := range many {
		many[i], right[i] = i%2, i/(n/2)
	}
	if got := Matthews(many, right); math.Abs(got) > 1e-9 {
		t.Errorf("correlation %v of independent labels", got)
	}
	// Answers without words: equal to each other, F1 of nothing shared.
	if em, f1 := ExactMatch("The", []string{"a."}), TokenF1("The", []string{"a."}); em != 100 || f1 != 0 {
		t.Errorf("EM %v, F1 %v", em, f1)
	}
	// What the evaluation folds to ASCII, on either side.
	for _, pair := range [][2]string{{"Sao Paulo", "São Paulo"}, {"Côte d’Ivoire", "cote d'ivoire"}, {"Erdoğan", "Erdogan"}, {"Malmö – Lund", "malmo lund"}} {
		if ExactMatch(pair[0], []string{pair[1]}) != 100 || ExactMatch(pair[1], []string{pair[0]}) != 100 {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
	}
}
