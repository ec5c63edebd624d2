"""Baselines B1 to B11 of PROTOCOL.md. Scores rise with suspicion; a baseline sees train, then calibration, then test."""

import numpy as np

import metrics
import models
import rows as row_tools

WORD_STRENGTHS = [0.03, 0.1, 0.3, 1.0]
PROBE_STRENGTHS = [0.1, 1.0, 10.0]
FOLDS = 3
EWMA = 0.5


def best_strength(fit, labels, groups, strengths):
    """The strength with the best mean AUROC over folds by group; `fit(rows, strength)` gives a scorer of rows."""
    folds = np.array([row_tools.fold(group, FOLDS) for group in groups])

    def quality(strength):
        values = []
        for k in range(FOLDS):
            inside, outside = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
            values.append(metrics.auroc_of(fit(inside, strength)(outside), labels[outside]))
        return float(np.mean(values))

    qualities = {strength: quality(strength) for strength in strengths}
    return max(strengths, key=lambda s: (qualities[s], s)), qualities


class Words:
    """B2: both kinds of words. The logistic one's strength is chosen on train, or given: (strength, what was tried)."""

    def __init__(self, texts, labels, groups, settings=None):
        labels = np.asarray(labels)
        fit = lambda inside, strength: (  # noqa: E731
            lambda model: lambda outside: model.scores([texts[i] for i in outside]))(
                models.WordLogistic([texts[i] for i in inside], labels[inside], strength))
        self.strength, self.tried = settings or best_strength(fit, labels, groups, WORD_STRENGTHS)
        self.logistic = models.WordLogistic(texts, labels, self.strength)
        self.bayes = models.WordBayes(texts, labels)

    def settings(self):
        return self.strength, self.tried


class Probe:
    """B11 in NumPy: an L2-logistic probe; (whitening, strength) are chosen on train, or given."""

    def __init__(self, sides, labels, groups, settings=None):
        labels = np.asarray(labels)
        self.tried = {settings: None} if settings else {}
        for whiten in () if settings else (False, True):
            fit = lambda inside, strength: (  # noqa: E731
                lambda model: lambda outside: model.scores([s[outside] for s in sides]))(
                    models.Probe([s[inside] for s in sides], labels[inside], strength, whiten))
            _, qualities = best_strength(fit, labels, groups, PROBE_STRENGTHS)
            self.tried |= {(whiten, strength): q for strength, q in qualities.items()}
        self.whiten, self.strength = settings or max(
            self.tried, key=lambda key: (self.tried[key], not key[0], key[1]))
        self.model = models.Probe(sides, labels, self.strength, self.whiten)

    def scores(self, sides):
        return self.model.scores(sides)

    def settings(self):
        return self.whiten, self.strength

    def account(self):
        return {"whitened": self.whiten, "l2": self.strength,
                "tried": {f"{'whitened' if w else 'centred'} {s}": q for (w, s), q in self.tried.items()}}


class Length:
    """B1: characters, in the direction that was better on train."""

    def __init__(self, texts, labels):
        self.sign = 1.0 if metrics.auroc_of([len(t) for t in texts], labels) >= 0.5 else -1.0

    def scores(self, texts):
        return self.sign * np.array([len(t) for t in texts], dtype=np.float64)


def nearest(vectors, attacks):
    """B10: the largest cosine with a known attack. Embeddings have length 1 or 0."""
    result = np.empty(len(vectors))
    for start in range(0, len(vectors), 1000):
        result[start:start + 1000] = (vectors[start:start + 1000] @ attacks.T).max(axis=1)
    return result


class TurnScores:
    """B5 to B9: what becomes of a turn's log-odds over a conversation. Every method gives one value a turn."""

    def __init__(self, drift):
        self.drift = drift  # k of CUSUM

    def series(self, log_odds):
        """{method: its statistic after each turn}, of one conversation's log-odds."""
        log_odds = np.asarray(log_odds, dtype=np.float64)
        mean = np.cumsum(log_odds) / np.arange(1, len(log_odds) + 1)
        ewma, cusum, level, total = [], [], log_odds[0], 0.0
        for value in log_odds:
            level = EWMA * value + (1 - EWMA) * level
            total = max(0.0, total + value - self.drift)
            ewma.append(level)
            cusum.append(total)
        return {"B5 single-turn maximum": np.maximum.accumulate(log_odds), "B6 last turn": log_odds,
                "B7 mean": mean, "B8 EWMA": np.array(ewma), "B9 CUSUM": np.array(cusum)}

    def final(self, log_odds):
        """One score a conversation: the last value of maximum, last turn and mean, the highest of the others."""
        series = self.series(log_odds)
        return {name: float(values.max() if name.startswith(("B8", "B9")) else values[-1])
                for name, values in series.items()}


def timing(series, dialogues, threshold):
    """Alarms of per-turn statistics above a threshold, over attacks and benign conversations."""
    attacks = [(s, d) for s, d in zip(series, dialogues) if d["label"] == "attack"]
    benign = [s for s, d in zip(series, dialogues) if d["label"] == "benign"]
    found = [(int(np.argmax(s > threshold)) + 1, d["onset"]) for s, d in attacks if (s > threshold).any()]
    delays = [alarm - onset for alarm, onset in found]
    turns = sum(len(s) for s in benign)
    return {"threshold": float(threshold),
            "false_alarms": metrics.share(sum((s > threshold).any() for s in benign), len(benign)),
            "alarms_per_1000_benign_turns": 1000.0 * sum(int((s > threshold).sum()) for s in benign) / turns if turns else None,
            "missed": metrics.share(len(attacks) - len(found), len(attacks)),
            "early": metrics.share(sum(delay < 0 for delay in delays), len(attacks)),
            "mean_delay": float(np.mean(delays)) if delays else None}
