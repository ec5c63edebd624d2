"""Reads the texts that `builtin:lexical` is fitted on. The STS dev split is read for reporting only."""

import csv
import glob
import json
import os
import re

import numpy as np


def sts(data, split):
    """([sentence1], [sentence2], scores 0-5)"""
    with open(os.path.join(data, "stsb", f"stsb-en-{split}.csv"), encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f))
    return [r[0] for r in rows], [r[1] for r in rows], np.array([float(r[2]) for r in rows])


def _clinc150(data):
    with open(os.path.join(data, "clinc150", "data_full.json"), encoding="utf-8") as f:
        d = json.load(f)
    return [row[0] for part in ("train", "oos_train") for row in d[part]]


def _diasafety(data):
    with open(os.path.join(data, "diasafety", "train.json"), encoding="utf-8") as f:
        return [row[side] for row in json.load(f) for side in ("context", "response")]


def _mt_bench_101(data):
    with open(os.path.join(data, "mt_bench_101", "mtbench101.jsonl"), encoding="utf-8") as f:
        return [turn[side] for line in f for turn in json.loads(line)["history"]
                for side in ("user", "bot")]


def _routellm(data):
    out = []
    for name in sorted(glob.glob(os.path.join(data, "routellm_evals", "*.csv"))):
        with open(name, encoding="utf-8", newline="") as f:
            for row in csv.reader(f):
                out += [row[i] for i in (0, 3, 4) if i < len(row) and len(row[i]) > 20]
    return out


POOL = {
    "clinc150": _clinc150,  # CC BY 3.0
    "diasafety": _diasafety,  # Apache-2.0, train split
    "mt_bench_101": _mt_bench_101,  # Apache-2.0
    "routellm_evals": _routellm,  # Apache-2.0: GSM8K and MMLU questions with model answers
}


def pool(data):
    """{source: [sentence]}"""
    cut = re.compile(r"(?<=[.!?\n])\s+")
    return {name: [s for text in read(data) for s in cut.split(text) if s.strip()]
            for name, read in POOL.items()}


def folds(first, second, k):
    """A fold number per pair; pairs that share a sentence, directly or through others, share a fold."""
    parent = {}

    def root(x):
        parent.setdefault(x, x)
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for a, b in zip(first, second):
        parent[root(a)] = root(b)
    groups = {}
    for i, a in enumerate(first):
        groups.setdefault(root(a), []).append(i)
    groups = sorted(groups.values(), key=lambda g: g[0])
    np.random.RandomState(0).shuffle(groups)
    groups.sort(key=len, reverse=True)
    out, sizes = np.zeros(len(first), int), [0] * k
    for group in groups:
        smallest = int(np.argmin(sizes))
        out[group] = smallest
        sizes[smallest] += len(group)
    return out


def ranks(x):
    _, inverse, count = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    end = np.cumsum(count)
    return ((2 * end - count - 1) / 2)[inverse]


def spearman(a, b):
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
