package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

type fillOptions struct {
	run, file string
	texts     []string
	json      bool
	rate      bool
	precision string
	seed      uint64
	configs.Decoding
	deviceFlags
}

func newFill(s streams) *cobra.Command {
	var o fillOptions
	cmd := &cobra.Command{
		Use:   "fill RUN [TEXT...]",
		Short: "Fill the blanks of a text: [MASK], [sMASK], [gMASK]",
		Long: `Fill the blanks of each TEXT, of each line of --file, or of each line of the
standard input; on a terminal, of what is typed, until Ctrl-D. RUN is a run or a
checkpoint of a GLM.

A blank is [MASK], some tokens; [sMASK], a sentence; [gMASK], how the text goes
on. A model that was trained with [MASK] alone knows no other. A text without a
blank gets one at its end, [gMASK] if the model knows it. Blanks are filled from
left to right, and what was filled is read with the rest. The likeliest token is
taken each time, unless --beams or --sample say otherwise.

On a terminal the text is written as it is found; Ctrl-C stops it and returns to
the prompt, where another one leaves. --json writes an object a
text: the text filled, and of each blank the answers, the best first, with the
sums of their tokens' log-probabilities; ended is false where --max-tokens cut
an answer short.`,
		Example: `  glmkit fill runs/glm "The capital of France is [MASK]."
  glmkit fill runs/glm --beams 5 --json "The [MASK] sat on the [MASK]."
  glmkit fill runs/glm --sample --temperature 0.9 --top-k 40 --max-tokens 60 "Once upon a time"
  cat lines.txt | glmkit fill runs/glm > filled.txt`,
		Args: cobra.MinimumNArgs(1),
	}
	o.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "fill the lines of this `file`")
	f.BoolVar(&o.json, "json", false, "write one JSON object a text, with alternatives and log-probabilities")
	f.BoolVar(&o.rate, "rate", false, "tell at the end how many tokens a second were written, loading the model left out")
	addPrecision(f, &o.precision, "auto")
	f.IntVar(&o.Beams, "beams", 1, "answers searched beside each other")
	f.Float64Var(&o.LengthPenalty, "length-penalty", 0, "divide an answer's log-probability by its length to this power")
	f.IntVar(&o.MinLength, "min-tokens", 0, "tokens of an answer at least")
	f.IntVar(&o.MaxLength, "max-tokens", 32, "tokens of an answer at most, its end counted")
	f.IntVar(&o.NoRepeat, "no-repeat", 0, "no run of so many tokens twice in an answer; 0: any")
	f.BoolVar(&o.Sample, "sample", false, "draw tokens at random")
	f.Float64Var(&o.Temperature, "temperature", 0.9, "of drawing: above 1 bolder, below 1 surer")
	f.IntVar(&o.TopK, "top-k", 40, "draw among so many likeliest tokens; 0: all")
	f.Float64Var(&o.TopP, "top-p", 0, "draw among the likeliest tokens that have this probability together; 0: all")
	f.Uint64Var(&o.seed, "seed", 1, "of drawing: the same seed, the same text")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.run, o.texts = args[0], args[1:]
		return fill(cmd.Context(), s, o)
	}
	return cmd
}

// typed tells whether texts are typed on a terminal.
func (o fillOptions) typed(s streams) bool {
	return len(o.texts) == 0 && o.file == "" && isTerminalInput(s.in)
}

// lines yields the texts to be filled: the arguments, or lines that are not
// blank. before is called before each line and says what ends the waiting for it.
func (o fillOptions) lines(s streams, before func() (context.Context, context.CancelFunc), yield func(text string) error) error {
	for _, text := range o.texts {
		if err := yield(text); err != nil {
			return err
		}
	}
	if len(o.texts) > 0 && o.file == "" {
		return nil
	}
	name, in := "standard input", s.in
	if o.file != "" {
		f, err := os.Open(o.file)
		if err != nil {
			return &corpus.DataError{Path: o.file, Err: errors.Unwrap(err), Hint: "check the path"}
		}
		defer f.Close()
		name, in = o.file, f
	}
	type line struct {
		text string
		err  error
	}
	lines := make(chan line)
	reader := bufio.NewReader(in)
	for n, found := 1, false; ; n++ {
		ctx, stop := before()
		go func() {
			text, err := reader.ReadString('\n')
			lines <- line{text, err}
		}()
		select {
		case <-ctx.Done():
			stop()
			return ctx.Err()
		case l := <-lines:
			stop()
			if strings.TrimSpace(l.text) != "" {
				found = true
				if err := yield(strings.TrimRight(l.text, "\r\n")); err != nil {
					return err
				}
			}
			if l.err == io.EOF {
				if !found && !o.typed(s) {
					return &corpus.DataError{Path: name, Err: errors.New("there is no text"), Hint: "a text a line"}
				}
				return nil
			}
			if l.err != nil {
				return &corpus.DataError{Path: name, Line: n, Err: l.err, Hint: "a readable file, a text a line"}
			}
		}
	}
}

var blankSign = regexp.MustCompile(`\[[sg]?MASK\]`)

// cutAtBlanks parts a text at its blanks; a text without one gets that of last
// at its end. There is a piece more than there are blanks.
func cutAtBlanks(text, last string) (pieces, blanks []string) {
	if !blankSign.MatchString(text) {
		text = strings.TrimRight(text, " ") + " " + last
	}
	return blankSign.Split(text, -1), blankSign.FindAllString(text, -1)
}

// joined puts what was filled between two pieces of a text, with a space before
// it unless something else parts it from the piece.
func joined(before, filled string) string {
	if filled == "" || before == "" || strings.HasPrefix(filled, " ") || strings.HasSuffix(before, " ") || strings.ContainsRune(`("'[-/`, rune(before[len(before)-1])) {
		return filled
	}
	return " " + filled
}

// filledJSON is what --json writes of a text.
type filledJSON struct {
	Text   string      `json:"text"`
	Filled string      `json:"filled"`
	Blanks []blankJSON `json:"blanks"`
}

// rateJSON is what --json --rate writes at the end.
type rateJSON struct {
	Tokens int     `json:"tokens"` // written, ends counted
	Rate   float64 `json:"tokens_per_s"`
	// Precision is what matrix products read.
	Precision string `json:"precision"`
}

type blankJSON struct {
	Mask    string       `json:"mask"`
	Answers []answerJSON `json:"answers"`
}

type answerJSON struct {
	Text    string   `json:"text"`
	Tokens  []string `json:"tokens"`
	LogProb float64  `json:"log_prob"`
	Score   float64  `json:"score"`
	Ended   bool     `json:"ended"`
}
