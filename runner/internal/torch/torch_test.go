//go:build cgo

package torch_test

import (
	"math"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// do runs f on the tensor thread inside a scope and fails the test on error or
// when handles are left over.
func do(t *testing.T, f func(s *torch.Scope)) {
	t.Helper()
	err := torch.Do(func() error {
		before := torch.Live()
		s := torch.NewScope()
		f(s)
		err := s.Err()
		s.Close()
		if torch.Live() != before {
			t.Errorf("%d handles left over", torch.Live()-before)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLinearBackward(t *testing.T) {
	do(t, func(s *torch.Scope) {
		w := s.RequireGrad(s.Float32s([]float32{1, 2, 3, 4}, torch.CPU, 2, 2))
		x := s.Float32s([]float32{1, -1}, torch.CPU, 1, 2)
		y := s.Linear(x, w, torch.Tensor{})
		if got := s.Floats(y); got[0] != -1 || got[1] != -1 {
			t.Errorf("linear = %v", got)
		}
		s.Backward(s.Sum(s.Mul(y, y)))
		if got, want := s.GradNorm([]torch.Tensor{w}), 4.0; math.Abs(got-want) > 1e-6 {
			t.Errorf("gradient norm = %v, want %v", got, want)
		}
	})
}

func TestErrorSticks(t *testing.T) {
	err := torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		a := s.Zeros(torch.Float32, torch.CPU, 2, 3)
		b := s.Zeros(torch.Float32, torch.CPU, 2, 3)
		c := s.Linear(a, s.Reshape(b, 3, 2), torch.Tensor{})
		s.Add(c, a)
		return s.Err()
	})
	if err == nil || !strings.HasPrefix(err.Error(), "linear: ") {
		t.Errorf("error = %v, want the first one, of linear", err)
	}
}

func TestPanicBecomesError(t *testing.T) {
	err := torch.Do(func() error { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("error = %v", err)
	}
	if err := torch.Do(func() error { return nil }); err != nil {
		t.Errorf("the thread did not survive: %v", err)
	}
}

func TestGradModeHolds(t *testing.T) {
	do(t, func(s *torch.Scope) {
		torch.SetGrad(false)
		defer torch.SetGrad(true)
		w := s.RequireGrad(s.Ones(torch.Float32, torch.CPU, 2, 2))
		y := s.Sum(s.Mul(w, w))
		s2 := torch.NewScope()
		defer s2.Close()
		s2.Backward(y)
		if s2.Err() == nil {
			t.Error("a graph was built with grad mode off")
		}
	})
}

func TestSeedReplays(t *testing.T) {
	var draws [2][]float32
	for i := range draws {
		do(t, func(s *torch.Scope) {
			if err := torch.Seed(42); err != nil {
				t.Error(err)
			}
			draws[i] = s.Floats(s.Dropout(s.Ones(torch.Float32, torch.CPU, 64), 0.5))
		})
	}
	for i := range draws[0] {
		if draws[0][i] != draws[1][i] {
			t.Fatal("the same seed dropped different elements")
		}
	}
}

// AdamW's fused loop must equal the definition, written out in float64.
func TestAdamWStep(t *testing.T) {
	const lr, beta1, beta2, eps, decay = 0.01, 0.9, 0.98, 1e-6, 0.1
	start := []float64{0.5, -1.5, 2}
	want := append([]float64(nil), start...)
	m, v := make([]float64, 3), make([]float64, 3)
	for step := 1; step <= 3; step++ {
		for i := range want {
			g := 2 * want[i] // of the sum of squares
			m[i] = beta1*m[i] + (1-beta1)*g
			v[i] = beta2*v[i] + (1-beta2)*g*g
			want[i] -= lr * decay * want[i]
			want[i] -= lr * (m[i] / (1 - math.Pow(beta1, float64(step)))) / (math.Sqrt(v[i]/(1-math.Pow(beta2, float64(step)))) + eps)
		}
	}
	do(t, func(s *torch.Scope) {
		w := s.RequireGrad(s.Float32s([]float32{0.5, -1.5, 2}, torch.CPU, 3))
		mt, vt := s.Zeros(torch.Float32, torch.CPU, 3), s.Zeros(torch.Float32, torch.CPU, 3)
		for step := int64(1); step <= 3; step++ {
			s.ZeroGrad([]torch.Tensor{w})
			s.Backward(s.Sum(s.Mul(w, w)))
			s.AdamW([]torch.Tensor{w}, []torch.Tensor{mt}, []torch.Tensor{vt}, []float64{decay}, lr, beta1, beta2, eps, step, 1)
		}
		for i, got := range s.Floats(w) {
			if math.Abs(float64(got)-want[i]) > 1e-6 {
				t.Errorf("parameter %d = %v, want %v", i, got, want[i])
			}
		}
	})
}
