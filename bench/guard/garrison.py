"""What the evaluation asks of the program under test: embeddings, the compatible mode, the measured mode."""

import concurrent.futures
import hashlib
import json
import pathlib
import subprocess

import numpy as np

TURNS_PER_FILE = 100  # limits.conversation_turns


class Garrison:
    def __init__(self, binary, work, model=None, jobs=2):
        self.binary, self.work, self.jobs = str(binary), pathlib.Path(work), jobs
        self.model = ["--model", str(model)] if model else []
        self.work.mkdir(parents=True, exist_ok=True)
        self.vectors = {}

    def run(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"guard-eval: garrison {arguments[0]} {arguments[1]} failed: {done.stderr.strip()}")
        return done.stdout

    def embed(self, texts):
        """float32 rows, one a text. Each distinct text is asked for once in a run."""
        new = sorted({text for text in texts if text not in self.vectors})
        if new:
            source, target = self.work / "embed.jsonl", self.work / "embed.npy"
            source.write_text("".join(json.dumps({"text": text}) + "\n" for text in new))
            target.unlink(missing_ok=True)
            self.run("embed", *self.model, "--long-input", "truncate", "--input", source, "--output", target)
            for text, vector in zip(new, np.load(target), strict=True):
                self.vectors[text] = vector
        return np.array([self.vectors[text] for text in texts])

    def projection(self, texts):
        """The compatible mode's plane, fitted on these texts."""
        source, target = self.work / "projection.jsonl", self.work / "projection.json"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        self.run("guard", "train", *self.model, "--long-input", "truncate", "--input", source, "--output", target)
        return target

    def compat(self, conversations, projection=None):
        """The turns of `guard check` of each conversation, a list of {"user", "model"}."""
        options = [*self.model, "--long-input", "truncate", "--format", "json"]
        options += ["--projection", projection] if projection else []

        def check(job):
            number, turns = job
            messages = [{"role": role, "content": turn[side]} for turn in turns
                        for role, side in (("user", "user"), ("assistant", "model")) if turn.get(side)]
            path = self.work / f"check-{number}.json"
            path.write_text(json.dumps({"messages": messages}))
            result = json.loads(self.run("guard", "check", path, *options))["turns"]
            path.unlink()
            return result

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(check, enumerate(conversations)))

    def compat_risk(self, texts, side, projection=None):
        """R of single texts on one side; they meet in one conversation only to save starts: R has no memory."""
        parts = [texts[i:i + TURNS_PER_FILE] for i in range(0, len(texts), TURNS_PER_FILE)]
        results = self.compat([[{side: text} for text in part] for part in parts], projection)
        return np.array([turn["R_" + side] for turns in results for turn in turns])

    # The measured mode, docs/formats/guard-data.md.

    def has_measured(self):
        done = subprocess.run([self.binary, "guard", "score", "--help"], capture_output=True, text=True)
        return done.returncode == 0 and "--guard" in done.stdout

    def train_measured(self, rows, name):
        target = self.work / f"{name}.json"
        self.run("guard", "train", *self.model, "--mode", "measured", "--data", rows, "--output", target)
        return target

    def score_measured(self, guard, dialogues):
        """The parsed line of each dialogue {"id", "turns"}."""
        source = self.work / "score.jsonl"
        source.write_text("".join(json.dumps({"id": d["id"], "turns": d["turns"]}) + "\n" for d in dialogues))
        results = read_scores(self.run("guard", "score", *self.model, "--guard", guard, "--input", source))
        if [r["id"] for r in results] != [d["id"] for d in dialogues]:
            raise SystemExit("guard-eval: garrison guard score did not answer every dialogue in order")
        return results


def read_scores(text):
    return [json.loads(line) for line in text.split("\n") if line]


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
