package tasks

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Render writes for a person what an encoder makes of an example: the parts as
// they are tokenized, ✂ before what may be shortened and ▢ for the blank, then
// what the blank can be filled with or what is written into it, and the size.
func (e *Encoder) Render(w io.Writer, x Example) error {
	encoded, cut, err := e.Encode(x)
	if err != nil {
		return err
	}
	form := string(e.header.Form)
	switch e.header.Form {
	case Cloze:
		form = fmt.Sprintf("pattern %d", e.header.Pattern)
	case Masked:
		form = fmt.Sprintf("masked, pattern %d", e.header.Pattern)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %s, %s\n", x.ID, e.task.Name, form)
	switch {
	case e.task.ratios != nil:
		fmt.Fprintf(&out, "  %s\n", e.spelt(encoded.Sequences[0].Input[:encoded.Sequences[0].Sep]))
	case e.header.Form.Asks():
		end := "[PAD]"
		if e.header.Form == Masked {
			end = "[SEP]"
		}
		fmt.Fprintf(&out, "  [CLS]%s%s│%s\n", e.a.marked(x.Fields), e.b.marked(x.Fields), end)
	default:
		fields := map[string]string{"answer": "{answer}"}
		for name, text := range x.Fields {
			fields[name] = text
		}
		fmt.Fprintf(&out, "  [CLS]%s│[SEP]", e.a.marked(x.Fields))
		if len(e.b) > 0 {
			fmt.Fprintf(&out, "%s│[SEP]", e.b.marked(fields))
		}
		out.WriteByte('\n')
	}
	for i, choice := range encoded.Choices {
		sign := " "
		if i == encoded.Label {
			sign = "*" // the right one
		}
		fmt.Fprintf(&out, "  %s %d %q", sign, i, choice)
		switch {
		case encoded.Scoring == SingleToken:
			fmt.Fprintf(&out, " as %q, token %d", e.pattern().words[i], encoded.Verbalizers[i])
		case e.words != nil:
			fmt.Fprintf(&out, " as %q", e.pattern().words[i])
		case encoded.Scoring.Candidates() && x.Answers[i] != choice:
			fmt.Fprintf(&out, " as %q", x.Answers[i])
		}
		if e.header.Form == Masked && encoded.Scoring == MultiToken {
			fmt.Fprintf(&out, ", %d × %s", len(e.targets(x)[i]), blankSign)
		}
		out.WriteByte('\n')
	}
	if encoded.Scoring == Generative {
		fmt.Fprintf(&out, "  True if the model writes %q", x.Answers[0])
		if e.header.Form == Masked {
			fmt.Fprintf(&out, ", %d × %s", len(e.targets(x)[0]), blankSign)
		}
		out.WriteByte('\n')
	}
	if encoded.Scoring == Ranked {
		fmt.Fprintf(&out, "  True if the model finds %q the likeliest of %q\n", x.Answers[0], x.Answers)
	}
	if encoded.Scoring == Written {
		b := encoded.Sequences[0]
		fmt.Fprintf(&out, "  writes %s\n", e.spelt(b.Target[b.Sep:]))
		fmt.Fprintf(&out, "  reads %d tokens of at most %d, writes %d of at most %d, %d cut\n", b.Sep, e.header.MaxLength, len(b.Input)-b.Sep, e.header.TargetLength, cut)
		_, err = io.WriteString(w, out.String())
		return err
	}
	longest := 0
	for _, b := range encoded.Sequences {
		longest = max(longest, len(b.Input))
	}
	fmt.Fprintf(&out, "  %d tokens of at most %d, %d cut%s\n", longest, e.header.MaxLength, cut, e.losses(x))
	_, err = io.WriteString(w, out.String())
	return err
}

// spelt is a row of tokens: the blank as its sign, a bar where an answer ends.
func (e *Encoder) spelt(ids []int32) string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		switch tokens[i] = e.tokenizer.Token(id); id {
		case e.mask:
			tokens[i] = blankSign
		case e.special.EOP:
			tokens[i] = "│"
		}
	}
	return strings.Join(tokens, " ")
}

// losses says which parts of a question lost how many tokens, in that sequence of
// the example that lost most; nothing where none did.
func (e *Encoder) losses(x Example) string {
	if !e.header.Form.Asks() {
		return ""
	}
	names := slices.Concat(e.a, e.b)
	var most []string
	all := 0
	for _, target := range e.targets(x) {
		a, b := e.a.parts(x.Fields, e.tokenizer, e.mask), e.b.parts(x.Fields, e.tokenizer, e.mask)
		before := slices.Concat(a, b) // parts are cut in a and b alone
		cut, err := truncate(a, b, e.room(target))
		if err != nil || cut <= all {
			continue
		}
		most, all = nil, cut
		for i, p := range slices.Concat(a, b) {
			if n := len(before[i].tokens) - len(p.tokens); n > 0 {
				most = append(most, fmt.Sprintf("%d of %s", n, strings.TrimSpace(uncut(names[i]))))
			}
		}
	}
	if most == nil {
		return ""
	}
	return ": " + strings.Join(most, ", ")
}

// pattern is the one that the encoder asks in.
func (e *Encoder) pattern() pattern { return e.task.cloze(e.header.Pattern) }

// marked is a filled template with a bar before every part.
func (t template) marked(fields map[string]string) string {
	var row strings.Builder
	for i, text := range t.texts(fields) {
		row.WriteString("│")
		row.WriteString(strings.TrimSuffix(t[i], uncut(t[i])))
		row.WriteString(strings.ReplaceAll(text, "\n", "⏎"))
	}
	return row.String()
}
