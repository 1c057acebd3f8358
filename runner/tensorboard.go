//go:build cgo

package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"
)

const tensorboardDir = "tensorboard"

// eventFile writes scalars for TensorBoard. Its records are TFRecords (length,
// its checksum, data, its checksum) of TensorFlow's protobuf message Event. Only
// five fields of it are needed, so they are laid out here; no library that is
// kept up writes them without TensorFlow.
type eventFile struct{ file *os.File }

// newEventFile begins an event file in a run's directory; every sitting of a run
// has its own, and TensorBoard reads them as one.
func newEventFile(run string) (*eventFile, error) {
	dir := filepath.Join(run, tensorboardDir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	now := time.Now()
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	// TensorBoard knows event files by this name and orders them by it.
	name := fmt.Sprintf("events.out.tfevents.%010d.%s.%d.%d", now.Unix(), host, os.Getpid(), now.Nanosecond())
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	e := &eventFile{f}
	version := appendBytes(appendWallTime(nil, now), 3, []byte("brain.Event:2"))
	if err := e.record(version); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return e, nil
}

// scalar is one named value of a step.
type scalar struct {
	name  string
	value float64
}

// write appends a step's scalars.
func (e *eventFile) write(step int, scalars []scalar) error {
	var summary []byte
	for _, x := range scalars {
		value := appendBytes(nil, 1, []byte(x.name)) // Summary.Value.tag
		value = binary.AppendUvarint(value, 2<<3|5)  // Summary.Value.simple_value, a float
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(x.value)))
		summary = appendBytes(summary, 1, value) // Summary.value
	}
	event := appendWallTime(nil, time.Now())
	event = binary.AppendUvarint(event, 2<<3|0) // Event.step, a varint
	event = binary.AppendUvarint(event, uint64(step))
	return e.record(appendBytes(event, 5, summary)) // Event.summary
}

func (e *eventFile) close() error { return e.file.Close() }

// appendWallTime appends Event.wall_time, a double in seconds.
func appendWallTime(b []byte, t time.Time) []byte {
	b = binary.AppendUvarint(b, 1<<3|1)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(t.UnixNano())/1e9))
}

// appendBytes appends a field of protobuf's length-delimited kind.
func appendBytes(b []byte, field uint64, data []byte) []byte {
	b = binary.AppendUvarint(b, field<<3|2)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is the checksum of TFRecords: a CRC-32C, rotated and shifted so that
// data holding checksums has another.
func maskedCRC(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// record appends one TFRecord in a single write.
func (e *eventFile) record(data []byte) error {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	out = binary.LittleEndian.AppendUint32(out, maskedCRC(out))
	out = append(out, data...)
	_, err := e.file.Write(binary.LittleEndian.AppendUint32(out, maskedCRC(data)))
	return err
}

// scalars are what TensorBoard shows of a step.
func (i *StepInfo) scalars() []scalar {
	out := []scalar{{"train/loss", i.Loss}, {"train/grad_norm", i.GradNorm}, {"train/lr", i.LR},
		{"train/tokens", float64(i.Tokens)}, {"train/tokens_per_s", i.TokensPerS},
		{"train/data_wait", i.DataWait}}
	if i.Exchange > 0 {
		out = append(out, scalar{"train/exchange", i.Exchange})
	}
	if i.MFU > 0 {
		out = append(out, scalar{"train/mfu", i.MFU})
	}
	if i.Memory > 0 {
		out = append(out, scalar{"train/memory_bytes", float64(i.Memory)})
	}
	if i.HasValid {
		out = append(out, scalar{"valid/loss", i.Valid})
	}
	for _, name := range Objectives {
		if loss, ok := i.LossBy[name]; ok {
			out = append(out, scalar{"train/loss_" + name, loss})
		}
		if loss, ok := i.ValidBy[name]; ok {
			out = append(out, scalar{"valid/loss_" + name, loss})
		}
	}
	return out
}

// charting writes TensorBoard's event files, as often as metrics.jsonl.
func (r *session) charting(e *eventFile) hook {
	return hook{name: "writing for TensorBoard", after: func(i *StepInfo) error {
		if r.ended || i.HasValid || due(i.Step, r.config.LogEvery) {
			return e.write(i.Step, i.scalars())
		}
		return nil
	}}
}
