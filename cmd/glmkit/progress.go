package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a long piece of work is: a bar with rate and ETA on a
// terminal, else a plain line every few seconds. Methods may be called from
// one goroutine at a time.
type progress struct {
	w        io.Writer
	what     string
	unit     string
	bar      *progressbar.ProgressBar
	start    time.Time
	lastLine time.Time
	first    int64 // work done before this run, from an earlier one
	started  bool
}

// plainEvery is the pause between progress lines where there is no terminal.
const plainEvery = 10 * time.Second

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newProgress reports on w; what names the work, unit what is counted.
func newProgress(w io.Writer, what, unit string) *progress {
	return &progress{w: w, what: what, unit: unit, start: time.Now(), lastLine: time.Now()}
}

// report says that done of total units are done; total 0 means unknown. note
// is shown behind the figures.
func (p *progress) report(done, total int64, note string) {
	if !p.started {
		p.started, p.first = true, done
	}
	if isTerminal(p.w) {
		if p.bar == nil {
			max := total
			if max == 0 {
				max = -1
			}
			p.bar = progressbar.NewOptions64(max, progressbar.OptionSetWriter(p.w),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(p.unit),
				progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetWidth(24), progressbar.OptionFullWidth())
		}
		p.bar.Describe(strings.TrimSuffix(p.what+": "+note, ": "))
		p.bar.Set64(done)
		return
	}
	now := time.Now()
	if now.Sub(p.lastLine) < plainEvery {
		return
	}
	p.lastLine = now
	rate := float64(done-p.first) / now.Sub(p.start).Seconds()
	line := fmt.Sprintf("%s: %d", p.what, done)
	if total > 0 {
		line += fmt.Sprintf("/%d %s (%.0f%%)", total, p.unit, 100*float64(done)/float64(total))
	} else {
		line += " " + p.unit
	}
	line += fmt.Sprintf(", %.3g %s/s", rate, p.unit)
	if total > 0 && rate > 0 {
		line += ", ETA " + time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second).String()
	}
	if note != "" {
		line += ", " + note
	}
	fmt.Fprintln(p.w, line)
}

// done ends the display; the line of a bar stays.
func (p *progress) done() {
	if p.bar != nil {
		fmt.Fprintln(p.w)
	}
}
