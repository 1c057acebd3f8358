//go:build cgo

package torch_test

import (
	"math"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// trained is two parameters of different decay with their moments and a book.
type trained struct {
	params, m, v []torch.Tensor
	book         torch.Tensor
}

var decays = []float64{0.1, 0}

func newTrained(s *torch.Scope, book torch.Book) *trained {
	x := &trained{book: s.Book(book, torch.CPU)}
	for i, n := range []int64{6, 3} {
		x.params = append(x.params, s.RequireGrad(s.Float32s(drawn(uint64(i), n), torch.CPU, n)))
		x.m, x.v = append(x.m, s.Zeros(torch.Float32, torch.CPU, n)), append(x.v, s.Zeros(torch.Float32, torch.CPU, n))
	}
	return x
}

// backward makes the gradient of a loss times scale.
func (x *trained) backward(s *torch.Scope, scale float64) (loss torch.Tensor) {
	for _, p := range x.params {
		square := s.Sum(s.Mul(p, s.Mul(p, p)))
		if loss.Defined() {
			square = s.Add(loss, square)
		}
		loss = square
	}
	s.Backward(s.Scale(loss, scale))
	return loss
}

func (x *trained) all(s *torch.Scope) (all []float32) {
	for _, list := range [][]torch.Tensor{x.params, x.m, x.v} {
		for _, t := range list {
			all = append(all, s.Floats(t)...)
		}
	}
	return all
}

const stepLR, beta1, beta2, stepEps, clip = 0.01, 0.9, 0.98, 1e-6, 0.5

func (x *trained) step(t *testing.T, s *torch.Scope, loss torch.Tensor, window int) torch.Figures {
	t.Helper()
	r := s.DeviceStep(loss, x.params, x.m, x.v, decays, x.book, stepLR, beta1, beta2, stepEps, clip, window)
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	f, err := r.Wait()
	if err != nil {
		t.Error(err)
	}
	return f
}

// Steps that the device decides about equal those of the host, clipped or not,
// and do not depend on the loss scale.
func TestDeviceStep(t *testing.T) {
	for _, scale := range []float64{1, 1024} {
		do(t, func(s *torch.Scope) {
			host, there := newTrained(s, torch.Book{Scale: 1}), newTrained(s, torch.Book{Scale: scale})
			for step := int64(1); step <= 6; step++ {
				loss := s.Item(host.backward(s, 1))
				norm := s.GradNorm(host.params)
				s.AdamW(host.params, host.m, host.v, decays, stepLR, beta1, beta2, stepEps, step, min(1, clip/(norm+1e-6)))
				s.ZeroGrad(host.params)

				f := there.step(t, s, there.backward(s, scale), 0)
				if math.Abs(f.Loss-loss) > 1e-5*math.Abs(loss) || math.Abs(f.Norm-norm) > 1e-5*norm || !f.Finite || f.Scale != scale || f.Book.Updates != float64(step) {
					t.Errorf("scale %v, step %d: %+v, by the host loss %v, norm %v", scale, step, f, loss, norm)
				}
				if left := s.GradNorm(there.params); left != 0 {
					t.Errorf("a gradient of norm %v is left", left)
				}
				near(t, "parameters and moments", there.all(s), host.all(s), 2e-6)
			}
		})
	}
}

// A gradient that is not finite changes nothing but the book: the scale halves,
// and doubles after a window of clean steps.
func TestLossScale(t *testing.T) {
	do(t, func(s *torch.Scope) {
		x := newTrained(s, torch.Book{Updates: 7, Scale: 4, Clean: 1})
		x.backward(s, 4)
		first := x.step(t, s, s.Ones(torch.Float32, torch.CPU, 1), 3)
		if want := (torch.Book{8, 4, 2}); first.Book != want || first.Loss != 1 {
			t.Errorf("after a clean step: %+v", first)
		}
		before := x.all(s)
		for _, bad := range []float64{math.Inf(1), math.NaN()} {
			loss := x.backward(s, bad)
			f := x.step(t, s, loss, 3)
			if f.Finite || f.Book.Updates != 8 || f.Book.Clean != 0 || f.Book.Scale != f.Scale/2 {
				t.Errorf("after a gradient of %v: %+v", bad, f)
			}
		}
		for i, value := range x.all(s) {
			if value != before[i] {
				t.Fatalf("value %d changed from %v to %v", i, before[i], value)
			}
		}
		var scales []float64
		for range 4 {
			scales = append(scales, x.step(t, s, x.backward(s, 1), 3).Book.Scale)
		}
		if want := [4]float64{1, 1, 2, 2}; [4]float64(scales) != want {
			t.Errorf("scales %v after clean steps, want %v", scales, want)
		}
		// It does not fall below 1, and stays where there is no window.
		x.book = s.Book(torch.Book{Scale: 1}, torch.CPU)
		if f := x.step(t, s, x.backward(s, math.Inf(1)), 3); f.Book.Scale != 1 {
			t.Errorf("scale %v", f.Book.Scale)
		}
		if f := x.step(t, s, x.backward(s, math.Inf(1)), 0); f.Finite || f.Book != (torch.Book{Scale: 1}) {
			t.Errorf("without a window: %+v", f)
		}
		// A reading that nobody waits for is freed, one that ended is left alone.
		r := s.DeviceStep(x.backward(s, 1), x.params, x.m, x.v, decays, x.book, stepLR, beta1, beta2, stepEps, clip, 0)
		r.Drop()
		r.Drop()
		(*torch.Reading)(nil).Drop()
	})
	err := torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		w := s.RequireGrad(s.Ones(torch.Float32, torch.CPU, 2))
		s.DeviceStep(s.Ones(torch.Float32, torch.CPU, 1), []torch.Tensor{w}, []torch.Tensor{w}, []torch.Tensor{w}, decays[:1], s.Book(torch.Book{Scale: 1}, torch.CPU), 1, beta1, beta2, 1, 0, 0)
		return s.Err()
	})
	if err == nil {
		t.Error("a step without a gradient is taken")
	}
}
