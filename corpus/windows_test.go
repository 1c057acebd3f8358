package corpus

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/spans"
)

// numbered is a corpus in which every token is another number, so that a
// window shows where each of its tokens comes from.
type numbered struct {
	starts []int64 // of the documents, and the end
}

const (
	testPad, testCLS = 0, 1
	firstToken       = 2 // id of the corpus' token 0
)

func newNumbered(lengths ...int64) *numbered {
	c := &numbered{starts: []int64{0}}
	for _, n := range lengths {
		c.starts = append(c.starts, c.starts[len(c.starts)-1]+n)
	}
	return c
}

func (c *numbered) size() int64 { return c.starts[len(c.starts)-1] }

// document is the index of the document that holds a token.
func (c *numbered) document(token int64) int {
	return sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > token }) - 1
}

func (c *numbered) find(token int64) (start, length int64, err error) {
	d := c.document(token)
	return c.starts[d], c.starts[d+1] - c.starts[d], nil
}

func (c *numbered) read(dst []int32, at, n int64) ([]int32, error) {
	for i := at; i < at+n; i++ {
		id := int32(i) + firstToken
		if slices.Contains(c.starts, i+1) {
			id = testPad
		}
		dst = append(dst, id)
	}
	return dst, nil
}

// everyTenth token or so ends a sentence.
func everyTenth(id int32) bool { return id >= firstToken && uint32(id)*2654435761>>8%10 == 0 }

func randomCorpus(r *rand.Rand) *numbered {
	var lengths []int64
	for range 1 + r.IntN(40) {
		n := 2 + r.Int64N(60)
		if r.IntN(4) == 0 {
			n *= 10
		}
		lengths = append(lengths, n)
	}
	return newNumbered(lengths...)
}

// TestWindowProperties checks what spec and comments promise on many random
// corpora and settings.
func TestWindowProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for trial := range 300 {
		corpus := randomCorpus(r)
		data := configs.Data{SeqLength: 8 + r.IntN(120), SingleDocument: trial%3 == 0, NonSentenceStart: float64(trial % 2)}
		w := windowDrawer{source: corpus, data: data, cls: testCLS, ends: everyTenth}
		for i := range 50 {
			window, err := w.draw(nil, spans.Key{Seed: uint64(trial), Sample: uint64(i)})
			if err != nil {
				t.Fatal(err)
			}
			checkWindow(t, corpus, data, window)
		}
		if t.Failed() {
			t.Fatalf("trial %d: %+v", trial, data)
		}
	}
}

func checkWindow(t *testing.T, corpus *numbered, data configs.Data, window []int32) {
	t.Helper()
	size := data.SeqLength
	if len(window) > size || len(window) == 0 || window[0] != testCLS {
		t.Errorf("window of %d tokens begins with %d, want at most %d from [CLS]", len(window), window[0], size)
		return
	}
	used := 0
	for piece := 0; used < len(window); piece++ {
		room := size - used
		end := used + 1
		for end < len(window) && window[end] != testCLS {
			end++
		}
		tokens := window[used+1 : end]
		used = end
		last := end == len(window)
		if len(tokens) == 0 {
			if !last || room > 3 {
				t.Errorf("piece %d is empty with room for %d", piece, room)
			}
			continue
		}
		first := int64(tokens[0]) - firstToken
		if tokens[0] == testPad {
			// A window may start at a document's very end; the end has no number.
			continue
		}
		d := corpus.document(first)
		start, stop := corpus.starts[d], corpus.starts[d+1]
		length := stop - start
		want, _ := corpus.read(nil, first, min(int64(len(tokens)), stop-first))
		if !slices.Equal(tokens, want) {
			t.Errorf("piece %d is not a stretch of document %d: %v", piece, d, tokens)
		}
		whole := first == start && int64(len(tokens)) == length
		cut := tokens[len(tokens)-1] != testPad
		switch {
		case piece == 0 && length <= int64(size-1) && !whole:
			t.Errorf("a document of %d tokens lost some in a window of %d", length, size)
		case piece > 0 && first != start:
			t.Errorf("piece %d starts inside document %d", piece, d)
		case !last && cut:
			t.Errorf("piece %d is cut, and not the last", piece)
		case cut && len(window) < size && !everyTenth(tokens[len(tokens)-1]):
			t.Errorf("a window of %d of %d tokens ends inside a sentence", len(window), size)
		case cut && len(window) < size && 1+len(tokens) < room/2:
			t.Errorf("the cut left %d tokens of %d", 1+len(tokens), room)
		case piece > 0 && data.SingleDocument:
			t.Error("several documents, one asked for")
		case last && !cut && len(window) < size && !data.SingleDocument && first == start:
			t.Errorf("a window of %d of %d tokens was not filled", len(window), size)
		}
		if cut && len(window) == size && !everyTenth(tokens[len(tokens)-1]) {
			// A hard cut: no sentence ends in the second half of the room.
			for keep := max(room/2, 2); keep < room; keep++ {
				if everyTenth(tokens[keep-2]) {
					t.Errorf("cut inside a sentence at %d, one ends at %d", room, keep)
				}
			}
		}
		if piece == 0 && first != start && data.NonSentenceStart == 0 && !everyTenth(int32(first-1)+firstToken) {
			// No sentence start within half a window on one side at least.
			reach := int64(size / 2)
			clear := func(from, to int64) bool { // none of the offsets opens a sentence
				for at := max(from, start); at <= to; at++ {
					if at == start || everyTenth(int32(at-1)+firstToken) {
						return false
					}
				}
				return true
			}
			if !clear(first, first+reach-1) && !clear(first-reach+1, first) {
				t.Errorf("the window starts inside a sentence of document %d, with a sentence start near", d)
			}
		}
	}
}

// TestWindowWeights holds the choice of documents to their lengths by a
// chi-square test.
func TestWindowWeights(t *testing.T) {
	corpus := newNumbered(10, 20, 40, 80, 160, 5, 15, 70)
	w := windowDrawer{source: corpus, data: configs.Data{SeqLength: 200, SingleDocument: true}, cls: testCLS, ends: everyTenth}
	const n = 20_000
	counts := make([]float64, len(corpus.starts)-1)
	for i := range n {
		window, err := w.draw(nil, spans.Key{Seed: 5, Sample: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		counts[corpus.document(int64(window[1])-firstToken)]++
	}
	chi := 0.0
	for d, count := range counts {
		want := n * float64(corpus.starts[d+1]-corpus.starts[d]) / float64(corpus.size())
		chi += (count - want) * (count - want) / want
	}
	if chi > 24.3 { // 7 degrees of freedom, p = 0.001
		t.Errorf("documents are drawn %v times, chi-square %.1f", counts, chi)
	}
}

// TestWindowOffsets: with sentence starts off, windows of a long document start
// anywhere alike.
func TestWindowOffsets(t *testing.T) {
	corpus := newNumbered(100)
	w := windowDrawer{source: corpus, data: configs.Data{SeqLength: 52, NonSentenceStart: 1}, cls: testCLS, ends: everyTenth}
	counts := map[int32]int{}
	const n = 49_000
	for i := range n {
		window, err := w.draw(nil, spans.Key{Seed: 6, Sample: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		counts[window[1]-firstToken]++
	}
	for at := range int32(49) {
		if c := counts[at]; math.Abs(float64(c)-1000) > 160 { // five standard deviations
			t.Errorf("offset %d is drawn %d times of %d", at, c, n)
		}
	}
	if len(counts) != 49 {
		t.Errorf("%d offsets, want 49", len(counts))
	}
}

// TestWindowKeyed: a window depends on its key, not on what was drawn before.
func TestWindowKeyed(t *testing.T) {
	corpus := randomCorpus(rand.New(rand.NewPCG(3, 4)))
	draw := func(w *windowDrawer, i uint64) []int32 {
		window, err := w.draw(nil, spans.Key{Seed: 9, Sample: i})
		if err != nil {
			t.Fatal(err)
		}
		return window
	}
	one := &windowDrawer{source: corpus, data: configs.Data{SeqLength: 64}, cls: testCLS, ends: everyTenth}
	different := false
	for i := range uint64(20) {
		two := &windowDrawer{source: corpus, data: one.data, cls: testCLS, ends: everyTenth}
		a, b := draw(one, 19-i), draw(two, 19-i)
		if !slices.Equal(a, b) {
			t.Errorf("window %d differs with what was drawn before it", 19-i)
		}
		different = different || !slices.Equal(a, draw(one, 100+i))
	}
	if !different {
		t.Error("all windows are the same")
	}
}

// TestWindowsStay pins the windows down: when this fails, prepared folders are
// not what they were, and Format goes up.
func TestWindowsStay(t *testing.T) {
	w := windowDrawer{source: newNumbered(5, 300, 40, 17, 90, 8), data: configs.Data{SeqLength: 64}, cls: testCLS, ends: everyTenth}
	sum := sha256.New()
	for i := range uint64(200) {
		window, err := w.draw(nil, spans.Key{Seed: 1234, Sample: i})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, window)
	}
	const want = "30a21b3ffc2c47d2eda1af2666ceff3b6957cec86e3d7d93cb99bc2c712adee5"
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
		t.Errorf("sha256 of the windows is %s, was %s", got, want)
	}
}

func TestCut(t *testing.T) {
	w := windowDrawer{ends: func(id int32) bool { return id == 9 }}
	for _, test := range []struct {
		piece      []int32
		room, want int
	}{
		{[]int32{1, 2, 9, 3, 9, 4, 5}, 6, 5},
		{[]int32{1, 2, 9, 3, 4, 4, 5}, 6, 3}, // exactly half stays
		{[]int32{1, 9, 3, 4, 4, 4, 5}, 6, 6}, // less than half: hard
		{[]int32{1, 2, 3, 4, 4, 4, 5}, 6, 6}, // no sentence end
		{[]int32{1, 2, 3, 4, 4, 9, 5}, 6, 6}, // at the very end
		{[]int32{1, 2}, 1, 1},                // room for [CLS] alone
	} {
		if got := w.cut(test.piece, test.room); got != test.want {
			t.Errorf("cut(%v, %d) = %d, want %d", test.piece, test.room, got, test.want)
		}
	}
}
