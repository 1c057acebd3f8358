package tasks

// ClozeVector is one encoded example in the words of the authors' encoder
// (GLM repository, PVP.encode), for comparison with it.
type ClozeVector struct {
	Task          string         `json:"task"`
	Pattern       int            `json:"pattern"`
	MaxLength     int            `json:"max_length"`
	GUID          string         `json:"guid"`
	Number        int            `json:"example_number"`
	Label         int            `json:"label"` // -1 when unlabelled
	LabelNames    []any          `json:"label_names"`
	Kind          string         `json:"kind"` // single, or multi with Choices
	Input         []int32        `json:"input,omitempty"`
	Position      []int32        `json:"position,omitempty"`
	BlockPosition []int32        `json:"block_position,omitempty"`
	Sep           int            `json:"sep,omitempty"`
	ChoiceIDs     []int32        `json:"choice_ids,omitempty"` // the verbalizers
	Choices       []ChoiceVector `json:"choices,omitempty"`
	File          string         `json:"file"`
}

// ChoiceVector is one sequence of a multi-token example.
type ChoiceVector struct {
	Input         []int32 `json:"input"`
	Position      []int32 `json:"position"`
	BlockPosition []int32 `json:"block_position"`
	Sep           int     `json:"sep"`
	Target        []int32 `json:"target"` // of Part B, or of the blanks of the form Masked
}

// Vector describes an example that e encoded of a file read as split.
func (e *Encoder) Vector(encoded Encoded, split, file string) ClozeVector {
	v := ClozeVector{
		Task: e.task.Name, Pattern: e.header.Pattern, MaxLength: e.header.MaxLength,
		GUID: encoded.ID, Number: encoded.Number, Label: encoded.Label,
		Kind: "multi", File: file,
	}
	for i, name := range e.task.Labels {
		if e.task.numeric {
			v.LabelNames = append(v.LabelNames, i)
		} else {
			v.LabelNames = append(v.LabelNames, name)
		}
	}
	if e.task.reader.name == "ReCoRD" && split != "train" {
		v.Label = 1 // the authors' mark of the evaluation form
	}
	if encoded.Scoring == SingleToken {
		b := encoded.Sequences[0]
		v.Kind = "single"
		v.Input, v.Position, v.BlockPosition, v.Sep = b.Input, b.Position, b.BlockPosition, b.Sep
		v.ChoiceIDs = encoded.Verbalizers
		return v
	}
	for _, b := range encoded.Sequences {
		v.Choices = append(v.Choices, ChoiceVector{b.Input, b.Position, b.BlockPosition, b.Sep, sequenceOf(b, e.header.Form, encoded.Scoring).target})
	}
	return v
}
