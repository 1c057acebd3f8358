package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// declaration is an experiment with two models; %s is its folder.
const declaration = `
out: %[1]s/out
world: {documents: 40}
vocabularies:
  words: {input: ["{out}/world/corpus.jsonl"], size: 700}
corpora:
  text: {input: ["{out}/world/corpus.jsonl", "%[1]s/more.txt"], vocabulary: words, config: glm-demo}
tasks:
  cloze: {data: "{out}/world/tasks", vocabulary: words}
models:
  - {name: GLM, config: %[1]s/glm.yaml, corpus: text, tasks: cloze}
  - {name: GLM-low, config: glm-demo, set: [finetune.optimizer.lr=1e-5], from: GLM, tasks: cloze}
finetune: {tasks: [cb, COPA], seeds: [1, 2], set: [finetune.epochs=2]}
report: {baseline: GLM, formats: [md]}
`

// folder holds what the declaration needs.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"more.txt": "text", "glm.yaml": "train: {steps: 3}", "experiment.yaml": fmt.Sprintf(declaration, dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// edit changes the declaration.
func edit(t *testing.T, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, "experiment.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("%q is not in the declaration", from)
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

func planOf(t *testing.T, dir string) *Plan {
	t.Helper()
	e, err := configs.LoadExperiment(filepath.Join(dir, "experiment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// worker stands for glmkit: it leaves what a step leaves.
type worker struct {
	mu   sync.Mutex
	ran  []string
	exit map[string]int
	hook func(s *Step)
}

func (w *worker) exec(_ context.Context, s *Step, log string, _ *os.File) (int, error) {
	w.mu.Lock()
	w.ran = append(w.ran, s.ID)
	exit, hook := w.exit[s.ID], w.hook
	w.mu.Unlock()
	if hook != nil {
		hook(s)
	}
	if exit != 0 {
		return exit, nil
	}
	if err := os.MkdirAll(filepath.Dir(s.Out), 0o755); err != nil {
		return 0, err
	}
	return 0, errors.Join(os.WriteFile(log, []byte("said\n"), 0o644), os.WriteFile(s.Out, []byte(s.ID), 0o644))
}

// take returns what ran since the last call.
func (w *worker) take() []string {
	defer func() { w.ran = nil }()
	return w.ran
}

func ids(p *Plan) (ids []string) {
	for _, s := range p.Steps {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestPlan(t *testing.T) {
	dir := folder(t)
	p := planOf(t, dir)
	want := []string{"world", "vocabulary/words", "corpus/text", "tasks/cloze", "pretrain/GLM",
		"finetune/GLM/CB/1", "eval/GLM/CB/1", "finetune/GLM/CB/2", "eval/GLM/CB/2", "finetune/GLM/COPA/1", "eval/GLM/COPA/1", "finetune/GLM/COPA/2", "eval/GLM/COPA/2",
		"finetune/GLM-low/CB/1", "eval/GLM-low/CB/1", "finetune/GLM-low/CB/2", "eval/GLM-low/CB/2", "finetune/GLM-low/COPA/1", "eval/GLM-low/COPA/1", "finetune/GLM-low/COPA/2", "eval/GLM-low/COPA/2", "report/md"}
	if got := ids(p); !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	out := dir + "/out/"
	for id, want := range map[string]string{
		"world":                 "prepare microworld --out " + out + "world --documents 40",
		"vocabulary/words":      "prepare vocab " + out + "world/corpus.jsonl --size 700 --out " + out + "vocabularies/words/vocab.txt",
		"corpus/text":           "prepare corpus " + out + "world/corpus.jsonl " + dir + "/more.txt --tokenizer " + out + "vocabularies/words/vocab.txt --config glm-demo --out " + out + "corpora/text",
		"tasks/cloze":           "prepare task CB COPA --data " + out + "world/tasks --tokenizer " + out + "vocabularies/words/vocab.txt --out " + out + "tasks/cloze",
		"pretrain/GLM":          "train pretrain --config " + dir + "/glm.yaml --data " + out + "corpora/text --out " + out + "runs/GLM",
		"finetune/GLM-low/CB/2": "train finetune --config glm-demo --set finetune.optimizer.lr=1e-5 --set finetune.epochs=2 --from " + out + "runs/GLM --tasks " + out + "tasks/cloze --task CB --seeds 2 --out " + out + "finetuned/GLM-low",
		"eval/GLM-low/CB/2":     "eval " + out + "finetuned/GLM-low/CB/seed-2 --tasks " + out + "tasks/cloze --split val --name GLM-low --out " + out + "results/GLM-low",
		"report/md":             "report " + out + "results --baseline GLM --out " + out + "report.md",
	} {
		if got := strings.Join(p.Step(id).Args, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", id, got, want)
		}
	}
	if got := p.Step("corpus/text").Needs; !slices.Equal(got, []string{"world", "vocabulary/words"}) {
		t.Errorf("the corpus needs %q", got)
	}
	if got := p.Step("finetune/GLM-low/CB/2").Needs; !slices.Equal(got, []string{"pretrain/GLM", "tasks/cloze"}) {
		t.Errorf("finetuning needs %q", got)
	}
	if got := p.Step("pretrain/GLM").Cost; !strings.HasPrefix(got, "3 steps of ") {
		t.Errorf("pretraining costs %q", got)
	}
	if got := p.Step("finetune/GLM/CB/1").Cost; !strings.HasPrefix(got, "50 epochs in batches of ") {
		t.Errorf("finetuning costs %q", got)
	}
}

// A key changes with what a step makes, and with that of what it needs.
func TestKeys(t *testing.T) {
	dir := folder(t)
	before := planOf(t, dir)
	changedBy := func(change func()) (changed []string) {
		t.Helper()
		change()
		after := planOf(t, dir)
		for _, s := range after.Steps {
			if old := before.Step(s.ID); old != nil && old.Key != s.Key {
				changed = append(changed, s.ID)
			}
		}
		before = after
		return changed
	}
	if got := changedBy(func() {}); len(got) > 0 {
		t.Errorf("nothing changes %q", got)
	}
	if got := changedBy(func() { edit(t, dir, "seeds: [1, 2]", "seeds: [1, 2, 3]") }); !slices.Equal(got, []string{"report/md"}) {
		t.Errorf("another seed changes %q", got)
	}
	if got := changedBy(func() { edit(t, dir, "lr=1e-5", "lr=2e-5") }); len(got) != 13 || slices.Contains(got, "pretrain/GLM") || !slices.Contains(got, "eval/GLM-low/CB/1") {
		t.Errorf("a learning rate changes %q", got)
	}
	for path, text := range map[string]string{"glm.yaml": "train: {steps: 4}", "more.txt": "longer text"} {
		got := changedBy(func() {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		})
		if !slices.Contains(got, "pretrain/GLM") || !slices.Contains(got, "report/md") || slices.Contains(got, "world") || slices.Contains(got, "corpus/text") != (path == "more.txt") {
			t.Errorf("%s changes %q", path, got)
		}
	}
}

func TestRunOnlyWhatIsMissing(t *testing.T) {
	p := planOf(t, folder(t))
	w := &worker{}
	options := Options{Exec: w.exec, Version: "v1"}
	if err := p.Run(context.Background(), options); err != nil {
		t.Fatal(err)
	}
	if got := w.take(); !slices.Equal(got, ids(p)) {
		t.Errorf("ran %q", got)
	}
	if err := p.Run(context.Background(), options); err != nil || len(w.take()) > 0 {
		t.Errorf("the second time: %v", err)
	}
	s := p.Step("eval/GLM/CB/2")
	if err := os.Remove(s.Out); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(context.Background(), options); err != nil {
		t.Fatal(err)
	}
	if got := w.take(); !slices.Equal(got, []string{s.ID}) {
		t.Errorf("after its result was lost, ran %q", got)
	}
	record, err := p.Record(s)
	if err != nil || record.Glmkit != "v1" || record.Host == "" || record.Ended.Before(record.Started) || record.Made[filepath.ToSlash(s.Out)] == "" || !slices.Equal(record.Args, s.Args) || record.Needs[0] != "finetune/GLM/CB/2" {
		t.Errorf("the record is %+v, %v", record, err)
	}
	if err := os.WriteFile(p.file(s, ".json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	var data *corpus.DataError
	if err := p.Run(context.Background(), options); !errors.As(err, &data) {
		t.Errorf("a damaged record: %v", err)
	}
}

func TestRunAfterAFailure(t *testing.T) {
	p := planOf(t, folder(t))
	w := &worker{exit: map[string]int{"pretrain/GLM": 3}}
	err := p.Run(context.Background(), Options{Exec: w.exec})
	var failed *StepError
	if !errors.As(err, &failed) || failed.Exit != 3 || failed.Step.ID != "pretrain/GLM" || !strings.HasSuffix(failed.Log, "pretrain/GLM.log") {
		t.Fatalf("got %v", err)
	}
	if got := w.take(); got[len(got)-1] != "pretrain/GLM" {
		t.Errorf("after the failure ran %q", got)
	}
	if state, _, _ := p.State(failed.Step); state != Failed {
		t.Errorf("it is %s", state)
	}
	w.exit = nil
	if err := p.Run(context.Background(), Options{Exec: w.exec}); err != nil {
		t.Fatal(err)
	}
	if got := w.take(); got[0] != "pretrain/GLM" || len(got) != len(p.Steps)-4 {
		t.Errorf("the second time ran %q", got)
	}
}

func TestRunAfterAnInterruption(t *testing.T) {
	p := planOf(t, folder(t))
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{exit: map[string]int{"corpus/text": 130}, hook: func(s *Step) {
		if s.ID == "corpus/text" {
			cancel()
		}
	}}
	if err := p.Run(ctx, Options{Exec: w.exec}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if state, _, _ := p.State(p.Step("corpus/text")); state != Interrupted {
		t.Errorf("it is %s", state)
	}
	if got := w.take(); len(got) != 3 {
		t.Errorf("ran %q", got)
	}
	w.exit, w.hook = nil, nil
	if err := p.Run(context.Background(), Options{Exec: w.exec}); err != nil || w.take()[0] != "corpus/text" {
		t.Errorf("it does not go on: %v", err)
	}
}

// A step whose command outlives the run that began it is running, and another run
// waits for it.
func TestRunAfterAKill(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip("no cat on this machine")
	}
	p := planOf(t, folder(t))
	s := p.Step("world")
	lock, err := p.lock(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cat) // lives until its standard input ends
	cmd.ExtraFiles = []*os.File{lock}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), p.write(s, &Record{Step: s.ID, Key: s.Key, Outcome: outcomeRunning}), lock.Close()); err != nil {
		t.Fatal(err)
	}
	if state, _, _ := p.State(s); state != Running {
		t.Errorf("it is %s", state)
	}
	w, ended := &worker{}, make(chan error)
	go func() { ended <- p.Run(context.Background(), Options{Exec: w.exec, Only: s.ID}) }()
	select {
	case err := <-ended:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || len(w.take()) != 1 {
		t.Errorf("behind it: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// What was made by other settings is not made over, but for results and reports.
func TestRunAfterAChange(t *testing.T) {
	dir := folder(t)
	w := &worker{}
	if err := planOf(t, dir).Run(context.Background(), Options{Exec: w.exec}); err != nil {
		t.Fatal(err)
	}
	w.take()
	edit(t, dir, "baseline: GLM", "baseline: GLM-low")
	if err := planOf(t, dir).Run(context.Background(), Options{Exec: w.exec}); err != nil || !slices.Equal(w.take(), []string{"report/md"}) {
		t.Errorf("another baseline: %v", err)
	}
	edit(t, dir, "size: 700", "size: 800")
	p := planOf(t, dir)
	err := p.Run(context.Background(), Options{Exec: w.exec})
	var usage *configs.Error
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "--size 700") || !strings.Contains(usage.Hint, "vocab.txt") || len(w.take()) > 0 {
		t.Fatalf("another vocabulary: %v", err)
	}
	if state, _, _ := p.State(p.Step("pretrain/GLM")); state != Changed {
		t.Errorf("pretraining is %s", state)
	}
	for _, s := range p.Steps { // as the hint says
		if state, _, _ := p.State(s); state == Changed && !s.Again {
			if err := os.RemoveAll(removable(s)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.Run(context.Background(), Options{Exec: w.exec}); err != nil || len(w.take()) != len(p.Steps)-1 {
		t.Errorf("after it was removed: %v", err)
	}
}

// Steps run side by side, and two runs of one experiment share the work.
func TestRunSideBySide(t *testing.T) {
	dir := folder(t)
	running, most := 0, 0
	var mu sync.Mutex
	finished := map[string]bool{}
	var p *Plan
	w := &worker{hook: func(s *Step) {
		mu.Lock()
		running++
		most = max(most, running)
		for _, id := range s.Needs {
			if !finished[id] {
				t.Errorf("%s began before %s was done", s.ID, id)
			}
		}
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		running--
		finished[s.ID] = true
		mu.Unlock()
	}}
	p = planOf(t, dir)
	var group sync.WaitGroup
	for range 2 {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := planOf(t, dir).Run(context.Background(), Options{Exec: w.exec, Jobs: 3}); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	got := w.take()
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) != len(p.Steps) {
		t.Errorf("%d steps of %d ran: %q", len(got), len(p.Steps), got)
	}
	if most < 2 {
		t.Error("no two steps ran side by side")
	}
}

func TestRunOneStep(t *testing.T) {
	p := planOf(t, folder(t))
	w := &worker{}
	var usage *configs.Error
	if err := p.Run(context.Background(), Options{Exec: w.exec, Only: "nothing"}); !errors.As(err, &usage) {
		t.Errorf("a step that is not there: %v", err)
	}
	if err := p.Run(context.Background(), Options{Exec: w.exec, Only: "corpus/text"}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "needs world, which is missing") {
		t.Errorf("a step before its time: %v", err)
	}
	waited := make(chan error)
	go func() {
		waited <- p.Run(context.Background(), Options{Exec: w.exec, Only: "vocabulary/words", Wait: true})
	}()
	time.Sleep(20 * time.Millisecond)
	if err := p.Run(context.Background(), Options{Exec: w.exec, Only: "world"}); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if got := w.take(); !slices.Equal(got, []string{"world", "vocabulary/words"}) {
		t.Errorf("ran %q", got)
	}
}

func TestEstimates(t *testing.T) {
	p := planOf(t, folder(t))
	w := &worker{}
	for _, id := range []string{"world", "vocabulary/words", "corpus/text", "tasks/cloze", "pretrain/GLM", "finetune/GLM/CB/1"} {
		if err := p.Run(context.Background(), Options{Exec: w.exec, Only: id}); err != nil {
			t.Fatal(err)
		}
		s := p.Step(id)
		r, err := p.Record(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Ended = r.Started.Add(time.Minute)
		if err := p.write(s, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := p.Estimates()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		want := strings.HasPrefix(e.Step.ID, "finetune/") || e.State == Done
		if e.Known != want || want && e.Took != time.Minute {
			t.Errorf("%s: %+v", e.Step.ID, e)
		}
	}
}

func TestSlurm(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine")
	}
	p := planOf(t, folder(t))
	w := &worker{}
	if err := p.Run(context.Background(), Options{Exec: w.exec, Only: "world"}); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	if err := p.Slurm(&script, "an experiment.yaml"); err != nil {
		t.Fatal(err)
	}
	// A Slurm that writes down what it is asked for and gives out numbers.
	dir := t.TempDir()
	fake := "#!/bin/bash\nn=$(( $(cat \"$FAKE/n\" 2>/dev/null || echo 100) + 1 ))\necho $n >\"$FAKE/n\"\nprintf '%s|' \"$@\" >>\"$FAKE/asked\"\necho >>\"$FAKE/asked\"\necho \"$n;cluster\"\n"
	if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "FAKE="+dir, "GPU_FLAGS=--gpus=1", "SBATCH_FLAGS=--time=10 --partition=x")
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("jobs submitted: %d", len(p.Steps)-1)) {
		t.Fatalf("%v\n%s\n%s", err, out, script.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, want := range []string{
		`^--parsable\|--job-name=vocabulary-words-\w+\|--kill-on-invalid-dep=yes\|--time=10\|--partition=x\|--wrap=glmkit run 'an experiment.yaml' --step 'vocabulary/words'\|$`,
		`\|--partition=x\|--dependency=afterok:101\|--wrap=`,
		`\|--dependency=afterok:101\|--wrap=`,
		`^--parsable\|--job-name=pretrain-glm-\w+\|.*\|--gpus=1\|--dependency=afterok:102\|--wrap=.* 'pretrain/GLM'\|$`,
		`--dependency=afterok:104:103\|--wrap=.* 'finetune/GLM/CB/1'\|$`,
	} {
		if !regexp.MustCompile(want).MatchString(asked[i]) {
			t.Errorf("job %d is asked for as %s, want %s", i, asked[i], want)
		}
	}
	if len(asked) != len(p.Steps)-1 {
		t.Errorf("%d jobs, want %d", len(asked), len(p.Steps)-1)
	}
}

func TestKubernetes(t *testing.T) {
	p := planOf(t, folder(t))
	var text strings.Builder
	if err := p.Kubernetes(&text, "e.yaml"); err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(text.String()))
	names := map[string]bool{}
	jobs := 0
	for {
		var job struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				Template struct {
					Spec struct {
						RestartPolicy string `yaml:"restartPolicy"`
						Containers    []struct {
							Command   []string
							Resources struct{ Limits map[string]int }
						}
					}
				}
			}
		}
		if err := decoder.Decode(&job); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if job.Kind == "" {
			continue // the comment above the first
		}
		id := p.Steps[jobs].ID
		jobs++
		if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(job.Metadata.Name) || names[job.Metadata.Name] {
			t.Errorf("%s has the name %q", id, job.Metadata.Name)
		}
		names[job.Metadata.Name] = true
		pod := job.Spec.Template.Spec
		if want := []string{"glmkit", "run", "e.yaml", "--step", id, "--wait"}; len(pod.Containers) != 1 || !slices.Equal(pod.Containers[0].Command, want) || pod.RestartPolicy != "OnFailure" {
			t.Errorf("%s: %+v", id, pod)
		} else if gpus := pod.Containers[0].Resources.Limits["nvidia.com/gpu"]; (gpus == 1) != p.Step(id).computes() {
			t.Errorf("%s asks for %d GPUs", id, gpus)
		}
	}
	if jobs != len(p.Steps) {
		t.Errorf("%d jobs, want %d", jobs, len(p.Steps))
	}
}

// The embedded experiments can be planned.
func TestEmbeddedExperiments(t *testing.T) {
	for _, name := range configs.Experiments() {
		e, err := configs.LoadExperiment(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Two models, or seven.
		want := map[string]int{"demo": 8 + 2*8*3*2 + 2, "ablation": 5 + 3 + 5 + 7*8*3*2 + 2}[name]
		if n := len(p.Steps); n != want {
			t.Errorf("%s has %d steps, want %d", name, n, want)
		}
	}
}

// The manual shows the demo as it is, but for its comments.
func TestManualShowsTheDemo(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "docs", "experiments.md"))
	if err != nil {
		t.Fatal(err)
	}
	demo, err := os.ReadFile(filepath.Join("..", "configs", "experiments", "demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`(?m)^#.*\n|[ ]+#.*$`).ReplaceAllString(string(demo), "")
	if !strings.Contains(string(manual), "```yaml\n"+plain+"```\n") {
		t.Errorf("docs/experiments.md does not show\n%s", plain)
	}
}
