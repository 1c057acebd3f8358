package spans

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mixed draws all three modes.
func mixed() Objective {
	o := Default()
	o.Token, o.Sentence, o.Document = 0.4, 0.3, 0.3
	return o
}

// only draws one mode.
func only(mode Mode) Objective {
	o := Default()
	o.Token = 0
	switch mode {
	case Token:
		o.Token = 1
	case Sentence:
		o.Sentence = 1
	case Document:
		o.Document = 1
	}
	return o
}

// masked is the number of tokens in the spans.
func masked(s Sample) int {
	n := 0
	for _, span := range s.Spans {
		n += span.End - span.Start
	}
	return n
}

// checkSample reports the first rule of the objective that a drawn sample, or
// the block made of it, breaks.
func checkSample(o Objective, key Key, tokens []int32, s Sample, sp Special) error {
	n := len(tokens)
	inText := slices.Clone(s.Spans)
	slices.SortFunc(inText, func(a, b Span) int { return a.Start - b.Start })
	if !o.Shuffle && !slices.Equal(inText, s.Spans) {
		return fmt.Errorf("spans %v are not in the order of the text", s.Spans)
	}
	gap := 0
	if s.Mode == Token {
		gap = 1
	}
	for i, span := range inText {
		if span.Start < 0 || span.Start >= span.End || span.End > n {
			return fmt.Errorf("span %v of %d tokens", span, n)
		}
		if i > 0 && span.Start-inText[i-1].End < gap {
			return fmt.Errorf("spans %v and %v are too near", inText[i-1], span)
		}
		for j := span.Start; j < span.End && !s.Prefix; j++ {
			if tokens[j] == sp.Pad || tokens[j] == sp.CLS {
				return fmt.Errorf("span %v holds the special token %d", span, tokens[j])
			}
		}
	}
	switch s.Mode {
	case Token:
		if len(s.Spans) == 0 && len(pieces(nil, tokens, sp)) > 0 {
			return fmt.Errorf("no span in %v", tokens)
		}
	case Document:
		low := min(max(int(o.DocumentMinRatio*float64(n)), 1), n-2)
		if g := masked(s); len(s.Spans) != 1 || g < low || g > n-2 {
			return fmt.Errorf("document spans %v of %d tokens", s.Spans, n)
		}
		if s.Prefix != (s.Spans[0].End == n) || severalDocuments(tokens, sp) && !s.Prefix {
			return fmt.Errorf("document span %v of %d tokens, prefix %t", s.Spans, n, s.Prefix)
		}
	}
	changed, err := o.Build(key, tokens, s, sp)
	if err != nil {
		return err
	}
	b, err := plain(o).Build(key, tokens, s, sp)
	if err != nil {
		return err
	}
	if n > 0 {
		if err := checkOptions(o, changed, b, n, s, sp); err != nil {
			return err
		}
	}
	mask := sp.Mask
	if o.TaskMask && s.Mode == Sentence {
		mask = sp.SMask
	} else if o.TaskMask && s.Mode == Document {
		mask = sp.GMask
	}
	text, err := reconstruct(b, s, mask, sp.SOP, sp.EOP)
	if err != nil {
		return err
	}
	if !slices.Equal(text, tokens) {
		return fmt.Errorf("read back %v, want %v", text, tokens)
	}
	k, m, loss, silent := len(s.Spans), masked(s), 0, 0
	for i, l := range b.LossMask {
		loss += int(l)
		if i >= b.Sep && b.Target[i] == sp.CLS {
			silent++
		}
	}
	total, targets := n+2*k, m+k
	if s.Prefix {
		total, targets = n+1, m-silent
	}
	if len(b.Input) != total || loss != targets || b.Sep != total-m-k && !s.Prefix || s.Prefix && b.Sep != n-m+1 {
		return fmt.Errorf("%d tokens, %d spans over %d: block of %d, sep %d, %d targets", n, k, m, len(b.Input), b.Sep, loss)
	}
	return nil
}

func TestDrawProperties(t *testing.T) {
	withTaskMask, inOrder := mixed(), mixed()
	withTaskMask.TaskMask = true
	inOrder.Shuffle = false
	objectives := map[string]Objective{
		"mixed": mixed(), "task mask": withTaskMask, "not shuffled": inOrder,
		"token": only(Token), "sentence": only(Sentence), "document": only(Document),
	}
	windows := map[string][]int32{
		"one document": window(512), "ended": window(512, 511), "three documents": window(512, 120, 300),
		"short": window(20), "short and ended": window(9, 8), "many short": window(128, 9, 19, 30, 44, 60, 66, 80, 99, 111),
		"no [CLS]": window(64)[1:],
	}
	for name, o := range objectives {
		for kind, tokens := range windows {
			t.Run(name+"/"+kind, func(t *testing.T) {
				for i := range uint64(150) {
					key := Key{Seed: 5, Sample: i}
					if err := checkSample(o, key, tokens, o.Draw(key, tokens, testSpecial, endsEvery(11)), testSpecial); err != nil {
						t.Fatalf("%+v: %v", key, err)
					}
				}
			})
		}
	}
}

// Windows too small for what was drawn still get something to predict, and
// windows that hold nothing to predict get no span.
func TestDrawSmall(t *testing.T) {
	const c, e, x = 101, 0, 7 // [CLS], end of document, a word
	for _, test := range []struct {
		name   string
		tokens []int32
		spans  int // -1: one or more
	}{
		{"empty", []int32{}, 0},
		{"[CLS]", []int32{c}, 0},
		{"cut off at once", []int32{c, x}, 0}, // the last token of a cut document is never masked
		{"one word", []int32{c, x, e}, 1},
		{"two words, cut", []int32{c, x, x}, 1},
		{"ends only", []int32{e, e, c, e}, 0},
		{"one-word documents", []int32{c, x, e, c, x, e, c, x, e}, -1},
	} {
		for _, mode := range []Mode{Token, Sentence, Document} {
			o := only(mode)
			for i := range uint64(40) {
				s := o.Draw(Key{Sample: i}, test.tokens, testSpecial, func(int32) bool { return false })
				if err := checkSample(o, Key{Sample: i}, test.tokens, s, testSpecial); err != nil {
					t.Fatalf("%s, %v: %v", test.name, mode, err)
				}
				if mode != Token {
					continue // long windows may be masked in these modes
				}
				if n := len(s.Spans); test.spans >= 0 && n != test.spans || test.spans < 0 && n == 0 {
					t.Fatalf("%s: %d spans, want %d", test.name, n, test.spans)
				}
			}
		}
	}
}

// TestTokenStatistics checks the law of the short spans on windows of 512
// (mean 3.157 tokens, 15.1 to 15.2 % of the window) and that no part of the
// window is masked more often than another. Bounds are five standard errors.
func TestTokenStatistics(t *testing.T) {
	const draws, n = 40_000, 512
	o, tokens := Default(), window(n)
	var lengths [40]float64
	var total, spans float64
	counts := make([]float64, n)
	for i := range uint64(draws) {
		s := o.Draw(Key{Seed: 42, Sample: i}, tokens, testSpecial, nil)
		for _, span := range s.Spans {
			lengths[span.End-span.Start]++
			spans++
			for j := span.Start; j < span.End; j++ {
				counts[j]++
			}
		}
		m := masked(s)
		if m < 76 || m >= 76+39 {
			t.Fatalf("%d tokens masked, want the budget 76 and less than one span more", m)
		}
		total += float64(m)
	}
	// Variance of the zero-truncated Poisson law is λ(1+λ)p - (λp)²,
	// p = 1/(1-e^-λ).
	p := 1 / (1 - math.Exp(-3))
	sd := math.Sqrt(12*p - 9*p*p)
	if mean := total / spans; math.Abs(mean-3*p) > 5*sd/math.Sqrt(spans) {
		t.Errorf("mean span %.4f tokens, want %.4f", mean, 3*p)
	}
	if share := total / draws / n; share < 0.151 || share > 0.152 {
		t.Errorf("%.4f of the window is masked, want 0.151 to 0.152", share)
	}
	pmf := p * math.Exp(-3)
	for length := 1; length <= 12; length++ {
		pmf *= 3 / float64(length)
		if got := lengths[length] / spans; math.Abs(got-pmf) > 5*math.Sqrt(pmf/spans) {
			t.Errorf("P(%d) = %.5f, want %.5f", length, got, pmf)
		}
	}
	// Spans cannot begin before the first or end behind the last usable
	// token, so a few tokens at both ends are masked less often; between
	// them all positions are alike. Masked tokens come in spans, which
	// raises the variance of a sum of neighbours by less than twice the
	// largest common length.
	const edge, bin = 16, 32
	inner := counts[edge : n-edge]
	mean := 0.0
	for _, c := range inner {
		mean += c / float64(len(inner))
	}
	for from := 0; from < len(inner); from += bin {
		sum := 0.0
		for _, c := range inner[from : from+bin] {
			sum += c
		}
		if se := math.Sqrt(12 * mean * bin); math.Abs(sum-mean*bin) > 5*se {
			t.Errorf("positions %d to %d are masked %.4f of the time, the others %.4f", edge+from, edge+from+bin, sum/bin/draws, mean/draws)
		}
	}
	for i, c := range counts {
		if (i == 0 || i == n-1) != (c == 0) {
			t.Errorf("position %d was masked %g times", i, c)
		}
	}
}

// Every document of a packed window has its share of the masks.
func TestTokenDocuments(t *testing.T) {
	const draws = 4000
	tokens := window(512, 120, 300)
	bounds := []int{0, 120, 300, 512}
	o := Default()
	var share [3]float64
	for i := range uint64(draws) {
		for _, span := range o.Draw(Key{Sample: i}, tokens, testSpecial, nil).Spans {
			d, _ := slices.BinarySearch(bounds, span.Start)
			share[d-1] += float64(span.End - span.Start)
		}
	}
	for d := range share {
		share[d] /= draws * float64(bounds[d+1]-bounds[d])
		// The longest document takes what the others leave of the budget.
		if share[d] < 0.11 || share[d] > 0.21 {
			t.Errorf("%.3f of document %d is masked", share[d], d)
		}
	}
}

func TestSentenceMode(t *testing.T) {
	o := only(Sentence)
	tokens := window(200, 90)
	ends := endsEvery(13)
	for i := range uint64(500) {
		s := o.Draw(Key{Sample: i}, tokens, testSpecial, ends)
		if s.Mode != Sentence {
			t.Fatalf("mode %v", s.Mode)
		}
		longest := 0
		for _, span := range s.Spans {
			longest = max(longest, span.End-span.Start)
			before := tokens[span.Start-1]
			if before != testSpecial.CLS && before != testSpecial.Pad && !ends(before) {
				t.Fatalf("span %v does not begin a sentence", span)
			}
			if last := span.End - 1; !ends(tokens[last]) && span.End != len(tokens) {
				t.Fatalf("span %v does not end a sentence", span)
			}
			for j := span.Start; j < span.End-1; j++ {
				if ends(tokens[j]) {
					t.Fatalf("span %v holds two sentences", span)
				}
			}
		}
		// Sentences are taken until the budget of 30 tokens is reached.
		if m := masked(s); m < 30 || m >= 30+longest {
			t.Fatalf("%d tokens masked, longest sentence %d", m, longest)
		}
	}
	t.Run("no sentence", func(t *testing.T) {
		// An ended document without a full stop holds no sentence.
		s := o.Draw(Key{}, window(50, 49), testSpecial, func(int32) bool { return false })
		if s.Mode != Token || len(s.Spans) == 0 {
			t.Errorf("got %+v, want short spans instead", s)
		}
	})
}

// TestDocumentMode checks bounds and distribution of the long span.
func TestDocumentMode(t *testing.T) {
	const draws, n = 20_000, 64
	o := only(Document)
	tokens := window(n)
	var byLength [n]float64
	prefix, starts, room := 0.0, 0.0, 0.0
	for i := range uint64(draws) {
		s := o.Draw(Key{Sample: i}, tokens, testSpecial, nil)
		byLength[masked(s)]++
		if s.Prefix {
			prefix++
		} else {
			starts += float64(s.Spans[0].Start - 1)
			room += float64(n - 2 - masked(s))
		}
	}
	// A blank lies anywhere between the first and the last token alike.
	if share := starts / room; math.Abs(share-0.5) > 0.02 {
		t.Errorf("blanks leave %.3f of the free room before them, want 0.5", share)
	}
	p := 1.0 / (62 - 32 + 1) // uniform from 0.5·64 to 64-2
	for g, count := range byLength {
		want := 0.0
		if g >= 32 && g <= 62 {
			want = draws * p
		}
		if math.Abs(count-want) > 5*math.Sqrt(want) {
			t.Errorf("%g spans of %d tokens, want about %g", count, g, want)
		}
	}
	if share := prefix / draws; math.Abs(share-0.5) > 5*math.Sqrt(0.25/draws) {
		t.Errorf("%.3f in prefix form, want 0.5", share)
	}
	for i := range uint64(200) {
		if s := o.Draw(Key{Sample: i}, window(n, 20), testSpecial, nil); !s.Prefix {
			t.Fatalf("a window of two documents got the blank form: %+v", s)
		}
	}
}

func TestMixture(t *testing.T) {
	const draws = 20_000
	o := mixed()
	tokens := window(64)
	var counts [3]float64
	for i := range uint64(draws) {
		counts[o.Draw(Key{Seed: 3, Sample: i}, tokens, testSpecial, endsEvery(10)).Mode]++
	}
	for mode, p := range map[Mode]float64{Token: o.Token, Sentence: o.Sentence, Document: o.Document} {
		if got := counts[mode] / draws; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/draws) {
			t.Errorf("%v: %.3f of the samples, want %.3f", mode, got, p)
		}
	}
}

// The draw is a function of the key: the same again, from any goroutine, and
// another for another seed, sample or epoch.
func TestDrawIsKeyed(t *testing.T) {
	o := mixed()
	tokens := window(300)
	draw := func(key Key) Sample { return o.Draw(key, tokens, testSpecial, endsEvery(17)) }
	const n = 64
	var want, got [n]Sample
	for i := range want {
		want[i] = draw(Key{Seed: 9, Sample: uint64(i)})
	}
	var wg sync.WaitGroup
	for i := n - 1; i >= 0; i-- {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got[i] = draw(Key{Seed: 9, Sample: uint64(i)})
		}()
	}
	wg.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drawn again (-first +again):\n%s", diff)
	}
	first := draw(Key{1, 2, 3})
	for _, other := range []Key{{2, 2, 3}, {1, 3, 3}, {1, 2, 4}, {2, 1, 3}, {3, 2, 1}} {
		if cmp.Equal(first, draw(other)) {
			t.Errorf("keys {1 2 3} and %v give the same draw", other)
		}
	}
}

// These draws are what prepared files and resumed runs rest on: they may never
// change.
func TestDrawIsStable(t *testing.T) {
	want := []Sample{
		{Mode: Token, Spans: []Span{{1, 5}, {42, 44}, {48, 51}}},
		{Mode: Token, Spans: []Span{{27, 30}, {50, 52}, {45, 47}, {11, 14}}},
		{Mode: Sentence, Spans: []Span{{1, 11}}},
		{Mode: Document, Prefix: true, Spans: []Span{{13, 64}}},
		{Mode: Document, Prefix: true, Spans: []Span{{27, 64}}},
		{Mode: Document, Spans: []Span{{5, 56}}},
	}
	for i, w := range want {
		got := mixed().Draw(Key{Seed: 1234, Sample: uint64(i)}, window(64), testSpecial, endsEvery(10))
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("sample %d (-want +got):\n%s", i, diff)
		}
	}
}

// The expected words come from a separate implementation of Rand's description.
func TestKeyRandIsStable(t *testing.T) {
	top := ^uint64(0)
	for _, test := range []struct {
		key     Key
		purpose uint64
		want    [3]uint64
	}{
		{Key{0, 0, 0}, 1, [3]uint64{0xae98017ceb53ed45, 0xde32689bf76ab4f6, 0xf445311159fa16e7}},
		{Key{1, 2, 3}, 4, [3]uint64{0xb4ddfb44278b9de2, 0x9bcce178f7a0fa51, 0xc954af97ce970575}},
		{Key{top, top, top}, top, [3]uint64{0x1bec99968bf5097e, 0x80608a1ef1f32457, 0xb9e362438875093a}},
	} {
		r := test.key.Rand(test.purpose)
		if got := [3]uint64{r.Uint64(), r.Uint64(), r.Uint64()}; got != test.want {
			t.Errorf("%v, purpose %d: %#x, want %#x", test.key, test.purpose, got, test.want)
		}
	}
}

// FuzzDraw draws from arbitrary windows and objectives: whatever comes out
// keeps every rule and reads back to the text.
func FuzzDraw(f *testing.F) {
	f.Add(uint64(1), []byte("[a bc de. fg hi jk lm.]"), byte(38), byte(30), byte(128), byte(0))
	f.Add(uint64(2), []byte("[ab]["), byte(255), byte(1), byte(255), byte(1))
	f.Add(uint64(6), []byte("[abcd efgh ijkl.][mnop qrst uvwx yz]"), byte(40), byte(24), byte(60), byte(253))
	f.Add(uint64(3), []byte("]]"), byte(0), byte(0), byte(0), byte(2))
	f.Add(uint64(4), []byte("[abc][d][ef.gh][ijklmnopq"), byte(200), byte(90), byte(10), byte(3))
	f.Add(uint64(5), []byte{}, byte(9), byte(9), byte(9), byte(7))
	f.Fuzz(func(t *testing.T, seed uint64, text []byte, ratio, mean, minimum, flags byte) {
		tokens := make([]int32, min(len(text), 2000))
		for i := range tokens {
			switch text[i] {
			case '[':
				tokens[i] = testSpecial.CLS
			case ']':
				tokens[i] = testSpecial.Pad
			default:
				tokens[i] = 1000 + int32(text[i])
			}
		}
		o := mixed()
		o.MaskRatio = float64(ratio) / 128 // beyond one too
		o.SentenceRatio = o.MaskRatio
		o.MeanSpan = float64(mean) / 8
		o.MaxSpan = int(mean) - 1
		o.DocumentMinRatio = float64(minimum) / 200
		o.TaskMask, o.Shuffle = flags&1 != 0, flags&2 != 0
		o.MaxPositions = 2048
		o.Sentinel, o.BlockPositions, o.RandomPosition = flags&4 != 0, flags&8 == 0, flags&16 != 0
		if flags&32 != 0 {
			o.BlockMask = float64(minimum) / 255
		}
		if flags&64 != 0 {
			o.ContextMask = float64(minimum) / 256
		}
		if flags&128 != 0 {
			o.SingleSpan = 0.5
		}
		for i := range uint64(8) {
			key := Key{Seed: seed, Sample: i}
			s := o.Draw(key, tokens, testSpecial, func(id int32) bool { return id == 1000+'.' })
			if err := checkSample(o, key, tokens, s, testSpecial); err != nil {
				t.Fatalf("%+v: %+v: %v", key, s, err)
			}
		}
	})
}

// The places that nextOf finds are those that a comparison of each token finds,
// wherever they lie and however far apart the two ids are.
func TestNextOf(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		a, b := int32(rng.IntN(40)-20), int32(rng.IntN(40)-20)
		tokens := make([]int32, rng.IntN(40))
		for i := range tokens {
			tokens[i] = int32(rng.IntN(60) - 30)
		}
		from := rng.IntN(len(tokens) + 1)
		want := from
		for want < len(tokens) && tokens[want] != a && tokens[want] != b {
			want++
		}
		if got := nextOf(tokens, from, a, b); got != want {
			t.Fatalf("%d or %d from place %d on of %v: %d, want %d", a, b, from, tokens, got, want)
		}
	}
}
