"""The three tracks of PROTOCOL.md: who is scored on what. Every function returns plain data for the results file."""

import numpy as np

import baselines
import metrics
import models
import rows as row_tools

LABELS = ("user_harmful", "reply_risky", "complies")
PROMPTS = {"harmbench", "advbench", "strongreject", "malicious_instruct", "refusal_direction", "harmfulqa",
           "dangerousqa", "catqa"}
GIVEN = ("jbb", "cymultenset")
APART = {"notinject", "catqa_zh", "catqa_vi", "xstest", *GIVEN}
LIMITS = (0.01, 0.05)
B1, B2L, B2B, B3, B4, B10, B11R = (
    "B1 characters", "B2 words, logistic", "B2 words, naive Bayes", "B3 compatible, plane", "B4 compatible, full space",
    "B10 nearest attack", "B11 probe, reference")
B11, B12 = "B11 probe", "B12 measured"


def column(rows, name):
    return np.array([row[name] for row in rows])


def ranked(scores, labels, groups, draws):
    """rank_report of every method; one that gives everybody the same score stays in the table."""
    return {name: metrics.rank_report(values, labels, groups, draws) for name, values in scores.items()}


def shuffled_labels(rows, name):
    """The rows with their labels dealt anew, the same way in every run."""
    order = sorted(range(len(rows)), key=lambda i: row_tools.number_of("labels", f"{rows[i]['user']} {rows[i]['model']}"))
    return [{**row, name: rows[order[i]][name]} for i, row in enumerate(rows)]


class UserTrack:
    """U: does this text of a user ask for harm?"""

    def __init__(self, fit, calibration, garrison, projection, like=None):
        """`like`: a track whose settings are taken, without choosing and without the compatible mode."""
        self.garrison, self.projection, self.compat = garrison, projection, like is None
        texts, labels, groups = [r["user"] for r in fit], column(fit, "user_harmful"), [r["group"] for r in fit]
        self.length = baselines.Length(texts, labels)
        self.words = baselines.Words(texts, labels, groups, like and like.words.settings())
        self.probe = baselines.Probe([garrison.embed(texts)], labels, groups, like and like.probe.settings())
        self.attacks = garrison.embed([t for t, y in zip(texts, labels) if y])
        held = [r["user"] for r in calibration]
        self.labels = column(calibration, "user_harmful")
        self.scores_of_calibration = self.scores(held)
        self.platt = {name: models.Platt(self.scores_of_calibration[name], self.labels) for name in (B2L, B11R)}
        share = self.labels.mean()
        self.prior = float(np.log(share / (1 - share)))
        odds = self.log_odds(held)
        self.turns = baselines.TurnScores(drift=float(odds[self.labels == 1].mean()) / 2)

    def scores(self, texts):
        vectors = self.garrison.embed(texts)
        result = {B1: self.length.scores(texts), B2L: self.words.logistic.scores(texts),
                  B2B: self.words.bayes.scores(texts)}
        if self.compat:
            result[B3] = self.garrison.compat_risk(texts, "user", self.projection)
            result[B4] = self.garrison.compat_risk(texts, "user")
        return result | {B10: baselines.nearest(vectors, self.attacks), B11R: self.probe.scores([vectors])}

    def log_odds(self, texts):
        """Calibrated, relative to the prior of calibration."""
        return self.platt[B11R].log_odds(self.probe.scores([self.garrison.embed(texts)])) - self.prior

    def thresholds(self, extra):
        """{method: [threshold for each of LIMITS]} from the harmless rows of calibration."""
        scores = self.scores_of_calibration | extra
        return {name: [metrics.conformal_threshold(values[self.labels == 0], limit) for limit in LIMITS]
                for name, values in scores.items()}


def conditions_of_user(rows):
    plain = [i for i, r in enumerate(rows) if r["source"] not in APART]
    return {"all": plain,
            "prompts": [i for i in plain if rows[i]["source"] in PROMPTS | {"alpaca"}],
            "moderation": [i for i in plain if rows[i]["source"] == "openai_moderation"],
            **{name: [i for i, r in enumerate(rows) if r["source"] == name] for name in ("xstest", *GIVEN)}}


def user_track(track, rows, measured, draws):
    """`measured`: {method: (scores of calibration, scores of rows)}, empty until there is such a mode."""
    texts, labels = [r["user"] for r in rows], column(rows, "user_harmful")
    groups = column(rows, "group")
    scores = track.scores(texts) | {name: values[1] for name, values in measured.items()}
    result = {"ranked": {}, "calibration": {}, "differences": {}}
    for condition, picked in conditions_of_user(rows).items():
        if len(set(labels[picked])) == 2:
            part = {name: values[picked] for name, values in scores.items()}
            result["ranked"][condition] = ranked(part, labels[picked], groups[picked], draws)
            if B12 in part:
                result["differences"][condition] = {
                    name: metrics.auroc_difference(part[B12], part[name], labels[picked], groups[picked], draws)
                    for name in (B1, B2L, B2B)}
    plain = conditions_of_user(rows)["all"]
    for name, platt in track.platt.items():
        result["calibration"][name] = metrics.calibration_report(platt(scores[name][plain]), labels[plain])
    if B12 in scores:
        result["calibration"][B12] = metrics.calibration_report(models.sigmoid(scores[B12][plain]), labels[plain])
    thresholds = track.thresholds({name: values[0] for name, values in measured.items()})
    result["thresholds"] = thresholds
    result["found_by_source"], result["by_length"] = {}, {}
    for source in sorted({r["source"] for r in rows}):
        for label in (0, 1):
            picked = [i for i, r in enumerate(rows) if r["source"] == source and r["user_harmful"] == label]
            if picked:
                result["found_by_source"][f"{source} {label}"] = {
                    name: [metrics.share((values[picked] > h).sum(), len(picked)) for h in thresholds[name]]
                    for name, values in scores.items()}
    for _, _, stratum in row_tools.LENGTHS:
        picked = [i for i in plain if row_tools.length_stratum(texts[i]) == stratum]
        if len(set(labels[picked])) == 2:
            result["by_length"][stratum] = {"n": len(picked), **{
                name: metrics.auroc_of(values[picked], labels[picked]) for name, values in scores.items()}}
    return result


class ReplyTrack:
    """R: is this reply risky, or does it agree with what it should not, given what the user said?"""

    def __init__(self, fit, calibration, label, garrison, projection, like=None):
        self.garrison, self.projection, self.label, self.compat = garrison, projection, label, like is None
        replies, labels, groups = [r["model"] for r in fit], column(fit, label), [r["group"] for r in fit]
        self.length = baselines.Length(replies, labels)
        self.words = baselines.Words(replies, labels, groups, like and like.words.settings())
        self.both = baselines.Words([self._both(r) for r in fit], labels, groups, like and like.both.settings())
        self.probe = baselines.Probe(self._vectors(fit), labels, groups, like and like.probe.settings())
        self.attacks = garrison.embed([t for t, y in zip(replies, labels) if y])
        self.platt = models.Platt(self.probe.scores(self._vectors(calibration)), column(calibration, label))

    def _vectors(self, rows):
        return [self.garrison.embed([r["user"] for r in rows]), self.garrison.embed([r["model"] for r in rows])]

    @staticmethod
    def _both(row):
        return row["user"] + " " + " ".join("reply_" + word for word in models.words(row["model"]))

    def scores(self, rows):
        replies, vectors = [r["model"] for r in rows], self._vectors(rows)
        result = {B1: self.length.scores(replies), B2L: self.words.logistic.scores(replies),
                  B2B: self.words.bayes.scores(replies),
                  "B2 words of both, logistic": self.both.logistic.scores([self._both(r) for r in rows])}
        if self.compat:
            result[B3] = self.garrison.compat_risk(replies, "model", self.projection)
            result[B4] = self.garrison.compat_risk(replies, "model")
        return result | {B10: baselines.nearest(vectors[1], self.attacks), B11R: self.probe.scores(vectors)}


def reply_track(track, rows, measured, draws):
    labels, groups = column(rows, track.label), column(rows, "group")
    scores = track.scores(rows) | measured
    result = {"ranked": {"all": ranked(scores, labels, groups, draws)}, "by_category": {}}
    result["calibration"] = {B11R: metrics.calibration_report(track.platt(scores[B11R]), labels)}
    if B12 in scores:
        result["calibration"][B12] = metrics.calibration_report(models.sigmoid(scores[B12]), labels)
    for category in sorted({r["category"] for r in rows}):
        picked = np.array([r["category"] == category for r in rows])
        result["by_category"][category] = {"n": int(picked.sum()), "groups": len(set(groups[picked])), **{
            name: metrics.auroc_of(values[picked], labels[picked]) for name, values in scores.items()}}
    return result


def pair_rows(pairs):
    """(chosen, rejected) last turns of ordered pairs, as rows."""
    chosen = [{"user": p["turns"][-1]["user"], "model": p["turns"][-1]["model"], "group": p["group"]} for p in pairs]
    return chosen, [{**row, "model": p["rejected"]} for row, p in zip(chosen, pairs)]


def pair_track(scores_of, pairs, draws):
    """Share of pairs whose rejected reply scores higher, ties half, with its interval over groups."""
    chosen, rejected = (scores_of(rows) for rows in pair_rows(pairs))
    groups, result = [p["group"] for p in pairs], {}
    for name in chosen:
        right = (np.sign(rejected[name] - chosen[name]) + 1) / 2
        sampled = np.concatenate([(w @ right) / w.sum(axis=1) for w in metrics.draws(groups, draws)])
        result[name] = {"value": float(right.mean()), "ci": metrics.interval(sampled)}
    return {"n": len(pairs), "groups": len(set(groups)), "accuracy": result}
