//go:build cgo

package runner

import (
	"time"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Diagnosis is what decides how fast this machine trains.
type Diagnosis struct {
	Libtorch       string
	Threads        int
	CUDADevices    int
	FusedAttention bool
	GFLOPS         float64 // of a float32 matrix product on the CPU, all threads
}

// Diagnose looks at libtorch and measures a matrix product for a fraction of a
// second.
func Diagnose() (Diagnosis, error) {
	d := Diagnosis{Libtorch: torch.Version(), FusedAttention: torch.FusedAttention()}
	err := torch.Do(func() error {
		setThreads(0)
		d.Threads, d.CUDADevices = torch.Threads(), torch.CUDADevices()
		torch.SetGrad(false)
		defer torch.SetGrad(true)
		const n = 512
		s := torch.NewScope()
		defer s.Close()
		a := s.Ones(torch.Float32, torch.CPU, n, n)
		s.Linear(a, a, torch.Tensor{}) // warm up
		// The best of many: others may be using the machine too.
		for start := time.Now(); time.Since(start) < 200*time.Millisecond && s.Err() == nil; {
			one := time.Now()
			s.Linear(a, a, torch.Tensor{})
			d.GFLOPS = max(d.GFLOPS, 2*n*n*n/time.Since(one).Seconds()/1e9)
		}
		return s.Err()
	})
	return d, err
}
