package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/documents"
	"github.com/glmkit/glmkit/corpus/tokenizer"
)

type prepareCorpusOptions struct {
	inputs, sources, decontaminate []string
	tokenizer, out, upload         string
	format, field, prompt          string
	task, stage                    string
	strict, explain, restart, json bool
	jobs                           int
	config                         func() (*configs.Config, error)
}

func newPrepareCorpus(s streams) *cobra.Command {
	opts := &prepareCorpusOptions{}
	cmd := &cobra.Command{
		Use:   "corpus INPUT... --tokenizer VOCAB --out DIR",
		Short: "Tokenise documents and pack them into windows with their masked spans",
		Long: `Tokenise documents, draw training windows of them with the spans to be
masked, and write them to DIR as Arrow files with a manifest.json.

An INPUT is a file, a folder, a quoted pattern, the URL of one of these in an
object store (s3, gs, azblob), or - for the standard input. The
format follows from the name (.jsonl, .json, .txt, …; anything else is text with
a document on each line) unless --format gives it; compressed files are found by
their content. --source gives input a name and, with weights, a share of the
training windows.

The configuration's data, clean and objective decide what is made; the number of
jobs and of tasks does not. An interrupted run continues when the same command is
given again, and ends with the same bytes; --explain tells what it would do.

Several machines share the work through DIR alone: give each the same command
with --task I/N, I from 0, then glmkit prepare merge DIR. --task auto takes I and N
from Slurm's job array (SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT); --task auto/N
takes I from SLURM_ARRAY_TASK_ID or Kubernetes' JOB_COMPLETION_INDEX as it is. Half
way every task waits for all others; where they do not run at the same time, give
--stage tokenise to all of them first, then --stage draw.`,
		Example: `  glmkit prepare corpus wiki.jsonl novels/ --tokenizer vocab.txt --out pretrain
  glmkit prepare corpus 'pile/*.jsonl.zst' --tokenizer vocab.txt --out pretrain --config glm-large --set data.valid=0.001
  glmkit prepare corpus --source wiki:3=wiki/ --source web:1='web/*.parquet' --decontaminate SuperGLUE --tokenizer gpt2/ --out mixed
  zcat posts.gz | glmkit prepare corpus - --format jsonl --field body --tokenizer vocab.txt --out posts
  glmkit prepare corpus pile/ --tokenizer vocab.txt --out pretrain --task 3/16`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(opts.sources) > 0 {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&opts.sources, "source", nil, "more input, by `NAME[:WEIGHT]=PATH`; the same name again adds a path")
	addTokenizerFlag(cmd, &opts.tokenizer)
	f.StringVar(&opts.out, "out", "", "`folder` to make (required)")
	f.StringVar(&opts.upload, "upload", "", "copy the finished folder to this `URL` of an object store")
	f.StringVar(&opts.format, "format", "auto", "`format` of all input: "+strings.Join(documents.Formats(), ", "))
	f.StringVar(&opts.field, "field", "text", "`field` or column that holds a document's text")
	f.StringVar(&opts.prompt, "prompt-field", "", "`field` or column that holds a prompt, which is read but not predicted")
	f.BoolVar(&opts.strict, "strict", false, "stop at the first problem of the input instead of mending and counting it")
	f.StringArrayVar(&opts.decontaminate, "decontaminate", nil, "leave out documents that repeat the text of this task `file or folder`; may be repeated")
	f.StringVar(&opts.task, "task", "", "do one share of the work, `I/N`, auto or auto/N")
	f.StringVar(&opts.stage, "stage", "", "do only this `stage`: tokenise, or draw")
	f.BoolVar(&opts.explain, "explain", false, "only say what would be done, and why")
	f.BoolVar(&opts.restart, "restart", false, "throw away what an earlier command has made in the folder")
	f.IntVar(&opts.jobs, "jobs", runtime.GOMAXPROCS(0), "goroutines that tokenise and draw")
	f.BoolVar(&opts.json, "json", false, "write the result as JSON")
	opts.config = addConfigFlags(cmd, "")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.inputs = args
		return runPrepareCorpus(cmd.Context(), s, opts)
	}
	return cmd
}

func runPrepareCorpus(ctx context.Context, s streams, opts *prepareCorpusOptions) (err error) {
	if err := checkUpload(opts.out, opts.upload); err != nil {
		return err
	}
	config, err := opts.config()
	if err != nil {
		return err
	}
	sources, err := corpusSources(opts.inputs, opts.sources)
	if err != nil {
		return err
	}
	task, err := corpusTask(opts.task, os.Getenv)
	if err != nil {
		return err
	}
	only, err := corpusStage(opts.stage)
	if err != nil {
		return err
	}
	if opts.upload != "" && (task.Count > 0 || only != "") {
		return &configs.Error{Field: "--upload", Msg: "a part of the work makes no corpus yet", Hint: "glmkit prepare merge " + opts.out + " --upload " + opts.upload}
	}
	paths := []string{opts.upload}
	for _, source := range sources {
		paths = append(paths, source.Paths...)
	}
	objects, err := openObjects(ctx, paths...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.close()) }()
	vocabulary, err := tokenizer.Open(opts.tokenizer)
	if err != nil {
		return err
	}
	if length := config.CutLength(); length > 0 {
		fmt.Fprintf(s.err, "windows of %d tokens, the model's positions, where the configuration has %d\n", config.Data.SeqLength, length)
	}
	bars := stageBars{s: s}
	start := time.Now()
	prepare := corpus.PrepareOptions{
		Sources:   sources,
		Documents: documents.Options{Format: opts.format, Field: opts.field, Prompt: opts.prompt, Strict: opts.strict, Stdin: s.in},
		Tokenizer: vocabulary, TokenizerName: vocabularyName(opts.tokenizer), Decontaminate: opts.decontaminate,
		Config: config, Out: opts.out, Jobs: opts.jobs, Task: task, Only: only, Restart: opts.restart,
		Version: versionString(), Progress: bars.report,
	}
	objects.into(&prepare.Documents)
	if opts.explain {
		explanation, err := corpus.Explain(ctx, prepare)
		bars.done()
		if err != nil {
			return err
		}
		return writeExplanation(s, explanation, opts)
	}
	done, err := corpus.Prepare(ctx, prepare)
	bars.done()
	if err != nil {
		return err
	}
	if done.Already {
		fmt.Fprintf(s.err, "%s is complete: nothing to do\n", opts.out)
	}
	if err := writePrepared(s, opts.out, done, task, only, time.Since(start), opts.json); err != nil {
		return err
	}
	return objects.upload(s, opts.out, opts.upload)
}

// corpusSources makes sources of arguments and of values of --source.
func corpusSources(inputs, named []string) ([]corpus.SourceInput, error) {
	var sources []corpus.SourceInput
	if len(inputs) > 0 {
		sources = append(sources, corpus.SourceInput{Paths: inputs})
	}
	for _, value := range named {
		bad := func(msg string) error {
			return &configs.Error{Field: "--source", Msg: fmt.Sprintf("%q: %s", value, msg), Hint: "--source NAME=PATH, or --source NAME:WEIGHT=PATH"}
		}
		name, path, ok := strings.Cut(value, "=")
		if !ok || path == "" {
			return nil, bad("there is no path")
		}
		weight := 0.0
		if before, text, ok := strings.Cut(name, ":"); ok {
			var err error
			if weight, err = strconv.ParseFloat(text, 64); err != nil || !(weight > 0) || weight > 1e9 {
				return nil, bad(fmt.Sprintf("%q is no weight above 0", text))
			}
			name = before
		}
		if name == "" {
			return nil, bad("there is no name")
		}
		at := -1
		for i := range sources {
			if sources[i].Name == name {
				at = i
			}
		}
		if at < 0 {
			sources = append(sources, corpus.SourceInput{Name: name, Weight: weight, Paths: []string{path}})
			continue
		}
		if weight != 0 && sources[at].Weight != 0 && weight != sources[at].Weight {
			return nil, bad(fmt.Sprintf("the source has the weight %g already", sources[at].Weight))
		}
		sources[at].Weight = max(weight, sources[at].Weight)
		sources[at].Paths = append(sources[at].Paths, path)
	}
	return sources, nil
}

// corpusTask reads --task: I/N, or what a job array says.
func corpusTask(value string, env func(string) string) (corpus.Task, error) {
	if value == "" {
		return corpus.Task{}, nil
	}
	bad := func(msg string) (corpus.Task, error) {
		return corpus.Task{}, &configs.Error{Field: "--task", Msg: msg, Hint: "--task I/N with I from 0 to N-1, or auto or auto/N in a job array"}
	}
	number := func(name string) (int, bool) {
		n, err := strconv.Atoi(env(name))
		return n, err == nil
	}
	index, count, ok := strings.Cut(value, "/")
	if index == "auto" && !ok {
		id, haveID := number("SLURM_ARRAY_TASK_ID")
		n, haveCount := number("SLURM_ARRAY_TASK_COUNT")
		first, haveFirst := number("SLURM_ARRAY_TASK_MIN")
		if !haveID || !haveCount || !haveFirst {
			return bad("this is no task of a Slurm job array: SLURM_ARRAY_TASK_ID, _COUNT and _MIN are not all set")
		}
		if step, ok := number("SLURM_ARRAY_TASK_STEP"); ok && step > 1 {
			id, first = id/step, first/step
		}
		if id-first < 0 || id-first >= n {
			return bad(fmt.Sprintf("SLURM_ARRAY_TASK_ID=%d does not count from SLURM_ARRAY_TASK_MIN=%d in even steps: say how many tasks there are in all", id, first))
		}
		return corpus.Task{Index: id - first, Count: n}, nil
	}
	t := corpus.Task{}
	var err error
	if t.Count, err = strconv.Atoi(count); err != nil || t.Count < 1 {
		return bad(fmt.Sprintf("%q is no share of the work", value))
	}
	if index != "auto" {
		if t.Index, err = strconv.Atoi(index); err != nil {
			return bad(fmt.Sprintf("%q is no share of the work", value))
		}
	} else if t.Index, ok = number("SLURM_ARRAY_TASK_ID"); !ok {
		if t.Index, ok = number("JOB_COMPLETION_INDEX"); !ok {
			return bad("this is no task of a job array: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set")
		}
	}
	if t.Index < 0 || t.Index >= t.Count {
		return bad(fmt.Sprintf("there is no task %d of %d", t.Index, t.Count))
	}
	return t, nil
}

// corpusStage reads --stage.
func corpusStage(value string) (corpus.Stage, error) {
	switch value {
	case "":
		return "", nil
	case "tokenise":
		return corpus.Tokenise, nil
	case "draw":
		return corpus.Draw, nil
	}
	return "", &configs.Error{Field: "--stage", Msg: fmt.Sprintf("there is no stage %q", value), Hint: "tokenise or draw; leave it out for both"}
}

// preparedSummary is the result of prepare corpus and prepare merge in JSON.
type preparedSummary struct {
	Out      string `json:"out"`
	Complete bool   `json:"complete"` // there is a manifest
	Task     string `json:"task,omitempty"`
	Pieces   int    `json:"pieces,omitempty"` // of the task, all done
	// Tokenised is the bytes of input that this run read.
	Tokenised int64           `json:"tokenised_bytes"`
	Seconds   float64         `json:"seconds"`
	Documents int64           `json:"documents,omitempty"`
	Tokens    int64           `json:"tokens,omitempty"`
	Windows   int64           `json:"windows,omitempty"`
	Shards    int             `json:"shards"`
	Splits    []corpus.Split  `json:"splits,omitempty"`
	Sources   []corpus.Source `json:"sources,omitempty"`
}

// writePrepared says what was made.
func writePrepared(s streams, out string, done *corpus.Prepared, task corpus.Task, only corpus.Stage, took time.Duration, asJSON bool) error {
	m := done.Manifest
	if asJSON {
		summary := preparedSummary{Out: out, Complete: m != nil, Pieces: done.Pieces, Shards: done.Shards, Tokenised: done.Tokenised, Seconds: took.Seconds()}
		if task.Count > 0 {
			summary.Task = task.String()
		}
		if m != nil {
			summary.Documents, summary.Tokens, summary.Windows, summary.Shards = m.Documents, m.Tokens, m.Windows, m.Shards()
			summary.Splits, summary.Sources = m.Splits, m.Sources
		}
		return writeJSON(s.out, summary)
	}
	var line strings.Builder
	switch {
	case m == nil && task.Count > 0:
		fmt.Fprintf(&line, "%s: task %s has finished %d pieces of input", out, task, done.Pieces)
		if only != corpus.Tokenise {
			fmt.Fprintf(&line, " and %d shards; after all tasks: glmkit prepare merge %s", done.Shards, out)
		} else {
			line.WriteString("; after all tasks: --stage draw")
		}
	case m == nil:
		fmt.Fprintf(&line, "%s: the input is tokenised in %d pieces; next: --stage draw", out, done.Pieces)
	default:
		train := m.Split(corpus.TrainSplit)
		fmt.Fprintf(&line, "%s: %d documents, %d tokens, %d windows in %d shards, %.1f%% masked", out, m.Documents, m.Tokens, m.Windows, m.Shards(), 100*train.Statistics.MaskedFraction)
		for _, split := range m.Splits[1:] {
			fmt.Fprintf(&line, ", %d windows to %s", split.Windows, map[string]string{corpus.ValidSplit: "validate", corpus.TestSplit: "test"}[split.Name])
		}
	}
	if done.Tokenised > 0 {
		fmt.Fprintf(&line, ", %.1f MB/s", float64(done.Tokenised)/1e6/took.Seconds())
	}
	if m != nil {
		for _, source := range m.Sources {
			writeFindings(&line, source.Name, "dropped", source.Counts.Dropped)
			writeFindings(&line, source.Name, "found", source.Counts.Problems)
		}
	}
	_, err := fmt.Fprintln(s.out, line.String())
	return err
}

// writeFindings adds a line for each of the findings, but for blank records,
// which are nothing to worry about.
func writeFindings(line *strings.Builder, source, verb string, findings []corpus.Finding) {
	for _, f := range findings {
		if f.Reason == "blank_records" {
			continue
		}
		line.WriteString("\n  ")
		if source != "" {
			line.WriteString(source + ": ")
		}
		fmt.Fprintf(line, "%s %d %s", verb, f.Count, f.Reason)
		if len(f.Examples) > 0 {
			fmt.Fprintf(line, ", first at %s", f.Examples[0])
		}
	}
}

// writeExplanation says what the command would do.
func writeExplanation(s streams, e *corpus.Explanation, opts *prepareCorpusOptions) error {
	if opts.json {
		return writeJSON(s.out, e)
	}
	switch e.State {
	case corpus.FolderNew:
		fmt.Fprintf(s.out, "%s: new; the command makes it\n", e.Out)
	case corpus.FolderUnfinished:
		fmt.Fprintf(s.out, "%s: begun; the command goes on with it\n", e.Out)
	case corpus.FolderFinished:
		fmt.Fprintf(s.out, "%s: complete; there is nothing to do\n", e.Out)
	case corpus.FolderDiffers:
		verb := "refuses, because what is there differs"
		if opts.restart {
			verb = "throws away what is there, because of --restart; it differs anyway"
		}
		fmt.Fprintf(s.out, "%s: the command %s:\n", e.Out, verb)
	}
	if opts.restart && e.State != corpus.FolderDiffers && e.State != corpus.FolderNew {
		fmt.Fprintln(s.out, "but --restart throws it away and begins anew")
	}
	for _, difference := range e.Differences {
		fmt.Fprintf(s.out, "  %s\n", difference)
	}
	for _, anew := range e.Anew {
		fmt.Fprintf(s.out, "begun anew: %s\n", anew)
	}
	if len(e.Work) == 0 {
		return nil
	}
	rows := [][]string{{"stage", "task", "done", "left", "note"}}
	for _, share := range e.Work {
		done, left := shareAmounts(share)
		rows = append(rows, []string{string(share.Stage), share.Task, done, left, share.Note})
	}
	return printRows(s.out, rows)
}

// shareAmounts says how much of a share is done, and how much is left.
func shareAmounts(s corpus.Share) (done, left string) {
	amount := func(n, amount int64) string {
		switch s.Unit {
		case "pieces":
			return fmt.Sprintf("%d pieces, %.1f MB", n, float64(amount)/1e6)
		case "shards":
			return fmt.Sprintf("%d shards, %d windows", n, amount)
		}
		return map[int64]string{0: "no", 1: "yes"}[n]
	}
	if s.Total < 0 {
		return "nothing", "all"
	}
	return amount(s.Done, s.DoneAmount), amount(s.Total-s.Done, s.TotalAmount-s.DoneAmount)
}

// vocabularyName is what people call a vocabulary: vocab.txt alone says
// nothing, its folder's name does.
func vocabularyName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	switch name {
	case "vocab.txt", "vocab.json", "tokenizer.json", "encoder.json", "merges.txt", "vocab.bpe":
		return filepath.Base(filepath.Dir(path))
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, ".txt"), ".model")
}

// stageBars shows one progress display after the other.
type stageBars struct {
	s     streams
	stage corpus.Stage
	bar   *progress
}

var stageUnits = map[corpus.Stage]string{
	corpus.Check: "B", corpus.Tokenise: "B", corpus.Verify: "B",
	corpus.Wait: "pieces", corpus.Survey: "documents", corpus.Draw: "windows",
}

func (b *stageBars) report(p corpus.Progress) {
	if b.bar == nil || p.Stage != b.stage {
		b.done()
		b.stage, b.bar = p.Stage, newProgress(b.s.err, string(p.Stage), stageUnits[p.Stage])
	}
	b.bar.report(p.Done, p.Total, p.Note)
}

func (b *stageBars) done() {
	if b.bar != nil {
		b.bar.done()
	}
	b.bar = nil
}

func writeJSON(w io.Writer, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(content, '\n'))
	return err
}
