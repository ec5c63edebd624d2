"""The small models of the evaluation, in NumPy alone: logistic regression, words, whitening, calibration.

Everything here is deterministic: no random start, no sampling.
"""

import collections
import math
import re

import numpy as np


class Sparse:
    """Rows of (column, value), for products with a vector."""

    def __init__(self, rows, width):
        self.shape = (len(rows), width)
        self.rows = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        self.columns = np.array([c for row in rows for c, _ in row], dtype=np.int64)
        self.values = np.array([v for row in rows for _, v in row], dtype=np.float64)

    def __matmul__(self, vector):
        return np.bincount(self.rows, self.values * vector[self.columns], minlength=self.shape[0])

    def transposed(self, vector):
        return np.bincount(self.columns, self.values * vector[self.rows], minlength=self.shape[1])


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-np.clip(z, -700.0, 700.0)))


def logistic(x, y, strength, steps=50):
    """(weights, bias) of the smallest sum of log losses + strength/2 * |weights|^2; the bias is free.

    Newton's method. Dense features solve each step exactly, sparse ones by conjugate gradients.
    """
    y = np.asarray(y, dtype=np.float64)
    dense = not isinstance(x, Sparse)
    if dense:
        x = np.ascontiguousarray(x, dtype=np.float64)
    w, b = np.zeros(x.shape[1]), math.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5))

    def loss(w, b):
        z = x @ w + b
        return np.logaddexp(0.0, z).sum() - y @ z + 0.5 * strength * (w @ w)

    current, hessian, previous_gain = loss(w, b), None, math.inf
    for _ in range(steps):
        p = sigmoid(x @ w + b)
        curve = p * (1.0 - p)
        residual = p - y
        gradient_w = (x.T @ residual if dense else x.transposed(residual)) + strength * w
        gradient_b = residual.sum()
        gradient = np.append(gradient_w, gradient_b)
        if dense:
            # The inverse is dear: it serves as long as it brings the gain down well.
            step = gradient @ hessian if hessian is not None else gradient
            if hessian is None or gradient @ step > previous_gain / 5:
                hessian = _inverse_hessian(x, curve, strength)
                step = gradient @ hessian
        else:
            step = _conjugate_gradients(x, curve, strength, gradient)
        gain = previous_gain = gradient @ step
        rate = 1.0
        while rate > 1e-6:
            trial = loss(w - rate * step[:-1], b - rate * step[-1])
            if trial <= current - 1e-4 * rate * gain:
                break
            rate *= 0.5
        else:
            break
        w, b = w - rate * step[:-1], b - rate * step[-1]
        if gain < 1e-12 * max(1.0, abs(trial)):
            break
        current = trial
    return w, b


def _inverse_hessian(x, curve, strength):
    d = x.shape[1]
    root = x * np.sqrt(curve)[:, None]
    hessian = np.empty((d + 1, d + 1))
    hessian[:-1, :-1] = root.T @ root
    hessian[np.arange(d), np.arange(d)] += strength
    hessian[:-1, -1] = hessian[-1, :-1] = x.T @ curve
    hessian[-1, -1] = curve.sum() + 1e-9
    return np.linalg.inv(hessian)


def _conjugate_gradients(x, curve, strength, target, rounds=200):
    def product(v):
        z = curve * (x @ v[:-1] + v[-1])
        return np.append(x.transposed(z) + strength * v[:-1], z.sum() + 1e-9 * v[-1])

    solution, residual = np.zeros_like(target), target.copy()
    direction, size = residual.copy(), residual @ residual
    stop = 1e-10 * size
    for _ in range(rounds):
        if size <= stop:
            break
        image = product(direction)
        alpha = size / (direction @ image)
        solution += alpha * direction
        residual -= alpha * image
        size, previous = residual @ residual, size
        direction = residual + size / previous * direction
    return solution


def words(text):
    return re.findall(r"\w+", text.casefold())


class WordLogistic:
    """Unigram TF-IDF of unit length with L2-logistic weights; words of one training text alone do not count."""

    def __init__(self, texts, labels, strength):
        counts = [collections.Counter(words(text)) for text in texts]
        seen = collections.Counter(word for count in counts for word in count)
        kept = sorted(word for word, n in seen.items() if n > 1)
        self.index = {word: i for i, word in enumerate(kept)}
        self.idf = [math.log((1 + len(texts)) / (1 + seen[word])) + 1 for word in kept]
        self.w, self.b = logistic(self._features(counts), labels, strength)

    def _features(self, counts):
        rows = []
        for count in counts:
            row = [(self.index[word], (1 + math.log(n)) * self.idf[self.index[word]])
                   for word, n in sorted(count.items()) if word in self.index]
            norm = math.sqrt(sum(v * v for _, v in row)) or 1.0
            rows.append([(c, v / norm) for c, v in row])
        return Sparse(rows, len(self.index))

    def scores(self, texts):
        return self._features([collections.Counter(words(text)) for text in texts]) @ self.w + self.b


class WordBayes:
    """Multinomial naive Bayes of unigrams with one added to every count; log-odds."""

    def __init__(self, texts, labels):
        totals = [collections.Counter(), collections.Counter()]
        for text, label in zip(texts, labels):
            totals[int(label)].update(words(text))
        vocabulary = set(totals[0]) | set(totals[1])
        sizes = [sum(t.values()) + len(vocabulary) for t in totals]
        self.weight = {word: math.log((totals[1][word] + 1) / sizes[1]) - math.log((totals[0][word] + 1) / sizes[0])
                       for word in vocabulary}
        positive = sum(map(int, labels))
        self.prior = math.log((positive + 1) / (len(labels) - positive + 1))

    def scores(self, texts):
        return np.array([self.prior + math.fsum(self.weight.get(word, 0.0) for word in words(text)) for text in texts])


def ledoit_wolf(x):
    """(mean, covariance shrunk towards a multiple of the identity, share of that multiple): Ledoit and Wolf 2004."""
    mean = x.mean(axis=0)
    centred = np.asarray(x - mean, dtype=np.float64)
    n, d = centred.shape
    sample = centred.T @ centred / n
    scale = np.trace(sample) / d
    distance = (sample * sample).sum() / d - scale * scale
    squares = (centred * centred).sum(axis=1)
    # mean over rows of |x x' - S|^2 = mean |x|^4 - |S|^2
    spread = ((squares @ squares) / n - (sample * sample).sum()) / (n * d)
    share = min(1.0, max(0.0, spread / distance)) if distance > 0 else 1.0
    return mean, (1 - share) * sample + share * scale * np.eye(d), share


def whitening(x):
    """(mean, matrix): (x - mean) @ matrix has the identity as shrunken covariance; symmetric (ZCA)."""
    mean, covariance, _ = ledoit_wolf(x)
    values, vectors = np.linalg.eigh(covariance)
    return mean, (vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T


def pair_features(u, r):
    return np.concatenate([u, r, np.abs(u - r), u * r], axis=1)


class Probe:
    """L2-logistic weights on embeddings, or on pairs of them; whitened first where asked for."""

    def __init__(self, sides, labels, strength, whiten):
        self.maps = []
        for side in sides:
            side = np.asarray(side, dtype=np.float64)
            mean, matrix = whitening(side) if whiten else (side.mean(axis=0), None)
            self.maps.append((mean, matrix))
        # Whitened rows are about sqrt(d) long, embeddings 1: one scale of strengths serves both.
        self.w, self.b = logistic(self._features(sides), labels, strength)

    def _features(self, sides):
        mapped = []
        for side, (mean, matrix) in zip(sides, self.maps):
            side = side - mean
            mapped.append(side @ matrix / math.sqrt(side.shape[1]) if matrix is not None else side)
        return mapped[0] if len(mapped) == 1 else pair_features(*mapped)

    def scores(self, sides):
        return self._features([np.asarray(side, dtype=np.float64) for side in sides]) @ self.w + self.b


class Platt:
    """p = sigmoid(a * score + b) with Platt's softened targets."""

    def __init__(self, scores, labels):
        labels = np.asarray(labels, dtype=np.float64)
        positive, negative = labels.sum(), len(labels) - labels.sum()
        soft = np.where(labels > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
        self.centre, self.width = float(np.mean(scores)), float(np.std(scores)) or 1.0
        w, self.b = logistic(((scores - self.centre) / self.width)[:, None], soft, 1e-9)
        self.a = float(w[0])

    def log_odds(self, scores):
        return self.a * (np.asarray(scores) - self.centre) / self.width + self.b

    def __call__(self, scores):
        return sigmoid(self.log_odds(scores))
