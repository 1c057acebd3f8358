package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// writeBatches are how many texts are filled side by side.
var writeBatches = []int{1, 16}

const promptWords = 126 // of a text; with [CLS], the blank and the end 129 tokens

// prompts is what the peer reads.
type prompts struct {
	Texts [][]int `json:"texts"`
	Blank int     `json:"blank"` // its place
	Start int     `json:"start"` // the token that opens an answer
	End   int     `json:"end"`   // and the one that ends it, no sooner than the last
	Never []int   `json:"never"`
	Write int     `json:"write"` // tokens
	// Follow are answers that are read instead of what the peer would write.
	Follow [][]int `json:"follow,omitempty"`
}

// ids are answers as the peer gives them: the end counted where there is one.
func (p prompts) ids(words []string, answers [][]string) ([][]int, error) {
	var all [][]int
	for n, tokens := range answers {
		var ids []int
		for _, token := range tokens {
			id := slices.Index(words, token)
			if id < 0 {
				return nil, fmt.Errorf("glmkit wrote %q into text %d, which the vocabulary does not have", token, n+1)
			}
			ids = append(ids, id)
		}
		if len(ids) < p.Write {
			ids = append(ids, p.End)
		}
		all = append(all, ids)
	}
	return all, nil
}

func (p prompts) following(answers [][]int) prompts {
	p.Follow = answers
	return p
}

// farBehind is by how much, in logits, a token that glmkit wrote in bfloat16 may lie
// behind the one that float32 finds the likeliest.
const farBehind = 0.05

// measureWrite is writing token by token on a CPU, the likeliest token each time,
// through the command that users run.
func measureWrite(ctx context.Context, b *bench) ([]*row, error) {
	z := b.size
	half, modes := "bfloat16", []string{"cache", "cache16", "authors"}
	if !strings.Contains(field("/proc/cpuinfo", "flags"), "bf16") {
		half, modes = "float32", []string{"cache", "authors"}
	}
	peers := []struct {
		peer, goal, precision string
		modes                 []string // the fastest counts
	}{
		{"PyTorch float32, keys and values kept", "≥ 2×", "float32", []string{"cache"}},
		{"PyTorch, the faster of float32 and bfloat16, keys and values kept", "≥ 2×", half, []string{"cache", "cache16"}},
		{"PyTorch float32, the authors' way re-stated: hidden states kept", "≥ 5×", half, []string{"authors"}},
	}
	var rows []*row
	for _, batch := range writeBatches {
		for _, p := range peers {
			rows = append(rows, &row{Name: fmt.Sprintf("CPU writing, %d×%d, %d at a time, two threads, %s", z.Layers, z.Hidden, batch, p.precision), Peer: p.peer, Unit: "tokens/s", Goal: p.goal})
		}
	}
	if err := b.havePython("torch"); err != nil {
		return rows, err
	}
	if err := b.haveCorpus(ctx); err != nil {
		return rows, err
	}
	if _, _, err := b.train(ctx, 1, 0, 1, "float32"); err != nil {
		return rows, err
	}
	checkpoint := filepath.Join(b.runDir(), "checkpoints", "step-000000001")
	words, err := vocabularyOf(filepath.Join(checkpoint, "vocab.txt"))
	if err != nil {
		return rows, err
	}
	type result struct {
		Rate      float64 `json:"tokens_per_s"`
		Answers   [][]int
		Behind    float64
		Torch     string
		Libraries []string
	}
	peer := func(mode, file string) (r result, err error) {
		done, err := command(ctx, 2, nil, b.python, "bench/write/peer.py", mode, "--weights", filepath.Join(checkpoint, "model.safetensors"), "--heads", strconv.Itoa(z.Heads), "--prompts", file)
		return r, decode(done, err, &r)
	}
	for k, batch := range writeBatches {
		of := rows[k*len(peers) : (k+1)*len(peers)]
		texts, asked, err := b.writePrompts(words, batch)
		if err != nil {
			return rows, err
		}
		for i := range b.rounds {
			progress("writing, %d at a time, round %d of %d", batch, i+1, b.rounds)
			ours, theirs := map[string]float64{}, map[string]result{}
			var wrote [][]int // in float32
			for _, precision := range slices.Compact([]string{half, "float32"}) {
				rate, answers, err := b.fill(ctx, checkpoint, texts, precision)
				if err != nil {
					return rows, err
				}
				ours[precision] = rate
				if wrote, err = asked.ids(words, answers); err != nil {
					return rows, err
				}
				if precision == "bfloat16" && i == 0 {
					file, err := b.keepPrompts("follow.json", asked.following(wrote))
					if err != nil {
						return rows, err
					}
					check, err := peer("cache", file)
					if err != nil {
						return rows, err
					}
					if !(check.Behind < farBehind) {
						return rows, fmt.Errorf("in bfloat16 glmkit wrote a token that lies %.3f behind the likeliest", check.Behind)
					}
					of[1].note("no token written in bfloat16 lies more than %.4f, in logits, behind the one that PyTorch finds the likeliest in float32.", check.Behind)
				}
			}
			file, err := b.keepPrompts("prompts.json", asked)
			if err != nil {
				return rows, err
			}
			for _, mode := range modes {
				r, err := peer(mode, file)
				if err != nil {
					return rows, err
				}
				if theirs[mode] = r; mode == "cache16" {
					continue // rounding may choose other tokens
				}
				for n, ids := range r.Answers {
					if !slices.Equal(ids, wrote[n]) {
						return rows, fmt.Errorf("PyTorch (%s), text %d: %d, glmkit wrote %d", mode, n+1, ids, wrote[n])
					}
				}
			}
			for j, p := range peers {
				best := 0.0
				for _, mode := range p.modes {
					best = max(best, theirs[mode].Rate)
				}
				of[j].Ours, of[j].Theirs = append(of[j].Ours, ours[p.precision]), append(of[j].Theirs, best)
			}
			if i == 0 {
				of[0].note("%d tokens behind texts of %d, and both wrote the same. PyTorch %s on %s.", z.Write, promptWords+3, theirs["cache"].Torch, strings.Join(theirs["cache"].Libraries, ", "))
			}
			if r, ok := theirs["cache16"]; ok {
				of[1].note("round %d: PyTorch in float32 %.0f, in bfloat16 %.0f tokens/s.", i+1, theirs["cache"].Rate, r.Rate)
			}
		}
	}
	if own := linked(ctx, b.glmkit); len(own) > 0 {
		rows[0].note("glmkit is linked with %s.", strings.Join(own, ", "))
	}
	return rows, nil
}

func vocabularyOf(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n"), nil
}

// writePrompts makes texts of words that are single tokens, as a file of lines and
// as the peer reads them.
func (b *bench) writePrompts(words []string, batch int) (lines string, p prompts, err error) {
	var plain []int
	for id, w := range words {
		if len(w) > 2 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" {
			plain = append(plain, id)
		}
	}
	place := func(token string) int { return slices.Index(words, token) }
	p = prompts{Blank: promptWords + 1, Start: len(words), End: len(words) + 1, Write: b.size.Write}
	for _, token := range []string{"[PAD]", "[UNK]", "[CLS]", "[MASK]"} {
		p.Never = append(p.Never, place(token))
	}
	// No token of the vocabulary's end may follow, but for p.End.
	for id := len(words); id < (len(words)+4+127)/128*128; id++ {
		if id != p.End {
			p.Never = append(p.Never, id)
		}
	}
	rng := rand.New(rand.NewPCG(5, uint64(batch)))
	var text strings.Builder
	for range batch {
		ids := []int{place("[CLS]")}
		for i := range promptWords {
			id := plain[rng.IntN(len(plain))]
			if ids = append(ids, id); i > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(words[id])
		}
		text.WriteByte('\n')
		p.Texts = append(p.Texts, append(ids, place("[MASK]"), place("[PAD]")))
	}
	lines = filepath.Join(b.work, "prompts.txt")
	return lines, p, os.WriteFile(lines, []byte(text.String()), 0o666)
}

func (b *bench) keepPrompts(name string, p prompts) (string, error) {
	file := filepath.Join(b.work, name)
	content, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(file, content, 0o666)
	}
	return file, err
}

// fill is the rate at which glmkit writes, and what it wrote.
func (b *bench) fill(ctx context.Context, checkpoint, texts, precision string) (rate float64, answers [][]string, err error) {
	n := b.size.Write
	done, err := command(ctx, 2, nil, b.glmkit, "fill", checkpoint, "--file", texts, "--json", "--rate", "--device", "cpu", "--threads", "2", "--precision", precision, "--min-tokens", strconv.Itoa(n-1), "--max-tokens", strconv.Itoa(n))
	if exitCode(err) == 4 {
		return 0, nil, missing("this glmkit has no libtorch (make build)")
	}
	if err != nil {
		return 0, nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(done.out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Rate   float64 `json:"tokens_per_s"`
			Blanks []struct{ Answers []struct{ Tokens []string } }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return 0, nil, err
		}
		if len(line.Blanks) == 0 {
			return line.Rate, answers, nil
		}
		answers = append(answers, line.Blanks[0].Answers[0].Tokens)
	}
	return 0, nil, fmt.Errorf("glmkit fill told no rate")
}
