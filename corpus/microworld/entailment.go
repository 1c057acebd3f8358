package microworld

import "slices"

// RTE and CB: does the hypothesis follow from the premise?

// pair is a premise and a hypothesis, clauses without a full stop.
type pair struct{ premise, hypothesis string }

// entailed draws a premise and a hypothesis that follows from it, or that does
// not although it looks alike.
func (w *World) entailed(d *draw, follows bool) pair {
	if w.reads(d) {
		return w.entailedByReading(d, follows)
	}
	switch d.below(3) {
	case 0: // what a thing is
		f := fact{rel: hasThing, who: pick(d, w.people), value: pick(d, things)}
		k := kindOf(f.value).name
		if !follows {
			k = pickOther(d, kindNames, k)
		}
		return pair{f.say(d), f.who.name + " has " + article(k)}
	case 1: // words of the same and of contrary meaning
		f := fact{rel: inMood, who: pick(d, w.people), value: pick(d, moods)}
		h := f
		h.value = same[f.value]
		if !follows {
			h.value = pick(d, f.contrary())
		}
		return pair{f.say(d), h.say(d)}
	default: // what somebody did tells what is so
		f := w.fact(d, pick(d, w.people))
		h := f
		f.denied = !follows
		return pair{f.say(d), h.plain()}
	}
}

// entailedByReading draws a pair that differs in who or what it names.
func (w *World) entailedByReading(d *draw, follows bool) pair {
	switch d.below(4) {
	case 0: // a part of a conjunction
		facts := w.parallel(d, 2)[:2]
		f := pick(d, facts)
		h := f
		if !follows {
			h.value = w.wrong(d, f, facts)
		}
		return pair{facts[0].say(d) + " and " + facts[1].say(d), h.plain()}
	case 1: // the converse of a comparison
		p := w.names(d, 2)
		c := pick(d, comparatives)
		if d.percent(50) {
			slices.Reverse(c[:])
		}
		x, y := p[1].name, p[0].name
		if !follows {
			x, y = y, x
		}
		return pair{p[0].name + " is " + c[0] + " than " + p[1].name, x + " is " + c[1] + " than " + y}
	case 2: // a gift changes hands
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
		return pair{f.say(d), h.say(d)}
	}
}

// comparatives are pairs of opposite comparisons of people.
var comparatives = [][2]string{{"taller", "shorter"}, {"older", "younger"}, {"stronger", "weaker"}, {"faster", "slower"}}

func (w *World) rte(d *draw, choice int) example {
	label := "entailment"
	p := w.entailed(d, choice%2 == 0)
	if choice%2 != 0 {
		label = "not_entailment"
	}
	return &inference{Premise: sentence(p.premise), Hypothesis: sentence(p.hypothesis), Label: &label}
}

// Ways to put a clause, by whether it then holds: {A} is somebody who tells,
// {F} the clause. The lists have the same lengths in words, so that a
// premise's length does not give its label away.
var (
	asserting = []string{"{A} knows that {F}", "{A} saw that {F}", "it is true that {F}", "it is a fact that {F}"}
	denying   = []string{"{A} pretended that {F}", "{A} lied that {F}", "it is false that {F}", "it is not true that {F}"}
	doubting  = []string{"{A} thinks that {F}", "{A} hopes that {F}", "it is possible that {F}", "it is not known whether {F}"}
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
		if w.reads(d) { // one value at a time: another one is excluded
			ways = asserting
			h.value = w.wrong(d, f, nil)
		}
	default:
		ways = doubting
		if w.reads(d) { // denied or not, it says nothing of another value
			ways = slices.Concat(denying, doubting)
			h.value = w.wrong(d, f, nil)
		}
	}
	return pair{putClause(pick(d, ways), p[0].name, f.say(d)), h.plain()}
}

func (w *World) cb(d *draw, choice int) example {
	label := cbLabels[choice%3]
	p := w.commitment(d, choice%3)
	return &inference{Premise: sentence(p.premise), Hypothesis: capital(p.hypothesis), Label: &label}
}
