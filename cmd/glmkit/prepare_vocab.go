package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
)

type prepareVocabOptions struct {
	inputs     []string
	out, field string
	size       int
}

func newPrepareVocab(s streams) *cobra.Command {
	opts := &prepareVocabOptions{}
	cmd := &cobra.Command{
		Use:   "vocab INPUT... --out FILE",
		Short: "Train a WordPiece vocabulary on documents",
		Long: `Train an uncased WordPiece vocabulary, as BERT's tokenizer uses it, and write it
to FILE, one token a line in the order of their ids.

An INPUT is a file, a folder or a quoted pattern. Files named .jsonl or .json
hold one JSON object a line, others one document a line; .gz and .zst behind the
name means compressed.

The same documents, in whatever order, give the same vocabulary. FILE appears
whole or not at all, and is never overwritten.`,
		Example: `  glmkit prepare vocab wiki.jsonl novels/ --size 30522 --out vocab.txt
  glmkit prepare vocab 'posts-*.jsonl.gz' --field body --size 8192 --out posts/vocab.txt`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&opts.out, "out", "", "`file` to make (required)")
	f.IntVar(&opts.size, "size", 30522, "tokens at most; fewer where the text repeats too little")
	f.StringVar(&opts.field, "field", "text", "JSON `field` that holds a document's text")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.inputs = args
		return runPrepareVocab(cmd.Context(), s, opts)
	}
	return cmd
}

func runPrepareVocab(ctx context.Context, s streams, opts *prepareVocabOptions) error {
	// What cannot be written in the end is said before the work.
	before, err := vocabularyAt(opts.out)
	if err != nil {
		return err
	}

	var documents, size int64
	docs := func(yield func(string, error) bool) {
		for doc, err := range corpus.Documents(ctx, opts.inputs, corpus.ReadOptions{Field: opts.field}) {
			documents++
			if !yield(doc.Text, err) {
				return
			}
		}
	}
	bar := newProgress(s.err, "counting words", "B")
	vocab, err := wordpiece.Train(docs, opts.size, func(done int64) {
		size = done
		bar.report(done, 0, "")
	})
	bar.done()
	var tooSmall *wordpiece.SizeError
	if errors.As(err, &tooSmall) {
		return &configs.Error{Field: "--size", Msg: tooSmall.Error(), Hint: fmt.Sprintf("--size %d or more", tooSmall.Need)}
	}
	if err != nil {
		return err
	}
	made, err := wordpiece.New(vocab)
	if err != nil {
		return fmt.Errorf("checking the new vocabulary: %w", err)
	}

	switch {
	case before == nil:
		if err := writeVocabulary(opts.out, vocab); err != nil {
			return err
		}
	case before.Hash() == made.Hash():
		fmt.Fprintf(s.err, "%s is complete: nothing to do\n", opts.out)
	default:
		return &configs.Error{Field: opts.out, Msg: "exists and is another vocabulary", Hint: "another --out, or remove it"}
	}
	_, err = fmt.Fprintf(s.out, "%s: %d tokens, from %d documents, %.1f MB of text\n", opts.out, made.Size(), documents, float64(size)/1e6)
	return err
}

// vocabularyAt is the vocabulary that path holds, nil where there is no file.
func vocabularyAt(path string) (*wordpiece.Tokenizer, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, &configs.Error{Field: path, Msg: "its folder is not there", Hint: "mkdir -p " + filepath.Dir(path)}
		}
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for an earlier vocabulary: %w", err)
	case info.IsDir():
		return nil, &configs.Error{Field: path, Msg: "is a folder", Hint: "--out " + filepath.Join(path, "vocab.txt")}
	}
	before, err := wordpiece.Open(path)
	if err != nil {
		return nil, &configs.Error{Field: path, Msg: "exists and is no vocabulary", Hint: "another --out, or remove it"}
	}
	return before, nil
}

// writeVocabulary makes the file, whole or not at all.
func writeVocabulary(path string, vocab []string) error {
	content := strings.Join(vocab, "\n") + "\n"
	if err := renameio.WriteFile(path, []byte(content), 0o644, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("writing the vocabulary: %w", err)
	}
	return nil
}
