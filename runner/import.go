//go:build cgo

package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// grows tells whether a model may have more rows of a weight than a checkpoint:
// the tables of words and of positions, and the words' biases.
func grows(name string) bool {
	return strings.HasSuffix(name, wordSuffix) || strings.HasSuffix(name, bertPositions) || name == "cls.predictions.bias"
}

// grown says that a weight has more rows than the stored one.
func grown(w weight, from stored) string {
	return fmt.Sprintf("%s grown from %d to %d rows, the new ones drawn as at the start of training", w.name, from.shape[0], w.shape[0])
}

// check tells whether weights can start a model of a shape, before it is made. It
// returns what a person should know: which rows and weights are drawn anew.
func (o *origin) check(c configs.Model) (notes []string, err error) {
	hint := fmt.Sprintf("a configuration of the weights' shape: model.architecture=%s, model.layers=%d, model.hidden=%d, model.max_positions at least %d, model.vocab at least %d (or 0)",
		o.shape.Architecture, o.shape.Layers, o.shape.Hidden, o.shape.MaxPositions, o.shape.Vocab)
	bad := func(format string, args ...any) ([]string, error) {
		return nil, &configs.Error{Field: o.path, Msg: fmt.Sprintf(format, args...), Hint: hint}
	}
	if c.Architecture != o.shape.Architecture {
		return bad("holds a %s, the configuration says %s", strings.ToUpper(o.shape.Architecture), strings.ToUpper(c.Architecture))
	}
	ws, err := declare(c)
	if err != nil {
		return nil, err
	}
	var drawn []string
	for _, w := range ws {
		got, ok := o.ready[w.name]
		switch {
		case !ok && optional(w.name):
			drawn = append(drawn, w.name)
		case !ok:
			return bad("has no tensor %q of shape %v, which the configured model of %d layers has", w.name, w.shape, c.Layers)
		case slices.Equal(got.shape, w.shape):
		case grows(w.name) && slices.Equal(got.shape[1:], w.shape[1:]) && got.shape[0] < w.shape[0]:
			notes = append(notes, grown(w, got))
		default:
			return bad("tensor %q is %v, that of the configured model is %v", got.name, got.shape, w.shape)
		}
	}
	if c.Layers < o.shape.Layers {
		return bad("has %d layers, the configured model %d", o.shape.Layers, c.Layers)
	}
	if o.shape.Heads > 0 && c.Heads != o.shape.Heads {
		hint = fmt.Sprintf("--set model.heads=%d", o.shape.Heads)
		return bad("has %d attention heads, the configured model %d", o.shape.Heads, c.Heads)
	}
	if len(drawn) > 0 {
		notes = append(notes, fmt.Sprintf("not among the weights and drawn anew: %s", strings.Join(drawn, ", ")))
	}
	return notes, nil
}

// start loads a model that a run starts from, and tells note, if there is one,
// what a person should know.
func (o *origin) start(m *model, seed uint64, note func(string)) error {
	notes, err := o.check(m.config)
	if err != nil {
		return err
	}
	if note != nil {
		for _, text := range slices.Concat([]string{o.describe(m.config)}, o.notes, notes) {
			note(text)
		}
	}
	return o.load(m, seed)
}

// load fills a model of a checked shape. What the weights lack is drawn as a new model's
// would be: the authors, too, grow their position tables by rows of the new
// model (GLM repository, load_pretrained). Beside the model it takes the memory
// of its largest weight, as it is in the file and as float32.
func (o *origin) load(m *model, seed uint64) error {
	s := torch.NewScope()
	defer s.Close()
	var reader weightReader
	for i, w := range m.params.weights {
		from, ok := o.ready[w.name]
		if !ok {
			if err := m.params.drawOne(i, seed); err != nil {
				return err
			}
			continue
		}
		values, err := reader.float32s(from)
		if err != nil {
			return err
		}
		if !slices.Equal(from.shape, w.shape) {
			if err := m.params.drawOne(i, seed); err != nil {
				return err
			}
			all := s.Floats(m.params.tensors[i])
			copy(all, values)
			values = all
		}
		s.SetFloats(m.params.tensors[i], values)
		if err := s.Err(); err != nil {
			return err
		}
	}
	return nil
}
