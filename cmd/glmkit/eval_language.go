package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// languageOptions are those of eval perplexity and eval lambada.
type languageOptions struct {
	runs, texts    []string
	format         string // of texts; empty for LAMBADA
	context        string // bidirectional, unidirectional or both
	length, stride int
	json           bool
	precision      string
	keep           string   // folder of scores so far; empty: below the user's cache
	kept           []string // their files
	deviceFlags
}

// contexts are how a model reads what stands before the words that it is scored
// on.
var contexts = []string{"bidirectional", "unidirectional"}

// directions are the contexts asked for.
func (o languageOptions) directions() ([]string, error) {
	switch {
	case o.context == "both":
		return contexts, nil
	case slices.Contains(contexts, o.context):
		return []string{o.context}, nil
	}
	known := append([]string{"both"}, contexts...)
	return nil, &configs.Error{Field: "--context", Msg: "unknown context " + o.context + "; did you mean " + configs.Nearest(o.context, known) + "?", Hint: "one of " + strings.Join(known, ", ")}
}

func (o *languageOptions) addFlags(cmd *cobra.Command, texts, usage string) {
	o.add(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&o.texts, texts, nil, usage)
	f.StringVar(&o.context, "context", "both", "how what stands before is read: bidirectional, unidirectional or both")
	f.IntVar(&o.length, "length", 0, "tokens of a window (default: the model's positions)")
	f.StringVar(&o.keep, "keep", "", "`directory` of the scores so far (default: glmkit in the user's cache)")
	addPrecision(f, &o.precision, "float32")
	f.BoolVar(&o.json, "json", false, "write one JSON object a row")
	cmd.MarkFlagRequired(texts)
}

// keptScores is what both commands say of an interruption.
const keptScores = `Scores are kept as they are found, in --keep, until the command is done: after an
interruption the same command goes on.`

func newPerplexity(s streams) *cobra.Command {
	var o languageOptions
	cmd := &cobra.Command{
		Use:   "perplexity RUN... --text FILE",
		Short: "Measure the perplexity of text under GLMs",
		Long: `Measure the perplexity of text under GLMs (paper section 3.3; GLM repository,
tasks/language_model). RUN is a run or a checkpoint.

Windows of --length tokens begin every --stride tokens; each but the first scores
its last tokens, those that no window before has scored. Every token is scored
once but the first of a document. Bidirectional, what a window does not score is
Part A and the rest fills its blank; unidirectional, Part A has one token and
all others stand behind the blank.

ppl is over the vocabulary's tokens and depends on it; word ppl is over words,
the stretches between single spaces of the file as it is, and does not.

--format file takes each file as one document, lines each of its lines, jsonl each
{"text": …}, and wikitext a file of WikiText as one document, whose tokenization it
undoes first.

` + keptScores,
		Example: `  glmkit eval perplexity runs/glm --text wikitext-103-valid.txt --format wikitext
  glmkit eval perplexity runs/a runs/b --text books.txt --format lines --context unidirectional --json`,
		Args: cobra.MinimumNArgs(1),
	}
	o.addFlags(cmd, "text", "`file` to measure (required, repeatable)")
	cmd.Flags().StringVar(&o.format, "format", "file", "of the text: "+strings.Join(tasks.TextForms, ", "))
	cmd.Flags().IntVar(&o.stride, "stride", 0, "new tokens of a window (default: half of it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.runs = args
		return perplexity(cmd.Context(), s, o)
	}
	return cmd
}

func newLambada(s streams) *cobra.Command {
	var o languageOptions
	cmd := &cobra.Command{
		Use:   "lambada RUN... --data FILE",
		Short: "Measure how often GLMs guess a passage's last word",
		Long: `Measure how often GLMs guess the last word of LAMBADA's passages (Paperno et al.
2016): the word is right when each of its tokens is the likeliest, those before it
given. FILE has a line {"text": "a passage and its last word"} each. A passage
longer than --length loses its beginning.

` + keptScores,
		Example: `  glmkit eval lambada runs/glm --data lambada_test.jsonl`,
		Args:    cobra.MinimumNArgs(1),
	}
	o.addFlags(cmd, "data", "`file` of passages (required, repeatable)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.runs = args
		return lambada(cmd.Context(), s, o)
	}
	return cmd
}
