//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestTrainOnAFullDisk saves where there is no room for a second checkpoint: the
// error names the file and what to do, the first checkpoint stays whole, and with
// room the same command comes to the end of an undisturbed run.
func TestTrainOnAFullDisk(t *testing.T) {
	w := newTinyWorld(t)
	want := lasting(t, w.whole)
	size := int64(0) // of a checkpoint
	weights := int64(0)
	for name, content := range want {
		if strings.HasPrefix(name, "checkpoints/step-000000003/") {
			size += int64(len(content))
		}
		if filepath.Base(name) == "model.safetensors" {
			weights = int64(len(content))
		}
	}
	mount := func(t *testing.T, dir string, flags uintptr, bytes string) {
		t.Helper()
		if err := syscall.Mount("none", dir, "tmpfs", flags, "size="+bytes); err != nil {
			t.Skip("this system does not let this user mount a small disk: ", err)
		}
	}
	for _, disk := range []struct {
		name, says, advice string
		blocks             string // of 512 bytes that a file may have
		fill               func(t *testing.T, dir string) (free func())
	}{
		{"no space left", "no space left on device", "free some space, then the same command again goes on from step-000000001", "unlimited", func(t *testing.T, dir string) func() {
			room := int64(0)
			filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
				room += (sizeOf(path) + 4095) &^ 4095
				return nil
			})
			kept := t.TempDir()
			if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			mount(t, dir, 0, strconv.FormatInt(room+size/2, 10))
			t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
			if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
				t.Fatal(err)
			}
			return func() { mount(t, dir, syscall.MS_REMOUNT, "64m") }
		}},
		{"file size limit", "file too large", "the same command again goes on from step-000000001", fmt.Sprint((weights - 1) / 512), func(*testing.T, string) func() {
			return func() {}
		}},
	} {
		t.Run(disk.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			train := append(slices.Clip(w.pretrain), "--out", dir)
			mustDo(t, append(slices.Clip(train), "--set", "train.max_tokens=1")...) // one step
			free := disk.fill(t, dir)
			// The limit holds in a process of its own: this one could not write the
			// go command's log.
			var stderr bytes.Buffer
			limited := exec.Command("sh", append([]string{"-c", `ulimit -f "$0" && exec glmkit "$@"`, disk.blocks}, train...)...)
			limited.Stderr = &stderr
			limited.Run()
			code := limited.ProcessState.ExitCode()
			free()
			if said := stderr.String(); code != exitFailure || !strings.Contains(said, dir) || !strings.Contains(said, disk.says) || !strings.Contains(said, disk.advice) {
				t.Fatalf("exit code %d\n%s", code, said)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "checkpoints", ".*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
			mustDo(t, train...)
			got := lasting(t, dir)
			for name, content := range want {
				if got[name] != content {
					t.Errorf("gone on with: %s differs from the undisturbed run's", name)
				}
			}
		})
	}
}
