package reports

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

// experiment makes up results: each model answers each example rightly with a
// probability of its own, harder examples more rarely for all models.
type experiment struct {
	models []Model
	seeds  []uint64
	tasks  []string
	// skill is the probability of a right answer to an example of middling
	// difficulty.
	skill func(model, task string) float64
	// size is how many passages a task has; 0: its default.
	size map[string]int
}

var (
	bertTiny = Model{Name: "BERT", Architecture: "bert", Parameters: 1_912_064, Form: tasks.Classification}
	glmTiny  = Model{Name: "GLM", Architecture: "glm", Parameters: 1_904_128, Form: tasks.Cloze}
)

// twoModels is the usual comparison.
func twoModels() experiment {
	ability := map[string]map[string]float64{
		"BERT": {"ReCoRD": .45, "COPA": .58, "WSC": .5, "RTE": .62, "BoolQ": .70, "WiC": .71, "CB": .72, "MultiRC": .62},
		"GLM":  {"ReCoRD": .62, "COPA": .75, "WSC": .66, "RTE": .64, "BoolQ": .72, "WiC": .60, "CB": .80, "MultiRC": .66},
	}
	return experiment{
		models: []Model{bertTiny, glmTiny},
		seeds:  []uint64{1, 2, 3},
		tasks:  tasks.Names(),
		skill:  func(model, task string) float64 { return ability[model][task] },
	}
}

var passages = map[string]int{"ReCoRD": 60, "COPA": 100, "WSC": 104, "RTE": 200, "BoolQ": 300, "WiC": 200, "CB": 56, "MultiRC": 30, "AX-b": 120, "AX-g": 40, "Reviews": 90}

// questions are the unanswered examples of a task, the same on every call.
func (e experiment) questions(task string) []tasks.Prediction {
	rng := rand.New(rand.NewPCG(11, uint64(len(task))))
	n := passages[task]
	if size, ok := e.size[task]; ok {
		n = size
	}
	var preds []tasks.Prediction
	add := func(p tasks.Prediction) {
		p.Number = len(preds)
		preds = append(preds, p)
	}
	for passage := range n {
		id := fmt.Sprintf("val-%d", passage)
		one := tasks.Prediction{ID: id, Question: id, Passage: id, Text: "a text"}
		switch task {
		case "ReCoRD":
			for q := range 1 + rng.IntN(3) {
				p := one
				p.ID = fmt.Sprintf("%s-q%d", id, q)
				p.Question = p.ID
				p.Choices = []string{"Anna Smith", "Smith", "Paris", "the River Seine", "Acme"}[:3+rng.IntN(3)]
				p.Label = rng.IntN(len(p.Choices))
				p.Gold = []string{p.Choices[p.Label]}
				add(p)
			}
		case "MultiRC":
			for q := range 1 + rng.IntN(3) {
				for a := range 2 + rng.IntN(4) {
					p := one
					p.Question = fmt.Sprintf("%s-q%d", id, q)
					p.ID = fmt.Sprintf("%s-a%d", p.Question, a)
					p.Choices, p.Label = []string{"0", "1"}, rng.IntN(2)
					add(p)
				}
			}
		case "AX-g":
			for half := range 2 {
				p := one
				p.ID = fmt.Sprintf("%s-%d", id, half)
				p.Choices, p.Label = []string{"no", "yes"}, passage%2
				add(p)
			}
		case "COPA":
			one.Choices, one.Label = []string{"it rained " + id, "it snowed " + id}, rng.IntN(2)
			add(one)
		case "CB":
			one.Choices = []string{"entailment", "contradiction", "neutral"}
			one.Label = []int{0, 0, 0, 1, 1, 1, 2}[rng.IntN(7)]
			add(one)
		default:
			one.Choices = []string{"no", "yes"}
			one.Label = rng.IntN(5) / 3
			add(one)
		}
	}
	return preds
}

// answered are the predictions of one run.
func (e experiment) answered(model, task string, seed uint64) []tasks.Prediction {
	preds := e.questions(task)
	difficulty := rand.New(rand.NewPCG(12, uint64(len(task))))
	rng := rand.New(rand.NewPCG(seed, uint64(len(model))<<8|uint64(len(task))))
	drift := 0.03 * rng.NormFloat64()
	for i, p := range preds {
		hard := 0.25 * (difficulty.Float64() - 0.5)
		p.Predicted = p.Label
		if rng.Float64() > e.skill(model, task)+drift+hard {
			p.Predicted = (p.Label + 1 + rng.IntN(len(p.Choices)-1)) % len(p.Choices)
		}
		p.Scores = make([]float64, len(p.Choices))
		p.Scores[p.Predicted] = 1
		preds[i] = p
	}
	return preds
}

// result is the result file of one run.
func (e experiment) result(t *testing.T, m Model, task string, seed uint64, preds []tasks.Prediction) *Result {
	t.Helper()
	split := "val"
	var scored []tasks.Metric
	switch known, err := tasks.Get(task); {
	case err != nil: // a user's own
		predicted, gold := predictedOf(preds), goldOf(preds)
		scored = []tasks.Metric{{Name: "accuracy", Value: metrics.Accuracy(predicted, gold)}, {Name: "f1", Value: metrics.BinaryF1(predicted, gold)}}
	default:
		scored = known.Score(preds)
		if slices.Contains(tasks.Diagnostics(), task) {
			split = "test"
		}
	}
	return &Result{
		Task: task, Split: split, Metrics: scored, Examples: len(preds), Model: m, Seed: seed,
		CheckpointSHA256: fmt.Sprintf("%064d", seed), DataSHA256: fmt.Sprintf("%064d", len(task)), TokenizerHash: "t",
		Steps: 3000, Tokens: 12_300_000, WallSeconds: 1.5, Date: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		Glmkit: "v0", Device: "cpu", Libtorch: "1.13.1",
	}
}

// write makes all result files in a new folder and reads them back.
func (e experiment) write(t *testing.T) []*Result {
	t.Helper()
	return e.writeTo(t, t.TempDir())
}

func (e experiment) writeTo(t *testing.T, dir string) []*Result {
	t.Helper()
	for _, m := range e.models {
		for _, task := range e.tasks {
			for _, seed := range e.seeds {
				preds := e.answered(m.Name, task, seed)
				if err := WriteResult(dir, e.result(t, m, task, seed, preds), preds); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	results, err := ReadResults([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// shared holds the results of twoModels for all tests that only read them:
// every file is synced to the disk, which takes its time.
var shared struct {
	dir     string
	results []*Result
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// usual are the results of twoModels.
func usual(t *testing.T) []*Result {
	t.Helper()
	if shared.results == nil {
		dir, err := os.MkdirTemp("", "reports")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
		shared.results = twoModels().writeTo(t, dir)
	}
	return slices.Clone(shared.results)
}
