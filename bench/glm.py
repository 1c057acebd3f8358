"""GLM in PyTorch, written twice: in the plain way of the GLM repository, re-stated,
and as a careful user writes it (tuned). The peers of this folder share it. It is
not the authors' code.
"""
import json
import math

import numpy as np
import torch
import torch.nn.functional as F


def load(path):
    """Reads a safetensors file of float32 tensors."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[start:end], dtype="<f4").reshape(entry["shape"])
            weights[name] = torch.from_numpy(values.copy()).requires_grad_()
    return weights


class Batch:
    """Sequences padded to the longest, or to a length; every token of Part B is a
    target."""

    def __init__(self, sequences, length=0, rows=0):
        longest = length or max(len(s["input"]) for s in sequences)

        def padded(key):
            return torch.tensor([s[key] + [0] * (longest - len(s[key])) for s in sequences])

        self.input, self.target = padded("input"), padded("target")
        self.position, self.block = padded("position"), padded("block_position")
        self.sep = torch.tensor([s["sep"] for s in sequences])
        at = torch.arange(longest)
        self.counts = torch.tensor([len(s["input"]) for s in sequences])
        self.loss_mask = (at >= self.sep[:, None]) & (at < self.counts[:, None])
        self.index = self.loss_mask.flatten().nonzero().squeeze(1)
        self.wanted = self.target.flatten().index_select(0, self.index)
        if rows:  # as many targets for every batch; those added count nothing
            added = rows - len(self.index)
            self.index, self.wanted = F.pad(self.index, (0, added)), F.pad(self.wanted, (0, added), value=-100)
        # Row i reads column j where j <= i or j < sep.
        self.visible = (at[:, None] >= at)[None, None] | (at < self.sep[:, None])[:, None, None]


def gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(0.7978845608028654 * x * (1.0 + 0.044715 * x * x)))


class GLM:
    def __init__(self, weights, heads, tuned, dropout):
        self.w, self.heads, self.tuned, self.dropout = weights, heads, tuned, dropout
        self.gelu = None if tuned else torch.jit.script(gelu)  # newer releases warn of it
        self.layers = sum(name.endswith("attention.dense.weight") for name in weights)

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], 1e-5)

    def drop(self, x):
        return F.dropout(x, self.dropout) if self.dropout else x

    def attention(self, layer, x, mask):
        b, t, h = x.shape
        q, k, v = (
            part.view(b, t, self.heads, h // self.heads).transpose(1, 2)
            for part in self.linear(layer + "attention.query_key_value", x).split(h, dim=-1)
        )
        if self.tuned and hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout)
        else:
            if self.tuned:
                scores = (q / math.sqrt(h // self.heads)) @ k.transpose(-1, -2) + mask
            else:
                scores = q @ k.transpose(-1, -2) / math.sqrt(h // self.heads)
                scores = scores * mask - 65504.0 * (1.0 - mask)
            out = self.drop(scores.softmax(-1)) @ v
        return self.linear(layer + "attention.dense", out.transpose(1, 2).reshape(b, t, h))

    def hidden(self, batch):
        x = F.embedding(batch.input, self.w["word_embeddings.weight"])
        x = x + F.embedding(batch.position, self.w["transformer.position_embeddings.weight"])
        x = x + F.embedding(batch.block, self.w["transformer.block_position_embeddings.weight"])
        x = self.drop(x)
        mask = batch.visible.float()
        if self.tuned:  # to be added to the scores, in their type
            mask = (1.0 - mask) * -65504.0
            half = torch.is_autocast_enabled() if x.is_cuda else torch.is_autocast_cpu_enabled()
            mask = mask.bfloat16() if half else mask
        for i in range(self.layers):
            layer = f"transformer.layers.{i}."
            x = x + self.drop(self.attention(layer, self.norm(layer + "input_layernorm", x), mask))
            f = self.linear(layer + "mlp.dense_h_to_4h", self.norm(layer + "post_attention_layernorm", x))
            f = F.gelu(f, approximate="tanh") if self.tuned else self.gelu(f)
            x = x + self.drop(self.linear(layer + "mlp.dense_4h_to_h", f))
        return self.norm("transformer.final_layernorm", x)

    def loss(self, batch):
        """Mean cross-entropy over the targets."""
        words, x = self.w["word_embeddings.weight"], self.hidden(batch)
        if self.tuned:
            logits = F.linear(x.flatten(0, 1).index_select(0, batch.index), words)
            return F.cross_entropy(logits.float(), batch.wanted)
        logits = F.linear(x, words).float()
        losses = F.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), reduction="none")
        counted = batch.loss_mask.flatten().float()
        return (losses * counted).sum() / counted.sum()


def libraries():
    """The files of libtorch and of its BLAS that this process uses."""
    with open("/proc/self/maps") as file:
        paths = {line.split()[-1] for line in file if ".so" in line}
    return sorted(p for p in paths if any(name in p for name in ("libtorch_cpu.", "libblas.", "libopenblas", "libmkl")))
