package experiments

import (
	"strings"
	"time"
)

// Estimate is how a step stands and how long it took or may take.
type Estimate struct {
	Step  *Step
	State State
	// Took is the time of a step that is done, else the mean of those of its kind
	// that are, where Known.
	Took  time.Duration
	Known bool
}

// Estimates are those of all steps, in their order.
func (p *Plan) Estimates() ([]Estimate, error) {
	var all []Estimate
	spent, count := map[string]time.Duration{}, map[string]time.Duration{}
	for _, s := range p.Steps {
		state, record, err := p.State(s)
		if err != nil {
			return nil, err
		}
		e := Estimate{Step: s, State: state}
		if state == Done {
			e.Took, e.Known = record.Ended.Sub(record.Started), true
			for _, kind := range s.kinds() {
				spent[kind] += e.Took
				count[kind]++
			}
		}
		all = append(all, e)
	}
	for i := range all {
		if all[i].Known {
			continue
		}
		for _, kind := range all[i].Step.kinds() {
			if count[kind] > 0 {
				all[i].Took, all[i].Known = spent[kind]/count[kind], true
				break
			}
		}
	}
	return all, nil
}

// kinds are what a step is like, the narrowest first: another seed of the model
// and task, another task of the model, another model.
func (s *Step) kinds() (kinds []string) {
	parts := strings.Split(s.ID, "/")
	for n := len(parts) - 1; n > 0; n-- {
		kinds = append(kinds, strings.Join(parts[:n], "/"))
	}
	return kinds
}
