package microworld

import (
	"fmt"
	"iter"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// documentWords is the length, in words, from which a document gets no further
// piece: short enough that a window of 64 tokens holds nearly every document
// whole.
const documentWords = 24

// Documents yields the texts to pretrain on, or those held out from it. None
// contains a passage, premise or sentence of a validation or test example; a
// document that would is drawn anew.
func (w *World) Documents(held bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		taken, err := w.heldOut()
		if err != nil {
			yield("", err)
			return
		}
		n, purpose := w.params.Documents, uint64(purposeDocument)
		if held {
			n, purpose = w.params.Held, purposeHeld
		}
		for i := range n {
			text, err := w.document(purpose, i, taken)
			if !yield(text, err) || err != nil {
				return
			}
		}
	}
}

// heldOut collects the texts of all validation and test examples.
func (w *World) heldOut() (*phrases, error) {
	taken := newPhrases()
	for _, task := range Tasks() {
		splits, err := w.examples(task)
		if err != nil {
			return nil, err
		}
		for _, split := range []string{"val", "test"} {
			for _, e := range splits[split] {
				for _, t := range e.texts() {
					taken.add(t)
				}
			}
		}
	}
	return taken, nil
}

// document draws one document.
func (w *World) document(purpose uint64, index int, taken *phrases) (string, error) {
	for attempt := range attempts {
		text := w.write(newDraw(w.params.Seed, purpose, uint64(index), uint64(attempt)))
		if !taken.in(text) {
			return text, nil
		}
	}
	return "", &configs.Error{Field: "val-size", Msg: fmt.Sprintf("%d examples to validate on leave no text for document %d", w.params.Val, index),
		Hint: "fewer of them, or more people"}
}

// genres are the kinds of documents and how often each is drawn, in percent.
var genres = []struct {
	percent int
	write   func(w *World, d *draw) string
}{
	{24, (*World).story},
	{20, (*World).argument},
	{24, (*World).explanation},
	{12, (*World).glossary},
	{8, (*World).riddle},
	{8, (*World).news},
	{4, (*World).encyclopedia},
}

func (w *World) write(d *draw) string {
	at := d.below(100)
	for _, g := range genres {
		if at -= g.percent; at < 0 {
			return g.write(w, d)
		}
	}
	return genres[0].write(w, d)
}

// grow appends pieces until the text has the length of a document.
func grow(text string, piece func() string) string {
	for len(strings.Fields(text)) < documentWords {
		if text != "" {
			text += " "
		}
		text += piece()
	}
	return text
}

func yesNo(yes bool) string {
	if yes {
		return "Yes"
	}
	return "No"
}

func trueFalse(yes bool) string {
	if yes {
		return "true"
	}
	return "false"
}

// story tells an episode and asks about it.
func (w *World) story(d *draw) string {
	return grow("", func() string {
		if d.percent(25) {
			return w.conversation(d)
		}
		yes := d.percent(50)
		facts, question := w.yesNoQuestion(d, yes)
		passage, answer := tell(d, facts), yesNo(yes)
		switch d.below(4) {
		case 0, 1:
			return "Based on the following passage " + question + "? " + answer + ". " + passage
		case 2:
			return passage + " Based on the previous passage, " + question + "? " + answer + "."
		default:
			return passage + " Question: " + question + "? Answer: " + answer + "."
		}
	})
}

// conversation is a passage and open questions with their answers.
func (w *World) conversation(d *draw) string {
	passage, asked := w.questions(d)
	text := passage
	for _, q := range asked {
		switch d.below(3) {
		case 0:
			text += " " + q.text + "? " + sentence(pick(d, q.right))
		case 1:
			text += " Question: " + q.text + "? Is it " + capital(pick(d, q.right)) + "? Yes."
		default:
			text += " Question: " + q.text + "? Is it " + capital(pick(d, q.wrong)) + "? No."
		}
	}
	return text
}

// argument sets statements against what follows from them.
func (w *World) argument(d *draw) string {
	return grow("", func() string {
		var p pair
		answer, verdict := "", ""
		if d.percent(60) {
			yes := d.percent(50)
			p = w.entailed(d, yes)
			answer, verdict = yesNo(yes), trueFalse(yes)
		} else {
			i := d.below(3)
			p = w.commitment(d, i)
			answer = []string{"Yes", "No", "Maybe"}[i]
			verdict = []string{"true", "false", "neither"}[i]
		}
		switch d.below(5) {
		case 0, 1:
			return "\"" + capital(p.hypothesis) + "\"? " + answer + ", \"" + sentence(p.premise) + "\""
		case 2, 3:
			return capital(p.hypothesis) + "? " + answer + ". " + sentence(p.premise)
		default:
			return sentence(p.premise) + " Question: " + p.hypothesis + ". True, false or neither? Answer: " + verdict + "."
		}
	})
}

// explanation tells what happened and why.
func (w *World) explanation(d *draw) string {
	return grow("", func() string {
		c := w.consequence(d)
		because := c.effect + " because " + c.laterCause
		so := c.cause + ", so " + c.laterEffect
		choice := func(a, b string) string {
			if d.percent(50) {
				a, b = b, a
			}
			return "\"" + a + "\" or \"" + b + "\"? "
		}
		switch d.below(7) {
		case 0, 1:
			return sentence(because)
		case 2, 3:
			return sentence(so)
		case 4:
			return choice(c.laterCause, c.otherCause) + sentence(because)
		case 5:
			return choice(c.laterEffect, c.otherEffect) + sentence(so)
		default:
			effect, yes := c.laterEffect, "Yes"
			if d.percent(50) {
				effect, yes = c.otherEffect, "No"
			}
			return sentence(c.cause) + " Question: What was the result? Is it " + capital(effect) + "? " + yes + "."
		}
	})
}

// glossary uses ambiguous words and says what they mean.
func (w *World) glossary(d *draw) string {
	return grow("", func() string {
		a := pick(d, w.ambiguous())
		i, j := d.below(2), d.below(2)
		s1, s2 := sentence(w.use(d, a.word, a.senses[i])), sentence(w.use(d, a.word, a.senses[j]))
		yes := yesNo(i == j)
		switch d.below(6) {
		case 0, 1:
			return s1 + " Here " + a.word + " means " + a.senses[i].meaning + "."
		case 2:
			return "\"" + s1 + "\" / \"" + s2 + "\" Similar sense of \"" + a.word + "\"? " + yes + "."
		case 3:
			return s1 + " " + s2 + " Does " + a.word + " have the same meaning in both sentences? " + yes + "."
		case 4:
			return s1 + " " + s2 + " Does " + a.word + " have the same meaning in both sentences? " + yes +
				", it means " + a.senses[i].meaning + " and " + a.senses[j].meaning + "."
		default:
			return s1 + " " + s2
		}
	})
}

// riddle asks what a pronoun refers to.
func (w *World) riddle(d *draw) string {
	return grow("", func() string {
		p := w.puzzle(d, d.below(2))
		text := sentence(timed(d, p.text))
		marked := strings.Replace(text, " "+p.pronoun+" ", " *"+p.pronoun+"* ", 1)
		answer := p.candidates[p.referent]
		switch d.below(5) {
		case 0:
			return marked + " The pronoun '*" + p.pronoun + "*' refers to " + answer + "."
		case 1:
			return marked + " In the previous sentence, the pronoun '*" + p.pronoun + "*' refers to " + answer + "."
		case 2, 3:
			return marked + " Question: In the passage above, what does the pronoun '*" + p.pronoun + "*' refer to? Answer: " + answer + "."
		default:
			return text
		}
	})
}

// news tells of people, cities and dogs, with highlights.
func (w *World) news(d *draw) string {
	return grow("", func() string {
		c := w.cloze(d)
		var text []string
		for _, s := range c.sentences {
			text = append(text, sentence(s))
		}
		for _, h := range append(c.highlights, strings.ReplaceAll(c.query, "{E}", c.answer)) {
			text = append(text, "- "+sentence(h))
		}
		return strings.Join(text, " ")
	})
}

// encyclopedia states what holds in the whole world.
func (w *World) encyclopedia(d *draw) string {
	return grow("", func() string {
		k := pick(d, kinds)
		thing := pick(d, k.things)
		switch d.below(5) {
		case 0:
			return sentence(article(thing) + " is " + article(k.name))
		case 1:
			return sentence(article(thing) + " is kept in the " + k.home)
		case 2:
			return sentence(w.compare(d, true).say())
		case 3:
			yes := d.percent(50)
			return "Question: " + w.compare(d, yes).ask() + "? Answer: " + yesNo(yes) + "."
		default:
			other := pick(d, kindNames)
			return "Is " + article(thing) + " " + article(other) + "? " + yesNo(other == k.name) + "."
		}
	})
}
