package tasks

import (
	"math"
	"slices"

	"github.com/glmkit/glmkit/metrics"
)

// metric is one official figure of a task, of labelled predictions, 0–100.
type metric struct {
	name    string
	score   func(preds []Prediction) float64
	written bool // of text that the model wrote, against a reference
}

var (
	accuracy = metric{name: "accuracy", score: func(preds []Prediction) float64 { return metrics.Accuracy(labels(preds)) }}
	macroF1  = metric{name: "f1", score: func(preds []Prediction) float64 { return metrics.MacroF1(labels(preds)) }}
	binaryF1 = metric{name: "f1", score: func(preds []Prediction) float64 { return metrics.BinaryF1(labels(preds)) }}
	f1a      = metric{name: "f1a", score: func(preds []Prediction) float64 { return metrics.BinaryF1(labels(preds)) }}
	em       = metric{name: "em", score: func(preds []Prediction) float64 {
		questions := make([]string, len(preds))
		for i, p := range preds {
			questions[i] = p.Question
		}
		predicted, gold := labels(preds)
		return metrics.GroupedExactMatch(predicted, gold, questions)
	}}
	matthews = metric{name: "matthews", score: func(preds []Prediction) float64 { return metrics.Matthews(labels(preds)) }}
	parity   = metric{name: "parity", score: func(preds []Prediction) float64 {
		pairs := make([]string, len(preds))
		for i, p := range preds {
			pairs[i] = p.Question
		}
		predicted, _ := labels(preds)
		return metrics.GenderParity(predicted, pairs)
	}}
	recordF1 = metric{name: "f1", score: func(preds []Prediction) float64 { return meanAnswer(preds, metrics.TokenF1) }}
	recordEM = metric{name: "em", score: func(preds []Prediction) float64 { return meanAnswer(preds, metrics.ExactMatch) }}
)

// figures are the metrics that a task can declare. One name stands for figures
// of different tasks in a table's head, so it is not the declared one.
var figures = map[string]metric{
	"accuracy": accuracy, "macro_f1": macroF1, "binary_f1": binaryF1, "f1a": f1a, "exact_match": em,
	"matthews": matthews, "parity": parity, "answer_f1": recordF1, "answer_exact_match": recordEM,
	"rouge1":    rouge("rouge1", func(r metrics.Rouge) metrics.Overlap { return r.One }),
	"rouge2":    rouge("rouge2", func(r metrics.Rouge) metrics.Overlap { return r.Two }),
	"rougeL":    rouge("rougeL", func(r metrics.Rouge) metrics.Overlap { return r.L }),
	"rougeLsum": rouge("rougeLsum", func(r metrics.Rouge) metrics.Overlap { return r.LSum }),
	"bleu":      bleu("bleu", metrics.SacreBLEU), "multi_bleu": bleu("multi_bleu", metrics.MultiBLEU),
	"squad_f1": answer("f1", metrics.SQuADF1), "squad_em": answer("em", metrics.SQuADExactMatch),
}

func labels(preds []Prediction) (predicted, gold []int) {
	for _, p := range preds {
		predicted, gold = append(predicted, p.Predicted), append(gold, p.Label)
	}
	return predicted, gold
}

// meanAnswer is the mean of a score of the predicted candidates' texts.
func meanAnswer(preds []Prediction, score func(string, []string) float64) float64 {
	sum := 0.0
	for _, p := range preds {
		if p.Predicted >= 0 && p.Predicted < len(p.Choices) {
			sum += score(p.Choices[p.Predicted], p.Gold)
		}
	}
	return sum / float64(len(preds))
}

// Score is the task's official figures, 0–100, in the order of the paper's
// columns, of the predictions that have a gold label; NaN where none has.
// ReCoRD's em is the paper's accuracy. Matthews' correlation is -100–100.
func (t *Task) Score(preds []Prediction) []Metric {
	preds = labelled(preds)
	scored := make([]Metric, len(t.metrics))
	for i, m := range t.metrics {
		scored[i] = Metric{Name: m.name, Value: m.score(preds)}
	}
	return scored
}

// labelled leaves out the predictions without a right answer to compare with.
func labelled(preds []Prediction) []Prediction {
	return slices.DeleteFunc(slices.Clone(preds), func(p Prediction) bool { return p.Label < 0 && len(p.Gold) == 0 })
}

// generativeMatch is the score from which on a generative example counts as
// matched: the model scores 1 when it would write the whole target, else 0.
const generativeMatch = 0.5

// Predict makes a prediction of a model's scores: the highest of one score per
// choice, the first of equal ones; in generative scoring the only score says
// whether the answer matched, which is label 1; of ranked candidates the scores
// become two, of the likeliest rival and of the one that is named. Scores that are not numbers
// are never the highest.
func Predict(e Encoded, scores []float64) Prediction {
	p := Prediction{
		ID: e.ID, Number: e.Number, Question: e.Question, Passage: e.Passage,
		Label: e.Label, Choices: e.Choices, Scores: scores, Gold: e.Gold, Text: e.Text,
	}
	if p.Gold == nil && p.Label >= 0 && p.Label < len(p.Choices) {
		p.Gold = []string{p.Choices[p.Label]}
	}
	switch {
	case e.Scoring == Ranked && len(scores) > 1:
		// Of the others the likeliest stands for the label 0.
		p.Scores = []float64{slices.Max(scores[1:]), scores[0]}
		if scores[0] >= p.Scores[0] {
			p.Predicted = 1
		}
	case e.Scoring == Generative:
		if len(scores) > 0 && scores[0] >= generativeMatch {
			p.Predicted = 1
		}
	default:
		best := math.Inf(-1)
		for i, score := range scores {
			if score > best {
				best, p.Predicted = score, i
			}
		}
	}
	if p.Predicted < len(p.Choices) {
		p.Answer = p.Choices[p.Predicted]
	}
	return p
}
