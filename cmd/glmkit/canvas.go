package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// canvas writes in a given width, in colour on a terminal. Errors stick in w.
type canvas struct {
	w       *bufio.Writer
	columns int
	colour  bool
	// text and tokens bound what is shown of a window: its words, and the columns
	// of a table of its tokens; 0: all.
	text, tokens int
}

func newCanvas(out io.Writer) *canvas {
	c := &canvas{w: bufio.NewWriter(out), columns: 100}
	if isTerminal(out) {
		if columns, _, err := term.GetSize(int(out.(*os.File).Fd())); err == nil && columns > 20 {
			c.columns = columns
		}
		c.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return c
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(c.w, format, args...) }

// cell is a text in the colour of a piece: 0 plain, else the piece's number;
// prompt is faint.
type cell struct {
	text  string
	piece int
}

const prompt = -1

// pieceColours are ANSI colours in which neighbours differ.
var pieceColours = []int{33, 36, 35, 32, 34, 31}

func (c *canvas) paint(x cell) string {
	if !c.colour || x.piece == 0 || x.text == "" {
		return x.text
	}
	code := 2
	if x.piece > 0 {
		code = pieceColours[(x.piece-1)%len(pieceColours)]
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, x.text)
}

// flow writes words with spaces between, in as many lines as they need.
func (c *canvas) flow(words []cell) {
	used := 0
	for i, word := range words {
		w := cellWidth(word.text)
		if i > 0 && used+1+w > c.columns {
			c.printf("\n")
			used = 0
		} else if i > 0 {
			c.printf(" ")
			used++
		}
		c.printf("%s", c.paint(word))
		used += w
	}
	c.printf("\n")
}

func (c *canvas) heading(text string) {
	if c.colour {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	c.printf("\n%s\n", text)
}

// table shows rows of equal length under one another, as many columns at a
// time as fit.
func (c *canvas) table(names []string, rows ...[]cell) {
	label := 0
	for _, name := range names {
		label = max(label, len(name))
	}
	n := len(rows[0])
	for from := 0; from < n; {
		if from > 0 {
			c.printf("\n")
		}
		var widths []int
		used := label
		for i := from; i < n; i++ {
			w := 0
			for _, row := range rows {
				w = max(w, cellWidth(row[i].text))
			}
			if used += w + 2; used > c.columns && i > from {
				break
			}
			widths = append(widths, w)
		}
		for r, row := range rows {
			c.printf("%-*s", label, names[r])
			for i, w := range widths {
				x := row[from+i]
				c.printf("  %s%s", strings.Repeat(" ", w-cellWidth(x.text)), c.paint(x))
			}
			c.printf("\n")
		}
		from += len(widths)
	}
}

// cellWidth is the number of terminal columns that text takes.
func cellWidth(text string) int {
	n := 0
	for _, r := range text {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}

// cut shortens text to at most n columns.
func cut(text string, n int) string {
	if cellWidth(text) <= n {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && cellWidth(string(runes)) > n-1 {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
