// Package configs holds what a run is made of: the typed configuration, the
// YAML presets embedded in the binary, and the checks that name a wrong key
// before any work starts.
package configs

// Config is one run, whole: what prepare draws, what train optimises. Every
// run directory carries the resolved value as config.yaml.
type Config struct {
	Data      Data      `yaml:"data"`
	Clean     Clean     `yaml:"clean"`
	Objective Objective `yaml:"objective"`
	Model     Model     `yaml:"model"`
	Train     Train     `yaml:"train"`
	Finetune  Finetune  `yaml:"finetune"`
	Compute   Compute   `yaml:"compute"`

	// cut has the lengths that cutLengths found too long, by dotted key.
	cut map[string]int
}

// Data says how documents become windows (GLM repository, BlockDataset).
type Data struct {
	SeqLength int    `yaml:"seq_length"` // tokens of a window, [CLS] included
	Samples   int64  `yaml:"samples"`    // windows to draw; 0: one pass over the corpus' tokens
	ShardMB   int    `yaml:"shard_mb"`   // size at which an Arrow shard is closed
	Seed      uint64 `yaml:"seed"`
	// SingleDocument leaves a short window short instead of filling it with
	// further documents.
	SingleDocument bool `yaml:"single_document"`
	// NonSentenceStart is the probability of a window that starts anywhere,
	// rather than at a sentence's beginning.
	NonSentenceStart float64 `yaml:"non_sentence_start"`
	// Windows says how they are made: sample draws documents by their length,
	// as the authors do; pack puts every token into exactly one window.
	Windows  string  `yaml:"windows"`
	Maskings int     `yaml:"maskings"`  // stored maskings of each window
	ShortSeq float64 `yaml:"short_seq"` // probability of a window that is cut short; windows: sample only
	Valid    float64 `yaml:"valid"`     // share of the documents, by their hash, that are held out to validate
	Test     float64 `yaml:"test"`      // share held out to test
}

// Clean says which documents are left out and how the others' text is changed
// before it is tokenized.
type Clean struct {
	Dedup       bool    `yaml:"dedup"`       // leave out exact duplicates of whole documents
	MinChars    int     `yaml:"min_chars"`   // leave out shorter documents, characters
	MaxChars    int     `yaml:"max_chars"`   // leave out longer documents; 0: no limit
	Script      string  `yaml:"script"`      // Unicode script that documents must be written in; empty: any
	MinScript   float64 `yaml:"min_script"`  // least share of that script among a document's letters
	Ngram       int     `yaml:"ngram"`       // words that a document and a task's text must share to count as contaminated
	Punctuation bool    `yaml:"punctuation"` // curly quotes to straight ones, en dash to hyphen (GLM repository, punctuation_standardization)
}

// Objective is the mixture of blank-infilling objectives (paper section 2.1
// and 2.2) and their constants. The three probabilities sum to one.
type Objective struct {
	Token    float64 `yaml:"token"`    // short spans
	Sentence float64 `yaml:"sentence"` // whole sentences
	Document float64 `yaml:"document"` // one long span

	MaskRatio        float64 `yaml:"mask_ratio"`         // share of tokens masked by short spans
	MeanSpan         float64 `yaml:"mean_span"`          // Poisson mean of a short span, tokens
	MaxSpan          int     `yaml:"max_span"`           // longest short span, exclusive
	SentenceRatio    float64 `yaml:"sentence_ratio"`     // share of tokens masked by sentences
	DocumentMinRatio float64 `yaml:"document_min_ratio"` // shortest long span, share of the window
	DocumentPrefix   float64 `yaml:"document_prefix"`    // probability that the long span is the window's end
	TaskMask         bool    `yaml:"task_mask"`          // [sMASK] and [gMASK] beside [MASK]
	Shuffle          bool    `yaml:"shuffle"`            // predict spans in random order
	// SingleSpan is the probability of one short span alone, before the mixture
	// is drawn.
	SingleSpan  float64 `yaml:"single_span"`
	BlockMask   float64 `yaml:"block_mask"`   // probability that a Part B input token of a short span is hidden by [dBLOCK]
	ContextMask float64 `yaml:"context_mask"` // tokens of Part A near short spans hidden by [dBLOCK], share of the window
	Sentinel    bool    `yaml:"sentinel"`     // T5's numbered masks instead of the position of the mask
	// BlockPositions counts the tokens of each piece of Part B; without it all
	// their block positions are 1.
	BlockPositions bool `yaml:"block_positions"`
	RandomPosition bool `yaml:"random_position"` // add one random offset to a window's positions
	// MLMRatio is the share of tokens BERT's masked language model predicts
	// (80 % [MASK], 10 % random, 10 % kept).
	MLMRatio float64 `yaml:"mlm_ratio"`
}

// Model is the shape of the network.
type Model struct {
	Architecture     string  `yaml:"architecture"` // glm or bert
	Layers           int     `yaml:"layers"`
	Hidden           int     `yaml:"hidden"`
	Heads            int     `yaml:"heads"`
	MaxPositions     int     `yaml:"max_positions"`
	Vocab            int     `yaml:"vocab"` // rows of the word table; 0: the tokenizer's, padded to a multiple of 128
	Dropout          float64 `yaml:"dropout"`
	AttentionDropout float64 `yaml:"attention_dropout"`
	// InitStd is the standard deviation that weights and embeddings start with.
	InitStd float64 `yaml:"init_std"`
}

// Train is pretraining's optimisation.
type Train struct {
	// A run ends at the first of Steps, MaxTokens and MaxHours. The schedule is
	// over steps, whatever ends the run.
	Steps        int       `yaml:"steps"`
	MaxTokens    int64     `yaml:"max_tokens"`  // read by the model, padding left out; 0: no limit
	MaxHours     float64   `yaml:"max_hours"`   // of training, all sittings of the run together; 0: no limit
	BatchSize    int       `yaml:"batch_size"`  // windows an optimizer step sees
	MicroBatch   int       `yaml:"micro_batch"` // windows in one forward pass; 0: the whole batch, or each process' share of it
	Ramp         Ramp      `yaml:"ramp"`
	Optimizer    Optimizer `yaml:"optimizer"`
	Schedule     Schedule  `yaml:"schedule"`
	Seed         uint64    `yaml:"seed"`
	Redraw       bool      `yaml:"redraw"` // draw new spans each epoch instead of the stored ones
	LogEvery     int       `yaml:"log_every"`
	ValidEvery   int       `yaml:"valid_every"`
	ValidBatches int       `yaml:"valid_batches"`
	SaveEvery    int       `yaml:"save_every"`
	KeepLast     int       `yaml:"keep_last"`
	KeepBest     bool      `yaml:"keep_best"` // save where the validation loss is the lowest so far, and keep that checkpoint
}

// Ramp grows the batch from From windows to the whole BatchSize, linearly over
// the first Steps steps.
type Ramp struct {
	From  int `yaml:"from"`
	Steps int `yaml:"steps"` // 0: no ramp
}

// Optimizer is AdamW; weight decay spares every 1-D parameter.
type Optimizer struct {
	LR          float64 `yaml:"lr"` // peak
	Beta1       float64 `yaml:"beta1"`
	Beta2       float64 `yaml:"beta2"`
	Eps         float64 `yaml:"eps"`
	WeightDecay float64 `yaml:"weight_decay"`
	ClipNorm    float64 `yaml:"clip_norm"` // of the whole gradient; 0: none
}

// Schedule is the learning rate over steps (GLM repository, learning_rates):
// linear warmup, then decay to FinalRatio of the peak.
type Schedule struct {
	Kind       string  `yaml:"kind"`        // linear, cosine or constant
	Warmup     float64 `yaml:"warmup"`      // share of the decay steps
	DecaySteps int     `yaml:"decay_steps"` // 0: the run's steps
	FinalRatio float64 `yaml:"final_ratio"`
}

// Finetune is the recipe of finetuning, with what single tasks change.
type Finetune struct {
	Recipe `yaml:",inline"`
	Tasks  map[string]Recipe `yaml:"tasks"` // by task name; zero fields inherit
}

// Recipe is how one task is finetuned.
type Recipe struct {
	Pattern *int `yaml:"pattern,omitempty"`
	// SeqLength bounds the tokens of a sequence; that of a built-in recipe is cut to
	// the model's positions.
	SeqLength int `yaml:"seq_length,omitempty"`
	// TargetLength bounds the tokens of an answer that the model writes; 0: it
	// writes none. SeqLength then bounds what it reads alone, and both are always
	// cut to the model's positions.
	TargetLength int `yaml:"target_length,omitempty"`
	Epochs       int `yaml:"epochs,omitempty"`
	MaxSteps     int `yaml:"max_steps,omitempty"` // cuts the epochs short; 0: no cut
	BatchSize    int `yaml:"batch_size,omitempty"`
	// MicroBatch is the examples in one forward pass, at most; 0: the whole batch,
	// or each process' share of it.
	MicroBatch int `yaml:"micro_batch,omitempty"`
	// Loss of choices: cross_entropy, hinge, generative or mix.
	Loss string `yaml:"loss,omitempty"`
	// LengthPenalty p divides a choice's log-probability by its tokens to the
	// power of p, in training and evaluation.
	LengthPenalty float64 `yaml:"length_penalty,omitempty"`
	// LabelSmoothing ε of answers that the model learns to write: ε of the target
	// is spread over the whole vocabulary.
	LabelSmoothing float64   `yaml:"label_smoothing,omitempty"`
	Decoding       Decoding  `yaml:"decoding,omitempty"`
	Optimizer      Optimizer `yaml:"optimizer,omitempty"`
	Schedule       Schedule  `yaml:"schedule,omitempty"`
}

// Decoding is how answers that the model writes are searched for in evaluation.
type Decoding struct {
	Beams         int     `yaml:"beams,omitempty" json:"beams"`
	LengthPenalty float64 `yaml:"length_penalty,omitempty" json:"length_penalty"` // exponent of the length that a score is divided by
	MinLength     int     `yaml:"min_length,omitempty" json:"min_length"`         // tokens
	MaxLength     int     `yaml:"max_length,omitempty" json:"max_length"`         // tokens, the end counted; 0: the target length
	NoRepeat      int     `yaml:"no_repeat,omitempty" json:"no_repeat"`           // no run of so many tokens twice; 0: any
	// Sample draws tokens, with one beam, as Temperature, TopK and TopP say.
	Sample      bool    `yaml:"sample,omitempty" json:"sample"`
	Temperature float64 `yaml:"temperature,omitempty" json:"temperature"`
	TopK        int     `yaml:"top_k,omitempty" json:"top_k"` // 0: all
	TopP        float64 `yaml:"top_p,omitempty" json:"top_p"` // 0: all
}

// The losses of finetuning (GLM repository, --loss-func). All but the first are
// of choices with log-probabilities: answers of several tokens.
const (
	CrossEntropyLoss = "cross_entropy" // over the choices' scores
	HingeLoss        = "hinge"         // each wrong choice at least 1 below the right one
	GenerativeLoss   = "generative"    // of the right choice's tokens alone
	MixLoss          = "mix"           // cross_entropy + generative
)

// Compute is how training is computed. What auto means is decided when a run
// begins and stays with it.
type Compute struct {
	// Precision of matrix products in training: auto, float32, bfloat16 or, on a
	// GPU, float16 with a loss scale. auto is bfloat16 on a GPU and where the
	// processor has instructions for it. Weights and evaluation are float32 always.
	Precision string `yaml:"precision"`
	// Attention is auto, own (glmkit's CPU kernel), packed (libtorch's flash
	// kernel on tokens without padding, from 2.1 on, for GPUs), libtorch (its
	// fused kernel over a mask, from 2.0 on) or plain (single operations).
	Attention string `yaml:"attention"`
	// Step is where an optimizer step is decided, whose gradient may be clipped or
	// not finite: on the host, which waits for the norm, or on the device, whose
	// figures are read while the next step is under way. auto is the device on a GPU,
	// for a process by itself.
	Step string `yaml:"step"`
	// CheckpointActivations keeps of each layer only what it read, and computes it
	// anew in the backward pass: less memory, a third more work.
	CheckpointActivations bool `yaml:"checkpoint_activations"`
	// PeakTFLOPS is what one device does at most in matrix products of the
	// precision, 10¹² operations a second, for the utilization that is shown; 0:
	// what is known of the GPU, or measured on the CPU.
	PeakTFLOPS float64 `yaml:"peak_tflops"`
}
