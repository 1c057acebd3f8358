package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/spans"
)

// blockLine is a line of inspect blocks: what is asked, then the answer.
type blockLine struct {
	Tokens []int32  `json:"tokens"`
	Spans  [][2]int `json:"spans"` // start and end, in the order of the text
	Order  []int    `json:"order"` // indices of spans as Part B predicts them
	Mask   int32    `json:"mask"`
	SOP    int32    `json:"sop"`
	EOP    int32    `json:"eop"`

	Input         []int32 `json:"input"`
	Target        []int32 `json:"target"`
	LossMask      []int   `json:"loss_mask"` // not []uint8, which JSON would write as text
	Position      []int32 `json:"position"`
	BlockPosition []int32 `json:"block_position"`
	Sep           int     `json:"sep"`
}

func newInspectBlocks(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blocks --json",
		Short: "Lay token ids and spans out as Part A and Part B, JSONL to JSONL",
		Long: `Read one JSON object a line from standard input: tokens, spans (start and end
of each, in the order of the text), order (indices of spans as Part B predicts
them), mask, sop and eop. Write each with input, target, loss_mask, position,
block_position and sep added.`,
		Example: `  echo '{"tokens":[101,7,8,9],"spans":[[1,3]],"order":[0],"mask":103,"sop":104,"eop":105}' |
    glmkit inspect blocks --json`,
		Args: noArguments,
	}
	asJSON := cmd.Flags().Bool("json", false, "speak JSONL (the only form there is)")
	cmd.RunE = func(*cobra.Command, []string) error {
		if !*asJSON {
			return &configs.Error{Field: "--json", Msg: "inspect blocks speaks JSONL only", Hint: "add --json; glmkit inspect text is for reading"}
		}
		return inspectBlocks(s.in, s.out)
	}
	return cmd
}

// inspectBlocks answers every line of in on out.
func inspectBlocks(in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	w := bufio.NewWriter(out)
	for number := 1; ; number++ {
		text, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading standard input: %w", err)
		}
		if text := bytes.TrimSpace(text); len(text) > 0 {
			answer, err := answerBlock(text)
			if err != nil {
				w.Flush() // the lines before the bad one are good
				return &corpus.DataError{Path: "<stdin>", Line: number, Err: err, Hint: "see glmkit inspect blocks --help for the keys of a line"}
			}
			w.Write(answer)
			w.WriteByte('\n')
		}
		if err == io.EOF {
			return w.Flush()
		}
	}
}

// answerBlock lays one line out.
func answerBlock(text []byte) ([]byte, error) {
	var line blockLine
	if err := json.Unmarshal(text, &line); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, fmt.Errorf("the key %q cannot hold a %s", wrong.Field, wrong.Value)
		}
		return nil, err
	}
	if line.Tokens == nil {
		return nil, errors.New(`the key "tokens" is missing`)
	}
	ordered, err := inOrder(line.Spans, line.Order)
	if err != nil {
		return nil, err
	}
	b, err := spans.BuildBlock(line.Tokens, ordered, line.Mask, line.SOP, line.EOP)
	if err != nil {
		return nil, err
	}
	line.Input, line.Target, line.Position, line.BlockPosition, line.Sep = b.Input, b.Target, b.Position, b.BlockPosition, b.Sep
	line.LossMask = make([]int, len(b.LossMask))
	for i, m := range b.LossMask {
		line.LossMask[i] = int(m)
	}
	return json.Marshal(line)
}

// inOrder returns the spans in the order in which Part B predicts them.
func inOrder(text [][2]int, order []int) ([]spans.Span, error) {
	if len(order) != len(text) {
		return nil, fmt.Errorf("%d spans but an order of %d", len(text), len(order))
	}
	seen := make([]bool, len(text))
	ordered := make([]spans.Span, len(order))
	for i, k := range order {
		if k < 0 || k >= len(text) || seen[k] {
			return nil, fmt.Errorf("order must name each of the %d spans once, from 0", len(text))
		}
		seen[k] = true
		ordered[i] = spans.Span{Start: text[k][0], End: text[k][1]}
	}
	return ordered, nil
}
