//go:build cgo

package torch

import (
	"math"
	"testing"
)

// The kernel and the single operations agree, slots and texts in any order.
func TestCachedAttention(t *testing.T) {
	const texts, length, slots, capacity, heads, hidden = 2, 5, 4, 3, 2, 40
	if err := Do(func() error {
		s := NewScope()
		defer s.Close()
		drawn := func(shape ...int64) Tensor {
			x := s.Zeros(Float32, CPU, shape...)
			s.FillNormal(x, 1)
			return x
		}
		context := drawn(texts, length, 3*hidden)
		kept := [2]Tensor{drawn(slots, capacity, 2*hidden), s.Zeros(Float32, CPU, slots, capacity, 2*hidden)}
		s.SetFloats(kept[1], s.Floats(kept[0]))
		wide := drawn(3, 3*hidden+1)
		apart := s.Narrow(wide, 1, 0, 3*hidden) // not contiguous: single operations
		whole := s.Float32s(s.Floats(apart), CPU, 3, 3*hidden)
		rows := []CachedRow{{1, 5, 3, 2}, {0, 2, 0, 0}, {1, 5, 2, 1}}
		a := s.Floats(s.CachedAttention(whole, context, kept[0], rows, heads))
		b := s.Floats(s.CachedAttention(apart, context, kept[1], rows, heads))
		for i := range a {
			if math.Abs(float64(a[i]-b[i])) > 1e-5 {
				t.Fatalf("element %d: %v, by single operations %v", i, a[i], b[i])
			}
		}
		x, y := s.Floats(kept[0]), s.Floats(kept[1])
		for i := range x {
			if x[i] != y[i] {
				t.Fatalf("what is kept differs at %d", i)
			}
		}
		s.CopySlots(kept[0], []int64{0, 3}, []int64{3, 0}, 2)
		z := s.Floats(kept[0])
		slot := capacity * 2 * hidden
		for i := range 2 * 2 * hidden {
			if z[i] != x[3*slot+i] || z[3*slot+i] != x[i] {
				t.Fatal("two slots are not exchanged")
			}
		}
		if i := 2 * 2 * hidden; z[i] != x[i] {
			t.Error("more than the length is copied")
		}
		return s.Err()
	}); err != nil {
		t.Fatal(err)
	}
}
