"""The conversation track of PROTOCOL.md: conditions, alarms with their timing, controls of order and role."""

import numpy as np

import baselines
import metrics
import rows as row_tools
from tracks import B1, B10, B11, B12, B2L, B3, B4, GIVEN, LIMITS, column, ranked

B0, B2D = "B0 turns", "B2 words of the dialogue, logistic"


def conditions(dialogues):
    own = [d for d in dialogues if d["source"] in ("cosafe", "mt_bench_101")]
    return {"equal": row_tools.equal_length(own), "whole": own, "hard1": row_tools.hard(own, 1), "hard2": row_tools.hard(own, 2),
            **{name: [d for d in dialogues if d["source"] == name] for name in GIVEN}}


def labels_of(dialogues):
    return np.array([int(d["label"] == "attack") for d in dialogues])


def series_of(user, dialogues, score):
    """One list of per-turn values for each dialogue; a turn without a user's text has the value 0, the prior's."""
    texts = sorted({t["user"] for d in dialogues for t in d["turns"] if t["user"]})
    value = dict(zip(texts, score(texts)))
    return [np.array([value[t["user"]] if t["user"] else 0.0 for t in d["turns"]]) for d in dialogues]


class Conversations:
    """Everything that scores a conversation, made from the user track and the dialogues of train."""

    def __init__(self, user, garrison, projection, fit):
        self.user, self.garrison, self.projection = user, garrison, projection
        self.words = {}
        for name, dialogues in conditions(fit).items():
            if len(set(labels_of(dialogues))) == 2:
                self.words[name] = baselines.Words([row_tools.user_text(d) for d in dialogues], labels_of(dialogues),
                                                   [d["group"] for d in dialogues])

    def turn_series(self, dialogues):
        """{method: per-turn statistics of each dialogue}"""
        odds = series_of(self.user, dialogues, self.user.log_odds)
        result = {}
        for values in odds:
            for name, series in self.user.turns.series(values).items():
                result.setdefault(name, []).append(series)
        result["B2 words, worst turn"] = [np.maximum.accumulate(s) for s in series_of(
            self.user, dialogues, self.user.words.logistic.scores)]
        result[B10] = [np.maximum.accumulate(s) for s in series_of(
            self.user, dialogues,
            lambda texts: baselines.nearest(self.garrison.embed(texts), self.user.attacks))]
        return result

    def scores(self, condition, dialogues):
        """{method: one score a dialogue}"""
        odds = series_of(self.user, dialogues, self.user.log_odds)
        texts = [row_tools.user_text(d) for d in dialogues]
        result = {B0: np.array([float(len(d["turns"])) for d in dialogues]),
                  B1: np.array([float(len(t)) for t in texts]),
                  B2D: self.words.get(condition, self.words["whole"]).logistic.scores(texts)}
        series = self.turn_series(dialogues)
        for name in ("B2 words, worst turn", B10):
            result[name] = np.array([s[-1] for s in series[name]])
        final = [self.user.turns.final(values) for values in odds]
        result |= {name: np.array([f[name] for f in final]) for name in final[0]}
        for name, projection in ((B3, self.projection), (B4, None)):
            result[name] = self._compat(dialogues, projection)
        return result

    def _compat(self, dialogues, projection):
        """The largest L; where no turn of any dialogue has a reply, the largest R of the user."""
        if any(t["model"] for d in dialogues for t in d["turns"]):
            checked = self.garrison.compat([d["turns"] for d in dialogues], projection)
            return np.array([max([t["likelihood"] for t in turns if t["likelihood"] is not None], default=0.0)
                             for turns in checked])
        values = series_of(self.user, dialogues, lambda texts: self.garrison.compat_risk(texts, "user", projection))
        return np.array([v.max() for v in values])


def measured_series(results):
    """Per-turn statistics of the measured mode's answers: the probe's running maximum, and what it accumulates."""
    odds = [np.array([t["log_odds"] for t in r["turns"]], dtype=np.float64) for r in results]
    return {B11: [np.maximum.accumulate(np.nan_to_num(o, nan=-np.inf)) for o in odds],
            B12: [np.array([t["cusum"] or 0.0 for t in r["turns"]]) for r in results]}


def measured_scores(results):
    """One score a dialogue. A CUSUM at 0 says only that; the probe's maximum orders those that never left 0."""
    odds, total = column(results, "max_log_odds").astype(float), column(results, "max_cusum").astype(float)
    return {B11: odds, B12: np.where(total > 0, total, -1.0 / (1.0 + np.exp(np.clip(odds, -500, 500))))}


def conversation_track(track, calibration, test, measured, draws):
    """`measured(dialogues)`: the parsed answers of `garrison guard score`, or None until there is such a mode."""
    result = {"ranked": {}, "timing": {}, "by_category": {}, "false_alarms_by_turns": {}}
    held = conditions(calibration)
    for name, dialogues in conditions(test).items():
        labels = labels_of(dialogues)
        if len(set(labels)) < 2:
            continue
        scores, answers = track.scores(name, dialogues), measured(dialogues)
        if answers is not None:
            scores |= measured_scores(answers)
        result["ranked"][name] = ranked(scores, labels, column(dialogues, "group"), draws)
        if name in ("equal", "whole"):
            result["timing"][name] = timings(track, held[name], dialogues, measured)
    dialogues = conditions(test)["equal"]
    scores = track.scores("equal", dialogues)
    answers = measured(dialogues)
    if answers is not None:
        scores |= measured_scores(answers)
    labels = labels_of(dialogues)
    for category in sorted({d["category"] for d in dialogues if d["label"] == "attack"}):
        picked = np.array([d["category"] == category or d["label"] == "benign" for d in dialogues])
        result["by_category"][category] = {"n": int(labels[picked].sum()), **{
            name: metrics.auroc_of(values[picked], labels[picked]) for name, values in scores.items()}}
    return result


def timings(track, calibration, test, measured):
    """Alarms at thresholds that split-conformal calibration puts at each of LIMITS, for every method."""
    series = track.turn_series(test)
    benign = [d for d in calibration if d["label"] == "benign"]
    reference = track.turn_series(benign)
    answers = measured(test)
    if answers is not None:
        series |= measured_series(answers)
        reference |= measured_series(measured(benign))
    result = {}
    for name, values in series.items():
        maxima = [s.max() for s in reference[name]]
        result[name] = {f"{limit:.2f}": baselines.timing(values, test, metrics.conformal_threshold(maxima, limit))
                        for limit in LIMITS}
    return result


def shipped(answers, dialogues):
    """The measured mode's own alarms: what a user gets with the guard file as it is."""
    rows = list(zip(answers, dialogues))
    benign = [(a, d) for a, d in rows if d["label"] == "benign"]
    attacks = [(a, d) for a, d in rows if d["label"] == "attack"]
    delays = [a["alarm_turn"] - d["onset"] for a, d in attacks if a["alarm"]]
    turns = sum(len(d["turns"]) for _, d in benign)
    by_turns = {}
    for answer, dialogue in benign:
        by_turns.setdefault(len(dialogue["turns"]), []).append(bool(answer["alarm"]))
    return {"false_alarms": metrics.share(sum(a["alarm"] for a, _ in benign), len(benign)),
            "alarms_per_1000_benign_turns":
                1000.0 * sum(bool(t["alarm"]) for a, _ in benign for t in a["turns"]) / turns if turns else None,
            "missed": metrics.share(len(attacks) - len(delays), len(attacks)),
            "early": metrics.share(sum(d < 0 for d in delays), len(attacks)),
            "mean_delay": float(np.mean(delays)) if delays else None,
            "false_alarms_by_turns": {str(n): metrics.share(sum(v), len(v)) for n, v in sorted(by_turns.items())}}


def order_and_role(track, dialogues, measured, draws):
    """AUROC of the accumulating methods as it is, with shuffled turns, and with the roles swapped."""
    labels, groups = labels_of(dialogues), column(dialogues, "group")
    versions = {"as it is": dialogues, "shuffled turns": [row_tools.shuffled(d) for d in dialogues],
                "swapped roles": [row_tools.swapped(d) for d in dialogues]}
    scores = {}
    for version, changed in versions.items():
        final = [track.user.turns.final(v) for v in series_of(track.user, changed, track.user.log_odds)]
        scores[version] = {name: np.array([f[name] for f in final]) for name in final[0]}
        answers = measured(changed)
        if answers is not None:
            scores[version] |= measured_scores(answers)
    result = {}
    for name, base in scores["as it is"].items():
        result[name] = {version: metrics.auroc_of(values[name], labels) for version, values in scores.items()}
        result[name]["loss by shuffling"] = metrics.auroc_difference(
            base, scores["shuffled turns"][name], labels, groups, draws)
    return result
