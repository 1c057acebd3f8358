package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
)

func newInspectTokens(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens --tokenizer VOCAB",
		Short: "Show the tokens and ids of each line of standard input, or the text of ids",
		Long: `Show the tokens and ids of each line of standard input, one a line, with an
empty line between texts. A space that belongs to a token of byte-level BPE is
shown as Ġ, as its vocabulary spells it.

With --json a line holds {"text": …} and is answered by a line {"ids", "tokens"}.

With --decode a line holds ids with spaces between, and is answered by their
text; with --json too it holds {"ids": […]}, and is answered by {"text": …}.`,
		Example: `  echo 'An unaffable [MASK].' | glmkit inspect tokens --tokenizer vocab.txt
  glmkit inspect tokens --tokenizer gpt2/ --json < corpus.jsonl
  echo 14477 20961 3468 | glmkit inspect tokens --tokenizer vocab.txt --decode`,
		Args: noArguments,
	}
	var path string
	addTokenizerFlag(cmd, &path)
	asJSON := cmd.Flags().Bool("json", false, "speak JSONL")
	decode := cmd.Flags().Bool("decode", false, "from ids to text")
	cmd.RunE = func(*cobra.Command, []string) error {
		t, err := tokenizer.Open(path)
		if err != nil {
			return err
		}
		out := bufio.NewWriter(s.out)
		show, hint := tokenTable(out, t, isTerminal(s.out)), `a line is the text itself; with --json it is {"text": "…"}`
		switch {
		case *decode && *asJSON:
			show, hint = textJSON(out, t), `a line is {"ids": [14477, 20961]}; without --json it is 14477 20961`
		case *decode:
			show, hint = idText(out, t), `a line is 14477 20961; with --json it is {"ids": [14477, 20961]}`
		case *asJSON:
			show, hint = tokenJSON(out, t), `a line is {"text": "…"}; without --json it is the text itself`
		}
		if err := eachInputLine(s.in, hint, show); err != nil {
			out.Flush() // the lines before the bad one are good
			return err
		}
		return out.Flush()
	}
	return cmd
}

// eachInputLine calls show for every line of in that is not blank, without what
// ends the line. An error that show returns is one of that line.
func eachInputLine(in io.Reader, hint string, show func(line []byte) error) error {
	r := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading standard input: %w", err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := show(bytes.TrimRight(line, "\r\n")); err != nil {
				return &corpus.DataError{Path: "<stdin>", Line: number, Err: err, Hint: hint}
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// asked is a line of JSONL: the text or the ids.
type asked struct {
	Text *string  `json:"text"`
	IDs  *[]int32 `json:"ids"`
}

func parseAsked(line []byte) (a asked, err error) {
	err = json.Unmarshal(line, &a)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		err = fmt.Errorf("the key %q cannot hold a %s", wrong.Field, wrong.Value)
	}
	return a, err
}

// jsonLines writes objects, one a line. A failure to write stays in out.
func jsonLines(out *bufio.Writer) func(any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return func(answer any) { _ = encoder.Encode(answer) }
}

// tokenJSON answers JSONL.
func tokenJSON(out *bufio.Writer, t tokenizer.Tokenizer) func([]byte) error {
	write := jsonLines(out)
	return func(line []byte) error {
		a, err := parseAsked(line)
		if err == nil && a.Text == nil {
			err = errors.New(`the key "text" is missing`)
		}
		if err != nil {
			return err
		}
		answer := struct {
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		}{t.Encode([]int32{}, *a.Text), []string{}}
		for _, id := range answer.IDs {
			answer.Tokens = append(answer.Tokens, t.Token(id))
		}
		write(answer)
		return nil
	}
}

// textJSON answers ids in JSONL.
func textJSON(out *bufio.Writer, t tokenizer.Tokenizer) func([]byte) error {
	write := jsonLines(out)
	return func(line []byte) error {
		a, err := parseAsked(line)
		if err == nil && a.IDs == nil {
			err = errors.New(`the key "ids" is missing`)
		}
		if err == nil {
			err = known(t, *a.IDs)
		}
		if err != nil {
			return err
		}
		write(struct {
			Text string `json:"text"`
		}{t.Decode(*a.IDs)})
		return nil
	}
}

// idText answers ids with spaces between.
func idText(out *bufio.Writer, t tokenizer.Tokenizer) func([]byte) error {
	return func(line []byte) error {
		var ids []int32
		for _, field := range strings.Fields(string(line)) {
			id, err := strconv.ParseInt(field, 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no id", field)
			}
			ids = append(ids, int32(id))
		}
		if err := known(t, ids); err != nil {
			return err
		}
		fmt.Fprintln(out, t.Decode(ids))
		return nil
	}
}

// known checks that ids are tokens.
func known(t tokenizer.Tokenizer, ids []int32) error {
	for _, id := range ids {
		if t.Token(id) == "" {
			return fmt.Errorf("the vocabulary has no token %d", id)
		}
	}
	return nil
}

// tokenTable shows a token and its id a line, in columns where aligned, else
// with a tab between.
func tokenTable(out *bufio.Writer, t tokenizer.Tokenizer, aligned bool) func([]byte) error {
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
		for _, id := range t.Encode(nil, string(line)) {
			io.WriteString(table, t.Token(id)+"\t"+strconv.Itoa(int(id))+"\n")
		}
		return nil
	}
}
