package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/tasks"
)

func TestWriteMistakes(t *testing.T) {
	wrong := []tasks.Prediction{
		{ID: "dev-3", Predicted: 1, Answer: "neutral", Choices: []string{"entailment", "neutral"}, Scores: []float64{math.Log(0.25), math.Log(0.75)}, Gold: []string{"entailment"}, Text: "premise: Tom ran.\nhypothesis: Tom sat."},
		{ID: "dev-5", Answer: "False", Choices: []string{"False", "True"}, Scores: []float64{0}, Gold: []string{"True"}, Text: "text: x"},
	}
	tests := []struct {
		most int
		want string
	}{
		{1, "2 of 9 wrong, the most confident\n\ndev-3  \"neutral\" 0.750, right \"entailment\" 0.250\n  premise: Tom ran.\n  hypothesis: Tom sat.\n\n"},
		{5, "2 of 9 wrong\n\ndev-3  \"neutral\" 0.750, right \"entailment\" 0.250\n  premise: Tom ran.\n  hypothesis: Tom sat.\n\ndev-5  \"False\", right \"True\"\n  text: x\n\n"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		if err := writeMistakes(&out, wrong, 9, test.most); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWrapped(t *testing.T) {
	text := strings.Repeat("vierundzwanzig Wörter ", 60)
	lines := wrapped(text, 30)
	shown := 0
	for _, line := range lines {
		n := utf8.RuneCountInString(line)
		if n > 30 {
			t.Errorf("%q has %d letters", line, n)
		}
		shown += n + 1
	}
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "…") || shown > shownRunes+2 {
		t.Errorf("%d letters shown, the last %q", shown, last)
	}
	if got := wrapped("", 30); len(got) != 1 || got[0] != "" {
		t.Errorf("nothing becomes %q", got)
	}
	if got := wrapped("donaudampfschifffahrt", 5); len(got) != 1 {
		t.Errorf("a long word becomes %q", got)
	}
}
