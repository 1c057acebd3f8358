//go:build cgo

package torch_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// devices are those that are here. These tests travel as one program to a machine
// with a GPU (bench/gpu/run.sh --carry).
func devices() []torch.Device {
	all := []torch.Device{torch.CPU}
	if torch.CUDADevices() > 0 {
		all = append(all, 0)
	}
	return all
}

// A process that is a group by itself gets back what it gave: over Gloo, or over
// NCCL where there is a GPU.
func TestGroupOfOne(t *testing.T) {
	for _, device := range devices() {
		if !torch.HasGloo() && (device == torch.CPU || !torch.HasNCCL()) {
			t.Logf("no collectives for %s", device)
			continue
		}
		t.Run(device.String(), func(t *testing.T) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := free.Addr().(*net.TCPAddr).Port
			free.Close()
			err = torch.Do(func() error {
				s := torch.NewScope()
				defer s.Close()
				alone(t, s, device, port)
				return s.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func alone(t *testing.T, s *torch.Scope, device torch.Device, port int) {
	// Not Fatal: this is not the test's goroutine.
	ok := func(what string, err error) bool {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return err == nil
	}
	const patience = 20 * time.Second
	store, err := torch.OpenStore("127.0.0.1", port, true, patience)
	if !ok("store", err) {
		return
	}
	defer store.Close()
	group, err := torch.OpenGroup(store, "127.0.0.1", 0, 1, device, patience)
	if !ok("group", err) {
		return
	}
	defer group.Close()

	numbers := []float64{1.5, -2, 1e300}
	ok("sum", group.Sum(numbers))
	if !slices.Equal(numbers, []float64{1.5, -2, 1e300}) {
		t.Errorf("numbers became %v", numbers)
	}
	x := s.Float32s([]float32{1, 2, 3}, device, 3)
	group.SumTensor(s, x)

	w := s.RequireGrad(s.Float32s([]float32{1, 2}, device, 2))
	b := s.RequireGrad(s.Float32s([]float32{3}, device, 1))
	buckets, err := group.NewBuckets([]torch.Tensor{w, b}, 2) // one of each
	if !ok("buckets", err) {
		return
	}
	defer buckets.Close()
	ok("spread", buckets.Spread())
	buckets.Arm()
	s.Backward(s.Add(s.Sum(s.Mul(w, w)), s.Sum(s.Scale(b, 5))))
	ok("reduce", buckets.Reduce())
	ok("share", buckets.Share())
	for what, got := range map[string][2][]float32{
		"tensor":   {s.Floats(x), {1, 2, 3}},
		"weights":  {s.Floats(w), {1, 2}},
		"gradient": {s.Floats(s.Gradient(w)), {2, 4}},
		"bias's":   {s.Floats(s.Gradient(b)), {5}},
	} {
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("%s is %v, want %v", what, got[0], got[1])
		}
	}
	for i, size := range []int64{2, 1} {
		if from, to := buckets.Owned(i); from != 0 || to != size {
			t.Errorf("parameter %d: [%d, %d) is owned, want all %d", i, from, to, size)
		}
	}
}
