package microworld

import (
	"slices"
	"strings"
)

// BoolQ, MultiRC and ReCoRD: the answer is in the passage, or follows from it
// by what holds in the whole world.

// tell words facts as sentences.
func tell(d *draw, facts []fact) string {
	var text []string
	for _, f := range facts {
		text = append(text, sentence(f.say(d)))
	}
	return strings.Join(text, " ")
}

// mixed draws the facts of a passage that tells of each person something
// else, affirmed or denied: what is asked is plain from the question's kind.
func (w *World) mixed(d *draw) []fact {
	n := 2 + d.below(w.params.Difficulty)
	rels := sample(d, relations, n)
	facts := make([]fact, n)
	for i, p := range w.names(d, n) {
		facts[i] = fact{rels[i], p, pick(d, rels[i].values), d.percent(50)}
	}
	return facts
}

// parallel draws the facts of a passage that tells the same kind of thing of
// several people: who is asked about has to be read.
func (w *World) parallel(d *draw, least int) []fact {
	n := max(least, 1+w.params.Difficulty+d.below(2))
	for {
		facts := make([]fact, n)
		for i, p := range w.names(d, n) {
			facts[i] = w.fact(d, p)
		}
		facts[1].rel = facts[0].rel
		facts[1].value = pick(d, facts[0].rel.values)
		shuffle(d, facts)
		if distinctValues(facts) {
			return facts
		}
	}
}

// distinctValues tells whether every value has one owner.
func distinctValues(facts []fact) bool {
	for i, f := range facts {
		for _, g := range facts[:i] {
			if f.rel == g.rel && f.agrees(g.value) {
				return false
			}
		}
	}
	return true
}

// yesNoQuestion draws a passage's facts and a question about them.
func (w *World) yesNoQuestion(d *draw, yes bool) (facts []fact, question string) {
	switch {
	case w.reads(d):
		facts = w.parallel(d, 2)
		f := pick(d, facts)
		if !yes {
			f.value = w.wrong(d, f, facts)
		}
		return facts, f.ask()
	case d.percent(15):
		c := w.compare(d, yes)
		return w.mixed(d), c.ask()
	default:
		facts = w.mixed(d)
		f := &facts[d.below(len(facts))]
		f.denied = !yes
		return facts, f.ask()
	}
}

func (w *World) boolQ(d *draw, choice int) example {
	label := choice%2 == 0
	facts, question := w.yesNoQuestion(d, label)
	return &boolQ{Question: question, Passage: tell(d, facts), Label: &label}
}

// openQuestion is a question with right and wrong answers.
type openQuestion struct {
	text         string
	right, wrong []string
}

// questions draws a passage and two questions about it.
func (w *World) questions(d *draw) (passage string, asked []openQuestion) {
	if !w.reads(d) {
		c := w.consequence(d)
		facts := w.mixed(d)[:1]
		if d.percent(50) {
			passage = sentence(timed(d, c.cause)) + " " + tell(d, facts)
		} else {
			passage = tell(d, facts) + " " + sentence(timed(d, c.cause))
		}
		facts[0].denied = false
		return passage, []openQuestion{{"What was the result", c.allEffects, c.otherEffects}}
	}
	facts := w.parallel(d, 3)
	// Two people may share a value, so that a question can have two answers.
	if d.percent(30) {
		i, j := d.below(len(facts)), d.below(len(facts))
		facts[j].rel, facts[j].value = facts[i].rel, facts[i].value
	}
	for i, f := range sample(d, facts, 2) {
		if i == 0 {
			asked = append(asked, w.askWhat(d, f, facts))
		} else {
			asked = append(asked, askWho(f, facts))
		}
	}
	return tell(d, facts), asked
}

// askWhat asks for the value of a fact.
func (w *World) askWhat(d *draw, f fact, facts []fact) openQuestion {
	q := openQuestion{text: capital(f.what()), right: []string{f.answer()}}
	g := f
	g.value = w.wrong(d, f, facts)
	q.wrong = []string{g.answer()}
	if f.rel == inPlace {
		q.right = append(q.right, "in "+f.answer())
		q.wrong = append(q.wrong, "in "+g.answer())
	}
	return q
}

// askWho asks for the people of whom a value is true.
func askWho(f fact, facts []fact) openQuestion {
	q := openQuestion{text: capital(f.askWho())}
	for _, g := range facts {
		if g.rel == f.rel && g.value == f.value {
			q.right = append(q.right, g.who.name)
		} else {
			q.wrong = append(q.wrong, g.who.name)
		}
	}
	return q
}

func (w *World) multiRC(d *draw, _ int) example {
	text, asked := w.questions(d)
	e := &multiRC{Version: 1.1, Passage: multiRCPassage{Text: text}}
	for _, q := range asked {
		// One to two right answers and as many wrong ones, so that labels
		// are balanced.
		n := min(1+d.below(2), len(q.right), len(q.wrong))
		var answers []multiRCAnswer
		for label, texts := range [][]string{q.wrong, q.right} {
			for _, t := range sample(d, texts, n) {
				answers = append(answers, multiRCAnswer{Text: capital(t), Label: &label})
			}
		}
		shuffle(d, answers)
		e.Passage.Questions = append(e.Passage.Questions, multiRCQuestion{Question: q.text + "?", Answers: answers})
	}
	return e
}

// cloze is a passage with highlights and a query whose blank is one of the
// named entities.
type cloze struct {
	sentences, highlights []string
	query                 string // with {E} for the blank
	answer                string
	entities              []string
}

// typed draws a cloze that the kinds of the entities decide: what is said of
// a city is said of no person.
func (w *World) typed(d *draw) cloze {
	var c cloze
	c.entities = []string{pick(d, w.people).name, pick(d, classes[1].names), pick(d, classes[2].names)}
	c.sentences = []string{strings.NewReplacer("{P}", c.entities[0], "{C}", c.entities[1], "{D}", c.entities[2]).Replace(pick(d, travels))}
	about := func(i int, says string) string { return strings.ReplaceAll(says, "{E}", c.entities[i]) }
	i, asked := 0, d.below(3)
	statements := sample(d, classes[asked].says, 3)
	c.query, c.answer = statements[0], c.entities[asked]
	for ; i < 2; i++ {
		k := d.below(3)
		s := pick(d, classes[k].says)
		for s == c.query {
			s = pick(d, classes[k].says)
		}
		if i == 0 {
			c.sentences = append(c.sentences, about(k, s))
		} else if d.percent(70) {
			c.highlights = append(c.highlights, about(k, s))
		}
	}
	return c
}

// read draws a cloze whose entities are people, so that the passage decides.
func (w *World) read(d *draw) cloze {
	facts := w.parallel(d, 3)
	f := pick(d, facts)
	c := cloze{answer: f.who.name, query: strings.ReplaceAll(pick(d, f.rel.says), "{V}", f.value)}
	c.query = strings.ReplaceAll(c.query, "{P}", "{E}")
	for _, g := range facts {
		c.sentences = append(c.sentences, g.say(d))
		c.entities = append(c.entities, g.who.name)
	}
	// Highlights repeat facts in other words, the asked one never.
	for _, g := range sample(d, facts, 2) {
		if g != f {
			c.highlights = append(c.highlights, g.say(d))
		}
	}
	return c
}

func (w *World) cloze(d *draw) cloze {
	if w.reads(d) {
		return w.read(d)
	}
	return w.typed(d)
}

func (w *World) record(d *draw, _ int) example {
	c := w.cloze(d)
	e := &record{Source: "microworld"}
	var text []string
	for _, s := range c.sentences {
		text = append(text, sentence(s))
	}
	e.Passage.Text = strings.Join(text, " ")
	for _, h := range c.highlights {
		e.Passage.Text += "\n@highlight\n" + capital(h)
	}
	var right []recordSpan
	for _, name := range c.entities {
		for _, span := range mentions(e.Passage.Text, name) {
			e.Passage.Entities = append(e.Passage.Entities, span)
			if name == c.answer {
				span.Text = name
				right = append(right, span)
			}
		}
	}
	slices.SortFunc(e.Passage.Entities, func(a, b recordSpan) int { return a.Start - b.Start })
	query := sentence(strings.ReplaceAll(c.query, "{E}", "@placeholder"))
	e.Qas = []recordQuery{{Query: query, Answers: right}}
	return e
}

// mentions finds a name in a text as a whole word.
func mentions(text, name string) (spans []recordSpan) {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return spans
		}
		i += from
		from = i + len(name)
		if (i == 0 || !isLetter(text[i-1])) && (from == len(text) || !isLetter(text[from])) {
			spans = append(spans, recordSpan{Start: i, End: from - 1})
		}
	}
}

func isLetter(b byte) bool { return b|32 >= 'a' && b|32 <= 'z' }
