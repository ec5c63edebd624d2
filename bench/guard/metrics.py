"""Metrics of the evaluation, with cluster bootstrap, in NumPy alone.

Scores rise with suspicion; labels are 1 (attack, harmful, risky) and 0. Every rate metric takes row weights, so that a
bootstrap draw over groups is one more row of weights.
"""

import math

import numpy as np

DRAWS = 2000
SEED = 20240917
CHUNK = 100


class Curve:
    """Rows in order of their score, equal scores together: all that rank metrics need."""

    def __init__(self, scores, labels):
        scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        if not np.isfinite(scores).all():
            raise ValueError("scores must be finite")
        if set(np.unique(labels)) != {0, 1}:
            raise ValueError("both labels must occur")
        self.order = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self.labels = labels[self.order].astype(np.float64)

    def rates(self, weights=None):
        """(true positives, false positives) accepted down to each distinct score, one row per row of weights."""
        weights = np.ones((1, len(self.labels))) if weights is None else np.atleast_2d(weights)[:, self.order]
        hits = np.add.reduceat(weights * self.labels, self.starts, axis=1)
        misses = np.add.reduceat(weights * (1.0 - self.labels), self.starts, axis=1)
        return np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)


def _before(x):
    return np.concatenate([np.zeros((len(x), 1)), x[:, :-1]], axis=1)


def auroc(tp, fp):
    """P(attack above benign), ties half."""
    width = fp - _before(fp)
    return (width * (tp + _before(tp)) / 2).sum(axis=1) / (tp[:, -1] * fp[:, -1])


def auprc(tp, fp):
    """Average precision; rows of one score enter together."""
    share = (tp - _before(tp)) / tp[:, -1:]
    return (share * tp / np.maximum(tp + fp, 1e-300)).sum(axis=1)


def tpr_at(limit):
    """Largest share of attacks found by a threshold whose false-positive rate is at most `limit`."""
    def metric(tp, fp):
        return np.where(fp <= limit * fp[:, -1:] + 1e-9, tp, 0.0).max(axis=1) / tp[:, -1]
    return metric


def fpr_at(wanted):
    """Smallest false-positive rate of a threshold that finds at least the share `wanted` of attacks."""
    def metric(tp, fp):
        return np.where(tp >= wanted * tp[:, -1:] - 1e-9, fp, np.inf).min(axis=1) / fp[:, -1]
    return metric


RANK_METRICS = {"auroc": auroc, "auprc": auprc, "tpr_at_1": tpr_at(0.01), "tpr_at_5": tpr_at(0.05),
                "fpr_at_95": fpr_at(0.95)}


def draws(groups, count=DRAWS, seed=SEED):
    """Row weights of `count` draws of as many groups as there are, with replacement; in chunks."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    random = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        picked = random.integers(0, len(names), (size, len(names)))
        flat = (picked + len(names) * np.arange(size)[:, None]).ravel()
        yield np.bincount(flat, minlength=size * len(names)).reshape(size, -1)[:, index].astype(np.float64)


def bootstrap(scores, labels, groups, metrics, count=DRAWS):
    """{name: one value per draw}; draws without both labels are left out of all metrics alike."""
    curve, values = Curve(scores, labels), {name: [] for name in metrics}
    for weights in draws(groups, count):
        tp, fp = curve.rates(weights)
        whole = (tp[:, -1] > 0) & (fp[:, -1] > 0)
        for name, metric in metrics.items():
            values[name].append(np.where(whole, metric(np.where(whole[:, None], tp, 1.0),
                                                       np.where(whole[:, None], fp, 1.0)), np.nan))
    return {name: np.concatenate(v) for name, v in values.items()}


def interval(values):
    values = values[np.isfinite(values)]
    return [float(v) for v in np.quantile(values, [0.025, 0.975])]


def rank_report(scores, labels, groups, count=DRAWS):
    """Every rank metric as {value, ci}, with n and the number of distinct groups."""
    tp, fp = Curve(scores, labels).rates()
    sampled = bootstrap(scores, labels, groups, RANK_METRICS, count)
    report = {name: {"value": float(metric(tp, fp)[0]), "ci": interval(sampled[name])}
              for name, metric in RANK_METRICS.items()}
    return {"n": len(labels), "positive": int(np.sum(labels)), "groups": len(set(groups)), **report}


def auroc_of(scores, labels):
    return float(auroc(*Curve(scores, labels).rates())[0])


def auroc_difference(a, b, labels, groups, count=DRAWS):
    """AUROC(a) - AUROC(b) on the same rows and the same draws: {value, ci}."""
    sampled = [bootstrap(s, labels, groups, {"auroc": auroc}, count)["auroc"] for s in (a, b)]
    return {"value": auroc_of(a, labels) - auroc_of(b, labels), "ci": interval(sampled[0] - sampled[1])}


def reliability(probabilities, labels, bins=15):
    """Rows of {n, predicted, observed} with equal numbers of rows, as far as that goes."""
    order = np.argsort(probabilities, kind="stable")
    return [{"n": len(part), "predicted": float(np.mean(probabilities[part])), "observed": float(np.mean(labels[part]))}
            for part in np.array_split(order, bins) if len(part)]


def calibration_report(probabilities, labels):
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    table = reliability(probabilities, labels)
    error = sum(row["n"] * abs(row["predicted"] - row["observed"]) for row in table) / len(labels)
    return {"ece": error, "brier": float(np.mean((probabilities - labels) ** 2)), "table": table}


def conformal_threshold(maxima, alpha):
    """The ceil((n+1)(1-alpha))-th smallest of benign maxima: at most alpha of new ones lie above. inf with too few."""
    ranked = np.sort(np.asarray(maxima, dtype=np.float64))
    rank = math.ceil((len(ranked) + 1) * (1.0 - alpha) - 1e-9)
    return float(ranked[rank - 1]) if rank <= len(ranked) else math.inf


def incomplete_beta(a, b, x):
    """Regularised: P(Beta(a, b) <= x), by its continued fraction."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0) or tiny)
    value = d
    for m in range(1, 10000):
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * value


def clopper_pearson(hits, n, confidence=0.95):
    """Exact interval of a share."""
    if n == 0:
        return [0.0, 1.0]
    tail = (1.0 - confidence) / 2

    def solve(wanted, a, b):
        low, high = 0.0, 1.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if incomplete_beta(a, b, middle) < wanted else (low, middle)
        return (low + high) / 2

    return [0.0 if hits == 0 else solve(tail, hits, n - hits + 1),
            1.0 if hits == n else solve(1.0 - tail, hits + 1, n - hits)]


def share(hits, n):
    return {"hits": int(hits), "n": int(n), "value": hits / n if n else None, "ci": clopper_pearson(int(hits), int(n))}
