"""Scores a task's examples with PyTorch on a CPU, a peer for "glmkit eval".

    peer.py MODE --examples examples.jsonl --weights model.safetensors --heads 4

MODE is one of

    authors  The plain way of the GLM repository, re-stated: every sequence padded
             to the task's length, a pass over context and answer for each choice
             (of more than ten choices ten at a time), logits of the whole
             vocabulary at every position.
    tuned    What a careful user writes: sequences of similar length together,
             padded to the longest, logits only where there is an answer. Still a
             pass over the context for each choice.

Neither is the authors' code. examples.jsonl comes from the Go program beside this
file. Prints one line: for each example the log-probabilities of its choices, and
the seconds from lists to scores.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from glm import GLM, Batch, libraries, load

CHOICES = 10  # of an example, scored at a time (GLM repository)
BATCH = 16  # sequences of a batch otherwise


def logits(model, batch, tuned):
    """Of every target, in order: [targets, vocabulary]."""
    words, x = model.w["word_embeddings.weight"], model.hidden(batch)
    if tuned:
        at = batch.loss_mask.flatten().nonzero().squeeze(1)
        return F.linear(x.flatten(0, 1).index_select(0, at), words)
    return F.linear(x, words).float()[batch.loss_mask]


def log_likelihoods(model, batch, tuned):
    """Of each sequence's answer."""
    values = F.log_softmax(logits(model, batch, tuned), -1)
    values = values.gather(1, batch.target[batch.loss_mask][:, None])[:, 0]
    parts = values.split((batch.counts - batch.sep).tolist())
    return torch.stack([part.sum() for part in parts])


def groups(examples, tuned):
    """Lists of (example, sequence) that are computed together."""
    pairs = [(n, i) for n, e in enumerate(examples) for i in range(len(e["sequences"]))]
    if tuned:
        pairs.sort(key=lambda p: len(examples[p[0]]["sequences"][p[1]]["input"]))
    elif any(len(e["sequences"]) > 1 for e in examples):
        of = {}
        for pair in pairs:
            of.setdefault((pair[0], pair[1] // CHOICES), []).append(pair)
        return list(of.values())
    return [pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH)]


def score(model, examples, tuned):
    scores = [[0.0] * len(e["verbalizers"] or e["sequences"]) for e in examples]
    for group in groups(examples, tuned):
        length = 0 if tuned else examples[0]["max_length"]
        batch = Batch([examples[n]["sequences"][i] for n, i in group], length)
        if examples[0]["verbalizers"]:
            rows = logits(model, batch, tuned)
            for (n, _), row in zip(group, rows):
                scores[n] = row[examples[n]["verbalizers"]].tolist()
        else:
            for (n, i), value in zip(group, log_likelihoods(model, batch, tuned).tolist()):
                scores[n][i] = value
    return [F.log_softmax(torch.tensor(s), 0).tolist() for s in scores]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["authors", "tuned"])
    parser.add_argument("--examples", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--take", type=int, default=0, help="only so many of the examples")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    with open(args.examples) as file:
        examples = [json.loads(line) for line in file][: args.take or None]
    tuned = args.mode == "tuned"
    model = GLM(load(args.weights), args.heads, tuned, dropout=0)
    with torch.inference_mode():
        start = time.perf_counter()
        scores = score(model, examples, tuned)
        seconds = time.perf_counter() - start
    print(json.dumps({"scores": scores, "seconds": seconds, "torch": torch.__version__, "libraries": libraries()}))


main()
