// Command score writes what "glmkit eval" reads of a prepared split, so that
// peer.py can score the same sequences: JSONL, one example a line.
//
//	go run . tasks/RTE/val.arrow > examples.jsonl
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/glmkit/glmkit/tasks"
)

// example is one of a split: one sequence whose blank a verbalizer fills, or a
// sequence per choice.
type example struct {
	MaxLength   int        `json:"max_length"` // to which the GLM repository pads
	Sequences   []sequence `json:"sequences"`
	Verbalizers []int32    `json:"verbalizers"`
}

type sequence struct {
	Input         []int32 `json:"input"`
	Target        []int32 `json:"target"`
	Position      []int32 `json:"position"`
	BlockPosition []int32 `json:"block_position"`
	Sep           int     `json:"sep"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: score SPLIT.arrow")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	split, err := tasks.OpenSplit(path)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, e := range split.Examples {
		x := example{MaxLength: split.Header.MaxLength, Verbalizers: e.Verbalizers}
		for _, b := range e.Sequences {
			x.Sequences = append(x.Sequences, sequence{b.Input, b.Target, b.Position, b.BlockPosition, b.Sep})
		}
		if err := out.Encode(x); err != nil {
			return err
		}
	}
	return nil
}
