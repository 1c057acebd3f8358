"""Trains GLM on a CPU with PyTorch, a peer for "glmkit train pretrain".

    peer.py MODE --steps steps.jsonl --weights model.safetensors --heads 4

MODE is one of

    authors     The plain way of the GLM repository, re-stated: a batch padded to
                its longest sequence, logits of the whole vocabulary in float32 at
                every position, a T x T mask multiplied into the scores, an
                optimizer of one operation after the other.
    tuned       What a careful user writes: logits only at the positions that
                count, batches of similar length, a mask added to the scores
                (fused attention where PyTorch has it), fused operations.
    tuned-bf16  The same under bfloat16 autocast.
    check       Prints the loss and the gradient's norm of the last step's batch
                in all three modes, without dropout.

Neither is the authors' code. steps.jsonl comes from the Go program beside this
file, the weights from a checkpoint of glmkit. Only the step is timed (tensors
from lists, forward, backward, clipping, update), as in glmkit's metrics.jsonl;
tokens are those of the sequences, padding left out.
"""
import argparse
import json
import math
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from glm import GLM, Batch, libraries, load

DROPOUT = 0.1


def make(mode, args, dropout):
    """A function of a batch that runs forward and backward, and the weights."""
    weights = load(args.weights)
    model = GLM(weights, args.heads, tuned=mode != "authors", dropout=dropout)

    def run(batch):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "tuned-bf16"):
            loss = model.loss(batch)
        loss.backward()
        return loss.item()

    return run, weights


def optimizer(mode, weights):
    """AdamW with GLM-Base's settings; no decay of 1-D parameters."""
    groups = [
        {"params": [w for w in weights.values() if w.dim() > 1], "weight_decay": 0.1},
        {"params": [w for w in weights.values() if w.dim() == 1], "weight_decay": 0.0},
    ]
    settings = dict(lr=4e-4, betas=(0.9, 0.98), eps=1e-6)
    if mode != "authors":
        try:
            return torch.optim.AdamW(groups, fused=True, **settings)
        except (TypeError, RuntimeError):  # not on a CPU in this PyTorch
            return torch.optim.AdamW(groups, foreach=True, **settings)
    return torch.optim.AdamW(groups, **settings)


def train(mode, args, steps):
    run, weights = make(mode, args, DROPOUT)
    update = optimizer(mode, weights)
    warmup, timed = steps[: args.warmup], steps[args.warmup :]
    if mode != "authors":
        batch = len(timed[0])
        ordered = sorted((s for step in timed for s in step), key=lambda s: len(s["input"]))
        timed = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]
    tokens = seconds = 0
    for n, step in enumerate(warmup + timed):
        start = time.perf_counter()
        run(Batch(step))
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        update.step()
        update.zero_grad(set_to_none=True)
        if n >= len(warmup):
            seconds += time.perf_counter() - start
            tokens += sum(len(s["input"]) for s in step)
    return {"tokens_per_s": tokens / seconds, "seconds": seconds, "steps": len(timed)}


def check(mode, args, step):
    run, weights = make(mode, args, 0.0)
    loss = run(Batch(step))
    return {"loss": loss, "grad_norm": math.sqrt(sum(w.grad.double().square().sum().item() for w in weights.values()))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["authors", "tuned", "tuned-bf16", "check"])
    parser.add_argument("--steps", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--take", type=int, default=0, help="only so many of the steps")
    parser.add_argument("--warmup", type=int, default=1, help="first steps that are not timed")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    with open(args.steps) as file:
        steps = [json.loads(line) for line in file]
    steps = steps[: args.take or None]
    result = {"torch": torch.__version__}
    if args.mode == "check":
        for mode in ("authors", "tuned", "tuned-bf16"):
            result[mode] = check(mode, args, steps[-1])
    else:
        result.update(train(args.mode, args, steps))
    result["libraries"] = libraries()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
