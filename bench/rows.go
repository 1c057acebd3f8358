package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// measure makes one or more rows of the table; where it fails, it returns them
// beside the error.
type measure struct {
	name    string
	measure func(context.Context, *bench) ([]*row, error)
}

var measures = []measure{
	{"wordpiece", measureWordPiece},
	{"prepare", measurePrepare},
	{"spans", measureSpans},
	{"train", measureTrain},
}

// corpora are the texts, below the folder corpus of the data.
var corpora = []struct{ file, kind string }{
	{"wiki_train.jsonl", "encyclopedia"},
	{"novels_train.jsonl", "novels"},
}

const tokenizersPeer = "npm tokenizers 0.23.2 (Rust)"

// measureWordPiece is text to ids on one core, nothing else; a row for each
// corpus, since the peer is slower on long documents.
func measureWordPiece(ctx context.Context, b *bench) ([]*row, error) {
	var rows []*row
	for _, text := range corpora {
		rows = append(rows, &row{Name: "WordPiece, one core, " + text.kind, Peer: tokenizersPeer, Unit: "MB/s", Goal: "≥ 10×"})
	}
	texts, vocab, err := b.texts()
	if err != nil {
		return rows, err
	}
	if err := b.haveTokenizers(); err != nil {
		return rows, err
	}
	for i, r := range rows {
		if err := b.wordPiece(ctx, r, texts[i], vocab); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// wordPiece measures a row on one file.
func (b *bench) wordPiece(ctx context.Context, r *row, text, vocab string) error {
	peerLine := filepath.Join(b.work, "wordpiece-peer.json")
	var ours, theirs struct {
		MBPerS    float64 `json:"mb_per_s"`
		MBPerCPUS float64 `json:"mb_per_cpu_s"`
		MB        float64 `json:"mb"`
		Tokens    int64   `json:"tokens"`
		IDs       string  `json:"ids_sha256"`
	}
	var cpu []float64
	for i := range b.rounds {
		progress("%s, round %d of %d", r.Name, i+1, b.rounds)
		done, err := command(ctx, 1, nil, "node", "bench/wordpiece/peer.mjs", filepath.Join(vocab, "tokenizer.json"), text)
		if err := decode(done, err, &theirs); err != nil {
			return err
		}
		if err := os.WriteFile(peerLine, done.out, 0o666); err != nil {
			return err
		}
		// It fails where the ids differ.
		done, err = command(ctx, 1, nil, filepath.Join(b.work, "wordpiece"), "--peer", peerLine, vocab, text)
		if err := decode(done, err, &ours); err != nil {
			return err
		}
		r.Ours, r.Theirs = append(r.Ours, ours.MBPerS), append(r.Theirs, theirs.MBPerS)
		cpu = append(cpu, ours.MBPerCPUS/theirs.MBPerCPUS)
	}
	r.note("%.1f MB of text, %d tokens; the ids are equal (sha256 %.12s). By processor time instead of the clock the ratio is %s×.", ours.MB, ours.Tokens, ours.IDs, figure(median(cpu)))
	return nil
}

// measurePrepare is everything that prepare corpus does, against a peer that
// only tokenises.
func measurePrepare(ctx context.Context, b *bench) ([]*row, error) {
	r := &row{Name: "whole prepare corpus, two cores", Peer: tokenizersPeer + ", tokenising only", Unit: "MB/s", Goal: "≥ 6×, peak memory ≤ 256 MB"}
	rows := []*row{r}
	texts, vocab, err := b.texts()
	if err != nil {
		return rows, err
	}
	if err := b.haveTokenizers(); err != nil {
		return rows, err
	}
	if cpus := len(allowedCPUs()); cpus < 2 {
		return rows, missing("this machine has one core")
	}
	// Bounded memory shows on a larger corpus: the same files, several times.
	const times = 8
	larger, err := b.repeat(texts, times)
	if err != nil {
		return rows, err
	}
	progress("prepare corpus, %d times the text", times)
	large, _, err := b.prepare(ctx, vocab, larger)
	if err != nil {
		return rows, err
	}
	if err := os.Remove(larger[0]); err != nil {
		return rows, err
	}
	var theirs struct {
		Seconds   float64
		MB        float64
		Tokens    int64
		Documents int64
	}
	var peak, peerPeak []float64
	var tokens string
	for i := range b.rounds {
		progress("prepare corpus, round %d of %d", i+1, b.rounds)
		peer, err := command(ctx, 2, nil, "node", append([]string{"bench/prepare/peer.mjs", filepath.Join(vocab, "tokenizer.json")}, texts...)...)
		if err := decode(peer, err, &theirs); err != nil {
			return rows, err
		}
		own, counted, err := b.prepare(ctx, vocab, texts)
		if err != nil {
			return rows, err
		}
		// An end of document each is glmkit's own.
		if counted != theirs.Tokens+theirs.Documents {
			return rows, fmt.Errorf("glmkit counts %d tokens, the peer %d and %d documents", counted, theirs.Tokens, theirs.Documents)
		}
		tokens = fmt.Sprintf("%.1f MB of text in %d documents, %d tokens by both.", theirs.MB, theirs.Documents, theirs.Tokens)
		r.Ours, r.Theirs = append(r.Ours, theirs.MB/own.seconds), append(r.Theirs, theirs.MB/theirs.Seconds)
		peak, peerPeak = append(peak, own.peakMB), append(peerPeak, peer.peakMB)
	}
	r.note("%s glmkit's time is the whole process, from start to synced files; the peer's is its tokenising alone, without reading.", tokens)
	r.note("peak memory %.0f MB, of %d times the text %.0f MB (%s MB/s); the peer, which holds the text, %.0f MB.", slices.Max(peak), times, large.peakMB, figure(times*theirs.MB/large.seconds), slices.Max(peerPeak))
	return rows, nil
}

// prepare runs prepare corpus into b.corpus() and returns the tokens that its
// manifest counts.
func (b *bench) prepare(ctx context.Context, vocab string, texts []string) (finished, int64, error) {
	if err := os.RemoveAll(b.corpus()); err != nil {
		return finished{}, 0, err
	}
	args := append([]string{"prepare", "corpus", "--tokenizer", vocab, "--out", b.corpus(), "--jobs", "2"}, texts...)
	done, err := command(ctx, 2, nil, b.glmkit, args...)
	if err != nil {
		return done, 0, err
	}
	text, err := os.ReadFile(filepath.Join(b.corpus(), "manifest.json"))
	if err != nil {
		return done, 0, err
	}
	var manifest struct{ Tokens int64 }
	err = json.Unmarshal(text, &manifest)
	return done, manifest.Tokens, err
}

func (b *bench) corpus() string { return filepath.Join(b.work, "corpus") }

// measureSpans is drawing spans and laying them out, window by window.
func measureSpans(ctx context.Context, b *bench) ([]*row, error) {
	r := &row{Name: "span construction, one core", Peer: "the authors' collate step, re-stated in Python and numpy", Unit: "windows of 512/s", Goal: "≥ 100×"}
	rows := []*row{r}
	if err := b.havePython("numpy"); err != nil {
		return rows, err
	}
	const checked = 200
	same, err := command(ctx, 1, nil, b.python, "bench/spans/peer.py", "--print", strconv.Itoa(checked))
	if err != nil {
		return rows, err
	}
	again, err := command(ctx, 1, same.out, b.glmkit, "inspect", "blocks", "--json")
	if err != nil {
		return rows, err
	}
	if err := sameLines(same.out, again.out, checked); err != nil {
		return rows, err
	}
	var ours, theirs struct {
		Rate   float64 `json:"samples_per_s"`
		Masked float64
		Numpy  string
	}
	seconds := fmt.Sprint(b.size.SpanSeconds)
	for i := range b.rounds {
		progress("spans, round %d of %d", i+1, b.rounds)
		done, err := command(ctx, 1, nil, b.python, "bench/spans/peer.py", "--seconds", seconds)
		if err := decode(done, err, &theirs); err != nil {
			return rows, err
		}
		done, err = command(ctx, 1, nil, filepath.Join(b.work, "spans"), "--seconds", seconds)
		if err := decode(done, err, &ours); err != nil {
			return rows, err
		}
		r.Ours, r.Theirs = append(r.Ours, ours.Rate), append(r.Theirs, theirs.Rate)
	}
	r.note("the peer is our re-statement, not the authors' code (numpy %s). %d of its samples, laid out again by glmkit from the same spans, are equal to the letter. Masked tokens a window: %.1f by glmkit, %.1f by the peer.", theirs.Numpy, checked, ours.Masked, theirs.Masked)
	return rows, nil
}

// sameLines compares JSONL, whatever the order of keys.
func sameLines(a, b []byte, lines int) error {
	x, y := json.NewDecoder(bytes.NewReader(a)), json.NewDecoder(bytes.NewReader(b))
	for n := 1; ; n++ {
		var left, right map[string]any
		err, err2 := x.Decode(&left), y.Decode(&right)
		if err == io.EOF && err2 == io.EOF && n == lines+1 {
			return nil
		}
		if err != nil || err2 != nil {
			return fmt.Errorf("sample %d of %d: %w", n, lines, errors.Join(err, err2))
		}
		if !reflect.DeepEqual(left, right) {
			return fmt.Errorf("sample %d of the peer is laid out otherwise than by glmkit", n)
		}
	}
}

// measureTrain is an optimizer step on a CPU, through the command that users
// run.
func measureTrain(ctx context.Context, b *bench) ([]*row, error) {
	z := b.size
	name := fmt.Sprintf("CPU training step, %d×%d, %d×512, two threads", z.Layers, z.Hidden, z.Batch)
	peers := []struct {
		mode, peer, goal string
		steps            int
	}{
		{"authors", "PyTorch, the authors' way re-stated", "≥ 5×", z.PlainSteps},
		{"tuned", "PyTorch, tuned, float32", "≥ 1.2×", z.Steps},
		{"tuned-bf16", "PyTorch, tuned, bf16 autocast", "≥ 1.2×", z.Steps},
	}
	var rows []*row
	for _, p := range peers {
		rows = append(rows, &row{Name: name, Peer: p.peer, Unit: "tok/s", Goal: p.goal})
	}
	texts, vocab, err := b.texts()
	if err != nil {
		return rows, err
	}
	if err := b.havePython("torch"); err != nil {
		return rows, err
	}
	if !strings.Contains(field("/proc/cpuinfo", "flags"), "bf16") {
		rows[2].Missing = "this processor has no bfloat16"
		peers = peers[:2]
	}
	if _, err := os.Stat(b.corpus()); err != nil {
		progress("preparing a corpus to train on")
		if _, _, err := b.prepare(ctx, vocab, texts); err != nil {
			return rows, err
		}
	}
	steps := filepath.Join(b.work, "steps.jsonl")
	done, err := command(ctx, 2, nil, filepath.Join(b.work, "train"), "--steps", strconv.Itoa(z.Warmup+z.Steps), "--batch", strconv.Itoa(z.Batch), b.corpus())
	if err == nil {
		err = os.WriteFile(steps, done.out, 0o666)
	}
	if err != nil {
		return rows, err
	}

	checkpoint, err := b.checkTraining(ctx, steps, rows[0])
	if err != nil {
		return rows, err
	}
	var theirs struct {
		Rate      float64 `json:"tokens_per_s"`
		Torch     string
		Libraries []string
	}
	var peak float64
	peerPeak := make([]float64, len(peers))
	for i := range b.rounds {
		progress("training step, round %d of %d", i+1, b.rounds)
		lines, own, err := b.train(ctx, z.Warmup+z.Steps, 0.1, z.Warmup+z.Steps)
		if err != nil {
			return rows, err
		}
		tokens, seconds := 0.0, 0.0
		for j := z.Warmup; j < len(lines); j++ {
			n := float64(lines[j].Tokens - lines[j-1].Tokens)
			tokens, seconds = tokens+n, seconds+n/lines[j].Rate
		}
		peak = max(peak, own.peakMB)
		for j, p := range peers {
			done, err := command(ctx, 2, nil, b.python, "bench/train/peer.py", p.mode, "--steps", steps, "--weights", checkpoint,
				"--heads", strconv.Itoa(z.Heads), "--warmup", strconv.Itoa(z.Warmup), "--take", strconv.Itoa(z.Warmup+p.steps))
			if err := decode(done, err, &theirs); err != nil {
				return rows, err
			}
			rows[j].Ours, rows[j].Theirs = append(rows[j].Ours, tokens/seconds), append(rows[j].Theirs, theirs.Rate)
			peerPeak[j] = max(peerPeak[j], done.peakMB)
		}
	}
	for j, p := range peers {
		rows[j].note("peak memory %.0f MB, the peer (%s) %.0f MB.", peak, p.peer, peerPeak[j])
	}
	libraries := "both on " + strings.Join(theirs.Libraries, ", ")
	if own := linked(ctx, b.glmkit); !slices.Equal(own, theirs.Libraries) {
		libraries = fmt.Sprintf("on %s; glmkit on others: %s", strings.Join(theirs.Libraries, ", "), strings.Join(own, ", "))
	}
	rows[0].note("the peer is our re-statement, not the authors' code. PyTorch %s, %s.", theirs.Torch, libraries)
	return rows, nil
}

// stepLine is what bench reads of a line of metrics.jsonl.
type stepLine struct {
	Step     int     `json:"step"`
	Loss     float64 `json:"loss"`
	GradNorm float64 `json:"grad_norm"`
	Tokens   int64   `json:"tokens"` // so far, padding left out
	Rate     float64 `json:"tokens_per_s"`
}

func (b *bench) runDir() string { return filepath.Join(b.work, "run") }

// train pretrains a new model and returns a line for each step.
func (b *bench) train(ctx context.Context, steps int, dropout float64, saveEvery int) ([]stepLine, finished, error) {
	if err := os.RemoveAll(b.runDir()); err != nil {
		return nil, finished{}, err
	}
	z := b.size
	args := []string{"train", "pretrain", "--config", "glm-small", "--data", b.corpus(), "--out", b.runDir(), "--device", "cpu", "--threads", "2"}
	for _, set := range []string{
		fmt.Sprintf("model.layers=%d", z.Layers), fmt.Sprintf("model.hidden=%d", z.Hidden), fmt.Sprintf("model.heads=%d", z.Heads), "model.max_positions=512",
		fmt.Sprintf("model.dropout=%g", dropout), fmt.Sprintf("model.attention_dropout=%g", dropout),
		fmt.Sprintf("train.steps=%d", steps), fmt.Sprintf("train.batch_size=%d", z.Batch), "train.micro_batch=0",
		"train.optimizer.lr=4e-4", "train.schedule.kind=constant", "train.log_every=1", fmt.Sprintf("train.save_every=%d", saveEvery), "train.keep_last=2",
	} {
		args = append(args, "--set", set)
	}
	done, err := command(ctx, 2, nil, b.glmkit, args...)
	if exitCode(err) == 4 {
		return nil, done, missing("this glmkit has no libtorch (make build)")
	}
	if err != nil {
		return nil, done, err
	}
	file, err := os.Open(filepath.Join(b.runDir(), "metrics.jsonl"))
	if err != nil {
		return nil, done, err
	}
	defer file.Close()
	var lines []stepLine
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var l stepLine
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, done, err
		}
		lines = append(lines, l)
	}
	if len(lines) != steps {
		return nil, done, fmt.Errorf("metrics.jsonl has %d lines of %d steps", len(lines), steps)
	}
	return lines, done, nil
}

// checkTraining trains two steps without dropout and compares the second one's
// loss and gradient with the peer's, from the weights between the two. It
// returns those weights.
func (b *bench) checkTraining(ctx context.Context, steps string, r *row) (weights string, err error) {
	progress("comparing losses")
	lines, _, err := b.train(ctx, 2, 0, 1)
	if err != nil {
		return "", err
	}
	weights = filepath.Join(b.work, "weights.safetensors")
	if err := os.Rename(filepath.Join(b.runDir(), "checkpoints", "step-000000001", "model.safetensors"), weights); err != nil {
		return "", err
	}
	done, err := command(ctx, 2, nil, b.python, "bench/train/peer.py", "check", "--steps", steps, "--weights", weights, "--heads", strconv.Itoa(b.size.Heads), "--take", "2")
	type values struct {
		Loss     float64
		GradNorm float64 `json:"grad_norm"`
	}
	var peer struct {
		Authors, Tuned values
		BF16           values `json:"tuned-bf16"`
	}
	if err := decode(done, err, &peer); err != nil {
		return "", err
	}
	own := lines[1]
	r.note("the same batch and weights, no dropout: loss %.6f, the peer %.6f, tuned %.6f, tuned bf16 %.6f; norm of the gradient %.6f, %.6f, %.6f, %.6f.",
		own.Loss, peer.Authors.Loss, peer.Tuned.Loss, peer.BF16.Loss, own.GradNorm, peer.Authors.GradNorm, peer.Tuned.GradNorm, peer.BF16.GradNorm)
	const tolerance = 1e-3
	for _, p := range []values{peer.Authors, peer.Tuned} {
		if !(math.Abs(p.Loss-own.Loss) <= tolerance*own.Loss) || !(math.Abs(p.GradNorm-own.GradNorm) <= tolerance*own.GradNorm) {
			return "", fmt.Errorf("the peer does not compute the same: loss %v against %v, norm of the gradient %v against %v", p.Loss, own.Loss, p.GradNorm, own.GradNorm)
		}
	}
	return weights, nil
}

// linked lists the files of libtorch and of its BLAS that a program is linked
// with, sorted.
func linked(ctx context.Context, program string) []string {
	out, err := exec.CommandContext(ctx, "ldd", program).Output()
	if err != nil {
		return nil
	}
	var paths []string
	for _, line := range strings.Split(string(out), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || !slices.ContainsFunc([]string{"libtorch_cpu.", "libblas.", "libopenblas", "libmkl"}, func(name string) bool { return strings.Contains(fields[0], name) }) {
			continue
		}
		if path, err := filepath.EvalSymlinks(fields[2]); err == nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// texts returns the corpus files and the folder of the vocabulary.
func (b *bench) texts() (texts []string, vocab string, err error) {
	vocab = filepath.Join(b.data, "vocab", "bert-base-uncased")
	for _, text := range corpora {
		texts = append(texts, filepath.Join(b.data, "corpus", text.file))
	}
	for _, path := range append([]string{vocab}, texts...) {
		if _, err := os.Stat(path); err != nil {
			return nil, "", missing(fmt.Sprintf("%v (GLMKIT_DATA names the folder)", err))
		}
	}
	if b.size.Documents > 0 {
		for i, path := range texts {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, "", err
			}
			lines := bytes.SplitAfterN(text, []byte("\n"), b.size.Documents+1)
			texts[i] = filepath.Join(b.work, filepath.Base(path))
			if err := os.WriteFile(texts[i], bytes.Join(lines[:min(b.size.Documents, len(lines))], nil), 0o666); err != nil {
				return nil, "", err
			}
		}
	}
	return texts, vocab, nil
}

// repeat writes one file that holds the texts several times.
func (b *bench) repeat(texts []string, times int) ([]string, error) {
	file, err := os.Create(filepath.Join(b.work, "repeated.jsonl"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for range times {
		for _, path := range texts {
			part, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			_, err = io.Copy(file, part)
			part.Close()
			if err != nil {
				return nil, err
			}
		}
	}
	return []string{file.Name()}, file.Close()
}

func (b *bench) haveTokenizers() error {
	if _, err := exec.LookPath("node"); err != nil {
		return missing("no node (apt-get install nodejs npm)")
	}
	if _, err := os.Stat("bench/wordpiece/node_modules/tokenizers"); err != nil {
		return missing("no npm package tokenizers (apt-get install npm, then npm ci in bench/wordpiece)")
	}
	return nil
}

// havePython tells whether Python has a module.
func (b *bench) havePython(module string) error {
	if exec.Command(b.python, "-c", "import "+module).Run() != nil {
		return missing(fmt.Sprintf("%s has no %s (apt-get install python3-%s)", b.python, module, module))
	}
	return nil
}

// decode reads a program's line of JSON.
func decode(done finished, err error, into any) error {
	if err != nil {
		return err
	}
	return json.Unmarshal(done.out, into)
}
