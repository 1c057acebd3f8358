package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/spans"
)

// template is a row of parts, each tokenized by itself, so that no word forms
// across a border and a leading space counts where a vocabulary minds it.
//
//	▢         the blank
//	✂…        a part that may be shortened when the sequence is too long
//	←✂…       the same, from its beginning
//	{field}   the example's text of that name
//
// Only the template is read for these signs, never what a field holds.
type template []string

const (
	blankSign = "▢"
	scissors  = "✂"
	fromLeft  = "←" + scissors
)

// uncut is a part of a template without the sign that it may be shortened.
func uncut(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "←"), scissors) }

// pattern is a cloze question (paper section 2.3). Parts a and b follow each
// other; which of the two is longer decides where a long sequence is shortened.
type pattern struct {
	a, b template
	// words are the verbalizers in the order of the task's labels; nil where
	// the example's own answers fill the blank.
	words []string
	path  string // of the declaration,
	line  int    // and of words in it
}

// cloze is a pattern of the task; empty where infilling has a ratio instead.
func (t *Task) cloze(number int) pattern {
	if t.ratios != nil {
		return pattern{}
	}
	return t.patterns[number]
}

// pair is the input of a classifier, [CLS] a [SEP] b [SEP], or [CLS] a [SEP]
// where b is empty; {answer} is the
// candidate where there are some.
type pair struct{ a, b template }

// part is a tokenized part of a template.
type part struct {
	tokens      []int32
	shortenable bool
	fromLeft    bool // loses its first tokens, not its last
}

// fill puts fields into a template's string.
func fill(s string, fields map[string]string) string {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{")
		filled.WriteString(before)
		if !found {
			return filled.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		filled.WriteString(fields[name])
		s = after
	}
}

// texts fills a template; the blank stays as blankSign.
func (t template) texts(fields map[string]string) []string {
	texts := make([]string, len(t))
	for i, s := range t {
		texts[i] = fill(uncut(s), fields)
	}
	return texts
}

// parts tokenizes a filled template.
func (t template) parts(fields map[string]string, tokenizer Tokenizer, mask int32) []part {
	parts := make([]part, len(t))
	for i, text := range t.texts(fields) {
		parts[i].fromLeft = strings.HasPrefix(t[i], fromLeft)
		parts[i].shortenable = parts[i].fromLeft || strings.HasPrefix(t[i], scissors)
		if t[i] == blankSign {
			parts[i].tokens = []int32{mask}
		} else {
			parts[i].tokens = tokenizer.Encode(nil, text)
		}
	}
	return parts
}

// truncate shortens the parts of a and b until they hold room tokens or fewer:
// one token at a time from the last shortenable part of the side
// with more that is shortenable (GLM repository, PVP.truncate). It returns how
// many tokens were cut.
func truncate(a, b []part, room int) (cut int, err error) {
	total, inA, inB := 0, 0, 0
	for i, side := range [][]part{a, b} {
		for _, p := range side {
			total += len(p.tokens)
			if p.shortenable && i == 0 {
				inA += len(p.tokens)
			} else if p.shortenable {
				inB += len(p.tokens)
			}
		}
	}
	excess := max(0, total-room)
	if inA+inB < excess {
		return 0, fmt.Errorf("%d tokens are left when all that may be cut is gone, %d too many", total-inA-inB, excess-inA-inB)
	}
	for range excess {
		if inA > inB {
			dropLast(a)
			inA--
		} else {
			dropLast(b)
			inB--
		}
	}
	return excess, nil
}

// dropLast cuts one token off the last shortenable part that has any, from its
// end unless it says otherwise.
func dropLast(parts []part) {
	for i := len(parts) - 1; i >= 0; i-- {
		p := &parts[i]
		if !p.shortenable || len(p.tokens) == 0 {
			continue
		}
		if p.fromLeft {
			p.tokens = p.tokens[1:]
		} else {
			p.tokens = p.tokens[:len(p.tokens)-1]
		}
		return
	}
}

// sequence is what a block is made of and what is stored of it.
type sequence struct {
	// tokens is Part A of a cloze sequence, the whole of a pair.
	tokens []int32
	// pivot is the blank's index in tokens, the first one's where there are
	// several; in a pair where the second segment begins.
	pivot int
	// target is what the blank is filled with, eop included; behind an eop that
	// is not the last token, what the next blank is. In the form Masked it is what
	// the blanks from pivot on are filled with, a token each. Nil where the logits
	// at one position alone are read, and in a pair.
	target []int32
}

// block lays a sequence out for the model (GLM repository,
// build_input_from_ids). Cloze: tokens, then for each blank sop and its target
// but the last token, all at the blank's position. The loss mask is 1 where an
// output is read, so on sop also where the target is empty; pad then stands as
// target. Masked: tokens, read at the blanks.
func (s sequence) block(form Form, special spans.Special) spans.Block {
	n := len(s.tokens)
	length := n
	if form == Cloze {
		length += max(1, len(s.target))
	}
	b := spans.Block{
		Input:         make([]int32, length),
		Target:        make([]int32, length),
		LossMask:      make([]uint8, length),
		Position:      make([]int32, length),
		BlockPosition: make([]int32, length),
		Sep:           n,
	}
	copy(b.Input, s.tokens)
	copy(b.Target, s.tokens)
	for i := range n {
		b.Position[i] = int32(i)
		if form == Classification && i >= s.pivot {
			b.BlockPosition[i] = 1
		}
	}
	for i := n; i < length; i++ {
		b.LossMask[i] = 1
		b.Target[i] = special.Pad
	}
	switch form {
	case Cloze:
		copy(b.Target[n:], s.target)
		s.pieces(b, special)
	case Masked:
		copy(b.Target[s.pivot:], s.target)
		for i := range max(1, len(s.target)) {
			b.LossMask[s.pivot+i] = 1
		}
	}
	return b
}

// pieces lays out what Part B reads: sop and the targets before, anew for each
// blank, left to right. Targets of more pieces than tokens has blanks stay at
// the last one.
func (s sequence) pieces(b spans.Block, special spans.Special) {
	at, count := s.pivot, int32(0)
	previous := special.SOP
	for i := b.Sep; i < len(b.Input); i++ {
		if previous == special.EOP {
			previous, count = special.SOP, 0
			if next := slices.Index(s.tokens[at+1:], s.tokens[s.pivot]); next >= 0 {
				at += 1 + next
			}
		}
		count++
		b.Input[i], b.Position[i], b.BlockPosition[i] = previous, int32(at), count
		previous = b.Target[i]
	}
}

// sequenceOf is the inverse of block.
func sequenceOf(b spans.Block, form Form, scoring Scoring) sequence {
	s := sequence{tokens: b.Input[:b.Sep]}
	switch {
	case form == Classification:
		for s.pivot < len(b.BlockPosition) && b.BlockPosition[s.pivot] == 0 {
			s.pivot++
		}
	case form == Masked:
		s.pivot = slices.Index(b.LossMask, 1)
		if scoring != SingleToken {
			for i := s.pivot; b.LossMask[i] == 1; i++ { // [SEP] is behind it
				s.target = append(s.target, b.Target[i])
			}
		}
	default:
		s.pivot = int(b.Position[b.Sep])
		if scoring != SingleToken {
			s.target = b.Target[b.Sep:]
		}
	}
	return s
}
