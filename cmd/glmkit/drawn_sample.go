package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/spans"
)

// drawnSample is a window, what was drawn for it, and the block made of both:
// what inspect text and inspect sample show.
type drawnSample struct {
	place  string // of the window in its corpus, "" outside
	seed   uint64
	mode   string // of sample, or mlm for BERT's masked language model
	tokens []int32
	sample spans.Sample // of the mode mlm: empty
	block  spans.Block
	pieces []int // of block: numbers of the pieces, see pieceNumbers
	dblock int32
	name   func(id int32) string
}

// newMaskedLanguage is a window of BERT's masked language model.
func newMaskedLanguage(seed uint64, tokens []int32, block spans.Block, special spans.Special, token func(id int32) string) *drawnSample {
	d := newDrawnSample(seed, tokens, spans.Sample{}, block, special, token)
	d.mode = modeMLM
	for i, predicted := range block.LossMask {
		d.pieces[i] = int(predicted)
	}
	return d
}

func newDrawnSample(seed uint64, tokens []int32, sample spans.Sample, block spans.Block, special spans.Special, token func(id int32) string) *drawnSample {
	return &drawnSample{
		seed: seed, mode: sample.Mode.String(), tokens: tokens, sample: sample, block: block,
		pieces: pieceNumbers(len(tokens), sample, block), dblock: special.DBlock, name: tokenNames(special, token),
	}
}

// tokenNames gives tokens the names that they are shown with.
func tokenNames(special spans.Special, token func(id int32) string) func(id int32) string {
	return func(id int32) string {
		switch {
		case id == special.SOP:
			return "sop" // the vocabulary's <|startofpiece|> is too wide here
		case id == special.EOP:
			return "eop"
		case special.Sentinel >= 0 && id >= special.Sentinel:
			number := (id-special.Sentinel)/2 + 1
			return [2]string{fmt.Sprintf("[MASK%d]", number), fmt.Sprintf("sop%d", number)}[(id-special.Sentinel)%2]
		}
		if name := token(id); name != "" {
			return name
		}
		return "#" + strconv.Itoa(int(id))
	}
}

// pieceNumbers numbers the pieces of Part B, from 1, and finds their masks: by
// token of the block of n tokens of text the number of its piece, 0 for the
// rest of Part A.
func pieceNumbers(n int, s spans.Sample, b spans.Block) []int {
	numbers := make([]int, len(b.Input))
	at := b.Sep
	for i, span := range s.Spans {
		mask := span.Start
		for _, other := range s.Spans {
			if other.Start < span.Start {
				mask -= other.End - other.Start - 1
			}
		}
		numbers[mask] = i + 1
		length := span.End - span.Start + 1
		if s.Prefix {
			length-- // there is no eop
		}
		for j := range length {
			numbers[at+j] = i + 1
		}
		at += length
	}
	return numbers
}

// masked counts the tokens that are predicted in spans, or by BERT.
func (d *drawnSample) masked() int {
	n := 0
	for _, span := range d.sample.Spans {
		n += span.End - span.Start
	}
	if d.mode == modeMLM {
		for _, predicted := range d.block.LossMask {
			n += int(predicted)
		}
	}
	return n
}

// modeMLM is the mode of BERT's masked language model.
const modeMLM = "mlm"

// summary says in one line what was drawn.
func (d *drawnSample) summary() string {
	var b strings.Builder
	if d.place != "" {
		b.WriteString(d.place + ": ")
	}
	n, masked := len(d.tokens), d.masked()
	share := 100 * float64(masked) / float64(n)
	if d.mode == modeMLM {
		fmt.Fprintf(&b, "masked language model; seed %d; %d of %d tokens predicted (%.1f %%)", d.seed, masked, n, share)
		return b.String()
	}
	form := ""
	if d.sample.Mode == spans.Document {
		form = ", blank form"
		if d.sample.Prefix {
			form = ", prefix form: the end of the window, without eop"
		}
	}
	plural := "s"
	if len(d.sample.Spans) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%s spans%s; seed %d; %d of %d tokens masked (%.1f %%) in %d span%s", d.mode, form, d.seed, masked, n, share, len(d.sample.Spans), plural)
	if inA, inB := d.hidden(); inA+inB > 0 {
		fmt.Fprintf(&b, "; hidden by [dBLOCK]: %d in Part A, %d in Part B", inA, inB)
	}
	return b.String()
}

// hidden counts the tokens that [dBLOCK] hides.
func (d *drawnSample) hidden() (inA, inB int) {
	for i, id := range d.block.Input {
		switch {
		case id != d.dblock:
		case i < d.block.Sep:
			inA++
		default:
			inB++
		}
	}
	return inA, inB
}

// prompts says of each token of the window whether it is one of a prompt.
func (d *drawnSample) prompts() []bool {
	is := make([]bool, len(d.tokens))
	for _, p := range d.sample.Prompts {
		for i := max(p.Start, 0); i < min(p.End, len(is)); i++ {
			is[i] = true
		}
	}
	return is
}

// spanNumbers says of each token of the window in which span it is, numbered
// from 1 in the order of prediction; 0: in none.
func (d *drawnSample) spanNumbers() []int {
	numbers := make([]int, len(d.tokens))
	for k, span := range d.sample.Spans {
		for i := span.Start; i < span.End; i++ {
			numbers[i] = k + 1
		}
	}
	return numbers
}

// input is the block's token i.
func (d *drawnSample) input(i int) string { return d.name(d.block.Input[i]) }

func (d *drawnSample) position(i int) string { return strconv.Itoa(int(d.block.Position[i])) }

func (d *drawnSample) blockPosition(i int) string { return strconv.Itoa(int(d.block.BlockPosition[i])) }

// target is what the block's token i predicts, "-" where it is only read.
func (d *drawnSample) target(i int) string {
	if d.block.LossMask[i] == 0 {
		return "-"
	}
	return d.name(d.block.Target[i])
}

// sampleJSON is a drawn sample as --json writes it.
type sampleJSON struct {
	Place   string   `json:"place,omitempty"`
	Seed    uint64   `json:"seed"`
	Mode    string   `json:"mode"`
	Prefix  bool     `json:"prefix"`
	Tokens  []int32  `json:"tokens"` // of the window
	Text    []string `json:"text"`   // the same as the vocabulary spells them
	Spans   [][2]int `json:"spans"`  // of tokens, in the order of prediction
	Prompts [][2]int `json:"prompts"`

	Sep           int      `json:"sep"`
	Input         []int32  `json:"input"`
	InputText     []string `json:"input_text"`
	Target        []int32  `json:"target"`
	TargetText    []string `json:"target_text"`
	LossMask      []int    `json:"loss_mask"`
	Position      []int32  `json:"position"`
	BlockPosition []int32  `json:"block_position"`
	// Reads is the attention mask: how many tokens, from the first, each token
	// of the block reads.
	Reads []int `json:"reads"`
}

func (d *drawnSample) json() sampleJSON {
	names := func(ids []int32) []string {
		texts := make([]string, len(ids))
		for i, id := range ids {
			texts[i] = d.name(id)
		}
		return texts
	}
	ranges := func(sps []spans.Span) [][2]int {
		pairs := make([][2]int, len(sps))
		for i, s := range sps {
			pairs[i] = [2]int{s.Start, s.End}
		}
		return pairs
	}
	b := d.block
	j := sampleJSON{
		Place: d.place, Seed: d.seed, Mode: d.mode, Prefix: d.sample.Prefix,
		Tokens: d.tokens, Text: names(d.tokens), Spans: ranges(d.sample.Spans), Prompts: ranges(d.sample.Prompts),
		Sep: b.Sep, Input: b.Input, InputText: names(b.Input), Target: b.Target, TargetText: names(b.Target),
		Position: b.Position, BlockPosition: b.BlockPosition,
	}
	for i, l := range b.LossMask {
		j.LossMask = append(j.LossMask, int(l))
		j.Reads = append(j.Reads, max(b.Sep, i+1))
	}
	return j
}

// sampleOutput are the flags that say how a drawn sample is shown.
type sampleOutput struct {
	json     bool
	svg, png string
}

func (o *sampleOutput) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "write one JSON object")
	f.StringVar(&o.svg, "svg", "", "draw to this `file` instead")
	f.StringVar(&o.png, "png", "", "draw to this `file` instead; letters beyond Latin, Greek and Cyrillic are boxes there")
}

// show writes d to out, or draws it into the files asked for.
func (o *sampleOutput) show(out io.Writer, d *drawnSample) error {
	for _, file := range []struct {
		flag, path string
		encode     func(*picture) ([]byte, error)
	}{{"--svg", o.svg, (*picture).svg}, {"--png", o.png, (*picture).png}} {
		if file.path == "" {
			continue
		}
		if err := checkOutput(file.flag, file.path, "sample."+file.flag[2:]); err != nil {
			return err
		}
		content, err := file.encode(drawPicture(d))
		if err != nil {
			return err
		}
		if err := writeOutput("picture", file.path, content); err != nil {
			return err
		}
	}
	if o.json {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(d.json())
	}
	if written := slices.DeleteFunc([]string{o.svg, o.png}, func(path string) bool { return path == "" }); len(written) > 0 {
		_, err := fmt.Fprintf(out, "%s: %s\n", strings.Join(written, ", "), d.summary())
		return err
	}
	c := newCanvas(out)
	c.sample(d)
	return c.w.Flush()
}
