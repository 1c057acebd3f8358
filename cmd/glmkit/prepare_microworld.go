package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/corpus/microworld"
)

type prepareMicroworldOptions struct {
	out    string
	params microworld.Params
}

func newPrepareMicroworld(s streams) *cobra.Command {
	opts := &prepareMicroworldOptions{params: microworld.Defaults()}
	p := &opts.params
	cmd := &cobra.Command{
		Use:   "microworld --out DIR",
		Short: "Make up a small world: documents to pretrain on and tasks in the SuperGLUE formats",
		Long: `Make up a small world and write it down, so that a training set-up can be
checked in minutes without a download or a GPU:

  DIR/corpus.jsonl, DIR/valid.jsonl   documents, {"text"} a line
  DIR/tasks/TASK/{train,val,test}.jsonl   the eight SuperGLUE tasks' file formats
  DIR/world.json                      parameters and counts

The same flags give the same bytes. DIR appears whole or not at all.`,
		Example: `  glmkit prepare microworld --out world
  glmkit prepare microworld --out hard --difficulty 3 --documents 20000 --seed 7`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPrepareMicroworld(cmd.Context(), s, opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.out, "out", "", "directory to make (required)")
	f.Uint64Var(&p.Seed, "seed", p.Seed, "seed of everything that is drawn")
	f.IntVar(&p.Documents, "documents", p.Documents, "documents to pretrain on")
	f.IntVar(&p.Held, "held", p.Held, "documents held out to validate on")
	f.IntVar(&p.People, "people", p.People, fmt.Sprintf("names in use, %d to %d", microworld.MinPeople, microworld.MaxPeople))
	f.IntVar(&p.Difficulty, "difficulty", p.Difficulty, "1 to 3: longer passages, closer wrong answers")
	f.IntVar(&p.Train, "train-size", p.Train, "training examples per task; answers for MultiRC")
	f.IntVar(&p.Val, "val-size", p.Val, "validation examples per task, and unlabelled test examples")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}

func runPrepareMicroworld(ctx context.Context, s streams, opts *prepareMicroworldOptions) error {
	w, err := microworld.New(opts.params)
	if err != nil {
		return err
	}
	bar := newProgress(s.err, "microworld", "files")
	m, complete, err := w.Write(ctx, opts.out, func(done, total int64) { bar.report(done, total, "") })
	bar.done()
	if err != nil {
		return err
	}
	if complete {
		fmt.Fprintf(s.err, "%s is complete: nothing to do\n", opts.out)
	}
	printMicroworld(s.out, m)
	return nil
}

// printMicroworld lists the files, one a line, tab-separated.
func printMicroworld(w io.Writer, m *microworld.Manifest) {
	fmt.Fprintln(w, "file\trecords\texamples")
	for _, name := range []string{"corpus.jsonl", "valid.jsonl"} {
		fmt.Fprintf(w, "%s\t%d\t%d\n", name, m.Texts[name].Documents, m.Texts[name].Documents)
	}
	for _, task := range microworld.Tasks() {
		for _, split := range microworld.Splits() {
			c := m.Tasks[task][split]
			fmt.Fprintf(w, "tasks/%s/%s.jsonl\t%d\t%d\n", task, split, c.Records, c.Examples)
		}
	}
}
