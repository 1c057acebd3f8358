// Command bench measures glmkit beside its peers: programs that do the same
// work, run in turns with it on the same cores. bench/run.sh builds it and says
// how to call it; docs/bench.md says what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// bench is one run of the benchmarks: where things are, and how much to do.
type bench struct {
	work   string // temporary folder; holds the programs of the rows
	glmkit string
	data   string // GLMKIT_DATA
	python string
	fast   bool
	rounds int
	size   size
}

// size is how much work a row does.
type size struct {
	Documents   int     // of each corpus file; 0: all
	MixedBytes  int64   // of text in mixed scripts
	LargeBytes  int64   // of the corpus that shows how much memory is used
	SpanSeconds float64 // of each measurement
	Layers      int
	Hidden      int
	Heads       int
	Batch       int // windows of 512 tokens
	Steps       int // timed, after Warmup
	PlainSteps  int // the same for the plain peer, which is slow
	Warmup      int
	Pairs       int // examples of RTE to score
	Passages    int // of ReCoRD
	Write       int // tokens of an answer
}

var (
	full = size{MixedBytes: 10e6, LargeBytes: 2e9, SpanSeconds: 3, Layers: 6, Hidden: 256, Heads: 4, Batch: 8, Steps: 10, PlainSteps: 3, Warmup: 2, Pairs: 96, Passages: 12, Write: 256}
	tiny = size{Documents: 2, MixedBytes: 200e3, LargeBytes: 20e6, SpanSeconds: 0.2, Layers: 2, Hidden: 64, Heads: 2, Batch: 2, Steps: 2, PlainSteps: 1, Warmup: 1, Pairs: 4, Passages: 2, Write: 16}
)

// run measures the rows asked for; ok is false where one of them failed.
func run(ctx context.Context, args []string) (ok bool, err error) {
	b := bench{size: full}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&b.work, "work", "", "temporary `folder` with the built programs")
	flags.StringVar(&b.glmkit, "glmkit", "./glmkit", "the `program` to measure")
	flags.StringVar(&b.data, "data", "../shared/data", "`folder` of the data, GLMKIT_DATA")
	flags.StringVar(&b.python, "python", "/usr/bin/python3", "`program` that has numpy and torch")
	flags.BoolVar(&b.fast, "fast", false, "tiny sizes, to see that everything works")
	flags.IntVar(&b.rounds, "rounds", 0, "measurements of each program (5; 2 with --fast)")
	flags.Parse(args)
	if b.fast {
		b.size = tiny
	}
	if b.rounds <= 0 {
		b.rounds = 5
		if b.fast {
			b.rounds = 2
		}
	}

	asked := flags.Args()
	for _, name := range asked {
		if !slices.ContainsFunc(measures, func(m measure) bool { return m.name == name }) {
			return false, fmt.Errorf("there is no row %q; rows are %s", name, rowNames())
		}
	}
	// The peers take the BLAS that glmkit is linked with, whatever the system prefers.
	for _, path := range linked(ctx, b.glmkit) {
		if strings.HasPrefix(filepath.Base(path), "libblas.") {
			os.Setenv("LD_LIBRARY_PATH", filepath.Dir(path)+":"+os.Getenv("LD_LIBRARY_PATH"))
		}
	}
	report := report{Date: time.Now().Format(time.DateOnly), Fast: b.fast, Asked: asked, Rounds: b.rounds, Machine: machine(ctx, &b)}
	for _, m := range measures {
		if len(asked) > 0 && !slices.Contains(asked, m.name) {
			continue
		}
		rows, err := m.measure(ctx, &b)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		report.add(rows, err)
	}
	report.Machine["load at the end"] = load()
	report.markdown(os.Stdout)
	if err := report.write(filepath.Join("bench", "results")); err != nil {
		return false, err
	}
	return !report.failed(), nil
}

// row is one line of the table: the same figure of glmkit and of a peer, once
// a round. Without a peer the goal is a bound on glmkit's own figure.
type row struct {
	Name   string    `json:"name"`
	Peer   string    `json:"peer"`
	Unit   string    `json:"unit"`
	Goal   string    `json:"goal"`
	Ours   []float64 `json:"glmkit,omitempty"`
	Theirs []float64 `json:"peer_values,omitempty"`
	Notes  []string  `json:"notes,omitempty"`
	// Missing is why there are no figures: what the machine lacks.
	Missing string `json:"missing,omitempty"`
	// Failed is what went wrong: an error, or results that are not equal.
	Failed string `json:"failed,omitempty"`
}

// ratios are ours to theirs, round by round.
func (r *row) ratios() []float64 {
	out := make([]float64, min(len(r.Ours), len(r.Theirs)))
	for i := range out {
		out[i] = r.Ours[i] / r.Theirs[i]
	}
	return out
}

func (r *row) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// missing says that a machine lacks what a row needs.
type missing string

func (m missing) Error() string { return string(m) }

// report is what a run prints and keeps.
type report struct {
	Date    string            `json:"date"`
	Fast    bool              `json:"fast"`
	Asked   []string          `json:"asked,omitempty"` // rows; none: all
	Rounds  int               `json:"rounds"`
	Machine map[string]string `json:"machine"`
	Rows    []*row            `json:"rows"`
}

// add takes the rows of a measure and its error, which stands in each of them.
func (r *report) add(rows []*row, err error) {
	for _, row := range rows {
		if reason, ok := err.(missing); ok && row.Ours == nil {
			row.Missing = string(reason)
		} else if err != nil && row.Missing == "" {
			row.Failed = err.Error()
		}
	}
	r.Rows = append(r.Rows, rows...)
}

func (r *report) failed() bool {
	return slices.ContainsFunc(r.Rows, func(row *row) bool { return row.Failed != "" })
}

// markdown prints the report as it is kept.
func (r *report) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Benchmarks, %s, %s\n\n", r.Date, r.Machine["commit"])
	if r.Fast {
		fmt.Fprint(w, "Tiny sizes (FAST=1): these figures only show that everything works.\n\n")
	}
	for _, key := range machineKeys {
		if value := r.Machine[key]; value != "" {
			fmt.Fprintf(w, "- %s: %s\n", key, value)
		}
	}
	if load, err := strconv.ParseFloat(r.Machine["load at the start"], 64); err == nil && load > 0.5 {
		fmt.Fprint(w, "\nOther programs were running when this began: trust no figure below.\n")
	}
	fmt.Fprintf(w, "\nMedians of %d rounds, in each of which glmkit and its peers ran in turns. The ratio\nis the median of the rounds' ratios; the lowest and the highest follow it.\n\n", r.Rounds)
	fmt.Fprint(w, "| what | peer | glmkit | the peer | unit | ratio | goal |\n|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		switch ratios := row.ratios(); {
		case row.Missing != "":
			fmt.Fprintf(w, "| %s | %s | | | | not measured: %s | %s |\n", row.Name, row.Peer, row.Missing, row.Goal)
		case row.Failed != "":
			fmt.Fprintf(w, "| %s | %s | | | | failed | %s |\n", row.Name, row.Peer, row.Goal)
		case row.Peer == "":
			fmt.Fprintf(w, "| %s | – | %s | | %s | | %s |\n", row.Name, figure(median(row.Ours)), row.Unit, row.Goal)
		default:
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | **%s×** (%s–%s) | %s |\n", row.Name, row.Peer,
				figure(median(row.Ours)), figure(median(row.Theirs)), row.Unit,
				figure(median(ratios)), figure(slices.Min(ratios)), figure(slices.Max(ratios)), row.Goal)
		}
	}
	for _, row := range r.Rows {
		notes := row.Notes
		if row.Failed != "" {
			notes = append([]string{"FAILED: " + row.Failed}, notes...)
		}
		for _, note := range notes {
			fmt.Fprintf(w, "\n%s: %s\n", row.Name, note)
		}
	}
}

// write keeps the report as Markdown and as JSON.
func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	name := strings.Join(append([]string{r.Date, strings.Fields(r.Machine["commit"])[0]}, r.Asked...), "-")
	if r.Fast {
		name += "-fast"
	}
	var text strings.Builder
	r.markdown(&text)
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".md", []byte(text.String()), 0o666); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: written to %s.md and .json\n", path)
	return os.WriteFile(path+".json", append(raw, '\n'), 0o666)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// figure prints three significant digits, and no fewer than the integer has.
func figure(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
