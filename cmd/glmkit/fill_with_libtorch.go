//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner"
)

func fill(ctx context.Context, s streams, o fillOptions) error {
	if o.file != "" && len(o.texts) > 0 {
		return &configs.Error{Field: "--file", Msg: "texts as arguments and in a file", Hint: "one of the two"}
	}
	g, err := runner.OpenGenerator(o.run, o.device, o.threads)
	if err != nil {
		return exitForm(err)
	}
	defer g.Close()
	if err := g.AnswerIn(o.precision); err != nil {
		return exitForm(err)
	}
	o.precision = g.Precision()
	w := &fillWriter{fillOptions: o, g: g, out: s.out, note: noteTo(s), stream: isTerminal(s.out) && !o.json && o.Beams == 1}
	typed := o.typed(s)
	before := func() (context.Context, context.CancelFunc) { return ctx, func() {} }
	until := before // the end of a text's filling
	if typed {
		fmt.Fprintln(s.err, "A text with [MASK], and Enter. Ctrl-C stops writing, Ctrl-D ends.")
		// Ctrl-C has done its work when a text is stopped: the next one is to be read.
		ended, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
		defer stop()
		ctx = ended
		until = func() (context.Context, context.CancelFunc) { return signal.NotifyContext(ended, os.Interrupt) }
		before = func() (context.Context, context.CancelFunc) {
			fmt.Fprint(s.err, "> ")
			return until()
		}
	}
	var waiting []string
	err = o.lines(s, before, func(text string) error {
		if waiting = append(waiting, text); !typed && !w.stream && len(waiting) < fillTogether {
			return nil
		}
		filling, stop := until()
		err := w.fill(filling, waiting)
		stop()
		waiting = nil
		var usage *configs.Error
		switch {
		case typed && errors.As(err, &usage):
			fmt.Fprintln(s.err, err) // a person types another one
			return nil
		case typed && errors.Is(err, context.Canceled):
			return ctx.Err()
		}
		return err
	})
	if err == nil && len(waiting) > 0 {
		err = w.fill(ctx, waiting)
	}
	if err == nil && o.rate {
		err = w.tellRate(s.err)
	}
	if typed {
		fmt.Fprintln(s.err)
		if errors.Is(err, context.Canceled) {
			return nil // the usual way to leave a prompt
		}
	}
	if errors.Is(err, context.Canceled) {
		return &stoppedError{"stopped by a signal; only the texts printed were filled"}
	}
	return exitForm(err)
}

// fillTogether is how many texts are filled side by side.
const fillTogether = 64

// fillWriter fills texts and writes them.
type fillWriter struct {
	fillOptions
	g      *runner.Generator
	out    io.Writer
	note   func(string)
	stream bool // write while filling, one text at a time
	noted  bool
	done   int // texts
	tokens int // written, ends counted
	took   time.Duration
}

// tellRate says how fast texts were filled.
func (w *fillWriter) tellRate(to io.Writer) error {
	r := rateJSON{w.tokens, float64(w.tokens) / max(w.took.Seconds(), 1e-9), w.precision}
	if w.json {
		return json.NewEncoder(w.out).Encode(r)
	}
	_, err := fmt.Fprintf(to, "%d tokens in %s, %.0f a second, in %s\n", r.Tokens, w.took.Round(time.Millisecond), r.Rate, r.Precision)
	return err
}

// filled are the answers to prompts, counted.
func (w *fillWriter) filled(ctx context.Context, prompts []runner.Prompt, d runner.Decoding, tell func(prompt, blank int, token int32)) ([][][]runner.Written, error) {
	start := time.Now()
	answers, err := w.g.Fill(ctx, prompts, d, tell)
	w.took += time.Since(start)
	for _, blanks := range answers {
		for _, of := range blanks {
			if w.tokens += len(of[0].Tokens); of[0].Ended {
				w.tokens++
			}
		}
	}
	return answers, err
}

// prompt encodes a text: [CLS], the pieces with masks between them, and the end
// of a text unless it is to be gone on with (GLM repository,
// generate_samples.py).
func (w *fillWriter) prompt(pieces, blanks []string) (runner.Prompt, error) {
	sp := w.g.Tokenizer.Special()
	p := runner.Prompt{Tokens: []int32{sp.CLS}}
	for i, piece := range pieces {
		if i < len(blanks) {
			piece = strings.TrimRight(piece, " ") // a mask takes the space before it
		}
		p.Tokens = w.g.Tokenizer.Encode(p.Tokens, piece)
		if i == len(blanks) {
			break
		}
		mask := map[string]int32{"[MASK]": sp.Mask, "[sMASK]": sp.SMask, "[gMASK]": sp.GMask}[blanks[i]]
		if mask < 0 || int(mask) >= w.g.State.Model.Vocab {
			return p, &configs.Error{Msg: "the model's vocabulary has no " + blanks[i], Hint: "[MASK]"}
		}
		if blanks[i] != "[MASK]" && !w.g.TaskMask && !w.noted {
			w.note("the model was not trained with " + blanks[i] + ": what it writes there means little")
			w.noted = true
		}
		p.Blanks = append(p.Blanks, len(p.Tokens))
		p.Tokens = append(p.Tokens, mask)
	}
	if pieces[len(blanks)] != "" || blanks[len(blanks)-1] != "[gMASK]" {
		p.Tokens = append(p.Tokens, sp.Pad)
	}
	return p, nil
}

func (w *fillWriter) fill(ctx context.Context, texts []string) error {
	last := "[MASK]"
	if w.g.TaskMask {
		last = "[gMASK]"
	}
	prompts := make([]runner.Prompt, len(texts))
	pieces, blanks := make([][]string, len(texts)), make([][]string, len(texts))
	for i, text := range texts {
		var err error
		pieces[i], blanks[i] = cutAtBlanks(text, last)
		if prompts[i], err = w.prompt(pieces[i], blanks[i]); err != nil {
			return err
		}
		if n, most := len(prompts[i].Tokens), w.g.State.Model.MaxPositions; n > most {
			return &configs.Error{Msg: fmt.Sprintf("the text that begins with %.40q has %d tokens, the model positions for %d", text, n, most), Hint: "a shorter text"}
		}
	}
	d := runner.Decoding{Decoding: w.Decoding, Seed: w.seed}
	d.MaxLength = min(d.MaxLength, w.g.State.Model.MaxPositions)
	for i := range prompts {
		prompts[i].Number = w.done + i
	}
	w.done += len(texts)
	if w.stream {
		return w.streamed(ctx, prompts[0], pieces[0], d)
	}
	answers, err := w.filled(ctx, prompts, d, nil)
	if err != nil {
		return err
	}
	for i := range texts {
		if err := w.write(texts[i], pieces[i], blanks[i], answers[i]); err != nil {
			return err
		}
	}
	return nil
}

// write writes a text that was filled.
func (w *fillWriter) write(text string, pieces, blanks []string, answers [][]runner.Written) error {
	line := filledJSON{Text: text}
	var whole strings.Builder
	for i, piece := range pieces {
		whole.WriteString(piece)
		if i == len(blanks) {
			break
		}
		blank := blankJSON{Mask: blanks[i]}
		for _, a := range answers[i] {
			tokens := make([]string, len(a.Tokens))
			for j, id := range a.Tokens {
				tokens[j] = w.g.Tokenizer.Token(id)
			}
			blank.Answers = append(blank.Answers, answerJSON{strings.TrimSpace(w.g.Tokenizer.Decode(a.Tokens)), tokens, a.LogProb, a.Score, a.Ended})
		}
		line.Blanks = append(line.Blanks, blank)
		whole.WriteString(joined(whole.String(), blank.Answers[0].Text))
	}
	line.Filled = whole.String()
	if !w.json {
		_, err := fmt.Fprintln(w.out, strings.ReplaceAll(line.Filled, "\n", " "))
		return err
	}
	encoder := json.NewEncoder(w.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

// streamed writes a text while it is filled, what is filled in bold.
func (w *fillWriter) streamed(ctx context.Context, p runner.Prompt, pieces []string, d runner.Decoding) error {
	var written []int32
	shown, at := "", 0 // what stands on the terminal of this blank
	fmt.Fprint(w.out, pieces[0])
	advance := func(blank int) {
		for ; at < blank; at++ {
			fmt.Fprint(w.out, pieces[at+1])
			written, shown = nil, ""
		}
	}
	_, err := w.filled(ctx, []runner.Prompt{p}, d, func(_, blank int, token int32) {
		advance(blank)
		if token == w.g.Tokenizer.Special().EOP {
			return
		}
		written = append(written, token)
		now := joined(pieces[blank], strings.TrimSpace(w.g.Tokenizer.Decode(written)))
		if strings.HasPrefix(now, shown) && !strings.HasSuffix(now, "\ufffd") {
			fmt.Fprintf(w.out, "\x1b[1m%s\x1b[0m", now[len(shown):])
			shown = now
		}
	})
	if err == nil {
		advance(len(pieces) - 1)
	}
	fmt.Fprintln(w.out)
	return err
}
