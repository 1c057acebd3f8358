package main

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"
)

// Sizes in pixels.
const (
	margin      = 24.0
	widest      = 1200.0 // a strip of tokens that is longer wraps
	wordSize    = 12.0   // fonts
	numberSize  = 10.0
	wordHeight  = 20.0
	lineHeight  = 14.0 // of a row of numbers
	largestMask = 640.0
)

func rgb(hex uint32) color.RGBA {
	return color.RGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 0xff}
}

// pieceFills and pieceInks are the colours of the pieces, pale for surfaces and
// dark for text; neighbours differ for colour-blind eyes too (after Okabe and
// Ito).
var (
	pieceFills = []color.RGBA{rgb(0xfbd38d), rgb(0xa8d8f0), rgb(0xe9bcd8), rgb(0x9fdcc0), rgb(0xf5b8a0), rgb(0xb3c7ee), rgb(0xf1e58f)}
	pieceInks  = []color.RGBA{rgb(0x9c5700), rgb(0x0b6a97), rgb(0x8f3a70), rgb(0x00694c), rgb(0xa63a00), rgb(0x28499c), rgb(0x6f6300)}
)

var (
	ink      = rgb(0x1f2937)
	faint    = rgb(0x6b7280)
	surface  = rgb(0xf1f3f6) // of a token that is in no span
	hiddenBy = rgb(0x4b5563) // of [dBLOCK]
	readable = rgb(0xc5ced9) // of Part A in the mask
	white    = rgb(0xffffff)
	unread   = rgb(0xf8f9fb)
)

func pieceFill(n int) color.RGBA { return pieceFills[(n-1)%len(pieceFills)] }
func pieceInk(n int) color.RGBA  { return pieceInks[(n-1)%len(pieceInks)] }

// drawPicture draws a sample: window, Part A, Part B, and the attention mask.
func drawPicture(d *drawnSample) *picture {
	p := &picture{}
	y := margin
	for _, line := range wrapWords(d.summary(), int((widest-2*margin)/(advance*wordSize))) {
		p.text(margin, y+wordSize, wordSize, ink, alignStart, line)
		y += 1.5 * wordSize
	}
	y = p.legend(d, y+4)

	b := d.block
	input := stripRow{"input", d.input, true}
	positions := []stripRow{{"position", d.position, false}, {"block position", d.blockPosition, false}}
	blockStyle := func(i int) (int, bool, bool) { return d.pieces[i], b.Input[i] == d.dblock, false }
	if d.mode == modeMLM {
		p.strip("Input and targets", y, 0, len(b.Input), []stripRow{input, {"target", d.target, false}, positions[0]}, blockStyle)
		return p.framed()
	}
	numbers, prompts := d.spanNumbers(), d.prompts()
	y = p.strip("Window", y, 0, len(d.tokens), []stripRow{
		{"text", func(i int) string { return d.name(d.tokens[i]) }, true},
		{"span", func(i int) string {
			if n := numbers[i]; n > 0 && (i == 0 || numbers[i-1] != n) {
				return strconv.Itoa(n)
			}
			return ""
		}, false},
	}, func(i int) (int, bool, bool) { return numbers[i], false, prompts[i] })
	y = p.strip(fmt.Sprintf("Part A: the corrupted text, %d tokens", b.Sep), y, 0, b.Sep, append([]stripRow{input}, positions...), blockStyle)
	if n := len(b.Input) - b.Sep; n > 0 {
		y = p.strip(fmt.Sprintf("Part B: the spans in the order of prediction, %d tokens", n), y, b.Sep, len(b.Input),
			append([]stripRow{input, {"target", d.target, true}}, positions...), blockStyle)
	}
	p.attention(d, y)
	return p.framed()
}

// framed leaves a margin at the right and below.
func (p *picture) framed() *picture {
	p.width, p.height = p.width+margin, p.height+margin
	return p
}

// legend explains the colours of the tokens; it returns where to go on.
func (p *picture) legend(d *drawnSample, y float64) float64 {
	x := margin
	entry := func(fill color.RGBA, text string) {
		p.box(x, y, 14, 14, fill)
		p.text(x+20, y+11, numberSize, faint, alignStart, text)
		x += 20 + textWidth(text, numberSize) + 24
	}
	if d.mode == modeMLM {
		entry(pieceFill(1), "predicted")
		return y + 14
	}
	examples := max(1, min(len(d.sample.Spans), 3))
	for k := 1; k < examples; k++ {
		p.box(x, y, 14, 14, pieceFill(k))
		x += 16
	}
	entry(pieceFill(examples), "a span, its mask and its piece, numbered as Part B predicts them")
	if inA, inB := d.hidden(); inA+inB > 0 {
		entry(hiddenBy, "hidden by [dBLOCK]")
	}
	return y + 14
}

// stripRow is one row of a strip; a row of words has boxes in the colours of
// the pieces.
type stripRow struct {
	name  string
	cell  func(i int) string
	words bool
}

func (r stripRow) size() float64 {
	if r.words {
		return wordSize
	}
	return numberSize
}

func (r stripRow) height() float64 {
	if r.words {
		return wordHeight
	}
	return lineHeight
}

// strip draws the columns from from to to of some rows under a heading, in as
// many lines as they need, and returns where to go on. style says of a column
// its piece, whether it is hidden, and whether it is a prompt.
func (p *picture) strip(heading string, y float64, from, to int, rows []stripRow, style func(i int) (piece int, hidden, prompt bool)) float64 {
	y += 30
	p.text(margin, y, wordSize+1, ink, alignStart, heading)
	y += 10
	left, height := margin+textWidth("block position", numberSize)+10, 8.0 // the same for all strips
	for _, r := range rows {
		height += r.height()
	}
	for i := from; i < to; {
		top := y
		for _, r := range rows {
			p.text(left-10, top+r.height()/2+numberSize/3, numberSize, faint, alignEnd, r.name)
			top += r.height()
		}
		for x := left; i < to; i++ {
			w := wordHeight
			for _, r := range rows {
				w = max(w, textWidth(r.cell(i), r.size())+8)
			}
			if x > left && x+w > widest-margin {
				break
			}
			p.column(x, y, w, i, rows, style)
			x += w + 2
		}
		y += height
	}
	return y - 8
}

// column draws one token of a strip.
func (p *picture) column(x, y, w float64, i int, rows []stripRow, style func(i int) (piece int, hidden, prompt bool)) {
	piece, hidden, prompt := style(i)
	for k, r := range rows {
		fill, word, number := surface, ink, faint
		if prompt {
			word = faint
		}
		if piece > 0 {
			fill, number = pieceFill(piece), pieceInk(piece)
		}
		if hidden && k == 0 {
			fill, word = hiddenBy, white
		}
		text := number
		if r.words {
			p.box(x, y, w, r.height()-2, fill)
			text = word
		}
		p.text(x+w/2, y+r.height()/2+r.size()/3-1, r.size(), text, alignMiddle, r.cell(i))
		y += r.height()
	}
}

// attention draws the mask: a row is a token that reads, a column one that may
// be read.
func (p *picture) attention(d *drawnSample, y float64) {
	b := d.block
	n := len(b.Input)
	cell := min(largestMask/float64(n), 16)
	named := cell >= 9 // the rows have room for their tokens
	y += 30
	p.text(margin, y, wordSize+1, ink, alignStart, fmt.Sprintf("Attention mask, %d × %d: each row is a token, and reads the coloured columns", n, n))
	y += 14
	names := textWidth("Part A", numberSize)
	if named {
		for _, id := range b.Input {
			names = max(names, textWidth(cut(d.name(id), 16), numberSize))
		}
	}
	x := margin + names + 8
	side, partA := cell*float64(n), cell*float64(b.Sep)

	// The head names the columns: Part A, and the pieces by their number.
	p.box(x, y, partA, 14, readable)
	if d.pieces[0] == 0 {
		p.text(x+3, y+11, numberSize, ink, alignStart, "A")
	}
	for i := 0; i < n; {
		k, from := d.pieces[i], i
		for i++; i < n && i >= b.Sep && d.pieces[i] == k; i++ {
		}
		if k == 0 {
			continue
		}
		p.box(x+cell*float64(from), y, cell*float64(i-from), 14, pieceFill(k))
		if text := strconv.Itoa(k); textWidth(text, numberSize) <= cell*float64(i-from) {
			p.text(x+cell*float64(from+i)/2, y+11, numberSize, pieceInk(k), alignMiddle, text)
		}
	}
	y += 18

	p.box(x, y, side, side, unread)
	p.box(x, y, partA, side, readable)
	for i := range n {
		k := d.pieces[i]
		switch at := cell * float64(i); {
		case i >= b.Sep:
			p.box(x+at, y+at, cell, side-at, pieceFill(k))
		case k > 0:
			p.box(x+at, y, cell, side, pieceFill(k))
		}
	}
	if cell >= 5 {
		for i := range n + 1 {
			at := cell*float64(i) - 0.5
			p.box(x+at, y, 1, side, white)
			p.box(x, y+at, side, 1, white)
		}
	}
	// Lines between the parts.
	if b.Sep < n {
		p.box(x+partA-0.5, y, 1, side, ink)
		p.box(x, y+partA-0.5, side, 1, ink)
	}
	if named {
		for i, id := range b.Input {
			colour := ink
			if k := d.pieces[i]; k > 0 {
				colour = pieceInk(k)
			}
			p.text(x-6, y+cell*(float64(i)+0.5)+numberSize/3, numberSize, colour, alignEnd, cut(d.name(id), 16))
		}
	} else {
		p.text(x-6, y+partA/2, numberSize, ink, alignEnd, "Part A")
		if b.Sep < n {
			p.text(x-6, y+(partA+side)/2, numberSize, ink, alignEnd, "Part B")
		}
	}
	x, y = x+side+24, y+10
	for _, entry := range []struct {
		fill color.RGBA
		text string
	}{
		{readable, "Part A, read by every token"},
		{pieceFill(1), "a mask in Part A, and its piece in Part B, read backwards only"},
		{unread, "not read"},
	} {
		p.box(x, y, 14, 14, faint)
		p.box(x+1, y+1, 12, 12, entry.fill)
		p.text(x+20, y+11, numberSize, faint, alignStart, entry.text)
		y += 22
	}
}

// wrapWords breaks a text into lines of at most n characters, where it has
// spaces.
func wrapWords(text string, n int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && cellWidth(lines[last])+1+cellWidth(word) <= n {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
