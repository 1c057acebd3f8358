//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// computing is how a model computes.
type computing struct {
	// half makes matrix products of training read and write bfloat16; weights,
	// sums and normalisation stay float32 (Micikevicius et al. 2018, but with
	// bfloat16, which needs no loss scale). Evaluation is float32 always.
	half      bool
	attention torch.AttentionForm
}

// attentionForms by their names in configurations.
var attentionForms = map[string]torch.AttentionForm{
	"own": torch.OwnAttention, "libtorch": torch.LibtorchAttention, "plain": torch.PlainAttention,
}

// chooseComputing resolves what a configuration leaves open for a device.
func chooseComputing(c configs.Compute, device torch.Device) (computing, error) {
	chosen := computing{half: c.Precision == "bfloat16", attention: attentionForms[c.Attention]}
	if c.Precision == "auto" || c.Precision == "" {
		chosen.half = device != torch.CPU || torch.BFloat16Products()
	}
	switch {
	case c.Attention == "auto" || c.Attention == "":
		chosen.attention = fastestAttention(device)
	case chosen.attention == torch.OwnAttention && device != torch.CPU:
		return chosen, &configs.Error{Field: "compute.attention", Msg: "glmkit's own kernel is for the CPU", Hint: "auto, libtorch or plain"}
	case chosen.attention == torch.LibtorchAttention && !torch.FusedAttention():
		return chosen, &DeviceError{Msg: "compute.attention: libtorch " + torch.Version() + " has no fused attention", Hint: "auto, own or plain; or a libtorch from 2.0 on"}
	}
	return chosen, nil
}

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
	if c.half {
		return torch.BFloat16
	}
	return torch.Float32
}

// precision is its name.
func (c computing) precision() string {
	if c.half {
		return "bfloat16"
	}
	return "float32"
}

func (c computing) attentionName() string {
	for name, form := range attentionForms {
		if form == c.attention {
			return name
		}
	}
	return ""
}
