//go:build cgo

package runner

import (
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Diagnosis is what decides how fast this machine trains.
type Diagnosis struct {
	Libtorch       string
	Threads        int
	CUDADevices    int
	FusedAttention bool
	// Precision and Attention are what training chooses on this machine.
	Precision, Attention string
	GFLOPS               float64 // of a float32 matrix product on the CPU, all threads
	HalfGFLOPS           float64 // of a bfloat16 one
}

// Diagnose looks at libtorch and measures matrix products for a fraction of a
// second.
func Diagnose() (Diagnosis, error) {
	d := Diagnosis{Libtorch: torch.Version(), FusedAttention: torch.FusedAttention()}
	err := torch.Do(func() error {
		setThreads(0)
		d.Threads, d.CUDADevices = torch.Threads(), torch.CUDADevices()
		device, err := chooseDevice("auto")
		if err != nil {
			return err
		}
		chosen, err := chooseComputing(configs.Compute{}, device)
		if err != nil {
			return err
		}
		d.Precision, d.Attention = chosen.precision(), chosen.attentionName()
		const within = 150 * time.Millisecond
		if d.GFLOPS, err = productSpeed(torch.Float32, torch.CPU, within); err == nil {
			d.HalfGFLOPS, err = productSpeed(torch.BFloat16, torch.CPU, within)
		}
		d.GFLOPS, d.HalfGFLOPS = d.GFLOPS/1e9, d.HalfGFLOPS/1e9
		return err
	})
	return d, err
}

// productSpeed is the speed of a matrix product on a device, all threads, in
// operations a second: the best of those that fit into a time, since others may
// be using the machine.
func productSpeed(dtype torch.DType, device torch.Device, within time.Duration) (best float64, err error) {
	torch.SetGrad(false)
	defer torch.SetGrad(true)
	const n = 1024
	s := torch.NewScope()
	defer s.Close()
	a := s.Ones(dtype, device, n, n)
	s.Linear(a, a, torch.Tensor{}) // warm up
	for start := time.Now(); time.Since(start) < within && s.Err() == nil; {
		one := time.Now()
		once := torch.NewScope()
		once.Linear(a, a, torch.Tensor{})
		best = max(best, 2*n*n*n/time.Since(one).Seconds())
		if err := once.Err(); err != nil {
			once.Close()
			return 0, err
		}
		once.Close()
	}
	return best, s.Err()
}
