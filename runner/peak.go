//go:build cgo

package runner

import (
	"strings"
	"sync"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// devicePeak is what a kind of device does at most in matrix products, in 10¹²
// operations a second.
type devicePeak struct {
	name    string  // part of what CUDA calls the device
	float32 float64 // without TF32; 0: not published beside half
	half    float64 // bfloat16 or float16 with float32 sums, dense
}

// devicePeaks are from NVIDIA's data sheets, whose figures for sparse matrices
// are halved here. The first name that a device's holds is its own.
var devicePeaks = []devicePeak{
	{"B200", 0, 2250}, // Blackwell data sheet
	{"H200", 67, 989}, // nvidia.com/en-us/data-center/h200
	// H100 Tensor Core GPU data sheet
	{"H100 PCIe", 51, 756},
	{"H100 NVL", 0, 835},
	{"H100", 67, 989},   // SXM: "NVIDIA H100 80GB HBM3"
	{"A100", 19.5, 312}, // A100 data sheet, SXM and PCIe
	{"L40S", 0, 362},    // L40S data sheet
	{"A10G", 0, 0},      // another chip than the A10; Amazon's alone, without a data sheet
	{"A10", 31.2, 125},  // A10 data sheet
	{"L40", 0, 0},       // its data sheet was not at hand
	{"L4", 30.3, 121},   // L4 data sheet
	{"T4", 8.1, 65},     // T4 data sheet
	// V100 data sheet
	{"V100S-PCIE", 16.4, 130},
	{"V100-PCIE", 14, 112},
	{"V100-SXM", 15.7, 125},
}

// publishedPeak is the peak of a CUDA device by its name in operations a second,
// 0 where the table has none.
func publishedPeak(name string, half bool) float64 {
	for _, p := range devicePeaks {
		if strings.Contains(name, p.name) {
			if half {
				return p.half * 1e12
			}
			return p.float32 * 1e12
		}
	}
	return 0
}

// peakOf is the most operations a second that a device does in a model's matrix
// products: what the configuration says, a GPU's published figure, or what the
// CPU reaches in a large product, measured; 0 where none is known.
func peakOf(c configs.Compute, device torch.Device, chosen computing) (float64, error) {
	if c.PeakTFLOPS > 0 {
		return c.PeakTFLOPS * 1e12, nil
	}
	if device != torch.CPU {
		return publishedPeak(torch.DeviceName(device), chosen.half != 0), nil
	}
	return measuredPeak(chosen.product())
}

// measured remembers a process' measurements of its CPU: they take time, and
// finetuning many runs needs one.
var measured = struct {
	sync.Mutex
	peaks map[measurement]float64
}{peaks: map[measurement]float64{}}

type measurement struct {
	product torch.DType
	threads int
}

func measuredPeak(product torch.DType) (float64, error) {
	measured.Lock()
	defer measured.Unlock()
	key := measurement{product, torch.Threads()}
	if peak, ok := measured.peaks[key]; ok {
		return peak, nil
	}
	peak, err := productSpeed(product, torch.CPU, measuring)
	if err == nil {
		measured.peaks[key] = peak
	}
	return peak, err
}
