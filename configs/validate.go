package configs

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Validate checks every value's range and that the values fit together. It
// returns the first finding as an *Error whose Field is the dotted key.
func (c *Config) Validate() error {
	var v validation
	d := c.Data
	v.atLeast("data.seq_length", d.SeqLength, 3) // [CLS], a token and one more to keep
	if d.Samples < 0 {
		v.fail("data.samples", fmt.Sprintf("must be at least 0, got %d", d.Samples), "0 for one pass over the corpus")
	}
	v.atLeast("data.shard_mb", d.ShardMB, 1)
	v.share("data.non_sentence_start", d.NonSentenceStart, true, true)
	v.oneOf("data.windows", d.Windows, "sample", "pack")
	v.atLeast("data.maskings", d.Maskings, 1)
	v.share("data.short_seq", d.ShortSeq, true, true)
	if d.ShortSeq > 0 && d.Windows == "pack" {
		v.fail("data.short_seq", fmt.Sprintf("packed windows are never cut short, got %g", d.ShortSeq), "data.windows: sample, or data.short_seq: 0")
	}
	v.share("data.valid", d.Valid, true, false)
	v.share("data.test", d.Test, true, false)
	if d.Valid+d.Test >= 1 {
		v.fail("data.valid", fmt.Sprintf("data.valid %g and data.test %g leave nothing to train on", d.Valid, d.Test), "smaller shares, such as 0.05 and 0.001")
	}
	if d.SeqLength > c.Model.MaxPositions {
		v.fail("data.seq_length", fmt.Sprintf("%d tokens exceed model.max_positions %d", d.SeqLength, c.Model.MaxPositions), fmt.Sprintf("--set data.seq_length=%d, or a larger model.max_positions", c.Model.MaxPositions))
	}

	e := c.Clean
	v.atLeast("clean.min_chars", e.MinChars, 0)
	v.atLeast("clean.max_chars", e.MaxChars, 0)
	if e.MaxChars > 0 && e.MaxChars < e.MinChars {
		v.fail("clean.max_chars", fmt.Sprintf("%d characters are fewer than clean.min_chars %d", e.MaxChars, e.MinChars), "a larger clean.max_chars, or 0 for no limit")
	}
	if e.Script != "" && unicode.Scripts[e.Script] == nil {
		v.fail("clean.script", fmt.Sprintf("unknown script %q; did you mean %s?", e.Script, Nearest(e.Script, scripts())), "a name of the Unicode standard: Latin, Han, Cyrillic, Arabic, …; empty for any")
	}
	v.share("clean.min_script", e.MinScript, false, true)
	v.atLeast("clean.ngram", e.Ngram, 1)

	v.oneOf("compute.precision", c.Compute.Precision, "auto", "float32", "bfloat16", "float16")
	v.oneOf("compute.attention", c.Compute.Attention, "auto", "own", "packed", "libtorch", "plain")
	v.oneOf("compute.step", c.Compute.Step, "auto", "host", "device")
	v.notNegative("compute.peak_tflops", c.Compute.PeakTFLOPS)

	o := c.Objective
	v.share("objective.token", o.Token, true, true)
	v.share("objective.sentence", o.Sentence, true, true)
	v.share("objective.document", o.Document, true, true)
	if sum := o.Token + o.Sentence + o.Document; math.Abs(sum-1) > 1e-6 {
		v.fail("objective.token", fmt.Sprintf("token, sentence and document must sum to 1, not %g", sum), "set all three")
	}
	v.share("objective.mask_ratio", o.MaskRatio, false, false)
	v.positive("objective.mean_span", o.MeanSpan)
	v.atLeast("objective.max_span", o.MaxSpan, 2)
	if o.MeanSpan >= float64(o.MaxSpan) {
		v.fail("objective.mean_span", fmt.Sprintf("%g is not below objective.max_span %d", o.MeanSpan, o.MaxSpan), "a larger max_span")
	}
	v.share("objective.sentence_ratio", o.SentenceRatio, false, false)
	v.share("objective.document_min_ratio", o.DocumentMinRatio, false, true)
	v.share("objective.document_prefix", o.DocumentPrefix, true, true)
	v.share("objective.single_span", o.SingleSpan, true, true)
	v.share("objective.block_mask", o.BlockMask, true, true)
	v.share("objective.context_mask", o.ContextMask, true, false)
	v.share("objective.mlm_ratio", o.MLMRatio, false, false)

	m := c.Model
	v.oneOf("model.architecture", m.Architecture, "glm", "bert")
	v.atLeast("model.layers", m.Layers, 1)
	v.atLeast("model.hidden", m.Hidden, 1)
	v.atLeast("model.heads", m.Heads, 1)
	if m.Heads > 0 && m.Hidden%m.Heads != 0 {
		v.fail("model.heads", fmt.Sprintf("%d heads do not divide model.hidden %d", m.Heads, m.Hidden), "a divisor of the hidden size; the released models have 64 per head")
	}
	v.atLeast("model.max_positions", m.MaxPositions, 1)
	v.atLeast("model.vocab", m.Vocab, 0)
	v.share("model.dropout", m.Dropout, true, false)
	v.share("model.attention_dropout", m.AttentionDropout, true, false)
	v.positive("model.init_std", m.InitStd)

	t := c.Train
	v.atLeast("train.steps", t.Steps, 1)
	v.atLeast("train.batch_size", t.BatchSize, 1)
	v.atLeast("train.micro_batch", t.MicroBatch, 0)
	if t.MicroBatch > 0 && t.BatchSize%t.MicroBatch != 0 {
		v.fail("train.micro_batch", fmt.Sprintf("%d does not divide train.batch_size %d", t.MicroBatch, t.BatchSize), "a divisor of the batch, or 0 for the whole batch at once")
	}
	if t.MaxTokens < 0 {
		v.fail("train.max_tokens", fmt.Sprintf("must be at least 0, got %d", t.MaxTokens), "0 for no limit")
	}
	v.notNegative("train.max_hours", t.MaxHours)
	v.atLeast("train.ramp.from", t.Ramp.From, 1)
	v.atLeast("train.ramp.steps", t.Ramp.Steps, 0)
	if t.Ramp.Steps > 0 && t.Ramp.From > t.BatchSize {
		v.fail("train.ramp.from", fmt.Sprintf("%d windows exceed train.batch_size %d", t.Ramp.From, t.BatchSize), "a ramp begins with a smaller batch")
	}
	v.optimizer("train.optimizer", t.Optimizer)
	v.schedule("train.schedule", t.Schedule)
	v.atLeast("train.log_every", t.LogEvery, 0)
	v.atLeast("train.valid_every", t.ValidEvery, 0)
	v.atLeast("train.valid_batches", t.ValidBatches, 0)
	v.atLeast("train.save_every", t.SaveEvery, 0)
	v.atLeast("train.keep_last", t.KeepLast, 1)

	v.recipe("finetune", c.Finetune.Recipe, m.MaxPositions)
	tasks := make([]string, 0, len(c.Finetune.Tasks))
	for task := range c.Finetune.Tasks {
		tasks = append(tasks, task)
	}
	slices.Sort(tasks)
	for _, task := range tasks {
		v.recipe("finetune.tasks."+task, c.Finetune.For(task), m.MaxPositions)
	}
	return v.err()
}

// scripts are the names of the Unicode scripts, sorted.
func scripts() []string {
	return slices.Sorted(maps.Keys(unicode.Scripts))
}

// validation keeps the first finding, so that Validate reads as a list.
type validation struct{ first *Error }

func (v *validation) err() error {
	if v.first == nil {
		return nil
	}
	return v.first
}

func (v *validation) fail(key, msg, hint string) {
	if v.first == nil {
		v.first = &Error{Field: key, Msg: msg, Hint: hint}
	}
}

// shortestRecipe is the tokens that a task's sequence has at least.
const shortestRecipe = 8

func (v *validation) recipe(key string, r Recipe, maxPositions int) {
	if r.Pattern != nil {
		v.atLeast(key+".pattern", *r.Pattern, 0)
	}
	v.atLeast(key+".seq_length", r.SeqLength, shortestRecipe)
	if r.SeqLength > maxPositions {
		v.fail(key+".seq_length", fmt.Sprintf("%d tokens exceed model.max_positions %d", r.SeqLength, maxPositions), fmt.Sprintf("--set %s.seq_length=%d", key, maxPositions))
	}
	if r.TargetLength != 0 {
		v.atLeast(key+".target_length", r.TargetLength, 2)
	}
	v.atLeast(key+".epochs", r.Epochs, 1)
	v.atLeast(key+".max_steps", r.MaxSteps, 0)
	v.atLeast(key+".batch_size", r.BatchSize, 1)
	v.atLeast(key+".micro_batch", r.MicroBatch, 0)
	v.oneOf(key+".loss", r.Loss, CrossEntropyLoss, HingeLoss, GenerativeLoss, MixLoss)
	v.notNegative(key+".length_penalty", r.LengthPenalty)
	v.share(key+".label_smoothing", r.LabelSmoothing, true, false)
	v.decoding(key+".decoding", r.Decoding)
	v.optimizer(key+".optimizer", r.Optimizer)
	v.schedule(key+".schedule", r.Schedule)
}

func (v *validation) decoding(key string, d Decoding) {
	v.atLeast(key+".beams", d.Beams, 1)
	v.notNegative(key+".length_penalty", d.LengthPenalty)
	v.atLeast(key+".min_length", d.MinLength, 0)
	v.atLeast(key+".max_length", d.MaxLength, 0)
	v.atLeast(key+".no_repeat", d.NoRepeat, 0)
	v.positive(key+".temperature", d.Temperature)
	v.atLeast(key+".top_k", d.TopK, 0)
	v.share(key+".top_p", d.TopP, true, true)
	if d.Sample && d.Beams > 1 {
		v.fail(key+".sample", fmt.Sprintf("a search with %d beams draws nothing", d.Beams), key+".beams=1")
	}
}

func (v *validation) optimizer(key string, o Optimizer) {
	v.positive(key+".lr", o.LR)
	v.share(key+".beta1", o.Beta1, true, false)
	v.share(key+".beta2", o.Beta2, true, false)
	v.positive(key+".eps", o.Eps)
	v.notNegative(key+".weight_decay", o.WeightDecay)
	v.notNegative(key+".clip_norm", o.ClipNorm)
}

func (v *validation) schedule(key string, s Schedule) {
	v.oneOf(key+".kind", s.Kind, "linear", "cosine", "constant")
	v.share(key+".warmup", s.Warmup, true, false)
	v.atLeast(key+".decay_steps", s.DecaySteps, 0)
	v.share(key+".final_ratio", s.FinalRatio, true, true)
}

func (v *validation) oneOf(key, got string, known ...string) {
	if !slices.Contains(known, got) {
		v.fail(key, fmt.Sprintf("unknown value %q; did you mean %s?", got, Nearest(got, known)), "one of "+strings.Join(known, ", "))
	}
}

func (v *validation) atLeast(key string, got, least int) {
	if got < least {
		v.fail(key, fmt.Sprintf("must be at least %d, got %d", least, got), "")
	}
}

// The comparisons below are written so that NaN fails them.

func (v *validation) positive(key string, got float64) {
	if !(got > 0) || math.IsInf(got, 1) {
		v.fail(key, fmt.Sprintf("must be above 0, got %g", got), "")
	}
}

func (v *validation) notNegative(key string, got float64) {
	if !(got >= 0) || math.IsInf(got, 1) {
		v.fail(key, fmt.Sprintf("must not be below 0, got %g", got), "")
	}
}

// share checks a number between 0 and 1, each bound itself allowed or not.
func (v *validation) share(key string, got float64, zero, one bool) {
	if got > 0 && got < 1 || zero && got == 0 || one && got == 1 {
		return
	}
	bound := map[bool]string{true: "included", false: "excluded"}
	v.fail(key, fmt.Sprintf("must be between 0 (%s) and 1 (%s), got %g", bound[zero], bound[one], got), "")
}
