package reports

import (
	"strings"
	"testing"
)

func TestEvenTicks(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		label     func(float64) string
		want      string
	}{
		{0, 36, countNumber, "0 10 20 30"},
		{17, 19, countNumber, "17 18 19"}, // no halves of a step
		{20, 21, countNumber, "20 21"},
		{2_190_000, 2_204_000, countNumber, "2.19M 2.2M"},
		{40959, 40961, countNumber, "41k"},
		{0.12, 0.55, plainNumber, "0.2 0.3 0.4 0.5"},
		{-100, 80, plainNumber, "-100 -50 0 50"},
		{95, 100, plainNumber, "95 96 97 98 99 100"},
		{3, 3, plainNumber, ""},
	} {
		var got []string
		for _, tick := range (evenTicks{test.label}).Ticks(test.low, test.high) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("from %g to %g: %q, want %s", test.low, test.high, got, test.want)
		}
	}
}

// A value that every model has stands on the scale, which does not go beyond its
// end.
func TestIntervalOfOneValue(t *testing.T) {
	for value, want := range map[float64][2]float64{100: {95, 100}, 0: {0, 5}, 50: {45, 55}, -3: {-3, 2}} {
		low, high, _, _ := intervalPlot{rows: []intervalRow{{cell: &Cell{Value: value}}}}.DataRange()
		if low > want[0] || low < want[0]-1 || high < want[1] || high > want[1]+1 {
			t.Errorf("%g stands between %g and %g, want about %v", value, low, high, want)
		}
	}
}

// Runs that logged once, at the same step, have axes that begin at zero.
func TestCurveOfOnePoint(t *testing.T) {
	run := &TrainingRun{Task: "CB", Points: []TrainingPoint{{Step: 18, Tokens: 40960, Seconds: 30, Loss: 0.5}}}
	figures, err := CurveFigures([]*TrainingRun{run}, map[*TrainingRun]int{run: 0})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"0", "10", "20", "30"}, {"0", "20k", "40k", "60k", "80k"}, {"0", "0.2", "0.4", "0.6", "0.8", "1"}} {
		drawn := string(figures[0].Drawings[i].SVG)
		for _, label := range want {
			if !strings.Contains(drawn, ">"+label+"<") {
				t.Errorf("%s: no tick %s in %s", figures[0].Drawings[i].Axis, label, drawn)
			}
		}
		if strings.Contains(drawn, ">-") {
			t.Errorf("%s: a negative tick in %s", figures[0].Drawings[i].Axis, drawn)
		}
	}
}
