//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/tasks"
)

// Evaluation is what a model answered to a task's split, and who answered.
type Evaluation struct {
	Header      tasks.Header
	Predictions []tasks.Prediction
	State       State
	Parameters  int64
	Weights     string            // sha256 of the model file
	Data        string            // sha256 of the split's file
	Decoding    *configs.Decoding // of written answers; else nil
	Device      string
	Precision   string // of matrix products
	Libtorch    string
	Seconds     float64 // of the evaluation, over all its sittings
	// Fewer counts the examples that had room for fewer than Shots examples
	// before them.
	Fewer int
	shots string // sha256 of their file
}

// Shots is a number of examples with their answers that are put before each
// question (tasks.Priming), of a prepared file of the same task.
type Shots struct {
	Count int
	Seed  uint64
	File  string
}

// Answering says on what and how examples are answered.
type Answering struct {
	Device  string // auto, cpu, cuda or cuda:N
	Threads int    // of libtorch's CPU operations; 0: all cores
	// Precision of matrix products: auto, float32, as where it is empty, or bfloat16
	// (Generator.AnswerIn).
	Precision string
	// Decoding changes how answers are written, as in "beams=1"; the rest is as
	// the recipe of the run's configuration says.
	Decoding []string
	Shots    Shots
	Progress func(done, total int) // told the examples done; nil: nobody
	Note     func(string)          // told what to know of weights that others wrote; nil: nobody
	// Keep names the file in which the answers to a split stand until they are all
	// found, and from which an evaluation goes on that was interrupted: one of the
	// same checkpoint, split, decoding and shots. The file stays. nil: none is written.
	Keep func(tasks.Header) string
}

// Evaluate answers a prepared split with the model of a run or checkpoint, be it
// finetuned on the task or pretrained only, or with pretrained weights in any form
// that is read.
func Evaluate(ctx context.Context, run, splitFile string, a Answering) (*Evaluation, error) {
	split, err := tasks.OpenSplit(splitFile)
	if err != nil {
		return nil, err
	}
	out := &Evaluation{Header: split.Header, Libtorch: torch.Version()}
	if out.Data, err = hashFile(splitFile); err != nil {
		return nil, err
	}
	if a.Progress == nil {
		a.Progress = func(int, int) {}
	}
	if a.Note == nil {
		a.Note = func(string) {}
	}
	if split.Header.Scoring == tasks.Written {
		if a.Shots.Count > 0 {
			return nil, &configs.Error{Field: "--shots", Msg: "the answers of " + split.Header.Task + " are written, and examples stand before questions that are chosen", Hint: "leave it out"}
		}
		task, err := tasks.Prepared(filepath.Dir(splitFile))
		if err == nil {
			err = out.write(ctx, run, task, split.Examples, a)
		}
		return out, err
	}
	if len(a.Decoding) > 0 {
		return nil, &configs.Error{Field: "--decoding", Msg: "the answers of " + split.Header.Task + " are chosen, not written", Hint: "leave it out"}
	}
	err = torch.Do(func() error {
		d, err := chooseDevice(a.Device)
		if err != nil {
			return err
		}
		setThreads(a.Threads)
		m, st, weights, err := openModel(run, split, d, a.Note)
		if err != nil {
			return err
		}
		defer m.close()
		if err := out.by(run, m, st, weights); err != nil {
			return err
		}
		products, err := answerType(a.Precision, st.Precision, d)
		if err != nil {
			return err
		}
		m.mode.answerIn(products)
		out.Precision = products.String()
		if a.Shots.Count > 0 {
			if err := out.prime(split, st, a.Shots); err != nil {
				return err
			}
		}
		defer m.answering()()
		numbered := st.numbered(split.Examples)
		return out.answer(ctx, a, split.Examples, scoredTogether(m, numbered), func(group []int) ([]tasks.Prediction, error) {
			scores, err := scoreBatch(m, picked(numbered, group))
			if err != nil {
				return nil, err
			}
			found := make([]tasks.Prediction, len(group))
			for k, i := range group {
				found[k] = tasks.Predict(split.Examples[i], scores[k])
				found[k].Pattern = split.Header.Pattern
			}
			return found, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// answer asks for the answers to groups of examples, but those that were kept.
func (e *Evaluation) answer(ctx context.Context, a Answering, examples []tasks.Encoded, groups [][]int, ask func(group []int) ([]tasks.Prediction, error)) (err error) {
	path := ""
	if a.Keep != nil {
		path = a.Keep(e.Header)
	}
	question := asked{
		Weights: e.Weights, Data: e.Data, Decoding: e.Decoding,
		Shots: a.Shots.Count, ShotSeed: a.Shots.Seed, ShotsData: e.shots, Device: e.Device, Precision: e.Precision, Libtorch: e.Libtorch,
	}
	same := func(example int, p tasks.Prediction) bool { return p.ID == examples[example].ID }
	k, err := openAnswers(path, question, len(examples), same, a.Note)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	tell := func() { a.Progress(k.count, len(examples)) }
	tell()
	if err := k.ask(ctx, groups, ask, tell); err != nil {
		return err
	}
	e.Predictions, e.Seconds = k.of, k.seconds()
	return nil
}

// openModel loads a checkpoint, or weights that others wrote, which must fit the
// split.
func openModel(path string, split *tasks.Split, device torch.Device, note func(string)) (m *model, st State, weights string, err error) {
	if checkpoint, err := findCheckpoint(path); err == nil {
		return loadModel(checkpoint, device)
	}
	o, err := openOrigin(path)
	if err != nil {
		return nil, st, "", err
	}
	defer o.close()
	if st, err = pretrained(o, configs.Model{}, split); err != nil {
		return nil, st, "", err
	}
	if m, err = newModel(st.Model, device); err != nil {
		return nil, st, "", err
	}
	if err := o.start(m, 0, note); err != nil {
		m.close()
		return nil, st, "", err
	}
	return m, st, st.Pretrained, nil
}

// by records who answers and checks that they can.
func (e *Evaluation) by(run string, m *model, st State, weights string) error {
	e.State, e.Weights, e.Parameters, e.Device = st, weights, m.params.count(), m.device.String()
	if err := fits(st, e.Header); err != nil {
		return err
	}
	if e.Header.Scoring.Head() && st.Classifier == 0 {
		return &configs.Error{Field: run, Msg: "has no classifier: it is pretrained, not finetuned", Hint: "glmkit train finetune"}
	}
	if asked := e.Header.FinetunedOn(); st.Task != "" && st.Task != asked {
		return &configs.Error{Field: run, Msg: fmt.Sprintf("was finetuned on %s, not on %s", st.Task, asked), Hint: "the split of its own task"}
	}
	return nil
}

// write lets the model write the answers, examples of similar length side by side.
func (e *Evaluation) write(ctx context.Context, run string, task *tasks.Task, examples []tasks.Encoded, a Answering) error {
	g, err := OpenGenerator(run, a.Device, a.Threads)
	if err != nil {
		return err
	}
	defer g.Close()
	if err := g.AnswerIn(a.Precision); err != nil {
		return err
	}
	e.Precision = g.Precision()
	if err := e.by(run, g.model, g.State, g.weights); err != nil {
		return err
	}
	decoding, err := g.config.DecodingOf(e.Header.FinetuneRecipe(), a.Decoding)
	if err != nil {
		return err
	}
	if decoding.MaxLength == 0 {
		decoding.MaxLength = e.Header.TargetLength
	}
	decoding.MaxLength = min(decoding.MaxLength, g.State.Model.MaxPositions)
	if decoding.MinLength >= decoding.MaxLength {
		return &configs.Error{Field: "--decoding", Msg: fmt.Sprintf("an answer of at least %d tokens and, with its end, at most %d", decoding.MinLength, decoding.MaxLength), Hint: "--decoding min_length=0"}
	}
	e.Decoding = &decoding
	prompts := make([]Prompt, len(examples))
	order := make([]int, len(examples))
	for i, x := range examples {
		b := x.Sequences[0]
		prompts[i], order[i] = Prompt{Tokens: b.Input[:b.Sep], Blanks: x.Blanks(), Number: x.Number}, i
	}
	slices.SortStableFunc(order, func(i, j int) int { return len(prompts[i].Tokens) - len(prompts[j].Tokens) })

	groups := slices.Collect(slices.Chunk(order, max(1, fillRows/decoding.Beams)))
	return e.answer(ctx, a, examples, groups, func(group []int) ([]tasks.Prediction, error) {
		answers, err := g.Fill(ctx, picked(prompts, group), Decoding{decoding, g.State.Seed}, nil)
		if err != nil {
			return nil, err
		}
		found := make([]tasks.Prediction, len(group))
		for k, i := range group {
			var texts [][]int32
			score := 0.0
			for _, blank := range answers[k] {
				texts, score = append(texts, blank[0].Tokens), score+blank[0].Score
			}
			found[k] = task.Written(examples[i], g.Tokenizer, texts, score)
		}
		return found, nil
	})
}

// picked are some of all, in the order of their places.
func picked[T any](all []T, places []int) []T {
	out := make([]T, len(places))
	for k, i := range places {
		out[k] = all[i]
	}
	return out
}

// prime puts examples with their answers before the questions of a split.
func (e *Evaluation) prime(split *tasks.Split, st State, shots Shots) error {
	from, err := tasks.OpenSplit(shots.File)
	if err != nil {
		return err
	}
	if e.shots, err = hashFile(shots.File); err != nil {
		return err
	}
	primed, fewer, err := split.Prime(from, tasks.Priming{Shots: shots.Count, Seed: shots.Seed, Limit: st.Model.MaxPositions})
	if err != nil {
		return err
	}
	split.Examples, e.Fewer = primed.Examples, fewer
	return nil
}

// IsRun tells whether a directory is that of a run with a checkpoint, or a
// checkpoint.
func IsRun(dir string) bool {
	_, ok, err := latestCheckpoint(dir)
	return ok && err == nil || isCheckpoint(dir)
}

// ReadState returns the state of a checkpoint, or of a run's latest; of weights
// that others wrote the model's architecture alone is known.
func ReadState(run string) (State, error) {
	if checkpoint, err := findCheckpoint(run); err == nil {
		st, _, err := readState(checkpoint)
		return st, err
	}
	o, err := openOrigin(run)
	if err != nil {
		return State{}, err
	}
	defer o.close()
	return State{Kind: "pretrain", Model: o.shape}, nil
}
