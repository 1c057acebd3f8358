package metrics

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
)

// generation is what the reference scripts say of made-up texts:
// testdata/goldens.py.
type generation struct {
	Pairs []struct {
		Pred       string
		References []string
		Plain      map[string][3]float64
		Stemmed    map[string][3]float64
	}
	BLEU []struct {
		From, To  int
		SacreBLEU float64 `json:"sacrebleu"`
		MultiBLEU float64 `json:"multi_bleu"`
	} `json:"bleu"`
	Answers []struct {
		Pred   string
		Golds  []string
		EM, F1 float64
	}
	Stems []string
}

func readGeneration(t *testing.T) generation {
	t.Helper()
	content, err := os.ReadFile("testdata/generation.json")
	if err != nil {
		t.Fatal(err)
	}
	var g generation
	if err := json.Unmarshal(content, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestROUGEAsReference(t *testing.T) {
	g := readGeneration(t)
	if len(g.Pairs) < 200 {
		t.Fatalf("only %d pairs", len(g.Pairs))
	}
	for _, pair := range g.Pairs {
		for stem, want := range map[bool]map[string][3]float64{false: pair.Plain, true: pair.Stemmed} {
			got := ROUGE(pair.Pred, pair.References[0], stem)
			for name, o := range map[string]Overlap{"rouge1": got.One, "rouge2": got.Two, "rougeL": got.L, "rougeLsum": got.LSum} {
				for i, v := range []float64{o.Precision, o.Recall, o.F1} {
					if math.Abs(v-want[name][i]) > 1e-8 {
						t.Errorf("%q against %q, stem %v: %s %v, want %v", pair.Pred, pair.References[0], stem, name, o, want[name])
						break
					}
				}
			}
		}
	}
}

func TestPorterStemAsReference(t *testing.T) {
	for _, line := range readGeneration(t).Stems {
		fields := strings.Fields(line)
		for i := 0; i < len(fields); i += 2 {
			if got := porterStem(fields[i]); got != fields[i+1] {
				t.Errorf("%s becomes %s, want %s", fields[i], got, fields[i+1])
			}
		}
	}
}

func TestBLEUAsReference(t *testing.T) {
	g := readGeneration(t)
	var pred []string
	var references [][]string
	for _, pair := range g.Pairs {
		pred, references = append(pred, pair.Pred), append(references, pair.References)
	}
	for _, want := range g.BLEU {
		p, r := pred[want.From:want.To], references[want.From:want.To]
		if got := BLEU(p, r, SacreBLEU); math.Abs(got-want.SacreBLEU) > 1e-9 {
			t.Errorf("pairs %d to %d: %v, sacrebleu has %v", want.From, want.To, got, want.SacreBLEU)
		}
		if got := BLEU(p, r, MultiBLEU); math.Abs(got-want.MultiBLEU) > 1e-9 {
			t.Errorf("pairs %d to %d: %v, multi-bleu has %v", want.From, want.To, got, want.MultiBLEU)
		}
	}
}

func TestSQuADAsReference(t *testing.T) {
	for _, want := range readGeneration(t).Answers {
		em, f1 := SQuADExactMatch(want.Pred, want.Golds), SQuADF1(want.Pred, want.Golds)
		if !near(em, want.EM) || !near(f1, want.F1) {
			t.Errorf("%q against %q: EM %v and F1 %v, want %v and %v", want.Pred, want.Golds, em, f1, want.EM, want.F1)
		}
	}
}

func TestBLEUOfNothing(t *testing.T) {
	for _, style := range []BLEUStyle{SacreBLEU, MultiBLEU} {
		if got := BLEU(nil, nil, style); !math.IsNaN(got) {
			t.Errorf("no predictions: %v", got)
		}
		if got := BLEU([]string{"a"}, nil, style); !math.IsNaN(got) {
			t.Errorf("no references at all: %v", got)
		}
		if got := BLEU([]string{""}, [][]string{{""}}, style); got != 0 {
			t.Errorf("two empty texts: %v", got)
		}
		if got := BLEU([]string{""}, [][]string{{"a b c d"}}, style); got != 0 {
			t.Errorf("an empty prediction: %v", got)
		}
	}
}

// The figure over a draw is that of the examples drawn, as a corpus.
func TestBLEUSumsOverADraw(t *testing.T) {
	g := readGeneration(t)
	var pred, drawn []string
	var references, drawnReferences [][]string
	unit := make([]int, 40)
	for i := range unit {
		unit[i] = i / 2
		pred, references = append(pred, g.Pairs[i].Pred), append(references, g.Pairs[i].References)
	}
	units := []int{3, 3, 7, 19, 0}
	for _, u := range units {
		for i := 2 * u; i < 2*u+2; i++ {
			drawn, drawnReferences = append(drawn, pred[i]), append(drawnReferences, references[i])
		}
	}
	sums := BLEUSums(pred, references, SacreBLEU, unit, 20)
	if got, want := sums.Over(units), BLEU(drawn, drawnReferences, SacreBLEU); !near(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	d := Resampling{Units: 20, Resamples: 200, Key: 1}.Bootstrap(Runs{Seeds: 1, Stat: func(_ int, units []int) float64 { return sums.Over(units) }})
	if interval := d.Interval(0.95); !(interval.Lo < d.Estimate && d.Estimate < interval.Hi) {
		t.Errorf("estimate %v, interval %v", d.Estimate, interval)
	}
}
