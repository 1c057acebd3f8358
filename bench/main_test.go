package main

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 2, 100}, 3},
	}
	for _, test := range tests {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0.125: "0.12", 2.71828: "2.72", 31.41: "31.4", 1264.6: "1265"} {
		if got := figure(x); got != want {
			t.Errorf("figure(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	measured := func() *row {
		return &row{Name: "measured", Peer: "p", Unit: "MB/s", Goal: "≥ 2×", Ours: []float64{10, 40, 30}, Theirs: []float64{5, 10, 10}}
	}
	tests := []struct {
		name   string
		rows   []*row
		err    error
		want   string // a line of the report
		failed bool
	}{
		// The ratio is the median of 2, 4 and 3, not the ratio of the medians.
		{"measured", []*row{measured()}, nil, "| measured | p | 30.0 | 10.0 | MB/s | **3.00×** (2.00–4.00) | ≥ 2× |", false},
		{"without a peer", []*row{{Name: "memory", Unit: "MB", Goal: "≤ 256", Ours: []float64{200, 210, 190}}}, nil, "| memory | – | 200 | | MB | | ≤ 256 |", false},
		{"missing", []*row{{Name: "a", Peer: "p", Goal: "≥ 2×"}}, missing("no node"), "| a | p | | | | not measured: no node | ≥ 2× |", false},
		{"failed", []*row{{Name: "a", Peer: "p", Goal: "≥ 2×"}}, errors.New("the ids differ"), "a: FAILED: the ids differ", true},
		{"failed half-way", []*row{measured()}, errors.New("killed"), "| measured | p | | | | failed | ≥ 2× |", true},
		{"failed beside a missing one", []*row{{Name: "a", Peer: "p", Missing: "no bfloat16"}}, errors.New("killed"), "| a | p | | | | not measured: no bfloat16 |  |", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := report{Machine: map[string]string{"commit": "abc"}, Rounds: 3}
			r.add(test.rows, test.err)
			var out strings.Builder
			r.markdown(&out)
			if !strings.Contains(out.String(), test.want+"\n") {
				t.Errorf("the report lacks the line %q:\n%s", test.want, &out)
			}
			if r.failed() != test.failed {
				t.Errorf("failed() = %v, want %v", r.failed(), test.failed)
			}
		})
	}
}

func TestSameLines(t *testing.T) {
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"another order of keys", `{"x":[1,2],"sep":3}`, `{"sep":3,"x":[1,2]}`, true},
		{"another value", `{"x":[1,2]}`, `{"x":[2,1]}`, false},
		{"a key more", `{"x":1}`, `{"x":1,"y":2}`, false},
		{"a line less", `{"x":1}`, ``, false},
		{"a line more", `{"x":1}`, "{\"x\":1}\n{\"x\":1}", false},
	}
	for _, test := range tests {
		if err := sameLines([]byte(test.a), []byte(test.b), 1); (err == nil) != test.same {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestRecordExample(t *testing.T) {
	passage := "Ada met Ben Adams in Rome. Then Cyd and Dan of Oslo, Eve, Flo, Gus, Hal and Ida saw Ada."
	line, ok := recordExample(passage, "was there.", 3)
	if !ok {
		t.Fatal("a passage of eleven names was refused")
	}
	var got struct {
		Passage struct {
			Entities []struct{ Start, End int }
		}
		Qas []struct {
			Query   string
			Answers []struct{ Text string }
		}
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range got.Passage.Entities {
		names = append(names, passage[e.Start:e.End+1])
	}
	if want := "Ada Ben Adams Rome Then Cyd Dan Oslo Eve Flo Gus Hal Ida Ada"; strings.Join(names, " ") != want {
		t.Errorf("the names are %q, want %q", strings.Join(names, " "), want)
	}
	if q := got.Qas[0]; q.Query != "@placeholder was there." || q.Answers[0].Text != "Ada" {
		t.Errorf("the question is %+v", q)
	}
	if _, ok := recordExample("Ada met Ben.", "was there.", 0); ok {
		t.Error("a passage of two names was taken")
	}
}

func TestFurthest(t *testing.T) {
	tests := []struct {
		a, b [][]float64
		want float64
		bad  bool
	}{
		{[][]float64{{-1, -2}}, [][]float64{{-1, -2.0005}}, 0.0005, false},
		{[][]float64{{-1, -2}}, [][]float64{{-1, -2.1}}, 0, true},
		{[][]float64{{-1, -2}}, [][]float64{{-1}}, 0, true},
		{[][]float64{{-1}, {-2}}, [][]float64{{-1}}, 0, true},
		{[][]float64{{math.NaN()}}, [][]float64{{-1}}, 0, true},
	}
	for _, test := range tests {
		got, err := furthest(test.a, test.b)
		if (err != nil) != test.bad || math.Abs(got-test.want) > 1e-9 {
			t.Errorf("furthest(%v, %v) = %v, %v", test.a, test.b, got, err)
		}
	}
}
