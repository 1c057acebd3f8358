//go:build cgo

package runner

import (
	"fmt"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// computing is how a model computes.
type computing struct {
	// half is what matrix products of training read and write, BFloat16 or Float16;
	// 0: Float32. Weights, sums and normalisation stay float32 (Micikevicius et al.
	// 2018; bfloat16 needs no loss scale). Answers are float32 unless answerIn says otherwise.
	half      torch.DType
	attention torch.AttentionForm
	recompute bool // layers in the backward pass
	// onDevice takes an optimizer step's decisions where the gradient lies, and
	// reads its figures while the next step is under way.
	onDevice bool
}

// attentionForms by their names in configurations.
var attentionForms = map[string]torch.AttentionForm{
	"own": torch.OwnAttention, "libtorch": torch.LibtorchAttention, "plain": torch.PlainAttention, "packed": torch.PackedForm,
}

// halfTypes by their names in configurations.
var halfTypes = map[string]torch.DType{"bfloat16": torch.BFloat16, "float16": torch.Float16}

// chooseComputing resolves what a configuration leaves open for a model that so
// many processes train on a device.
func chooseComputing(c configs.Compute, device torch.Device, m configs.Model, ranks int) (computing, error) {
	chosen := computing{half: halfTypes[c.Precision], attention: attentionForms[c.Attention], recompute: c.CheckpointActivations, onDevice: c.Step == "device"}
	if (c.Precision == "auto" || c.Precision == "") && (device != torch.CPU || torch.BFloat16Products()) {
		chosen.half = torch.BFloat16
	}
	if c.Step == "auto" || c.Step == "" {
		chosen.onDevice = ranks == 1 && device != torch.CPU
	}
	switch {
	case chosen.half == torch.Float16 && device == torch.CPU:
		return chosen, &DeviceError{Msg: "compute.precision: float16 is for GPUs", Hint: "auto, float32 or bfloat16"}
	case chosen.half == torch.Float16 && !chosen.onDevice:
		return chosen, &configs.Error{Field: "compute.precision", Msg: "float16 needs a loss scale, which the device keeps, and that only for one process and compute.step=device", Hint: "bfloat16"}
	case chosen.onDevice && ranks > 1:
		return chosen, &configs.Error{Field: "compute.step", Msg: fmt.Sprintf("%d processes agree on a step on their hosts", ranks), Hint: "auto or host"}
	}
	switch {
	case c.Attention == "auto" || c.Attention == "":
		chosen.attention = fastestAttention(device)
		if device != torch.CPU && packedProblem(chosen, device, m) == nil {
			chosen.attention = torch.PackedForm
		}
	case chosen.attention == torch.OwnAttention && device != torch.CPU:
		return chosen, &configs.Error{Field: "compute.attention", Msg: "glmkit's own kernel is for the CPU", Hint: "auto, packed, libtorch or plain"}
	case chosen.attention == torch.PackedForm:
		if err := packedProblem(chosen, device, m); err != nil {
			return chosen, &DeviceError{Msg: fmt.Sprintf("compute.attention: no packed attention on %s with libtorch %s: %v", device, torch.Version(), err), Hint: "compute.attention=auto"}
		}
	case chosen.attention == torch.LibtorchAttention && !torch.FusedAttention():
		return chosen, &DeviceError{Msg: "compute.attention: libtorch " + torch.Version() + " has no fused attention", Hint: "auto, own or plain; or a libtorch from 2.0 on"}
	}
	return chosen, nil
}

// answerType is what matrix products of a model read that answers, or scores text, on
// a device: float32, also where precision is empty, bfloat16, or with auto what it was
// trained with, where the device has instructions for that; but not float16, whose
// numbers end at 65,504.
func answerType(precision, trained string, device torch.Device) (torch.DType, error) {
	switch precision {
	case "", "float32":
		return torch.Float32, nil
	case "bfloat16":
		return torch.BFloat16, nil
	case "auto":
		if trained == "float32" || trained == "float16" || device == torch.CPU && !torch.BFloat16Products() {
			return torch.Float32, nil
		}
		return torch.BFloat16, nil
	}
	return 0, &configs.Error{Field: "--precision", Msg: fmt.Sprintf("%q is no precision of answers", precision), Hint: "auto, float32 or bfloat16"}
}

// packedProblem says why a model's training has no packed attention on a device;
// nil: it has.
func packedProblem(c computing, device torch.Device, m configs.Model) error {
	return torch.PackedProblem(device, c.product(), m.Hidden/m.Heads, m.AttentionDropout)
}

// fastestAttention is the best form over padded batches.
func fastestAttention(device torch.Device) torch.AttentionForm {
	switch {
	case device == torch.CPU:
		return torch.OwnAttention
	case torch.FusedAttention():
		return torch.LibtorchAttention
	}
	return torch.PlainAttention
}

// product is the element type of matrix products in training.
func (c computing) product() torch.DType {
	if c.half != 0 {
		return c.half
	}
	return torch.Float32
}

// precision is its name.
func (c computing) precision() string {
	return c.product().String()
}

func (c computing) attentionName() string {
	for name, form := range attentionForms {
		if form == c.attention {
			return name
		}
	}
	return ""
}

// stepName is where an optimizer step is decided.
func (c computing) stepName() string {
	if c.onDevice {
		return "device"
	}
	return "host"
}
