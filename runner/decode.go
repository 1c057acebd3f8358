//go:build cgo

package runner

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Decoding says how blanks are filled. Draws depend on Seed, the prompt's Number
// and the token's place, and on nothing else.
type Decoding struct {
	configs.Decoding
	Seed uint64
}

// check returns a configs.Error for what cannot be done with a model of so many
// positions.
func (d Decoding) check(positions int) error {
	switch {
	case d.Beams < 1:
		return &configs.Error{Field: "--beams", Msg: fmt.Sprintf("%d beams find nothing", d.Beams), Hint: "1 or more"}
	case d.Sample && d.Beams > 1:
		return &configs.Error{Field: "--beams", Msg: "a beam is searched, not drawn", Hint: "--beams or --sample"}
	case d.Sample && !(d.Temperature > 0):
		return &configs.Error{Field: "--temperature", Msg: fmt.Sprintf("%v is not above 0", d.Temperature), Hint: "0.9, or no --sample for the likeliest tokens"}
	case d.TopP < 0 || d.TopP > 1 || d.TopK < 0:
		return &configs.Error{Field: "--top-p", Msg: fmt.Sprintf("there is no share of tokens %v, nor a number %d", d.TopP, d.TopK), Hint: "--top-p from 0 to 1, --top-k from 0; 0: no limit"}
	case d.MaxLength < 1 || d.MaxLength > positions:
		return &configs.Error{Field: "--max-tokens", Msg: fmt.Sprintf("an answer of %d tokens: the model has positions for 1 to %d", d.MaxLength, positions), Hint: fmt.Sprintf("--max-tokens %d", positions)}
	case d.MinLength < 0 || d.MinLength >= d.MaxLength:
		return &configs.Error{Field: "--min-tokens", Msg: fmt.Sprintf("an answer of at least %d tokens and, with its end, at most %d", d.MinLength, d.MaxLength), Hint: "less than --max-tokens"}
	case d.NoRepeat < 0:
		return &configs.Error{Field: "--no-repeat", Msg: fmt.Sprintf("runs of %d tokens", d.NoRepeat), Hint: "3 is usual; 0: runs may repeat"}
	}
	return nil
}

// Written is what was written into a blank.
type Written struct {
	Tokens  []int32 // without the end
	LogProb float64 // of the tokens and the end, summed, nats
	Score   float64 // LogProb over the length penalty
	Ended   bool    // false where MaxLength cut it short
}

// feed is one token that a row reads next.
type feed struct {
	text, slot             int
	length                 int // tokens that the slot has before it
	token, position, block int32
	banned                 []int32 // tokens that must not follow,
	end                    int32   // the one that is no word but may
}

// stepper computes what follows.
type stepper interface {
	// step reads a token for each feed, whose slots differ, and returns for each
	// the k likeliest ones below size, or the end, that may follow.
	step(feeds []feed, size, k int) ([]torch.Likely, error)
	// copySlots lets slots go on from the first length tokens of others, all at
	// once.
	copySlots(to, from []int, length int)
}

// writingTokens are the tokens that decoding must know.
type writingTokens struct {
	sop, eop int32
	size     int     // tokens that may be written are below it, eop apart
	never    []int32 // but these
}

// filling fills the blanks of one text, one after another. It owns the slots
// from text·beams on.
type filling struct {
	Decoding
	tokens writingTokens
	text   int
	number uint64 // keys the draws
	blanks []int  // their positions, in the order of filling
	tell   func(blank int, token int32)

	answers [][]Written // of the blanks so far, the best first
	start   int         // tokens that the slots had before this blank
	live    []beam
	ended   []Written
	replay  []int32 // of the best answer: tokens to be read before the next blank
	fed     int     // tokens of this blank that were read
}

// beam is an answer that goes on, in a slot.
type beam struct {
	tokens []int32
	sum    float64
	slot   int
	greedy bool // the likeliest token was taken each time
}

func newFilling(d Decoding, t writingTokens, text int, number uint64, blanks []int) *filling {
	f := &filling{Decoding: d, tokens: t, text: text, number: number, blanks: blanks}
	f.open()
	return f
}

// open begins a blank.
func (f *filling) open() {
	f.fed, f.ended = 0, nil
	f.live = []beam{{slot: f.text * f.Beams, greedy: true}}
}

func (f *filling) finished() bool { return len(f.answers) == len(f.blanks) }

// feeds is what is to be read next; nothing where all is filled.
func (f *filling) feeds(to []feed) []feed {
	if f.finished() && f.replay == nil {
		return to
	}
	one := feed{text: f.text, length: f.start + f.fed, block: int32(f.fed + 1), token: f.tokens.sop, end: f.tokens.eop}
	if f.replay != nil {
		one.slot, one.position = f.text*f.Beams, int32(f.blanks[len(f.answers)-1])
		if f.fed > 0 {
			one.token = f.replay[f.fed-1]
		}
		return append(to, one)
	}
	one.position = int32(f.blanks[len(f.answers)])
	for _, b := range f.live {
		one.slot = b.slot
		if f.fed > 0 {
			one.token = b.tokens[f.fed-1]
		}
		one.banned = f.banned(b.tokens)
		to = append(to, one)
	}
	return to
}

// looked is how many of the tokens that may follow are looked at.
func (f *filling) looked() int {
	switch {
	case f.Sample && f.TopK > 0:
		return min(f.TopK, f.tokens.size+1)
	case f.Sample:
		return f.tokens.size + 1
	case f.Beams > 1:
		return 2 * f.Beams
	}
	return 1
}

// take goes on with what may follow its feeds.
func (f *filling) take(rows []torch.Likely, s stepper) error {
	f.fed++
	if f.replay != nil {
		if f.fed == len(f.replay)+1 {
			f.start, f.replay = f.start+f.fed, nil
			f.open()
		}
		return nil
	}
	for _, row := range rows {
		if row.NaN {
			return fmt.Errorf("blank %d, token %d: the model's output is not a number", len(f.answers)+1, f.fed)
		}
	}
	switch {
	case f.Beams > 1:
		f.search(rows, s)
	case len(rows[0].IDs) == 0: // nothing is allowed any more
		f.end(f.written(f.live[0], 0, false))
	case f.Sample:
		f.one(rows[0], f.draw(rows[0]))
	default:
		f.one(rows[0], 0)
	}
	return nil
}

// banned are the tokens that an answer must not go on with.
func (f *filling) banned(tokens []int32) []int32 {
	no := slices.Clip(f.tokens.never)
	if len(tokens) < f.MinLength {
		no = append(no, f.tokens.eop)
	}
	if n := f.NoRepeat; n > 0 && len(tokens) >= n {
		last := tokens[len(tokens)-n+1:]
		for i := 0; i+n <= len(tokens); i++ {
			if slices.Equal(tokens[i:i+n-1], last) {
				no = append(no, tokens[i+n-1])
			}
		}
	}
	return no
}

// draw takes one of the tokens at random and returns its place.
func (f *filling) draw(row torch.Likely) int {
	weights := make([]float64, len(row.IDs))
	total := 0.0
	for i, p := range row.LogP {
		weights[i] = math.Exp(float64(p-row.LogP[0]) / f.Temperature)
		total += weights[i]
	}
	if f.TopP > 0 {
		sum, n := 0.0, 0
		for ; n < len(weights) && (n == 0 || sum < f.TopP*total); n++ {
			sum += weights[n]
		}
		weights, total = weights[:n], sum
	}
	source := rand.New(rand.NewPCG(mix(f.Seed, f.number), uint64(len(f.answers))<<32|uint64(f.fed)))
	at := source.Float64() * total
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// one goes on with the only beam by the token at a place.
func (f *filling) one(row torch.Likely, at int) {
	b := &f.live[0]
	token, p := int32(row.IDs[at]), float64(row.LogP[at])
	if f.tell != nil {
		f.tell(len(f.answers), token)
	}
	if token == f.tokens.eop {
		f.end(f.written(*b, p, true))
		return
	}
	b.tokens, b.sum = append(b.tokens, token), b.sum+p
	if len(b.tokens) == f.MaxLength {
		f.end(f.written(*b, 0, false))
	}
}

// written is a beam as an answer, with the log-probability of what ends it.
func (f *filling) written(b beam, p float64, ended bool) Written {
	sum := b.sum + p
	return Written{Tokens: b.tokens, LogProb: sum, Score: f.score(sum, len(b.tokens)), Ended: ended}
}

func (f *filling) score(sum float64, length int) float64 {
	return sum / math.Pow(float64(max(1, length)), f.LengthPenalty)
}

// candidate is a token behind a beam.
type candidate struct {
	from  int
	token int32
	sum   float64
}

// search is a step of beam search (GLM repository, generation_utils, after
// Hugging Face's): the likeliest 2·beams continuations are looked at in their
// order; an end counts among the first beams of them; the others go on. A blank
// is done when as many answers have ended as there are beams, and none that
// goes on has a better score now than the worst of them. Unlike there, the
// greedy answer is never given up, so that without a length penalty no search
// ends below it.
func (f *filling) search(rows []torch.Likely, s stepper) {
	var best []candidate
	for i, row := range rows {
		for j, id := range row.IDs {
			best = append(best, candidate{i, int32(id), f.live[i].sum + float64(row.LogP[j])})
		}
	}
	slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(b.sum, a.sum) })
	best = best[:min(len(best), 2*f.Beams)]
	greedy := candidate{from: slices.IndexFunc(f.live, func(b beam) bool { return b.greedy })}
	followed := greedy.from < 0 || len(rows[greedy.from].IDs) == 0
	if !followed {
		row := rows[greedy.from]
		greedy.token, greedy.sum = int32(row.IDs[0]), f.live[greedy.from].sum+float64(row.LogP[0])
	}
	var next []candidate
	for rank, c := range best {
		followed = followed || c == greedy && (rank < f.Beams || c.token != f.tokens.eop && len(next) < f.Beams)
		if c.token != f.tokens.eop && len(next) < f.Beams {
			next = append(next, c)
		} else if c.token == f.tokens.eop && rank < f.Beams {
			f.keep(f.ending(c.from, c.sum))
		}
	}
	if !followed && greedy.token == f.tokens.eop {
		f.keep(f.ending(greedy.from, greedy.sum))
	} else if !followed {
		next = append(next[:min(len(next), f.Beams-1)], greedy)
	}
	var live []beam
	var from, to []int
	for i, c := range next {
		old, slot := f.live[c.from], f.text*f.Beams+i
		live = append(live, beam{append(slices.Clip(old.tokens), c.token), c.sum, slot, c == greedy})
		from, to = append(from, old.slot), append(to, slot)
	}
	switch {
	case len(live) == 0 && len(f.ended) == 0: // nothing is allowed any more
		for _, b := range f.live {
			f.keep(f.written(b, 0, false))
		}
	case f.fed == f.MaxLength:
		for _, b := range live {
			f.keep(f.written(b, 0, false))
		}
	case len(live) > 0 && (len(f.ended) < f.Beams || f.ended[f.Beams-1].Score < f.score(live[0].sum, len(live[0].tokens))):
		f.live = live
		if !slices.Equal(from, to) {
			s.copySlots(to, from, f.start+f.fed)
		}
		return
	}
	f.end(f.ended...)
}

// ending is a beam that goes on to its end, with the sum that it then has.
func (f *filling) ending(beam int, sum float64) Written {
	return f.written(f.live[beam], sum-f.live[beam].sum, true)
}

// keep takes an answer among the best.
func (f *filling) keep(w Written) {
	at, _ := slices.BinarySearchFunc(f.ended, w.Score, func(e Written, score float64) int {
		if e.Score >= score {
			return -1
		}
		return 1
	})
	f.ended = slices.Insert(f.ended, at, w)
	f.ended = f.ended[:min(len(f.ended), f.Beams)]
}

// end closes a blank with its answers. The next one reads the best of them,
// anew where a beam was searched: other answers lie in the slots by now.
func (f *filling) end(answers ...Written) {
	f.answers = append(f.answers, answers)
	if f.finished() {
		return
	}
	best := answers[0]
	if f.Beams > 1 || len(best.Tokens) == f.fed { // the last token was not read yet
		f.replay, f.fed = append([]int32{}, best.Tokens...), 0
		return
	}
	f.start += f.fed
	f.open()
}

// fillAll runs fillings side by side until all are finished.
func fillAll(s stepper, fillings []*filling, interrupted func() error) error {
	var feeds []feed
	for {
		feeds = feeds[:0]
		for _, f := range fillings {
			feeds = f.feeds(feeds)
		}
		if len(feeds) == 0 {
			return nil
		}
		if err := interrupted(); err != nil {
			return err
		}
		rows, err := s.step(feeds, fillings[0].tokens.size, fillings[0].looked())
		if err != nil {
			return err
		}
		for i := 0; i < len(feeds); {
			to := i
			for to < len(feeds) && feeds[to].text == feeds[i].text {
				to++
			}
			at := slices.IndexFunc(fillings, func(f *filling) bool { return f.text == feeds[i].text })
			if err := fillings[at].take(rows[i:to], s); err != nil {
				return err
			}
			i = to
		}
	}
}
