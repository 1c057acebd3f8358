//go:build cgo

package runner

import (
	"context"
	"fmt"
	"time"

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
	Weights     string // sha256 of the model file
	Data        string // sha256 of the split's file
	Device      string
	Libtorch    string
	Seconds     float64 // of the evaluation
}

// Evaluate answers a prepared split with the model of a run or checkpoint.
// progress, if any, is told the examples done of the total.
func Evaluate(ctx context.Context, run, splitFile, device string, threads int, progress func(done, total int)) (*Evaluation, error) {
	split, err := tasks.OpenSplit(splitFile)
	if err != nil {
		return nil, err
	}
	if split.Header.Scoring == tasks.Written {
		return nil, &configs.Error{Field: "--task", Msg: "the answers of " + split.Header.Task + " are written, and eval only chooses among answers", Hint: "a task of SuperGLUE"}
	}
	data, err := hashFile(splitFile)
	if err != nil {
		return nil, err
	}
	checkpoint, err := findCheckpoint(run)
	if err != nil {
		return nil, err
	}
	out := &Evaluation{Header: split.Header, Data: data, Libtorch: torch.Version()}
	err = torch.Do(func() error {
		d, err := chooseDevice(device)
		if err != nil {
			return err
		}
		setThreads(threads)
		out.Device = d.String()
		m, st, weights, err := loadModel(checkpoint, d)
		if err != nil {
			return err
		}
		defer m.close()
		out.State, out.Weights, out.Parameters = st, weights, m.params.count()
		if err := fits(st, split.Header); err != nil {
			return err
		}
		if split.Header.Scoring.Head() && st.Classifier == 0 {
			return &configs.Error{Field: run, Msg: "has no classifier: it is pretrained, not finetuned", Hint: "glmkit train finetune"}
		}
		if asked := split.Header.FinetunedOn(); st.Task != "" && st.Task != asked {
			return &configs.Error{Field: run, Msg: fmt.Sprintf("was finetuned on %s, not on %s", st.Task, asked), Hint: "the split of its own task"}
		}
		start := time.Now()
		scores, err := score(ctx, m, st.numbered(split.Examples), func(done int) {
			if progress != nil {
				progress(done, len(split.Examples))
			}
		})
		if err != nil {
			return err
		}
		out.Seconds = time.Since(start).Seconds()
		for i, e := range split.Examples {
			out.Predictions = append(out.Predictions, tasks.Predict(e, scores[i]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// IsRun tells whether a directory is that of a run with a checkpoint.
func IsRun(dir string) bool {
	_, ok, err := latestCheckpoint(dir)
	return ok && err == nil
}

// Finetuned returns the state of a run that was finetuned on a task.
func Finetuned(run string) (State, error) {
	checkpoint, err := findCheckpoint(run)
	if err != nil {
		return State{}, err
	}
	st, _, err := readState(checkpoint)
	if err == nil && st.Task == "" {
		err = &configs.Error{Field: run, Msg: "is pretrained, not finetuned on a task", Hint: "glmkit train finetune"}
	}
	return st, err
}
