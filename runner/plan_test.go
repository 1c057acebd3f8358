//go:build cgo

package runner

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// A plan foretells a run: it lays out the run's own batches, all of them here.
func TestPlanForetells(t *testing.T) {
	f := prepare(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "glm")
	alone := Place{Size: 1}
	type kind struct {
		plan func(Options) (*Plan, error)
		run  func(Options) (State, error)
	}
	data := filepath.Join(f.cloze, "CB", "train.arrow")
	for _, test := range []struct {
		name string
		kind
	}{
		{"glm", kind{
			func(o Options) (*Plan, error) {
				return PlanPretrain(context.Background(), config(t, "glm"), f.corpus, f.corpus, alone, o)
			},
			func(o Options) (State, error) {
				return Pretrain(context.Background(), config(t, "glm"), f.corpus, f.corpus, o)
			}}},
		{"bert", kind{
			func(o Options) (*Plan, error) {
				return PlanPretrain(context.Background(), config(t, "bert"), f.corpus, "", alone, o)
			},
			func(o Options) (State, error) {
				return Pretrain(context.Background(), config(t, "bert"), f.corpus, "", o)
			}}},
		{"cb", kind{
			func(o Options) (*Plan, error) {
				return PlanFinetune(context.Background(), config(t, "glm"), out, data, 3, alone, o)
			},
			func(o Options) (State, error) {
				return Finetune(context.Background(), config(t, "glm"), out, data, 3, o)
			}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Out: filepath.Join(dir, test.name), Device: "cpu", Threads: 1}
			p, err := test.plan(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(o.Out); !os.IsNotExist(err) {
				t.Errorf("the plan made %s (%v)", o.Out, err)
			}
			st, err := test.run(o)
			if err != nil {
				t.Fatal(err)
			}
			parameters, err := CountParameters(st.Model)
			if err != nil {
				t.Fatal(err)
			}
			if p.Steps != st.Step || p.Batch.Steps != st.Step || p.Done != 0 || p.Finished || p.Checkpoint != "" || p.Parameters != parameters || p.Precision != st.Precision {
				t.Errorf("the plan is %+v, the run came to %+v", p, st)
			}
			if math.Abs(p.Tokens-float64(st.Tokens)) > 0.5 {
				t.Errorf("planned %v tokens, the run read %d", p.Tokens, st.Tokens)
			}
			if n := len(p.Windows) + len(p.Examples); n == 0 || n > p.Batch.Items {
				t.Errorf("%d windows or examples in the first batch, a whole one has %d", n, p.Batch.Items)
			}
			if p, err = test.plan(o); err != nil || !p.Finished || p.Done != st.Step || filepath.Base(p.Checkpoint) != checkpointName(st.Step) {
				t.Errorf("after the run: %+v (%v)", p, err)
			}
		})
	}
}
