package microworld

// RTE and CB: does the hypothesis follow from the premise?

// pair is a premise and a hypothesis, clauses without a full stop.
type pair struct{ premise, hypothesis string }

// entailed draws a premise and a hypothesis that follows from it, or that does
// not although it looks alike.
func (w *World) entailed(d *draw, follows bool) pair {
	switch d.below(5) {
	case 0: // a part of a conjunction
		facts := w.episode(d, 2)
		f := pick(d, facts)
		h := f
		if !follows {
			h = f.with(w.wrong(d, f, facts))
		}
		return pair{facts[0].sayAny(d) + " and " + facts[1].sayAny(d), h.say(0)}
	case 1: // the kind of a thing
		rel := &relations[1]
		f := fact{rel, pick(d, w.people), pick(d, things)}
		k := kindOf(f.value).name
		if !follows {
			k = pickOther(d, kindNames, k)
		}
		return pair{f.sayAny(d), f.who.name + " has " + article(k)}
	case 2: // the converse of a comparison
		p := w.names(d, 2)
		c := pick(d, comparatives)
		a, b := c.more, c.less
		if d.percent(50) {
			a, b = b, a
		}
		x, y := p[1].name, p[0].name
		if !follows {
			x, y = y, x
		}
		return pair{p[0].name + " is " + a + " than " + p[1].name, x + " is " + b + " than " + y}
	case 3: // a gift changes hands
		p := w.names(d, 2)
		thing := pick(d, things)
		owner := p[1]
		if !follows {
			owner = p[0]
		}
		premise := p[0].name + " gave a " + thing + " to " + p[1].name
		if d.percent(50) {
			premise = p[1].name + " got a " + thing + " from " + p[0].name
		}
		return pair{premise, owner.name + " has a " + thing}
	default: // other words for one fact
		f := w.fact(d, pick(d, w.people))
		h := f
		if !follows {
			if d.percent(70) {
				h.value = w.wrong(d, f, nil)
			} else {
				h.who = pickOther(d, w.people, f.who)
			}
		}
		return pair{f.sayAny(d), h.sayAny(d)}
	}
}

// comparative is a pair of opposite comparisons of people.
type comparative struct{ more, less string }

var comparatives = []comparative{{"taller", "shorter"}, {"older", "younger"}, {"stronger", "weaker"}, {"faster", "slower"}}

func (w *World) rte(d *draw, choice int) example {
	label := "entailment"
	p := w.entailed(d, choice%2 == 0)
	if choice%2 != 0 {
		label = "not_entailment"
	}
	return &inference{Premise: sentence(timed(d, p.premise)), Hypothesis: sentence(p.hypothesis), Label: &label}
}

// Ways to put a clause, by whether it then holds. {A} is somebody who tells,
// {F} the clause.
var (
	asserting = []string{"{A} knows that {F}", "{A} saw that {F}", "it is true that {F}", "everybody knows that {F}"}
	denying   = []string{"it is not true that {F}", "{A} pretended that {F}", "it is a lie that {F}", "{A} knows it is false that {F}"}
	doubting  = []string{"{A} thinks that {F}", "{A} hopes that {F}", "it is possible that {F}", "{A} asked if {F}"}
)

// cbLabels in the order of the choice.
var cbLabels = []string{"entailment", "contradiction", "neutral"}

// commitment draws a premise and hypothesis for the CB label with that index.
func (w *World) commitment(d *draw, label int) pair {
	p := w.names(d, 2)
	f := w.fact(d, p[1])
	h := f
	var ways []string
	switch label {
	case 0:
		ways = asserting
	case 1:
		ways = denying
		if d.percent(50) { // one value at a time: another one is excluded
			ways, h = asserting, f.with(w.wrong(d, f, nil))
		}
	default:
		ways = doubting
		if d.percent(30 * (w.params.Difficulty - 1)) { // denied, but then what?
			ways = append([]string{}, append(denying, doubting...)...)
			h = f.with(pickOther(d, f.rel.values, f.value))
		}
	}
	return pair{putClause(pick(d, ways), p[0].name, f.sayAny(d)), h.say(0)}
}

func (w *World) cb(d *draw, choice int) example {
	label := cbLabels[choice%3]
	p := w.commitment(d, choice%3)
	return &inference{Premise: sentence(p.premise), Hypothesis: capital(p.hypothesis), Label: &label}
}
