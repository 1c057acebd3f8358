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

// A file latest that names nothing leads to the newest whole checkpoint; so does a
// damaged checkpoint to the one before it.
func TestCheckpointThatIsNotThere(t *testing.T) {
	run := t.TempDir()
	for _, name := range []string{"step-000000005", "step-000000009", "step-000000012"} {
		if err := os.MkdirAll(filepath.Join(run, checkpointsDir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if name == "step-000000012" {
			continue // half of one
		}
		if err := os.WriteFile(filepath.Join(run, checkpointsDir, name, manifestFile), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	latest := filepath.Join(run, latestFile)
	for _, text := range []string{"", "\n", "garbage", "step-000000007\n"} {
		if err := os.WriteFile(latest, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{run, latest} {
			var data *corpus.DataError
			if dir, err := findCheckpoint(path); !errors.As(err, &data) || data.Path != latest || data.Hint != "echo step-000000009 > "+latest {
				t.Errorf("latest %q: %q, %v", text, dir, err)
			}
		}
	}
	if err := os.WriteFile(latest, []byte("step-000000009\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	dir, err := findCheckpoint(run)
	if err != nil || filepath.Base(dir) != "step-000000009" {
		t.Errorf("%q, %v", dir, err)
	}
	if hint := insteadOf(dir); !strings.Contains(hint, "echo step-000000005 > "+latest) {
		t.Error(hint)
	}
}
