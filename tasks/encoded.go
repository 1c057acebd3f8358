package tasks

import "github.com/glmkit/glmkit/spans"

// Form is how an example is put to a model.
type Form string

const (
	Cloze          Form = "cloze"          // GLM: a blank filled with a verbalizer or a candidate
	Masked         Form = "masked"         // BERT: the same question, a [MASK] for each token of what fills the blank
	Classification Form = "classification" // BERT: [CLS] a [SEP] b, a head on the pooled vector
)

// Asks tells whether a form is a question with a blank, in one of the task's
// patterns.
func (f Form) Asks() bool { return f == Cloze || f == Masked }

// Scoring is how a model's outputs become one score per choice.
type Scoring string

const (
	// SingleToken reads the logits of Verbalizers at the only position of the
	// only sequence whose loss counts: sop, the last, or [MASK] in the form Masked.
	SingleToken Scoring = "single"
	// MultiToken sums the log-probabilities of each choice's targets. In the form
	// Masked they are predicted at as many [MASK]s, each without the others (PET
	// repository, MultiMaskTaskHelper, the decoding strategy parallel).
	MultiToken Scoring = "multi"
	// Generative asks whether the greedy, teacher-forced output equals the
	// only sequence's targets: label 1 when every token does, else 0.
	Generative Scoring = "generative"
	// Ranked has a sequence for each of several candidates: label 1 when the
	// first, which the example names, has the highest log-probability, else 0.
	Ranked Scoring = "ranked"
	// Written lets the model write into the blanks; what it wrote is compared
	// with Gold as text. The only sequence holds the text to learn.
	Written Scoring = "written"
	// ClassHead is one sequence and one logit per label.
	ClassHead Scoring = "class"
	// ChoiceHead is one sequence and one logit per choice.
	ChoiceHead Scoring = "choice"
)

// Encoded is one example as a model reads it and a metric scores it.
type Encoded struct {
	ID       string // as the authors name it, e.g. dev-p76-q876-a4417
	Number   int    // position among the encoded examples of its file
	Question string // groups answers of one question (MultiRC), else the ID
	Passage  string // groups examples of one passage, for clustered intervals; else the ID
	Label    int    // index of the gold label or choice; -1 when unlabelled
	Scoring  Scoring
	// Sequences holds one sequence (SingleToken, Generative, Written, ClassHead) or
	// one per choice (MultiToken, ChoiceHead) or candidate (Ranked).
	Sequences   []spans.Block
	Verbalizers []int32 // token ids of the labels, SingleToken only
	// Choices are the texts that Label indexes: label names, or candidates.
	Choices []string
	// Gold holds every right answer's text (ReCoRD scores the best match), or
	// the reference of a Written one.
	Gold []string
	// Text is what a person reads of the example, for the prediction files.
	Text string
}
