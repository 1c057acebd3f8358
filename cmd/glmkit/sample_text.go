package main

import (
	"fmt"
	"strconv"
	"strings"
)

// maskCells bounds the picture of the attention mask in text, in rows and in
// columns.
const maskCells = 60

// sample shows a drawn sample whole.
func (c *canvas) sample(d *drawnSample) {
	c.printf("%s\n", d.summary())
	if d.mode == modeMLM {
		c.maskedLanguage(d)
		return
	}
	c.window(d)
	c.parts(d)
	c.attention(d)
}

// window shows the text with each span in braces, numbered as Part B predicts.
func (c *canvas) window(d *drawnSample) {
	c.heading("Window")
	numbers, prompts := d.spanNumbers(), d.prompts()
	words := make([]cell, len(d.tokens))
	for i, id := range d.tokens {
		words[i] = cell{d.name(id), numbers[i]}
		switch n := numbers[i]; {
		case n > 0:
			if i == 0 || numbers[i-1] != n {
				words[i].text = fmt.Sprintf("{%d:%s", n, words[i].text)
			}
			if i+1 == len(numbers) || numbers[i+1] != n {
				words[i].text += "}"
			}
		case prompts[i]:
			words[i].piece = prompt
		}
	}
	c.flow(upTo(c.text, words))
}

// parts shows Part A and Part B with their positions.
func (c *canvas) parts(d *drawnSample) {
	c.partA("the corrupted text", d)
	if d.block.Sep == len(d.block.Input) {
		c.printf("\nThe window has nothing that may be masked: Part B is empty.\n")
		return
	}
	c.partB("the spans in the order of prediction", d)
}

func (c *canvas) partA(what string, d *drawnSample) {
	n := d.block.Sep
	c.heading(fmt.Sprintf("Part A: %s, %d tokens", what, n))
	c.columnsOf([]string{"input", "position", "block position"}, d, 0, n, d.input, d.position, d.blockPosition)
}

func (c *canvas) partB(what string, d *drawnSample) {
	from, to := d.block.Sep, len(d.block.Input)
	c.heading(fmt.Sprintf("Part B: %s, %d tokens", what, to-from))
	c.columnsOf([]string{"input", "target", "position", "block position"}, d, from, to, d.input, d.target, d.position, d.blockPosition)
}

// columnsOf is a table with a column for each token from one up to another, in
// the colour of its piece.
func (c *canvas) columnsOf(names []string, d *drawnSample, from, to int, rows ...func(i int) string) {
	table := make([][]cell, len(rows))
	for k, row := range rows {
		for i := from; i < to; i++ {
			table[k] = append(table[k], cell{row(i), d.pieces[i]})
		}
		table[k] = upTo(c.tokens, table[k])
	}
	c.table(names, table...)
}

// upTo cuts cells to at most a number of them; 0: to none fewer.
func upTo(most int, cells []cell) []cell {
	if most == 0 || len(cells) <= most {
		return cells
	}
	return append(cells[:most:most], cell{"…", 0})
}

// maskedLanguage shows the input of BERT's masked language model and its
// targets.
func (c *canvas) maskedLanguage(d *drawnSample) {
	c.heading("Input and targets")
	c.columnsOf([]string{"input", "target", "position"}, d, 0, len(d.block.Input), d.input, d.target, strconv.Itoa)
	c.printf("\nEvery token reads every token.\n")
}

// attention draws the mask: Part A is read by all, Part B only backwards.
func (c *canvas) attention(d *drawnSample) {
	b := d.block
	n := len(b.Input)
	step := (n + maskCells - 1) / maskCells // tokens per character
	c.heading(fmt.Sprintf("Attention mask, %d × %d", n, n))
	if step > 1 {
		c.printf("Too large to draw whole: a character stands for %d × %d tokens.\n", step, step)
	}
	gap := ""
	if n <= maskCells/2 {
		gap = " " // squares rather than bars
	}
	label := 0
	for _, id := range b.Input {
		label = max(label, min(cellWidth(d.name(id)), 16))
	}
	if step > 1 {
		label = len(strconv.Itoa(n))
	}

	c.printf("%*s", label+1, "")
	for from := 0; from < n; from += step {
		x := cell{"A", 0}
		if from >= b.Sep {
			x = cell{"B", d.pieces[from]}
			if step == 1 {
				x.text = string(rune('0' + d.pieces[from]%10))
			}
		}
		c.printf("%s%s", gap, c.paint(x))
	}
	c.printf("\n")
	for from := 0; from < n; from += step {
		name := cell{strconv.Itoa(from), 0}
		if step == 1 {
			name = cell{cut(d.name(b.Input[from]), label), d.pieces[from]}
		}
		c.printf("%s%s ", strings.Repeat(" ", label-cellWidth(name.text)), c.paint(name))
		for column := 0; column < n; column += step {
			c.printf("%s%s", gap, maskCell(b.Sep, n, from, column, step))
		}
		c.printf("\n")
	}
}

// maskCell is the character of step × step pairs of the mask.
func maskCell(sep, n, row, column, step int) string {
	readable, all := 0, 0
	for i := row; i < min(row+step, n); i++ {
		for j := column; j < min(column+step, n); j++ {
			all++
			if j < sep || j <= i {
				readable++
			}
		}
	}
	switch readable {
	case 0:
		return "·"
	case all:
		return "■"
	}
	return "▪"
}
