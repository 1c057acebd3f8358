package configs

import (
	"math"
	"strings"
	"testing"
)

// The printed averages follow from the printed cells (tasks with two metrics
// first averaged), but for one row, which the paper itself prints wrongly.
func TestPublishedAverages(t *testing.T) {
	b, err := PublishedBaselines()
	if err != nil {
		t.Fatal(err)
	}
	inconsistent := map[string]float64{"GLM_Sent": 77.275}
	for _, row := range b.Rows {
		if len(row.Values) != len(b.Metrics) {
			t.Errorf("%s has %d tasks of %d", row.Model, len(row.Values), len(b.Metrics))
		}
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
	if len(b.Rows) != 14 {
		t.Errorf("%d rows, the table has 14", len(b.Rows))
	}
}

func TestBaselinesWithoutSource(t *testing.T) {
	const file = `
metrics: {CB: [F1, Accuracy]}
sources: {good: {paper: p, table: t, read: r}, bad: {paper: p}}
rows: [{model: M, group: base, source: SOURCE, values: {CB: [VALUES]}}]
`
	tests := []struct{ name, source, values, want string }{
		{"sound", "good", "1, 2", ""},
		{"unknown source", "none", "1, 2", `source "none"`},
		{"source without a table", "bad", "1, 2", `source "bad"`},
		{"metric missing", "good", "1", "CB has 1 values for 2 metrics"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseBaselines([]byte(strings.NewReplacer("SOURCE", test.source, "VALUES", test.values).Replace(file)))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
	if _, err := parseBaselines([]byte("unknown: 1")); err == nil {
		t.Error("an unknown key was accepted")
	}
}
