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
}

// measureWrite is writing token by token on a CPU, the likeliest token each time,
// through the command that users run.
func measureWrite(ctx context.Context, b *bench) ([]*row, error) {
	z := b.size
	peers := []struct{ mode, peer, goal string }{
		{"cache", "PyTorch, keys and values kept", "≥ 2×"},
		{"authors", "PyTorch, the authors' way re-stated: hidden states kept", "≥ 5×"},
	}
	var rows []*row
	for _, batch := range writeBatches {
		for _, p := range peers {
			rows = append(rows, &row{Name: fmt.Sprintf("CPU writing, %d×%d, %d at a time, two threads", z.Layers, z.Hidden, batch), Peer: p.peer, Unit: "tokens/s", Goal: p.goal})
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
	for k, batch := range writeBatches {
		texts, peerFile, err := b.writePrompts(words, batch)
		if err != nil {
			return rows, err
		}
		for i := range b.rounds {
			progress("writing, %d at a time, round %d of %d", batch, i+1, b.rounds)
			rate, answers, err := b.fill(ctx, checkpoint, texts)
			if err != nil {
				return rows, err
			}
			for j, p := range peers {
				r := rows[k*len(peers)+j]
				var theirs struct {
					Rate      float64 `json:"tokens_per_s"`
					Answers   [][]int
					Torch     string
					Libraries []string
				}
				done, err := command(ctx, 2, nil, b.python, "bench/write/peer.py", p.mode, "--weights", filepath.Join(checkpoint, "model.safetensors"), "--heads", strconv.Itoa(z.Heads), "--prompts", peerFile)
				if err := decode(done, err, &theirs); err != nil {
					return rows, err
				}
				for n, ids := range theirs.Answers {
					for t, id := range ids {
						if id == len(words)+1 && t == len(answers[n]) {
							continue // the end
						}
						if id >= len(words) || t >= len(answers[n]) || words[id] != answers[n][t] {
							return rows, fmt.Errorf("%s: text %d, token %d: %d, glmkit wrote %q", p.peer, n+1, t+1, id, answers[n])
						}
					}
				}
				if r.Ours, r.Theirs = append(r.Ours, rate), append(r.Theirs, theirs.Rate); i == 0 {
					r.note("%d tokens behind texts of %d, and both wrote the same. PyTorch %s on %s.", z.Write, promptWords+3, theirs.Torch, strings.Join(theirs.Libraries, ", "))
				}
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

// writePrompts makes texts of words that are single tokens, as lines and as the
// peer reads them.
func (b *bench) writePrompts(words []string, batch int) (lines, peer string, err error) {
	var plain []int
	for id, w := range words {
		if len(w) > 2 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" {
			plain = append(plain, id)
		}
	}
	place := func(token string) int { return slices.Index(words, token) }
	p := prompts{Blank: promptWords + 1, Start: len(words), End: len(words) + 1, Write: b.size.Write}
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
	lines, peer = filepath.Join(b.work, "prompts.txt"), filepath.Join(b.work, "prompts.json")
	content, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(peer, content, 0o666)
	}
	if err == nil {
		err = os.WriteFile(lines, []byte(text.String()), 0o666)
	}
	return lines, peer, err
}

// fill is the rate at which glmkit writes, and what it wrote.
func (b *bench) fill(ctx context.Context, checkpoint, texts string) (rate float64, answers [][]string, err error) {
	n := b.size.Write
	done, err := command(ctx, 2, nil, b.glmkit, "fill", checkpoint, "--file", texts, "--json", "--rate", "--device", "cpu", "--threads", "2", "--min-tokens", strconv.Itoa(n-1), "--max-tokens", strconv.Itoa(n))
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
