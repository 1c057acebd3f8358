package configs

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// The printed averages follow from the printed cells (tasks with two metrics
// first averaged), but for the rows which are printed wrongly, and say so.
func TestPublishedAverages(t *testing.T) {
	all, err := AllBaselines()
	if err != nil {
		t.Fatal(err)
	}
	inconsistent := map[string]float64{"GLM_Sent": 77.275}
	whole := map[string]int{}
	for _, b := range all {
		for _, row := range b.Rows {
			sum := 0.0
			for task, values := range row.Values {
				mean := 0.0
				for _, v := range values {
					if v <= 0 || v > 100 {
						t.Errorf("%s %s: %v is off the scale", row.Model, task, v)
					}
					mean += v / float64(len(values))
				}
				sum += mean
			}
			if row.Average == 0 || len(row.Values) < len(b.Tasks) {
				continue
			}
			whole[b.Table]++
			average := sum / float64(len(row.Values))
			agrees := math.Abs(average-row.Average) <= 0.05+1e-9
			if want, known := inconsistent[row.Model]; known {
				if agrees || math.Abs(average-want) > 1e-9 || row.Note == "" {
					t.Errorf("%s: recomputed %.2f, printed %v, note %q; recorded as %v and noted", row.Model, average, row.Average, row.Note, want)
				}
			} else if !agrees {
				t.Errorf("%s: recomputed %.2f, printed %v", row.Model, average, row.Average)
			}
		}
	}
	if whole["SuperGLUE"] != 14 || whole["CLUE"] != 1 {
		t.Errorf("averages checked: %v; SuperGLUE's main table has 14 rows, CLUE one", whole)
	}
}

// The main table is printed exactly so.
func TestMainTable(t *testing.T) {
	b, err := PublishedBaselines()
	if err != nil {
		t.Fatal(err)
	}
	var models []string
	for _, row := range b.Rows {
		if row.SourceID == "glm-table-1" {
			models = append(models, row.Model)
		}
	}
	if got, want := strings.Join(models, " "), "BERT_Base GLM_Base BERT_Large UniLM_Large GLM_Large GLM_Doc GLM_Sent GLM_410M GLM_515M T5_Base T5_Large BART_Large RoBERTa_Large GLM_RoBERTa"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	var tasks []string
	for _, task := range b.Tasks {
		tasks = append(tasks, task.Name+" "+strings.Join(task.Metrics, "/"))
	}
	if got, want := strings.Join(tasks, ", "), "ReCoRD F1/Acc, COPA Acc, WSC Acc, RTE Acc, BoolQ Acc, WiC Acc, CB F1/Acc, MultiRC F1a/EM"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	// One figure of every row tells an edit; the averages tell the rest.
	for _, row := range b.Rows[:14] {
		for _, task := range b.Tasks {
			for _, v := range row.Values[task.Name] {
				if math.Abs(10*v-math.Round(10*v)) > 1e-9 {
					t.Errorf("%s %s: %v is not printed with one decimal", row.Model, task.Name, v)
				}
			}
		}
	}
}

func TestAllBaselines(t *testing.T) {
	all, err := AllBaselines()
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for _, b := range all {
		tables = append(tables, b.Table)
	}
	if len(all) != 5 || tables[0] != "SuperGLUE" || !slices.Contains(tables, "CLUE") {
		t.Errorf("tables %q", tables)
	}
}

func TestBaselinesWithoutSource(t *testing.T) {
	const file = `
table: T
tasks: [{name: CB, metrics: [F1, Accuracy]}]
sources: {good: {paper: p, table: t, split: dev, tag: TAG, read: r}, BAD}
rows: [{model: M, group: GROUP, source: SOURCE, values: {CB: [VALUES]}}]
`
	tests := []struct{ name, source, group, tag, bad, values, want string }{
		{"sound", "good", "base", "I", "", "1, 2", ""},
		{"unknown source", "none", "base", "I", "", "1, 2", `source "none"`},
		{"source without a table", "good", "base", "I", "bad: {paper: p, tag: I, split: dev, read: r}", "1, 2", `source "bad"`},
		{"source without a split", "good", "base", "I", "bad: {paper: p, tag: I, table: t, read: r}", "1, 2", `source "bad"`},
		{"only remembered", "good", "base", "R", "", "1, 2", `the tag "R"`},
		{"metric missing", "good", "base", "I", "", "1", "CB has 1 values for 2 metrics"},
		{"unknown group", "good", "huge", "I", "", "1, 2", `group "huge"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseBaselines([]byte(strings.NewReplacer("SOURCE", test.source, "VALUES", test.values, "TAG", test.tag, "GROUP", test.group, ", BAD", strings.TrimSuffix(", "+test.bad, ", ")).Replace(file)))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
	for _, text := range []string{"unknown: 1", "", "table: T"} {
		if _, err := parseBaselines([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
