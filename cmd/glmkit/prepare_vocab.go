package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/bpe"
	"github.com/glmkit/glmkit/corpus/documents"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/corpus/wordpiece"
)

type prepareVocabOptions struct {
	inputs    []string
	out, kind string
	cased     bool
	size      int // 0: that of the released vocabulary of the kind
	read      documents.Options
}

// The kinds of vocabulary that are trained.
const (
	kindWordPiece = "wordpiece"
	kindBPE       = "bpe"
)

func newPrepareVocab(s streams) *cobra.Command {
	opts := &prepareVocabOptions{}
	cmd := &cobra.Command{
		Use:   "vocab INPUT... --out PATH",
		Short: "Train a vocabulary on documents: WordPiece or byte-level BPE",
		Long: `Train a vocabulary on documents and write it to PATH:

  --kind wordpiece          as an uncased BERT has it: PATH is a file, one token a
                            line in the order of their ids
  --kind wordpiece --cased  letters keep their case and accents: PATH is a folder
                            with vocab.txt and tokenizer_config.json
  --kind bpe                byte-level BPE as GPT-2 has it: PATH is a folder with
                            vocab.json and merges.txt

An INPUT is a file, a folder, a quoted pattern, or - for standard input. Its
format follows from its name, unless --format is given.

The same documents, in whatever order, give the same vocabulary. PATH appears
whole or not at all, and is never overwritten. Memory grows with the number of
distinct words.`,
		Example: `  glmkit prepare vocab wiki.jsonl novels/ --size 30522 --out vocab.txt
  glmkit prepare vocab 'posts-*.jsonl.gz' --field body --size 8192 --out posts/vocab.txt
  glmkit prepare vocab novels/ --kind bpe --size 16384 --out novels-bpe`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&opts.out, "out", "", "`path` to make (required)")
	f.StringVar(&opts.kind, "kind", kindWordPiece, "wordpiece or bpe")
	f.BoolVar(&opts.cased, "cased", false, "keep case and accents (wordpiece; bpe always does)")
	f.IntVar(&opts.size, "size", 0, "tokens at most; fewer where the text repeats too little (default 30522, bpe 50257)")
	f.StringVar(&opts.read.Format, "format", "auto", "of the input: "+strings.Join(documents.Formats(), ", "))
	f.StringVar(&opts.read.Field, "field", "text", "`field` or column that holds a document's text")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.inputs, opts.read.Stdin = args, s.in
		return runPrepareVocab(cmd.Context(), s, opts)
	}
	return cmd
}

func runPrepareVocab(ctx context.Context, s streams, opts *prepareVocabOptions) (err error) {
	if opts.kind != kindWordPiece && opts.kind != kindBPE {
		return &configs.Error{Field: "--kind", Msg: fmt.Sprintf("there is no kind %q", opts.kind), Hint: kindWordPiece + " or " + kindBPE}
	}
	if opts.size == 0 {
		opts.size = map[string]int{kindWordPiece: 30522, kindBPE: 50257}[opts.kind]
	}
	// What cannot be written in the end is said before the work.
	folder := opts.cased || opts.kind == kindBPE
	before, err := vocabularyAt(opts.out, folder)
	if err != nil {
		return err
	}

	objects, err := openObjects(ctx, opts.inputs...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.close()) }()
	objects.into(&opts.read)

	var read, size int64
	docs := func(yield func(string, error) bool) {
		for doc, err := range documents.All(ctx, opts.inputs, opts.read) {
			read++
			if !yield(doc.Text, err) {
				return
			}
		}
	}
	bar := newProgress(s.err, "counting words", "B")
	made, err := trainVocabulary(opts, docs, func(done int64) {
		size = done
		bar.report(done, 0, "")
	})
	bar.done()
	switch {
	case err != nil:
		return err
	case read == 0:
		return &corpus.DataError{Path: strings.Join(opts.inputs, ", "), Err: errors.New("there is no text to train on"), Hint: "see --format and --field"}
	case before == nil:
		if err := writeVocabulary(opts.out, made, folder); err != nil {
			return fmt.Errorf("writing the vocabulary: %w", err)
		}
	case before.Hash() == made.Hash():
		fmt.Fprintf(s.err, "%s is complete: nothing to do\n", opts.out)
	default:
		return &configs.Error{Field: opts.out, Msg: "exists and is another vocabulary", Hint: "another --out, or remove it"}
	}
	_, err = fmt.Fprintf(s.out, "%s: %d tokens, from %d documents, %.1f MB of text\n", opts.out, made.Size(), read, float64(size)/1e6)
	return err
}

// trainVocabulary makes the vocabulary that opts ask for.
func trainVocabulary(opts *prepareVocabOptions, docs iter.Seq2[string, error], progress func(done int64)) (tokenizer.Tokenizer, error) {
	var made tokenizer.Tokenizer
	var err error
	if opts.kind == kindBPE {
		var c bpe.Config
		if c, err = bpe.Train(docs, opts.size, progress); err == nil {
			made, err = bpe.New(c)
		}
	} else {
		o := wordpiece.Options{KeepCase: opts.cased, KeepAccents: opts.cased}
		var vocab []string
		if vocab, err = o.Train(docs, opts.size, progress); err == nil {
			made, err = o.New(vocab)
		}
	}
	var tooSmall *wordpiece.SizeError // bpe's is the same
	if errors.As(err, &tooSmall) {
		return nil, &configs.Error{Field: "--size", Msg: tooSmall.Error(), Hint: fmt.Sprintf("--size %d or more", tooSmall.Need)}
	}
	return made, err
}

// vocabularyAt is the vocabulary that path holds, a file or a folder; nil where
// there is none, and path can be made.
func vocabularyAt(path string, folder bool) (tokenizer.Tokenizer, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, checkOutput("--out", path, "vocab.txt")
	case err != nil:
		return nil, fmt.Errorf("looking for an earlier vocabulary: %w", err)
	case info.IsDir() && !folder:
		return nil, checkOutput("--out", path, "vocab.txt")
	case !info.IsDir() && folder:
		return nil, &configs.Error{Field: path, Msg: "is a file, and this vocabulary has several", Hint: "another --out, which becomes a folder"}
	}
	if entries, err := os.ReadDir(path); folder && err == nil && len(entries) == 0 {
		return nil, nil
	}
	before, err := tokenizer.Open(path)
	if err != nil {
		return nil, &configs.Error{Field: path, Msg: "exists and is no vocabulary", Hint: "another --out, or remove it"}
	}
	return before, nil
}

// writeVocabulary makes the file, or the folder of files, whole or not at all.
func writeVocabulary(path string, made tokenizer.Tokenizer, folder bool) error {
	files := made.Files()
	if !folder {
		return renameio.WriteFile(path, files["vocab.txt"], 0o644, renameio.WithTempDir(filepath.Dir(path)))
	}
	path = filepath.Clean(path)
	parent := filepath.Dir(path)
	temporary, err := os.MkdirTemp(parent, ".unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := renameio.WriteFile(filepath.Join(temporary, name), content, 0o644, renameio.WithTempDir(temporary)); err != nil {
			return err
		}
	}
	// An empty folder makes room; one with files in it stays, and is an error.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(temporary, path)
}
