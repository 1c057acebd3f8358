// Package microworld makes up a small world and writes it down: English-like
// documents to pretrain on, and tasks in the file formats of the eight
// SuperGLUE tasks whose answers follow from that world. With it anyone can
// check in minutes, without a download or a GPU, that a training set-up learns.
//
// Two kinds of facts are told. What the tables of world.go say holds in every
// text: where things are kept, which is bigger, what causes what, the senses
// of a word. A model can learn it by heart. What a passage says of people
// ("Anna went to the garden.") holds in that passage only and has to be read.
//
// The documents and the tasks share the language and the constant facts. They
// do not share examples: no passage, premise or sentence of a validation or
// test example occurs in any document (see World.Documents).
//
// The same parameters give the same bytes on every platform.
package microworld

import (
	"fmt"
	"slices"

	"github.com/glmkit/glmkit/configs"
)

// Params size a microworld. The zero value is not valid; start from Defaults.
type Params struct {
	Seed       uint64 `json:"seed"`
	Documents  int    `json:"documents"`  // to pretrain on
	Held       int    `json:"held"`       // documents held out to validate on
	People     int    `json:"people"`     // names in use, MinPeople to MaxPeople
	Difficulty int    `json:"difficulty"` // 1 to 3: longer passages, closer wrong answers
	Train      int    `json:"train"`      // examples per task; answers for MultiRC
	Val        int    `json:"val"`        // likewise, and for the unlabelled test split
}

// Bounds of Params.
const (
	MinPeople = 8 // passages name up to five people, riddles two of one sex
	MaxTrain  = 5000
	MaxVal    = 1000
)

// MaxPeople is the number of names the world knows.
var MaxPeople = len(people)

// Defaults are the parameters of the demo.
func Defaults() Params {
	return Params{Seed: 1, Documents: 7000, Held: 200, People: 24, Difficulty: 1, Train: 800, Val: 250}
}

// Validate returns a configs.Error that names the first parameter out of range.
func (p Params) Validate() error {
	for _, c := range []struct {
		name          string
		value, lo, hi int
	}{
		{"documents", p.Documents, 1, 10_000_000},
		{"held", p.Held, 1, 1_000_000},
		{"people", p.People, MinPeople, MaxPeople},
		{"difficulty", p.Difficulty, 1, 3},
		{"train-size", p.Train, 1, MaxTrain},
		{"val-size", p.Val, 1, MaxVal},
	} {
		if c.value < c.lo || c.value > c.hi {
			return &configs.Error{Field: c.name, Msg: fmt.Sprintf("%d is out of range", c.value),
				Hint: fmt.Sprintf("a value from %d to %d", c.lo, c.hi)}
		}
	}
	return nil
}

// World generates documents and tasks of one set of parameters.
type World struct {
	params Params
	people []person
}

// New checks the parameters and returns their world.
func New(p Params) (*World, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &World{params: p, people: people[:p.People]}, nil
}

// names picks n different people.
func (w *World) names(d *draw, n int) []person { return sample(d, w.people, n) }

// fact draws something to say of a person.
func (w *World) fact(d *draw, who person) fact {
	rel := pick(d, relations)
	return fact{rel: rel, who: who, value: pick(d, rel.values)}
}

// reads tells whether an example shall need reading who did what, rather than
// the meaning of words and what holds in the whole world.
func (w *World) reads(d *draw) bool { return d.percent([]int{20, 55, 90}[w.params.Difficulty-1]) }

// near tells whether a wrong answer shall be another person's in the same
// passage, rather than one that the passage does not name.
func (w *World) near(d *draw) bool { return d.percent([]int{40, 70, 95}[w.params.Difficulty-1]) }

// wrong is a value that f's person does not have: near, one of another fact of
// the passage where there is one of the same relation, else one that excludes
// f's value and that the passage does not name.
func (w *World) wrong(d *draw, f fact, passage []fact) string {
	var said, others []string
	for _, g := range passage {
		if g.rel == f.rel {
			said = append(said, g.value)
			if !f.agrees(g.value) {
				others = append(others, g.value)
			}
		}
	}
	if len(others) > 0 && w.near(d) {
		return pick(d, others)
	}
	contrary := f.contrary()
	unsaid := slices.DeleteFunc(slices.Clone(contrary), func(v string) bool { return slices.Contains(said, v) })
	if len(unsaid) == 0 {
		return pick(d, contrary)
	}
	return pick(d, unsaid)
}
