"""Checks glmkit against PyTorch on a GPU, and times them side by side.

    check.py [--glmkit ./glmkit --sequences ./train]

1. Parity: from the same weights and batch, without dropout, the loss and the
   gradient of every parameter are compared with a re-statement in PyTorch.
2. Speed: GLM-Large in bfloat16, dropout on, by glmkit, by PyTorch eager with
   scaled_dot_product_attention, and by torch.compile, in turns on the same
   sequences. Medians of the rounds.

It prints a table and keeps it, as Markdown and JSON, in the folder of results.
By default all of them are beside this file, as bench/gpu/run.sh --carry puts them.
Without a GPU it does the same with a model of two layers on the CPU, which tests
this program and measures nothing.

--sequences is the built program of bench/train. Nothing else is needed but
Python with PyTorch and numpy: no Go, no network, no data. Where glmkit does not
find its libtorch, that of this Python's torch package is given to it.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    sys.exit("gpu-check: Python has no torch; PYTHON=/path/python3 of one that has (Debian: apt-get install python3-torch)")

HERE = pathlib.Path(__file__).resolve().parent

# What is trained: on a GPU GLM-Large as the paper has it, on a CPU something that
# takes seconds.
LARGE = dict(preset="glm-large", layers=24, hidden=1024, heads=16, vocab=30592, window=512, batch=32, warmup=8, steps=20, documents=20000)
REDUCED = dict(preset="glm-demo", layers=2, hidden=64, heads=2, vocab=1024, window=64, batch=4, warmup=1, steps=2, documents=300)

BETA1, BETA2 = 0.9, 0.98  # those of peer.py

# Relative distances of gradients (Euclidean norm, all parameters together): in
# float32, and in bfloat16 beside that of PyTorch's own autocast.
EXACT, HALF_FACTOR, HALF_SLACK = 1e-3, 1.5, 2e-3
LOSS, HALF_LOSS = 1e-4, 1e-2


def say(text):
    print("gpu-check: " + text, file=sys.stderr, flush=True)


class Check:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.environment = dict(os.environ)
        self.device = args.device
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.size = dict(REDUCED if self.device == "cpu" else LARGE)
        for name in ("batch", "steps", "warmup"):
            if getattr(args, name):
                self.size[name] = getattr(args, name)

    def run(self, *command):
        """Runs a program and returns what it prints; its complaints go on."""
        done = subprocess.run([str(c) for c in command], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.stderr.write(done.stderr[-4000:])
            raise SystemExit(f"gpu-check: failed ({done.returncode}): {' '.join(map(str, command))}")
        return done.stdout

    def doctor(self):
        """What glmkit says of itself; gives it this Python's libtorch if it needs one."""
        command = [self.args.glmkit, "doctor"]
        first = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if first.returncode != 0:
            library = pathlib.Path(torch.__file__).parent / "lib"
            self.environment["LD_LIBRARY_PATH"] = f"{library}:{self.environment.get('LD_LIBRARY_PATH', '')}"
        text = self.run(*command)
        if self.device == "cuda" and "cuda       0 devices" in text:
            raise SystemExit("gpu-check: PyTorch sees a GPU, glmkit does not: it was built with a libtorch for CPUs (docs/training.md: Checking a GPU)")
        return text

    def prepare(self):
        say("making up a corpus")
        world, vocabulary, self.corpus = (self.work / name for name in ("world", "vocab.txt", "corpus"))
        s = self.size
        self.run(self.args.glmkit, "prepare", "microworld", "--documents", s["documents"], "--held", 8, "--out", world)
        self.run(self.args.glmkit, "prepare", "vocab", world / "corpus.jsonl", "--size", 1000, "--out", vocabulary)
        self.run(self.args.glmkit, "prepare", "corpus", world / "corpus.jsonl", "--config", s["preset"], "--set", f"data.seq_length={s['window']}",
                 "--tokenizer", vocabulary, "--out", self.corpus)
        self.steps = self.work / "steps.jsonl"
        self.steps.write_text(self.run(self.args.sequences, "--steps", s["warmup"] + s["steps"], "--batch", s["batch"], self.corpus))

    def train(self, out, steps, *sets, start=None, dropout=0.0):
        """Runs glmkit; returns the run's lines of metrics."""
        s = self.size
        command = [self.args.glmkit, "train", "pretrain", "--config", s["preset"], "--data", self.corpus, "--out", out, "--device", self.device]
        if self.args.threads:
            command += ["--threads", self.args.threads]
        if start:
            command += ["--from", start]
        for key in ("layers", "hidden", "heads", "vocab"):
            command += ["--set", f"model.{key}={s[key]}"]
        for key in (f"model.dropout={dropout}", f"model.attention_dropout={dropout}", f"train.steps={steps}",
                    f"train.batch_size={s['batch']}", "train.micro_batch=0", "train.log_every=1", f"train.save_every={steps}", "train.schedule.kind=constant",
                    f"train.optimizer.beta1={BETA1}", f"train.optimizer.beta2={BETA2}", "train.valid_every=0", *sets):
            command += ["--set", key]
        self.run(*command)
        with open(out / "metrics.jsonl") as file:
            return [json.loads(line) for line in file]

    def peer(self, mode, *more):
        command = [sys.executable, self.args.peer, mode, "--steps", self.steps, "--weights", self.weights, "--heads", self.size["heads"],
                   "--device", self.device, "--threads", self.args.threads or os.cpu_count()]
        return json.loads(self.run(*command, *more).splitlines()[-1])

    def checkpoint(self, run, name):
        return run / "checkpoints" / (run / "latest").read_text().strip() / name

    def parity(self):
        """Compares losses and gradients; returns rows and whether all are near."""
        say("comparing losses and gradients")
        first = self.work / "first"
        self.train(first, 1, "train.optimizer.lr=1e-3", "compute.precision=float32")
        self.weights = self.checkpoint(first, "model.safetensors")
        losses, moments = {}, []
        for precision in ("float32", "bfloat16"):
            run = self.work / precision
            line = self.train(run, 1, "train.optimizer.clip_norm=0", f"compute.precision={precision}", start=first)[0]
            losses[precision] = line["loss"]
            moments.append(self.checkpoint(run, "optimizer.safetensors"))
        peer = self.peer("gradients", "--moments", *moments)
        exact, half = peer["moments"]
        bound = HALF_FACTOR * peer["bf16"]["whole"] + HALF_SLACK
        rows = [
            dict(what="loss, float32", glmkit=losses["float32"], peer=peer["loss"], distance=abs(losses["float32"] / peer["loss"] - 1), bound=LOSS),
            dict(what="loss, bfloat16", glmkit=losses["bfloat16"], peer=peer["loss"], distance=abs(losses["bfloat16"] / peer["loss"] - 1), bound=HALF_LOSS),
            dict(what="gradients, float32", distance=exact["whole"], bound=EXACT, worst=exact["worst"], worst_name=exact["worst_name"]),
            dict(what="gradients, bfloat16", distance=half["whole"], bound=bound, worst=half["worst"], worst_name=half["worst_name"]),
            dict(what="gradients, bfloat16 of PyTorch's autocast", distance=peer["bf16"]["whole"], worst=peer["bf16"]["worst"], worst_name=peer["bf16"]["worst_name"]),
        ]
        return rows, all(not row.get("bound") or row["distance"] <= row["bound"] for row in rows)

    def flops_per_token(self):
        """The model's work a token of the timed steps, as docs/training.md counts it."""
        s, work, tokens = self.size, 0, 0
        with open(self.steps) as file:
            timed = [json.loads(line) for line in file][s["warmup"]:]
        for x in (x for step in timed for x in step):
            n, sep = len(x["input"]), x["sep"]
            pairs = sep * sep + (n * (n + 1) - sep * (sep + 1)) // 2
            h, layers = s["hidden"], s["layers"]
            work += 3 * (24 * layers * h * h * n + 4 * layers * h * pairs + 2 * s["vocab"] * h * (n - sep))
            tokens += n
        return work / tokens

    def speed(self):
        """Times everybody in turns; returns rows."""
        s = self.size
        rows = [dict(what="glmkit", rates=[]), dict(what="PyTorch eager", mode="eager", rates=[]), dict(what="torch.compile", mode="compiled", rates=[])]
        if hasattr(torch.nn.functional, "scaled_dot_product_attention"):
            rows[1]["what"] += ", SDPA"
        else:
            rows[1]["note"] = f"PyTorch {torch.__version__} has no scaled_dot_product_attention: single operations"
        if not hasattr(torch, "compile"):
            rows[2]["missing"] = f"PyTorch {torch.__version__} has no torch.compile"
        for i in range(self.args.rounds):
            for row in rows:
                if "missing" in row:
                    continue
                say(f"round {i + 1} of {self.args.rounds}: {row['what']}")
                if "mode" not in row:
                    out = self.work / f"round-{i}"
                    lines = self.train(out, s["warmup"] + s["steps"], "train.optimizer.lr=4e-4", f"compute.precision={self.args.precision}", *self.args.set, dropout=0.1)
                    first, last = lines[s["warmup"] - 1], lines[-1]
                    row["rates"].append((last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"]))
                    row["memory_bytes"] = max(row.get("memory_bytes", 0), last.get("memory_bytes", 0))
                    with open(out / "env.jsonl") as file:
                        self.environment_line = json.loads(file.readline())
                    continue
                try:
                    got = self.peer(row["mode"], "--warmup", s["warmup"])
                except SystemExit:
                    if row["mode"] != "compiled":
                        raise
                    # It needs a compiler and more of Python than the others.
                    row["missing"] = "torch.compile failed, see the messages above"
                    continue
                row["rates"].append(got["tokens_per_s"])
                row["memory_bytes"] = max(row.get("memory_bytes", 0), got.get("memory_bytes", 0))
        each = self.flops_per_token()
        peak = self.environment_line.get("peak_flops", 0)
        for row in rows:
            if row["rates"]:
                row["rate"] = statistics.median(row["rates"])
                row["mfu"] = row["rate"] * each / peak if peak else None
                row["ratio"] = statistics.median(a / b for a, b in zip(rows[0]["rates"], row["rates"]))
        return rows


def markdown(report):
    """The report as text."""
    s = report["size"]
    out = [f"# GPU check, {report['date']}, glmkit {report['glmkit']}", ""]
    if report["device"] == "cpu":
        out += ["**No GPU here, so no GPU figure exists.** What follows is a model of two layers on", "the CPU: it shows that the check works, and measures nothing.", ""]
    out += [f"- {key}: {value}" for key, value in report["machine"].items() if value]
    out += ["", "## Parity", "", "The same weights and batch, no dropout. Distances are relative; of gradients, the norm of the",
            "difference of all parameters together, and that of the worst single parameter.", "",
            "| what | glmkit | PyTorch float32 | distance | at most | worst parameter |", "|---|---|---|---|---|---|"]
    for row in report["parity"]:
        value = lambda key, form: format(row[key], form) if row.get(key) is not None else ""
        worst = f"{row['worst']:.1e} {row['worst_name']}" if "worst" in row else ""
        out.append(f"| {row['what']} | {value('glmkit', '.6f')} | {value('peer', '.6f')} | {row['distance']:.1e} | {value('bound', '.1e')} | {worst} |")
    out += ["", "Equal within these bounds." if report["equal"] else "**Not equal.**", "", "## Speed", "",
            f"{s['layers']} layers of {s['hidden']}, {s['vocab']} words, {s['batch']} windows of {s['window']} tokens a step, AdamW, dropout 0.1, {report['precision']};",
            f"{s['steps']} steps after {s['warmup']}. Medians of {report['rounds']} rounds, in each of which all ran in turns.", "",
            "| who | tok/s | glmkit beside it | MFU | memory |", "|---|---|---|---|---|"]
    for row in report["speed"]:
        if "missing" in row:
            out.append(f"| {row['what']} | not measured: {row['missing']} | | | |")
            continue
        mfu = "" if row["mfu"] is None else f"{100 * row['mfu']:.1f} %"
        memory = f"{row['memory_bytes'] / 2**30:.2f} GiB" if row["memory_bytes"] else ""
        out.append(f"| {row['what']} | {row['rate']:.0f} | {row['ratio']:.2f}× | {mfu} | {memory} |")
    out += [""] + [f"{row['what']}: {row['note']}." for row in report["speed"] if "note" in row]
    if report["device"] != "cpu":
        out += ["", "Memory: glmkit's is all that is taken of the device, the peers' what PyTorch has allocated.", "",
                "Goals: ≥ 1.3× beside eager, ≥ 1× beside torch.compile, MFU ≥ 50 %."]
    return "\n".join(out).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--glmkit", type=pathlib.Path, default=HERE / "glmkit", help="the program to check")
    parser.add_argument("--sequences", type=pathlib.Path, default=HERE / "train", help="the built bench/train")
    parser.add_argument("--peer", type=pathlib.Path, default=HERE / "peer.py")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="folder")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, help="windows of a step (32; 4 on a CPU)")
    parser.add_argument("--steps", type=int, help="timed steps of a round")
    parser.add_argument("--warmup", type=int, help="steps before them")
    parser.add_argument("--threads", type=int, help="of CPU operations")
    parser.add_argument("--precision", default="bfloat16", help="of glmkit's timed runs: bfloat16 or float16")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for glmkit's timed runs, as in compute.attention=libtorch")
    args = parser.parse_args()
    for path in (args.glmkit, args.sequences, args.peer):
        if not path.exists():
            raise SystemExit(f"gpu-check: there is no {path}; try: make gpu-check")
    args.glmkit, args.sequences = args.glmkit.resolve(), args.sequences.resolve()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu-check: PyTorch sees no GPU; --device auto checks on the CPU, reduced")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        check = Check(args, pathlib.Path(work))
        if check.device == "cpu":
            say("no GPU: a reduced check on the CPU; no GPU figure exists")
        doctor = check.doctor()
        version = check.run(args.glmkit, "version").split("\n")[0].removeprefix("glmkit ")
        check.prepare()
        parity, equal = check.parity()
        speed = check.speed()
    report = {
        "date": datetime.date.today().isoformat(), "glmkit": version, "device": check.device, "precision": args.precision, "rounds": args.rounds, "size": check.size,
        "machine": {
            "device": torch.cuda.get_device_name() if check.device == "cuda" else check.environment_line.get("processor", "CPU"),
            "driver": driver(check.device), "PyTorch": torch.__version__, "CUDA of PyTorch": torch.version.cuda, "libtorch of glmkit": check.environment_line["libtorch"],
            "attention of glmkit": check.environment_line["attention"], "steps decided on": check.environment_line["step_decided_on"],
            "Python": platform.python_version(), "options": " ".join(args.set), "load at the end": f"{os.getloadavg()[0]:.1f}",
        },
        "parity": parity, "equal": equal, "speed": speed, "doctor": doctor,
    }
    text = markdown(report)
    print(text)
    args.results.mkdir(parents=True, exist_ok=True)
    name = f"{report['date']}-gpu-check-{version.split()[0].strip('()')}" + ("-reduced" if check.device == "cpu" else "")
    for suffix, content in ((".md", text), (".json", json.dumps(report, indent=1) + "\n")):
        path = args.results / (name + suffix)
        part = path.with_name("." + path.name)
        part.write_text(content)
        part.rename(path)
    say(f"written to {args.results / name}.md and .json")
    if not equal:
        raise SystemExit("gpu-check: glmkit and PyTorch do not compute the same")


def driver(device):
    if device == "cpu":
        return ""
    try:
        return subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.split("\n")[0]
    except OSError:
        return ""


main()
