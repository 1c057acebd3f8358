package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// write puts text into a file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every preset loads, is valid, and survives being written and read again.
func TestPresets(t *testing.T) {
	for _, name := range append(Presets(), "") {
		t.Run(name, func(t *testing.T) {
			c, err := Load(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			again, err := Load(write(t, string(text)), nil)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if diff := cmp.Diff(c, again, cutApart); diff != "" {
				t.Errorf("written and read again (-first +again):\n%s", diff)
			}
		})
	}
}

// The shapes of the published models have the published numbers of parameters.
func TestPresetShapes(t *testing.T) {
	for name, want := range map[string]int{
		"glm-base": 109338624, "glm-large": 334688256, "glm-410m": 410265600, "glm-515m": 514632960,
		"glm-roberta-large": 354873344, "glm-2b": 1920122880, "glm-10b": 9880682496,
		"glm-10b-1024": 9880682496, "glm-10b-chinese": 9879633920, "glm-large-chinese": 355659776,
	} {
		c, err := Load(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := c.Model
		// Per layer, four attention and two feed-forward matrices with their
		// biases and two layer norms; the last norm; words; both position tables.
		got := m.Layers*(12*m.Hidden*m.Hidden+13*m.Hidden) + 2*m.Hidden + m.Vocab*m.Hidden + 2*(m.MaxPositions+1)*m.Hidden
		if got != want {
			t.Errorf("%s has %d parameters, want %d", name, got, want)
		}
		if m.Hidden/m.Heads != 64 {
			t.Errorf("%s has heads of %d, want 64", name, m.Hidden/m.Heads)
		}
	}
}

// What the published models were trained on differs from the defaults in this
// (GLM repository, config/).
func TestPresetObjectives(t *testing.T) {
	large := func(o *Objective, d *Data) {
		o.DocumentMinRatio, o.TaskMask, o.BlockMask, d.ShortSeq = 0.25, true, 0.1, 0.02
	}
	mixture := func(o *Objective, token, sentence, document float64) {
		o.Token, o.Sentence, o.Document = token, sentence, document
	}
	for name, change := range map[string]func(o *Objective, d *Data){
		"glm-base":                    func(*Objective, *Data) {},
		"glm-large":                   func(*Objective, *Data) {},
		"glm-large-no-shuffle":        func(o *Objective, _ *Data) { o.Shuffle = false },
		"glm-large-sentinel":          func(o *Objective, _ *Data) { o.Sentinel = true },
		"glm-large-no-block-position": func(o *Objective, _ *Data) { o.BlockPositions = false },
		"glm-410m":                    func(o *Objective, _ *Data) { mixture(o, 0.5, 0, 0.5) },
		"glm-515m":                    func(o *Objective, _ *Data) { mixture(o, 0.5, 0, 0.5) },
		"glm-roberta-large":           func(o *Objective, _ *Data) { o.TaskMask = true },
		"glm-2b":                      func(o *Objective, d *Data) { large(o, d); mixture(o, 0.4, 0.3, 0.3) },
		"glm-10b":                     func(o *Objective, d *Data) { large(o, d); mixture(o, 0.5, 0.3, 0.2) },
		"glm-10b-chinese":             func(o *Objective, d *Data) { large(o, d); mixture(o, 0.5, 0.3, 0.2) },
		"glm-large-chinese":           func(o *Objective, d *Data) { large(o, d); mixture(o, 0.4, 0.3, 0.3) },
		"glm-10b-1024": func(o *Objective, d *Data) {
			large(o, d)
			mixture(o, 0.4, 0.3, 0.3)
			o.SingleSpan, d.SeqLength, d.ShortSeq = 0.05, 1024, 0.5
		},
	} {
		want, err := Load("", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(&want.Objective, &want.Data)
		got, err := Load(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Objective, got.Objective); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.Data, got.Data); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A BERT preset differs from its GLM in the architecture alone: what their
// comparison shows is then the architecture's and the objective's.
func TestBaselinesAreEqual(t *testing.T) {
	for _, size := range []string{"base", "large", "small", "demo"} {
		glm, err := Load("glm-"+size, nil)
		if err != nil {
			t.Fatal(err)
		}
		bert, err := Load("bert-"+size, []string{"model.architecture=glm"})
		if err != nil {
			t.Fatal(err)
		}
		// A learning rate is tuned for each model; everything else is shared.
		bert.Train.Optimizer.LR = glm.Train.Optimizer.LR
		if diff := cmp.Diff(glm, bert, cutApart); diff != "" {
			t.Errorf("%s (-glm +bert):\n%s", size, diff)
		}
	}
}

func TestLoadMerges(t *testing.T) {
	path := write(t, `
# Only what differs.
train:
  optimizer:
    lr: 1e-3
  steps: 1e4
data:
finetune:
  epochs: 7
  tasks:
    CB: {optimizer: {lr: 3e-5}}
`)
	c, err := Load(path, []string{"train.steps=20_000", "finetune.tasks.cb.pattern=1", "objective={token: 0.5, document: 0.5}"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	want.Train.Optimizer.LR = 1e-3
	want.Train.Steps = 20000
	want.Finetune.Epochs = 7
	want.Objective.Token, want.Objective.Document = 0.5, 0.5
	one := 1
	cb := want.Finetune.Tasks["cb"] // its epochs stay those of the defaults
	cb.Pattern, cb.Optimizer.LR = &one, 3e-5
	want.Finetune.Tasks["cb"] = cb
	if diff := cmp.Diff(want, c, cutApart); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	t.Run("null", func(t *testing.T) {
		c, err := Load("", []string{"finetune.tasks.cb.pattern=null"})
		if err != nil {
			t.Fatal(err)
		}
		if p := c.Finetune.For("cb").Pattern; p == nil || *p != 0 {
			t.Errorf("pattern %v, want the common one", p)
		}
	})
}

func TestFor(t *testing.T) {
	pattern := 3
	common := Recipe{
		SeqLength: 256, Epochs: 20, MaxSteps: 9, BatchSize: 16, Loss: CrossEntropyLoss, LengthPenalty: 0.5,
		Optimizer: Optimizer{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, ClipNorm: 1},
		Schedule:  Schedule{Kind: "linear", Warmup: 0.1, DecaySteps: 5, FinalRatio: 0.1},
	}
	all := Recipe{
		Pattern: &pattern, SeqLength: 1, Epochs: 2, MaxSteps: 3, BatchSize: 4, Loss: MixLoss, LengthPenalty: 1,
		Optimizer: Optimizer{LR: 5, Beta1: 6, Beta2: 7, Eps: 8, WeightDecay: 9, ClipNorm: 10},
		Schedule:  Schedule{Kind: "cosine", Warmup: 11, DecaySteps: 12, FinalRatio: 13},
	}
	f := Finetune{Recipe: common, Tasks: map[string]Recipe{"cb": all, "rte": {}, "wic": {Optimizer: Optimizer{LR: 2}}}}
	wic := common
	wic.Optimizer.LR = 2
	for _, test := range []struct {
		task string
		want Recipe
	}{{"cb", all}, {"CB", all}, {"rte", common}, {"unknown", common}, {"WiC", wic}} {
		if diff := cmp.Diff(test.want, f.For(test.task)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.task, diff)
		}
	}
}

func TestFileErrors(t *testing.T) {
	for _, test := range []struct {
		name, yaml, want string
		line             int
	}{
		{"unknown key", "train:\n  steps: 3\n  lrr: 1", "unknown key train.lrr; did you mean train.optimizer.lr?", 3},
		{"unknown section", "modle:\n  heads: 3", "unknown key modle; did you mean model?", 1},
		{"key of another section", "model: {lr: 1}", "unknown key model.lr; did you mean train.optimizer.lr?", 1},
		{"key without its section", "\nheads: 4", "unknown key heads; did you mean model.heads?", 2},
		{"unknown task", "finetune:\n  tasks:\n    bolq: {epochs: 3}", "unknown key finetune.tasks.bolq; did you mean finetune.tasks.boolq?", 3},
		{"key of a task", "finetune:\n  tasks:\n    cb:\n      epoch: 3", "unknown key finetune.tasks.cb.epoch; did you mean finetune.tasks.cb.epochs?", 4},
		{"word for a number", "train:\n  steps: many", "train.steps: must be a whole number, got many", 2},
		{"fraction for a count", "train:\n  steps: 1.5", "train.steps: must be a whole number, got 1.5", 2},
		{"list for a number", "train:\n  steps: [1, 2]", "train.steps: must be a whole number, got sequence", 2},
		{"nothing for a number", "train:\n  steps:", "train.steps: must be a whole number, got null", 2},
		{"yes for true", "train: {redraw: yes}", "train.redraw: must be true or false, got yes", 1},
		{"section for a word", "train: {schedule: {kind: {a: 1}}}", "train.schedule.kind: must be a word, got mapping", 1},
		{"not a number", "train: {optimizer: {lr: .nan}}", "train.optimizer.lr: must be a number, got .nan", 1},
		{"negative seed", "data: {seed: -1}", "data.seed: must be a whole number from 0, got -1", 1},
		{"value for a section", "train: 3", "train: is a section, not a value", 1},
		{"list at the top", "- train", "the configuration: is a mapping of sections, not a value", 1},
		{"twice", "train: {}\ntrain: {}", "already defined", 2},
		{"broken", "train: {steps: 3", "could not find flow mapping end token", 1},
		{"two documents", "train: {steps: 3}\n---\ntrain: {steps: 4}", "more than one YAML document", 3},
		{"alias", "train: &a {steps: 3}\nmodel: *a", "anchors, aliases and tags are not read", 1},
		{"out of range", "model:\n  dropout: 1", "model.dropout: must be between 0 (included) and 1 (excluded), got 1", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.yaml)
			_, err := Load(path, nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got error %v, want an *Error", err)
			}
			if e.Path != path || e.Line != test.line || !strings.Contains(e.Error(), test.want) {
				t.Errorf("got %v\nwant line %d, %q", e, test.line, test.want)
			}
		})
	}
}

// TestLengthsFitTheModel: lengths of the defaults and of presets are cut to a small
// model's positions, and what they were is known; a user's own that are too long are
// wrong.
func TestLengthsFitTheModel(t *testing.T) {
	c, err := Load("glm-base", []string{"model.max_positions=128", "finetune.tasks.cb.seq_length=100"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data.SeqLength != 128 || c.CutLength() != 512 {
		t.Errorf("a window of %d, cut from %d", c.Data.SeqLength, c.CutLength())
	}
	for task, want := range map[string]struct{ length, from int }{
		"MultiRC": {128, 512}, "BoolQ": {128, 256}, "WSC": {128, 0}, "CB": {100, 0}, "mine": {128, 256}, "XSum": {128, 608},
	} {
		if got := c.Finetune.For(task); got.SeqLength != want.length || c.CutLengthFor(task) != want.from || got.TargetLength > 128 {
			t.Errorf("%s: %d tokens, cut from %d, answers of %d; want %+v", task, got.SeqLength, c.CutLengthFor(task), got.TargetLength, want)
		}
	}
	file := write(t, "model: {max_positions: 128}\nfinetune:\n  tasks: {record: {seq_length: 129}}\n")
	var e *Error
	if _, err := Load(file, nil); !errors.As(err, &e) || e.Path != file || e.Line != 3 || e.Field != "finetune.tasks.record.seq_length" {
		t.Errorf("got %v, want an *Error at line 3 of %s", err, file)
	}
	// Weights bring their model: what a run saves can be read again.
	small := c.Model
	small.MaxPositions = 64
	text, err := c.Of(small).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Load(write(t, string(text)), nil); err != nil || again.Finetune.For("RTE").SeqLength != 64 || c.Finetune.For("RTE").SeqLength != 128 {
		t.Errorf("%v", err)
	}
}

// cutApart leaves out of a comparison what built-in lengths were before they were
// cut, which a written configuration does not tell.
var cutApart = cmpopts.IgnoreUnexported(Config{})

func TestValidate(t *testing.T) {
	for _, test := range []struct{ set, field, want string }{
		{"model.heads=7", "model.heads", "7 heads do not divide model.hidden 768"},
		{"model.architecture=gpt", "model.architecture", "unknown value"},
		{"model.layers=0", "model.layers", "at least 1, got 0"},
		{"model.hidden=-768", "model.hidden", "at least 1"},
		{"model.vocab=-1", "model.vocab", "at least 0"},
		{"model.max_positions=4", "data.seq_length", "512 tokens exceed model.max_positions 4"},
		{"data.seq_length=1024", "data.seq_length", "1024 tokens exceed model.max_positions 512"},
		{"data.seq_length=2", "data.seq_length", "at least 3"},
		{"data.samples=-1", "data.samples", "at least 0"},
		{"data.shard_mb=0", "data.shard_mb", "at least 1"},
		{"data.non_sentence_start=1.1", "data.non_sentence_start", "between"},
		{"data.windows=packed", "data.windows", `unknown value "packed"; did you mean pack?`},
		{"data.maskings=0", "data.maskings", "at least 1, got 0"},
		{"data.short_seq=1.5", "data.short_seq", "between"},
		{"data={windows: pack, short_seq: 0.1}", "data.short_seq", "packed windows are never cut short"},
		{"data.valid=1", "data.valid", "between 0 (included) and 1 (excluded), got 1"},
		{"data.test=-0.1", "data.test", "between"},
		{"data={valid: 0.5, test: 0.5}", "data.valid", "leave nothing to train on"},
		{"clean.min_chars=-1", "clean.min_chars", "at least 0"},
		{"clean.max_chars=-1", "clean.max_chars", "at least 0"},
		{"clean={min_chars: 100, max_chars: 50}", "clean.max_chars", "50 characters are fewer than clean.min_chars 100"},
		{"clean.script=latin", "clean.script", `unknown script "latin"; did you mean Latin?`},
		{"clean.min_script=0", "clean.min_script", "between 0 (excluded)"},
		{"clean.ngram=0", "clean.ngram", "at least 1"},
		{"objective.single_span=-1", "objective.single_span", "between"},
		{"objective.block_mask=1.1", "objective.block_mask", "between"},
		{"objective.context_mask=1", "objective.context_mask", "between 0 (included) and 1 (excluded), got 1"},
		{"objective.token=0.9", "objective.token", "must sum to 1, not 0.9"},
		{"objective.mask_ratio=0", "objective.mask_ratio", "between 0 (excluded)"},
		{"objective.mean_span=0", "objective.mean_span", "above 0"},
		{"objective.mean_span=40", "objective.mean_span", "not below objective.max_span 40"},
		{"objective.max_span=1", "objective.max_span", "at least 2"},
		{"objective.document_min_ratio=2", "objective.document_min_ratio", "between"},
		{"objective.mlm_ratio=1", "objective.mlm_ratio", "between"},
		{"train.steps=0", "train.steps", "at least 1"},
		{"train.micro_batch=3", "train.micro_batch", "3 does not divide train.batch_size 1024"},
		{"train.max_tokens=-1", "train.max_tokens", "at least 0"},
		{"train.max_hours=-1", "train.max_hours", "not be below 0"},
		{"train.ramp={from: 2000, steps: 10}", "train.ramp.from", "exceed train.batch_size 1024"},
		{"train.ramp.from=0", "train.ramp.from", "at least 1"},
		{"train.optimizer.lr=0", "train.optimizer.lr", "above 0"},
		{"train.optimizer.beta2=1", "train.optimizer.beta2", "between"},
		{"train.optimizer.weight_decay=-0.1", "train.optimizer.weight_decay", "not be below 0"},
		{"train.schedule.kind=cosin", "train.schedule.kind", "did you mean cosine?"},
		{"train.schedule.warmup=1", "train.schedule.warmup", "between"},
		{"train.schedule.final_ratio=-1", "train.schedule.final_ratio", "between"},
		{"train.keep_last=0", "train.keep_last", "at least 1"},
		{"finetune.epochs=-1", "finetune.epochs", "at least 1"},
		{"finetune.loss=hing", "finetune.loss", "did you mean hinge?"},
		{"finetune.tasks.copa.length_penalty=-1", "finetune.tasks.copa.length_penalty", "below 0"},
		{"finetune.seq_length=1024", "finetune.seq_length", "exceed model.max_positions"},
		{"finetune.tasks.cb.batch_size=-4", "finetune.tasks.cb.batch_size", "at least 1"},
		{"finetune.tasks.record.seq_length=1000", "finetune.tasks.record.seq_length", "exceed"},
		{"finetune.tasks.wsc.pattern=-1", "finetune.tasks.wsc.pattern", "at least 0"},
	} {
		t.Run(test.set, func(t *testing.T) {
			_, err := Load("", []string{test.set})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got error %v, want an *Error", err)
			}
			if e.Field != test.field || !strings.Contains(e.Msg, test.want) {
				t.Errorf("got %v\nwant %s: …%s…", e, test.field, test.want)
			}
			if key, _, _ := strings.Cut(test.set, "="); key == e.Field && e.Path != "--set "+test.set {
				t.Errorf("the finding is said to be in %q", e.Path)
			}
		})
	}
}

func TestLoadUnknown(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"glm-bsae", `no preset and no file is named "glm-bsae"; did you mean glm-base?`},
		{"runs/glm.yaml", "runs/glm.yaml: no such file"},
		{"glm.yml", "glm.yml: no such file"},
		{t.TempDir(), "is a directory"},
	} {
		_, err := Load(test.name, nil)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if e != nil && e.Hint == "" {
			t.Errorf("%s: no hint", test.name)
		}
	}
}

// FuzzLoad reads arbitrary files: an error is an *Error, and what is accepted
// is written and read back to the same.
func FuzzLoad(f *testing.F) {
	f.Add("model: {heads: 4}\ntrain:\n  steps: 3 # few\n", "train.steps=5")
	f.Add("finetune:\n  tasks:\n    cb: {epochs: 3}\n", "finetune.tasks.cb.optimizer={lr: 1e-4}")
	f.Add("a: &x [1]\nb: *x\n<<: *x\n", "=")
	f.Add("? {a: b}\n: - c\n", "a..b=[")
	f.Add("'train': {steps: '7'}", "train=")
	f.Add("!!map {data: !!null x}", "train.optimizer.lr=1e400")
	f.Fuzz(func(t *testing.T, text, set string) {
		c, err := Load(write(t, text), []string{set})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v (%T)", err, err)
			}
			return
		}
		out, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(write(t, string(out)), nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		if diff := cmp.Diff(c, again, cutApart); diff != "" {
			t.Fatalf("written and read again (-first +again):\n%s", diff)
		}
	})
}

// A task's decoding is the common one with what its recipe changes, then the
// settings, which may also take something back.
func TestDecodingOf(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		task     string
		settings []string
		want     Decoding
	}{
		{"RTE", nil, Decoding{Beams: 5, Temperature: 1}},
		{"XSum", nil, Decoding{Beams: 6, LengthPenalty: 1, MinLength: 10, NoRepeat: 3, Temperature: 1}},
		{"Yahoo", nil, Decoding{Beams: 1, LengthPenalty: 1, NoRepeat: 3, Temperature: 1}},
		{"XSum", []string{"beams=2", "no_repeat=0"}, Decoding{Beams: 2, LengthPenalty: 1, MinLength: 10, Temperature: 1}},
		{"custom", []string{"sample=true", "beams=1", "top_p=0.9"}, Decoding{Beams: 1, LengthPenalty: 0.7, NoRepeat: 3, Sample: true, Temperature: 1, TopP: 0.9}},
	} {
		got, err := c.DecodingOf(test.task, test.settings)
		if err != nil || got != test.want {
			t.Errorf("%s %v: %+v, %v, want %+v", test.task, test.settings, got, err, test.want)
		}
	}
	for setting, want := range map[string]string{
		"beams":         "--decoding beams: not of the form key=value",
		"beam=2":        "did you mean finetune.decoding.beams?",
		"beams=0":       "must be at least 1, got 0",
		"sample=true":   "a search with 5 beams draws nothing",
		"temperature=0": "must be above 0, got 0",
		"top_p=2":       "between 0 (included) and 1 (included), got 2",
	} {
		if _, err := c.DecodingOf("CB", []string{setting}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--decoding") {
			t.Errorf("%s: %v, want %q", setting, err, want)
		}
	}
}
