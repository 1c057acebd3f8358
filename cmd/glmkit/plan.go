//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// planPretrain answers pretrain --dry-run.
func planPretrain(ctx context.Context, s streams, o pretrainOptions) error {
	place, err := planned(o.watchFlags)
	if err != nil {
		return err
	}
	p, err := runner.PlanPretrain(ctx, o.config, o.data, o.valid, place, runner.Options{Out: o.out, Device: o.device, Threads: o.threads, From: o.from})
	if err != nil || place.Rank > 0 {
		return exitForm(err)
	}
	v := newPlanView(s)
	v.begin(p, "pretrain "+strings.ToUpper(p.Model.Architecture), o.out)
	v.model(p)
	v.line("data", "%s: %s windows, prepared with the vocabulary of %s words", o.data, grouped(p.Items), grouped(int64(p.Vocabulary.Size())))
	v.validation(p, o)
	v.work(p, "window")
	v.schedule(p)
	v.saving(p.Config.Train)
	v.computing(p)
	v.windows(p)
	return v.w.Flush()
}

// planFinetune answers finetune --dry-run: a plan for each task and cell of the
// grid, and where each seed's run stands.
func planFinetune(ctx context.Context, s streams, o finetuneOptions, jobs []finetuneJob) error {
	place, err := planned(o.watchFlags)
	if err != nil {
		return err
	}
	v := newPlanView(s)
	for i, job := range jobs {
		p, err := runner.PlanFinetune(ctx, job.config, o.from, job.train, job.seed, place, runner.Options{Out: job.out, Device: o.device, Threads: o.threads, Dev: job.dev})
		if err != nil {
			return exitForm(err)
		}
		if place.Rank > 0 {
			continue
		}
		newTask := i == 0 || jobs[i-1].task != job.task
		newCell := newTask || jobs[i-1].cell.Name() != job.cell.Name()
		if i > 0 {
			v.printf("\n")
		}
		v.begin(p, fmt.Sprintf("finetune %s on %s, seed %d", strings.ToUpper(p.Model.Architecture), job.task, job.seed), job.out)
		if !newCell {
			continue
		}
		v.model(p)
		v.line("data", "%s: %s examples", job.train, grouped(p.Items))
		if job.dev != "" {
			v.line("choosing", "the best epoch by %s", job.dev)
		}
		v.work(p, "example")
		v.schedule(p)
		v.computing(p)
		if newTask {
			v.examples(p)
		}
	}
	return v.w.Flush()
}

// planned is the place of this process among those that would train together,
// for whom a plan does not wait.
func planned(w watchFlags) (runner.Place, error) {
	_, stop, err := w.serveMetrics(nil)
	if err != nil {
		return runner.Place{}, err
	}
	stop()
	return runner.PlaceFromEnv(os.Getenv)
}

// planView writes plans of runs for people.
type planView struct{ *canvas }

// How much of a batch is shown.
const (
	planText   = 96 // words of a sequence
	planTokens = 20 // of a part of the first one, with positions
	planItems  = 3  // windows or examples
)

func newPlanView(s streams) planView {
	c := newCanvas(s.out)
	c.text, c.tokens = planText, planTokens
	return planView{c}
}

// line writes what stands under a name.
func (v planView) line(name, format string, args ...any) {
	v.printf("%-12s %s\n", name, fmt.Sprintf(format, args...))
}

// begin says whose plan this is, and where the run stands.
func (v planView) begin(p *runner.Plan, what, out string) {
	stands := fmt.Sprintf("a new run of %s steps", grouped(int64(p.Steps)))
	switch {
	case p.Finished:
		stands = fmt.Sprintf("finished at step %s of %s", grouped(int64(p.Done)), grouped(int64(p.Steps)))
	case p.Checkpoint != "":
		stands = fmt.Sprintf("goes on from %s with step %s of %s", filepath.Base(p.Checkpoint), grouped(int64(p.Done+1)), grouped(int64(p.Steps)))
	}
	v.printf("%s into %s: %s\n", what, out, stands)
}

func (v planView) model(p *runner.Plan) {
	m := p.Model
	v.line("model", "%d layers of %d, %d heads, %d positions, %s words: %.2f M parameters", m.Layers, m.Hidden, m.Heads, m.MaxPositions, grouped(int64(m.Vocab)), float64(p.Parameters)/1e6)
	switch {
	case p.Checkpoint != "":
	case len(p.Weights) == 0:
		v.line("weights", "drawn with seed %d", p.Seed)
	default:
		for i, note := range p.Weights {
			v.line([]string{"weights", ""}[min(i, 1)], "%s", note)
		}
	}
}

func (v planView) validation(p *runner.Plan, o pretrainOptions) {
	t := p.Config.Train
	if p.ValidWindows == 0 {
		v.line("validation", "none: neither --valid nor a share of the corpus (data.valid)")
		return
	}
	of := "the corpus' own valid split"
	if o.valid != "" {
		of = o.valid
	}
	when := "at the end"
	if t.ValidEvery > 0 {
		when = fmt.Sprintf("every %s steps and at the end", grouped(int64(t.ValidEvery)))
	}
	v.line("validation", "%s, %d batches of %s (%s windows)", when, max(1, t.ValidBatches), of, grouped(p.ValidWindows))
}

// work says how much there is to do, in windows or examples.
func (v planView) work(p *runner.Plan, unit string) {
	b, t := p.Batch, p.Config.Train
	how := "at once"
	if b.Micros > 1 {
		how = fmt.Sprintf("in %d pieces", b.Micros)
	}
	if p.Processes > 1 {
		how += fmt.Sprintf(", shared by %d processes", p.Processes)
	}
	predicted := ""
	if b.Targets > 0 {
		predicted = fmt.Sprintf(", %s of them predicted", about(b.Targets))
	}
	v.line("batch", "%d %ss %s: about %s tokens%s, and %s padding", b.Items, unit, how, about(b.Tokens), predicted, percent(b.Padding))
	if t.Ramp.Steps > 0 {
		v.line("", "growing from %d %ss over the first %s steps", t.Ramp.From, unit, grouped(int64(t.Ramp.Steps)))
	}
	v.line("steps", "%s: %s %ss, %.3g passes over the data, about %s tokens", grouped(int64(p.Steps)), grouped(p.Used), unit, float64(p.Used)/float64(p.Items), about(p.Tokens))
	if t.MaxTokens > 0 {
		end := "behind them"
		if float64(t.MaxTokens) < p.Tokens {
			end = fmt.Sprintf("at about step %s", about(float64(t.MaxTokens)/p.Tokens*float64(p.Steps)))
		}
		v.line("", "train.max_tokens ends it after %s tokens, %s", grouped(t.MaxTokens), end)
	}
	if t.MaxHours > 0 {
		v.line("", "train.max_hours ends it after %g hours", t.MaxHours)
	}
}

func (v planView) schedule(p *runner.Plan) {
	s, t := p.Schedule, p.Config.Train
	rise := "from the first step"
	if s.Warmup > 0 {
		rise = fmt.Sprintf("at step %s", grouped(int64(s.Warmup)))
	}
	fall := "stays there"
	if t.Schedule.Kind != "constant" {
		fall = fmt.Sprintf("then %s to %.3g at step %s", t.Schedule.Kind, s.Final, grouped(int64(s.Decay)))
	}
	if s.Decay != p.Steps && t.Schedule.Kind != "constant" {
		fall += fmt.Sprintf(" (%.3g in the last step)", s.Last)
	}
	v.line("schedule", "learning rate %.3g %s, %s", s.Peak, rise, fall)
	o := t.Optimizer
	clip := "none clipped"
	if o.ClipNorm > 0 {
		clip = fmt.Sprintf("clipped to a norm of %g", o.ClipNorm)
	}
	v.line("optimizer", "AdamW, betas %g and %g, eps %g, weight decay %g, gradients %s", o.Beta1, o.Beta2, o.Eps, o.WeightDecay, clip)
}

func (v planView) saving(t configs.Train) {
	when := "at the end"
	if t.SaveEvery > 0 {
		when = fmt.Sprintf("every %s steps and at the end", grouped(int64(t.SaveEvery)))
	}
	best := ""
	if t.KeepBest {
		best = " and the best"
	}
	v.line("saving", "%s; the newest %d%s stay", when, t.KeepLast, best)
}

func (v planView) computing(p *runner.Plan) {
	threads := ""
	if p.Device == "cpu" {
		threads = fmt.Sprintf(" on %d threads", p.Threads)
	}
	v.line("computing", "%s%s; matrix products in %s, attention %s", p.Device, threads, p.Precision, p.Attention)
	m := p.Memory
	program := ""
	if m.Program > 0 {
		program = fmt.Sprintf("the program %s, ", size(m.Program))
	}
	v.line("memory", "about %s: %sweights %s, gradients %s, moments %s, activations %s, the rest %s", size(m.Total()), program, size(m.Weights), size(m.Gradients), size(m.Moments), size(m.Activations), size(m.Saving+m.Slack))
	v.line("", "(%d sequences of %d tokens at most; tokens and memory by the batches of %s steps)", p.Batch.Sequences, p.Batch.Length, grouped(int64(p.Batch.Steps)))
}

func size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(bytes)/1e9)
	case bytes >= 1e7:
		return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// about is a whole number to three digits.
func about(x float64) string {
	unit := 1.0
	for x >= 1000*unit {
		unit *= 10
	}
	return grouped(int64(x/unit+0.5) * int64(unit))
}

// windows shows the first batch of pretraining.
func (v planView) windows(p *runner.Plan) {
	v.heading(fmt.Sprintf("The first batch: step %s, %d windows", grouped(int64(min(p.Done+1, p.Steps))), len(p.Windows)))
	for i, x := range p.Windows[:min(planItems, len(p.Windows))] {
		var d *drawnSample
		if p.Model.Architecture == "bert" {
			d = newMaskedLanguage(p.Seed, x.Tokens, x.Block, p.Special, p.Vocabulary.Token)
		} else {
			d = newDrawnSample(p.Seed, x.Tokens, x.Sample, x.Block, p.Special, p.Vocabulary.Token)
		}
		d.place = fmt.Sprintf("window %d of %d", x.Window, p.Items)
		v.printf("\n%s\n", d.summary())
		switch {
		case d.mode == modeMLM:
			v.maskedLanguage(d)
		default:
			v.window(d)
			if i == 0 {
				v.parts(d)
			}
		}
	}
	v.rest(len(p.Windows))
}

// examples shows the first batch of finetuning.
func (v planView) examples(p *runner.Plan) {
	v.heading(fmt.Sprintf("The first batch: step %s, %d examples", grouped(int64(min(p.Done+1, p.Steps))), len(p.Examples)))
	token := func(int32) string { return "" }
	if p.Vocabulary != nil {
		token = p.Vocabulary.Token
	} else {
		v.printf("(no vocabulary came with the weights: tokens by their ids)\n")
	}
	for i, e := range p.Examples[:min(planItems, len(p.Examples))] {
		v.printf("\n%s: %s\n", e.ID, rightAnswer(e))
		d := newQuestion(e, p.Special, token)
		if p.Vocabulary == nil {
			v.flow(upTo(v.text, wordsOf(e.Text)))
		} else if i > 0 {
			words := make([]cell, d.block.Sep)
			for j := range words {
				words[j] = cell{d.input(j), d.pieces[j]}
			}
			v.flow(upTo(v.text, words))
		}
		if i > 0 {
			continue
		}
		v.partA("what the model reads", d)
		if d.block.Sep < len(d.block.Input) {
			v.partB("what it predicts", d)
		}
	}
	v.rest(len(p.Examples))
}

func (v planView) rest(n int) {
	if n > planItems {
		v.printf("\nand %d more\n", n-planItems)
	}
}

// rightAnswer says what an example is to be answered with.
func rightAnswer(e tasks.Encoded) string {
	var right []string
	if e.Label >= 0 && e.Label < len(e.Choices) {
		right = []string{e.Choices[e.Label]}
	} else {
		right = e.Gold
	}
	note := fmt.Sprintf("the answer is %q", cut(strings.Join(right, " | "), 80))
	if n := len(e.Choices); n > 1 {
		note += fmt.Sprintf(" of %d choices", n)
	}
	if n := len(e.Sequences); n > 1 {
		note += ", the first of which follows"
	}
	return note
}

// newQuestion is the first sequence of an example: one piece, and its mask in
// Part A.
func newQuestion(e tasks.Encoded, special spans.Special, token func(id int32) string) *drawnSample {
	b := e.Sequences[0]
	if e.Scoring == tasks.SingleToken && e.Label >= 0 {
		// The file leaves open which of the labels' words is the target.
		b.Target = slices.Clone(b.Target)
		for i, counts := range b.LossMask {
			if counts != 0 {
				b.Target[i] = e.Verbalizers[e.Label]
			}
		}
	}
	d := &drawnSample{block: b, pieces: make([]int, len(b.Input)), dblock: special.DBlock, name: tokenNames(special, token)}
	for i := b.Sep; i < len(b.Input); i++ {
		d.pieces[i] = 1
	}
	masks := []int32{special.Mask, special.GMask, special.SMask}
	if i := slices.IndexFunc(b.Input[:b.Sep], func(id int32) bool { return slices.Contains(masks, id) }); i >= 0 && b.Sep < len(b.Input) {
		d.pieces[i] = 1
	}
	return d
}
