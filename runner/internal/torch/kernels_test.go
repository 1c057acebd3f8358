//go:build cgo

package torch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// drawn returns values from N(0, 1), a function of the seed.
func drawn(seed uint64, n int64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// operation makes one tensor of inputs that require gradients.
type operation func(s *torch.Scope, in []torch.Tensor) torch.Tensor

// outcome is an operation's result, and the gradients of its inputs when the
// result's own gradient is weights.
func outcome(t *testing.T, shapes [][]int64, weights []float32, f operation) (y []float32, gradients [][]float32) {
	t.Helper()
	do(t, func(s *torch.Scope) {
		if err := torch.Seed(5); err != nil {
			t.Error(err)
		}
		var in []torch.Tensor
		for i, shape := range shapes {
			n := int64(1)
			for _, d := range shape {
				n *= d
			}
			in = append(in, s.RequireGrad(s.Float32s(drawn(uint64(i), n), torch.CPU, shape...)))
		}
		out := s.Cast(f(s, in), torch.Float32)
		y = s.Floats(out)
		s.Backward(s.Sum(s.Mul(out, s.Float32s(weights, torch.CPU, s.Shape(out)...))))
		for _, x := range in {
			gradients = append(gradients, s.Floats(s.Gradient(x)))
		}
	})
	return y, gradients
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 0.0
	for _, x := range want {
		largest = max(largest, math.Abs(float64(x)))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*largest) {
			t.Errorf("%s: value %d is %g, want %g", what, i, got[i], want[i])
			return
		}
	}
}

// same compares two ways to compute, gradients included.
func same(t *testing.T, shapes [][]int64, outputs int64, tolerance float64, got, want operation) {
	t.Helper()
	weights := drawn(99, outputs)
	y, g := outcome(t, shapes, weights, got)
	y2, g2 := outcome(t, shapes, weights, want)
	near(t, "result", y, y2, tolerance)
	for i := range g2 {
		near(t, fmt.Sprintf("gradient of input %d", i), g[i], g2[i], tolerance)
	}
}

// types are the element types of products, with what their rounding allows.
var types = map[string]struct {
	dtype     torch.DType
	tolerance float64
}{"float32": {torch.Float32, 2e-6}, "bfloat16": {torch.BFloat16, 2e-2}}

func TestAttentionForms(t *testing.T) {
	// Lengths on both sides of the vectors' 16 and the stretches' 96; heads of an odd
	// size, and of more than a tile's 64 columns.
	for _, size := range []struct {
		length, sep, sep2, used2 int64
		heads                    int
		hidden                   int64
	}{{9, 5, 3, 9, 2, 24}, {37, 20, 11, 30, 2, 18}, {300, 170, 290, 290, 2, 24}, {140, 1, 128, 129, 1, 80}, {131, 97, 60, 131, 3, 27}} {
		for name, kind := range types {
			branching := func(t *testing.T, branches bool) {
				hidden := size.hidden
				rows := func(s *torch.Scope) (sep, used torch.Tensor) {
					return s.Int64s([]int64{size.sep, size.sep2}, torch.CPU, 2), s.Int64s([]int64{size.length, size.used2}, torch.CPU, 2)
				}
				in := func(form torch.AttentionForm, dtype torch.DType) operation {
					return func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
						sep, used := rows(s)
						var starts torch.Tensor
						if branches {
							starts = s.Int64s(branchStarts(size.length, size.sep, size.sep2), torch.CPU, 2, size.length)
						}
						y := s.Attention(s.Cast(x[0], dtype), sep, used, starts, torch.Tensor{}, size.heads, 0, form)
						// Rows behind used are not defined.
						seen := make([]float32, 2*size.length)
						for i := range seen {
							if int64(i) < size.length+size.used2 {
								seen[i] = 1
							}
						}
						return s.Mul(s.Cast(y, torch.Float32), s.Float32s(seen, torch.CPU, 2, size.length, 1))
					}
				}
				shapes := [][]int64{{2, size.length, 3 * hidden}}
				outputs := 2 * size.length * hidden
				same(t, shapes, outputs, kind.tolerance, in(torch.OwnAttention, kind.dtype), in(torch.PlainAttention, torch.Float32))
				if torch.FusedAttention() {
					same(t, shapes, outputs, kind.tolerance, in(torch.LibtorchAttention, kind.dtype), in(torch.PlainAttention, torch.Float32))
				}
			}
			t.Run(fmt.Sprintf("%d/%s", size.length, name), func(t *testing.T) { branching(t, false) })
			t.Run(fmt.Sprintf("%d/%s/branches", size.length, name), func(t *testing.T) { branching(t, true) })
		}
	}
}

// branchStarts cuts what stands behind each sequence's root, at sep, into
// branches of 1, 2, … tokens.
func branchStarts(length int64, seps ...int64) []int64 {
	var starts []int64
	for _, sep := range seps {
		start, branch := sep+1, int64(1)
		for i := range length {
			if i >= start+branch {
				start, branch = i, branch+1
			}
			starts = append(starts, min(start, max(i, sep)))
		}
	}
	return starts
}

// Dropout of attention: with values that are unit vectors the output shows each
// probability, dropped or scaled.
func TestAttentionDropout(t *testing.T) {
	const n, p = 64, 0.25
	var with, without []float32
	for _, rate := range []float64{0, p} {
		do(t, func(s *torch.Scope) {
			if err := torch.Seed(3); err != nil {
				t.Error(err)
			}
			x := make([]float32, n*3*n)
			copy(x, drawn(1, n*3*n))
			for i := range n {
				for j := range n {
					x[i*3*n+2*n+j] = 0
				}
				x[i*3*n+2*n+i] = 1
			}
			used := s.Int64s([]int64{n}, torch.CPU, 1)
			y := s.Floats(s.Attention(s.Float32s(x, torch.CPU, 1, n, 3*n), used, used, torch.Tensor{}, torch.Tensor{}, 1, rate, torch.OwnAttention))
			if rate == 0 {
				without = y
			} else {
				with = y
			}
		})
	}
	dropped := 0
	for i := range with {
		switch {
		case with[i] == 0:
			dropped++
		case math.Abs(float64(with[i])-float64(without[i])/(1-p)) > 1e-5:
			t.Fatalf("probability %d is %g, without dropout %g", i, with[i], without[i])
		}
	}
	if share := float64(dropped) / n / n; math.Abs(share-p) > 0.03 {
		t.Errorf("a share of %.3f was dropped, want about %g", share, p)
	}
}

// The gradient of attention with dropout is that of the function that its draw
// made: central differences agree.
func TestAttentionDropoutGradient(t *testing.T) {
	const n, heads, hidden = 7, 2, 8
	weights := drawn(2, n*hidden)
	loss := func(x []float32) (value float64, slopes []float32) {
		do(t, func(s *torch.Scope) {
			if err := torch.Seed(11); err != nil {
				t.Error(err)
			}
			in := s.RequireGrad(s.Float32s(x, torch.CPU, 1, n, 3*hidden))
			y := s.Attention(in, s.Int64s([]int64{4}, torch.CPU, 1), s.Int64s([]int64{n}, torch.CPU, 1), torch.Tensor{}, torch.Tensor{}, heads, 0.3, torch.OwnAttention)
			sum := s.Sum(s.Mul(y, s.Float32s(weights, torch.CPU, 1, n, hidden)))
			value = s.Item(sum)
			s.Backward(sum)
			slopes = s.Floats(s.Gradient(in))
		})
		return value, slopes
	}
	x := drawn(1, n*3*hidden)
	_, slopes := loss(x)
	for i := 0; i < len(x); i += 5 {
		const h = 1e-2
		moved := append([]float32(nil), x...)
		moved[i] += h
		up, _ := loss(moved)
		moved[i] = x[i] - h
		down, _ := loss(moved)
		if slope := (up - down) / (2 * h); math.Abs(slope-float64(slopes[i])) > 2e-3 {
			t.Errorf("gradient %d is %g, differences say %g", i, slopes[i], slope)
		}
	}
}

// Layer normalisation equals its definition, and its gradients those of the
// definition, written out in float64.
func TestNorm(t *testing.T) {
	const rows, n, eps = 37, 50, 1e-5
	weights := drawn(99, rows*n)
	x, scale, shift := drawn(0, rows*n), drawn(1, n), drawn(2, n) // what outcome takes
	want, wantX, wantScale, wantShift := make([]float32, rows*n), make([]float32, rows*n), make([]float32, n), make([]float32, n)
	for r := range rows {
		row, up := x[r*n:(r+1)*n], weights[r*n:(r+1)*n]
		var mean, variance float64
		for _, v := range row {
			mean += float64(v) / n
		}
		for _, v := range row {
			variance += (float64(v) - mean) * (float64(v) - mean) / n
		}
		inverse := 1 / math.Sqrt(variance+eps)
		normal, slope := make([]float64, n), make([]float64, n)
		var slopes, along float64 // means of slope and of slope·normal
		for i, v := range row {
			normal[i], slope[i] = (float64(v)-mean)*inverse, float64(up[i]*scale[i])
			slopes += slope[i] / n
			along += slope[i] * normal[i] / n
			want[r*n+i] = float32(normal[i])*scale[i] + shift[i]
			wantScale[i] += up[i] * float32(normal[i])
			wantShift[i] += up[i]
		}
		for i := range row {
			wantX[r*n+i] = float32(inverse * (slope[i] - slopes - normal[i]*along))
		}
	}
	for name, kind := range types {
		t.Run(name, func(t *testing.T) {
			y, g := outcome(t, [][]int64{{rows, n}, {n}, {n}}, weights, func(s *torch.Scope, in []torch.Tensor) torch.Tensor {
				return s.LayerNorm(in[0], in[1], in[2], eps, kind.dtype)
			})
			tolerance := max(kind.tolerance, 1e-5)
			near(t, "result", y, want, tolerance)
			near(t, "gradient of the input", g[0], wantX, tolerance)
			near(t, "gradient of the scale", g[1], wantScale, tolerance)
			near(t, "gradient of the shift", g[2], wantShift, tolerance)
		})
	}
}

func TestGELU(t *testing.T) {
	for name, kind := range types {
		t.Run(name, func(t *testing.T) {
			same(t, [][]int64{{5, 77}}, 5*77, max(kind.tolerance, 1e-5),
				func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
					return s.GELU(s.Cast(s.Scale(x[0], 2), kind.dtype), true)
				},
				func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
					y := s.Scale(x[0], 2)
					cube := s.Mul(y, s.Mul(y, y))
					inner := s.Scale(s.Add(y, s.Scale(cube, 0.044715)), math.Sqrt(2/math.Pi))
					return s.Add(s.Scale(y, 0.5), s.Mul(s.Scale(y, 0.5), s.Tanh(inner)))
				})
		})
	}
}

func TestGELUAtTheEnds(t *testing.T) {
	do(t, func(s *torch.Scope) {
		y := s.Floats(s.GELU(s.Float32s([]float32{-1e4, -50, 0, 50, 1e4}, torch.CPU, 5), true))
		for i, want := range []float32{0, 0, 0, 50, 1e4} {
			if math.Abs(float64(y[i]-want)) > 1e-6 {
				t.Errorf("value %d is %g, want %g", i, y[i], want)
			}
		}
	})
}

func TestCrossEntropy(t *testing.T) {
	const rows, classes = 23, 101
	targets := make([]int64, rows)
	for i := range targets {
		targets[i] = int64(i*i) % classes
	}
	for name, kind := range types {
		for _, smoothing := range []float64{0, 0.1, 0.5} {
			t.Run(fmt.Sprint(name, smoothing), func(t *testing.T) {
				same(t, [][]int64{{rows, classes}}, 1, kind.tolerance,
					func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
						return s.Reshape(s.CrossEntropySum(s.Cast(s.Scale(x[0], 5), kind.dtype), s.Int64s(targets, torch.CPU, rows), smoothing), 1)
					},
					func(s *torch.Scope, x []torch.Tensor) torch.Tensor { // (1-ε)·CE + ε·mean of -log p
						logp := s.LogSoftmax(s.Scale(x[0], 5), 1)
						right := s.Gather(logp, 1, s.Int64s(targets, torch.CPU, rows, 1))
						return s.Reshape(s.Add(s.Scale(s.Sum(right), smoothing-1), s.Scale(s.Sum(logp), -smoothing/classes)), 1)
					})
			})
		}
	}
}

func TestDropout(t *testing.T) {
	const rows, n, p = 100, 333, 0.1
	for name, kind := range types {
		t.Run(name, func(t *testing.T) {
			ones := make([]float32, rows*n)
			for i := range ones {
				ones[i] = 1
			}
			kept, _ := outcome(t, [][]int64{{rows, n}}, ones, func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
				return s.Dropout(s.Cast(s.Add(s.Scale(x[0], 0), s.Float32s(ones, torch.CPU, rows, n)), kind.dtype), p)
			})
			dropped, sums := 0, 0.0
			for i, x := range kept {
				sums += float64(x)
				if x == 0 {
					dropped++
				} else if math.Abs(float64(x)-1/(1-p)) > 0.01 {
					t.Fatalf("value %d is %g", i, x)
				}
			}
			if share := float64(dropped) / (rows * n); math.Abs(share-p) > 0.01 {
				t.Errorf("a share of %.4f was dropped, want about %g", share, p)
			}
			// The sum with a base drops in the same places, and so does the gradient.
			added, _ := outcome(t, [][]int64{{rows, n}}, ones, func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
				one := s.Float32s(ones, torch.CPU, rows, n)
				return s.Add(s.AddDropped(x[0], s.Cast(one, kind.dtype), p), s.Scale(x[0], -1))
			})
			near(t, "base + dropout - base", added, kept, 1e-2)
			_, back := outcome(t, [][]int64{{rows, n}, {rows, n}}, ones, func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
				return s.AddDropped(x[0], s.Cast(x[1], kind.dtype), p)
			})
			near(t, "gradient of the base", back[0], ones, 1e-6)
			near(t, "gradient of what is dropped out", back[1], kept, 1e-2)
		})
	}
}

// The kernels' results are a function of their input, however many threads.
func TestKernelsThreads(t *testing.T) {
	before := torch.Threads()
	defer torch.SetThreads(before)
	var first []float32
	for _, threads := range []int{1, 2, 3} {
		torch.SetThreads(threads)
		y, g := outcome(t, [][]int64{{3, 70, 96}, {32}, {32}}, drawn(4, 3*70*32), func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
			sep, used := s.Int64s([]int64{40, 70, 9}, torch.CPU, 3), s.Int64s([]int64{70, 70, 55}, torch.CPU, 3)
			a := s.Attention(x[0], sep, used, torch.Tensor{}, torch.Tensor{}, 4, 0.2, torch.OwnAttention)
			return s.GELU(s.LayerNorm(s.AddDropped(s.Narrow(x[0], 2, 0, 32), a, 0.1), x[1], x[2], 1e-5, torch.Float32), true)
		})
		all := y
		for _, x := range g {
			all = append(all, x...)
		}
		if first == nil {
			first = all
		}
		near(t, fmt.Sprintf("%d threads", threads), all, first, 0)
	}
}

// A number that is not one stays so in bfloat16, and rounding is to the nearest.
func TestBFloat16(t *testing.T) {
	do(t, func(s *torch.Scope) {
		x := []float32{1, 1.00390625, 1.01171875, 3.3895314e38, float32(math.NaN()), float32(math.Inf(1)), -0.1}
		y := s.Floats(s.Dropout(s.Cast(s.Float32s(x, torch.CPU, int64(len(x))), torch.BFloat16), 1e-12))
		want := s.Floats(s.Cast(s.Float32s(x, torch.CPU, int64(len(x))), torch.BFloat16))
		for i := range want {
			if y[i] != want[i] && !(math.IsNaN(float64(y[i])) && math.IsNaN(float64(want[i]))) {
				t.Errorf("%g became %g, want %g", x[i], y[i], want[i])
			}
		}
	})
}
