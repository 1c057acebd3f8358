"""Trains GLM with PyTorch on a GPU, or a CPU, a peer for "glmkit train pretrain".

    peer.py MODE --steps steps.jsonl --weights model.safetensors --heads 16 --device cuda

MODE is one of

    eager      bfloat16 autocast, scaled_dot_product_attention with a mask where
               PyTorch has it, logits only at the positions that count, batches of
               similar length, fused AdamW, input through pinned memory.
    compiled   The same through torch.compile. Every batch then has the shape of
               the largest, so that it compiles once.
    gradients  Compares the gradients of the first step's batch, without dropout, in
               float32 and under autocast, with those that glmkit has left in the
               first moments of AdamW (--moments, a file for each) after one step
               without clipping.

steps.jsonl comes from bench/train, the weights from a checkpoint of glmkit. Nothing
waits for the GPU between the first and the last timed step; batches lie in pinned
memory before, as if workers had made them. Tokens are those of the sequences, padding
left out.
"""
import argparse
import json
import math
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from glm import GLM, Batch, load

DROPOUT = 0.1
BETAS = (0.9, 0.98)


class There(Batch):
    """A batch for a device, its length a multiple of 16 as the kernels that take a
    mask want it on a GPU. It waits in pinned memory."""

    FIELDS = ("input", "position", "block", "index", "wanted", "visible")

    def __init__(self, sequences, device, length=0, rows=0):
        length = length or max(len(s["input"]) for s in sequences)
        super().__init__(sequences, length if device == "cpu" else (length + 15) // 16 * 16, rows)
        self.device = device
        if device != "cpu":
            self.each(torch.Tensor.pin_memory)

    def each(self, f):
        for name in self.FIELDS:
            setattr(self, name, f(getattr(self, name)))

    def move(self):
        """Sends it to the device, without waiting."""
        if self.device != "cpu":
            self.each(lambda x: x.to(self.device, non_blocking=True))
        return self


def make(args, half, dropout, compiled=False):
    """A function of a batch that runs forward and backward, and the weights."""
    weights = {name: w.detach().to(args.device).requires_grad_() for name, w in load(args.weights).items()}
    model = GLM(weights, args.heads, tuned=True, dropout=dropout)
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def run(batch):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=half):
            loss = loss_of(batch)
        loss.backward()
        return loss.detach()

    return run, weights


def optimizer(weights):
    """AdamW with GLM-Base's settings; no decay of 1-D parameters."""
    groups = [
        {"params": [w for w in weights.values() if w.dim() > 1], "weight_decay": 0.1},
        {"params": [w for w in weights.values() if w.dim() == 1], "weight_decay": 0.0},
    ]
    settings = dict(lr=4e-4, betas=BETAS, eps=1e-6)
    try:
        return torch.optim.AdamW(groups, fused=True, **settings)
    except (TypeError, RuntimeError):  # not on a CPU in an old PyTorch
        return torch.optim.AdamW(groups, foreach=True, **settings)


def targets(sequences):
    """How many tokens of sequences are predicted."""
    return sum(len(s["input"]) - s["sep"] for s in sequences)


def wait(device):
    """Waits for a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


def train(args, steps):
    compiled = args.mode == "compiled"
    run, weights = make(args, True, DROPOUT, compiled)
    update = optimizer(weights)
    warmup, timed = steps[: args.warmup], steps[args.warmup :]
    size = len(timed[0])
    ordered = sorted((s for step in timed for s in step), key=lambda s: len(s["input"]))
    timed = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    shape = {}
    if compiled:
        shape = {"length": max(len(s["input"]) for step in steps for s in step), "rows": max(map(targets, warmup + timed))}
    batches = [There(step, args.device, **shape) for step in warmup + timed]
    for n in range(len(batches)):
        if n == len(warmup):
            wait(args.device)
            start = time.perf_counter()
        batch, batches[n] = batches[n].move(), None
        run(batch)
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        update.step()
        update.zero_grad(set_to_none=True)
    wait(args.device)
    seconds = time.perf_counter() - start
    tokens = sum(len(s["input"]) for step in timed for s in step)
    result = {"tokens_per_s": tokens / seconds, "seconds": seconds, "steps": len(timed)}
    if args.device != "cpu":
        result["memory_bytes"] = torch.cuda.max_memory_allocated()
    return result


def gradients(args, step):
    """How far glmkit's gradients, and those under autocast, are from float32's."""
    found = []
    for half in (False, True):
        run, weights = make(args, half, 0.0)
        loss = run(There(step, args.device).move()).item()
        found.append((loss, {name: (torch.zeros_like(w) if w.grad is None else w.grad).double().cpu() for name, w in weights.items()}))
    (loss, exact), (half_loss, half) = found

    def distance(other):
        each = {name: (other[name] - g).norm().item() / max(g.norm().item(), 1e-12) for name, g in exact.items()}
        worst = max(each, key=each.get)
        whole = math.sqrt(sum((other[name] - g).square().sum().item() for name, g in exact.items()))
        return {"whole": whole / math.sqrt(sum(g.square().sum().item() for g in exact.values())), "worst": each[worst], "worst_name": worst}

    compared = []
    for path in args.moments:
        moments = load(path)
        compared.append(distance({name: moments["m." + name].detach().double() / (1 - BETAS[0]) for name in exact}))
    return {"loss": loss, "loss_bf16": half_loss, "bf16": distance(half), "moments": compared}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["eager", "compiled", "gradients"])
    parser.add_argument("--steps", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--warmup", type=int, default=1, help="first steps that are not timed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--moments", nargs="*", default=[], help="optimizer.safetensors of glmkit")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    with open(args.steps) as file:
        steps = [json.loads(line) for line in file]
    result = {"torch": torch.__version__}
    result.update(gradients(args, steps[0]) if args.mode == "gradients" else train(args, steps))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
