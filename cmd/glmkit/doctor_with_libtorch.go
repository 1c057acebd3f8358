//go:build cgo

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/runner"
)

// slowGFLOPS is below what any BLAS with vector kernels reaches on one core of
// the last decade; Debian's reference BLAS was at 4 where it was measured.
const slowGFLOPS = 20

// busyLoad is above what is left of a command that ended a minute ago.
const busyLoad = 0.7

func doctor(s streams, o doctorOptions) error {
	before := load() // without what is measured here
	d, err := runner.Diagnose(o.config, o.device, o.threads)
	if err != nil {
		return exitForm(err)
	}
	if o.json {
		return writeDiagnosis(s.out, d, before, o)
	}
	fmt.Fprintf(s.out, "glmkit     %s, %s\n", versionString(), runtime.Version())
	fmt.Fprintf(s.out, "libtorch   %s\n", d.Libtorch)
	fmt.Fprintf(s.out, "cpu        %d cores, %d threads\n", runtime.NumCPU(), d.Threads)
	fmt.Fprintf(s.out, "cuda       %d devices\n", d.CUDADevices)
	device := d.Device
	if d.GPU != "" {
		device += ", " + d.GPU
	}
	fmt.Fprintf(s.out, "training   on %s: %s matrix products, %s attention, steps decided on the %s (compute.precision, compute.attention, compute.step)\n", device, d.Precision, d.Attention, d.Step)
	fmt.Fprintf(s.out, "matmul     %.0f GFLOPS in float32, %.0f in bfloat16\n", d.Float32, d.BFloat16)
	for _, form := range d.Attentions {
		switch {
		case form.Missing != "":
			fmt.Fprintf(s.out, "attention  %-8s not here: %s\n", form.Name, form.Missing)
		case form.Name == d.Attention:
			fmt.Fprintf(s.out, "attention  %-8s %.0f GFLOPS, taken\n", form.Name, form.GFLOPS)
		default:
			fmt.Fprintf(s.out, "attention  %-8s %.0f GFLOPS\n", form.Name, form.GFLOPS)
		}
	}
	trial(s.out, d.Trial, o)
	if before > busyLoad {
		fmt.Fprintf(s.out, "warning: others use this machine (load %.1f), so that the speeds are too low\n", before)
	}
	if d.Device == "cpu" && d.Float32 < slowGFLOPS {
		fmt.Fprintln(s.out, "warning: this libtorch multiplies with an unoptimised BLAS; on Debian, `apt-get install libopenblas0-openmp` makes training many times faster")
	}
	return nil
}

// trial says how fast a configuration trains, and how long that takes.
func trial(w io.Writer, t runner.Trial, o doctorOptions) {
	fmt.Fprintf(w, "%-10s %.1f M parameters: ", o.name, float64(t.Parameters)/1e6)
	if t.Missing != "" {
		fmt.Fprintf(w, "not tried: %s\n", t.Missing)
		return
	}
	how := fmt.Sprintf("tried on %d at once", t.Windows)
	if t.Layers < t.Of {
		how += fmt.Sprintf(" through %d of its %d layers", t.Layers, t.Of)
	}
	steps := o.config.Train.Steps
	fmt.Fprintf(w, "%s tok/s, %s s a step of %s tokens (%s)\n", thousands(t.TokensPerS), seconds(t.StepSeconds), thousands(t.TokensPerStep), how)
	fmt.Fprintf(w, "           its %s steps take %s, %s tokens (--tokens) %s\n", grouped(int64(steps)), duration(float64(steps)*t.StepSeconds), grouped(o.tokens), duration(float64(o.tokens)/t.TokensPerS))
}

// load is how many processes ran or wanted to in the last minute, on average; 0
// where the system does not say.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg") // of Linux
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return n
}

// seconds is a time to two digits at least.
func seconds(s float64) string {
	if s >= 10 {
		return fmt.Sprintf("%.0f", s)
	}
	return fmt.Sprintf("%.2g", s)
}

// duration says a long time as a person would.
func duration(seconds float64) string {
	switch {
	case seconds < 90:
		return fmt.Sprintf("%.0f seconds", seconds)
	case seconds < 90*60:
		return fmt.Sprintf("%.0f minutes", seconds/60)
	case seconds < 100*3600:
		return fmt.Sprintf("%.1f hours", seconds/3600)
	}
	const day = 86400
	if seconds < 1000*day {
		return fmt.Sprintf("%.0f days", seconds/day)
	}
	return fmt.Sprintf("%.0f years", seconds/day/365)
}

// writeDiagnosis is doctor --json.
func writeDiagnosis(w io.Writer, d runner.Diagnosis, load float64, o doctorOptions) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	hours := func(seconds float64) float64 { return seconds / 3600 }
	report := struct {
		Glmkit string  `json:"glmkit"`
		Go     string  `json:"go"`
		Cores  int     `json:"cores"`
		Load   float64 `json:"load"` // of the machine in the minute before
		runner.Diagnosis
		Config      string  `json:"config"`
		StepsHours  float64 `json:"steps_hours,omitempty"` // of the configuration's own
		Tokens      int64   `json:"tokens"`
		TokensHours float64 `json:"tokens_hours,omitempty"`
	}{Glmkit: versionString(), Go: runtime.Version(), Cores: runtime.NumCPU(), Load: load, Diagnosis: d, Config: o.name, Tokens: o.tokens}
	if d.Trial.Missing == "" {
		report.StepsHours = hours(float64(o.config.Train.Steps) * d.Trial.StepSeconds)
		report.TokensHours = hours(float64(o.tokens) / d.Trial.TokensPerS)
	}
	return out.Encode(report)
}
