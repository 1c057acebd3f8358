package microworld

import (
	"fmt"
	"iter"
	"strings"
)

// documentWords is the length a document grows to, in words: short enough
// that a small window holds a whole one.
const documentWords = 60

// Documents yields the texts to pretrain on, or those held out from it. None
// contains a passage, premise or sentence of a validation or test example; a
// document that would is drawn anew.
func (w *World) Documents(held bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		taken, err := w.heldOutTexts()
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

// longestPassage bounds the clauses of a task's passage, highlights included.
const longestPassage = 8

// heldOutTexts are the texts of all validation and test examples, as runs
// writes them.
func (w *World) heldOutTexts() (map[string]bool, error) {
	taken := map[string]bool{}
	for _, task := range Tasks() {
		splits, err := w.examples(task)
		if err != nil {
			return nil, err
		}
		for _, split := range []string{"val", "test"} {
			for _, e := range splits[split] {
				for _, t := range e.texts() {
					taken[words(t)] = true
				}
			}
		}
	}
	return taken, nil
}

// document draws one document.
func (w *World) document(purpose uint64, index int, taken map[string]bool) (string, error) {
	for attempt := range attempts {
		d := newDraw(w.params.Seed, purpose, uint64(index), uint64(attempt))
		text := w.write(d)
		clash := false
		for _, r := range runs(text, longestPassage) {
			clash = clash || taken[r]
		}
		if !clash {
			return text, nil
		}
	}
	return "", fmt.Errorf("drawing document %d: the tasks leave no texts for the documents: fewer examples to validate on, or more people", index)
}

// genres are the kinds of documents and how often each is drawn, in percent.
var genres = []struct {
	percent int
	write   func(w *World, d *draw) string
}{
	{45, (*World).story},
	{17, (*World).argument},
	{12, (*World).explanation},
	{12, (*World).glossary},
	{10, (*World).riddle},
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

// story tells an episode and talks about it in questions and answers.
func (w *World) story(d *draw) string {
	facts := w.passageFacts(d)
	passage := tell(d, facts)
	if d.percent(25) {
		f := pick(d, facts)
		asked, yes := w.maybeWrong(d, f, facts)
		return grow("Based on the following passage "+asked.ask()+"? "+yesNo(yes)+". "+passage,
			func() string { return w.dialogue(d, facts) })
	}
	return grow(passage, func() string { return w.dialogue(d, facts) })
}

// maybeWrong is the fact, or half of the time one with a wrong value.
func (w *World) maybeWrong(d *draw, f fact, facts []fact) (fact, bool) {
	if d.percent(50) {
		return f, true
	}
	return f.with(w.wrong(d, f, facts)), false
}

// dialogue is one question about an episode with its answer, or a highlight.
func (w *World) dialogue(d *draw, facts []fact) string {
	f := pick(d, facts)
	asked, yes := w.maybeWrong(d, f, facts)
	reason := "."
	if d.percent(40) {
		reason = ", " + f.sayAny(d) + "."
	}
	switch d.below(9) {
	case 0:
		return "Question: " + asked.ask() + "? Answer: " + yesNo(yes) + reason
	case 1:
		return "Based on the previous passage, " + asked.ask() + "? " + yesNo(yes) + reason
	case 2:
		return capital(asked.ask()) + "? " + yesNo(yes) + reason
	case 3:
		return "Question: " + capital(f.what()) + "? Is it " + capital(asked.answer()) + "? " + yesNo(yes) + "."
	case 4:
		g := pick(d, facts)
		return "Question: " + capital(f.askWho()) + "? Is it " + g.who.name + "? " + yesNo(g.who == f.who) + "."
	case 5:
		return capital(f.what()) + "? " + capital(f.answer()) + "."
	case 6:
		return capital(f.askWho()) + "? " + f.who.name + "."
	case 7:
		return "- " + capital(f.sayAny(d)) + "."
	default:
		return "\"" + capital(asked.sayAny(d)) + "\"? " + yesNo(yes) + ", \"" + sentence(f.sayAny(d)) + "\""
	}
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
		switch d.below(6) {
		case 0, 1:
			return sentence(because)
		case 2, 3:
			return sentence(so)
		case 4:
			return choice(c.laterCause, c.otherCause) + sentence(because)
		default:
			return choice(c.laterEffect, c.otherEffect) + sentence(so)
		}
	})
}

// glossary uses ambiguous words and says what they mean.
func (w *World) glossary(d *draw) string {
	return grow("", func() string {
		a := pick(d, ambiguousWords)
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

// encyclopedia states what holds in the whole world.
func (w *World) encyclopedia(d *draw) string {
	return grow("", func() string {
		k := pick(d, kinds)
		thing := pick(d, k.things)
		order, adjective, opposite := bySize, "bigger", "smaller"
		if d.percent(30) {
			order, adjective, opposite = bySpeed, "faster", "slower"
		}
		i := d.below(len(order) - 1)
		j := i + 1 + d.below(len(order)-1-i)
		slow, fast := order[i], order[j]
		switch d.below(6) {
		case 0:
			return sentence(article(thing) + " is " + article(k.name))
		case 1:
			return sentence(article(thing) + " is kept in the " + k.home)
		case 2:
			return sentence(article(fast) + " is " + adjective + " than " + article(slow))
		case 3:
			return sentence(article(slow) + " is " + opposite + " than " + article(fast))
		case 4:
			yes := d.percent(50)
			if !yes {
				slow, fast = fast, slow
			}
			return "Question: is " + article(fast) + " " + adjective + " than " + article(slow) + "? Answer: " + yesNo(yes) + "."
		default:
			other := pick(d, kindNames)
			return "Is " + article(thing) + " " + article(other) + "? " + yesNo(other == k.name) + "."
		}
	})
}
