//go:build cgo

package openmp_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/glmkit/glmkit/runner/internal/openmp"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// used is the processor time of this process so far.
func used(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Between two operations of libtorch its threads sleep. Without SleepWhenWaiting
// they used a third of the pauses, on a busy machine.
func TestSleepWhenWaiting(t *testing.T) {
	for _, name := range []string{"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} {
		if os.Getenv(name) != "" {
			t.Skip(name + " is set")
		}
	}
	openmp.SleepWhenWaiting()
	err := torch.Do(func() error {
		torch.SetThreads(2)
		s := torch.NewScope()
		defer s.Close()
		x := s.Zeros(torch.Float32, torch.CPU, 256, 64)
		s.GELU(x, true)
		time.Sleep(100 * time.Millisecond) // the threads that never work have started
		var burnt, slept time.Duration
		for range 50 {
			s.GELU(x, true)
			before, start := used(t), time.Now()
			time.Sleep(5 * time.Millisecond)
			burnt, slept = burnt+used(t)-before, slept+time.Since(start)
		}
		if burnt > slept/10 {
			t.Errorf("waiting threads used %v of the processor in %v", burnt, slept)
		}
		return s.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
