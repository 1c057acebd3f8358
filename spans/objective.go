package spans

import (
	"math"
	"slices"
	"sync/atomic"
)

// Objective is the mixture of blank-infilling objectives and their constants.
// Token, Sentence and Document are probabilities that sum to one.
type Objective struct {
	Token    float64 // short spans; 1 in GLM-Base and GLM-Large
	Sentence float64 // whole sentences; 0
	Document float64 // one long span; 0

	MaskRatio        float64 // share of a window's tokens that short spans mask; 0.15
	MeanSpan         float64 // λ of the Poisson law of short spans, tokens; 3
	MaxSpan          int     // short spans are shorter than this; 40
	SentenceRatio    float64 // share of a window's tokens that sentences mask; 0.15
	DocumentMinRatio float64 // shortest long span as a share of the window; 0.5
	DocumentPrefix   float64 // probability that the long span is the window's end; 0.5
	TaskMask         bool    // [sMASK] for sentences and [gMASK] for documents instead of [MASK]; false
	// Shuffle predicts spans in random order instead of from left to right;
	// true. Off, it is the paper's ablation "− shuffle spans".
	Shuffle bool

	// SingleSpan is the probability of a sample of one short span, before the
	// mixture is drawn; 0. GLM-10B learnt windows of 1024 with 0.05.
	SingleSpan float64
	// BlockMask is the probability that [dBLOCK] takes the place of a token
	// that Part B of short spans reads (never of sop); what is predicted stays.
	// 0; GLM-2B and GLM-10B have 0.1.
	BlockMask float64
	// ContextMask is the share of the window's tokens that [dBLOCK] hides in
	// Part A of short spans, among those at most three places from a mask.
	// They are not predicted. 0.
	ContextMask float64
	// Sentinel numbers the masks, as T5 does, instead of telling pieces of
	// Part B the place of their mask: the k-th piece, from 0, has the k-th mask
	// and the k-th sop, of which the vocabulary's own are the first, and all of
	// Part B has the position MaxPositions, which no text has. False; on, it is
	// the paper's ablation "+ sentinel tokens".
	Sentinel bool
	// BlockPositions counts the tokens of each piece of Part B; true. Off, all
	// of Part B has block position 1, so that a model knows the place of a span
	// but not how far it has got in it: the ablation of the second position.
	BlockPositions bool
	// RandomPosition adds one random number to the positions of a window, the
	// largest staying below MaxPositions, so that short windows train the whole
	// position table; false.
	RandomPosition bool
	// MaxPositions is the model's number of positions. Only Build with Sentinel
	// or RandomPosition asks for it.
	MaxPositions int
}

// Default is the objective of GLM-Base and GLM-Large (GLM repository,
// ConstructBlockStrategy and config/bert_base_prefix): short spans only.
func Default() Objective {
	return Objective{
		Token: 1, MaskRatio: 0.15, MeanSpan: 3, MaxSpan: 40,
		SentenceRatio: 0.15, DocumentMinRatio: 0.5, DocumentPrefix: 0.5, Shuffle: true, BlockPositions: true,
	}
}

// Sample is what was drawn for one window: everything that Build needs beside
// the tokens.
type Sample struct {
	Mode Mode
	// Prefix is the form of a Document sample whose only span is the end of
	// the window.
	Prefix bool
	Spans  []Span // in the order in which Part B predicts them
	// Prompts are the ranges of the window that are prompts: the prefix form
	// reads them but does not predict them (GLM repository, PromptDataset).
	Prompts []Span
}

// Draw draws the corruption of one window: the mode by the objective's
// probabilities, then the spans of that mode. endsSentence says whether a
// token ends a sentence; only the sentence mode asks it.
//
// The authors draw the mode once per batch and rank. Here every window draws
// its own: its corruption then depends on its key alone, whatever the batch
// size, the workers and the ranks, and each batch holds the mixture itself, so
// that the loss does not jump between objectives from step to step.
//
// A window that has no room for the drawn mode (no sentence in it, fewer than
// three tokens for a document span) is drawn as Token. A window none of whose
// tokens may be masked gets a Token sample without spans.
func (o Objective) Draw(key Key, tokens []int32, sp Special, endsSentence func(int32) bool) Sample {
	mode, single := o.mode(key)
	r := key.stream(purposeSpans)
	var s Sample
	switch mode {
	case Sentence:
		s = Sample{Mode: Sentence, Spans: o.sentenceSpans(&r, tokens, sp, endsSentence)}
	case Document:
		s = o.documentSpan(&r, tokens, sp)
	}
	if len(s.Spans) == 0 {
		s = Sample{Mode: Token, Spans: o.tokenSpans(&r, tokens, sp, single)}
	}
	if o.Shuffle {
		shuffle(&r, s.Spans)
	} else {
		slices.SortFunc(s.Spans, func(a, b Span) int { return a.Start - b.Start })
	}
	return s
}

// mode draws the mode of a window, and whether it is a single short span.
func (o Objective) mode(key Key) (mode Mode, single bool) {
	if o.Token >= 1 && o.SingleSpan <= 0 {
		return Token, false
	}
	r := key.stream(purposeMode)
	switch u := r.float64(); {
	case u < o.Token:
	case u < o.Token+o.Sentence:
		mode = Sentence
	default:
		mode = Document
	}
	if o.SingleSpan > 0 && r.float64() < o.SingleSpan {
		return Token, true
	}
	return mode, false
}

// piece is the usable part of one document of a window: first token, length.
type piece struct{ start, length int }

// pieces appends the usable part of every document, shortest first. Ends of
// documents and [CLS] are never usable; a last document that the window cuts
// also gives up its last token (GLM repository, sample_span_in_document).
func pieces(dst []piece, tokens []int32, sp Special) []piece {
	start := 0
	for i := nextOf(tokens, 0, sp.Pad, sp.CLS); i < len(tokens); i = nextOf(tokens, i+1, sp.Pad, sp.CLS) {
		if i > start {
			dst = append(dst, piece{start, i - start})
		}
		start = i + 1
	}
	if n := len(tokens) - start - 1; n > 0 {
		dst = append(dst, piece{start, n})
	}
	slices.SortStableFunc(dst, func(a, b piece) int { return a.length - b.length })
	return dst
}

// nextOf returns the place of the first token from place i on that is a or b, or how
// many tokens there are. Eight at a time are found to be neither: ids of special tokens
// are close to each other, and a text has nothing between them.
func nextOf(tokens []int32, i int, a, b int32) int {
	low := min(a, b)
	apart := uint32(max(a, b) - low)
	for i < len(tokens) {
		if i+8 <= len(tokens) {
			t := (*[8]int32)(tokens[i:])
			x := min(uint32(t[0]-low), uint32(t[1]-low), uint32(t[2]-low), uint32(t[3]-low))
			y := min(uint32(t[4]-low), uint32(t[5]-low), uint32(t[6]-low), uint32(t[7]-low))
			if min(x, y) > apart {
				i += 8
				continue
			}
		}
		if t := tokens[i]; t == a || t == b {
			break
		}
		i++
	}
	return i
}

// tokenSpans draws short spans (GLM repository, ConstructBlockStrategy): lengths
// from a zero-truncated Poisson law until they add up to MaskRatio of the
// window, in random order; every document but the longest takes lengths while
// they keep within MaskRatio of it, the longest takes the rest. Spans of a
// document are at least one token apart.
//
// A single span is the same with one length, whatever MaskRatio is.
//
// Where lengths remain that no document has room for, the authors drop the
// window. Here the spans that found a place are kept; and where none did (a
// window of a few tokens), one span is cut to the longest document's size.
func (o Objective) tokenSpans(r *stream, tokens []int32, sp Special, single bool) []Span {
	var pieceBuf [32]piece
	docs := pieces(pieceBuf[:0], tokens, sp)
	if len(docs) == 0 {
		return nil
	}
	var lengthBuf [64]int
	table := lengthsOf(o.MeanSpan, max(o.MaxSpan, 2))
	lengths, total := lengthBuf[:0], 0
	budget := min(int(o.MaskRatio*float64(len(tokens))), len(tokens))
	if single {
		budget = 1
	}
	for total < budget || total == 0 {
		n := table.draw(r)
		lengths = append(lengths, n)
		total += n
	}
	// The last length is the one that reached the budget, hence longer than
	// the others on average: it must not always come last in the text.
	shuffle(r, lengths)

	spans := make([]Span, 0, len(lengths))
	longest := docs[len(docs)-1]
	for _, d := range docs[:len(docs)-1] {
		k, sum, budget := 0, 0, int(o.MaskRatio*float64(d.length))
		for k < len(lengths) && sum+lengths[k] <= budget && sum+lengths[k]+k <= d.length {
			sum += lengths[k]
			k++
		}
		spans = place(spans, r, lengths[:k], d)
		lengths = lengths[k:]
	}
	k, sum := 0, 0
	for k < len(lengths) && sum+lengths[k]+k <= longest.length {
		sum += lengths[k]
		k++
	}
	if k == 0 && len(spans) == 0 {
		lengths[0] = min(lengths[0], longest.length)
		k = 1
	}
	return place(spans, r, lengths[:k], longest)
}

// place appends spans of the given lengths, in that order, at random places of
// a document: sorted uniform draws of the gap before each, one token at least
// between two spans (GLM repository, sample_spans).
func place(dst []Span, r *stream, lengths []int, doc piece) []Span {
	if len(lengths) == 0 {
		return dst
	}
	free := doc.length - len(lengths) + 1
	for _, n := range lengths {
		free -= n
	}
	var placeBuf [64]uint64
	places := placeBuf[:0]
	for range lengths {
		places = append(places, uint64(r.intN(free+1)))
	}
	sortPlaces(places, 0)
	offset := doc.start
	for i, n := range lengths {
		start := offset + int(places[i])
		dst = append(dst, Span{start, start + n})
		offset += n + 1
	}
	return dst
}

// sentenceSpans draws whole sentences until they add up to SentenceRatio of the
// window (paper section 2.2; GLM repository, ConstructBlockStrategy). The end of
// a document discards the unfinished sentence before it; the window's own
// unfinished last sentence counts. Unlike the authors', a sentence never holds
// the [CLS] of the next document.
func (o Objective) sentenceSpans(r *stream, tokens []int32, sp Special, endsSentence func(int32) bool) []Span {
	var all []Span
	start := 0
	for i, t := range tokens {
		switch {
		case t == sp.Pad || t == sp.CLS:
			start = i + 1
		case endsSentence != nil && endsSentence(t):
			all = append(all, Span{start, i + 1})
			start = i + 1
		}
	}
	if start < len(tokens) {
		all = append(all, Span{start, len(tokens)})
	}
	shuffle(r, all)
	budget, sum := int(o.SentenceRatio*float64(len(tokens))), 0
	for i, s := range all {
		if sum += s.End - s.Start; sum >= budget {
			return all[:i+1]
		}
	}
	return all
}

// documentSpan draws one long span (paper section 2.2; GLM repository,
// ConstructBlockStrategy): its length is uniform between DocumentMinRatio of
// the window and the window less two tokens; it is the window's end with
// probability DocumentPrefix, and always where the window holds several
// documents, since a blank must not cross from one into another.
//
// The authors draw one length per batch, bounded by the batch's shortest and
// longest window; here each window draws its own, for the reason given at Draw.
func (o Objective) documentSpan(r *stream, tokens []int32, sp Special) Sample {
	n := len(tokens)
	if n < 3 {
		return Sample{}
	}
	shortest := min(max(int(o.DocumentMinRatio*float64(n)), 1), n-2)
	g := shortest + r.intN(n-2-shortest+1)
	prefix := r.float64() < o.DocumentPrefix
	if prefix || severalDocuments(tokens, sp) {
		return Sample{Mode: Document, Prefix: true, Spans: []Span{{n - g, n}}}
	}
	start := 1 + r.intN(n-1-g)
	return Sample{Mode: Document, Spans: []Span{{start, start + g}}}
}

func severalDocuments(tokens []int32, sp Special) bool {
	last := len(tokens) - 1
	for i, t := range tokens {
		if t == sp.Pad && i != last || t == sp.CLS && i != 0 {
			return true
		}
	}
	return false
}

// lengthTable is the law of short spans' lengths as cumulative probabilities:
// cumulative[i] = P(length <= i+1).
type lengthTable struct {
	mean       float64
	max        int
	cumulative []float64
	// begin holds the first length, less one, that a number from k/len(begin) on can
	// draw.
	begin [64]uint8
}

// lastTable keeps the table of the law asked for last: a run asks for one.
var lastTable atomic.Pointer[lengthTable]

// lengthsOf returns the Poisson law of the given mean, cut to lengths from 1
// to max-1 (GLM repository, ConstructBlockStrategy). max is at least 2.
func lengthsOf(mean float64, max int) *lengthTable {
	if t := lastTable.Load(); t != nil && t.mean == mean && t.max == max {
		return t
	}
	t := &lengthTable{mean: mean, max: max, cumulative: make([]float64, max-1)}
	sum := 0.0
	for i := range t.cumulative {
		n := float64(i + 1)
		logFactorial, _ := math.Lgamma(n + 1)
		sum += math.Exp(n*math.Log(mean) - mean - logFactorial)
		t.cumulative[i] = sum
	}
	for i := range t.cumulative {
		t.cumulative[i] /= sum
	}
	for k, i := 0, 0; k < len(t.begin); k++ {
		for i < min(len(t.cumulative)-1, math.MaxUint8) && t.cumulative[i] <= float64(k)/float64(len(t.begin)) {
			i++
		}
		t.begin[k] = uint8(i)
	}
	lastTable.Store(t)
	return t
}

func (t *lengthTable) draw(r *stream) int {
	u := r.float64()
	begin := int(t.begin[int(u*float64(len(t.begin)))%len(t.begin)])
	for i, c := range t.cumulative[begin:] {
		if u < c {
			return begin + i + 1
		}
	}
	return len(t.cumulative)
}
