//go:build cgo

package torch_test

import (
	"strings"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// packedRows lists, in the order of a packing, the rows of a batch padded to
// length: a[i] tokens of Part A and b[i] of Part B from the row i·length on.
func packedRows(a, b []int64, length int64) (rows []int64) {
	for i, n := range a {
		for j := range n {
			rows = append(rows, int64(i)*length+j)
		}
	}
	for i, n := range b {
		for j := range n {
			rows = append(rows, int64(i)*length+a[i]+j)
		}
	}
	return rows
}

// Packed attention equals the plain form, gradients included, or says since which
// libtorch there is one.
func TestPackedAttention(t *testing.T) {
	const heads, hidden = 2, 32
	if err := torch.PackedProblem(torch.CPU, torch.Float32, hidden/heads, 0); err != nil {
		if !strings.Contains(err.Error(), "from libtorch 2.") {
			t.Errorf("packed attention is refused, but not for the version %s: %v", torch.Version(), err)
		}
		s := torch.NewScope()
		defer s.Close()
		p := s.Packing([]int64{2}, []int64{1}, torch.CPU)
		if s.PackedAttention(s.Zeros(torch.Float32, torch.CPU, 1, 3, 3*hidden), p, heads, 0); s.Err() == nil {
			t.Error("packed attention is refused, and computes")
		}
		return
	}
	for name, parts := range map[string][2][]int64{
		"glm": {{5, 40, 17}, {4, 30, 1}}, "some without Part B": {{3, 9, 70}, {0, 6, 0}}, "bert": {{8, 1, 33}, {0, 0, 0}},
	} {
		a, b := parts[0], parts[1]
		sequences, length := int64(len(a)), int64(0)
		var ends []int64
		for i := range a {
			ends = append(ends, a[i]+b[i])
			length = max(length, ends[i])
		}
		rows := packedRows(a, b, length)
		for kindName, kind := range types {
			t.Run(name+"/"+kindName, func(t *testing.T) {
				same(t, [][]int64{{sequences * length, 3 * hidden}}, int64(len(rows))*hidden, max(kind.tolerance, 1e-5),
					func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
						qkv := s.Cast(s.Rows(x[0], s.Int64s(rows, torch.CPU, int64(len(rows)))), kind.dtype)
						y := s.PackedAttention(s.Reshape(qkv, 1, -1, 3*hidden), s.Packing(a, b, torch.CPU), heads, 0)
						return s.Reshape(s.Cast(y, torch.Float32), -1, hidden)
					},
					func(s *torch.Scope, x []torch.Tensor) torch.Tensor {
						y := s.Attention(s.Reshape(x[0], sequences, length, 3*hidden), s.Int64s(a, torch.CPU, sequences), s.Int64s(ends, torch.CPU, sequences), torch.Tensor{}, torch.Tensor{}, heads, 0, torch.PlainAttention)
						return s.Rows(s.Reshape(y, -1, hidden), s.Int64s(rows, torch.CPU, int64(len(rows))))
					})
			})
		}
	}
}

// What packed attention cannot do it says before a run begins, and as an error.
func TestPackedAttentionRefuses(t *testing.T) {
	if err := torch.PackedProblem(torch.CPU, torch.Float32, 16, 0.1); err == nil {
		t.Error("dropout on a CPU is taken")
	}
	err := torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		s.PackedAttention(s.Zeros(torch.Float32, torch.CPU, 1, 3, 48), s.Packing([]int64{0, 1}, []int64{1, 1}, torch.CPU), 1, 0)
		return s.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "without a Part A") {
		t.Errorf("a Part B without a Part A: error %v", err)
	}
}
