//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/runner"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// perplexityRow is what a model makes of a text.
type perplexityRow struct {
	Run            string  `json:"run"`
	Text           string  `json:"text"`
	Context        string  `json:"context"`
	Length         int     `json:"length"`
	Stride         int     `json:"stride"`
	Documents      int     `json:"documents"`
	Tokens         int     `json:"tokens"` // scored
	Words          int     `json:"words"`  // but the first of each document
	NLL            float64 `json:"nll"`    // nats, summed
	Perplexity     float64 `json:"ppl"`
	WordPerplexity float64 `json:"word_ppl"`
}

// lambadaRow is how often a model guesses the last word.
type lambadaRow struct {
	Run        string           `json:"run"`
	Text       string           `json:"text"`
	Context    string           `json:"context"`
	Passages   int              `json:"passages"`
	Accuracy   float64          `json:"accuracy"` // 0-100
	Interval   metrics.Interval `json:"interval"`
	Perplexity float64          `json:"ppl"` // of the words' tokens
}

func perplexity(ctx context.Context, s streams, o languageOptions) error {
	rows := [][]string{{"run", "text", "context", "tokens", "words", "ppl", "word ppl"}}
	err := o.each(func(g *runner.Generator, run, path, direction string) error {
		l, err := g.LanguageModel(o.length, o.stride, direction == "unidirectional")
		if err != nil {
			return err
		}
		row := perplexityRow{Run: run, Text: path, Context: direction, Length: l.Length, Stride: l.Stride}
		var documents [][]int32
		total := 0
		err = tasks.ReadTexts(path, o.format, func(text string, words int) error {
			tokens := g.Tokenizer.Encode(nil, text)
			documents = append(documents, tokens)
			row.Words += words - 1
			total += max(0, len(tokens)-1)
			return nil
		})
		if err != nil {
			return err
		}
		p := newProgress(s.err, "perplexity "+direction, "tokens")
		defer p.done()
		sum, err := g.Perplexity(ctx, l, documents, func(tokens int) { p.report(int64(tokens), int64(total), "") })
		if err != nil {
			return err
		}
		row.Documents, row.Tokens, row.NLL = len(documents), sum.Tokens, sum.NLL
		row.Perplexity, row.WordPerplexity = math.Exp(sum.NLL/float64(max(1, sum.Tokens))), math.Exp(sum.NLL/float64(max(1, row.Words)))
		rows = append(rows, []string{run, path, direction, strconv.Itoa(row.Tokens), strconv.Itoa(row.Words), figure(row.Perplexity), figure(row.WordPerplexity)})
		return o.print(s, row)
	})
	return o.finish(s, rows, err)
}

// figure is a perplexity in four digits, or as many as it has before the point.
func figure(x float64) string {
	if x >= 1000 && x < 1e9 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

func lambada(ctx context.Context, s streams, o languageOptions) error {
	rows := [][]string{{"run", "text", "context", "passages", "accuracy", "95 % interval", "ppl"}}
	err := o.each(func(g *runner.Generator, run, path, direction string) error {
		l, err := g.LanguageModel(o.length, 0, direction == "unidirectional")
		if err != nil {
			return err
		}
		var blocks []spans.Block
		err = tasks.ReadLambada(path, func(context, word string) error {
			before, last := g.Tokenizer.Encode(nil, context), g.Tokenizer.Encode(nil, " "+word)
			if len(before) == 0 || len(last) == 0 || len(last) > l.Length-3 {
				return fmt.Errorf("%.40q before %.40q is not text for this vocabulary, or too long for windows of %d tokens", context, word, l.Length)
			}
			blocks = append(blocks, l.LastWord(before, last))
			return nil
		})
		if err != nil {
			return err
		}
		p := newProgress(s.err, "lambada "+direction, "passages")
		defer p.done()
		each, err := g.Score(ctx, blocks, func(done int) { p.report(int64(done), int64(len(blocks)), "") })
		if err != nil {
			return err
		}
		row := lambadaRow{Run: run, Text: path, Context: direction, Passages: len(each)}
		right := make([]bool, len(each))
		nll, tokens := 0.0, 0
		for i, one := range each {
			right[i], nll, tokens = one.Greedy, nll+one.NLL, tokens+one.Tokens
		}
		if math.IsNaN(nll) {
			return errors.New("the model's output is not a number: it has diverged")
		}
		share := metrics.Share(right)
		row.Accuracy, row.Interval = share.Estimate, share.Interval(0.95)
		row.Perplexity = math.Exp(nll / float64(tokens))
		rows = append(rows, []string{run, path, direction, strconv.Itoa(row.Passages), fmt.Sprintf("%.2f", row.Accuracy), fmt.Sprintf("%.2f to %.2f", row.Interval.Lo, row.Interval.Hi), figure(row.Perplexity)})
		return o.print(s, row)
	})
	return o.finish(s, rows, err)
}

// each calls measure for every run, text and direction.
func (o languageOptions) each(measure func(g *runner.Generator, run, path, direction string) error) error {
	directions, err := o.directions()
	if err != nil {
		return err
	}
	for _, run := range o.runs {
		g, err := runner.OpenGenerator(run, o.device, o.threads)
		if err != nil {
			return err
		}
		for _, path := range o.texts {
			for _, direction := range directions {
				if err == nil {
					err = measure(g, run, path, direction)
				}
			}
		}
		g.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// print writes a row as JSON, where that is asked for.
func (o languageOptions) print(s streams, row any) error {
	if !o.json {
		return nil
	}
	return json.NewEncoder(s.out).Encode(row)
}

// finish prints the rows that are done, whatever ended the work.
func (o languageOptions) finish(s streams, rows [][]string, err error) error {
	if !o.json && len(rows) > 1 {
		err = errors.Join(err, printRows(s.out, rows))
	}
	if errors.Is(err, context.Canceled) {
		return &stoppedError{"stopped by a signal; only what is printed was measured"}
	}
	return exitForm(err)
}
