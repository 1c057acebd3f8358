//go:build cgo

package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Weights come back as they were, and into no model of another shape.
func TestTensorsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), modelFile)
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 6)
		defer m.close()
		if err := writeTensors(path, named(m.params, "", m.params.tensors)); err != nil {
			return err
		}
		again, err := newModel(tiny("glm"), torch.CPU)
		if err != nil {
			return err
		}
		defer again.close()
		if err := readTensors(path, named(again.params, "", again.params.tensors)); err != nil {
			return err
		}
		s := torch.NewScope()
		defer s.Close()
		for i, w := range m.params.weights {
			a, b := s.Floats(m.params.tensors[i]), s.Floats(again.params.tensors[i])
			for j := range a {
				if a[j] != b[j] {
					t.Fatalf("%s[%d] = %v, wrote %v", w.name, j, b[j], a[j])
				}
			}
		}

		wider, deeper := tiny("glm"), tiny("glm")
		wider.Vocab, deeper.Layers = 256, 3
		for name, c := range map[string]struct {
			want string
			open func() (*model, error)
		}{
			"more words":    {`"word_embeddings.weight" is [128 32], the model's is [256 32]`, func() (*model, error) { return newModel(wider, torch.CPU) }},
			"more layers":   {`has no tensor "transformer.layers.2.`, func() (*model, error) { return newModel(deeper, torch.CPU) }},
			"another model": {`has no tensor "bert.`, func() (*model, error) { return newModel(tiny("bert"), torch.CPU) }},
		} {
			other, err := c.open()
			if err != nil {
				return err
			}
			err = readTensors(path, named(other.params, "", other.params.tensors))
			other.close()
			var data *corpus.DataError
			if !errors.As(err, &data) || !strings.Contains(err.Error(), c.want) || data.Path != path {
				t.Errorf("%s: error %v, want one about %s", name, err, c.want)
			}
		}
		return s.Err()
	})
}

// A file that lies about itself is refused, never read past its end.
func TestHostileTensors(t *testing.T) {
	for name, content := range map[string]string{
		"empty":             "",
		"header too long":   "\xff\xff\xff\xff\xff\xff\xff\x7f{}",
		"header cut":        "\x10\x00\x00\x00\x00\x00\x00\x00{",
		"offsets past end":  "\x4f\x00\x00\x00\x00\x00\x00\x00" + `{"word_embeddings.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,9999]}}   `,
		"offsets backwards": "\x4f\x00\x00\x00\x00\x00\x00\x00" + `{"word_embeddings.weight":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}      `,
	} {
		path := filepath.Join(t.TempDir(), modelFile)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		onThread(t, func() error {
			m := drawn(t, tiny("glm"), 6)
			defer m.close()
			err := readTensors(path, named(m.params, "", m.params.tensors))
			var data *corpus.DataError
			if !errors.As(err, &data) {
				t.Errorf("%s: error %v, want a DataError", name, err)
			}
			return nil
		})
	}
}
