//go:build cgo

package runner

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// wanted finds the size in libtorch's words on an allocation that failed.
var wanted = regexp.MustCompile(`[Tt]ried to allocate ([0-9.]+ ?[A-Za-z]+)`)

// outOfMemory tells whether libtorch could not allocate memory, and how much it
// wanted in one piece.
func outOfMemory(err error) (piece string, ok bool) {
	if err == nil {
		return "", false
	}
	text := err.Error()
	for _, words := range []string{"can't allocate memory", "not enough memory", "out of memory", "bad_alloc"} {
		ok = ok || strings.Contains(text, words)
	}
	piece = "a piece of unknown size"
	if m := wanted.FindStringSubmatch(text); m != nil {
		piece = m[1]
	}
	return piece, ok
}

// memoryAdvice turns a lack of memory for a micro-batch into an error that says
// what to lower; other errors stay as they are.
func (r *session) memoryAdvice(b microBatch, err error) error {
	piece, ok := outOfMemory(err)
	if !ok {
		return err
	}
	sequences, length := b.shape()
	e := &configs.Error{Msg: fmt.Sprintf("no memory on %s for %d sequences of %d tokens at once: libtorch could not allocate %s", r.model.device, sequences, length, piece)}
	switch {
	case r.state.Kind == "finetune":
		e.Field, e.Hint = "finetune.micro_batch", fmt.Sprintf("a finetune.micro_batch of fewer examples than make %d sequences: the same batch in more pieces; or tasks prepared with a smaller --max-length than %d", sequences, length)
	case sequences > 1:
		e.Field, e.Hint = "train.micro_batch", fmt.Sprintf("--set train.micro_batch=%d: the same batch in more pieces", divisor(r.config.BatchSize, sequences/2))
	default:
		e.Field, e.Hint = "data.seq_length", fmt.Sprintf("a corpus prepared with a smaller data.seq_length than %d, or a smaller model", length)
	}
	return e
}

// divisor is the largest divisor of n that is not above most.
func divisor(n, most int) int {
	for d := most; d > 1; d-- {
		if n%d == 0 {
			return d
		}
	}
	return 1
}

// bytesPerParameter while training: weight, gradient and the two moments of
// AdamW, float32 all.
const bytesPerParameter = 16

// modelMemory turns a lack of memory for a model into an error with its size.
func modelMemory(m configs.Model, err error) error {
	piece, ok := outOfMemory(err)
	if !ok {
		return err
	}
	n, countErr := CountParameters(m)
	if countErr != nil {
		return countErr
	}
	return &configs.Error{
		Field: "model",
		Msg:   fmt.Sprintf("no memory: %.1f M parameters take %.1f GiB to train (weights, gradients, two moments), libtorch could not allocate %s", float64(n)/1e6, float64(n)*bytesPerParameter/(1<<30), piece),
		Hint:  "a smaller model, or a machine with more memory",
	}
}
