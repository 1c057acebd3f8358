//go:build cgo

package runner

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

const environmentFile = "env.jsonl"

// environment is one line of env.jsonl: where and how a sitting of a run was
// computed. It holds nothing of the process' environment variables, which may
// be secret.
type environment struct {
	Started   time.Time `json:"started"`
	Step      int       `json:"step"` // that the run had reached
	Host      string    `json:"host"`
	System    string    `json:"system"` // operating system/architecture
	Processor string    `json:"processor,omitempty"`
	Cores     int       `json:"cores"`
	Threads   int       `json:"threads"` // of libtorch's CPU operations
	Device    string    `json:"device"`
	GPU       string    `json:"gpu,omitempty"`
	Precision string    `json:"precision"`
	Attention string    `json:"attention"`
	Decisions string    `json:"step_decided_on"` // compute.step
	Recompute bool      `json:"checkpoint_activations,omitempty"`
	PeakFLOPS float64   `json:"peak_flops,omitempty"` // that MFU is a share of
	Libtorch  string    `json:"libtorch"`
	Glmkit    string    `json:"glmkit,omitempty"`
	Go        string    `json:"go"`
	Command   []string  `json:"command,omitempty"`
	Data      string    `json:"data"`      // identity of the training data
	Tokenizer string    `json:"tokenizer"` // sha256 of the vocabulary
	Weights   string    `json:"weights,omitempty"`
}

// recordEnvironment adds a line to env.jsonl in the run's directory.
func (r *session) recordEnvironment(o Options) error {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	line, err := json.Marshal(environment{
		Started: time.Now().UTC().Truncate(time.Second), Step: r.state.Step, Host: host,
		System: runtime.GOOS + "/" + runtime.GOARCH, Processor: processorName(),
		Cores: runtime.NumCPU(), Threads: torch.Threads(), Device: r.model.device.String(), GPU: torch.DeviceName(r.model.device),
		Precision: r.model.mode.precision(), Attention: r.model.mode.attentionName(), Decisions: r.model.mode.stepName(), Recompute: r.model.mode.recompute, PeakFLOPS: r.pace.peak,
		Libtorch: torch.Version(), Glmkit: o.Version, Go: runtime.Version(), Command: o.Command,
		Data: r.state.Data, Tokenizer: r.state.Tokenizer, Weights: r.state.Pretrained,
	})
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, environmentFile)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeWhole(path, append(append(before, line...), '\n'))
}

// processorName is what Linux calls the processor; empty elsewhere.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(text), "\n") {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return ""
}
