//go:build cgo

package torch_test

import (
	"cmp"
	"fmt"
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
			row := []torch.CachedRow{{0, length, int64(places.Slots[i]), int64(i)}}
			got = s.Floats(s.CachedAttention(qkv, text, written, s.Lookup(text, written, row, places), heads))
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

// logitsOf are the logits behind the third token written into each of so many
// texts, by a small GLM whose products read a type.
func logitsOf(t *testing.T, hidden, heads, texts int, products torch.DType) (logits []float32) {
	t.Helper()
	const layers, vocab, positions, length = 2, 83, 16, 7
	do(t, func(s *torch.Scope) {
		var weights []torch.Tensor
		add := func(shape ...int64) {
			n := int64(1)
			for _, d := range shape {
				n *= d
			}
			x := drawn(uint64(len(weights)), n)
			for i := range x {
				x[i] *= 0.2
			}
			weights = append(weights, s.Float32s(x, torch.CPU, shape...))
		}
		h := int64(hidden)
		add(vocab, h)
		add(positions, h)
		add(positions, h)
		for range layers {
			for _, outs := range []int64{0, 3 * h, h, 0, 4 * h} {
				if outs > 0 {
					add(outs, h)
					add(outs)
				} else {
					add(h)
					add(h)
				}
			}
			add(h, 4*h)
			add(h)
		}
		add(h)
		add(h)
		w, err := torch.NewWriter(weights, layers, heads, products)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Free()
		p, err := w.Pages(texts, texts)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Free()
		pass := func(to torch.Tensor, rows []torch.CachedRow, step int) {
			var ids [3][]int64
			places := torch.Places{Width: step + 1}
			for _, r := range rows {
				ids[0] = append(ids[0], (11*r.Text+5*r.Length+3)%vocab)
				ids[1] = append(ids[1], r.Length)
				ids[2] = append(ids[2], int64(step))
				for range places.Width {
					places.Slots = append(places.Slots, int32(max(0, r.Slot)))
				}
			}
			if err := p.Pass(to, ids[0], ids[1], ids[2], rows, places); err != nil {
				t.Fatal(err)
			}
		}
		out := s.Zeros(torch.Float32, torch.CPU, int64(texts)*vocab)
		sep := func(text int) int64 { return int64(length - text%3) }
		for i := range texts {
			var rows []torch.CachedRow
			for j := range sep(i) {
				rows = append(rows, torch.CachedRow{Text: int64(i), Sep: sep(i), Slot: torch.ReadingSlot, Length: j})
			}
			pass(torch.Tensor{}, rows, 0)
		}
		for step := range 3 {
			var rows []torch.CachedRow
			for i := range texts {
				rows = append(rows, torch.CachedRow{Text: int64(i), Sep: sep(i), Slot: int64(i), Length: int64(step)})
			}
			pass(out, rows, step)
		}
		logits = s.Floats(out)
		for _, bad := range []torch.CachedRow{{Text: int64(texts), Sep: 1}, {Sep: 1, Slot: int64(texts)}, {Sep: 0}, {Sep: 1, Slot: torch.ReadingSlot, Length: 1}, {Sep: 1, Length: 3}} {
			if err := p.Pass(out, []int64{0}, []int64{0}, []int64{0}, []torch.CachedRow{bad}, torch.Places{make([]int32, 3), 3}); err == nil {
				t.Errorf("%+v was passed", bad)
			}
		}
		if err := p.Pass(out, []int64{vocab}, []int64{0}, []int64{0}, []torch.CachedRow{{Sep: 1}}, torch.Places{make([]int32, 1), 1}); err == nil {
			t.Error("a token behind the vocabulary was passed")
		}
	})
	return logits
}

// Each instruction set computes what plain loops do; in each, what comes of a text
// depends neither on the texts beside it nor on the number of threads.
func TestWriterInstructions(t *testing.T) {
	before := torch.Threads()
	defer torch.SetThreads(before)
	const all = 99
	defer torch.LimitInstructions(all)
	for _, size := range []struct{ hidden, heads int }{{24, 2}, {15, 1}, {144, 2}} {
		for name, kind := range types {
			t.Run(fmt.Sprintf("%d/%s", size.hidden, name), func(t *testing.T) {
				torch.SetThreads(1)
				torch.LimitInstructions(0)
				plain := logitsOf(t, size.hidden, size.heads, 6, kind.dtype)
				for level := range torch.LimitInstructions(all) + 1 {
					torch.LimitInstructions(level)
					torch.SetThreads(1)
					together, alone := logitsOf(t, size.hidden, size.heads, 6, kind.dtype), logitsOf(t, size.hidden, size.heads, 1, kind.dtype)
					near(t, fmt.Sprintf("instructions %d", level), together, plain, kind.tolerance)
					near(t, "a text alone", together[:len(alone)], alone, 0)
					torch.SetThreads(3)
					near(t, "three threads", logitsOf(t, size.hidden, size.heads, 6, kind.dtype), together, 0)
				}
			})
		}
	}
}
