//go:build cgo

package runner

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

// Trial is how fast a configuration trains, by a step over made-up windows of
// full length.
type Trial struct {
	Parameters    int64   `json:"parameters"`
	TokensPerStep float64 `json:"tokens_per_step"` // padding left out
	StepSeconds   float64 `json:"step_seconds"`
	TokensPerS    float64 `json:"tokens_per_s"`
	// Layers of Of were tried, over a number of windows at once. Time is taken to
	// grow with the work.
	Layers  int `json:"layers"`
	Of      int `json:"of_layers"`
	Windows int `json:"windows"`
	// Missing says why nothing was tried; empty: something was.
	Missing string `json:"missing,omitempty"`
}

const (
	// trialSeconds is how long the passes of a trial may take, about.
	trialSeconds = 2.5
	// usualShare of a large product's speed is what training reaches at least.
	usualShare = 0.2
	// trialVocab are the words of a configuration that leaves them to the
	// vocabulary: BERT's and GLM's own.
	trialVocab = 30592
)

// try trains a configuration for a step on a device that multiplies at a speed,
// in operations a second: some windows, if need be through some of the layers.
// It runs on the tensor thread.
func try(c *configs.Config, how computing, device torch.Device, speed float64) (t Trial, err error) {
	whole := *c
	if whole.Model.Vocab == 0 {
		whole.Model.Vocab = trialVocab
	}
	if t.Parameters, err = CountParameters(whole.Model); err != nil {
		return t, err
	}
	window, err := madeUp(&whole, 1)
	if err != nil {
		return t, err
	}
	tried := whole
	t.Of = whole.Model.Layers
	t.Layers = max(1, min(t.Of, int(float64(t.Of)*trialSeconds*usualShare*speed/window.flops(whole.Model))))
	tried.Model.Layers = t.Layers
	parameters, err := CountParameters(tried.Model)
	if err != nil {
		return t, err
	}
	// Half of what is free is left to others, who may just be taking it.
	kept, each := parameters*bytesPerParameter, activations(tried.Model, how, window)
	free := freeMemory(device)
	if need := kept + each; free > 0 && need > free/2 {
		t.Missing = fmt.Sprintf("%d of its %d layers take %.1f GB, more than half of the %.1f GB that are free", t.Layers, t.Of, float64(need)/1e9, float64(free)/1e9)
		return t, nil
	}

	r := &session{config: whole.Train}
	defer r.close()
	if r.model, err = newModel(tried.Model, device); err != nil {
		return t, modelMemory(tried.Model, err)
	}
	r.model.mode.computing, r.model.mode.training = how, true
	if err := r.model.params.draw(1, 0); err != nil {
		return t, err
	}
	if r.optimizer, err = newOptimizer(whole.Train.Optimizer, r.model.params, nil); err != nil {
		return t, modelMemory(tried.Model, err)
	}
	pass := func(windows int) (seconds float64, err error) {
		b, err := madeUp(&tried, windows)
		if err != nil {
			return 0, err
		}
		s := torch.NewScope()
		defer s.Close()
		began := time.Now()
		loss, _ := r.backward(s, b, b.weight(), 1)
		s.Item(loss) // a GPU is waited for
		return time.Since(began).Seconds(), s.Err()
	}
	update := func() (seconds float64, err error) {
		s := torch.NewScope()
		defer s.Close()
		began := time.Now()
		_, _, err = r.optimizer.step(s, 1e-6, 1)
		return time.Since(began).Seconds(), err
	}
	// The first pass and the first update also take memory for the first time.
	var forOne, forAll, updating float64
	for range 2 {
		if forOne, err = pass(1); err != nil {
			return t, err
		}
		if updating, err = update(); err != nil {
			return t, err
		}
	}
	micro := whole.Train.MicroBatch
	if micro == 0 {
		micro = whole.Train.BatchSize
	}
	t.Windows = max(1, min(micro, int(trialSeconds/forOne)))
	if free > 0 {
		t.Windows = min(t.Windows, max(1, int((free/2-kept)/each)))
	}
	if forAll, err = pass(t.Windows); err != nil {
		return t, err
	}

	windows := float64(whole.Train.BatchSize)
	work := window.flops(whole.Model) / window.flops(tried.Model)
	t.TokensPerStep = windows * float64(window.tokens())
	t.StepSeconds = windows*forAll/float64(t.Windows)*work + updating*float64(t.Parameters)/float64(parameters)
	t.TokensPerS = t.TokensPerStep / t.StepSeconds
	return t, nil
}

// madeUp is a batch of windows of random words, corrupted as a configuration
// says.
func madeUp(c *configs.Config, windows int) (*batch, error) {
	const words = 10 // ids below are special
	special := spans.Special{Pad: 0, CLS: 1, Mask: 2, SEP: 3, Unk: 4, SOP: 5, EOP: 6, GMask: 7, SMask: 8, DBlock: 9, Sentinel: words}
	objective := c.Objective.Spans()
	objective.MaxPositions = c.Model.MaxPositions
	objective.Sentinel = false // its tokens lie behind a vocabulary, which is not here
	rng := rand.New(rand.NewPCG(1, 2))
	blocks := make([]spans.Block, windows)
	for i := range blocks {
		tokens := make([]int32, c.Data.SeqLength)
		tokens[0] = special.CLS
		for j := 1; j < len(tokens); j++ {
			tokens[j] = int32(words + rng.IntN(c.Model.Vocab-words))
		}
		key := spans.Key{Seed: 1, Sample: uint64(i)}
		if c.Model.Architecture == "bert" {
			blocks[i] = spans.MLM(key, tokens, c.Objective.MLMRatio, special, c.Model.Vocab)
			continue
		}
		sample := objective.Draw(key, tokens, special, func(id int32) bool { return id%20 == 0 })
		var err error
		if blocks[i], err = objective.Build(key, tokens, sample, special); err != nil {
			return nil, err
		}
	}
	return newBatch(blocks), nil
}

// freeMemory is what a device has left, bytes; 0 where the system does not say.
func freeMemory(device torch.Device) int64 {
	if device != torch.CPU {
		taken, total := torch.DeviceMemory()
		return int64(total - taken)
	}
	text, err := os.ReadFile("/proc/meminfo") // of Linux
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(text, []byte("MemAvailable:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib * 1024
}
