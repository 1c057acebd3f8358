//go:build cgo

package runner

import (
	"slices"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// Objectives are the keys of losses by objective, in the order in which they are
// shown: that of spans.Mode.
var Objectives = []string{spans.Token.String(), spans.Sentence.String(), spans.Document.String()}

// perObjective is summed losses, and how many targets they are of, by
// spans.Mode.
type perObjective struct{ losses, targets [3]float64 }

// objectiveSums are the losses of the targets of each objective in a batch.
type objectiveSums []objectiveSum

type objectiveSum struct {
	mode    spans.Mode
	loss    torch.Tensor // summed
	targets int
}

// objectiveLosses is tokenLoss of a batch of several objectives, which reach the
// vocabulary one after the other.
func objectiveLosses(s *torch.Scope, m *model, b *batch) (sum torch.Tensor, of objectiveSums) {
	states := m.states(s, m.read(s, b), b.rows)
	for mode := spans.Token; mode <= spans.Document; mode++ {
		var rows, targets []int64
		for i, is := range b.modes {
			if is == mode {
				rows, targets = append(rows, int64(i)), append(targets, b.targets[i])
			}
		}
		if len(rows) == 0 {
			continue
		}
		logits := m.vocabulary(s, s.Rows(states, index(s, rows, m.device)), torch.Tensor{})
		loss := s.CrossEntropySum(logits, index(s, targets, m.device), 0)
		if sum.Defined() {
			sum = s.Add(sum, loss)
		} else {
			sum = loss
		}
		of = append(of, objectiveSum{mode, loss, len(rows)})
	}
	return sum, of
}

// add takes the sums of a batch.
func (p *perObjective) add(s *torch.Scope, of objectiveSums) {
	for _, x := range of {
		p.losses[x.mode] += s.Item(x.loss)
		p.targets[x.mode] += float64(x.targets)
	}
}

// values are all of p's, as set takes them.
func (p *perObjective) values() []float64 { return append(p.losses[:], p.targets[:]...) }

func (p *perObjective) set(values []float64) {
	n := copy(p.losses[:], values)
	copy(p.targets[:], values[n:])
}

// merge adds what another step had.
func (p *perObjective) merge(other perObjective) {
	for i := range p.losses {
		p.losses[i] += other.losses[i]
		p.targets[i] += other.targets[i]
	}
}

// means are the losses per target, of the objectives that had any; nil: none.
func (p *perObjective) means() map[string]float64 {
	if !slices.ContainsFunc(p.targets[:], func(n float64) bool { return n > 0 }) {
		return nil
	}
	by := map[string]float64{}
	for i, n := range p.targets {
		if n > 0 {
			by[Objectives[i]] = p.losses[i] / n
		}
	}
	return by
}
