package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
)

func newInspectTokens(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens --tokenizer VOCAB",
		Short: "Show the tokens and ids of each line of standard input",
		Long: `Show the tokens and ids of each line of standard input, one a line, with an
empty line between texts.

With --json a line holds {"text": …} and is answered by a line {"ids", "tokens"}.`,
		Example: `  echo 'An unaffable [MASK].' | glmkit inspect tokens --tokenizer vocab.txt
  glmkit inspect tokens --tokenizer vocab.txt --json < corpus.jsonl`,
		Args: cobra.NoArgs,
	}
	vocab := cmd.Flags().String("tokenizer", "", "vocab.txt, or a `folder` that holds one (required)")
	asJSON := cmd.Flags().Bool("json", false, "speak JSONL")
	cobra.CheckErr(cmd.MarkFlagRequired("tokenizer"))
	cmd.RunE = func(*cobra.Command, []string) error {
		tokenizer, err := wordpiece.Open(*vocab)
		if err != nil {
			return err
		}
		out := bufio.NewWriter(s.out)
		show := tokenTable(out, tokenizer, isTerminal(s.out))
		if *asJSON {
			show = tokenJSON(out, tokenizer)
		}
		if err := eachInputLine(s.in, show); err != nil {
			out.Flush() // the lines before the bad one are good
			return err
		}
		return out.Flush()
	}
	return cmd
}

// eachInputLine calls show for every line of in that is not blank. An error
// that show returns is one of that line.
func eachInputLine(in io.Reader, show func(line []byte) error) error {
	r := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading standard input: %w", err)
		}
		if line := bytes.TrimSpace(line); len(line) > 0 {
			if err := show(line); err != nil {
				return &corpus.DataError{Path: "<stdin>", Line: number, Err: err, Hint: `a line is {"text": "…"}; without --json it is the text itself`}
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// tokenJSON answers JSONL.
func tokenJSON(out *bufio.Writer, tokenizer *wordpiece.Tokenizer) func([]byte) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return func(line []byte) error {
		var asked struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(line, &asked); err != nil {
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) && wrong.Field != "" {
				return fmt.Errorf("the key %q cannot hold a %s", wrong.Field, wrong.Value)
			}
			return err
		}
		if asked.Text == nil {
			return errors.New(`the key "text" is missing`)
		}
		answer := struct {
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		}{tokenizer.Encode([]int32{}, *asked.Text), []string{}}
		for _, id := range answer.IDs {
			answer.Tokens = append(answer.Tokens, tokenizer.Token(id))
		}
		_ = encoder.Encode(answer) // a failure to write stays in out
		return nil
	}
}

// tokenTable shows a token and its id a line, in columns where aligned, else
// with a tab between.
func tokenTable(out *bufio.Writer, tokenizer *wordpiece.Tokenizer, aligned bool) func([]byte) error {
	first := true
	return func(line []byte) error {
		if !first {
			fmt.Fprintln(out)
		}
		first = false
		table := io.Writer(out)
		if aligned {
			columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			defer columns.Flush()
			table = columns
		}
		for _, id := range tokenizer.Encode(nil, string(line)) {
			io.WriteString(table, tokenizer.Token(id)+"\t"+strconv.Itoa(int(id))+"\n")
		}
		return nil
	}
}
