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

// fact is what one clause of an episode says: that a relation holds, or that
// it does not.
type fact struct {
	rel    *relation
	who    person
	value  string
	denied bool
}

func (f fact) fill(wording string) string { return fill(wording, f.who.name, f.value) }

// say words the fact in any of the ways there are.
func (f fact) say(d *draw) string {
	if f.denied {
		return f.fill(pick(d, f.rel.denies))
	}
	return f.fill(pick(d, f.rel.says))
}

// plain affirms the fact in the plainest way.
func (f fact) plain() string { return f.fill(f.rel.says[0]) }

func (f fact) ask() string    { return f.fill(f.rel.ask) }
func (f fact) what() string   { return f.fill(f.rel.what) }
func (f fact) askWho() string { return f.fill(f.rel.who) }
func (f fact) answer() string { return f.fill(f.rel.answer) }

// agrees tells whether a value is the fact's own or means the same.
func (f fact) agrees(value string) bool {
	return value == f.value || f.rel == inMood && value == same[f.value]
}

// contrary are the values that exclude the fact's.
func (f fact) contrary() []string {
	if f.rel == inMood {
		words := opposite[f.value]
		return words[:]
	}
	return slices.DeleteFunc(slices.Clone(f.rel.values), func(v string) bool { return v == f.value })
}

// words is a text in lower case with single spaces and no punctuation.
func words(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}), " ")
}

// phrases is a set of texts that can be looked for in others, whatever their
// punctuation and capitals.
type phrases struct {
	texts   map[string]bool
	lengths []int // in words, those that occur
}

func newPhrases() *phrases { return &phrases{texts: map[string]bool{}} }

func (p *phrases) add(text string) {
	text = words(strings.ReplaceAll(text, "@highlight", ""))
	p.texts[text] = true
	if n := 1 + strings.Count(text, " "); !slices.Contains(p.lengths, n) {
		p.lengths = append(p.lengths, n)
	}
}

// in tells whether any of the phrases occurs in the text.
func (p *phrases) in(text string) bool {
	text = words(text)
	starts := []int{0}
	for i := range len(text) {
		if text[i] == ' ' {
			starts = append(starts, i+1)
		}
	}
	starts = append(starts, len(text)+1)
	for i := range starts {
		for _, n := range p.lengths {
			if i+n < len(starts) && p.texts[text[starts[i]:starts[i+n]-1]] {
				return true
			}
		}
	}
	return false
}
