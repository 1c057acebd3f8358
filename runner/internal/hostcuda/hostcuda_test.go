//go:build cgo

package hostcuda_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/glmkit/glmkit/runner/internal/hostcuda"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// readByHost, in the environment, makes TestHostCannotRead the process that reads
// what it must not.
const readByHost = "GLMKIT_TEST_READ_BY_HOST"

// on runs f on the tensor thread with the device in sight.
func on(t *testing.T, f func(s *torch.Scope, device torch.Device)) error {
	t.Helper()
	if !hostcuda.Available {
		t.Skip("this libtorch is for CUDA")
	}
	hostcuda.Show(true)
	defer hostcuda.Show(false)
	return torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		f(s, 0)
		return s.Err()
	})
}

func TestShow(t *testing.T) {
	if n := torch.CUDADevices(); hostcuda.Available && n != 0 {
		t.Errorf("%d devices before Show", n)
	}
	if err := on(t, func(s *torch.Scope, device torch.Device) {
		if n := torch.CUDADevices(); n != 1 {
			t.Errorf("%d devices, want one", n)
		}
	}); err != nil {
		t.Error(err)
	}
}

// An operation between host and device is refused, as CUDA's kernels refuse it.
func TestDevicesDoNotMix(t *testing.T) {
	err := on(t, func(s *torch.Scope, device torch.Device) {
		s.Add(s.Ones(torch.Float32, device, 2), s.Ones(torch.Float32, torch.CPU, 2))
	})
	if err == nil || !strings.Contains(err.Error(), "same device") {
		t.Errorf("error = %v", err)
	}
}

// What it computes is what libtorch computes; an upload is not waited for, a
// download is.
func TestOperations(t *testing.T) {
	err := on(t, func(s *torch.Scope, device torch.Device) {
		compute := func(device torch.Device) (y, gradient torch.Tensor) {
			w := s.RequireGrad(s.Float32s([]float32{1, -2, 3, 0.5, 2, 1}, device, 2, 3))
			x := s.Float32s([]float32{3, 1, 2, -1, 0.25, 4}, device, 2, 3)
			y = s.GELU(s.Linear(x, w, torch.Tensor{}), false)
			s.Backward(s.Sum(s.Mul(y, s.Transpose(y, 0, 1))))
			return y, s.Gradient(w)
		}
		_, before := hostcuda.Counts()
		y, g := compute(device)
		if _, after := hostcuda.Counts(); after != before {
			t.Errorf("the host waited %d times before it read: %s", after-before, hostcuda.Calls())
		}
		wantY, wantG := compute(torch.CPU)
		for what, pair := range map[string][2]torch.Tensor{"outputs": {y, wantY}, "gradients": {g, wantG}} {
			_, before := hostcuda.Counts()
			got, want := s.Floats(pair[0]), s.Floats(pair[1])
			if _, after := hostcuda.Counts(); after != before+1 {
				t.Errorf("reading %s: %d waits, want one", what, after-before)
			}
			for i := range want {
				if d := got[i] - want[i]; d > 1e-6 || d < -1e-6 {
					t.Errorf("%s are %v, want %v", what, got, want)
					break
				}
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// Random numbers come from the device's generator, and that of the host stays
// where it is.
func TestGenerators(t *testing.T) {
	err := on(t, func(s *torch.Scope, device torch.Device) {
		drawn := func(device torch.Device) []float32 {
			x := s.Zeros(torch.Float32, device, 8)
			s.FillNormal(x, 1)
			return s.Floats(x)
		}
		s.Seed(5)
		want := drawn(torch.CPU)
		s.Seed(5)
		there := drawn(device)
		if got := drawn(torch.CPU); got[0] != want[0] {
			t.Errorf("drawing on the device moved the host's generator: %v, want %v", got, want)
		}
		if next := drawn(device); next[0] == there[0] {
			t.Error("the device draws the same numbers again")
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// A process that follows a device's pointer dies: here with the kernel for CPUs.
func TestHostCannotRead(t *testing.T) {
	if os.Getenv(readByHost) != "" {
		on(t, func(s *torch.Scope, device torch.Device) {
			length := s.Int64s([]int64{2}, device, 1)
			s.Attention(s.Ones(torch.Float32, device, 1, 2, 24), length, length, torch.Tensor{}, torch.Tensor{}, 1, 0, torch.OwnAttention)
		})
		return
	}
	if !hostcuda.Available {
		t.Skip("this libtorch is for CUDA")
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestHostCannotRead$")
	c.Env = append(os.Environ(), readByHost+"=1")
	text, err := c.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		t.Fatalf("%v:\n%s", err, text)
	}
	// Go's runtime says so and exits, where it has the signal first.
	how, _ := ended.Sys().(syscall.WaitStatus)
	if !(how.Signaled() && how.Signal() == syscall.SIGSEGV) && !strings.Contains(string(text), "SIGSEGV") {
		t.Errorf("%v:\n%s", err, text)
	}
}
