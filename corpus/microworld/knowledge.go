package microworld

import (
	"slices"
	"strings"
)

// COPA, WiC and WSC: the answer follows from what holds in the whole world.

// putClause fills a way of putting a clause.
func putClause(way, teller, clause string) string {
	return strings.NewReplacer("{A}", teller, "{F}", clause).Replace(way)
}

// law draws a causal law: of causes, or of wanting a thing and going where
// such things are kept. Easier worlds have fewer laws.
func (w *World) law(d *draw) cause {
	if d.percent(20) {
		k := pick(d, kinds)
		thing := pick(d, k.things)
		return cause{"want " + k.home, []string{"{P} wanted a " + thing, "{P} needed a " + thing}, []string{"{P} went to the " + k.home}}
	}
	return pick(d, causes[:len(causes)*(w.params.Difficulty+2)/5])
}

// consequence is a law put in words, with wrong alternatives to each side.
type consequence struct {
	cause, effect string // the subject named
	// The same sides as the second clause of a sentence, with a pronoun where
	// the first clause names its person, and the sides of another law worded
	// likewise.
	laterCause, laterEffect, otherCause, otherEffect string
	// All wordings of later effects, right and wrong.
	allEffects, otherEffects []string
}

func (w *World) consequence(d *draw) consequence {
	p := pick(d, w.people)
	c, other := w.law(d), w.law(d)
	for other.topic == c.topic {
		other = w.law(d)
	}
	a, b := pick(d, c.causes), pick(d, c.effects)
	later := func(first, second string) string {
		if strings.Contains(first, "{P}") && strings.HasPrefix(second, "{P}") {
			return fill(second, p.pronoun(), "")
		}
		return fill(second, p.name, "")
	}
	all := func(first string, seconds []string) (list []string) {
		for _, s := range seconds {
			list = append(list, later(first, s))
		}
		return list
	}
	return consequence{
		cause: fill(a, p.name, ""), effect: fill(b, p.name, ""),
		laterCause: later(b, a), laterEffect: later(a, b),
		otherCause: later(b, pick(d, other.causes)), otherEffect: later(a, pick(d, other.effects)),
		allEffects: all(a, c.effects), otherEffects: all(a, other.effects),
	}
}

// comparison is a question about the world's order of things.
type comparison struct{ first, adjective, second string }

func (c comparison) ask() string {
	return "is " + article(c.first) + " " + c.adjective + " than " + article(c.second)
}

func (c comparison) say() string {
	return article(c.first) + " is " + c.adjective + " than " + article(c.second)
}

// compare draws a comparison that holds or does not. Easy ones are of things
// far apart.
func (w *World) compare(d *draw, holds bool) comparison {
	order, more, less := bySize, "bigger", "smaller"
	if d.percent(25) {
		order, more, less = bySpeed, "faster", "slower"
	}
	apart := len(order) / (2 * w.params.Difficulty)
	i := d.below(len(order) - apart)
	j := i + apart + d.below(len(order)-apart-i)
	c := comparison{order[j], more, order[i]}
	if d.percent(50) {
		c = comparison{order[i], less, order[j]}
	}
	if !holds {
		c.first, c.second = c.second, c.first
	}
	return c
}

func (w *World) copa(d *draw, choice int) example {
	c := w.consequence(d)
	e := &copa{Question: "cause", Premise: c.effect}
	right, wrong := c.laterCause, c.otherCause
	if d.percent(50) {
		e.Question, e.Premise = "effect", c.cause
		right, wrong = c.laterEffect, c.otherEffect
	}
	e.Premise = sentence(timed(d, e.Premise))
	label := choice % 2
	if label == 1 {
		right, wrong = wrong, right
	}
	e.Choice1, e.Choice2, e.Label = sentence(right), sentence(wrong), &label
	return e
}

// ambiguous are the words that WiC asks about.
func (w *World) ambiguous() []ambiguous {
	if w.params.Difficulty == 1 {
		return animalWords
	}
	return slices.Concat(animalWords, otherWords)
}

// use draws a clause that uses a word in a sense.
func (w *World) use(d *draw, word string, s sense) string {
	clause := fill(pick(d, s.contexts), pick(d, w.people).name, "")
	if d.percent(60) {
		clause = timed(d, clause)
	}
	return clause
}

func (w *World) wic(d *draw, choice int) example {
	a := pick(d, w.ambiguous())
	same := choice%2 == 0
	i := d.below(2)
	j := i
	if !same {
		j = 1 - i
	}
	s1, s2 := w.use(d, a.word, a.senses[i]), w.use(d, a.word, a.senses[j])
	for s1 == s2 {
		s2 = w.use(d, a.word, a.senses[j])
	}
	e := &wic{Word: a.word, Sentence1: sentence(s1), Sentence2: sentence(s2), Label: &same, Version: 1.1}
	// The official files count the end of a word exclusively.
	first, second := mentions(e.Sentence1, a.word)[0], mentions(e.Sentence2, a.word)[0]
	e.Start1, e.End1, e.Start2, e.End2 = first.Start, first.End+1, second.Start, second.End+1
	return e
}

// schema is a sentence whose pronoun refers to the first or the second noun,
// as its last words decide.
type schema struct {
	// text holds {X} and {Y}, the candidates, and {Z}, the deciding words
	// that follow the pronoun.
	text string
	// first and second decide for {X} and for {Y}.
	first, second []string
	// xs and ys are the nouns of the candidates; nil for people.
	xs, ys []string
	// oneWay lists a schema whose deciding words are always the same: the
	// nouns decide. xs then are the answer wherever they stand.
	oneWay bool
}

var (
	loads      = []string{"ball", "kite", "doll", "melon", "hammer", "drum", "guitar", "mirror"}
	containers = []string{"box", "bag", "basket", "drawer", "suitcase"}
	hardThings = []string{"stone", "hammer", "brick", "rock"}
	fragile    = []string{"vase", "plate", "mirror", "bottle", "bowl"}
)

var schemas = []schema{
	{text: "the {X} did not fit in the {Y} because it was too {Z}", first: []string{"big", "large"}, second: []string{"small", "narrow"}, xs: loads, ys: containers},
	{text: "{X} could not lift {Y} because {S} was {Z}", first: []string{"weak", "very small"}, second: []string{"heavy", "very big"}},
	{text: "{X} lent money to {Y} because {S} was {Z}", first: []string{"rich", "generous"}, second: []string{"poor", "in need"}},
	{text: "{X} asked {Y} a question because {S} {Z}", first: []string{"wanted the answer", "did not know the answer"}, second: []string{"knew the answer", "had the answer"}},
	{text: "{X} thanked {Y} because {S} had {Z}", first: []string{"received help", "received a gift"}, second: []string{"given help", "given a gift"}},
	{text: "{X} beat {Y} in the race because {S} was {Z}", first: []string{"fast", "quick"}, second: []string{"slow", "lame"}},
	{text: "{X} visited {Y} because {S} was {Z}", first: []string{"lonely", "bored"}, second: []string{"ill", "sick"}},
	{text: "{X} taught {Y} a song because {S} was {Z}", first: []string{"a good teacher", "a singer"}, second: []string{"a new student", "a beginner"}},
	{text: "{X} hid from {Y} because {S} was {Z}", first: []string{"afraid", "scared"}, second: []string{"angry", "dangerous"}},
	{text: "the {X} hit the {Y} and it broke", xs: fragile, ys: hardThings, oneWay: true},
}

// puzzle is a text with a pronoun and two candidates.
type puzzle struct {
	text, pronoun string
	candidates    [2]string // in the order of the text
	referent      int       // index into candidates
}

func (w *World) puzzle(d *draw, referent int) puzzle {
	s := pick(d, schemas)
	var x, y string
	pronoun := "it"
	if s.xs != nil {
		x, y = pick(d, s.xs), pick(d, s.ys)
		for x == y {
			y = pick(d, s.ys)
		}
	} else {
		p := pick(d, w.people)
		q := p
		for q == p || q.female != p.female {
			q = pick(d, w.people)
		}
		x, y, pronoun = p.name, q.name, p.pronoun()
	}
	z := ""
	switch {
	case s.oneWay:
		if referent == 1 {
			x, y = y, x
		}
	case referent == 0:
		z = pick(d, s.first)
	default:
		z = pick(d, s.second)
	}
	text := strings.NewReplacer("{X}", x, "{Y}", y, "{S}", pronoun, "{Z}", z).Replace(s.text)
	c := [2]string{x, y}
	if s.xs != nil {
		c = [2]string{"the " + x, "the " + y}
	}
	return puzzle{text, pronoun, c, referent}
}

func (w *World) wsc(d *draw, choice int) example {
	// Four cases in turn: label, and which candidate is asked.
	label := choice%2 == 0
	asked := choice / 2 % 2
	referent := asked
	if !label {
		referent = 1 - asked
	}
	p := w.puzzle(d, referent)
	text := sentence(timed(d, p.text))
	e := &wsc{Text: text, Label: &label}
	e.Target.Span2Text = p.pronoun
	e.Target.Span2Index = wordIndex(text, p.pronoun)
	e.Target.Span1Index = wordIndex(text, p.candidates[asked])
	span := strings.Fields(text)[e.Target.Span1Index:][:len(strings.Fields(p.candidates[asked]))]
	e.Target.Span1Text = strings.Trim(strings.Join(span, " "), ".,")
	return e
}

// wordIndex is the index of the word, counted between white space, at which a
// phrase begins, whatever its capitals; -1 if it does not occur.
func wordIndex(text, phrase string) int {
	fields, want := strings.Fields(words(text)), strings.Fields(words(phrase))
next:
	for i := 0; i+len(want) <= len(fields); i++ {
		for j := range want {
			if fields[i+j] != want[j] {
				continue next
			}
		}
		return i
	}
	return -1
}
