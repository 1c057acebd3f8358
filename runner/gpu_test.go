//go:build cgo

package runner

import (
	"context"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/hostcuda"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// needGPU gives a test a CUDA device: one made of host memory where libtorch has
// none. It tells whether it is such a one.
func needGPU(t *testing.T) (device torch.Device, made bool) {
	t.Helper()
	if torch.CUDADevices() > 0 {
		return 0, false
	}
	if !hostcuda.Available {
		t.Skip("this libtorch is for CUDA, and no GPU is here")
	}
	hostcuda.Show(true)
	t.Cleanup(func() { hostcuda.Show(false) })
	return 0, true
}

// apart is how far got is from want, as a share of want's Euclidean norm.
func apart(got, want []float32) float64 {
	var off, all float64
	for i := range want {
		off += math.Pow(float64(got[i]-want[i]), 2)
		all += math.Pow(float64(want[i]), 2)
	}
	return math.Sqrt(off / all)
}

// On a GPU the losses and gradients are those of a CPU, by every form of attention
// and in every precision, with layers kept or computed anew.
func TestGPUGradients(t *testing.T) {
	device, _ := needGPU(t)
	tolerance := map[torch.DType]float64{0: 1e-5, torch.BFloat16: 0.01, torch.Float16: 2e-3}
	tried := map[string]bool{}
	for _, architecture := range []string{"glm", "bert"} {
		want := gradients(t, architecture, 0, func(m *mode) { m.attention = torch.PlainAttention })
		for name, form := range attentionForms {
			for half, most := range tolerance {
				how := computing{half: half, attention: form}
				if form == torch.OwnAttention || form == torch.LibtorchAttention && !torch.FusedAttention() ||
					form == torch.PackedForm && packedProblem(how, device, tiny(architecture)) != nil {
					continue
				}
				tried[name] = true
				for _, how.recompute = range []bool{false, true} {
					got := gradientsOn(t, device, architecture, 0, func(m *mode) { m.computing = how })
					if len(got) != len(want) || len(want) < 1000 {
						t.Fatalf("%s, %s: %d and %d values", architecture, name, len(got), len(want))
					}
					if d := apart(got, want); !(d <= most) {
						t.Errorf("%s, %s attention, %s, computed anew %v: gradients are %.2g apart", architecture, name, how.precision(), how.recompute, d)
					}
				}
			}
		}
	}
	t.Logf("forms of attention: %v", slices.Sorted(maps.Keys(tried)))
}

// Dropout is drawn from the device's generator, and again where layers are computed
// anew: the same numbers to the bit.
func TestGPUDropout(t *testing.T) {
	device, made := needGPU(t)
	if !made {
		t.Skip("a GPU adds up gradients of words in any order")
	}
	for name, form := range attentionForms {
		how := computing{half: torch.BFloat16, attention: form}
		if form == torch.OwnAttention || form == torch.LibtorchAttention && !torch.FusedAttention() ||
			form == torch.PackedForm && torch.PackedProblem(device, torch.BFloat16, 8, 0.2) != nil {
			continue
		}
		take := func(how computing) []float32 {
			return gradientsOn(t, device, "glm", 0.2, func(m *mode) { m.computing = how })
		}
		kept, again := take(how), take(how)
		how.recompute = true
		if anew := take(how); !slices.Equal(kept, again) || !slices.Equal(kept, anew) {
			t.Errorf("%s attention: gradients are %.2g apart, computed anew %.2g", name, apart(again, kept), apart(anew, kept))
		}
		without := gradientsOn(t, device, "glm", 0, func(m *mode) { m.computing = how })
		if apart(without, kept) < 0.1 {
			t.Errorf("%s attention: dropout changed next to nothing", name)
		}
	}
}

// A run on a GPU is that on a CPU, and goes on where it was stopped.
func TestGPUPretrains(t *testing.T) {
	_, made := needGPU(t)
	f := prepare(t)
	dir := t.TempDir()
	run := func(name, device, precision string, dropout float64, stopAt int) string {
		c := config(t, "glm")
		c.Compute.Precision, c.Model.Dropout, c.Model.AttentionDropout = precision, dropout, dropout
		o := Options{Out: filepath.Join(dir, name), Device: device, Threads: 1}
		return pretrainToEnd(t, c, f.corpus, o, stopAt)
	}
	want, got := lines(t, run("cpu", "cpu", "float32", 0, 0)), lines(t, run("gpu", "auto", "float32", 0, 0))
	if len(got) != len(want) {
		t.Fatalf("%d lines of metrics, on the CPU %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Step != w.Step || g.Tokens != w.Tokens || relative(g.Loss, w.Loss) > 1e-5 || relative(g.GradNorm, w.GradNorm) > 1e-3 || (g.Valid == nil) != (w.Valid == nil) ||
			w.Valid != nil && relative(*g.Valid, *w.Valid) > 1e-5 {
			t.Errorf("on the GPU %+v, on the CPU %+v", g, w)
		}
	}
	if !made {
		return
	}
	for _, precision := range []string{"bfloat16", "float16"} {
		whole := finalFiles(t, run(precision, "cuda:0", precision, 0.1, 0))
		stopped := finalFiles(t, run(precision+" stopped", "cuda", precision, 0.1, 3))
		for _, file := range []string{modelFile, optimizerFile, stateFile} {
			if whole[file] != stopped[file] {
				t.Errorf("%s: %s differs where the run was stopped", precision, file)
			}
		}
	}
}

// again is a source whose steps are all the same two micro-batches.
type again struct{ b microBatch }

func (a again) step(int) ([]microBatch, error) { return []microBatch{a.b, a.b}, nil }

// A step on a GPU does not wait for it: nothing is read from the device but the
// figures, which come by themselves, and nothing uploaded from memory that must be
// copied first.
func TestGPUStepsDoNotWait(t *testing.T) {
	device, made := needGPU(t)
	if !made {
		t.Skip("waits are counted by the device made of host memory alone")
	}
	f := prepare(t)
	cb := encoded(t, filepath.Join(f.cloze, "CB", "train.arrow"))
	copa := encoded(t, filepath.Join(f.masked, "COPA", "train.arrow"))
	block := exampleBlock(t)
	for name, c := range map[string]struct {
		architecture string
		batch        microBatch
		choosing     choosing
	}{
		"glm":                         {"glm", newBatch(repeat(block, 3)), choosing{}},
		"glm, two objectives":         {"glm", withModes(newBatch(repeat(block, 3))), choosing{}},
		"glm finetuning":              {"glm", newExampleBatch(cb[:4]), choosing{}},
		"glm finetuning, hinge":       {"glm", newExampleBatch(cb[:4]), choosing{loss: configs.HingeLoss}},
		"bert finetuning, length":     {"bert", newExampleBatch(copa[:4]), choosing{lengthPenalty: 0.5}},
		"glm finetuning, mixed":       {"glm", newExampleBatch(cb[:4]), choosing{loss: configs.MixLoss}},
		"glm finetuning, generative":  {"glm", newExampleBatch(cb[:4]), choosing{loss: configs.GenerativeLoss}},
		"glm, smoothing of the words": {"glm", newBatch(repeat(block, 2)), choosing{smoothing: 0.1}},
	} {
		for _, how := range []computing{
			{half: torch.BFloat16, attention: torch.PlainAttention, onDevice: true},
			{half: torch.Float16, attention: torch.PackedForm, onDevice: true, recompute: true},
		} {
			if how.attention == torch.PackedForm && packedProblem(how, device, tiny(c.architecture)) != nil {
				how.attention = fastestAttention(device)
			}
			onThread(t, func() error {
				shape := tiny(c.architecture)
				shape.Dropout, shape.AttentionDropout, shape.Vocab = 0.1, 0.1, 128
				m := drawnOn(t, device, shape, 7)
				defer m.close()
				m.mode.computing, m.choosing = how, c.choosing
				conf := config(t, c.architecture).Train
				o, err := newOptimizer(conf.Optimizer, m.params, nil)
				if err != nil {
					return err
				}
				defer o.close()
				const steps = 6
				r := &session{config: conf, optimizer: o, model: m, source: again{c.batch}, state: State{TotalSteps: steps}}
				if err := o.decideThere(&r.state, how.half == torch.Float16); err != nil {
					return err
				}
				torch.SetGrad(true)
				_, before := hostcuda.Counts()
				hostcuda.Calls()
				var losses []float64
				r.hooks = []hook{{name: "loss", after: func(i *StepInfo) error { losses = append(losses, i.Loss); return nil }}}
				if err := r.train(context.Background()); err != nil {
					return err
				}
				if _, after := hostcuda.Counts(); after != before {
					t.Errorf("%s, %s, %s attention: the host waited %d times in %d steps:\n%s", name, how.precision(), how.attentionName(), after-before, steps, hostcuda.Calls())
				}
				if len(losses) != steps || math.IsNaN(losses[steps-1]) || losses[steps-1] >= losses[0] {
					t.Errorf("%s, %s: losses %v", name, how.precision(), losses)
				}
				return nil
			})
		}
	}
}

func repeat[T any](x T, n int) []T { return slices.Repeat([]T{x}, n) }

// withModes says that a batch's targets are of two objectives.
func withModes(b *batch) *batch {
	b.modes = make([]spans.Mode, len(b.rows))
	for i := range b.modes {
		b.modes[i] = spans.Mode(i % 2)
	}
	return b
}

func encoded(t *testing.T, file string) []tasks.Encoded {
	t.Helper()
	split, err := tasks.OpenSplit(file)
	if err != nil {
		t.Fatal(err)
	}
	return split.Examples
}

// What a GPU answers, scores and writes is what a CPU does, in bfloat16 nearly so.
// Of a step of writing the host waits for the scores of words alone.
func TestGPUEvaluates(t *testing.T) {
	_, made := needGPU(t)
	f := prepare(t)
	out := filepath.Join(t.TempDir(), "run")
	if _, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, f.corpus, Options{Out: out, Device: "cpu", Threads: 1}); err != nil {
		t.Fatal(err)
	}
	answers := func(device, precision string) []tasks.Prediction {
		e, err := Evaluate(context.Background(), out, filepath.Join(f.cloze, "CB", "val.arrow"), Answering{Device: device, Threads: 1, Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		if e.Precision != precision {
			t.Errorf("%s was asked for, answers are in %s", precision, e.Precision)
		}
		return e.Predictions
	}
	write := func(device, precision string) (texts [][][]Written, scores []Likelihood) {
		g, err := OpenGenerator(out, device, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		writeIn(t, g, precision)
		special := g.Tokenizer.Special()
		var prompts []Prompt
		for _, text := range []string{"the cat [MASK] on the mat .", "[MASK] dog ran and the bird [MASK]"} {
			p := Prompt{Tokens: append([]int32{special.CLS}, g.Tokenizer.Encode(nil, text)...)}
			for i, id := range p.Tokens {
				if id == special.Mask {
					p.Blanks = append(p.Blanks, i)
				}
			}
			prompts = append(prompts, p)
		}
		const most = 6
		for _, d := range []configs.Decoding{{Beams: 1, MaxLength: most}, {Beams: 3, MaxLength: most}} {
			_, before := hostcuda.Counts()
			texts = append(texts, filled(t, g, prompts, Decoding{Decoding: d})...)
			if _, after := hostcuda.Counts(); device != "cpu" && made && (after == before || after-before > 3*(most+1)) {
				t.Errorf("%d beams, %s: the host waited %d times for three blanks of at most %d tokens:\n%s", d.Beams, precision, after-before, most, hostcuda.Calls())
			}
		}
		l := tasks.LanguageModel{Length: 7, Stride: 3, Special: special, Mask: special.Mask}
		if scores, err = g.Score(context.Background(), l.Windows(prompts[0].Tokens), Scoring{}); err != nil {
			t.Fatal(err)
		}
		return texts, scores
	}
	wanted := answers("cpu", "float32")
	texts, scores := write("cpu", "float32")
	for precision, most := range map[string]float64{"float32": 1e-4, "bfloat16": 0.05} {
		got := answers("cuda", precision)
		for i, want := range wanted {
			if len(want.Scores) == 0 || math.Abs(want.Scores[0]-got[i].Scores[0]) > most || precision == "float32" && want.Answer != got[i].Answer {
				t.Errorf("example %d, %s: the GPU answers %+v, the CPU %+v", i, precision, got[i], want)
			}
		}
		there, scored := write("cuda", precision)
		for i := range texts {
			for k := range texts[i] {
				a, b := texts[i][k][0], there[i][k][0]
				if precision == "float32" && !slices.Equal(a.Tokens, b.Tokens) || math.Abs(a.LogProb-b.LogProb) > 20*most {
					t.Errorf("prompt %d, %s: the GPU writes %+v, the CPU %+v", i, precision, b, a)
				}
			}
		}
		for i, want := range scores {
			if want.Tokens != scored[i].Tokens || math.Abs(want.NLL-scored[i].NLL) > most*float64(want.Tokens) {
				t.Errorf("window %d, %s: on the GPU %+v, on the CPU %+v", i, precision, scored[i], want)
			}
		}
	}
}
