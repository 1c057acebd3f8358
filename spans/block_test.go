package spans

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBuildBlockOracle compares with blocks that the authors' code made, to the
// letter.
func TestBuildBlockOracle(t *testing.T) {
	dir := os.Getenv("GLMKIT_ORACLE")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "oracle")
	}
	file, err := os.Open(filepath.Join(dir, "blocks.jsonl"))
	if os.IsNotExist(err) {
		t.Skipf("no reference vectors: %v (set GLMKIT_ORACLE)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	n := 0
	for ; lines.Scan(); n++ {
		var want struct {
			Tokens         []int32
			Spans          [][2]int
			Order          []int
			Mask, SOP, EOP int32
			Input, Target  []int32
			LossMask       []int `json:"loss_mask"`
			Position       []int32
			BlockPosition  []int32 `json:"block_position"`
			Sep            int
		}
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		var ordered []Span
		for _, i := range want.Order {
			ordered = append(ordered, Span{want.Spans[i][0], want.Spans[i][1]})
		}
		got, err := BuildBlock(want.Tokens, ordered, want.Mask, want.SOP, want.EOP)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		loss := make([]uint8, len(want.LossMask))
		for i, l := range want.LossMask {
			loss[i] = uint8(l)
		}
		if diff := cmp.Diff(Block{want.Input, want.Target, loss, want.Position, want.BlockPosition, want.Sep}, got); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", n+1, diff)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Errorf("%s holds no line", file.Name())
	}
}

const (
	m, sp, ep = 900, 901, 902 // mask, start and end of a piece in the tables below
)

func TestBuildBlock(t *testing.T) {
	x := []int32{1, 2, 3, 4, 5, 6}
	tests := []struct {
		name  string
		spans []Span
		want  Block
	}{
		{
			// The figure of the paper (section 2.1): x3 and x5 x6, the
			// second predicted first.
			name:  "worked example",
			spans: []Span{{4, 6}, {2, 3}},
			want: Block{
				Input:         []int32{1, 2, m, 4, m, sp, 5, 6, sp, 3},
				Target:        []int32{1, 2, m, 4, m, 5, 6, ep, 3, ep},
				LossMask:      []uint8{0, 0, 0, 0, 0, 1, 1, 1, 1, 1},
				Position:      []int32{0, 1, 2, 3, 4, 4, 4, 4, 2, 2},
				BlockPosition: []int32{0, 0, 0, 0, 0, 1, 2, 3, 1, 2},
				Sep:           5,
			},
		},
		{
			name:  "spans that touch",
			spans: []Span{{1, 2}, {2, 4}},
			want: Block{
				Input:         []int32{1, m, m, 5, 6, sp, 2, sp, 3, 4},
				Target:        []int32{1, m, m, 5, 6, 2, ep, 3, 4, ep},
				LossMask:      []uint8{0, 0, 0, 0, 0, 1, 1, 1, 1, 1},
				Position:      []int32{0, 1, 2, 3, 4, 1, 1, 2, 2, 2},
				BlockPosition: []int32{0, 0, 0, 0, 0, 1, 2, 1, 2, 3},
				Sep:           5,
			},
		},
		{
			name:  "the whole text",
			spans: []Span{{0, 6}},
			want: Block{
				Input:         []int32{m, sp, 1, 2, 3, 4, 5, 6},
				Target:        []int32{m, 1, 2, 3, 4, 5, 6, ep},
				LossMask:      []uint8{0, 1, 1, 1, 1, 1, 1, 1},
				Position:      []int32{0, 0, 0, 0, 0, 0, 0, 0},
				BlockPosition: []int32{0, 1, 2, 3, 4, 5, 6, 7},
				Sep:           1,
			},
		},
		{
			name: "no span",
			want: Block{
				Input: x, Target: x,
				LossMask:      make([]uint8, 6),
				Position:      []int32{0, 1, 2, 3, 4, 5},
				BlockPosition: make([]int32, 6),
				Sep:           6,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := BuildBlock(x, test.spans, m, sp, ep)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuildBlockErrors(t *testing.T) {
	tests := []struct {
		name  string
		spans []Span
		want  string
	}{
		{"overlap", []Span{{3, 5}, {1, 4}}, "spans [1,4) and [3,5) overlap"},
		{"the same twice", []Span{{1, 2}, {1, 2}}, "overlap"},
		{"empty", []Span{{2, 2}}, "span [2,2) is not a range of 6 tokens"},
		{"backwards", []Span{{3, 2}}, "not a range"},
		{"before the text", []Span{{-1, 2}}, "not a range"},
		{"behind the text", []Span{{5, 7}}, "not a range"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := BuildBlock(make([]int32, 6), test.spans, m, sp, ep)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	special := Special{Pad: 0, CLS: 100, Mask: m, SMask: 903, GMask: 904, SOP: sp, EOP: ep}
	withTaskMask := Default()
	withTaskMask.TaskMask = true

	t.Run("prefix form", func(t *testing.T) {
		// Two documents: the second one's [CLS] is read but not predicted.
		tokens := []int32{100, 1, 2, 3, 0, 100, 4, 5}
		got, err := withTaskMask.Build(Key{}, tokens, Sample{Mode: Document, Prefix: true, Spans: []Span{{3, 8}}}, special)
		if err != nil {
			t.Fatal(err)
		}
		want := Block{
			Input:         []int32{100, 1, 2, 904, sp, 3, 0, 100, 4},
			Target:        []int32{100, 1, 2, 904, 3, 0, 100, 4, 5},
			LossMask:      []uint8{0, 0, 0, 0, 1, 1, 0, 1, 1},
			Position:      []int32{0, 1, 2, 3, 3, 3, 3, 3, 3},
			BlockPosition: []int32{0, 0, 0, 0, 1, 2, 3, 4, 5},
			Sep:           4,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})

	t.Run("mask of each mode", func(t *testing.T) {
		for _, test := range []struct {
			objective Objective
			mode      Mode
			want      int32
		}{
			{Default(), Token, m}, {Default(), Sentence, m}, {Default(), Document, m},
			{withTaskMask, Token, m}, {withTaskMask, Sentence, 903}, {withTaskMask, Document, 904},
		} {
			b, err := test.objective.Build(Key{}, []int32{100, 1, 2}, Sample{Mode: test.mode, Spans: []Span{{1, 2}}}, special)
			if err != nil {
				t.Fatal(err)
			}
			if b.Input[1] != test.want {
				t.Errorf("task mask %t, %v: mask %d, want %d", test.objective.TaskMask, test.mode, b.Input[1], test.want)
			}
		}
	})

	t.Run("errors", func(t *testing.T) {
		lacking := special
		lacking.GMask = -1
		for _, test := range []struct {
			name    string
			sample  Sample
			special Special
			want    string
		}{
			{"no gMASK", Sample{Mode: Document, Spans: []Span{{1, 2}}}, lacking, "the vocabulary lacks"},
			{"end of a document", Sample{Spans: []Span{{1, 4}}}, special, "end of a document"},
			{"prefix that does not end the window", Sample{Mode: Document, Prefix: true, Spans: []Span{{1, 3}}}, special, "a prefix sample"},
			{"prefix without a span", Sample{Mode: Document, Prefix: true}, special, "a prefix sample"},
			{"prefix before the window", Sample{Mode: Document, Prefix: true, Spans: []Span{{-1, 5}}}, special, "a prefix sample"},
		} {
			_, err := withTaskMask.Build(Key{}, []int32{100, 1, 2, 0, 3}, test.sample, test.special)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got error %v, want one with %q", test.name, err, test.want)
			}
		}
	})
}

// BuildInto gives the same block whatever its slices held before.
func TestBuildIntoReuse(t *testing.T) {
	o := Default()
	o.Token, o.Sentence, o.Document = 0.4, 0.3, 0.3
	var reused Block
	for i := range uint64(200) {
		tokens := window(8 + int(i*37)%120)
		key := Key{Sample: i}
		s := o.Draw(key, tokens, testSpecial, endsEvery(9))
		want, err := o.Build(key, tokens, s, testSpecial)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.BuildInto(key, &reused, tokens, s, testSpecial); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, reused); diff != "" {
			t.Fatalf("sample %d (-built +reused):\n%s", i, diff)
		}
	}
}

// reconstruct reads the text back from a block, finding the place of each
// piece of Part B by its Position. It fails on a block that breaks a rule of
// the layout.
func reconstruct(b Block, s Sample, mask, sop, eop int32) ([]int32, error) {
	n := len(b.Input)
	if len(b.Target) != n || len(b.LossMask) != n || len(b.Position) != n || len(b.BlockPosition) != n || b.Sep > n {
		return nil, fmt.Errorf("rows of %d, %d, %d, %d, %d tokens, sep %d", n, len(b.Target), len(b.LossMask), len(b.Position), len(b.BlockPosition), b.Sep)
	}
	for i := range b.Sep {
		if b.Position[i] != int32(i) || b.BlockPosition[i] != 0 || b.LossMask[i] != 0 || b.Target[i] != b.Input[i] {
			return nil, fmt.Errorf("part A at %d: position %d, block position %d, loss %d", i, b.Position[i], b.BlockPosition[i], b.LossMask[i])
		}
	}
	contents := map[int][]int32{} // by index of the mask
	for from := b.Sep; from < n; {
		to := from + 1
		for to < n && b.BlockPosition[to] != 1 {
			to++
		}
		at := int(b.Position[from])
		if at >= b.Sep || b.Input[at] != mask || contents[at] != nil {
			return nil, fmt.Errorf("the piece at %d has the position %d, which is no free mask", from, at)
		}
		if b.Input[from] != sop || !slices.Equal(b.Input[from+1:to], b.Target[from:to-1]) {
			return nil, fmt.Errorf("the piece at %d reads %v and predicts %v", from, b.Input[from:to], b.Target[from:to])
		}
		for i := from; i < to; i++ {
			if b.Position[i] != int32(at) || b.BlockPosition[i] != int32(i-from+1) {
				return nil, fmt.Errorf("the piece at %d has positions %v and %v", from, b.Position[from:to], b.BlockPosition[from:to])
			}
		}
		content := b.Target[from:to]
		if !s.Prefix {
			if content[len(content)-1] != eop {
				return nil, fmt.Errorf("the piece at %d does not end in eop", from)
			}
			content = content[:len(content)-1]
		}
		if len(content) == 0 {
			return nil, fmt.Errorf("the piece at %d is empty", from)
		}
		contents[at] = content
		from = to
	}
	if len(contents) != len(s.Spans) {
		return nil, fmt.Errorf("%d pieces for %d spans", len(contents), len(s.Spans))
	}
	text := []int32{}
	for i := range b.Sep {
		if content, ok := contents[i]; ok {
			text = append(text, content...)
		} else {
			text = append(text, b.Input[i])
		}
	}
	return text, nil
}

// FuzzBuildBlock feeds arbitrary tokens and spans: a block either reads back to
// the text or is refused for a reason.
func FuzzBuildBlock(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04\x05\x06"), []byte{4, 6, 2, 3})
	f.Add([]byte("hello"), []byte{0, 5})
	f.Add([]byte(""), []byte{})
	f.Add([]byte("abcdef"), []byte{1, 3, 2, 4})
	f.Add([]byte("abcdef"), []byte{1, 3, 255, 0, 200, 201})
	f.Fuzz(func(t *testing.T, text, bounds []byte) {
		tokens := make([]int32, len(text))
		for i, c := range text {
			tokens[i] = int32(c) - 2 // ids of a careless caller included
		}
		var sps []Span
		taken := map[int]bool{}
		valid := true
		for i := 0; i+1 < len(bounds); i += 2 {
			s := Span{int(int8(bounds[i])), int(int8(bounds[i+1]))}
			sps = append(sps, s)
			valid = valid && 0 <= s.Start && s.Start < s.End && s.End <= len(tokens)
			for j := s.Start; j < s.End; j++ {
				valid = valid && !taken[j]
				taken[j] = true
			}
		}
		b, err := BuildBlock(tokens, sps, m, sp, ep)
		if valid != (err == nil) {
			t.Fatalf("spans %v of %d tokens: valid %t, error %v", sps, len(tokens), valid, err)
		}
		if err != nil {
			return
		}
		got, err := reconstruct(b, Sample{Spans: sps}, m, sp, ep)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, tokens) {
			t.Fatalf("read back %v, want %v", got, tokens)
		}
	})
}

// Places are sorted as slices.SortStableFunc sorts them, whether a bitmap holds them
// or not.
func TestSortPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		shift, highest := []int{0, 32}[rng.IntN(2)], []int{3, 64, 1023, 1024, 5000}[rng.IntN(5)]
		got := make([]uint64, rng.IntN(70))
		for i := range got {
			got[i] = uint64(rng.IntN(highest+1))<<shift | uint64(i)&(1<<shift-1)
		}
		want := slices.Clone(got)
		slices.SortStableFunc(want, func(a, b uint64) int { return int(a>>shift) - int(b>>shift) })
		if sortPlaces(got, shift); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
