"""Writes superglue.json beside this folder: SuperGLUE's metrics of drawn answers, by
their definitions in Python, fractions where there are no roots.

    python3 metrics/testdata/gen/superglue.py > metrics/testdata/superglue.json

F1 of a class is 2TP/(2TP+FP+FN), 0 where it is 0/0; macro F1 is its mean over the
classes that occur (scikit-learn, f1_score). F1a is that of the right answers of
MultiRC, EM the share of questions whose answers are all judged rightly (Khashabi et
al. 2018). Matthews' correlation is the Pearson correlation of the labels. Answers are
normalised and compared as ReCoRD's evaluation does, which took it from SQuAD's.
"""
import json
import math
import random
import re
import string
from collections import Counter
from fractions import Fraction

rng = random.Random(1905)


def f1(pred, gold, which):
    both = sum(p == g == which for p, g in zip(pred, gold))
    size = sum(p == which for p in pred) + sum(g == which for g in gold)
    return Fraction(2 * both, size) if size else Fraction(0)


def matthews(pred, gold):
    n = len(pred)
    mean_p, mean_g = Fraction(sum(pred), n), Fraction(sum(gold), n)
    cov = sum((p - mean_p) * (g - mean_g) for p, g in zip(pred, gold))
    spread = sum((p - mean_p) ** 2 for p in pred) * sum((g - mean_g) ** 2 for g in gold)
    return float(cov) / math.sqrt(spread) if spread else 0.0


def normalised(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def token_f1(pred, gold):
    p, g = normalised(pred), normalised(gold)
    same = sum((Counter(p) & Counter(g)).values())
    return Fraction(2 * same, len(p) + len(g)) if same else Fraction(0)


labels = []
for classes in (2, 3):
    for n in (1, 2, 3, 5, 8, 13, 40):
        for _ in range(6):
            gold = [rng.randrange(classes) for _ in range(n)]
            skill = rng.random()
            pred = [g if rng.random() < skill else rng.randrange(classes) for g in gold]
            question = sorted(rng.randrange(1 + n // 3) for _ in range(n))
            rng.shuffle(question)
            right = {q: all(p == g for p, g, r in zip(pred, gold, question) if r == q) for q in question}
            case = {
                "pred": pred, "gold": gold, "question": [f"q{q}" for q in question],
                "accuracy": float(100 * Fraction(sum(p == g for p, g in zip(pred, gold)), n)),
                "macro_f1": float(100 * sum(f1(pred, gold, c) for c in set(pred + gold)) / len(set(pred + gold))),
                "em": float(100 * Fraction(sum(right.values()), len(right))),
            }
            if classes == 2:
                case["f1a"] = float(100 * f1(pred, gold, 1))
                case["matthews"] = 100 * matthews(pred, gold)
            labels.append(case)

WORDS = """the a an A The AN cat cats U.S. us don't O'Brien re-elected _the_ the_cat x2 3rd 1,000 $5
theatre Ana a.m. an. é Ångström ß Straße naïve İstanbul ΑΣ 東京 №5 ² ½ Ⅷ – — … £10 «the» “a” ' " - . , ! ?""".split()
SPACES = [" ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2009", ""]
answers = []
for _ in range(300):
    def text(most):
        return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randrange(most)))
    golds = [text(5) for _ in range(rng.randrange(1, 4))]
    pred = text(5)
    if rng.random() < 0.5:
        pred = rng.choice(["", "the ", "A "]) + rng.choice(golds) + rng.choice(["", "!", " the"])
    answers.append({
        "pred": pred, "golds": golds,
        "em": float(100 * max(normalised(pred) == normalised(g) for g in golds)),
        "f1": float(100 * max(token_f1(pred, g) for g in golds)),
    })



def lines(cases):
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"


print(f'{{"labels": {lines(labels)}, "answers": {lines(answers)}}}')
