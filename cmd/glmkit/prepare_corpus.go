package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
)

type prepareCorpusOptions struct {
	inputs                []string
	tokenizer, out, field string
	jobs                  int
	config                func() (*configs.Config, error)
}

func newPrepareCorpus(s streams) *cobra.Command {
	opts := &prepareCorpusOptions{}
	cmd := &cobra.Command{
		Use:   "corpus INPUT... --tokenizer VOCAB --out DIR",
		Short: "Tokenise documents and pack them into windows with their masked spans",
		Long: `Tokenise documents, draw training windows of them with the spans to be
masked, and write them to DIR as Arrow files with a manifest.json.

An INPUT is a file, a folder or a quoted pattern. Files named .jsonl or .json
hold one JSON object a line, others one document a line; .gz and .zst behind the
name means compressed.

The configuration's data and objective decide what is drawn; the number of jobs
does not. An interrupted run continues when the same command is given again, and
ends with the same bytes.`,
		Example: `  glmkit prepare corpus wiki.jsonl novels/ --tokenizer vocab.txt --out pretrain
  glmkit prepare corpus 'pile/*.jsonl.gz' --tokenizer vocab.txt --out pretrain --config glm-large --set data.seq_length=256
  glmkit prepare corpus posts.jsonl --field body --tokenizer vocab.txt --out posts --jobs 16`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&opts.tokenizer, "tokenizer", "", "vocab.txt or the `folder` that holds it (required)")
	f.StringVar(&opts.out, "out", "", "`folder` to make (required)")
	f.StringVar(&opts.field, "field", "text", "JSON `field` that holds a document's text")
	f.IntVar(&opts.jobs, "jobs", runtime.GOMAXPROCS(0), "goroutines that tokenise and draw")
	opts.config = addConfigFlags(cmd, "")
	for _, name := range []string{"tokenizer", "out"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.inputs = args
		return runPrepareCorpus(cmd.Context(), s, opts)
	}
	return cmd
}

func runPrepareCorpus(ctx context.Context, s streams, opts *prepareCorpusOptions) error {
	config, err := opts.config()
	if err != nil {
		return err
	}
	tokenizer, err := wordpiece.Open(opts.tokenizer)
	if err != nil {
		return err
	}
	bars := stageBars{s: s}
	start := time.Now()
	done, err := corpus.Prepare(ctx, corpus.PrepareOptions{
		Inputs: opts.inputs, Read: corpus.ReadOptions{Field: opts.field},
		Tokenizer: tokenizer, TokenizerName: vocabularyName(opts.tokenizer),
		Config: config, Out: opts.out, Jobs: opts.jobs, Version: versionString(),
		Progress: bars.report,
	})
	bars.done()
	if err != nil {
		return err
	}
	if done.Already {
		fmt.Fprintf(s.err, "%s is complete: nothing to do\n", opts.out)
	}
	m := done.Manifest
	line := fmt.Sprintf("%s: %d documents, %d tokens, %d windows in %d shards, %.1f%% masked",
		opts.out, m.Documents, m.Tokens, m.Windows, len(m.Shards), 100*m.Statistics.MaskedFraction)
	if m.Replaced > 0 {
		line += fmt.Sprintf(", %d bytes of invalid UTF-8 replaced", m.Replaced)
	}
	if done.Tokenised > 0 {
		seconds := time.Since(start).Seconds()
		line += fmt.Sprintf(", %.1f MB/s", float64(done.Tokenised)/1e6/seconds)
	}
	_, err = fmt.Fprintln(s.out, line)
	return err
}

// vocabularyName is what people call a vocabulary: vocab.txt alone says
// nothing, its folder's name does.
func vocabularyName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	if name == "vocab.txt" {
		return filepath.Base(filepath.Dir(path))
	}
	return strings.TrimSuffix(name, ".txt")
}

// stageBars shows one progress display after the other.
type stageBars struct {
	s     streams
	stage corpus.Stage
	bar   *progress
}

func (b *stageBars) report(stage corpus.Stage, done, total int64) {
	if b.bar == nil || stage != b.stage {
		b.done()
		unit := "B"
		if stage == corpus.Draw {
			unit = "windows"
		}
		b.stage, b.bar = stage, newProgress(b.s.err, string(stage), unit)
	}
	b.bar.report(done, total, "")
}

func (b *stageBars) done() {
	if b.bar != nil {
		b.bar.done()
	}
	b.bar = nil
}
