//go:build cgo

package runner

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// Answers that were kept are taken over by the same question only, and what is torn
// or foreign is dropped.
func TestAnswersAreKept(t *testing.T) {
	var examples []tasks.Encoded
	var found []tasks.Prediction
	for i := range 5 {
		id := fmt.Sprintf("dev-%d", i)
		examples = append(examples, tasks.Encoded{ID: id})
		found = append(found, tasks.Prediction{ID: id, Answer: "a <b> \u2028 é", Choices: []string{"a"}, Scores: []float64{-1.0 / 3}, Gold: []string{"x"}})
	}
	question := asked{Weights: "w", Data: "d", Decoding: &configs.Decoding{Beams: 2}}
	path := filepath.Join(t.TempDir(), "new", "answers.jsonl")
	notes := 0
	same := func(example int, p tasks.Prediction) bool { return p.ID == examples[example].ID }
	open := func(q asked) *answers[tasks.Prediction] {
		t.Helper()
		k, err := openAnswers(path, q, len(examples), same, func(string) { notes++ })
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	shut := func(k *answers[tasks.Prediction]) {
		t.Helper()
		if err := k.close(); err != nil {
			t.Fatal(err)
		}
	}

	k := open(question)
	if err := k.add([]int{3, 1}, []tasks.Prediction{found[3], found[1]}); err != nil {
		t.Fatal(err)
	}
	var usage *configs.Error
	if _, err := openAnswers(path, question, len(examples), same, nil); !errors.As(err, &usage) {
		t.Errorf("two evaluations write one file: %v", err)
	}
	shut(k)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"", `{"example":0,"answ`, "\x00\x00\x00\n", `{"example":9}` + "\n", `{"example":0,"answer":{"id":"dev-7"}}` + "\n", `{"example":-1,"answer":{"id":"dev-0"}}` + "\n"} {
		if err := os.WriteFile(path, append(whole[:len(whole):len(whole)], tail...), 0o666); err != nil {
			t.Fatal(err)
		}
		k := open(question)
		if diff := cmp.Diff([]tasks.Prediction{{}, found[1], {}, found[3], {}}, k.of); diff != "" || k.count != 2 {
			t.Errorf("after %q %d answers (-want +got):\n%s", tail, k.count, diff)
		}
		if !k.holds([]int{1, 3}) || k.holds([]int{1, 2}) {
			t.Errorf("after %q: the wrong groups are held", tail)
		}
		shut(k)
		if now, err := os.ReadFile(path); err != nil || string(now) != string(whole) {
			t.Errorf("after %q the file is %q, %v", tail, now, err)
		}
	}
	if notes != 0 {
		t.Errorf("%d notes on answers to the same question", notes)
	}

	k = open(question)
	bad := found[0]
	bad.Scores = []float64{math.NaN()}
	if err := k.add([]int{0}, []tasks.Prediction{bad}); err == nil {
		t.Error("a score that is not a number is kept")
	}
	shut(k)
	for _, other := range []asked{{Weights: "x", Data: "d"}, {Weights: "w", Data: "d", Decoding: &configs.Decoding{Beams: 3}}, question} {
		k := open(other)
		if k.count != 0 {
			t.Errorf("%+v takes over %d answers to another question", other, k.count)
		}
		if err := k.add([]int{2}, found[2:3]); err != nil {
			t.Fatal(err)
		}
		shut(k)
	}
	if notes != 3 {
		t.Errorf("%d notes on 3 changes of the question", notes)
	}
}
