package tasks

import (
	"slices"
	"testing"
)

// splitOf encodes a task's own small file.
func splitOf(t *testing.T, e *Encoder, split string) *Split {
	t.Helper()
	s := &Split{Header: e.Header()}
	s.Header.Split = split
	for _, example := range records(t, e.task, split, e.header.Form) {
		encoded, _, err := e.Encode(example)
		if err != nil {
			t.Fatal(err)
		}
		s.Examples = append(s.Examples, encoded)
	}
	return s
}

// TestPrime: before each question stand solved examples, whole and in one order;
// the question stays as it is; nothing is longer than allowed.
func TestPrime(t *testing.T) {
	for _, task := range registry {
		if task.TrainedOn() != task.Name {
			continue
		}
		for form, pattern := range forms(task) {
			if !form.Asks() {
				continue
			}
			t.Run(task.Name+" "+string(form), func(t *testing.T) {
				encoder := newEncoder(t, task, form, pattern, 400)
				train, val := splitOf(t, encoder, "train"), splitOf(t, encoder, "val")
				for i := range val.Examples {
					val.Examples[i].ID += " asked" // else each is its own example
				}
				const limit = 2000
				primed, fewer, err := val.Prime(train, Priming{Shots: 2, Seed: 3, Limit: limit})
				if err != nil || fewer != 0 {
					t.Fatal(fewer, err)
				}
				again, _, err := val.Prime(train, Priming{Shots: 2, Seed: 3, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				var prefix []int32
				for i, e := range primed.Examples {
					for j, b := range e.Sequences {
						q := val.Examples[i].Sequences[j]
						n := len(b.Input) - len(q.Input)
						if i == 0 && j == 0 {
							prefix = b.Input[1 : 1+n]
						}
						if !slices.Equal(b.Input[1:1+n], prefix) || slices.Contains(prefix, encoder.mask) || n == 0 {
							t.Fatalf("%s: the examples are %v, before the first question %v", e.ID, b.Input[1:1+n], prefix)
						}
						if b.Input[0] != q.Input[0] || !slices.Equal(b.Input[1+n:], q.Input[1:]) {
							t.Errorf("%s: the question has changed", e.ID)
						}
						if b.Sep != q.Sep+n || form == Cloze && b.Input[b.Position[b.Sep]] != encoder.mask {
							t.Errorf("%s: Part B begins at %d, its blank is at %v", e.ID, b.Sep, b.Position[q.Sep:])
						}
						if !slices.Equal(b.Input, again.Examples[i].Sequences[j].Input) {
							t.Errorf("%s: the same seed drew others", e.ID)
						}
					}
				}
				// Room for no example, and for the questions no longer than it.
				tight, fewer, err := val.Prime(train, Priming{Shots: 2, Seed: 3, Limit: 10})
				if err != nil || fewer != len(val.Examples) {
					t.Errorf("%d of %d questions have fewer, %v", fewer, len(val.Examples), err)
				}
				for i, e := range tight.Examples {
					if !slices.Equal(e.Sequences[0].Input, val.Examples[i].Sequences[0].Input) {
						t.Errorf("%s: has examples where none fits", e.ID)
					}
				}
				if _, _, err := val.Prime(train, Priming{Shots: 100, Limit: limit}); err == nil {
					t.Error("drew more examples than there are")
				}
			})
		}
	}
}

// TestPrimeReads: the blank of an example is filled with the word of its label.
func TestPrimeReads(t *testing.T) {
	encoder := newEncoder(t, cb, Cloze, 3, 200)
	train := splitOf(t, encoder, "train")
	for _, e := range train.Examples {
		got := e.solved(Cloze)
		b := e.Sequences[0]
		want := slices.Clone(b.Input[1 : b.Sep-1])
		want[b.Position[b.Sep]-1] = e.Verbalizers[e.Label]
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", e.ID, got, want)
		}
	}
	// A question is not its own example.
	primed, fewer, err := train.Prime(train, Priming{Shots: len(train.Examples), Limit: 5000})
	if err != nil || fewer != len(train.Examples) {
		t.Errorf("%d have fewer, %v", fewer, err)
	}
	all := 0
	for _, x := range train.Examples {
		all += len(x.solved(Cloze))
	}
	for i, e := range primed.Examples {
		got := len(e.Sequences[0].Input) - len(train.Examples[i].Sequences[0].Input)
		if want := all - len(train.Examples[i].solved(Cloze)); got != want {
			t.Errorf("%s: %d tokens before it, want %d", e.ID, got, want)
		}
	}
	pairs := newEncoder(t, cb, Classification, -1, 200)
	if _, _, err := splitOf(t, pairs, "val").Prime(splitOf(t, pairs, "train"), Priming{Shots: 1, Limit: 500}); err == nil {
		t.Error("a pair has no blank to fill")
	}
	if _, _, err := splitOf(t, encoder, "val").Prime(splitOf(t, newEncoder(t, cb, Cloze, 0, 200), "train"), Priming{Shots: 1, Limit: 500}); err == nil {
		t.Error("examples in another pattern were taken")
	}
}
