package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/spans"
	"github.com/spf13/cobra"
)

func newInspectText(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "text --tokenizer VOCAB TEXT|-",
		Short: "Show what the corruption does to a text: Part A, Part B, positions, mask",
		Long: `Tokenize a text (- reads it from standard input), draw its corruption as
pretraining does, and show the window, Part A, Part B, both position rows and
the attention mask. A row of the mask is a token that reads, a column a token
that is read: ■ may be read, · may not, ▪ partly where a character stands for
several tokens. [PAD] at the end of the window ends the document.

With a BERT configuration, show the tokens of its masked language model.

--svg and --png draw the same into files, --json writes it as one object.`,
		Example: `  glmkit inspect text --tokenizer vocab.txt "The quick brown fox jumps over the lazy dog."
  glmkit inspect text --tokenizer vocab.txt --mode document --seed 7 - < page.txt
  glmkit inspect text --tokenizer vocab.txt --svg fox.svg "The quick brown fox jumps over the lazy dog."`,
		Args: cobra.ExactArgs(1),
	}
	var vocabulary string
	addTokenizerFlag(cmd, &vocabulary)
	seed := cmd.Flags().Uint64("seed", 0, "of the draw (default: the configuration's data.seed)")
	mode := cmd.Flags().String("mode", "", "token, sentence or document instead of a draw from the configuration's mixture")
	var output sampleOutput
	output.addFlags(cmd)
	load := addConfigFlags(cmd, "glm-base")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		if err := forceMode(config, *mode); err != nil {
			return err
		}
		if !cmd.Flags().Changed("seed") {
			*seed = config.Data.Seed
		}
		t, err := tokenizer.Open(vocabulary)
		if err != nil {
			return err
		}
		text := args[0]
		if text == "-" {
			all, err := io.ReadAll(s.in)
			if err != nil {
				return fmt.Errorf("reading standard input: %w", err)
			}
			text = string(all)
		}
		if strings.TrimSpace(text) == "" {
			return &corpus.DataError{Path: "TEXT", Err: errors.New("there is no text"), Hint: "glmkit inspect text --help shows an example"}
		}
		d, cut, err := drawText(config, t, *seed, text)
		if err != nil {
			return err
		}
		if cut > 0 && !output.json {
			fmt.Fprintf(s.out, "The window holds %d of the text's %d tokens (data.seq_length).\n\n", len(d.tokens), cut)
		}
		return output.show(s.out, d)
	}
	return cmd
}

// forceMode leaves one mode of the mixture; the empty name leaves it all.
func forceMode(config *configs.Config, name string) error {
	if name == "" {
		return nil
	}
	modes := []spans.Mode{spans.Token, spans.Sentence, spans.Document}
	o := &config.Objective
	probabilities := []*float64{&o.Token, &o.Sentence, &o.Document}
	var names []string
	found := false
	for i, m := range modes {
		names = append(names, m.String())
		*probabilities[i] = 0
		if m.String() == name {
			*probabilities[i], found = 1, true
		}
	}
	if !found {
		return &configs.Error{
			Field: "--mode", Msg: fmt.Sprintf("unknown mode %q; did you mean %s?", name, configs.Nearest(name, names)),
			Hint: "one of " + strings.Join(names, ", "),
		}
	}
	if config.Model.Architecture == "bert" {
		return &configs.Error{Field: "--mode", Msg: "BERT has one objective only", Hint: "a GLM configuration, or no --mode"}
	}
	return nil
}

// drawText draws the corruption of one text. cut is the number of its tokens
// where the window holds fewer, else 0.
func drawText(config *configs.Config, t tokenizer.Tokenizer, seed uint64, text string) (d *drawnSample, cut int, err error) {
	special := t.Special()
	tokens := t.Encode([]int32{special.CLS}, text)
	tokens = append(tokens, special.Pad)
	if limit := config.Data.SeqLength; len(tokens) > limit {
		cut = len(tokens)
		tokens = tokens[:limit]
	}
	key := spans.Key{Seed: seed}
	if config.Model.Architecture == "bert" {
		return newMaskedLanguage(seed, tokens, spans.MLM(key, tokens, config.Objective.MLMRatio, special, t.Size()), special, t.Token), cut, nil
	}
	objective := config.Objective.Spans()
	objective.MaxPositions = config.Model.MaxPositions
	sample := objective.Draw(key, tokens, special, t.EndsSentence)
	block, err := objective.Build(key, tokens, sample, special)
	if err != nil {
		return nil, 0, err
	}
	return newDrawnSample(seed, tokens, sample, block, special, t.Token), cut, nil
}
