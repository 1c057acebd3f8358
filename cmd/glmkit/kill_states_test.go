//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// TestTrainFromEveryState goes on with training from every state in which SIGKILL
// can leave the disk. A kill keeps what the system calls so far have done, so
// these are the states before each system call that changes a file, and those in
// which a write came half through. A run of each kind is held by ptrace before
// every such call while its directory is copied; from each copy the same command
// must end with the files of an undisturbed run. Of the states that differ within
// an unfinished checkpoint alone, a quick test takes the first and the last, and
// make soak all.
func TestTrainFromEveryState(t *testing.T) {
	w := newTinyWorld(t)
	finetune := []string{"train", "finetune", "--from", w.whole, "--tasks", w.tasks, "--task", "RTE", "--dev", "val", "--grid", "lr=1e-3",
		"--config", w.config, "--device", "cpu", "--threads", "1"}
	search := filepath.Join(memoryDir(t), "search")
	mustDo(t, append(finetune, "--out", search)...)
	if files := lasting(t, w.whole); files["best"] == "" || files["best"] == files["latest"] {
		t.Errorf("the best checkpoint is %q, the latest %q: no test of keeping an older one", files["best"], files["latest"])
	}

	for _, kind := range []struct {
		name, whole string
		command     []string
	}{{"pretraining", w.whole, w.pretrain}, {"finetuning", search, finetune}} {
		t.Run(kind.name, func(t *testing.T) {
			want := lasting(t, kind.whole)
			command := append(slices.Clip(kind.command), "--out")
			states := statesOf(t, command, filepath.Join(memoryDir(t), "run"))
			// The sitting that follows an interruption may write the same step's
			// checkpoint again.
			states = append(states, statesOf(t, command, interrupted(t, command))...)
			if len(states) < 100 {
				t.Errorf("only %d states: they are not those of every write", len(states))
			}
			if os.Getenv("GLMKIT_SOAK") == "" {
				states = thinned(states)
			}
			for _, state := range states {
				var stderr bytes.Buffer
				if code := run(context.Background(), append(slices.Clip(command), state.dir), streams{nil, io.Discard, &stderr}); code != exitOK {
					t.Fatalf("killed %s: exit code %d\n%s", state.at, code, stderr.Bytes())
				}
				got := lasting(t, state.dir)
				for name, content := range want {
					if other, ok := got[name]; !ok {
						t.Errorf("killed %s: %s is missing", state.at, name)
					} else if other != content {
						t.Errorf("killed %s: %s differs", state.at, name)
					}
				}
				for name := range got {
					if _, ok := want[name]; !ok {
						t.Errorf("killed %s: %s is left over", state.at, name)
					}
				}
				if os.RemoveAll(state.dir); t.Failed() {
					t.FailNow() // one such state tells enough
				}
			}
			t.Logf("%d states", len(states))
		})
	}
}

// patience is a context that is canceled after its error was asked for so many times.
type patience struct {
	context.Context
	left int
}

func (p *patience) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return nil
}

// interrupted runs a command until it asks for the last time whether to stop: a
// finetuning does when it measures its last epoch, and pretraining before its last
// step. It returns the run's directory.
func interrupted(t *testing.T, args []string) string {
	t.Helper()
	const plenty = 1 << 30
	sitting := func(left int) (dir string, asked, code int) {
		dir = filepath.Join(memoryDir(t), "run")
		ctx := &patience{context.Background(), left}
		code = run(ctx, append(slices.Clip(args), dir), streams{nil, io.Discard, io.Discard})
		return dir, left - ctx.left, code
	}
	_, asked, code := sitting(plenty)
	if code != exitOK {
		t.Fatalf("undisturbed: exit code %d", code)
	}
	dir, _, code := sitting(asked - 1)
	if code != exitInterrupted {
		t.Fatalf("interrupted: exit code %d", code)
	}
	return dir
}

// tinyWorld is data to train a very small model on, and a finished run.
type tinyWorld struct {
	config, tasks string   // file and folder
	pretrain      []string // a command but for --out
	whole         string   // what it comes to, undisturbed
}

func newTinyWorld(t *testing.T) tinyWorld {
	t.Helper()
	dir := memoryDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	w := tinyWorld{config: in("tiny.yaml"), tasks: in("tasks"), whole: in("whole")}
	if err := os.WriteFile(w.config, []byte(`
data: {seq_length: 32, samples: 24}
model: {architecture: glm, layers: 1, hidden: 16, heads: 2, max_positions: 128, dropout: 0.1, attention_dropout: 0.1}
train: {optimizer: {lr: 0.3}, schedule: {kind: constant, warmup: 0}, steps: 3, batch_size: 4, micro_batch: 0, save_every: 1, keep_last: 1, keep_best: true, log_every: 1, valid_every: 1, valid_batches: 1}
finetune: {seq_length: 96, batch_size: 8, max_steps: 2}
compute: {peak_tflops: 1}
`), 0o666); err != nil {
		t.Fatal(err)
	}
	mustDo(t, "prepare", "microworld", "--out", in("world"), "--documents", "40", "--held", "8", "--train-size", "12", "--val-size", "6")
	mustDo(t, "prepare", "vocab", in("world/corpus.jsonl"), "--size", "700", "--out", in("vocab.txt"))
	mustDo(t, "prepare", "corpus", in("world/corpus.jsonl"), "--config", w.config, "--tokenizer", in("vocab.txt"), "--out", in("corpus"))
	mustDo(t, "prepare", "task", "RTE", "--data", in("world/tasks"), "--config", w.config, "--tokenizer", in("vocab.txt"), "--out", w.tasks)
	w.pretrain = []string{"train", "pretrain", "--data", in("corpus"), "--valid", in("corpus"), "--tensorboard", "--config", w.config, "--device", "cpu", "--threads", "1"}
	mustDo(t, append(slices.Clip(w.pretrain), "--out", w.whole)...)
	return w
}

// lasting reads what must not depend on interruptions: all files but those that
// tell of times, and not what a search's own folder holds beside its result.
func lasting(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch d.Name() {
		case "metrics.jsonl", "env.jsonl":
			return err
		}
		if strings.Contains(name, "tensorboard") || strings.HasPrefix(d.Name(), ".grid.json") {
			return err
		}
		content, err := os.ReadFile(path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// memoryDir is a folder of the test's own in memory where the system has such: what
// is in question is the order of writes, not the disk's patience with syncs.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "glmkit-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// diskState is a copy of a directory as a kill would have left it.
type diskState struct{ dir, at string }

// thinned leaves out states that differ from the one before and the one behind
// within an unfinished checkpoint alone.
func thinned(states []diskState) (out []diskState) {
	names := func(i int) string {
		var all strings.Builder
		filepath.WalkDir(states[i].dir, func(path string, d fs.DirEntry, err error) error {
			if !strings.Contains(path, ".unfinished-") {
				fmt.Fprintln(&all, strings.TrimPrefix(path, states[i].dir), sizeOf(path))
			}
			return err
		})
		return all.String()
	}
	for i, state := range states {
		if i > 0 && i < len(states)-1 && names(i) == names(i-1) && names(i) == names(i+1) {
			continue
		}
		out = append(out, state)
	}
	return out
}

// statesOf runs a command, whose last argument out is, and returns the states of
// that directory before every system call that changes it, and in the middle of
// every write.
func statesOf(t *testing.T, args []string, out string) (states []diskState) {
	t.Helper()
	kept := memoryDir(t)
	last := ""
	keep := func(at string) string {
		dir := filepath.Join(kept, fmt.Sprint(len(states)))
		if err := os.CopyFS(dir, os.DirFS(out)); err != nil {
			t.Fatal(err)
		}
		states = append(states, diskState{dir, at})
		return dir
	}
	before := map[int]int64{} // size of the file that a thread writes to
	stderr := trace(t, glmkitCommand(t, append(slices.Clip(args), out)...), func(thread int, call systemCall, entry bool) {
		file := ""
		if call.toFile() {
			// A write to something else changes nothing here.
			file, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", thread, call.args[0]))
			if !strings.HasPrefix(file, out) {
				return
			}
		}
		now := stamp(out)
		switch {
		case now == "":
			return
		case entry:
			if now != last {
				last = now
				keep("before " + call.String() + " " + strings.TrimPrefix(file, out))
			}
			if file != "" {
				before[thread] = sizeOf(file)
			}
		case file != "":
			if from, to := before[thread], sizeOf(file); to > from+1 {
				dir := keep("in the middle of " + call.String() + " " + strings.TrimPrefix(file, out))
				if err := os.Truncate(filepath.Join(dir, strings.TrimPrefix(file, out)), (from+to)/2); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	if stamp(out) != last {
		keep("at its end")
	}
	if t.Failed() {
		t.Fatal(stderr)
	}
	return states
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// stamp tells states of a directory apart; it is empty where there is none.
func stamp(dir string) string {
	var all strings.Builder
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		stat := info.Sys().(*syscall.Stat_t)
		fmt.Fprintln(&all, path, stat.Ino, stat.Size, stat.Mtim)
		return nil
	})
	return all.String()
}

// systemCall is a system call of a traced thread.
type systemCall struct {
	number uint64
	args   [6]uint64
}

// changing are the system calls by which Go changes files, by their names; for
// those that toFile is true of, the first argument is an open file.
var changing = map[uint64]string{
	syscall.SYS_WRITE: "write", syscall.SYS_PWRITE64: "pwrite64", syscall.SYS_FTRUNCATE: "ftruncate", syscall.SYS_FCHMOD: "fchmod",
	syscall.SYS_OPENAT: "openat", syscall.SYS_MKDIRAT: "mkdirat", syscall.SYS_UNLINKAT: "unlinkat", syscall.SYS_RENAMEAT: "renameat",
	syscall.SYS_FCHMODAT: "fchmodat",
}

func (c systemCall) String() string { return changing[c.number] }

func (c systemCall) toFile() bool {
	return slices.Contains([]uint64{syscall.SYS_WRITE, syscall.SYS_PWRITE64, syscall.SYS_FTRUNCATE, syscall.SYS_FCHMOD}, c.number)
}

// trace runs a command to its end under ptrace, and calls look before and after
// every system call that changes files, while the thread that makes it stands
// still. It returns what the command wrote to its standard error.
func trace(t *testing.T, cmd *exec.Cmd, look func(thread int, call systemCall, entry bool)) string {
	t.Helper()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	// ptrace knows the tracing thread, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("this system does not let a process trace another: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	const (
		wall              = 0x40000000 // wait for threads, too
		noThread          = 0x20000000 // and for children of this thread alone
		optionSysGood     = 0x1
		optionClone       = 0x8
		optionExitKill    = 0x100000
		requestSystemCall = 0x420e // PTRACE_GET_SYSCALL_INFO, Linux 5.3
		entered, left     = 1, 2
	)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, wall, nil); err != nil || !status.Stopped() {
		t.Fatalf("the command does not stop at its start: %v %v", status, err)
	}
	if err := syscall.PtraceSetOptions(cmd.Process.Pid, optionSysGood|optionClone|optionExitKill); err != nil {
		t.Fatal(err)
	}
	calls := map[int]systemCall{} // that threads are in
	next := func(thread, signal int) {
		if err := syscall.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	next(cmd.Process.Pid, 0)
	born := map[int]bool{cmd.Process.Pid: true}
	for {
		thread, err := syscall.Wait4(-1, &status, wall|noThread, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		switch signal := status.StopSignal(); {
		case status.Exited() || status.Signaled():
			if thread != cmd.Process.Pid {
				continue
			}
			if status.ExitStatus() != exitOK {
				t.Errorf("the command ended with %v", status)
			}
			text, err := os.ReadFile(stderr.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		case signal == syscall.SIGTRAP|0x80:
			var stop struct { // struct ptrace_syscall_info, ptrace(2)
				op   uint8
				_    [23]uint8
				call systemCall
			}
			if _, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, requestSystemCall, uintptr(thread), unsafe.Sizeof(stop), uintptr(unsafe.Pointer(&stop)), 0, 0); e != 0 {
				t.Skip("this kernel does not say what a system call is: ", e)
			}
			switch {
			case stop.op == entered && changing[stop.call.number] != "":
				calls[thread] = stop.call
				look(thread, stop.call, true)
			case stop.op == left:
				if call, ok := calls[thread]; ok {
					delete(calls, thread)
					look(thread, call, false)
				}
			}
			next(thread, 0)
		case signal == syscall.SIGTRAP || signal == syscall.SIGSTOP && !born[thread]:
			born[thread] = true
			next(thread, 0)
		default:
			next(thread, int(signal))
		}
	}
}
