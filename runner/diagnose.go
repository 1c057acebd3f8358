//go:build cgo

package runner

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Diagnosis is what decides how fast this machine trains. Speeds are measured,
// in 10⁹ operations a second.
type Diagnosis struct {
	Libtorch    string `json:"libtorch"`
	CUDADevices int    `json:"cuda_devices"`
	Device      string `json:"device"`        // that is measured
	GPU         string `json:"gpu,omitempty"` // its name, of a GPU
	Threads     int    `json:"threads"`       // of CPU operations
	// Precision, Attention and Step are what training takes there.
	Precision string `json:"precision"`
	Attention string `json:"attention"`
	Step      string `json:"step"` // where it is decided
	// Float32 and BFloat16 are those of a large matrix product.
	Float32    float64         `json:"matmul_float32_gflops"`
	BFloat16   float64         `json:"matmul_bfloat16_gflops"`
	Attentions []AttentionForm `json:"attention_forms"`
	Trial      Trial           `json:"trial"`
}

// AttentionForm is a way to compute attention, by its name in compute.attention.
type AttentionForm struct {
	Name string `json:"name"`
	// GFLOPS of forward and backward, of the work that GLM's mask lets through.
	GFLOPS float64 `json:"gflops,omitempty"`
	// Missing says why it cannot be taken here; empty: it can.
	Missing string `json:"missing,omitempty"`
}

// Diagnose looks at libtorch and a device, and measures products, attention and a
// training step of a configuration there. It takes some seconds.
func Diagnose(c *configs.Config, device string, threads int) (Diagnosis, error) {
	d := Diagnosis{Libtorch: torch.Version()}
	err := torch.Do(func() error {
		d.CUDADevices = torch.CUDADevices()
		on, err := placed(nil, Options{Device: device, Threads: threads})
		if err != nil {
			return err
		}
		d.Device, d.GPU, d.Threads = on.String(), torch.DeviceName(on), torch.Threads()
		how, err := chooseComputing(c.Compute, on, c.Model, 1)
		if err != nil {
			return err
		}
		d.Precision, d.Attention, d.Step = how.precision(), how.attentionName(), how.stepName()
		for dtype, to := range map[torch.DType]*float64{torch.Float32: &d.Float32, torch.BFloat16: &d.BFloat16} {
			speed, err := productSpeed(dtype, on, measuring)
			if err != nil {
				return err
			}
			*to = speed / 1e9
		}
		for _, name := range slices.Sorted(maps.Keys(attentionForms)) {
			form := AttentionForm{Name: name}
			asked := c.Compute
			asked.Attention = name
			if how, err := chooseComputing(asked, on, c.Model, 1); err != nil {
				form.Missing = err.Error()
			} else if form.GFLOPS, err = attentionSpeed(on, how, c.Model.AttentionDropout); err != nil {
				return err
			}
			d.Attentions = append(d.Attentions, form)
		}
		speed := d.Float32
		if how.half != 0 {
			speed = d.BFloat16
		}
		d.Trial, err = try(c, how, on, speed*1e9)
		return err
	})
	return d, err
}

// measuring is how long single operations are repeated for the best of their
// times.
const measuring = 150 * time.Millisecond

// attentionSpeed is how fast attention is forward and backward in 10⁹ operations
// a second: twelve heads of 64 over two windows of 512 tokens, 430 of them Part A.
func attentionSpeed(device torch.Device, how computing, dropout float64) (best float64, err error) {
	const sequences, length, sep, heads, hidden = 2, 512, 430, 12, 768
	all := torch.NewScope()
	defer all.Close()
	qkv := all.RequireGrad(all.Ones(how.product(), device, sequences, length, 3*hidden))
	seps := all.Int64s([]int64{sep, sep}, device, sequences)
	used := all.Int64s([]int64{length, length}, device, sequences)
	attend := func(s *torch.Scope) torch.Tensor {
		return s.Attention(qkv, seps, used, torch.Tensor{}, torch.Tensor{}, heads, dropout, how.attention)
	}
	if how.attention == torch.PackedForm {
		packing := all.Packing([]int64{sep, sep}, []int64{length - sep, length - sep}, device)
		attend = func(s *torch.Scope) torch.Tensor {
			return s.PackedAttention(s.Reshape(qkv, 1, sequences*length, 3*hidden), packing, heads, dropout)
		}
	}
	if err := all.Err(); err != nil {
		return 0, err
	}
	work := backwardAndForward * 4 * hidden * sequences * float64(visiblePairs(sep, length))
	for start, n := time.Now(), 0; n < 2 || time.Since(start) < measuring; n++ {
		s := torch.NewScope()
		one := time.Now()
		sum := s.Sum(attend(s))
		s.Backward(sum)
		s.Item(sum)
		seconds := time.Since(one).Seconds()
		s.DropGrad([]torch.Tensor{qkv})
		err := s.Err()
		s.Close()
		if err != nil {
			return 0, err
		}
		best = max(best, work/seconds/1e9)
	}
	return best, nil
}

// productSpeed is the speed of a matrix product on a device, all threads, in
// operations a second: the best of those that fit into a time, since others may
// be using the machine.
func productSpeed(dtype torch.DType, device torch.Device, within time.Duration) (best float64, err error) {
	torch.SetGrad(false)
	defer torch.SetGrad(true)
	n := int64(1024)
	if device != torch.CPU {
		n = 8192
	}
	all := torch.NewScope()
	defer all.Close()
	a := all.Ones(dtype, device, n, n)
	for start, count := time.Now(), 0; count < 2 || time.Since(start) < within; count++ {
		s := torch.NewScope()
		one := time.Now()
		out := s.Linear(a, a, torch.Tensor{})
		s.Item(s.Narrow(s.Narrow(out, 0, 0, 1), 1, 0, 1)) // a GPU is waited for
		seconds := time.Since(one).Seconds()
		err := errors.Join(all.Err(), s.Err())
		s.Close()
		if err != nil {
			return 0, err
		}
		best = max(best, 2*float64(n*n*n)/seconds)
	}
	return best, nil
}
