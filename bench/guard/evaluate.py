#!/usr/bin/python3
"""The guard evaluation of PROTOCOL.md for one model.

    bench/guard/evaluate.py build/garrison --rows DIR [--model M] [--guard guard.json] [--rehearse] --results FILE
                            [--write docs/guard-evaluation.md]

DIR is what tools/guard_data.py wrote. The measured mode is trained on DIR unless --guard names a guard file; where the
program has no such mode its rows are "not run". --rehearse reads no test row: calibration stands in for test.
"""

import os

# One thread: sums in one order, the same bits in every run.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

import numpy as np  # noqa: E402

import conversations  # noqa: E402
import metrics  # noqa: E402
import report  # noqa: E402
import rows as row_tools  # noqa: E402
import tracks  # noqa: E402
from garrison import Garrison, sha256  # noqa: E402
from tracks import B11, B12, column  # noqa: E402


def logit(p):
    """Of probabilities; one that was not given (a language outside calibration) says nothing either way: 0."""
    p = np.clip(np.array([0.5 if v is None else v for v in p], dtype=np.float64), 1e-12, 1 - 1e-12)
    return np.log(p / (1 - p))


class Measured:
    """The measured mode behind the shapes that the tracks want; absent, it answers nothing."""

    def __init__(self, garrison, guard):
        self.garrison, self.guard = garrison, guard

    def dialogues(self, dialogues):
        return self.garrison.score_measured(self.guard, dialogues) if self.guard else None

    def rows(self, rows, field):
        """{B11: the probe's log-odds, B12: the log-odds of `field`}, one value a row."""
        if not self.guard:
            return {}
        answers = self.dialogues([{"id": str(i), "turns": [{"user": r["user"], "model": r["model"]}]}
                                  for i, r in enumerate(rows)])
        turns = [a["turns"][0] for a in answers]
        return {B11: column(turns, "log_odds").astype(float), B12: logit([t[field] for t in turns])}

    def alarms(self, rows):
        """The share of texts that alarm as a first turn, of the conversation or of the turn alone."""
        if not self.guard or not rows:
            return None
        answers = self.dialogues([{"id": str(i), "turns": [{"user": r["user"], "model": None}]} for i, r in enumerate(rows)])
        return metrics.share(sum(bool(a["alarm"] or a["turns"][0].get("turn_alert")) for a in answers), len(answers))

    def unable(self, rows):
        """{source: the share of texts that are answered "not calibrated"}"""
        if not self.guard:
            return None
        answers = self.dialogues([{"id": str(i), "turns": [{"user": r["user"], "model": None}]} for i, r in enumerate(rows)])
        by_source = {}
        for row, answer in zip(rows, answers):
            by_source.setdefault(row["source"], []).append(answer["turns"][0].get("calibrated") is False)
        return {source: metrics.share(sum(v), len(v)) for source, v in sorted(by_source.items())}


class Evaluation:
    def __init__(self, args, work):
        self.rows, self.draws, self.work = args.rows, args.draws, work
        self.garrison = Garrison(args.binary, work, args.model, args.jobs)
        self.data = row_tools.Data(args.rows, args.rehearse)
        self.user = {role: [r for r in rows if r.get("user_harmful") is not None] for role, rows in self.data.turns.items()}
        self.reply = {role: [r for r in rows if r.get("reply_risky") is not None] for role, rows in self.data.turns.items()}
        self.projection = self.garrison.projection([r["user"] for r in self.user["fit"]])
        guard = args.guard
        if guard is None and self.garrison.has_measured():
            guard = self.train(lambda split, row: True, "guard")
        self.measured = Measured(self.garrison, guard)

    def train(self, keep, name, change=None, more=()):
        """A guard file from the rows that `keep` wants, turns as `change` makes them, and `more` dialogues of the train
        split; never with a row that stands for test in a rehearsal."""
        folder = pathlib.Path(self.work) / f"rows-{name}"
        folder.mkdir(exist_ok=True)
        for file, roles in (("turns.jsonl", self.data.turns), ("dialogues.jsonl", self.data.dialogues)):
            with open(folder / file, "w", encoding="utf-8") as out:
                for role, split in (("fit", "train"), ("calibration", "calibration")):
                    kept = [r for r in roles[role] if keep(split, r)]
                    if change and file == "turns.jsonl":
                        kept = change(split, kept)
                    if file == "dialogues.jsonl" and split == "train":
                        kept = [*kept, *more]
                    for row in kept:
                        out.write(json.dumps({**row, "split": split}) + "\n")
        return self.garrison.train_measured(folder, name)

    def run(self):
        say = lambda what: print(f"guard-eval: {what}", file=sys.stderr, flush=True)  # noqa: E731
        say("track U")
        user = tracks.UserTrack(self.user["fit"], self.user["calibration"], self.garrison, self.projection)
        held, rows = (self.measured.rows(self.user[role], "p_user") for role in ("calibration", "test"))
        results = {"U": tracks.user_track(user, self.user["test"], {k: (held[k], rows[k]) for k in rows}, self.draws)}
        results["U"]["settings"] = {"words": user.words.strength, "words tried": user.words.tried,
                                    "probe": user.probe.account(), "drift of CUSUM": user.turns.drift}
        results["U"]["notinject"] = self.measured.alarms([r for r in self.user["test"] if r["source"] == "notinject"])
        results["U"]["not calibrated"] = self.measured.unable(self.user["test"])
        results["U"]["xstest"] = self.measured.alarms(
            [r for r in self.user["test"] if r["source"] == "xstest" and r["user_harmful"] == 0])

        say("track R")
        results["R"], replies = {}, {}
        for label, name, field in (("reply_risky", "diasafety", "p_reply"), ("complies", "agreement", "p_complies")):
            fit, calibration, test = ([r for r in self.reply[role] if r[label] is not None and r["source"] == "diasafety"]
                                      for role in ("fit", "calibration", "test"))
            replies[name] = tracks.ReplyTrack(fit, calibration, label, self.garrison, self.projection)
            results["R"][name] = tracks.reply_track(replies[name], test, self.measured.rows(test, field), self.draws)
            results["R"][name]["settings"] = {"words": replies[name].words.strength, "probe": replies[name].probe.account()}
        for source in tracks.GIVEN:
            given = [r for r in self.reply["test"] if r["source"] == source]
            if len({r["reply_risky"] for r in given}) == 2:
                results["R"][source] = tracks.reply_track(
                    replies["diasafety"], given, self.measured.rows(given, "p_reply"), self.draws)
        if self.data.pairs:
            results["R"]["pairs"] = tracks.pair_track(
                lambda rows: replies["diasafety"].scores(rows) | self.measured.rows(rows, "p_reply"),
                self.data.pairs, self.draws)

        say("track C")
        track = conversations.Conversations(user, self.garrison, self.projection, self.data.dialogues["fit"])
        calibration, test = self.data.dialogues["calibration"], self.data.dialogues["test"]
        results["C"] = conversations.conversation_track(track, calibration, test, self.measured.dialogues, self.draws)
        own = conversations.conditions(test)["whole"]
        answers = self.measured.dialogues(own)
        results["C"]["shipped"] = conversations.shipped(answers, own) if answers else None

        say("controls")
        results["controls"] = {
            "order and role": conversations.order_and_role(
                track, conversations.conditions(test)["equal"], self.measured.dialogues, self.draws),
            "shuffled labels": self.shuffled_labels(user),
            "held out": self.held_out(user, replies["diasafety"])}
        results["deterministic"] = self.deterministic(test[:50])
        return results

    def shuffled_labels(self, like):
        dealt = {role: tracks.shuffled_labels(self.user[role], "user_harmful") for role in ("fit", "calibration")}
        track = tracks.UserTrack(dealt["fit"], dealt["calibration"], self.garrison, self.projection, like)
        rows = [self.user["test"][i] for i in tracks.conditions_of_user(self.user["test"])["all"]]
        labels, scores = column(rows, "user_harmful"), track.scores([r["user"] for r in rows])
        result = {name: metrics.auroc_of(scores[name], labels) for name in (tracks.B2L, tracks.B11R)}
        if self.measured.guard and self.garrison.has_measured():
            def change(split, kept):
                labelled = tracks.shuffled_labels([r for r in kept if r.get("user_harmful") is not None], "user_harmful")
                return labelled + [r for r in kept if r.get("user_harmful") is None]
            guard = self.train(lambda split, row: True, "shuffled", change)
            result[B12] = metrics.auroc_of(Measured(self.garrison, guard).rows(rows, "p_user")[B12], labels)
        return result

    def held_out(self, user, reply):
        """Trained on some sources, tested on others: {experiment: {method: rank report}}."""
        moderation, benign = {"openai_moderation"}, {"alpaca"}
        experiments = {
            "U: prompts to moderation": (tracks.PROMPTS | benign, moderation, "user_harmful", "p_user"),
            "U: moderation and dialogues to prompts": (moderation | {"mt_bench_101"}, tracks.PROMPTS | benign,
                                                       "user_harmful", "p_user"),
            "R: other categories to Toxicity Agreement": (None, None, "reply_risky", "p_reply")}
        results = {}
        for name, (learn, test, label, field) in experiments.items():
            if label == "user_harmful":
                inside = lambda r, learn=learn, test=test: r["source"] in learn and not test & set(r.get("also", []))  # noqa: E731
                outside = lambda r, test=test: r["source"] in test  # noqa: E731
                parts, make = self.user, lambda fit, held: tracks.UserTrack(
                    fit, held, self.garrison, self.projection, user)
            else:
                inside = lambda r: r.get("category") != "Toxicity Agreement"  # noqa: E731
                outside = lambda r: r["source"] == "diasafety" and not inside(r)  # noqa: E731
                parts, make = self.reply, lambda fit, held: tracks.ReplyTrack(
                    fit, held, "reply_risky", self.garrison, self.projection, reply)
            model = make(*([r for r in parts[role] if inside(r)] for role in ("fit", "calibration")))
            rows = [r for r in parts["test"] if outside(r)]
            scores = model.scores([r["user"] for r in rows] if label == "user_harmful" else rows)
            if self.measured.guard and self.garrison.has_measured():
                # The program trains all of its probes or none: rows lose the label in question and stay for the others.
                def change(split, kept, inside=inside, label=label):
                    return [row if inside(row) else {**row, label: None} for row in kept
                            if inside(row) or any(row.get(other) is not None for other in tracks.LABELS if other != label)]
                guard = self.train(lambda split, row: True, "held-out", change)
                scores |= Measured(self.garrison, guard).rows(rows, field)
            results[name] = tracks.ranked(scores, column(rows, label), column(rows, "group"), self.draws)
            if name == "U: prompts to moderation":
                results["C: prompts to dialogues"] = self.held_out_dialogues(model)
        return results

    def held_out_dialogues(self, user):
        """CoSafe against MT-Bench-101 of equal length, by a probe that saw neither."""
        dialogues = conversations.conditions(self.data.dialogues["test"])["equal"]
        odds = conversations.series_of(user, dialogues, user.log_odds)
        final = [user.turns.final(values) for values in odds]
        scores = {name: np.array([f[name] for f in final]) for name in final[0]}
        if self.measured.guard and self.garrison.has_measured():
            # What CUSUM subtracts comes from prompts too, each a dialogue of one turn.
            single = [{"id": f"single-{i}", "turns": [{"user": r["user"], "model": None}], "group": r["group"],
                       "label": "attack" if r["user_harmful"] else "benign", "source": r["source"],
                       "onset": 1 if r["user_harmful"] else None}
                      for i, r in enumerate(self.user["fit"]) if r["source"] != "mt_bench_101"]
            guard = self.train(lambda split, row: row["source"] not in {"mt_bench_101", "cosafe"}
                               or ("turns" in row and row["label"] == "benign" and split == "calibration"),
                               "held-out-c", more=single)
            scores |= conversations.measured_scores(self.garrison.score_measured(guard, dialogues))
        return tracks.ranked(scores, conversations.labels_of(dialogues), column(dialogues, "group"), self.draws)

    def deterministic(self, dialogues):
        """Whether the program gives the same bytes twice."""
        texts = [t["user"] for d in dialogues for t in d["turns"]]
        twice = []
        for _ in range(2):
            self.garrison.vectors.clear()
            twice.append((self.garrison.embed(texts).tobytes(), json.dumps(self.measured.dialogues(dialogues))))
        return twice[0] == twice[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--rows", type=pathlib.Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--guard", type=pathlib.Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--draws", type=int, default=metrics.DRAWS)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="guard-eval-")
    try:
        evaluation = Evaluation(args, work)
        files = ("turns.jsonl", "dialogues.jsonl", "pairs.jsonl")
        hashes = {file: sha256(args.rows / file) for file in files}
        registered = json.loads((pathlib.Path(__file__).parent / "manifest.json").read_text())["outputs"]
        results = {"model": pathlib.Path(args.model).name if args.model else "builtin:lexical", "rehearsal": args.rehearse, "draws": args.draws,
                   "rows": hashes, "registered rows": hashes == registered,
                   "guard": sha256(evaluation.measured.guard) if evaluation.measured.guard else None, **evaluation.run()}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    args.results.write_text(json.dumps(results, indent=1) + "\n")
    if args.write:
        report.write(args.write, results)
    print(report.verdicts_text(results))


if __name__ == "__main__":
    main()
