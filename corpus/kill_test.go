package corpus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Kills to survive, in all and in each of the two long stages; a busy machine, whose
// time is over before, does with half of them.
const (
	killsWanted         = 16
	killsWantedPerStage = 4
)

// killing starts commands, ends them by SIGKILL, and now and then by Ctrl-C, at
// random moments, and counts where that hit.
type killing struct {
	glmkit string
	args   []string // of prepare corpus, but for --out, --jobs and --task
	whole  time.Duration

	mu                sync.Mutex
	r                 *rand.Rand
	landed            map[string]int
	kills, interrupts int
	deadline          time.Time
}

// newKilling builds the command and prepares its input undisturbed. It returns
// the sums of what comes out.
func newKilling(t *testing.T, dir string) (*killing, map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the command many times")
	}
	k := &killing{
		glmkit: filepath.Join(dir, "glmkit"), r: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))),
		landed: map[string]int{},
	}
	build := exec.Command("go", "build", "-o", k.glmkit, "../cmd/glmkit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	vocabulary, inputs := writeKillInput(t, dir)
	k.args = []string{"prepare", "corpus", "--tokenizer", vocabulary}
	for i, input := range inputs { // pieces of their own
		k.args = append(k.args, "--source", fmt.Sprintf("s%d:%d=%s", i, i+1, input))
	}
	for _, set := range []string{"data.seq_length=128", "data.shard_mb=1", "data.samples=16000", "data.seed=5", "data.valid=0.05", "clean.dedup=true",
		"objective.token=0.5", "objective.sentence=0.3", "objective.document=0.2"} {
		k.args = append(k.args, "--set", set)
	}
	calm := filepath.Join(dir, "calm")
	start := time.Now()
	if out, err := k.command(calm, "--jobs", "2").CombinedOutput(); err != nil {
		t.Fatalf("undisturbed: %v\n%s", err, out)
	}
	k.whole = time.Since(start)
	want := folderSum(t, calm)
	t.Logf("undisturbed: %v, %d files", k.whole.Round(time.Millisecond), len(want))
	k.deadline = time.Now().Add(20 * time.Second) // building the command may have taken as long
	return k, want
}

func (k *killing) command(out string, more ...string) *exec.Cmd {
	return exec.Command(k.glmkit, append(append(k.args[:len(k.args):len(k.args)], "--out", out), more...)...)
}

// enough tells whether there were as many kills as wanted, or no time is left
// for more.
func (k *killing) enough() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kills >= killsWanted && k.landed["tokenising"] >= killsWantedPerStage && k.landed["drawing"] >= killsWantedPerStage ||
		time.Now().After(k.deadline)
}

// run runs a command to its end, or to a random moment before. It returns
// whether it came to its end.
func (k *killing) run(c *exec.Cmd, out string) (done bool, err error) {
	k.mu.Lock()
	after := time.Duration(k.r.Int64N(int64(k.whole * 2 / 3)))
	var signal os.Signal = syscall.SIGKILL
	if k.r.IntN(5) == 0 {
		signal = os.Interrupt
	}
	k.mu.Unlock()
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		return false, err
	}
	if !k.enough() {
		timer := time.AfterFunc(after, func() { c.Process.Signal(signal) })
		defer timer.Stop()
	}
	if err = c.Wait(); err == nil {
		return true, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false, err
	}
	switch status := exit.Sys().(syscall.WaitStatus); {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		k.kills++
		k.landed[stageOf(out)]++
	case signal == os.Interrupt && status.Signaled(): // before there was a handler
	case signal == os.Interrupt && exit.ExitCode() == 130 && strings.Contains(stderr.String(), "the same command again"):
		k.interrupts++
	default:
		return false, fmt.Errorf("%w\n%s", err, &stderr)
	}
	return false, nil
}

// TestKill starts a command again and again, with another number of jobs, until
// it gets through; the folder must then be the one of an undisturbed run, byte
// for byte.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, want := newKilling(t, dir)
	rounds := 0
	for !k.enough() {
		rounds++
		out := filepath.Join(dir, fmt.Sprint("out", rounds))
		for try := 0; ; try++ {
			done, err := k.run(k.command(out, "--jobs", fmt.Sprint(1+try%4)), out)
			if err != nil {
				t.Fatalf("round %d, try %d: %v", rounds, try, err)
			}
			if done {
				break
			}
		}
		if diff := cmp.Diff(want, folderSum(t, out)); diff != "" {
			t.Fatalf("round %d (-undisturbed +killed):\n%s", rounds, diff)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills and %d interrupts in %d rounds; kills landed in %v", k.kills, k.interrupts, rounds, k.landed)
	if k.kills < killsWanted/2 || k.landed["tokenising"] < killsWantedPerStage/2 || k.landed["drawing"] < killsWantedPerStage/2 {
		t.Errorf("only %d kills, landed in %v", k.kills, k.landed)
	}
}

// TestKillTasks kills tasks that run side by side, each of which is started
// again until it gets through, at times twice at once; then merges.
func TestKillTasks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, want := newKilling(t, dir)
	rounds := 0
	for !k.enough() {
		rounds++
		out := filepath.Join(dir, fmt.Sprint("out", rounds))
		const count = 3
		var all sync.WaitGroup
		errs := make([]error, count+1)
		for i := range errs {
			all.Add(1)
			go func() {
				defer all.Done()
				for done := false; !done && errs[i] == nil; {
					done, errs[i] = k.run(k.command(out, "--jobs", "1", "--task", fmt.Sprintf("%d/%d", i%count, count)), out)
				}
			}()
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		for done := false; !done; {
			var err error
			if done, err = k.run(exec.Command(k.glmkit, "prepare", "merge", out), out); err != nil {
				t.Fatalf("round %d, merging: %v", rounds, err)
			}
		}
		// A killed merge may leave its working folder to the next one.
		if msg, err := exec.Command(k.glmkit, "prepare", "merge", out).CombinedOutput(); err != nil {
			t.Fatalf("merging again: %v\n%s", err, msg)
		}
		if diff := cmp.Diff(want, folderSum(t, out)); diff != "" {
			t.Fatalf("round %d (-undisturbed +killed):\n%s", rounds, diff)
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills and %d interrupts in %d rounds; kills landed in %v", k.kills, k.interrupts, rounds, k.landed)
	if k.kills < killsWanted/2 {
		t.Errorf("only %d kills, landed in %v", k.kills, k.landed)
	}
}

// stageOf tells by its traces in the folder how far a killed run had come.
func stageOf(out string) string {
	has := func(name string) bool { return exists(filepath.Join(out, name)) }
	switch {
	case has("manifest.json"):
		return "finished"
	case !has(".work/plan.json"):
		return "starting"
	case has(".work/shards"):
		return "drawing"
	case has(".work/survey"):
		return "surveying"
	}
	return "tokenising"
}

// writeKillInput makes a vocabulary and a corpus of a few megabytes in three
// files.
func writeKillInput(t *testing.T, dir string) (vocabulary string, inputs []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(2, 3))
	tokens := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", ";"}
	var words []string
	for c := 'a'; c <= 'z'; c++ {
		tokens = append(tokens, string(c), "##"+string(c))
	}
	for range 2000 {
		word := make([]byte, 2+r.IntN(8))
		for i := range word {
			word[i] = byte('a' + r.IntN(26))
		}
		words = append(words, string(word))
	}
	write := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), []byte(content)) }
	for _, name := range []string{"a.jsonl", "b.txt", "c.jsonl"} {
		var b strings.Builder
		for b.Len() < 1<<20 {
			var text strings.Builder
			for range 1 + r.IntN(900) {
				text.WriteString(words[r.IntN(len(words))])
				text.WriteString([]string{" ", " ", " ", " ", ". ", "? ", "; "}[r.IntN(7)])
			}
			if name == "b.txt" {
				fmt.Fprintln(&b, &text)
			} else {
				fmt.Fprintf(&b, "{\"text\": %q}\n", &text)
			}
		}
		inputs = append(inputs, write(name, b.String()))
	}
	return write("vocab.txt", strings.Join(tokens, "\n")+"\n"), inputs
}
