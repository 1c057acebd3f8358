"""Writes into blanks with PyTorch, a peer for "glmkit fill".

    peer.py MODE --weights model.safetensors --heads 4 --prompts prompts.json

MODE is one of

    cache       What a careful user writes: keys and values of all layers kept in
                tensors made beforehand, one new token a step, fused attention
                where PyTorch has it, inference mode. float32.
    cache16     The same with all weights, keys and values in bfloat16; LayerNorm
                computes in float32 inside.
    authors     The way of the GLM repository, re-stated: the hidden states of each
                layer are kept, and the LayerNorm before attention and the keys and
                values of all of them are computed anew at each step.

Neither is the authors' code. prompts.json has the token ids of the texts, all
equally long; the place of their blank; how many tokens to write; and the tokens
that may not be written, or only as the last. The likeliest token is taken each
time. Reading the text and writing are timed, after a round that is not.

With "follow" in prompts.json, other answers, those are read instead, which is not
timed: "behind" is by how much, in logits, a token of them lies behind the likeliest
at most.
"""
import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent / "train"))
from peer import load, libraries  # noqa: E402


class Writer:
    def __init__(self, weights, heads, room, kind=torch.float32):
        self.w, self.heads, self.room = {k: v.detach().to(kind) for k, v in weights.items()}, heads, room
        self.layers = sum(name.endswith("attention.dense.weight") for name in weights)
        self.names = [f"transformer.layers.{i}." for i in range(self.layers)]

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], 1e-5)

    def embed(self, ids, position, block):
        x = F.embedding(ids, self.w["word_embeddings.weight"])
        x = x + F.embedding(position, self.w["transformer.position_embeddings.weight"])
        return x + F.embedding(block, self.w["transformer.block_position_embeddings.weight"])

    def split(self, x):
        b, t, h = x.shape
        return x.view(b, t, self.heads, h // self.heads).transpose(1, 2)

    def attend(self, q, k, v):
        if hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v
        return out.transpose(1, 2).flatten(2)

    def rest(self, layer, x, attended):
        x = x + self.linear(layer + "attention.dense", attended)
        f = self.linear(layer + "mlp.dense_h_to_4h", self.norm(layer + "post_attention_layernorm", x))
        return x + self.linear(layer + "mlp.dense_4h_to_h", F.gelu(f, approximate="tanh"))

    def logits(self, x):
        return F.linear(self.norm("transformer.final_layernorm", x[:, -1]), self.w["word_embeddings.weight"])


class Cache(Writer):
    """Keeps keys and values. What is read first sees all of itself, as Part A does."""

    def start(self, ids):
        b, _ = ids.shape
        h = self.w["word_embeddings.weight"].shape[1]
        shape, kind = (self.layers, b, self.heads, self.room, h // self.heads), self.w["word_embeddings.weight"].dtype
        self.k, self.v, self.length = torch.empty(shape, dtype=kind), torch.empty(shape, dtype=kind), 0

    def read(self, ids, position, block):
        x = self.embed(ids, position, block)
        end = self.length + ids.shape[1]
        for i, layer in enumerate(self.names):
            q, k, v = self.linear(layer + "attention.query_key_value", self.norm(layer + "input_layernorm", x)).chunk(3, -1)
            self.k[i, :, :, self.length : end], self.v[i, :, :, self.length : end] = self.split(k), self.split(v)
            x = self.rest(layer, x, self.attend(self.split(q), self.k[i, :, :, :end], self.v[i, :, :, :end]))
        self.length = end
        return self.logits(x)


class Authors(Writer):
    """Keeps the hidden states that each layer reads."""

    def start(self, ids):
        self.memories = None

    def read(self, ids, position, block):
        x = self.embed(ids, position, block)
        kept = []
        for i, layer in enumerate(self.names):
            whole = x if self.memories is None else torch.cat((self.memories[i], x), dim=1)
            kept.append(whole)
            q, k, v = self.linear(layer + "attention.query_key_value", self.norm(layer + "input_layernorm", whole)).chunk(3, -1)
            q = q[:, -x.shape[1] :]
            scores = self.split(q) @ self.split(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // self.heads)
            x = self.rest(layer, x, (scores.softmax(-1) @ self.split(v)).transpose(1, 2).flatten(2))
        self.memories = kept
        return F.log_softmax(self.logits(x), dim=-1)


def write(model, prompts):
    ids = torch.tensor(prompts["texts"])
    b, n = ids.shape
    never, end = torch.tensor(prompts["never"]), prompts["end"]
    model.start(ids)
    model.read(ids, torch.arange(n).expand(b, n), torch.zeros(b, n, dtype=torch.long))
    place = torch.full((b, 1), prompts["blank"])
    token, out, behind = torch.full((b, 1), prompts["start"]), [], 0.0
    for step in range(1, prompts["write"] + 1):
        scores = model.read(token, place, torch.full((b, 1), step))
        scores.index_fill_(1, never, -math.inf)
        if step < prompts["write"]:
            scores[:, end] = -math.inf
        token = scores.argmax(-1, keepdim=True)
        if "follow" in prompts:
            best, token = token, torch.tensor([answer[step - 1 : step] for answer in prompts["follow"]])
            behind = max(behind, (scores.gather(1, best) - scores.gather(1, token)).max().item())
        out.append(token)
    return torch.cat(out, dim=1).tolist(), behind


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["cache", "cache16", "authors"])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    with open(args.prompts) as file:
        prompts = json.load(file)
    weights = load(args.weights)
    room = len(prompts["texts"][0]) + prompts["write"]
    if args.mode == "authors":
        model = Authors(weights, args.heads, room)
    else:
        model = Cache(weights, args.heads, room, torch.bfloat16 if args.mode == "cache16" else torch.float32)
    result = {"torch": torch.__version__, "libraries": libraries()}
    with torch.inference_mode():
        if "follow" in prompts:
            result["behind"] = write(model, prompts)[1]
        else:
            write(model, dict(prompts, write=8))
            start = time.perf_counter()
            answers, _ = write(model, prompts)
            seconds = time.perf_counter() - start
            result |= {"tokens_per_s": sum(map(len, answers)) / seconds, "answers": answers}
    print(json.dumps(result))


main()
