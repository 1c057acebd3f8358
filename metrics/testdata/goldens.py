"""Makes generation.json: made-up texts and what the reference scripts say of them.

usage: python3 goldens.py REFERENCES > generation.json

REFERENCES is a folder with rouge/ (google-research, rouge_score 0.1.2),
sacrebleu/ (2.6.0), evaluate_v1_1.py (SQuAD's evaluate-v1.1.py) and
multi-bleu.perl (Moses). NLTK's stemmer comes with the system: 3.8 was used.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile

folder = sys.argv[1]
sys.path.insert(0, folder)

import evaluate_v1_1 as squad
from nltk.stem.porter import PorterStemmer
from rouge import rouge_scorer
from sacrebleu.metrics import BLEU

rng = random.Random(20)

ROOTS = """agree happ fl tr relat condition radic differ analog vietnam oper feudal decis hope call form
sensib triplic electr good reviv allow infer airlin gyroscop adjust defens irrit replac depend adopt commun
activ angular homolog effect bowdler probat rat ceas controll roll hopp tann fall hiss fizz fail fil siz
troubl conflat motor plaster feed geo archaeo theo sky dy ly news inn out cann enjoy sp d cr qu synth rhythm
be see toy syzyg bleed proceed 1990 x2 wom""".split()
ENDINGS = """ s es ies ed ing ied eed y ly ational tional enci anci izer bli abli alli entli eli ousli ization
ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness
al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll lle ological
logy ability ically ings edly""".split() + [""]
STEMS = sorted({root + ending for root in ROOTS for ending in ENDINGS}
               | set("sky skies dying lying tying inning innings outing canning cannings howe exceed succeed".split()))

NOUNS = "committee treaty village engine river painter budget theory island museum".split()
VERBS = """approved approves rejecting rejects studies study repaired repairs relating related controlled
controls happily happy painting painted decides decided feeds feeding""".split()
OTHER = """the a an of in to and it's don't U.S. 3.5% 1,000 $20 20-year-old state-of-the-art "quoted" (sic) [3]
naïve café Straße İzmir 東京 &quot;AT&amp;T&quot; &lt;b&gt; <skipped> year's 1990s, e.g. -- - – ... well-known x/y a–b año
hyphen-\nated end. what? yes! semi; colon: under_score @home #tag tilde~ caret^ {brace}""".replace("hyphen-\nated", "hyphen-@ated").split()
OTHER = [w.replace("hyphen-@ated", "hyphen-\nated") for w in OTHER]


def sentence(least, most):
    words = [rng.choice(rng.choice([NOUNS, VERBS, OTHER])) for _ in range(rng.randint(least, most))]
    return rng.choice([" "] * 9 + ["  ", "\u00a0", "\t"]).join(words)


def altered(text):
    words = text.split(" ")
    for _ in range(rng.randint(0, 1 + len(words) // 3)):
        where = rng.randrange(len(words) + 1)
        kind = rng.random()
        if kind < 0.35 and words[where:]:
            del words[where]
        elif kind < 0.6:
            words.insert(where, rng.choice(NOUNS + VERBS + OTHER))
        elif kind < 0.85 and words[where:]:
            words[where] = rng.choice(NOUNS + VERBS + OTHER)
        elif words:
            rng.shuffle(words)
    return " ".join(words)


def example():
    lines = [sentence(1, 14) for _ in range(rng.randint(1, 4))]
    reference = "\n".join(lines)
    pred = "\n".join(rng.sample([altered(line) for line in lines], rng.randint(1, len(lines))))
    if rng.random() < 0.08:
        pred = sentence(1, 6)
    return pred, [reference] + [altered(reference) for _ in range(rng.choice([0, 0, 1, 2]))]


def answer():
    return " ".join(rng.choice(NOUNS + OTHER) for _ in range(rng.randint(1, 4)))


pairs = [example() for _ in range(230)] + [
    ("", ["the village"]), ("the village", [""]), ("", [""]), ("\n\n", ["a\n"]), ("...", ["--"]),
    ("same text", ["same text"]), ("a b c d", ["d c b a"]), ("a a a a", ["a a"]),
    ("police killed the gunman", ["police kill the gunman"]), ("the gunman kill police\n", ["police killed\nthe gunman"]),
]
plain = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
stemmed = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)


def rouge(scorer, pred, reference):
    scores = scorer.score(reference, pred)
    return {kind: [round(100 * v, 10) for v in (s.precision, s.recall, s.fmeasure)] for kind, s in scores.items()}


def multi_bleu(preds, references):
    """Runs the script, its figure without rounding, on texts of one line each."""
    script = open(os.path.join(folder, "multi-bleu.perl")).read()
    script = re.sub(r'printf "BLEU = %\.2f, .*?;', 'printf "%.12f\\\\n", 100*$bleu;', script, count=1, flags=re.S)
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "multi-bleu.perl")
        open(path, "w").write(script)
        for i in range(max(map(len, references))):
            with open(os.path.join(work, "ref%d" % i), "w") as f:
                # A prediction with fewer references repeats its first one.
                f.writelines(one_line(r[i] if i < len(r) else r[0]) + "\n" for r in references)
        said = subprocess.run(["perl", "-w", path, os.path.join(work, "ref")], text=True, capture_output=True,
                              input="".join(one_line(p) + "\n" for p in preds))
    return float(said.stdout)


def one_line(text):
    return text.replace("\n", " ")


def bleu(group):
    preds, references = [p for p, _ in group], [r for _, r in group]
    most = max(map(len, references))
    streams = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    return {
        "sacrebleu": BLEU().corpus_score(preds, streams).score,
        "multi_bleu": multi_bleu(preds, references),
    }


def records():
    for pred, references in pairs:
        yield {"pred": pred, "references": references, "plain": rouge(plain, pred, references[0]),
               "stemmed": rouge(stemmed, pred, references[0])}


answers = [(answer(), [answer() for _ in range(rng.randint(1, 3))]) for _ in range(150)]
answers += [(altered(golds[0]), golds) for _, golds in answers[:100]]
answers += [("the", ["a"]), ("", ["x"]), ("An año", ["año"]), ("a–b", ["–b"]), ("U.S.", ["us"])]

# Corpora: all examples, runs of ten, and some on which an order has no match.
groups = [[0, len(pairs) - 4]] + [[i, i + 10] for i in range(0, 230, 10)] + [[i, i + 1] for i in range(0, 30)]


def lines(values):
    return "[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in values) + "\n]"


stem = PorterStemmer().stem
print('{"pairs": %s,\n"bleu": %s,\n"answers": %s,\n"stems": %s}' % (
    lines(records()),
    lines({"from": a, "to": b, **bleu(pairs[a:b])} for a, b in groups),
    lines({"pred": p, "golds": g,
           "em": 100 * float(squad.metric_max_over_ground_truths(squad.exact_match_score, p, g)),
           "f1": 100 * float(squad.metric_max_over_ground_truths(squad.f1_score, p, g))} for p, g in answers),
    lines(" ".join(w + " " + stem(w) for w in STEMS[i:i + 10]) for i in range(0, len(STEMS), 10)),
))
