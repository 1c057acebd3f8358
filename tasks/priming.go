package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/spans"
)

// Priming is how examples with their answers are put before the questions of a
// split, for a model that was not finetuned on them (Brown et al. 2020).
type Priming struct {
	Shots int    // examples before each question, where they fit
	Seed  uint64 // of the draw
	// Limit is the tokens of a sequence with its examples at most, which the
	// positions of the model bound.
	Limit int
}

// shotStream keys the draw of the examples.
const shotStream = 0x5107

// Prime puts examples of another split of the task, drawn once for all questions
// and not again, before each of them: the pattern with its blank filled, one
// behind the other in the order of the draw, the question last. Nothing of a
// question is cut. An example that does not fit whole is left out, and shorter
// ones behind it are still taken; so is the question's own. fewer counts the
// questions that have less than all. Splits that do not belong together, or too
// few examples, are a configs.Error.
func (s *Split) Prime(from *Split, p Priming) (primed *Split, fewer int, err error) {
	h := s.Header
	if h.Scoring.Head() || h.Scoring == Written {
		return nil, 0, &configs.Error{Field: "--shots", Msg: fmt.Sprintf("%s in the form %s has no blank to show filled", h.Task, h.Form), Hint: "the form cloze, or masked for a BERT"}
	}
	if g := from.Header; g.Task != h.FinetunedOn() || g.Form != h.Form || g.Pattern != h.Pattern || g.Tokenizer != h.Tokenizer {
		return nil, 0, &configs.Error{Field: "--shots", Msg: fmt.Sprintf("the examples are of %s, pattern %d, the questions of %s, pattern %d", g.Task, g.Pattern, h.Task, h.Pattern), Hint: "both prepared with one command"}
	}
	type shot struct {
		id     string
		tokens []int32
	}
	var shots []shot
	for _, e := range from.Examples {
		if tokens := e.solved(h.Form); tokens != nil {
			shots = append(shots, shot{e.ID, tokens})
		}
	}
	if len(shots) < p.Shots {
		return nil, 0, &configs.Error{Field: "--shots", Msg: fmt.Sprintf("%d examples of %s, whose split %s has %d", p.Shots, h.Task, from.Header.Split, len(shots)), Hint: fmt.Sprintf("--shots %d, or fewer", len(shots))}
	}
	rand.New(rand.NewPCG(p.Seed, shotStream)).Shuffle(len(shots), func(i, j int) { shots[i], shots[j] = shots[j], shots[i] })
	shots = shots[:p.Shots]

	primed = &Split{Header: h, Examples: slices.Clone(s.Examples)}
	for i := range primed.Examples {
		e := &primed.Examples[i]
		room := p.Limit
		for _, b := range e.Sequences {
			room = min(room, p.Limit-len(b.Input))
		}
		var before []int32
		taken := 0
		for _, shot := range shots {
			if shot.id != e.ID && len(before)+len(shot.tokens) <= room {
				before = append(before, shot.tokens...)
				taken++
			}
		}
		if taken < p.Shots {
			fewer++
		}
		if taken == 0 {
			continue
		}
		blocks := make([]spans.Block, len(e.Sequences))
		for j, b := range e.Sequences {
			q := sequenceOf(b, h.Form, h.Scoring)
			q.tokens = slices.Insert(slices.Clone(q.tokens), 1, before...) // behind [CLS]
			q.pivot += len(before)
			blocks[j] = q.block(h.Form, h.Special)
		}
		e.Sequences = blocks
	}
	return primed, fewer, nil
}

// solved is the text of an example with its blank filled by the right answer,
// without the tokens around it; nil where there is none that the model would be
// asked for.
func (e Encoded) solved(form Form) []int32 {
	choice, answer := 0, []int32(nil)
	switch {
	case e.Label < 0 || e.Scoring == Generative && e.Label != 1:
		return nil
	case e.Scoring == SingleToken:
		answer = e.Verbalizers[e.Label : e.Label+1]
	case e.Scoring == MultiToken:
		choice = e.Label
	}
	s := sequenceOf(e.Sequences[choice], form, e.Scoring)
	behind := s.pivot + 1 // the blank
	switch {
	case e.Scoring == SingleToken:
	case form == Masked:
		answer, behind = s.target, s.pivot+len(s.target)
	default:
		answer = s.target[:len(s.target)-1] // without eop
	}
	tokens := slices.Concat(s.tokens[:s.pivot], answer, s.tokens[behind:])
	return tokens[1 : len(tokens)-1] // [CLS] and what ends the text
}
