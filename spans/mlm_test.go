package spans

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMLM(t *testing.T) {
	const n, vocab, draws = 512, 30522, 2000
	tokens := window(n, 100, 511)
	tokens[40], tokens[41] = testSpecial.SEP, testSpecial.Unk
	var masks, random, kept float64
	for i := range uint64(draws) {
		b := MLM(Key{Seed: 8, Sample: i}, tokens, 0.15, testSpecial, vocab)
		if b.Sep != n || !slices.Equal(b.Target, tokens) {
			t.Fatalf("sep %d, targets %v", b.Sep, b.Target)
		}
		predicted := 0
		for j, l := range b.LossMask {
			if b.Position[j] != int32(j) || b.BlockPosition[j] != 0 {
				t.Fatalf("token %d has positions %d and %d", j, b.Position[j], b.BlockPosition[j])
			}
			switch {
			case l == 0:
				if b.Input[j] != tokens[j] {
					t.Fatalf("token %d changed without being predicted", j)
				}
				continue
			case testSpecial.holds(tokens[j]):
				t.Fatalf("the special token at %d is predicted", j)
			case b.Input[j] == testSpecial.Mask:
				masks++
			case b.Input[j] == tokens[j]:
				kept++
			default:
				if testSpecial.holds(b.Input[j]) || b.Input[j] < 0 || b.Input[j] >= vocab {
					t.Fatalf("token %d became %d", j, b.Input[j])
				}
				random++
			}
			predicted++
		}
		if predicted != 77 { // 0.15 × 512 = 76.8
			t.Fatalf("%d tokens predicted, want 77", predicted)
		}
	}
	total := masks + random + kept
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"[MASK]", masks, 0.8}, {"random", random, 0.1}, {"kept", kept, 0.1}} {
		if share := c.got / total; math.Abs(share-c.want) > 5*math.Sqrt(c.want*(1-c.want)/total) {
			t.Errorf("%s: %.4f, want %.1f", c.name, share, c.want)
		}
	}
	if a, b := MLM(Key{Sample: 1}, tokens, 0.15, testSpecial, vocab), MLM(Key{Sample: 1}, tokens, 0.15, testSpecial, vocab); !cmp.Equal(a, b) {
		t.Error("the same key gives two draws")
	}
	if a, b := MLM(Key{Sample: 1}, tokens, 0.15, testSpecial, vocab), MLM(Key{Sample: 1, Epoch: 1}, tokens, 0.15, testSpecial, vocab); cmp.Equal(a, b) {
		t.Error("two epochs give the same draw")
	}
}

func TestMLMSmall(t *testing.T) {
	for _, test := range []struct {
		name   string
		tokens []int32
		want   int
	}{
		{"empty", nil, 0},
		{"only special tokens", []int32{101, 102, 0}, 0},
		{"one word", []int32{101, 7, 102}, 1},
	} {
		b := MLM(Key{}, test.tokens, 0.15, testSpecial, 30522)
		got := 0
		for _, l := range b.LossMask {
			got += int(l)
		}
		if got != test.want || b.Sep != len(test.tokens) {
			t.Errorf("%s: %d predicted, sep %d", test.name, got, b.Sep)
		}
	}
}
