package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// measureScore is answering a task's examples, through the command that users
// run: a blank with two verbalizers, and a choice among the names of a passage.
func measureScore(ctx context.Context, b *bench) ([]*row, error) {
	kinds := []struct {
		task, name, goal string
		write            func(dir string, examples int) error
		examples         int
	}{
		{"RTE", "scoring RTE, two threads", "≥ 3×", b.writeRTE, b.size.Pairs},
		{"ReCoRD", "scoring ReCoRD, two threads", "≥ 10×", b.writeReCoRD, b.size.Passages},
	}
	modes := []struct{ name, peer string }{
		{"authors", "PyTorch, the authors' way re-stated"},
		{"tuned", "PyTorch, tuned, float32"},
	}
	var rows []*row
	for _, k := range kinds {
		for i, m := range modes {
			r := &row{Name: k.name, Peer: m.peer, Unit: "examples/s"}
			if i == 0 {
				r.Goal = k.goal
			}
			rows = append(rows, r)
		}
	}
	if err := b.havePython("torch"); err != nil {
		return rows, err
	}
	vocab, err := b.vocabulary("bert-base-uncased")
	if err != nil {
		return rows, err
	}
	if err := b.haveCorpus(ctx); err != nil {
		return rows, err
	}
	if _, _, err := b.train(ctx, 1, 0, 1, "float32"); err != nil {
		return rows, err
	}
	at := func(name ...string) string { return filepath.Join(append([]string{b.work, "scoring"}, name...)...) }
	for i, k := range kinds {
		if err := k.write(at("data", k.task), k.examples); err != nil {
			return rows, err
		}
		for _, args := range [][]string{
			{"prepare", "task", k.task, "--data", at("data"), "--tokenizer", vocab, "--out", at("tasks")},
			{"train", "finetune", "--from", b.runDir(), "--tasks", at("tasks"), "--task", k.task, "--out", at("runs"), "--device", "cpu", "--threads", "2",
				"--set", "finetune.tasks." + strings.ToLower(k.task) + ".epochs=1"},
		} {
			if _, err := command(ctx, 2, nil, b.glmkit, args...); err != nil {
				return rows, err
			}
		}
		examples := at(k.task + ".jsonl")
		done, err := command(ctx, 2, nil, filepath.Join(b.work, "score"), at("tasks", k.task, "val.arrow"))
		if err == nil {
			err = os.WriteFile(examples, done.out, 0o666)
		}
		if err != nil {
			return rows, err
		}
		mine := rows[2*i : 2*i+2]
		if err := b.scoreRounds(ctx, k.task, at, examples, mine); err != nil {
			return rows, err
		}
		count, choices, tokens := shape(done.out)
		mine[0].note("%d examples of %.1f sequences of %.0f tokens.", count, choices, tokens)
	}
	return rows, nil
}

// scoreRounds measures a task: rows are those of the authors' way and of the
// tuned peer.
func (b *bench) scoreRounds(ctx context.Context, task string, at func(...string) string, examples string, rows []*row) error {
	weights, err := filepath.Glob(at("runs", task, "seed-1", "checkpoints", "*", "model.safetensors"))
	if err != nil || len(weights) == 0 {
		return errors.Join(errors.New("the run has no checkpoint"), err)
	}
	apart := []float64{0, 0}
	for i := range b.rounds {
		progress("scoring %s, round %d of %d", task, i+1, b.rounds)
		own, err := b.eval(ctx, at("runs", task), at("tasks"), at("results"))
		if err != nil {
			return err
		}
		for j, mode := range []string{"authors", "tuned"} {
			var theirs struct {
				Scores  [][]float64
				Seconds float64
				Torch   string
			}
			done, err := command(ctx, 2, nil, b.python, "bench/score/peer.py", mode, "--examples", examples,
				"--weights", weights[len(weights)-1], "--heads", strconv.Itoa(b.size.Heads))
			if err := decode(done, err, &theirs); err != nil {
				return err
			}
			distance, err := furthest(own.scores, theirs.Scores)
			if err != nil {
				return err
			}
			apart[j] = max(apart[j], distance)
			n := float64(len(own.scores))
			rows[j].Ours, rows[j].Theirs = append(rows[j].Ours, n/own.seconds), append(rows[j].Theirs, n/theirs.Seconds)
		}
	}
	for j, r := range rows {
		r.note("no score is further than %.1g from the peer's.", apart[j])
	}
	return nil
}

// evaluation is what "glmkit eval" answered.
type evaluation struct {
	scores  [][]float64 // of each example, the log-probabilities of its choices
	seconds float64
}

func (b *bench) eval(ctx context.Context, run, tasks, results string) (evaluation, error) {
	var e evaluation
	if err := os.RemoveAll(results); err != nil {
		return e, err
	}
	if _, err := command(ctx, 2, nil, b.glmkit, "eval", run, "--tasks", tasks, "--out", results, "--device", "cpu", "--threads", "2"); err != nil {
		return e, err
	}
	files, err := filepath.Glob(filepath.Join(results, "*.result.json"))
	if err != nil || len(files) != 1 {
		return e, fmt.Errorf("%d result files of one run: %w", len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return e, err
	}
	var result struct {
		Seconds     float64 `json:"wall_seconds"`
		Predictions struct{ Name string }
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return e, err
	}
	e.seconds = result.Seconds
	lines, err := os.ReadFile(filepath.Join(results, result.Predictions.Name))
	if err != nil {
		return e, err
	}
	for decoder := json.NewDecoder(bytes.NewReader(lines)); decoder.More(); {
		var p struct{ Scores []float64 }
		if err := decoder.Decode(&p); err != nil {
			return e, err
		}
		e.scores = append(e.scores, p.Scores)
	}
	return e, nil
}

// furthest is the greatest distance of two scores; scores that are not the same
// to three digits are an error.
func furthest(a, b [][]float64) (float64, error) {
	if len(a) != len(b) {
		return 0, fmt.Errorf("%d examples were scored, %d by the peer", len(a), len(b))
	}
	most := 0.0
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return 0, fmt.Errorf("example %d has %d scores, %d by the peer", i, len(a[i]), len(b[i]))
		}
		for j := range a[i] {
			distance := math.Abs(a[i][j] - b[i][j])
			if !(distance <= 1e-3*max(1, math.Abs(a[i][j]))) {
				return 0, fmt.Errorf("the peer does not compute the same: example %d, choice %d has %v, by the peer %v", i, j, a[i][j], b[i][j])
			}
			most = max(most, distance)
		}
	}
	return most, nil
}

// shape counts examples, and the sequences of one and the tokens of a sequence
// in the mean.
func shape(lines []byte) (examples int, sequences, tokens float64) {
	for decoder := json.NewDecoder(bytes.NewReader(lines)); decoder.More(); examples++ {
		var e struct {
			Sequences []struct{ Input []int32 }
		}
		if decoder.Decode(&e) != nil {
			break
		}
		sequences += float64(len(e.Sequences))
		for _, s := range e.Sequences {
			tokens += float64(len(s.Input))
		}
	}
	return examples, sequences / float64(examples), tokens / sequences
}

// writeRTE writes the first examples of RTE, and two of them to train on.
func (b *bench) writeRTE(dir string, examples int) error {
	source, err := b.have("SuperGLUE", "RTE", "val.jsonl")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	lines := bytes.SplitAfterN(text, []byte("\n"), examples+1)
	return writeSplits(dir, lines[:min(examples, len(lines))])
}

// writeSplits writes lines as a task's dev split, and two of them to train on.
func writeSplits(dir string, lines [][]byte) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "val.jsonl"), bytes.Join(lines, nil), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "train.jsonl"), bytes.Join(lines[:min(2, len(lines))], nil), 0o666)
}

// What an example of ReCoRD is made of: about as many words and names as the
// task's own news articles have.
const (
	passageWords = 170
	mostNames    = 20
)

var names = regexp.MustCompile(`\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b`)

// writeReCoRD makes examples of ReCoRD's form from the encyclopedia: the names in an
// article's first words are the choices, the words behind them follow the
// placeholder of the query.
func (b *bench) writeReCoRD(dir string, examples int) error {
	source, err := b.have("corpus", "wiki_train.jsonl")
	if err != nil {
		return err
	}
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	var lines [][]byte
	scanner := bufio.NewScanner(file)
	for scanner.Buffer(nil, 16<<20); scanner.Scan() && len(lines) < examples; {
		var article struct{ Text string }
		if err := json.Unmarshal(scanner.Bytes(), &article); err != nil {
			return err
		}
		words := strings.Fields(article.Text)
		// Offsets of ReCoRD count characters: with ASCII alone they are bytes.
		words = slices.DeleteFunc(words, func(w string) bool { return strings.IndexFunc(w, func(r rune) bool { return r > '~' }) >= 0 })
		if len(words) < passageWords+20 {
			continue
		}
		line, ok := recordExample(strings.Join(words[:passageWords], " "), strings.Join(words[passageWords:passageWords+20], " "), len(lines))
		if ok {
			lines = append(lines, line)
		}
	}
	if len(lines) < examples {
		return errors.Join(fmt.Errorf("%s yields %d passages of %d", source, len(lines), examples), scanner.Err())
	}
	return writeSplits(dir, lines)
}

// recordExample is a line of ReCoRD, where the passage has ten names or more.
func recordExample(passage, next string, n int) (line []byte, ok bool) {
	type span struct {
		Start int    `json:"start"`
		End   int    `json:"end"` // of the last character
		Text  string `json:"text,omitempty"`
	}
	var entities []span
	distinct := map[string]bool{}
	for _, at := range names.FindAllStringIndex(passage, -1) {
		if name := passage[at[0]:at[1]]; distinct[name] || len(distinct) < mostNames {
			distinct[name] = true
			entities = append(entities, span{at[0], at[1] - 1, ""})
		}
	}
	if len(distinct) < 10 {
		return nil, false
	}
	gold := entities[0]
	gold.Text = passage[gold.Start : gold.End+1]
	type question struct {
		Query   string `json:"query"`
		Answers []span `json:"answers"`
		Index   int    `json:"idx"`
	}
	var example struct {
		Passage struct {
			Text     string `json:"text"`
			Entities []span `json:"entities"`
		} `json:"passage"`
		Questions []question `json:"qas"`
		Index     int        `json:"idx"`
	}
	example.Passage.Text, example.Passage.Entities, example.Index = passage, entities, n
	example.Questions = []question{{"@placeholder " + next, []span{gold}, n}}
	line, err := json.Marshal(example)
	return append(line, '\n'), err == nil
}
