//go:build cgo

package runner

import (
	"errors"
	"math"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// bucketElements is the size of the pieces in which several ranks exchange
// gradients and weights: 25 MiB of float32, as in PyTorch's
// DistributedDataParallel.
const bucketElements = 25 << 20 / 4

// optimizer is AdamW over a model's parameters with its two moments. Where several
// ranks train together, each has the moments of a stretch of the parameters alone,
// and updates that.
type optimizer struct {
	config configs.Optimizer
	params *parameters
	own    []slice        // what this process updates
	tensor []torch.Tensor // its elements: a whole parameter, or a flat view of some of it
	m, v   []torch.Tensor
	decay  []float64
	scope  *torch.Scope

	ranks   *Ranks
	buckets *torch.Buckets // nil for a process by itself

	// book is what the device counts where it decides about steps (decideThere);
	// window the clean steps after which the loss scale doubles, 0: there is none.
	book   torch.Tensor
	window int
}

// slice is elements [from, to) of a parameter, counted through its dimensions.
type slice struct {
	param    int
	from, to int64
}

func newOptimizer(c configs.Optimizer, p *parameters, ranks *Ranks) (*optimizer, error) {
	o := &optimizer{config: c, params: p, scope: torch.NewScope(), ranks: ranks}
	if ranks != nil {
		var err error
		if o.buckets, err = ranks.group.NewBuckets(p.tensors, bucketElements); err != nil {
			o.scope.Close()
			return nil, err
		}
	}
	for i, w := range p.weights {
		own, tensor, shape := slice{i, 0, w.size()}, p.tensors[i], w.shape
		if o.buckets != nil {
			if own.from, own.to = o.buckets.Owned(i); own.from == own.to {
				continue
			}
			tensor, shape = o.scope.Slice(tensor, own.from, own.to), []int64{own.to - own.from}
		}
		o.own, o.tensor = append(o.own, own), append(o.tensor, tensor)
		o.m = append(o.m, o.scope.Zeros(torch.Float32, p.device, shape...))
		o.v = append(o.v, o.scope.Zeros(torch.Float32, p.device, shape...))
		decay := c.WeightDecay
		if len(w.shape) == 1 { // biases and LayerNorms (GLM repository, get_params_for_weight_decay_optimization)
			decay = 0
		}
		o.decay = append(o.decay, decay)
	}
	return o, o.scope.Err()
}

func (o *optimizer) close() {
	if o.buckets != nil {
		o.buckets.Close()
	}
	o.scope.Close()
}

// reduceSoon says that the next backward pass is this rank's last one of the step:
// gradients go to the other ranks as they come.
func (o *optimizer) reduceSoon() {
	if o.buckets != nil {
		o.buckets.Arm()
	}
}

// spread makes all ranks start from rank 0's weights.
func (o *optimizer) spread() error {
	if o.buckets == nil {
		return nil
	}
	return o.buckets.Spread()
}

// step applies the gradients at a learning rate, clipped to the configured
// norm, and clears them. It returns the norm before clipping and whether the
// step was taken: a norm that is not finite leaves the weights alone.
func (o *optimizer) step(s *torch.Scope, lr float64, step int64) (norm float64, taken bool, err error) {
	if o.buckets != nil {
		if err := o.ranks.together(o.buckets.Reduce); err != nil {
			return 0, false, err
		}
		for i, own := range o.own {
			s.SliceGrad(o.tensor[i], o.params.tensors[own.param], own.from, own.to)
		}
	}
	if norm, err = o.norm(s); err != nil {
		return 0, false, err
	}
	taken = !math.IsNaN(norm) && !math.IsInf(norm, 0)
	if taken {
		scale := 1.0
		if clip := o.config.ClipNorm; clip > 0 {
			// PyTorch's clip_grad_norm_, whose 1e-6 keeps a zero norm harmless.
			scale = min(1, clip/(norm+1e-6))
		}
		c := o.config
		s.AdamW(o.tensor, o.m, o.v, o.decay, lr, c.Beta1, c.Beta2, c.Eps, step, scale)
	}
	if o.buckets != nil { // which hold them
		s.ZeroGrad(o.params.tensors)
	} else {
		s.DropGrad(o.params.tensors)
	}
	if err := s.Err(); err != nil || !taken || o.buckets == nil {
		return norm, taken, err
	}
	return norm, taken, o.ranks.together(o.buckets.Share)
}

// norm is the Euclidean norm of the whole gradient. Each rank takes that of its own
// stretch; they are put together in the same order everywhere, so that all ranks
// clip alike.
func (o *optimizer) norm(s *torch.Scope) (float64, error) {
	norm := s.GradNorm(o.tensor)
	if err := s.Err(); err != nil || o.ranks == nil {
		return norm, err
	}
	squares := make([]float64, o.ranks.size())
	squares[o.ranks.place.Rank] = norm * norm
	if err := o.ranks.sum(squares); err != nil {
		return 0, err
	}
	total := 0.0
	for _, x := range squares {
		total += x
	}
	return math.Sqrt(total), nil
}

// The loss scale of float16 begins and grows as in PyTorch's GradScaler.
const (
	firstLossScale  = 1 << 16
	lossScaleWindow = 2000
)

// decideThere makes the parameters' device decide about steps, from a state on;
// with a loss scale where scaled is set.
func (o *optimizer) decideThere(st *State, scaled bool) error {
	if scaled {
		o.window = lossScaleWindow
		if st.LossScale == 0 {
			st.LossScale = firstLossScale
		}
	}
	o.book = o.scope.Book(torch.Book{Updates: float64(st.Updates), Scale: max(1, st.LossScale), Clean: float64(st.CleanSteps)}, o.params.device)
	return o.scope.Err()
}

// scaled is a loss times the loss scale, where there is one.
func (o *optimizer) scaled(s *torch.Scope, loss torch.Tensor) torch.Tensor {
	if o.window == 0 {
		return loss
	}
	return s.Mul(loss, s.BookedScale(o.book))
}

// stepThere is step where the device decides; the figures come later.
func (o *optimizer) stepThere(s *torch.Scope, loss torch.Tensor, lr float64) (*torch.Reading, error) {
	c := o.config
	r := s.DeviceStep(loss, o.tensor, o.m, o.v, o.decay, o.book, lr, c.Beta1, c.Beta2, c.Eps, c.ClipNorm, o.window)
	return r, s.Err()
}

// moments lists the two moments of every parameter by the names they have in a
// checkpoint. Of those that other ranks have, this process can read its own
// elements from a file; writing one asks all ranks for theirs.
func (o *optimizer) moments() []namedTensor {
	if o.buckets == nil {
		return append(named(o.params, "m.", o.m), named(o.params, "v.", o.v)...)
	}
	n := len(o.params.weights)
	out := make([]namedTensor, 0, 2*n)
	for i := range 2 * n {
		w := o.params.weights[i%n]
		prefix := "m."
		if i >= n {
			prefix = "v."
		}
		t := namedTensor{name: prefix + w.name, shape: w.shape, part: &slice{param: i % n}}
		if tensor, own, ok := o.moment(i); ok {
			t.tensor, t.part = tensor, &own
		}
		t.whole = func(s *torch.Scope) (torch.Tensor, error) {
			if err := o.ranks.sum([]float64{float64(i)}); err != nil {
				return torch.Tensor{}, err
			}
			return o.gather(s, i), s.Err()
		}
		out = append(out, t)
	}
	return out
}

// moment is this rank's part of a moment, in the order of moments.
func (o *optimizer) moment(i int) (t torch.Tensor, own slice, ok bool) {
	of := o.m
	if n := len(o.params.weights); i >= n {
		i, of = i-n, o.v
	}
	for k, own := range o.own {
		if own.param == i {
			return of[k], own, true
		}
	}
	return t, own, false
}

// gather puts a moment together from all ranks' parts.
func (o *optimizer) gather(s *torch.Scope, i int) torch.Tensor {
	w := o.params.weights[i%len(o.params.weights)]
	whole := s.Zeros(torch.Float32, o.params.device, w.shape...)
	if part, own, ok := o.moment(i); ok {
		s.Copy(s.Slice(whole, own.from, own.to), part)
	}
	o.ranks.group.SumTensor(s, whole)
	return whole
}

// What rank 0 says, beside a moment's number, while it writes a checkpoint.
const (
	momentsWritten = -1
	momentsFailed  = -2
)

// serveMoments gives rank 0 this rank's part of the moments that it asks for,
// until its checkpoint is written.
func (o *optimizer) serveMoments() error {
	for {
		asked := []float64{0}
		if err := o.ranks.sum(asked); err != nil {
			return err
		}
		switch asked[0] {
		case momentsWritten:
			return nil
		case momentsFailed:
			return &torch.GroupError{Err: errors.New("rank 0 could not write a checkpoint")}
		}
		s := torch.NewScope()
		o.gather(s, int(asked[0]))
		err := s.Err()
		s.Close()
		if err != nil {
			return err
		}
	}
}

// endMoments tells the other ranks that the checkpoint is written, or is not.
func (o *optimizer) endMoments(written bool) error {
	said := []float64{momentsWritten}
	if !written {
		said[0] = momentsFailed
	}
	return o.ranks.sum(said)
}
