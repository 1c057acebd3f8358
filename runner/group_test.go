//go:build cgo && unix

package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// rankRun is what a process of a group is to do.
type rankRun struct {
	Corpus, From, Train, Out string // From and Train: finetune
	Steps, Epochs            int
	StopAt                   int // rank 0 is interrupted after this step; 0: nobody
}

const rankRunEnv = "GLMKIT_TEST_RANK_RUN"

// TestRankProcess is a rank of the tests below, which start this test binary anew.
// It prints a line for each step, and how it ended.
func TestRankProcess(t *testing.T) {
	text := os.Getenv(rankRunEnv)
	if text == "" {
		t.Skip("not started as a rank")
	}
	var run rankRun
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop() // which also cancels
	place, err := PlaceFromEnv(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	ranks, err := Join(ctx, place, "cpu", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer ranks.Close()
	c := config(t, "glm")
	c.Train.Steps, c.Train.MicroBatch = run.Steps, 2
	o := Options{Out: run.Out, Device: "cpu", Threads: 1, Ranks: ranks,
		Note: func(text string) { fmt.Println("note:", text) },
		Observe: func(i StepInfo) {
			fmt.Println("step", i.Step)
			if i.Step == run.StopAt {
				stop()
			}
		}}
	if run.Train == "" {
		_, err = Pretrain(ctx, c, run.Corpus, run.Corpus, o)
	} else {
		recipe := c.Finetune.Tasks["cb"]
		recipe.Epochs, recipe.MicroBatch = run.Epochs, 3
		c.Finetune.Tasks["cb"] = recipe
		_, err = Finetune(ctx, c, run.From, run.Train, 3, o)
	}
	fmt.Println("end:", err)
	var interrupted *Interrupted
	if err != nil && !errors.As(err, &interrupted) {
		t.Fail()
	}
}

// started is a rank that runs.
type started struct {
	*exec.Cmd
	out   bytes.Buffer
	lines chan string
}

// startRanks starts a process for each rank of a group.
func startRanks(t *testing.T, size int, run rankRun) []*started {
	t.Helper()
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	ranks := make([]*started, size)
	for i := range ranks {
		r := &started{Cmd: exec.Command(os.Args[0], "-test.run=^TestRankProcess$"), lines: make(chan string, 1000)}
		r.Env = append(os.Environ(), rankRunEnv+"="+string(text), "RANK="+strconv.Itoa(i), "WORLD_SIZE="+strconv.Itoa(size),
			"MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port, "OMP_NUM_THREADS=1")
		r.Stderr = &r.out
		stdout, err := r.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Process.Kill() })
		go func() {
			defer close(r.lines)
			lines := bufio.NewScanner(io.TeeReader(stdout, &r.out))
			for lines.Scan() {
				r.lines <- lines.Text()
			}
		}()
		ranks[i] = r
	}
	return ranks
}

// until waits for a line that begins so.
func (r *started) until(t *testing.T, start string) string {
	t.Helper()
	for line := range r.lines {
		if strings.HasPrefix(line, start) {
			return line
		}
	}
	r.Wait()
	t.Fatalf("no line %q:\n%s", start, r.out.String())
	return ""
}

// trainRanks trains by a group and fails the test where a rank fails.
func trainRanks(t *testing.T, size int, run rankRun) (ends []string) {
	t.Helper()
	for i, r := range startRanks(t, size, run) {
		ends = append(ends, r.until(t, "end: "))
		for range r.lines {
		}
		if err := r.Wait(); err != nil {
			t.Fatalf("rank %d of %d: %v\n%s", i, size, err, r.out.String())
		}
	}
	return ends
}

// needGloo skips a test where this libtorch has no collectives for CPUs.
func needGloo(t *testing.T) {
	t.Helper()
	if !torch.HasGloo() {
		t.Skip("libtorch was fitted without Gloo")
	}
}

// losses reads the losses of a run's steps, and its validation losses.
func losses(t *testing.T, run string) (train, valid []float64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var m metricsLine
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		train = append(train, m.Loss)
		if m.Valid != nil {
			valid = append(valid, *m.Valid)
		}
	}
	return train, valid
}

// tensorsOf reads a file of a run's newest checkpoint.
func tensorsOf(t *testing.T, run, name string) map[string][]float32 {
	t.Helper()
	dir, err := findCheckpoint(run)
	if err != nil {
		t.Fatal(err)
	}
	file, err := tensorfile.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := map[string][]float32{}
	for name, tensor := range file.Tensors {
		var reader weightReader
		values, err := reader.float32s(stored{parts: []*tensorfile.Tensor{tensor}})
		if err != nil {
			t.Fatal(err)
		}
		out[name] = append([]float32(nil), values...)
	}
	return out
}

// sameNumbers compares runs of one and of several processes.
func sameNumbers(t *testing.T, one, several string) {
	t.Helper()
	const tolerance = 1e-5
	wantTrain, wantValid := losses(t, one)
	gotTrain, gotValid := losses(t, several)
	if len(gotTrain) != len(wantTrain) || len(gotValid) != len(wantValid) || len(wantTrain) < 40 {
		t.Fatalf("%d losses and %d of validation, want %d and %d", len(gotTrain), len(gotValid), len(wantTrain), len(wantValid))
	}
	worst := 0.0
	for i := range wantTrain {
		worst = max(worst, math.Abs(gotTrain[i]-wantTrain[i]))
	}
	for i := range wantValid {
		worst = max(worst, math.Abs(gotValid[i]-wantValid[i]))
	}
	if worst > tolerance || math.IsNaN(worst) {
		t.Errorf("losses differ by %g", worst)
	}
	for _, file := range []string{modelFile, optimizerFile} {
		worst, where := 0.0, ""
		got := tensorsOf(t, several, file)
		for name, want := range tensorsOf(t, one, file) {
			if len(got[name]) != len(want) {
				t.Fatalf("%s: %s has %d elements, want %d", file, name, len(got[name]), len(want))
			}
			for i := range want {
				// The bias of keys shifts every score of a query alike and does not
				// matter: its gradient is rounding, which Adam blows up.
				if n := len(want) / 3; strings.HasSuffix(name, "query_key_value.bias") && i/n == 1 {
					continue
				}
				if d := math.Abs(float64(got[name][i] - want[i])); d > worst {
					worst, where = d, name
				}
			}
		}
		t.Logf("%s: at most %g apart (%s)", file, worst, where)
		if worst > tolerance {
			t.Errorf("%s: %s differs by %g", file, where, worst)
		}
	}
}

// Two and three processes come to the losses, weights and moments of one.
func TestRanksEqualOneProcess(t *testing.T) {
	needGloo(t)
	f := prepare(t)
	dir := t.TempDir()
	pretrain := rankRun{Corpus: f.corpus, Steps: 40}
	tune := rankRun{From: filepath.Join(dir, "1-1"), Train: filepath.Join(f.cloze, "CB", "train.arrow"), Epochs: 14}
	for n, run := range []rankRun{pretrain, tune} {
		for size := 1; size <= 3; size++ {
			if n == 1 && size == 2 {
				continue
			}
			run.Out = filepath.Join(dir, fmt.Sprintf("%d-%d", n+1, size))
			trainRanks(t, size, run)
			for _, l := range lines(t, run.Out) {
				if size == 1 && l.Exchange != 0 || size > 1 && (l.Exchange <= 0 || l.Exchange >= 1) {
					t.Errorf("%d ranks: step %d was exchange to a share of %g", size, l.Step, l.Exchange)
				}
			}
			if size > 1 {
				sameNumbers(t, filepath.Join(dir, fmt.Sprintf("%d-1", n+1)), run.Out)
			}
		}
	}
}

// A run of two processes that is stopped and started again ends with the bytes of
// one that was not; one process can go on with it too, and says what that means.
func TestRanksResumeExactly(t *testing.T) {
	needGloo(t)
	f := prepare(t)
	dir := t.TempDir()
	run := rankRun{Corpus: f.corpus, Steps: 7, Out: filepath.Join(dir, "whole")}
	trainRanks(t, 2, run)
	want := finalFiles(t, run.Out)
	for _, k := range []int{2, 5} {
		run.Out, run.StopAt = filepath.Join(dir, strconv.Itoa(k)), k
		for rank, end := range trainRanks(t, 2, run) {
			if !strings.Contains(end, fmt.Sprintf("saved at step %d", k)) {
				t.Errorf("rank %d stopped after step %d: %s", rank, k, end)
			}
		}
		run.StopAt = 0
		trainRanks(t, 2, run)
		for file, content := range finalFiles(t, run.Out) {
			if content != want[file] {
				t.Errorf("stopped after step %d: %s differs from the undisturbed run's", k, file)
			}
		}
	}
	run.Out, run.StopAt = filepath.Join(dir, "fewer"), 3
	trainRanks(t, 2, run)
	run.StopAt = 0
	one := startRanks(t, 1, run)[0]
	if note := one.until(t, "note: "); !strings.Contains(note, "was trained by 2 processes so far and goes on with 1") {
		t.Errorf("note = %q", note)
	}
	one.until(t, "end: <nil>")
	one.Wait()
	whole := tensorsOf(t, filepath.Join(dir, "whole"), modelFile)
	for name, values := range tensorsOf(t, run.Out, modelFile) {
		for i, x := range values {
			if math.Abs(float64(x-whole[name][i])) > 1e-5 {
				t.Fatalf("gone on with by one process: %s[%d] = %v, by two %v", name, i, x, whole[name][i])
			}
		}
	}
}

// A signal to one rank stops all at the same step, with a checkpoint; the end of
// one ends the others, who say which and what is left to go on from.
func TestRanksEndTogether(t *testing.T) {
	needGloo(t)
	f := prepare(t)
	run := rankRun{Corpus: f.corpus, Steps: 100000, Out: filepath.Join(t.TempDir(), "run")}
	ranks := startRanks(t, 3, run)
	ranks[0].until(t, "step 5")
	ranks[1].Process.Signal(syscall.SIGINT)
	end := ranks[0].until(t, "end: ")
	if !strings.Contains(end, "interrupted; saved at step") {
		t.Errorf("rank 0: %s", end)
	}
	for i, r := range ranks[1:] {
		if other := r.until(t, "end: "); other != end {
			t.Errorf("rank %d: %s, rank 0: %s", i+1, other, end)
		}
	}
	for _, r := range ranks {
		r.Wait()
	}

	ranks = startRanks(t, 3, run)
	ranks[0].until(t, "step")
	ranks[2].Process.Kill()
	killed := time.Now()
	for i, r := range ranks[:2] {
		end := r.until(t, "end: ")
		if !strings.Contains(end, "rank 2, on ") || !strings.Contains(end, "start all ranks again to go on from step-") {
			t.Errorf("rank %d: %s", i, end)
		}
		if err := r.Wait(); err == nil {
			t.Errorf("rank %d ended as if nothing had happened", i)
		}
	}
	if took := time.Since(killed); took > 30*time.Second {
		t.Errorf("the others ended after %s", took)
	}
}

// A rank that does not come is named.
func TestRankMissing(t *testing.T) {
	needGloo(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_, err = Join(context.Background(), Place{Rank: 0, Size: 2, Host: "127.0.0.1", Port: port}, "cpu", time.Second)
	var config *configs.Error
	if !errors.As(err, &config) || config.Field != "MASTER_PORT" {
		t.Errorf("a port that is taken: %v", err)
	}
	listener.Close()
	_, err = Join(context.Background(), Place{Rank: 0, Size: 3, Host: "127.0.0.1", Port: port}, "cpu", 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not come: 1, 2") {
		t.Errorf("rank 0 by itself: %v", err)
	}
	_, err = Join(context.Background(), Place{Rank: 1, Size: 2, Host: "127.0.0.1", Port: port}, "cpu", 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "nobody listens at 127.0.0.1:") {
		t.Errorf("rank 1 by itself: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Join(ctx, Place{Rank: 1, Size: 2, Host: "127.0.0.1", Port: port}, "cpu", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestPlaceFromEnv(t *testing.T) {
	for _, test := range []struct {
		name, env string
		want      Place
		field     string // of the error
	}{
		{name: "alone", want: Place{Size: 1}},
		{name: "torchrun", env: "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1234", want: Place{3, 4, 1, 2, "a", 1234}},
		{name: "torchrun at its port", env: "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1234 TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RUN_ID=none TORCHELASTIC_RESTART_COUNT=0", want: Place{3, 4, 1, 2, "a", portOf("1234", "none", "0")}},
		{name: "torchrun at another", env: "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1234 TORCHELASTIC_USE_AGENT_STORE=False TORCHELASTIC_RUN_ID=none", want: Place{0, 2, 0, 0, "a", 1234}},
		{name: "no port", env: "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", want: Place{0, 2, 0, 0, "a", 29500}},
		{name: "before Slurm", env: "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a SLURM_PROCID=7 SLURM_STEP_NUM_TASKS=8", want: Place{0, 2, 0, 0, "a", 29500}},
		{name: "world of one", env: "RANK=0 WORLD_SIZE=1", want: Place{Size: 1}},
		{name: "Slurm", env: "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_STEP_ID=0 SLURM_LOCALID=1 SLURM_STEP_NODELIST=n[07-09,12],m1 MASTER_PORT=5", want: Place{5, 8, 1, 0, "n07", 5}},
		{name: "Slurm, all on a node", env: "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_ID=0 SLURM_LOCALID=1 SLURM_STEP_NUM_NODES=1 MASTER_PORT=5", want: Place{1, 2, 1, 0, "127.0.0.1", 5}},
		{name: "Slurm, two names", env: "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_ID=0 SLURM_STEP_NODELIST=a,b[1-2] MASTER_PORT=5", want: Place{1, 2, 0, 0, "a", 5}},
		{name: "a batch script, not srun", env: "SLURM_PROCID=0 SLURM_NTASKS=4", want: Place{Size: 1}},
		{name: "rank missing", env: "WORLD_SIZE=2 MASTER_ADDR=a", field: "RANK"},
		{name: "size missing", env: "RANK=1 MASTER_ADDR=a", field: "WORLD_SIZE"},
		{name: "rank too large", env: "RANK=2 WORLD_SIZE=2 MASTER_ADDR=a", field: "RANK"},
		{name: "not a number", env: "RANK=0 WORLD_SIZE=two MASTER_ADDR=a", field: "WORLD_SIZE"},
		{name: "no address", env: "RANK=0 WORLD_SIZE=2", field: "MASTER_ADDR"},
		{name: "no such port", env: "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", field: "MASTER_PORT"},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(test.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		got, err := PlaceFromEnv(func(name string) string { return env[name] })
		var config *configs.Error
		switch {
		case test.field != "":
			if !errors.As(err, &config) || config.Field != test.field || config.Hint == "" {
				t.Errorf("%s: %+v, %v", test.name, got, err)
			}
		case err != nil || got != test.want:
			t.Errorf("%s: got %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
	if first, again := portOf("1234", "none", "0"), portOf("1234", "none", "1"); first == again || first < 1024 || first > 65535 {
		t.Errorf("ports %d and, after a restart, %d", first, again)
	}
}
