//go:build cgo

package runner

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/openmp"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// DeviceError says that a device or libtorch is not there. Commands answer it
// with exit code 4.
type DeviceError struct{ Msg, Hint string }

func (e *DeviceError) Error() string { return e.Msg }

// chooseDevice reads --device: auto (the first CUDA device, else the CPU),
// cpu, cuda or cuda:N.
func chooseDevice(name string) (torch.Device, error) {
	have := torch.CUDADevices()
	switch {
	case name == "cpu", (name == "auto" || name == "") && have == 0:
		return torch.CPU, nil
	case name == "auto", name == "":
		return 0, nil
	case name == "cuda" || strings.HasPrefix(name, "cuda:"):
		n := 0
		if _, number, ok := strings.Cut(name, ":"); ok {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 0 {
				return 0, &configs.Error{Field: "--device", Msg: fmt.Sprintf("%q is not a device", name), Hint: "auto, cpu, cuda or cuda:N"}
			}
		}
		if n >= have {
			return 0, &DeviceError{
				Msg:  fmt.Sprintf("device %s is not there: libtorch %s sees %d CUDA devices", name, torch.Version(), have),
				Hint: "--device cpu, or LIBTORCH=/path of a CUDA libtorch and `make libtorch build`",
			}
		}
		return torch.Device(n), nil
	}
	return 0, &configs.Error{Field: "--device", Msg: fmt.Sprintf("%q is not a device", name), Hint: "auto, cpu, cuda or cuda:N"}
}

// setThreads gives libtorch's CPU operations n threads, or all cores.
func setThreads(n int) {
	if n <= 0 {
		n = runtime.NumCPU()
	}
	torch.SetThreads(n)
	if n > 1 {
		openmp.SleepWhenWaiting()
	}
}
