package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// ResultSet is results with the name that tells them from another set's.
type ResultSet struct {
	Name    string
	Results []*Result
}

// Compare makes the table of two sets of results, such as those before and after
// a change: every model of after is compared with the one of the same name in
// before, or the only model of each set with the other. Models that one set
// lacks are left out, and a note says so. Two sets without a model in common are
// a configs.Error; for other errors see Build.
func Compare(before, after ResultSet, o Options) (*Table, error) {
	if before.Name == after.Name {
		return nil, &configs.Error{Field: "compare", Msg: fmt.Sprintf("both sets of results are %s", before.Name), Hint: "two folders of results"}
	}
	o.sets = []string{before.Name, after.Name}
	first, second := before.models(), after.models()
	same := func(a, b string) bool { return a == b || len(first) == 1 && len(second) == 1 }
	var results []*Result
	var alone []string
	for _, model := range second {
		i := slices.IndexFunc(first, func(name string) bool { return same(name, model) })
		if i < 0 {
			alone = append(alone, after.label(model))
			continue
		}
		o.pairs = append(o.pairs, pair{after.label(model), before.label(first[i])})
		results = append(append(results, before.of(first[i])...), after.of(model)...)
	}
	if len(o.pairs) == 0 {
		return nil, &configs.Error{
			Field: "compare",
			Msg:   fmt.Sprintf("%s and %s have no model in common", before.Name, after.Name),
			Hint:  fmt.Sprintf("sets with the same models (%s; %s), or with one each", strings.Join(first, ", "), strings.Join(second, ", ")),
		}
	}
	for _, model := range first {
		if !slices.ContainsFunc(second, func(name string) bool { return same(name, model) }) {
			alone = append(alone, before.label(model))
		}
	}
	table, err := Build(results, o)
	if err != nil {
		return nil, err
	}
	if len(alone) > 0 {
		table.Notes = append(table.Notes, fmt.Sprintf("Left out, because the other set has no such model: %s.", strings.Join(alone, ", ")))
	}
	return table, nil
}

func (s ResultSet) models() (names []string) {
	for _, r := range s.Results {
		names = append(names, r.Model.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Labelled are copies of the set's results under the names of their rows in
// Compare's table.
func (s ResultSet) Labelled() (results []*Result) {
	for _, model := range s.models() {
		results = append(results, s.of(model)...)
	}
	return results
}

// label is the name of a model's row.
func (s ResultSet) label(model string) string { return s.Name + ": " + model }

// of are copies of a model's results under the name of its row.
func (s ResultSet) of(model string) (results []*Result) {
	for _, r := range s.Results {
		if r.Model.Name == model {
			labelled := *r
			labelled.Model.Name = s.label(model)
			results = append(results, &labelled)
		}
	}
	return results
}

// Regressions says where a compared model is worse than what it is compared
// with, by a difference that is significant in the table; none is empty.
func (t *Table) Regressions() (worse []string) {
	for _, row := range t.Differences {
		for i, cell := range row.Cells {
			if cell != nil && cell.Test != nil && cell.Test.Significant && cell.Value < 0 && t.Columns[i].Metric != parityName {
				worse = append(worse, fmt.Sprintf("%s on %s: %+.1f (p %.2g)", row.Model, t.Columns[i], cell.Value, cell.Test.Holm))
			}
		}
	}
	return worse
}
