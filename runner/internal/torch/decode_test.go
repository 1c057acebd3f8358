//go:build cgo

package torch_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// A new token's attention is that of the last row of a pass over its text and all
// that it wrote, whatever slots that lies in.
func TestCachedAttention(t *testing.T) {
	const hidden, heads, length, wrote, slots = 40, 2, 5, 3, 4
	do(t, func(s *torch.Scope) {
		text := s.Float32s(drawn(1, length*3*hidden), torch.CPU, 1, length, 3*hidden)
		piece := s.Float32s(drawn(2, wrote*3*hidden), torch.CPU, 1, wrote, 3*hidden)
		joined := s.Float32s(append(s.Floats(text), s.Floats(piece)...), torch.CPU, 1, length+wrote, 3*hidden)
		n := s.Int64s([]int64{length}, torch.CPU, 1)
		whole := s.Attention(joined, n, s.Int64s([]int64{length + wrote}, torch.CPU, 1), torch.Tensor{}, torch.Tensor{}, heads, 0, torch.PlainAttention)

		written := s.Float32s(drawn(3, 4*slots*2*hidden), torch.CPU, 4, slots, 2*hidden)
		var got []float32
		for i := range wrote { // each token into another slot
			qkv := s.Reshape(s.Narrow(piece, 1, int64(i), 1), 1, 3*hidden)
			places := torch.Places{Slots: []int32{3, 0, 2}[:i+1], Width: i + 1}
			got = s.Floats(s.CachedAttention(qkv, text, written, []torch.CachedRow{{0, length, int64(places.Slots[i]), int64(i)}}, places, heads))
		}
		near(t, "attention", got, s.Floats(whole)[(length+wrote-1)*hidden:], 1e-5)
	})
}

func TestLikeliest(t *testing.T) {
	const n, vocab, size, end = 3, 1000, 990, 995
	logits := drawn(7, n*vocab)
	logits[3], logits[40], logits[700], logits[end] = 3.9, 3.9, 3.9, 3.7 // equal ones in their order
	banned := [][]int32{{700}, nil, {1, 2, 3, end}}
	for _, k := range []int{1, 5, 64, 65, 300, vocab} {
		do(t, func(s *torch.Scope) {
			for r, got := range s.Likeliest(s.Float32s(logits, torch.CPU, n*vocab), vocab, size, end, banned, k) {
				row := logits[r*vocab : (r+1)*vocab]
				sum := 0.0
				for _, x := range row {
					sum += math.Exp(float64(x))
				}
				var want []int64
				for id := range vocab {
					if (id < size || id == end) && !slices.Contains(banned[r], int32(id)) {
						want = append(want, int64(id))
					}
				}
				slices.SortStableFunc(want, func(a, b int64) int { return cmp.Compare(row[b], row[a]) })
				want = want[:min(k, len(want))]
				if !slices.Equal(got.IDs, want) {
					t.Fatalf("k %d, row %d: %v, want %v", k, r, got.IDs, want)
				}
				for i, id := range want {
					if p := float64(row[id]) - math.Log(sum); math.Abs(p-float64(got.LogP[i])) > 1e-5 {
						t.Errorf("token %d: %v, want %v", id, got.LogP[i], p)
					}
				}
			}
		})
	}
	for _, odd := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		x := slices.Clone(logits)
		x[vocab+17] = odd
		do(t, func(s *torch.Scope) {
			got := s.Likeliest(s.Float32s(x, torch.CPU, n*vocab), vocab, size, end, banned, 2)
			if got[0].NaN || !got[1].NaN || got[2].NaN {
				t.Errorf("%v in row 1: %+v", odd, got)
			}
		})
	}
	do(t, func(s *torch.Scope) { // nothing may follow
		got := s.Likeliest(s.Float32s([]float32{1, 2, 3}, torch.CPU, 3), 3, 2, 2, [][]int32{{0, 1, 2}}, 2)
		if got[0].NaN || len(got[0].IDs) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
