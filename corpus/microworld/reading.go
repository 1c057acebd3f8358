package microworld

import (
	"slices"
	"strings"
)

// BoolQ, MultiRC and ReCoRD: the answer is in the passage.

// tell words facts as sentences.
func tell(d *draw, facts []fact) string {
	var text []string
	for _, f := range facts {
		text = append(text, sentence(f.sayAny(d)))
	}
	return strings.Join(text, " ")
}

// passageFacts draws the facts of a passage; harder ones are longer.
func (w *World) passageFacts(d *draw) []fact {
	n := 1 + w.params.Difficulty + d.below(2)
	for {
		facts := w.episode(d, n)
		// One relation is told of two people, so that a near miss exists.
		facts[1].rel = facts[0].rel
		facts[1].value = pickOther(d, facts[0].rel.values, facts[0].value)
		shuffle(d, facts)
		if distinctValues(facts) {
			return facts
		}
	}
}

// distinctValues tells whether every value has one owner.
func distinctValues(facts []fact) bool {
	var values []string
	for _, f := range facts {
		values = append(values, f.value)
	}
	return distinct(values...)
}

func (w *World) boolQ(d *draw, choice int) example {
	facts := w.passageFacts(d)
	f := pick(d, facts)
	label := choice%2 == 0
	asked := f
	if !label {
		asked = f.with(w.wrong(d, f, facts))
	}
	return &boolQ{Question: asked.ask(), Passage: tell(d, facts), Label: &label}
}

func (w *World) multiRC(d *draw, choice int) example {
	facts := w.passageFacts(d)
	// Two people may share a value, so that a question can have two answers.
	if d.percent(30) {
		i, j := d.below(len(facts)), d.below(len(facts))
		facts[j].rel, facts[j].value = facts[i].rel, facts[i].value
	}
	e := &multiRC{Version: 1.1}
	e.Passage.Text = tell(d, facts)
	asked := sample(d, facts, 2)
	for i, f := range asked {
		var q multiRCQuestion
		if (choice+i)%2 == 0 {
			q = w.askWhat(d, f, facts)
		} else {
			q = w.askWho(d, f, facts)
		}
		e.Passage.Questions = append(e.Passage.Questions, q)
	}
	return e
}

// askWhat asks for the value of a fact, with one right answer and one or two
// wrong ones.
func (w *World) askWhat(d *draw, f fact, facts []fact) multiRCQuestion {
	q := multiRCQuestion{Question: capital(f.what()) + "?"}
	wrong := f.with(w.wrong(d, f, facts))
	texts, labels := []string{f.answer(), wrong.answer()}, []int{1, 0}
	if f.rel.name == "place" && d.percent(60) {
		texts, labels = append(texts, "in "+f.answer()), append(labels, 1)
	} else if d.percent(40) {
		third := f.with(pickOther(d, f.rel.values, f.value, wrong.value))
		texts, labels = append(texts, third.answer()), append(labels, 0)
	}
	q.Answers = answers(d, texts, labels)
	return q
}

// askWho asks for the people of whom a value is true.
func (w *World) askWho(d *draw, f fact, facts []fact) multiRCQuestion {
	q := multiRCQuestion{Question: capital(f.askWho()) + "?"}
	var texts []string
	var labels []int
	for _, g := range facts {
		texts = append(texts, g.who.name)
		labels = append(labels, 0)
		if g.rel == f.rel && g.value == f.value {
			labels[len(labels)-1] = 1
		}
	}
	// Keep at most one wrong answer more than right ones.
	right, wrong := 0, 0
	for _, l := range labels {
		right += l
	}
	for i := 0; i < len(texts); i++ {
		if labels[i] == 0 {
			if wrong++; wrong > max(right, 1) {
				texts, labels = slices.Delete(texts, i, i+1), slices.Delete(labels, i, i+1)
				i--
			}
		}
	}
	q.Answers = answers(d, texts, labels)
	return q
}

func answers(d *draw, texts []string, labels []int) []multiRCAnswer {
	list := make([]multiRCAnswer, len(texts))
	for i := range texts {
		list[i] = multiRCAnswer{Text: capital(texts[i]), Label: &labels[i]}
	}
	shuffle(d, list)
	return list
}

func (w *World) record(d *draw, _ int) example {
	facts := w.passageFacts(d)
	if len(facts) < 3 {
		facts = append(facts, fact{})
		for {
			facts[2] = w.episode(d, 1)[0]
			if distinctValues(facts) && distinct(facts[0].who, facts[1].who, facts[2].who) {
				break
			}
		}
	}
	f := pick(d, facts)
	text := tell(d, facts)
	// Highlights repeat facts in other words, the asked one never.
	for _, g := range sample(d, facts, 2) {
		if g != f {
			text += "\n@highlight\n" + capital(g.sayAny(d))
		}
	}
	e := &record{Source: "microworld"}
	e.Passage.Text = text
	var right []recordSpan
	for _, g := range facts {
		for from := 0; ; {
			i := strings.Index(text[from:], g.who.name)
			if i < 0 {
				break
			}
			span := recordSpan{Start: from + i, End: from + i + len(g.who.name) - 1}
			e.Passage.Entities = append(e.Passage.Entities, span)
			if g == f {
				span.Text = g.who.name
				right = append(right, span)
			}
			from = span.End + 1
		}
	}
	slices.SortFunc(e.Passage.Entities, func(a, b recordSpan) int { return a.Start - b.Start })
	query := sentence(fill(pick(d, f.rel.says), "@placeholder", f.value))
	e.Qas = []recordQuery{{Query: query, Answers: right}}
	return e
}
