"""Checks glmkit against PyTorch on a GPU, and times them side by side.

    check.py [--glmkit ./glmkit --sequences ./train]

In parts, each of which goes on where another one has failed:

    machine     what glmkit's doctor says of it
    parity      from the same weights and batch, without dropout, the loss and the
                gradient of every parameter, beside a re-statement in PyTorch: in every
                precision, every form of attention, with steps decided on the host and on
                the device, with layers computed again
    speed       GLM-Large in bfloat16, dropout on, by glmkit, by PyTorch eager with
                scaled_dot_product_attention, and by torch.compile, in turns on the same
                sequences; medians of the rounds
    choices     the speed of the ways that glmkit did not take, once each
    evaluation  finetuning, scores and perplexity, the same on the device and on a CPU
    generation  tokens a second, one after the other
    tests       of glmkit's tensor layer, NCCL among them, where the program is beside this file

The results are kept, as Markdown and JSON, after each part: what is there when the
time (--minutes) or the machine ends is what was found. A program that hangs is stopped
after half of the time. By default everything is beside this file, as
bench/gpu/run.sh --carry puts it. Without a GPU it does the same with a model of two
layers on the CPU, which tests this program and measures nothing.

--sequences is the built program of bench/train. Nothing else is needed but
Python with PyTorch and numpy: no Go, no network, no data. Where glmkit does not
find its libtorch, that of this Python's torch package is given to it. It ends with 1
where a part failed or numbers differ.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

try:
    import torch
except ImportError:
    sys.exit("gpu-check: Python has no torch; PYTHON=/path/python3 of one that has (Debian: apt-get install python3-torch)")

HERE = pathlib.Path(__file__).resolve().parent

# What is trained: on a GPU GLM-Large as the paper has it, on a CPU something that
# takes seconds. Gradients are compared on two layers of it and some of the batch.
LARGE = dict(preset="glm-large", layers=24, hidden=1024, heads=16, vocab=30592, window=512, batch=32, warmup=8, steps=24, documents=20000, written=128)
REDUCED = dict(preset="glm-demo", layers=2, hidden=64, heads=2, vocab=1024, window=64, batch=4, warmup=1, steps=2, documents=300, written=16)
SMALL = dict(layers=2, batch=8)

BETA1, BETA2 = 0.9, 0.98  # those of peer.py

# Relative distances of gradients (Euclidean norm, all parameters together): in
# float32, and in half precision beside that of PyTorch's own autocast to bfloat16.
EXACT, HALF_FACTOR, HALF_SLACK = 1e-3, 1.5, 2e-3
LOSS, HALF_LOSS = 1e-4, 1e-2
# Log-probabilities of answers, in nats, and perplexities, relative: both devices
# compute in float32.
ANSWERS, PERPLEXITY = 1e-3, 1e-4

# No program may take more than this share of the time, so that one that hangs costs no
# more; one step of a small model not more than that one. What runs when the time is
# over has so many seconds still.
SHARE, SMALL_SHARE, GRACE = 0.5, 0.15, 45

# glmkit's ways to compute the same: what it is called, precision, settings.
WAYS = [
    ("float32", "float32", []),
    ("float32, plain attention", "float32", ["compute.attention=plain"]),
    ("float32, libtorch's attention", "float32", ["compute.attention=libtorch"]),
    ("bfloat16", "bfloat16", []),
    ("bfloat16, plain attention", "bfloat16", ["compute.attention=plain"]),
    ("bfloat16, libtorch's attention", "bfloat16", ["compute.attention=libtorch"]),
    ("bfloat16, packed attention", "bfloat16", ["compute.attention=packed"]),
    ("bfloat16, steps decided on the host", "bfloat16", ["compute.step=host"]),
    ("bfloat16, steps decided on the device", "bfloat16", ["compute.step=device"]),
    ("bfloat16, layers computed again", "bfloat16", ["compute.checkpoint_activations=true"]),
    ("float16", "float16", []),
]


def say(text):
    print("gpu-check: " + text, file=sys.stderr, flush=True)


class Failed(Exception):
    """A program that failed; code is its exit code, complaint what it said."""

    def __init__(self, command, code, complaint):
        self.code, self.complaint = code, complaint.strip()
        words = " ".join(pathlib.Path(str(c)).name if i == 0 else str(c) for i, c in enumerate(command[:3]))
        super().__init__(f"{words} … ended with {code}: {self.last()}")

    def last(self):
        """The line that says most: glmkit's error, else the last one."""
        lines = [line for line in self.complaint.splitlines() if line.strip()]
        ours = [line for line in lines if line.startswith("glmkit: ")]
        return (ours or lines or ["it said nothing"])[-1]


class Check:
    def __init__(self, args, work):
        self.args, self.work, self.began = args, work, time.monotonic()
        self.environment, self.environment_line = dict(os.environ), {}
        self.device = args.device
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.size = dict(REDUCED if self.device == "cpu" else LARGE)
        for name in ("batch", "steps", "warmup"):
            if getattr(args, name):
                self.size[name] = getattr(args, name)
        self.small = dict(self.size, layers=min(SMALL["layers"], self.size["layers"]), batch=min(SMALL["batch"], self.size["batch"]), steps=1, warmup=0)
        self.version, self.machine = "unknown", ""
        self.lost = False  # glmkit has not the device that PyTorch has
        self.parity, self.speed, self.choices, self.facts, self.parts = [], [], [], [], []

    def left(self):
        """Seconds until no more is begun."""
        return 60 * self.args.minutes - (time.monotonic() - self.began)

    def run(self, *command, share=SHARE, **more):
        """Runs a program and returns what it prints. One that hangs is stopped: it has
        a share of the time, and no more than is left and a little."""
        command = [str(c) for c in command]
        limit = max(min(share * 60 * self.args.minutes, self.left() + GRACE), 1)
        child = subprocess.Popen(command, env=dict(self.environment, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            out, complaint = child.communicate(timeout=limit)
        except BaseException as e:
            os.killpg(child.pid, signal.SIGKILL)  # with the compilers that it may have started
            child.wait()
            if isinstance(e, subprocess.TimeoutExpired):
                raise Failed(command, "the end of the time", f"stopped after {limit:.0f} s") from None
            raise
        if child.returncode != 0:
            complaint = complaint or out
            sys.stderr.write(complaint[-4000:])
            raise Failed(command, child.returncode, complaint)
        return out

    def part(self, name, work):
        """Does one part, if it is asked for, and notes how it went; keeps the report so far."""
        if self.args.parts and name.split(",")[0] not in self.args.parts:
            return False
        part = {"part": name}
        began = time.monotonic()
        if self.left() <= 0:
            part["problem"] = f"left out: the {self.args.minutes:g} minutes are over (--minutes)"
        else:
            say(name)
            try:
                work()
            except Failed as e:
                part["problem"] = str(e)
            except Exception as e:  # one part's mistake must not cost the others
                traceback.print_exc()
                part["problem"] = f"{type(e).__name__}: {e}"
        part["seconds"] = round(time.monotonic() - began, 1)
        if "problem" in part:
            say(f"{name}: {part['problem']}")
        self.parts.append(part)
        self.save()
        return "problem" not in part

    def fact(self, what, value, wrong=None):
        """Notes something that was found; wrong says why it should not be."""
        self.facts.append(dict(what=what, value=value, **({"wrong": wrong} if wrong else {})))

    def look(self):
        """glmkit's version; gives it this Python's libtorch if it needs one."""
        command = [self.args.glmkit, "version"]
        try:
            self.version = self.run(*command).split("\n")[0].removeprefix("glmkit ")
        except Failed:
            library = pathlib.Path(torch.__file__).parent / "lib"
            self.environment["LD_LIBRARY_PATH"] = f"{library}:{self.environment.get('LD_LIBRARY_PATH', '')}"
            self.version = self.run(*command).split("\n")[0].removeprefix("glmkit ")

    def examine(self):
        """What glmkit's doctor says of the machine."""
        try:
            self.machine = self.run(self.args.glmkit, "doctor", "--device", self.device, "--config", self.size["preset"], share=SMALL_SHARE)
        except Failed as e:
            if e.code == 4 and self.device == "cuda":
                self.lost = True
                self.fact("device", e.last().removeprefix("glmkit: "), "PyTorch sees a GPU, glmkit does not (docs/devices.md: Checking a GPU)")
            raise
        built = re.search(r"^libtorch +([0-9]+\.[0-9]+)", self.machine, re.M)
        if built and not torch.__version__.startswith(built[1] + "."):
            self.fact("releases", f"glmkit's libtorch {built[1]}, PyTorch {torch.__version__}", "glmkit was built for another release than runs here" if self.device == "cuda" else None)

    def prepare(self):
        self.world, self.vocabulary, self.corpus = (self.work / name for name in ("world", "vocab.txt", "corpus"))
        s = self.size
        self.run(self.args.glmkit, "prepare", "microworld", "--documents", s["documents"], "--held", 8, "--out", self.world)
        self.run(self.args.glmkit, "prepare", "vocab", self.world / "corpus.jsonl", "--size", 1000, "--out", self.vocabulary)
        self.run(self.args.glmkit, "prepare", "corpus", self.world / "corpus.jsonl", "--config", s["preset"], "--set", f"data.seq_length={s['window']}",
                 "--tokenizer", self.vocabulary, "--out", self.corpus)
        self.steps, self.one_step = self.work / "steps.jsonl", self.work / "step.jsonl"
        for path, size in ((self.steps, s), (self.one_step, self.small)):
            path.write_text(self.run(self.args.sequences, "--steps", size["warmup"] + size["steps"], "--batch", size["batch"], self.corpus))

    def pretraining(self, size, out, sets, dropout=0.0):
        """The command that trains a model of a size, and its settings."""
        steps = size["warmup"] + size["steps"]
        command = [self.args.glmkit, "train", "pretrain", "--config", size["preset"], "--data", self.corpus, "--out", out, "--device", self.device]
        if self.args.threads:
            command += ["--threads", self.args.threads]
        settings = [f"model.{key}={size[key]}" for key in ("layers", "hidden", "heads", "vocab")]
        settings += [f"model.dropout={dropout}", f"model.attention_dropout={dropout}", f"train.steps={steps}", f"train.batch_size={size['batch']}",
                     "train.micro_batch=0", "train.log_every=1", f"train.save_every={steps}", "train.schedule.kind=constant",
                     f"train.optimizer.beta1={BETA1}", f"train.optimizer.beta2={BETA2}", "train.valid_every=0", *sets]
        return command + [word for setting in settings for word in ("--set", setting)]

    def train(self, size, out, *sets, start=None, dropout=0.0):
        """Runs glmkit; returns the run's lines of metrics and of its environment."""
        self.run(*self.pretraining(size, out, sets, dropout), *(["--from", start] if start else []), share=SMALL_SHARE if size is self.small else SHARE)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return lines, json.loads((out / "env.jsonl").read_text().splitlines()[0])

    def peer(self, mode, steps, weights, *more):
        command = [sys.executable, self.args.peer, mode, "--steps", steps, "--weights", weights, "--heads", self.size["heads"],
                   "--device", self.device, "--threads", self.args.threads or os.cpu_count()]
        return json.loads(self.run(*command, *more).splitlines()[-1])

    def checkpoint(self, run, name):
        return run / "checkpoints" / (run / "latest").read_text().strip() / name

    def start(self):
        """A small model after one step: random weights would hide what vanishes in them."""
        first = self.work / "first"
        if not first.exists():
            self.train(self.small, first, "train.optimizer.lr=1e-3", "compute.precision=float32")
        return first

    def compare(self):
        """Compares losses and gradients of each of glmkit's ways with PyTorch's."""
        first = self.start()
        weights, moments, compared = self.checkpoint(first, "model.safetensors"), [], []
        for what, precision, sets in WAYS:
            row = dict(what=what)
            self.parity.append(row)
            run = self.work / "way"
            try:
                lines, line = self.train(self.small, run, "train.optimizer.clip_norm=0", f"compute.precision={precision}", *sets, start=first)
            except Failed as e:
                # 4: this machine or this libtorch has it not.
                row["missing" if e.code == 4 else "problem"] = e.last().removeprefix("glmkit: ")
                continue
            row.update(loss=lines[0]["loss"], attention=line["attention"], step=line["step_decided_on"])
            if json.loads(self.checkpoint(run, "state.json").read_text()).get("skipped"):
                row["missing"] = "the first step was left out: its gradient overflowed, as the scale of 65,536 may"
                continue
            path = self.work / f"moments-{len(moments)}.safetensors"
            self.checkpoint(run, "optimizer.safetensors").rename(path)
            moments.append(path)
            compared.append((row, precision))
            shutil.rmtree(run)
        peer = self.peer("gradients", self.one_step, weights, "--moments", *moments)
        half = HALF_FACTOR * peer["bf16"]["whole"] + HALF_SLACK
        for (row, precision), found in zip(compared, peer["moments"]):
            exact = precision == "float32"
            row.update(peer=peer["loss"], off=abs(row["loss"] / peer["loss"] - 1), off_bound=LOSS if exact else HALF_LOSS, distance=found["whole"],
                       bound=EXACT if exact else half, worst=found["worst"], worst_name=found["worst_name"])
            # A comparison with what is no number is false.
            if not (row["off"] <= row["off_bound"] and row["distance"] <= row["bound"]):
                row["problem"] = "too far"
        self.parity.append(dict(what="PyTorch's autocast to bfloat16", distance=peer["bf16"]["whole"], worst=peer["bf16"]["worst"], worst_name=peer["bf16"]["worst_name"], peer=peer["loss"]))
        for path in moments:
            path.unlink()

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

    def timed(self, row, *sets):
        """Trains glmkit once and adds its rate to a row."""
        s, out = self.size, self.work / "timed"
        shutil.rmtree(out, ignore_errors=True)
        lines, line = self.train(s, out, "train.optimizer.lr=4e-4", *sets, dropout=0.1)
        first, last = lines[s["warmup"] - 1], lines[-1]
        row.setdefault("rates", []).append((last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"]))
        row["memory_bytes"] = max(row.get("memory_bytes", 0), last.get("memory_bytes", 0))
        row["data_wait"] = statistics.mean(x["data_wait"] for x in lines[s["warmup"]:])
        row["attention"], row["step"] = line["attention"], line["step_decided_on"]
        self.peak = line.get("peak_flops", 0)
        return line

    def settle(self, row):
        """Turns a row's rates into what the table shows."""
        if row.get("rates"):
            row["rate"] = statistics.median(row["rates"])
            row["mfu"] = row["rate"] * self.flops_per_token() / self.peak if self.peak else None

    def begin_speed(self):
        self.speed = [dict(what="glmkit", rates=[]), dict(what="PyTorch eager", mode="eager", rates=[]), dict(what="torch.compile", mode="compiled", rates=[])]
        if hasattr(torch.nn.functional, "scaled_dot_product_attention"):
            self.speed[1]["what"] += ", SDPA"
        else:
            self.speed[1]["note"] = f"PyTorch {torch.__version__} has no scaled_dot_product_attention: single operations"
        if not hasattr(torch, "compile"):
            self.speed[2]["missing"] = f"PyTorch {torch.__version__} has no torch.compile"

    def round(self):
        """Times everybody once, in turns."""
        ours = [f"compute.precision={self.args.precision}", *self.args.set]
        for row in self.speed:
            if "missing" in row:
                continue
            say("  " + row["what"])
            if "mode" not in row:
                self.environment_line = self.timed(row, *ours)
                weights = self.checkpoint(self.work / "timed", "model.safetensors")
            else:
                try:
                    got = self.peer(row["mode"], self.steps, weights, "--warmup", self.size["warmup"])
                except Failed as e:
                    row["missing"] = e.last()  # torch.compile needs a compiler and more of Python than the others
                    continue
                row["rates"].append(got["tokens_per_s"])
                row["memory_bytes"] = max(row.get("memory_bytes", 0), got.get("memory_bytes", 0))
            self.settle(row)
            pairs = list(zip(self.speed[0]["rates"], row["rates"]))
            row["ratio"] = statistics.median(a / b for a, b in pairs)
            self.save()

    def choose(self):
        """Times glmkit's other ways once each, and compares the estimate of memory."""
        plan = self.run(*self.pretraining(self.size, self.work / "planned", [f"compute.precision={self.args.precision}", *self.args.set], dropout=0.1), "--dry-run")
        estimate = re.search(r"^memory +about ([\d.]+) ([kMGT]?B)", plan, re.M)
        if estimate and self.speed and self.speed[0].get("memory_bytes"):
            memory = self.speed[0]["memory_bytes"]
            bytes_ = float(estimate[1]) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[estimate[2]]
            self.fact("memory", f"estimated {estimate[1]} {estimate[2]}, {memory / 1e9:.2f} GB taken: {memory / bytes_:.2f} times the estimate")
        taken = [f"compute.{key}={self.speed[0].get(key)}" for key in ("attention", "step")] if self.speed else []
        for what, precision, sets in WAYS:
            if precision == "float32" or precision == self.args.precision and all(setting in taken for setting in sets):
                continue  # the latter is the one of the table
            if self.left() < 30:
                self.choices.append(dict(what=what, missing="no time was left"))
                continue
            row = dict(what=what)
            self.choices.append(row)
            try:
                self.timed(row, f"compute.precision={precision}", *sets)
            except Failed as e:
                row["missing" if e.code == 4 else "problem"] = e.last().removeprefix("glmkit: ")
            self.settle(row)
            self.save()

    def evaluate(self):
        """Finetunes on the device, and answers there and on the CPU."""
        glmkit, first, tasks, tuned = self.args.glmkit, self.start(), self.work / "tasks", self.work / "tuned"
        self.run(glmkit, "prepare", "task", "CB", "--data", self.world / "tasks", "--config", self.size["preset"], "--tokenizer", self.vocabulary, "--out", tasks)
        self.run(glmkit, "train", "finetune", "--from", first, "--tasks", tasks, "--task", "CB", "--config", self.size["preset"], "--set", "finetune.tasks.cb.max_steps=10",
                 "--set", "finetune.tasks.cb.batch_size=16", "--set", f"model.layers={self.small['layers']}", "--set", f"model.hidden={self.small['hidden']}",
                 "--set", f"model.heads={self.small['heads']}", "--device", self.device, "--out", tuned)
        held, answers, perplexities = self.world / "valid.jsonl", [], []
        for device in (self.device, "cpu"):
            out = self.work / f"answers-{len(answers)}"
            self.run(glmkit, "eval", tuned, "--tasks", tasks, "--device", device, "--out", out)
            answers.append([json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()])
            text = self.run(glmkit, "eval", "perplexity", first, "--text", held, "--format", "jsonl", "--context", "bidirectional", "--json", "--device", device)
            perplexities.append(json.loads(text.splitlines()[0])["ppl"])
        scores = [[x for answer in each for x in answer["scores"]] for each in answers]
        if not scores[0] or len(scores[0]) != len(scores[1]):
            raise RuntimeError(f"{len(scores[0])} and {len(scores[1])} scores of answers")
        apart = max(abs(a - b) for a, b in zip(*scores))
        self.fact("answers", f"log-probabilities of {len(answers[0])} answers on {self.device} and on the CPU: {apart:.1e} apart, at most {ANSWERS:g}", None if apart <= ANSWERS else "too far")
        off = abs(perplexities[0] / perplexities[1] - 1)
        self.fact("perplexity", f"{perplexities[0]:.4f} on {self.device}, {perplexities[1]:.4f} on the CPU: {off:.1e} apart, at most {PERPLEXITY:g}", None if off <= PERPLEXITY else "too far")

    def write(self):
        """How fast the model of the timed runs writes."""
        n = self.size["written"]
        out = self.run(self.args.glmkit, "fill", self.work / "timed", "the [MASK]", "--device", self.device, "--min-tokens", n, "--max-tokens", n + 1, "--rate", "--json")
        self.fact("generation", f"{json.loads(out.splitlines()[-1])['tokens_per_s']:.1f} tokens/s, one text of {n} tokens, {self.size['layers']} layers")

    def test(self):
        try:
            out = self.run(self.args.tests, "-test.v", "-test.timeout", "120s")
        except Failed as e:
            for name in re.findall(r"^--- FAIL: (\S+)", e.complaint, re.M):
                self.fact("test", name, "failed")
            raise
        self.fact("tests", f"{len(re.findall(r'^--- PASS', out, re.M))} passed, {len(re.findall(r'^--- SKIP', out, re.M))} skipped")

    def problems(self):
        """What went wrong, a line each."""
        found = [f"{part['part']}: {part['problem']}" for part in self.parts if "problem" in part]
        found += [f"{row['what']}: {row['problem']}" for row in self.parity + self.choices if "problem" in row]
        return found + [f"{fact['what']}: {fact['wrong']}: {fact['value']}" for fact in self.facts if "wrong" in fact]

    def save(self):
        """Writes the report as it is now."""
        line = self.environment_line
        report = {
            "date": datetime.date.today().isoformat(), "glmkit": self.version, "device": self.device, "precision": self.args.precision, "size": self.size,
            "machine": {
                "device": torch.cuda.get_device_name() if self.device == "cuda" else line.get("processor", "CPU"),
                "driver": driver(self.device), "PyTorch": torch.__version__, "CUDA of PyTorch": torch.version.cuda, "libtorch of glmkit": line.get("libtorch"),
                "attention of glmkit": line.get("attention"), "steps decided on": line.get("step_decided_on"), "cores": os.cpu_count(),
                "Python": platform.python_version(), "options": " ".join(self.args.set), "load at the end": f"{os.getloadavg()[0]:.1f}",
            },
            "seconds": round(time.monotonic() - self.began), "problems": self.problems(), "parts": self.parts, "parity": self.parity, "speed": self.speed,
            "choices": self.choices, "facts": self.facts, "doctor": self.machine,
        }
        self.text = markdown(report)
        self.args.results.mkdir(parents=True, exist_ok=True)
        self.name = f"{report['date']}-gpu-check-{self.version.split()[0].strip('()')}" + ("-reduced" if self.device == "cpu" else "")
        for suffix, content in ((".md", self.text), (".json", json.dumps(report, indent=1) + "\n")):
            path = self.args.results / (self.name + suffix)
            part = path.with_name("." + path.name)
            part.write_text(content)
            part.rename(path)


def cells(*values):
    return "| " + " | ".join(values) + " |"


def number(row, key, form):
    return format(row[key], form) if row.get(key) is not None else ""


def rates(row):
    """The cells of a timed row."""
    why = row.get("missing") or row.get("problem")
    if why and "rate" not in row:
        return [f"not measured: {why}", "", "", ""]
    mfu = "" if row.get("mfu") is None else f"{100 * row['mfu']:.1f} %"
    memory = f"{row['memory_bytes'] / 2**30:.2f} GiB" if row.get("memory_bytes") else ""
    return [number(row, "rate", ".0f"), f"{row['ratio']:.2f}×" if "ratio" in row else "", mfu, memory]


def markdown(report):
    """The report as text."""
    s = report["size"]
    out = [f"# GPU check, {report['date']}, glmkit {report['glmkit']}", ""]
    if report["device"] == "cpu":
        out += ["**No GPU here, so no GPU figure exists.** What follows is a model of two layers on", "the CPU: it shows that the check works, and measures nothing.", ""]
    out += [f"- {key}: {value}" for key, value in report["machine"].items() if value]
    out += ["", f"{report['seconds']} seconds: " + ", ".join(f"{part['part']} {part['seconds']:g}" for part in report["parts"]) + "."]
    if report["problems"]:
        out += ["", "**Not as it should be:**", ""] + [f"- {problem}" for problem in report["problems"]]
    if report["parity"]:
        out += ["", "## Parity", "", f"The same weights and batch, no dropout, {SMALL['layers']} layers. Distances are relative, to PyTorch in float32; of gradients, the norm",
                "of the difference of all parameters together, and that of the worst single parameter.", "",
                cells("glmkit", "attention", "steps on", "loss", "PyTorch's", "distance", "at most", "gradients", "at most", "worst parameter"), "|---" * 10 + "|"]
        for row in report["parity"]:
            if "missing" in row or "distance" not in row:
                out.append(cells(row["what"], "", "", f"not compared: {row.get('missing') or row.get('problem', '')}", *[""] * 6))
                continue
            out.append(cells(row["what"], row.get("attention", ""), row.get("step", ""), number(row, "loss", ".6f"), number(row, "peer", ".6f"), number(row, "off", ".1e"),
                             number(row, "off_bound", ".1e"), number(row, "distance", ".1e"), number(row, "bound", ".1e"), f"{row['worst']:.1e} {row['worst_name']}"))
    if report["speed"] and report["speed"][0]["rates"]:
        rounds = len(report["speed"][0]["rates"])
        out += ["", "## Speed", "", f"{s['layers']} layers of {s['hidden']}, {s['vocab']} words, {s['batch']} windows of {s['window']} tokens a step, AdamW, dropout 0.1, {report['precision']};",
                f"{s['steps']} steps after {s['warmup']}. Medians of {rounds} rounds, in each of which all ran in turns.", "",
                cells("who", "tok/s", "glmkit beside it", "MFU", "memory"), "|---" * 5 + "|"]
        out += [cells(row["what"], *rates(row)) for row in report["speed"]]
        notes = [f"{row['what']}: {row['note']}." for row in report["speed"] if "note" in row]
        out += [""] * bool(notes) + notes
    if report["device"] != "cpu":
        out += ["", "Memory: glmkit's is all that is taken of the device, the peers' what PyTorch has allocated.", "",
                "Goals: ≥ 1.3× beside eager, ≥ 1× beside torch.compile, MFU ≥ 50 %."]
    if report["choices"]:
        out += ["", "Other ways of glmkit, one run each:", "", cells("glmkit", "attention", "steps on", "tok/s", "MFU", "memory"), "|---" * 6 + "|"]
        for row in report["choices"]:
            rate, _, mfu, memory = rates(row)
            out.append(cells(row["what"], row.get("attention", ""), row.get("step", ""), rate, mfu, memory))
    if report["facts"]:
        out += ["", "## Besides", ""] + [f"- {fact['what']}: {fact['value']}" for fact in report["facts"]]
    if report["doctor"]:
        out += ["", "```", *report["doctor"].rstrip().splitlines(), "```"]
    return "\n".join(out).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--glmkit", type=pathlib.Path, default=HERE / "glmkit", help="the program to check")
    parser.add_argument("--sequences", type=pathlib.Path, default=HERE / "train", help="the built bench/train")
    parser.add_argument("--tests", type=pathlib.Path, default=HERE / "devices.test", help="the built tests of runner/internal/torch; none: left out")
    parser.add_argument("--peer", type=pathlib.Path, default=HERE / "peer.py")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="folder")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--minutes", type=float, default=8, help="begin nothing after so many (8)")
    parser.add_argument("--parts", type=lambda text: text.split(","), help="only these, separated by commas: " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, help="windows of a step (32; 4 on a CPU)")
    parser.add_argument("--steps", type=int, help="timed steps of a round")
    parser.add_argument("--warmup", type=int, help="steps before them")
    parser.add_argument("--threads", type=int, help="of CPU operations")
    parser.add_argument("--precision", default="bfloat16", help="of glmkit's timed runs: bfloat16 or float16")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for glmkit's timed runs, as in compute.attention=libtorch")
    args = parser.parse_args()
    for name in args.parts or []:
        if name not in PARTS:
            parser.error(f"there is no part {name}: " + ", ".join(PARTS))
    args.parts = args.parts and ["version", "machine", "corpus", *args.parts]
    for path in (args.glmkit, args.sequences, args.peer):
        if not path.exists():
            raise SystemExit(f"gpu-check: there is no {path}; try: make gpu-check")
    args.glmkit, args.sequences, args.tests = args.glmkit.resolve(), args.sequences.resolve(), args.tests.resolve()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu-check: PyTorch sees no GPU; --device auto checks on the CPU, reduced")
    def end(number, frame):
        raise SystemExit("gpu-check: interrupted")  # so that nothing is left behind

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", dir=roomy()) as work:
        check = Check(args, pathlib.Path(work))
        if check.device == "cpu":
            say("no GPU: a reduced check on the CPU; no GPU figure exists")
        try:
            follow(check)
        finally:
            if check.parts:
                print(check.text)
                say(f"written to {args.results / check.name}.md and .json")
    if check.problems():
        raise SystemExit("gpu-check: " + "\ngpu-check: ".join(check.problems()))


PARTS = ["parity", "speed", "generation", "choices", "evaluation", "tests"]


def follow(check):
    """All parts, the most telling first."""
    if not check.part("version", check.look):
        return
    check.part("machine", check.examine)
    if check.lost or not check.part("corpus", check.prepare):
        return
    check.part("parity", check.compare)
    check.begin_speed()
    timed = check.part("speed, round 1", check.round)
    if timed:
        check.part("generation", check.write)
    check.part("choices", check.choose)
    check.part("evaluation", check.evaluate)
    if check.args.tests.exists():
        check.part("tests", check.test)
    for i in range(2, check.args.rounds + 1):
        # A round that would not end in time is none.
        if timed and check.left() > 60 * (check.device == "cuda"):
            check.part(f"speed, round {i}", check.round)


def roomy():
    """A folder for checkpoints of gigabytes: memory, where there is plenty of it."""
    shared = pathlib.Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 24 * 2**30:
        return shared
    return None


def driver(device):
    if device == "cpu":
        return ""
    try:
        return subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.split("\n")[0]
    except OSError:
        return ""


main()
