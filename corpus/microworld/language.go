package microworld

import (
	"slices"
	"strings"
)

// fill puts a person and a value into a wording.
func fill(wording, who, value string) string {
	return strings.NewReplacer("{P}", who, "{V}", value).Replace(wording)
}

// sentence makes a clause into a sentence: a capital letter and a full stop.
func sentence(clause string) string { return capital(clause) + "." }

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// article puts "a" or "an" before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// times are the adverbs that may open or close a clause without changing what
// it means.
var times = []string{
	"yesterday", "today", "last week", "in the morning", "in the evening", "on monday", "on friday", "at noon",
}

// timed adds a time to a clause.
func timed(d *draw, clause string) string {
	if d.percent(50) {
		return pick(d, times) + " " + clause
	}
	return clause + " " + pick(d, times)
}

// fact is what one clause of an episode says.
type fact struct {
	rel   *relation
	who   person
	value string
}

// say words the fact; wording 0 is the plainest.
func (f fact) say(wording int) string { return fill(f.rel.says[wording], f.who.name, f.value) }

func (f fact) sayAny(d *draw) string { return f.say(d.below(len(f.rel.says))) }

func (f fact) ask() string  { return fill(f.rel.ask, f.who.name, f.value) }
func (f fact) what() string { return fill(f.rel.what, f.who.name, f.value) }
func (f fact) askWho() string {
	return fill(f.rel.who, f.who.name, f.value)
}
func (f fact) answer() string { return fill(f.rel.answer, f.who.name, f.value) }

// with is the same fact with another value.
func (f fact) with(value string) fact { f.value = value; return f }

// runs splits a text into its clauses, lower-cased words only, and returns
// every run of neighbouring clauses up to the given length: what has to be
// compared to tell whether one text repeats another.
func runs(text string, longest int) []string {
	var clauses []string
	for _, c := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(".?!\"\n", r) }) {
		if c = words(c); c != "" {
			clauses = append(clauses, c)
		}
	}
	var all []string
	for i := range clauses {
		for n := 1; n <= longest && i+n <= len(clauses); n++ {
			all = append(all, strings.Join(clauses[i:i+n], " "))
		}
	}
	return all
}

// words is a text in lower case with single spaces and no punctuation.
func words(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}), " ")
}

// distinct tells whether no element occurs twice.
func distinct[T comparable](xs ...T) bool {
	for i, x := range xs {
		if slices.Contains(xs[:i], x) {
			return false
		}
	}
	return true
}
