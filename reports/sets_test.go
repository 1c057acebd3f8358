package reports

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
)

func TestCompareSets(t *testing.T) {
	e := twoModels()
	e.tasks, e.size = []string{"RTE", "WiC"}, map[string]int{"RTE": 400, "WiC": 400}
	e.skill = func(string, string) float64 { return .75 }
	before := ResultSet{"before", e.write(t)}
	e.seeds = []uint64{4, 5, 6}
	e.skill = func(model, task string) float64 {
		switch model + " " + task {
		case "GLM RTE":
			return .5
		case "GLM WiC":
			return .97
		}
		return .75
	}
	after := ResultSet{"after", e.write(t)}
	table, err := Compare(before, after, quick)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range slices.Concat(table.Measured, table.Differences) {
		rows = append(rows, row.Name)
	}
	if got, want := strings.Join(rows, "; "), "before: BERT; after: BERT; before: GLM; after: GLM; after: BERT - before: BERT; after: GLM - before: GLM"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	worse := table.Regressions()
	if len(worse) != 1 || !strings.HasPrefix(worse[0], "after: GLM on RTE: -") {
		t.Errorf("regressions %q, want GLM on RTE alone", worse)
	}
	if before.Results[0].Model.Name != "BERT" {
		t.Errorf("the results themselves were renamed to %s", before.Results[0].Model.Name)
	}

	// The only model of each set is compared with the other's.
	glm := ResultSet{"glm", slices.DeleteFunc(slices.Clone(after.Results), func(r *Result) bool { return r.Model.Name != "GLM" })}
	bert := ResultSet{"bert", slices.DeleteFunc(slices.Clone(before.Results), func(r *Result) bool { return r.Model.Name != "BERT" })}
	if table, err = Compare(bert, glm, quick); err != nil || table.Differences[0].Name != "glm: GLM - bert: BERT" {
		t.Errorf("one model each: %v", err)
	}
	if table, err = Compare(before, glm, quick); err != nil || !hasNote(table, "Left out, because the other set has no such model: before: BERT.") {
		t.Errorf("a model without a partner: %v", err)
	}
	var usage *configs.Error
	if _, err = Compare(before, before, quick); !errors.As(err, &usage) {
		t.Errorf("a set with itself: %v, want a configs.Error", err)
	}
	renamed := ResultSet{"renamed", nil}
	for _, r := range before.Results {
		other := *r
		other.Model.Name += "-2"
		renamed.Results = append(renamed.Results, &other)
	}
	if _, err = Compare(before, renamed, quick); !errors.As(err, &usage) || !strings.Contains(err.Error(), "no model in common") {
		t.Errorf("no model in common: %v, want a configs.Error", err)
	}
}
