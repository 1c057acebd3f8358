//go:build cgo

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/glmkit/glmkit/configs"
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
	Precision      string  `json:"precision"` // of matrix products
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
	Precision  string           `json:"precision"` // of matrix products
	Passages   int              `json:"passages"`
	Accuracy   float64          `json:"accuracy"` // 0-100
	Interval   metrics.Interval `json:"interval"`
	Perplexity float64          `json:"ppl"` // of the words' tokens
}

func perplexity(ctx context.Context, s streams, o languageOptions) error {
	rows := [][]string{{"run", "text", "context", "tokens", "words", "ppl", "word ppl"}}
	err := o.each(s, "perplexity", func(g *runner.Generator, run, path, direction string, how runner.Scoring) error {
		l, err := g.LanguageModel(o.length, o.stride, direction == "unidirectional")
		if err != nil {
			return err
		}
		row := perplexityRow{Run: run, Text: path, Context: direction, Precision: g.Precision(), Length: l.Length, Stride: l.Stride}
		var documents [][]int32
		err = tasks.ReadTexts(path, o.format, func(text string, words int) error {
			documents = append(documents, g.Tokenizer.Encode(nil, text))
			row.Words += words - 1
			return nil
		})
		if err != nil {
			return err
		}
		p := newProgress(s.err, "perplexity "+direction, "tokens")
		defer p.done()
		how.Progress = func(done, total int) { p.report(int64(done), int64(total), "") }
		sum, err := g.Perplexity(ctx, l, documents, how)
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
	err := o.each(s, "lambada", func(g *runner.Generator, run, path, direction string, how runner.Scoring) error {
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
		how.Progress = func(done, total int) { p.report(int64(done), int64(total), "") }
		each, err := g.Score(ctx, blocks, how)
		if err != nil {
			return err
		}
		row := lambadaRow{Run: run, Text: path, Context: direction, Precision: g.Precision(), Passages: len(each)}
		right := make([]bool, len(each))
		nll, tokens := 0.0, 0
		for i, one := range each {
			right[i], nll, tokens = one.Greedy, nll+one.NLL, tokens+one.Tokens
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
func (o *languageOptions) each(s streams, what string, measure func(g *runner.Generator, run, path, direction string, how runner.Scoring) error) error {
	directions, err := o.directions()
	if err != nil {
		return err
	}
	for _, path := range o.texts {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() && !info.IsDir() && len(o.runs)*len(directions) > 1 {
			return &configs.Error{Field: path, Msg: fmt.Sprintf("can be read once, and is to be %d times", len(o.runs)*len(directions)), Hint: "a file of it; or one RUN and one --context"}
		}
	}
	folder, err := o.keepFolder()
	if err != nil {
		return err
	}
	note := noteTo(s)
	for _, run := range o.runs {
		g, err := runner.OpenGenerator(run, o.device, o.threads)
		if err != nil {
			return err
		}
		err = g.AnswerIn(o.precision)
		for _, path := range o.texts {
			for _, direction := range directions {
				if err == nil {
					how := runner.Scoring{Note: note}
					if folder != "" {
						how.Keep = filepath.Join(folder, o.scoresFile(what, run, path, direction))
						o.kept = append(o.kept, how.Keep)
					}
					err = measure(g, run, path, direction, how)
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

// keepFolder is where scores stand until all are found: where --keep says, else
// below the user's cache; nowhere, where there is none that can be written to.
func (o *languageOptions) keepFolder() (string, error) {
	if o.keep != "" {
		if err := writable(o.keep); err != nil {
			return "", &configs.Error{Field: "--keep", Msg: err.Error(), Hint: "a folder of your own"}
		}
		return o.keep, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil
	}
	cache = filepath.Join(cache, "glmkit")
	if writable(cache) != nil {
		return "", nil
	}
	return cache, nil
}

// writable makes a folder where it is missing, and says why no file can be made in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	const writeAndEnter = 3 // W_OK | X_OK of access(2)
	if err := syscall.Access(dir, writeAndEnter); err != nil {
		return &fs.PathError{Op: "writing to", Path: dir, Err: err}
	}
	return nil
}

// scoresFile names the file of a measurement's scores: another measurement, which may
// be under way, has another one.
func (o *languageOptions) scoresFile(what, run, path, direction string) string {
	hash := sha256.New()
	for _, file := range []string{run, path} {
		if whole, err := filepath.Abs(file); err == nil {
			file = whole
		}
		fmt.Fprintf(hash, "%q", file)
	}
	fmt.Fprintf(hash, "%q %d %d %s", o.format, o.length, o.stride, o.precision)
	return fmt.Sprintf("%s-%s-%x.answers.jsonl", what, direction, hash.Sum(nil)[:8])
}

// print writes a row as JSON, where that is asked for.
func (o *languageOptions) print(s streams, row any) error {
	if !o.json {
		return nil
	}
	return json.NewEncoder(s.out).Encode(row)
}

// finish prints the rows that are done, whatever ended the work. The scores go when
// all are.
func (o *languageOptions) finish(s streams, rows [][]string, err error) error {
	if !o.json && len(rows) > 1 {
		err = errors.Join(err, printRows(s.out, rows))
	}
	switch {
	case errors.Is(err, context.Canceled) && len(o.kept) == 0:
		return &stoppedError{"stopped by a signal; only what is printed was measured: there is no folder to keep scores in, and --keep names none"}
	case errors.Is(err, context.Canceled):
		return &interruptedError{errors.New("stopped by a signal; what was scored so far is kept")}
	case err != nil:
		return exitForm(err)
	}
	for _, path := range o.kept {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
