package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

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
	lastNote time.Time
	first    int64 // work done before this run, from an earlier one
	started  bool
	noted    bool // there is a line below the bar
}

// plainEvery is the pause between progress lines where there is no terminal.
const plainEvery = 10 * time.Second

// drawEvery is the pause between two looks of a bar.
const drawEvery = 100 * time.Millisecond

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// isTerminalInput tells whether a person types what is read.
func isTerminalInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newProgress reports on w; what names the work, unit what is counted.
func newProgress(w io.Writer, what, unit string) *progress {
	return &progress{w: w, what: what, unit: unit, start: time.Now(), lastLine: time.Now()}
}

// report says that done of total units are done; total 0 means unknown. note
// is shown below a bar, behind the figures of a line.
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
				progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(drawEvery),
				progressbar.OptionSetWidth(24), progressbar.OptionFullWidth(), progressbar.OptionSetDescription(p.what))
		}
		p.bar.Set64(done)
		if now := time.Now(); note != "" && (now.Sub(p.lastNote) >= drawEvery || done == total) {
			p.lastNote, p.noted = now, true
			fmt.Fprintf(p.w, "\n\x1b[K%s\x1b[1A\r", fitting(note, columns(p.w)-1))
		}
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

// done ends the display; the lines of a bar stay.
func (p *progress) done() {
	if p.bar != nil {
		fmt.Fprintln(p.w)
	}
	if p.noted {
		fmt.Fprintln(p.w)
	}
}

// columns is how wide a terminal is.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// fitting is what fits into a width of a note, whose parts commas separate.
func fitting(note string, width int) string {
	for utf8.RuneCountInString(note) > width {
		cut := strings.LastIndex(note, ", ")
		if cut < 0 {
			return string([]rune(note)[:max(0, width)])
		}
		note = note[:cut]
	}
	return note
}
