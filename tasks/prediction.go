package tasks

import (
	"fmt"
	"math"
)

// Prediction is what a model answered to one example, with all that the
// official metrics, a paired test and a reader need of it.
type Prediction struct {
	ID        string `json:"id"`
	Number    int    `json:"number"`
	Question  string `json:"question"`
	Passage   string `json:"passage"`
	Label     int    `json:"label"`     // gold, -1 when unlabelled
	Predicted int    `json:"predicted"` // index into Choices
	// Answer is the text of the prediction, Choices[Predicted].
	Answer  string   `json:"prediction"`
	Choices []string `json:"choices"`
	// Scores are the natural logarithms of the choices' probabilities; in the
	// generative form one number, 1 where the model would write the answer.
	Scores  []float64 `json:"scores"`
	Gold    []string  `json:"gold,omitempty"` // texts of the right answers; none when unlabelled
	Pattern int       `json:"pattern"`        // -1 in the classification form
	Text    string    `json:"text,omitempty"`
}

// Check says which example has scores that are no numbers: the model has diverged.
func (p Prediction) Check() error {
	for _, score := range p.Scores {
		if math.IsNaN(score) || math.IsInf(score, 0) {
			return fmt.Errorf("example %s has scores %v: the model has diverged", p.ID, p.Scores)
		}
	}
	return nil
}

// Metric is one official figure of a task on the scale 0–100; Matthews'
// correlation starts at -100.
type Metric struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}
