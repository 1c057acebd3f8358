//go:build cgo

package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

const (
	megatronLatest = "latest_checkpointed_iteration.txt"
	megatronStates = "mp_rank_00_model_states.pt"
)

// isMegatron tells a checkpoint of the GLM repository from ours.
func isMegatron(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, megatronLatest))
	return err == nil
}

// megatronFile is the file of the newest iteration of such a checkpoint.
func megatronFile(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, megatronLatest))
	if err != nil {
		return "", &corpus.DataError{Path: dir, Err: err}
	}
	iteration := strings.TrimSpace(string(text))
	if iteration == "" || iteration != filepath.Base(iteration) {
		return "", &corpus.DataError{Path: filepath.Join(dir, megatronLatest), Err: fmt.Errorf("%q is not an iteration", iteration)}
	}
	return filepath.Join(dir, iteration, megatronStates), nil
}

// readMegatron fills a GLM with the weights of a checkpoint of the GLM
// repository (latest_checkpointed_iteration.txt beside
// ITERATION/mp_rank_00_model_states.pt; weights under "module", fp16 widened
// to float32). The file does not tell the number of heads, so the shape comes
// from the configuration, and every tensor is checked against it.
func readMegatron(dir string, m *model) error {
	path, err := megatronFile(dir)
	if err != nil {
		return err
	}
	bad := func(err error, hint string) error { return &corpus.DataError{Path: path, Err: err, Hint: hint} }
	const shape = "the preset whose shape the checkpoint has"
	data, err := os.ReadFile(path)
	if err != nil {
		return bad(err, "")
	}
	if m.config.Architecture != "glm" {
		return bad(errors.New("holds a GLM, the configuration says "+m.config.Architecture), shape)
	}
	s := torch.NewScope()
	defer s.Close()
	file := s.ReadPickle(data)
	if err := s.Err(); err != nil {
		return bad(err, "download the checkpoint again: it is cut short or not one of torch.save")
	}
	for i, w := range m.params.weights {
		t, ok := file["module."+w.name]
		if !ok {
			return bad(fmt.Errorf("has no tensor %q", w.name), shape)
		}
		if got := s.Shape(t); !slices.Equal(got, w.shape) {
			return bad(fmt.Errorf("tensor %q is %v, the model's is %v", w.name, got, w.shape), shape)
		}
		s.SetFloats(m.params.tensors[i], s.Floats(t))
	}
	return s.Err()
}
