package reports

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

// quick are options for tests that do not look at intervals.
var quick = Options{Resamples: 200}

func build(t *testing.T, results []*Result, o Options) *Table {
	t.Helper()
	table, err := Build(results, o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// cell finds a value by the row's model and the column's name.
func cell(t *testing.T, table *Table, rows []Row, model, column string) *Cell {
	t.Helper()
	for _, row := range rows {
		for i, c := range table.Columns {
			if row.Model == model && c.String() == column {
				return row.Cells[i]
			}
		}
	}
	t.Fatalf("no cell of %s in %s", model, column)
	return nil
}

// The columns of the table add up over units; over all units they must give
// what the tasks' own scoring gives.
func TestColumnsEqualTheTasksScores(t *testing.T) {
	e := twoModels()
	for _, task := range knownTasks() {
		e.skill = func(string, string) float64 { return .7 }
		known, err := tasks.Get(task)
		if err != nil {
			t.Fatal(err)
		}
		preds := e.answered("GLM", task, 1)
		g := groupExamples(task, preds)
		all := make([]int, g.units)
		for i := range all {
			all[i] = i
		}
		scores := known.Score(preds)
		of := metricsOf(task)
		if len(scores) != len(of) {
			t.Fatalf("%s: %d columns for %d official metrics", task, len(of), len(scores))
		}
		for i, c := range of {
			if got := c.sums(preds, predictedOf(preds), g).Over(all); math.Abs(got-scores[i].Value) > 1e-9 {
				t.Errorf("%s %s: column %v, official %s %v", task, c.metric, got, scores[i].Name, scores[i].Value)
			}
		}
	}
	if got, want := slices.Sorted(slices.Values(knownTasks())), slices.Sorted(slices.Values(append(tasks.Names(), tasks.Diagnostics()...))); !slices.Equal(got, want) {
		t.Errorf("columns of %q, want all of %q", got, want)
	}
	if got := paperTasks(); len(got) != 8 || got[0] != "ReCoRD" || got[7] != "MultiRC" {
		t.Errorf("the paper's columns are %q", got)
	}
}

func TestMeasuredValuesAreMeansOverSeeds(t *testing.T) {
	e := twoModels()
	table := build(t, usual(t), quick)
	for _, test := range []struct {
		task, column string
		metric       int
	}{{"CB", "CB F1", 0}, {"CB", "CB Acc", 1}, {"WSC", "WSC", 0}, {"MultiRC", "MultiRC EM", 1}, {"ReCoRD", "ReCoRD F1", 0}} {
		known, _ := tasks.Get(test.task)
		want := 0.0
		for _, seed := range e.seeds {
			want += known.Score(e.answered("GLM", test.task, seed))[test.metric].Value / float64(len(e.seeds))
		}
		if got := cell(t, table, table.Measured, "GLM", test.column); math.Abs(got.Value-want) > 1e-9 || got.Seeds != 3 {
			t.Errorf("%s: %v of %d seeds, want %v of 3", test.column, got.Value, got.Seeds, want)
		}
	}
}

// The average is that of the paper: the two metrics of a task first averaged.
func TestAverage(t *testing.T) {
	table := build(t, usual(t), quick)
	for _, row := range append(append(table.Measured, table.Chance), table.Differences...) {
		byTask := map[string][]float64{}
		for i, c := range table.Columns {
			if !c.average() {
				byTask[c.Task] = append(byTask[c.Task], row.Cells[i].Value)
			}
		}
		want := 0.0
		for _, values := range byTask {
			want += mean(values) / 8
		}
		if got := row.Cells[len(row.Cells)-1].Value; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: average %v, want %v", row.Name, got, want)
		}
	}
}

func TestChance(t *testing.T) {
	label := func(gold, n int, question string) tasks.Prediction {
		return tasks.Prediction{Label: gold, Question: question, Choices: []string{"a", "b", "c"}[:n]}
	}
	repeat := func(times int, p tasks.Prediction) (ps []tasks.Prediction) {
		for range times {
			ps = append(ps, p)
		}
		return ps
	}
	record := func(gold string, choices ...string) tasks.Prediction {
		return tasks.Prediction{Gold: []string{gold}, Choices: choices}
	}
	balanced := slices.Concat(repeat(100, label(0, 3, "")), repeat(100, label(1, 3, "")), repeat(100, label(2, 3, "")))
	tests := []struct {
		name         string
		task, metric string
		preds        []tasks.Prediction
		want, within float64
	}{
		{"majority", "RTE", "Acc", slices.Concat(repeat(7, label(0, 2, "")), repeat(3, label(1, 2, ""))), 70, 0},
		{"majority of three", "CB", "Acc", balanced, 100. / 3, 1e-9},
		// Always one of three balanced classes: F1 of 1/2, 0 and 0, which is 1/6 on
		// average. Guessing: 1/3 each.
		{"guessing beats the majority in macro F1", "CB", "F1", balanced, 100. / 3, 1},
		// Always yes: precision 0.4, recall 1.
		{"always yes in F1a", "MultiRC", "F1a", slices.Concat(repeat(6, label(0, 2, "q")), repeat(4, label(1, 2, "q"))), 100 * 2 * 0.4 / 1.4, 1e-9},
		{"one of two candidates", "COPA", "Acc", repeat(9, tasks.Prediction{Choices: []string{"x", "y"}}), 50, 1e-9},
		// A half, and one of four.
		{"candidates in plenty", "ReCoRD", "Acc", []tasks.Prediction{record("Rome", "Rome", "Oslo"), record("Rome", "Oslo", "Rome", "Bern", "Riga")}, 37.5, 1e-9},
		// "Anna Smith" against the gold "Smith" has F1 2/3.
		{"a candidate half right", "ReCoRD", "F1", []tasks.Prediction{record("Smith", "Anna Smith", "Oslo")}, 100. / 3, 1e-9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.preds {
				test.preds[i].Passage = test.preds[i].Question
				if test.preds[i].Passage == "" {
					test.preds[i].Passage = string(rune('a' + i))
				}
			}
			for _, c := range metricsOf(test.task) {
				if c.metric != test.metric {
					continue
				}
				if got := chance(c, test.preds, groupExamples(test.task, test.preds), 1); math.Abs(got-test.want) > test.within {
					t.Errorf("got %v, want %v ± %v", got, test.want, test.within)
				}
			}
		})
	}
}

func TestMarksAgainstChance(t *testing.T) {
	e := twoModels()
	skills := map[string]float64{"RTE": 0.95, "WiC": 0.5, "BoolQ": 0.1}
	e.tasks = []string{"RTE", "WiC", "BoolQ"}
	e.skill = func(_, task string) float64 { return skills[task] }
	table := build(t, e.write(t), quick)
	for column, want := range map[string]Against{"RTE": Above, "WiC": "", "BoolQ": Below} {
		got := cell(t, table, table.Measured, "GLM", column)
		if got.Against != want {
			t.Errorf("%s: %q of chance, want %q (value %.1f in %v)", column, got.Against, want, got.Value, got.Interval)
		}
	}
	if !slices.Contains(table.Conclusions, "GLM is above chance on 1 of 3 tasks: RTE.") {
		t.Errorf("conclusions %q", table.Conclusions)
	}
}

func TestDifferences(t *testing.T) {
	e := twoModels()
	e.tasks = []string{"RTE", "WiC", "BoolQ"}
	skills := map[string]map[string]float64{
		"BERT": {"RTE": .60, "WiC": .90, "BoolQ": .75},
		"GLM":  {"RTE": .90, "WiC": .60, "BoolQ": .75},
	}
	e.skill = func(model, task string) float64 { return skills[model][task] }
	e.size = map[string]int{"RTE": 600, "WiC": 600, "BoolQ": 600}
	table := build(t, e.write(t), quick)
	for column, want := range map[string]int{"RTE": 1, "WiC": -1, "BoolQ": 0} {
		got := cell(t, table, table.Differences, "GLM", column)
		if got.Test.Significant != (want != 0) || float64(want)*got.Value < 0 {
			t.Errorf("%s: %+.1f, test %+v, want sign %d", column, got.Value, got.Test, want)
		}
		if got.Test.Holm < got.Test.P {
			t.Errorf("%s: Holm's p %v below p %v", column, got.Test.Holm, got.Test.P)
		}
	}
	for _, want := range []string{
		"GLM is ahead of BERT on RTE.",
		"BERT is ahead of GLM on WiC.",
	} {
		if !slices.Contains(table.Conclusions, want) {
			t.Errorf("conclusions %q lack %q", table.Conclusions, want)
		}
	}
}

// A model against itself: no difference, whatever the seeds.
func TestNoDifferenceFromItself(t *testing.T) {
	e := twoModels()
	twin := bertTiny
	twin.Name = "TWIN" // answers are keyed by the length of the name
	e.models = []Model{bertTiny, twin}
	e.tasks = []string{"CB", "MultiRC"}
	e.skill = func(string, string) float64 { return 0.7 }
	table := build(t, e.write(t), Options{Resamples: 200, Baseline: "BERT"})
	for i, c := range table.Differences[0].Cells {
		if c.Value != 0 || c.Test.Significant || c.Test.P != 1 {
			t.Errorf("%s: %+.1f, %+v", table.Columns[i], c.Value, c.Test)
		}
	}
}

func TestSingleRunsUseMcNemar(t *testing.T) {
	e := twoModels()
	table := build(t, slices.DeleteFunc(usual(t), func(r *Result) bool { return r.Seed != 1 }), quick)
	for column, want := range map[string]string{"RTE": "McNemar", "CB Acc": "McNemar", "CB F1": "randomisation", "MultiRC EM": "McNemar", "MultiRC F1a": "randomisation", "ReCoRD Acc": "randomisation", "Avg": "bootstrap"} {
		if got := cell(t, table, table.Differences, "GLM", column).Test.Method; got != want {
			t.Errorf("%s: %s, want %s", column, got, want)
		}
	}
	a, b := e.answered("GLM", "RTE", 1), e.answered("BERT", "RTE", 1)
	won, lost := 0, 0
	for i := range a {
		right, other := a[i].Predicted == a[i].Label, b[i].Predicted == b[i].Label
		if right && !other {
			won++
		}
		if other && !right {
			lost++
		}
	}
	if got, want := cell(t, table, table.Differences, "GLM", "RTE").Test.P, metrics.McNemar(won, lost); got != want {
		t.Errorf("p %v, want McNemar's %v of %d won and %d lost", got, want, won, lost)
	}
	if !hasNote(table, "One run only: every cell") {
		t.Errorf("notes %q", table.Notes)
	}
}

func hasNote(table *Table, text string) bool {
	return slices.ContainsFunc(slices.Concat(table.Notes, table.Method), func(note string) bool { return strings.Contains(note, text) })
}

func TestResamplingUnits(t *testing.T) {
	table := build(t, usual(t), quick)
	for column, want := range map[string]int{"ReCoRD F1": 60, "MultiRC EM": 59, "COPA": 100} {
		if got := cell(t, table, table.Measured, "BERT", column); got.Units != want || got.Examples < want {
			t.Errorf("%s: %d units of %d examples, want %d units", column, got.Units, got.Examples, want)
		}
	}
	if !hasNote(table, "in 59 questions") {
		t.Errorf("method %q does not say that MultiRC's questions were resampled", table.Method)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	results := usual(t)
	first, err := Build(results, quick)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(results)
	second, err := Build(results, quick)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same results in another order gave another table:\n%s", diff)
	}
}

func TestMissingRuns(t *testing.T) {
	results := usual(t)
	results = slices.DeleteFunc(results, func(r *Result) bool {
		return r.Task == "ReCoRD" || r.Task == "WSC" && r.Model.Name == "GLM" || r.Task == "CB" && r.Model.Name == "GLM" && r.Seed > 1
	})
	table, err := Build(results, Options{Resamples: 200, Published: "base"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"No run of GLM on WSC.", "Not measured at all: ReCoRD.", "One run only: GLM on CB.", "over the 6 tasks"} {
		if !hasNote(table, want) {
			t.Errorf("notes %q lack %q", table.Notes, want)
		}
	}
	if last := table.Columns[len(table.Columns)-1]; last.Task != "Avg of 6" {
		t.Errorf("average is called %q", last.Task)
	}
	if c := cell(t, table, table.Measured, "GLM", "WSC"); c != nil {
		t.Errorf("GLM on WSC: %+v, want nothing", c)
	}
	if c := cell(t, table, table.Differences, "GLM", "WSC"); c != nil {
		t.Errorf("difference on WSC: %+v, want nothing", c)
	}
	// BERT_Base over COPA, RTE, BoolQ, WiC, CB, MultiRC.
	want := (66.0 + 70.0 + 74.9 + 68.8 + (70.9+76.8)/2 + (68.4+21.5)/2) / 6
	if got := cell(t, table, table.Published, "BERT_Base", "Avg of 6").Value; math.Abs(got-want) > 1e-9 {
		t.Errorf("published average over the same tasks: %v, want %v", got, want)
	}
	if text, _, _ := cell(t, table, table.Published, "BERT_Base", "Avg of 6").text(); text != fmt.Sprintf("%.1f", want) {
		t.Errorf("it is shown as %s", text)
	}
}

func TestMissingSeeds(t *testing.T) {
	results := slices.DeleteFunc(usual(t), func(r *Result) bool { return r.Task == "RTE" && r.Model.Name == "GLM" && r.Seed == 2 })
	table, err := Build(results, quick)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GLM on RTE lacks 2.", "2 runs only: GLM on RTE."} {
		if !hasNote(table, want) {
			t.Errorf("notes %q lack %q", table.Notes, want)
		}
	}
	if c := cell(t, table, table.Measured, "GLM", "RTE"); c.Seeds != 2 || len(c.Runs) != 2 || c.Runs[1].Seed != 3 {
		t.Errorf("the cell is %+v", c)
	}
}

// A metric that no predictions check may come on two scales.
func TestMixedScales(t *testing.T) {
	e := twoModels()
	e.models, e.tasks, e.seeds = []Model{glmTiny}, []string{"Reviews"}, nil
	dir := t.TempDir()
	for seed, value := range map[uint64]float64{1: 0.71, 2: 69} {
		preds := e.answered("GLM", "Reviews", seed)
		r := e.result(t, glmTiny, "Reviews", seed, preds)
		r.Metrics = []tasks.Metric{{Name: "kappa", Value: value}}
		if err := WriteResult(dir, r, preds); err != nil {
			t.Fatal(err)
		}
	}
	results, err := ReadResults([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	table, err := Build(results, quick)
	if err != nil {
		t.Fatal(err)
	}
	if want := "shares of 1 (GLM seed 1 0.71) and percent (GLM seed 2 69)"; !hasNote(table, want) {
		t.Errorf("notes %q lack %q", table.Notes, want)
	}
}

// Cuts of any task's development set are named beside published rows.
func TestOtherData(t *testing.T) {
	table, err := Build(usual(t), Options{Resamples: 20, Published: "base"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Examples here (there): ReCoRD 118 (10000), RTE 200 (277), BoolQ 300 (3270), WiC 200 (638), MultiRC 217 (4848)."
	if !hasNote(table, want) {
		t.Errorf("notes %q lack %q", table.Notes, want)
	}
}

func TestDifferentExamplesAreNotPaired(t *testing.T) {
	e := twoModels()
	e.tasks = []string{"CB", "RTE"}
	results := e.write(t)
	results = slices.DeleteFunc(results, func(r *Result) bool { return r.Task == "CB" && r.Model.Name == "GLM" })
	other := e
	other.models, other.tasks, other.size = []Model{glmTiny}, []string{"CB"}, map[string]int{"CB": 40}
	more := other.write(t)
	table, err := Build(append(results, more...), quick)
	if err != nil {
		t.Fatal(err)
	}
	if c := cell(t, table, table.Differences, "GLM", "CB F1"); c != nil {
		t.Errorf("a difference on different examples: %+v", c)
	}
	if c := cell(t, table, table.Differences, "GLM", "RTE"); c == nil || c.Test == nil {
		t.Error("no test of RTE, which both answered")
	}
	if !hasNote(table, "answered different examples of CB") {
		t.Errorf("notes %q", table.Notes)
	}
}

func TestResultsThatDoNotBelongTogether(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Result, []tasks.Prediction) []tasks.Prediction
		want   string
	}{
		{"another split", func(r *Result, p []tasks.Prediction) []tasks.Prediction { r.Split = "dev32"; return p }, "split dev32"},
		{"another pattern", func(r *Result, p []tasks.Prediction) []tasks.Prediction { r.Model.Pattern = 3; return p }, "form or pattern"},
		{"another precision", func(r *Result, p []tasks.Prediction) []tasks.Prediction { r.Precision = "bfloat16"; return p }, "the precision of their matrix products"},
		{"fewer examples", func(_ *Result, p []tasks.Prediction) []tasks.Prediction { return p[1:] }, "the examples they answered"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := twoModels()
			e.models, e.tasks = []Model{glmTiny}, []string{"CB"}
			results := e.write(t)
			preds := e.answered("GLM", "CB", 9)
			odd := e.result(t, glmTiny, "CB", 9, preds)
			preds = test.change(odd, preds)
			known, _ := tasks.Get("CB")
			odd.Examples, odd.Metrics = len(preds), known.Score(preds)
			dir := t.TempDir()
			if err := WriteResult(dir, odd, preds); err != nil {
				t.Fatal(err)
			}
			_, err := Build(append(results, odd), quick)
			var data *corpus.DataError
			if !errors.As(err, &data) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), odd.Path()) {
				t.Errorf("got %v, want a DataError with %q and the file", err, test.want)
			}
		})
	}
}

func TestBaseline(t *testing.T) {
	e := twoModels()
	e.tasks = []string{"CB"}
	cloze := bertTiny
	cloze.Name, cloze.Form = "BERT-cloze", tasks.Cloze
	three := e
	three.models = []Model{bertTiny, cloze, glmTiny}
	large := bertTiny
	large.Name = "bert-large"
	twoBerts := e
	twoBerts.models = []Model{cloze, large, glmTiny}
	alone := e
	alone.models = []Model{glmTiny}
	tests := []struct {
		name, ask string
		e         experiment
		want      string // the first row
		compared  bool
		err       string
	}{
		{"the only BERT", "bert", e, "BERT", true, ""},
		{"a model by name in any case", "glm", e, "GLM", true, ""},
		{"the name comes before the architecture", "bert", three, "BERT", true, ""},
		{"several BERTs", "bert", twoBerts, "", false, "several BERT models"},
		{"no BERT", "bert", alone, "GLM", false, ""},
		{"unknown", "T5", e, "", false, `a model "T5"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			results := test.e.write(t)
			table, err := Build(results, Options{Baseline: test.ask, Resamples: 50})
			var usage *configs.Error
			if test.err != "" {
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.err) || usage.Hint == "" {
					t.Errorf("got %v, want a configs.Error with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if table.Measured[0].Name != test.want || (len(table.Differences) > 0) != test.compared {
				t.Errorf("first row %s, %d differences", table.Measured[0].Name, len(table.Differences))
			}
			if !test.compared && !hasNote(table, "There is no BERT") {
				t.Errorf("notes %q", table.Notes)
			}
		})
	}
}

func TestPublishedRows(t *testing.T) {
	results := usual(t)
	for group, want := range map[string]int{"none": 0, "base": 3, "large": 11, "10b": 2, "ablation": 4, "all": 20} {
		table, err := Build(results, Options{Resamples: 20, Published: group})
		if err != nil {
			t.Fatal(err)
		}
		if len(table.Published) != want {
			t.Errorf("%s: %d rows, want %d", group, len(table.Published), want)
		}
		for _, row := range table.Published {
			for i, c := range row.Cells {
				if whole := group == "base" || group == "large"; c == nil && whole || c != nil && (c.Source == nil || c.Source.Paper == "" || c.Source.Table == "" || c.Source.Tag == "") {
					t.Errorf("%s %s has no source", row.Name, table.Columns[i])
				}
			}
		}
		if noted := hasNote(table, "GLM_Sent: its printed cells average 77.28"); noted != (group == "large" || group == "all") {
			t.Errorf("%s: the inconsistent row is noted: %v", group, noted)
		}
	}
	_, err := Build(results, Options{Published: "huge", Resamples: 20})
	var usage *configs.Error
	if !errors.As(err, &usage) {
		t.Errorf("unknown group: got %v, want a configs.Error", err)
	}
}

func TestModelsNotOfASize(t *testing.T) {
	e := twoModels()
	e.tasks = []string{"CB"}
	big := glmTiny
	big.Parameters *= 2
	e.models = []Model{bertTiny, big}
	if table := build(t, e.write(t), quick); !hasNote(table, "not of a size") {
		t.Errorf("notes %q", table.Notes)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 950: "950", 3000: "3000", 12_345: "12.3k", 1_912_064: "1.91M", 334_688_256: "335M", 9_880_682_496: "9.88B"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
}

// Diagnostics and a user's tasks have columns behind the average, which stays
// the paper's.
func TestOtherTasks(t *testing.T) {
	e := twoModels()
	e.tasks = []string{"CB", "RTE", "AX-b", "AX-g", "Reviews"}
	e.skill = func(model, _ string) float64 { return map[string]float64{"BERT": .6, "GLM": .9}[model] }
	results := e.write(t)
	table := build(t, results, quick)
	var heads []string
	for _, c := range table.Columns {
		heads = append(heads, c.String())
	}
	if got, want := strings.Join(heads, ", "), "RTE, CB F1, CB Acc, Avg of 2, AX-b MCC, AX-g Parity, AX-g Acc, Reviews Acc, Reviews F1"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if split := table.Columns[4].Split; split != "test" || table.Split != "val" {
		t.Errorf("AX-b is of split %q in a table of %s", split, table.Split)
	}
	preds := map[string][]int{}
	var gold []int
	for _, p := range e.answered("GLM", "AX-b", 2) {
		gold, preds["AX-b"] = append(gold, p.Label), append(preds["AX-b"], p.Predicted)
	}
	for column, want := range map[string]float64{"AX-b MCC": metrics.Matthews(preds["AX-b"], gold)} {
		only := build(t, slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return r.Seed != 2 }), quick)
		if got := cell(t, only, only.Measured, "GLM", column); math.Abs(got.Value-want) > 1e-9 || got.Interval == nil || !got.Interval.Contains(want) {
			t.Errorf("%s: %+v, want %v", column, got, want)
		}
	}
	if c := cell(t, table, table.Measured, "GLM", "AX-b MCC"); c.Against != Above {
		t.Errorf("AX-b: %+v, want above chance", c)
	}
	if c := cell(t, table, []Row{{Model: "", Cells: table.Chance.Cells}}, "", "AX-g Parity"); c != nil {
		t.Errorf("chance of parity: %+v, want none", c)
	}
	if c := cell(t, table, table.Measured, "GLM", "AX-g Acc"); c.Units != 40 || c.Examples != 80 {
		t.Errorf("AX-g: %d units of %d examples, want 40 pairs", c.Units, c.Examples)
	}
	if c := cell(t, table, table.Differences, "GLM", "Reviews F1"); c == nil || c.Test == nil || !c.Test.Significant {
		t.Errorf("Reviews: %+v, want a significant difference", c)
	}

	// A figure that the predictions do not give has a value, and no more.
	odd := *results[0]
	for _, r := range results {
		if r.Task == "Reviews" {
			odd = *r
		}
	}
	odd.Metrics = []tasks.Metric{{Name: "accuracy", Value: 12.5}, {Name: "rouge", Value: 30}}
	table = build(t, []*Result{&odd}, quick)
	for _, column := range []string{"Reviews accuracy", "Reviews rouge"} {
		if c := cell(t, table, table.Measured, odd.Model.Name, column); c == nil || c.Interval != nil || c.Against != "" {
			t.Errorf("%s: %+v, want a value alone", column, c)
		}
	}
	if !hasNote(table, "No interval and no test for Reviews rouge") {
		t.Errorf("notes %q", table.Notes)
	}
}

// Bold is the model that is ahead of every other, and only that.
func TestBest(t *testing.T) {
	e := twoModels()
	third := glmTiny
	third.Name = "GLM-long"
	e.models, e.tasks = []Model{bertTiny, glmTiny, third}, []string{"BoolQ", "RTE", "WiC"}
	e.size = map[string]int{"BoolQ": 500, "RTE": 500, "WiC": 500}
	skills := map[string]map[string]float64{
		"BoolQ": {"BERT": .55, "GLM": .7, "GLM-long": .95}, // one ahead of all
		"RTE":   {"BERT": .55, "GLM": .9, "GLM-long": .9},  // two ahead of the baseline
		"WiC":   {"BERT": .95, "GLM": .6, "GLM-long": .6},  // the baseline ahead
	}
	e.skill = func(model, task string) float64 { return skills[task][model] }
	table := build(t, e.write(t), quick)
	for column, want := range map[string]string{"BoolQ": "GLM-long", "RTE": "", "WiC": "BERT"} {
		got := ""
		for _, m := range e.models {
			if cell(t, table, table.Measured, m.Name, column).Best {
				got += m.Name
			}
		}
		if got != want {
			t.Errorf("%s: best is %q, want %q", column, got, want)
		}
	}
	if alone := build(t, slices.DeleteFunc(e.write(t), func(r *Result) bool { return r.Model.Name != "GLM" }), quick); alone.Measured[0].Cells[0].Best {
		t.Error("a model alone is the best")
	}
}

// A cell without a value says in a note which run is missing.
func TestNotesOfCells(t *testing.T) {
	results := slices.DeleteFunc(usual(t), func(r *Result) bool {
		return r.Task == "WSC" && r.Model.Name == "GLM" || r.Task == "CB" && r.Model.Name == "GLM" && r.Seed > 1
	})
	table := build(t, results, quick)
	about := func(rows []Row, model, column string) (notes []string) {
		for _, row := range rows {
			for i, c := range table.Columns {
				if row.Model == model && c.String() == column {
					for _, note := range row.Notes[i] {
						notes = append(notes, table.Notes[note])
					}
				}
			}
		}
		return notes
	}
	for _, test := range []struct {
		rows         []Row
		column, want string
	}{{table.Measured, "WSC", "No run of GLM on WSC."}, {table.Differences, "WSC", "No run of GLM on WSC."}, {table.Measured, "CB F1", "One run only: GLM on CB."}} {
		if got := about(test.rows, "GLM", test.column); len(got) != 1 || !strings.Contains(got[0], test.want) {
			t.Errorf("%s: notes %q, want %q", test.column, got, test.want)
		}
	}
	if !hasNote(table, "GLM on CB lacks 2, 3") {
		t.Errorf("notes %q do not name the missing seeds", table.Notes)
	}
	var text strings.Builder
	if err := table.Terminal(&text, 0, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "–¹") || !strings.Contains(text.String(), "- ¹ No run of GLM on WSC.") {
		t.Errorf("no footnote in\n%s", text.String())
	}
}

func TestPlan(t *testing.T) {
	table := build(t, usual(t), Options{Resamples: 200, Plan: 10})
	for i, c := range table.Differences[0].Cells {
		if !(c.Test.Detectable > c.Test.Planned && c.Test.Planned > c.Test.AtBest && c.Test.AtBest > 0) {
			t.Errorf("%s: least differences %v, with 10 runs %v, with any number %v", table.Columns[i], c.Test.Detectable, c.Test.Planned, c.Test.AtBest)
		}
	}
	if !hasNote(table, "With 10 runs of each model: ReCoRD F1") {
		t.Errorf("method %q", table.Method)
	}
	var usage *configs.Error
	if _, err := Build(usual(t), Options{Plan: 1}); !errors.As(err, &usage) {
		t.Errorf("one run planned: got %v, want a configs.Error", err)
	}
}

func TestPublishedTables(t *testing.T) {
	tables, err := PublishedTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		for _, row := range table.Published {
			if len(row.Cells) != len(table.Columns) {
				t.Errorf("%s: %s has %d cells in %d columns", table.Title, row.Name, len(row.Cells), len(table.Columns))
			}
		}
		golden(t, "published-"+strings.ToLower(strings.Fields(table.Title)[0])+".md", table.MarkdownPublished)
	}
}
