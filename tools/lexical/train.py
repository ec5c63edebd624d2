#!/usr/bin/env python3
"""Makes assets/lexical.bin, the table of `builtin:lexical`. Needs NumPy only.

    train.py --data DIR --out assets/lexical.bin     fit on all of STS train, write, report
    train.py --data DIR --cv [--set name=value ...]  5-fold cross-validation inside STS train

The model: a word is the unit-length sum of the rows of its pieces (character bigrams and trigrams), times the
weight of the word; a text is the sum of its words. Rows start as random signs, word weights as inverse document
frequencies; both are then fitted to the STS train scores with few steps and a pull to the start.
"""

import argparse
import collections
import struct
import sys

import numpy as np

import corpus
import reference

DEFAULTS = {
    "dims": 384,
    "pool": 0.6,  # share of the pool, beside STS train, in the word frequencies
    "idf_power": 1.0,  # of pieces
    "steps": 15,
    "weight_rate": 0.03,
    "weight_decay": 3e-4,
    "row_rate": 0.001,
    "row_decay": 1e-3,
    "slope": 5.0,  # the fitted score is slope * cosine
    "tune_slope": 0.0,
    "grams": 9500,
    "pool_count": 8,  # a word of the pool alone is listed from this many sentences on
    "seed": 0,
}


class Sparse:
    """A sparse matrix by rows; multiplies dense matrices from the left."""

    def __init__(self, rows, cols, values, shape):
        order = np.lexsort((cols, rows))
        self.rows, self.cols = np.asarray(rows)[order], np.asarray(cols)[order]
        self.values, self.shape = np.asarray(values, np.float64)[order], shape
        self.start = np.searchsorted(self.rows, np.arange(shape[0] + 1))

    @property
    def t(self):
        if not hasattr(self, "_t"):
            self._t = Sparse(self.cols, self.rows, self.values, self.shape[::-1])
        return self._t

    def take(self, rows):
        parts = [np.arange(self.start[r], self.start[r + 1]) for r in rows]
        lengths = [len(p) for p in parts]
        at = np.concatenate(parts)
        return Sparse(np.repeat(np.arange(len(rows)), lengths), self.cols[at], self.values[at],
                      (len(rows), self.shape[1]))

    def __matmul__(self, dense):
        out = np.zeros((self.shape[0], dense.shape[1]))
        for lo in range(0, self.shape[0], 512):  # bounds the memory of the gathered rows
            hi = min(lo + 512, self.shape[0])
            a, b = self.start[lo], self.start[hi]
            if a == b:
                continue
            filled = np.flatnonzero(np.diff(self.start[lo:hi + 1]))
            gathered = dense[self.cols[a:b]] * self.values[a:b, None]
            out[lo + filled] = np.add.reduceat(gathered, self.start[lo + filled] - a, axis=0)
        return out


def count_sentences(sentences):
    count = collections.Counter()
    for words in sentences:
        count.update(set(words))
    return count


class Problem:
    """Everything that does not depend on a fold: vocabulary, pieces, starting weights and rows."""

    def __init__(self, data, options):
        self.o = options
        first, second, self.scores = corpus.sts(data, "train")
        self.fold = corpus.folds(first, second, 5)
        first, second = ([reference.words(t) for t in side] for side in (first, second))
        unique = sorted(set(map(tuple, first + second)))
        self.sts_count, self.sts_size = count_sentences(unique), len(unique)
        pool = corpus.pool(data)
        pooled = [count_sentences(map(reference.words, s)) for s in pool.values()]
        self.pool_size = sum(map(len, pool.values()))
        self.pool_count = sum(pooled, collections.Counter())
        self.words = self._choose_words(pooled)
        index = {w: i for i, w in enumerate(self.words)}
        self.first, self.second = (self._texts(side, index) for side in (first, second))
        self.weights = np.array([self.weight(w) for w in self.words])
        self._choose_grams()
        self._start_rows()

    def _choose_words(self, pooled):
        common = [w for w, c in self.pool_count.items()
                  if c >= self.o["pool_count"] and sum(w in p for p in pooled) >= 2]
        chosen = set(self.sts_count) | set(common)
        return sorted(chosen, key=lambda w: w.encode())

    def _texts(self, texts, index):
        pairs = collections.Counter((i, index[w]) for i, t in enumerate(texts) for w in t)
        (rows, cols), values = zip(*pairs), list(pairs.values())
        return Sparse(rows, cols, values, (len(texts), len(index)))

    def weight(self, word):
        share = self.o["pool"]
        p = ((1 - share) * (self.sts_count[word] + 0.3) / (self.sts_size + 0.6)
             + share * (self.pool_count[word] + 0.3) / (self.pool_size + 0.6))
        return -np.log(p)

    def _choose_grams(self):
        """Pieces of STS train first, then of the pool by count; the rest are hashed at run time."""
        ratio = self.sts_size / self.pool_size
        count, in_sts = collections.Counter(), set()
        pieces = [reference.keys(w) for w in self.words]
        for word, ks in zip(self.words, pieces):
            for k in ks:
                if k >> 63:
                    continue
                count[k] += self.sts_count[word] + self.pool_count[word] * ratio
                if self.sts_count[word]:
                    in_sts.add(k)
        order = sorted(count, key=lambda k: (k not in in_sts, -count[k], k))
        self.gram_keys = sorted(order[:self.o["grams"]])
        index = {k: i for i, k in enumerate(self.gram_keys)}
        idf = np.log((1 + 2 * self.sts_size) / (1 + np.array([count[k] for k in self.gram_keys]))) + 1
        self.idf = np.maximum(idf, 0.1) ** self.o["idf_power"]
        self.hashed_norm = float(self.idf.max())
        rows, cols, hashed = [], [], {}
        for i, ks in enumerate(pieces):
            for k in ks:
                column = index.get(k)
                if column is None:
                    column = hashed.setdefault(reference.mix64(k) >> 40, len(index) + len(hashed))
                rows.append(i)
                cols.append(column)
        scale = np.append(self.idf, np.full(len(hashed), self.hashed_norm))
        self.spelling = Sparse(rows, cols, scale[cols], (len(self.words), len(scale)))
        signs = [reference.hashed_signs(b, self.o["dims"]) for b in hashed]
        self.hashed_rows = np.array(signs, float).reshape(-1, self.o["dims"]) / self.o["dims"] ** 0.5

    def _start_rows(self):
        dims = self.o["dims"]
        rng = np.random.RandomState(self.o["seed"])
        signs = rng.randint(0, 2, (len(self.gram_keys), dims)) * 2.0 - 1
        self.rows = np.vstack([signs / dims ** 0.5, self.hashed_rows])


class Fit:
    """Adam on the mean squared error of slope * cosine, full batch, few steps."""

    def __init__(self, problem, pairs=None):
        self.p, self.o = problem, problem.o
        pairs = np.arange(len(problem.scores)) if pairs is None else pairs
        self.first, self.second = problem.first.take(pairs), problem.second.take(pairs)
        self.scores = problem.scores[pairs]
        self.log_weight = np.zeros(len(problem.words))
        self.delta = np.zeros_like(problem.rows)
        self.line = np.array([self.o["slope"], 0.0])
        self._moments = {}

    def word_vectors(self):
        sums = self.p.spelling @ (self.p.rows + self.delta)
        norm = np.sqrt((sums ** 2).sum(1, keepdims=True) + 1e-12)
        gain = (self.p.weights * np.exp(self.log_weight))[:, None]
        return sums / norm, norm, gain

    @staticmethod
    def cosine(first, second, vectors):
        a, b = first @ vectors, second @ vectors
        a /= np.sqrt((a ** 2).sum(1, keepdims=True)) + 1e-12
        b /= np.sqrt((b ** 2).sum(1, keepdims=True)) + 1e-12
        return (a * b).sum(1)

    def _adam(self, name, value, gradient, rate, step):
        m, v = self._moments.get(name, (0.0, 0.0))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient ** 2
        self._moments[name] = m, v
        value -= rate * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)

    def step(self, number):
        unit, norm, gain = self.word_vectors()
        vectors = unit * gain
        a, b = self.first @ vectors, self.second @ vectors
        la, lb = (np.sqrt((x ** 2).sum(1, keepdims=True)) + 1e-12 for x in (a, b))
        a, b = a / la, b / lb
        s = (a * b).sum(1)
        error = self.line[0] * s + self.line[1] - self.scores
        scale = 2 / (self.scores.var() * len(s))
        ds = (scale * self.line[0] * error)[:, None]
        dv = (self.first.t @ (ds * (b - s[:, None] * a) / la)
              + self.second.t @ (ds * (a - s[:, None] * b) / lb))
        dw = (dv * vectors).sum(1) + 2 * self.o["weight_decay"] * self.log_weight
        du = dv * gain
        du = (du - unit * (du * unit).sum(1, keepdims=True)) / norm
        dr = self.p.spelling.t @ du + 2 * self.o["row_decay"] * self.delta
        dr[len(self.p.gram_keys):] = 0  # hashed rows are fixed
        self._adam("weight", self.log_weight, dw, self.o["weight_rate"], number)
        self._adam("row", self.delta, dr, self.o["row_rate"], number)
        if self.o["tune_slope"]:
            dl = scale * np.array([(error * s).sum(), error.sum()])
            self._adam("line", self.line, dl, self.o["tune_slope"], number)

    def run(self, watch=lambda step: None):
        for number in range(1, self.o["steps"] + 1):
            self.step(number)
            watch(number)
        return self


def cross_validate(problem):
    curves = []
    for k in range(5):
        held = np.flatnonzero(problem.fold == k)
        fit, curve = Fit(problem, np.flatnonzero(problem.fold != k)), []
        first, second = problem.first.take(held), problem.second.take(held)

        def watch(number):
            if number % 5 == 0:
                unit, _, gain = fit.word_vectors()
                curve.append(corpus.spearman(fit.cosine(first, second, unit * gain),
                                             problem.scores[held]))

        watch(0)
        fit.run(watch)
        curves.append(curve)
    mean = np.mean(curves, axis=0)
    print("held-out Spearman every 5 steps:", " ".join(f"{x:.4f}" for x in mean),
          "| folds at the end:", " ".join(f"{c[-1]:.4f}" for c in curves), flush=True)


def pack(problem, fit):
    """The bytes of docs/formats/lexical-table.md."""
    dims, n = problem.o["dims"], len(problem.gram_keys)
    real = (problem.rows + fit.delta)[:n] * problem.idf[:, None]
    step = np.quantile(np.abs(real), 0.9999) / 127
    rows = np.clip(np.rint(real / step), -127, 127).astype(np.int8)
    hashed = int(np.clip(np.rint(problem.hashed_norm / dims ** 0.5 / step), 1, 127))
    gain = problem.weights * np.exp(fit.log_weight)
    unknown = problem.weight("\0")
    unit = 2047 / max(gain.max(), unknown)
    weights = np.maximum(np.rint(gain * unit), 1).astype("<u2")
    encoded = [w.encode() for w in problem.words]
    body = b"".join([
        struct.pack(f"<{n}Q", *problem.gram_keys), weights.tobytes(),
        bytes(len(w) for w in encoded), b"".join(encoded), rows.tobytes()])
    header = reference.HEADER.pack(
        reference.MAGIC, 1, dims, len(encoded), n, sum(map(len, encoded)), int(np.rint(unknown * unit)),
        hashed, bytes(28), bytes(32))
    header = header[:-32] + reference.digest_of(header + body)
    print(f"clipped {np.mean(np.abs(real / step) > 127.5):.6f}; row rms {np.sqrt((rows.astype(float) ** 2).mean()):.1f}; "
          f"hashed {hashed}; unknown weight {unknown * unit:.0f}, median {np.median(weights)}")
    return header + body


class Quick:
    """reference.Table.embed in NumPy: the same integers, fast enough for whole data sets."""

    def __init__(self, data):
        self.table = t = reference.Table(data)
        self.rows = np.frombuffer(t.rows, np.int8).reshape(t.n_grams, t.dims)
        self.cache = {}

    def word(self, word):
        if word not in self.cache:
            t, sums = self.table, np.zeros(self.table.dims, np.int64)
            for piece in t.pieces(word):
                index = piece - 1 - t.n_words
                sums += (self.rows[index] if index < t.n_grams else t.hashed_scale * np.array(
                    reference.hashed_signs(index - t.n_grams, t.dims)))
            norm = int(np.sqrt(float((sums ** 2).sum())))
            known = t.word_ids.get(word)
            weight = t.weights[known - 1] if known else t.unknown_weight
            self.cache[word] = sums * min((weight << 12) // norm, 32767) if norm else sums
        return self.cache[word]

    def embed(self, text):
        return np.array(reference.normalise([int(x) for x in sum(map(self.word, reference.words(text)))]))


def report(data, table):
    quick = Quick(table)
    train = corpus.sts(data, "train")
    seen = set(train[0]) | set(train[1])
    for split in ("train", "dev"):
        first, second, scores = corpus.sts(data, split)
        sims = np.array([quick.embed(a) @ quick.embed(b) for a, b in zip(first, second)])
        print(f"STS {split}: Spearman {corpus.spearman(sims, scores):.4f}")
        if split == "dev":
            new = np.array([a not in seen and b not in seen for a, b in zip(first, second)])
            print(f"  the {new.sum()} pairs without a sentence of train: "
                  f"{corpus.spearman(sims[new], scores[new]):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with stsb/, clinc150/, ...")
    parser.add_argument("--out", help="file to write")
    parser.add_argument("--cv", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    options = dict(DEFAULTS)
    for item in args.set:
        name, value = item.split("=")
        options[name] = type(DEFAULTS[name])(value)
    problem = Problem(args.data, options)
    print(f"{len(problem.words)} words, {len(problem.gram_keys)} grams, "
          f"{len(problem.hashed_rows)} hashed pieces", file=sys.stderr)
    if args.cv:
        cross_validate(problem)
    if args.out:
        table = pack(problem, Fit(problem).run())
        with open(args.out, "wb") as f:
            f.write(table)
        print(f"{args.out}: {len(table)} bytes")
        report(args.data, table)


if __name__ == "__main__":
    main()
