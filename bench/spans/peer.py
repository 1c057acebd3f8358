"""GLM's span construction in Python and numpy, a peer for glmkit's package spans.

This re-states, from a description of the method, what the authors' collate step
does to each window in its short-span mode. It is not their code, and may be
faster or slower than it. Padding and stacking a batch are left out, as they are
from glmkit's time.

    peer.py --seconds 2        prints samples per second as one line of JSON
    peer.py --print 100        prints samples in the form of glmkit inspect blocks
"""
import argparse
import itertools
import json
import math
import random
import time

import numpy as np

EOS, CLS, MASK, SOP, EOP = 0, 101, 103, 30522, 30523  # bert-base-uncased
MASK_RATIO, MEAN_SPAN = 0.15, 3
LENGTHS = range(1, 40)
WEIGHTS = [MEAN_SPAN**n * math.exp(-MEAN_SPAN) / math.factorial(n) for n in LENGTHS]  # Poisson
BATCH = 16  # windows that share a generator


def draw_lengths(rng, size):
    """Lengths by a zero-truncated Poisson law until their sum reaches the budget, shuffled."""
    budget, total, lengths = int(MASK_RATIO * size), 0, []
    while total < budget:
        length = rng.choices(LENGTHS, weights=WEIGHTS)[0]
        lengths.append(length)
        total += length
    rng.shuffle(lengths)
    rng.shuffle(lengths)  # the authors shuffle twice
    return lengths


def documents(tokens):
    """(start, length) of what may be masked of each document, shortest first."""
    found, start = [], 0
    for end in np.flatnonzero(tokens == EOS).tolist() + [len(tokens)]:
        first = start + 1 if start < len(tokens) and tokens[start] == CLS else start
        last = end if end < len(tokens) else end - 1  # a cut document gives up its last token
        if last > first:
            found.append((first, last - first))
        start = end + 1
    return sorted(found, key=lambda document: document[1])


def place(rng, lengths, document):
    """Spans of the given lengths in order, at least one token apart."""
    start, usable = document
    free = usable - sum(lengths) - len(lengths) + 1
    placed = []
    for at, length in zip(sorted(rng.randint(0, free) for _ in lengths), lengths):
        placed.append((start + at, start + at + length))
        start += length + 1
    return placed


def draw(rng, tokens):
    """Spans in the order of the text, or None where they do not all fit."""
    lengths, spans = draw_lengths(rng, len(tokens)), []
    *shorter, longest = documents(tokens)
    for document in shorter:
        taken = 0
        while taken < len(lengths) and sum(lengths[: taken + 1]) <= int(MASK_RATIO * document[1]):
            taken += 1
        spans += place(rng, lengths[:taken], document)
        lengths = lengths[taken:]
    if sum(lengths) + len(lengths) - 1 > longest[1]:
        return None
    return sorted(spans + place(rng, lengths, longest))


def build(tokens, spans, order):
    """Part A and Part B: input, target, loss mask, position, block position, sep."""
    advance = np.ones(len(tokens), dtype=np.int64)
    for start, end in spans:
        advance[start + 1 : end] = 0
    position = np.cumsum(advance) - 1

    text, places, at = [], [], 0
    for start, end in spans:
        text += [tokens[at:start], [MASK]]
        places.append(position[at : start + 1])
        at = end
    part_a = np.concatenate(text + [tokens[at:]])
    places.append(position[at:])

    inputs, targets, blocks = [part_a], [part_a], [np.zeros(len(part_a), dtype=np.int64)]
    for i in order:
        start, end = spans[i]
        inputs += [[SOP], tokens[start:end]]
        targets += [tokens[start:end], [EOP]]
        places.append(np.full(end - start + 1, position[start]))
        blocks.append(np.arange(1, end - start + 2))
    inputs = np.concatenate(inputs)
    if EOS in inputs[len(part_a) :].tolist():
        raise ValueError("a span holds the end of a document")
    loss_mask = np.ones(len(inputs), dtype=np.int64)
    loss_mask[: len(part_a)] = 0
    return {
        "input": inputs, "target": np.concatenate(targets), "loss_mask": loss_mask,
        "position": np.concatenate(places), "block_position": np.concatenate(blocks), "sep": len(part_a),
    }


def sample(rng, tokens):
    spans = draw(rng, tokens)
    if spans is None:
        return None
    order = list(range(len(spans)))
    rng.shuffle(order)
    return spans, order, build(tokens, spans, order)


def samples(length):
    tokens = np.arange(1000, 1000 + length)
    tokens[0] = CLS
    for batch in itertools.count():
        rng = random.Random(batch)
        for _ in range(BATCH):
            yield tokens, sample(rng, tokens)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--print", type=int, default=0)
    args = parser.parse_args()

    made = samples(args.length)
    if args.print:
        for tokens, (spans, order, block) in itertools.islice(made, args.print):
            line = {"tokens": tokens, "spans": spans, "order": order, "mask": MASK, "sop": SOP, "eop": EOP, **block}
            print(json.dumps(line, default=np.ndarray.tolist))
        return
    count = masked = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < args.seconds:
        _, (spans, _, _) = next(made)
        masked += sum(end - start for start, end in spans)
        count += 1
    print(json.dumps({"samples_per_s": count / elapsed, "masked": masked / count, "numpy": np.__version__}))


main()
