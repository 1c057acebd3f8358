//go:build cgo

package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const metricsFile = "metrics.jsonl"

// metricsLine is one line of metrics.jsonl.
type metricsLine struct {
	Step       int                `json:"step"`
	Loss       float64            `json:"loss"`
	LossBy     map[string]float64 `json:"loss_by_objective,omitempty"`
	GradNorm   float64            `json:"grad_norm"`
	LR         float64            `json:"lr"`
	Tokens     int64              `json:"tokens"`
	TokensPerS float64            `json:"tokens_per_s"`
	MFU        float64            `json:"mfu,omitempty"`
	DataWait   float64            `json:"data_wait"`
	Exchange   float64            `json:"exchange,omitempty"`
	Memory     int64              `json:"memory_bytes,omitempty"`
	Valid      *float64           `json:"valid_loss,omitempty"`
	ValidBy    map[string]float64 `json:"valid_loss_by_objective,omitempty"`
	Seconds    float64            `json:"seconds"` // of training up to here, over all its runs
}

// metricsLog appends to metrics.jsonl in a run's directory. Losses and speeds
// are means since the line before.
type metricsLog struct {
	file   *os.File
	start  time.Time
	before float64 // seconds of earlier runs
	losses float64
	by     perObjective
	count  int
	effort effort
	pace   *pace
	newest StepInfo
}

// openMetrics opens the log of a run that goes on after step: lines beyond it,
// which a killed run may have left, are dropped, because the steps are done
// again.
func openMetrics(dir string, step int, p *pace) (*metricsLog, error) {
	path := filepath.Join(dir, metricsFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l := &metricsLog{start: time.Now(), pace: p}
	var keep bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(old))
	for lines.Scan() {
		var line metricsLine
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Step > step {
			break
		}
		l.before = line.Seconds
		keep.Write(lines.Bytes())
		keep.WriteByte('\n')
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if err := writeWhole(path, keep.Bytes()); err != nil {
		return nil, err
	}
	l.file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o666)
	return l, err
}

// write takes a step into account and, when line is set, appends a line.
func (l *metricsLog) write(info StepInfo, line bool) error {
	l.newest = info
	l.losses += info.Loss
	l.by.merge(info.by)
	l.count++
	l.effort.add(info.effort, 1)
	if !line && !info.HasValid {
		return nil
	}
	return l.line()
}

// seconds of training so far, over all sittings of the run.
func (l *metricsLog) seconds() float64 { return l.before + time.Since(l.start).Seconds() }

// line appends what came since the line before.
func (l *metricsLog) line() error {
	info := l.newest
	out := metricsLine{Step: info.Step, Loss: l.losses / float64(l.count), LossBy: l.by.means(), GradNorm: info.GradNorm, LR: info.LR,
		Tokens: info.Tokens, Memory: info.Memory, Seconds: l.seconds()}
	out.TokensPerS, out.DataWait, out.Exchange, out.MFU = l.pace.speeds(l.effort)
	if info.HasValid {
		out.Valid, out.ValidBy = &info.Valid, info.ValidBy
	}
	l.losses, l.by, l.count, l.effort = 0, perObjective{}, 0, effort{}
	text, err := json.Marshal(out)
	if err != nil {
		// A loss that is not finite has no JSON; the step is counted as skipped.
		return nil
	}
	_, err = l.file.Write(append(text, '\n'))
	return err
}

// close writes what a run that stops between two lines has not written yet.
func (l *metricsLog) close() error {
	var err error
	if l.count > 0 {
		err = l.line()
	}
	return errors.Join(err, l.file.Close())
}
