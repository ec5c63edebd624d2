#!/usr/bin/env python3
"""Writes tests/fixtures/guard/*.json, the independent references of the guard's tests.

kinematics.json: the formulas of docs/guard.md over plain Python floats.
pca.json: scikit-learn's StandardScaler and PCA(svd_solver="full").

Run from the repository root; needs numpy and scikit-learn (made with 1.2.1). The tests read the files
as they are, so this runs only when a case is added.
"""

import json
import math
import pathlib
import random

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

FOLDER = pathlib.Path("tests/fixtures/guard")
TURNS = 240
EPSILON = 0.1
WEIGHTS = {"default": (1.5, 1.0, 3.0, -2.5), "local": (3.0, 2.0, 1.5, -2.0)}


def risks(rng):
    """Smooth stretches, jumps, repeats and exact ends of the range."""
    level = 0.3
    out = []
    for _ in range(TURNS):
        kind = rng.random()
        if kind < 0.55:
            level = min(2.0, max(0.0, level + rng.gauss(0, 0.1)))
        elif kind < 0.85:
            level = rng.uniform(0, 2)
        elif kind < 0.9:
            level = rng.choice([0.0, 1.0, 2.0])
        elif kind < 0.95:
            level = rng.uniform(0, 1e-6)
        out.append(level)
    return out


def cumulate(r, trapezoid):
    out = [r[0]]
    for before, now in zip(r, r[1:]):
        out.append(out[-1] + 0.5 * (before + now) if trapezoid else out[-1] + now)
    return out


def kinematics():
    rng = random.Random(20240229)
    model, user = risks(rng), risks(rng)
    v = [0.0] + [model[i] - model[i - 1] for i in range(1, TURNS)]
    a = [0.0] + [v[i] - v[i - 1] for i in range(1, TURNS)]
    rules = {}
    for name, trapezoid in (("sum", False), ("trapezoid", True)):
        c_model, c_user = cumulate(model, trapezoid), cumulate(user, trapezoid)
        rules[name] = {
            "C_model": c_model,
            "C_user": c_user,
            "rho": [m / (u + EPSILON) for m, u in zip(c_model, c_user)],
        }
    weights = {}
    for name, (w_r, w_v, w_a, bias) in WEIGHTS.items():
        z = [w_r * model[i] + w_v * v[i] + w_a * a[i] + bias for i in range(TURNS)]
        weights[name] = {
            "weights": [w_r, w_v, w_a, bias],
            "z": z,
            "likelihood": [1.0 / (1.0 + math.exp(-x)) for x in z],
        }
    return {
        "epsilon": EPSILON,
        "R_model": model,
        "R_user": user,
        "v": v,
        "a": a,
        "rules": rules,
        "weights": weights,
    }


def pca_case(name, x, components, scaler):
    mean, scale, data = None, None, x
    if scaler:
        standard = StandardScaler().fit(x)
        mean, scale, data = standard.mean_, standard.scale_, standard.transform(x)
    pca = PCA(n_components=components, svd_solver="full").fit(data)
    return {
        "name": name,
        "scaler": scaler,
        "k": components,
        "rows": x.tolist(),
        "mean": (mean if scaler else pca.mean_).tolist(),
        "scale": scale.tolist() if scaler else [],
        "components": pca.components_.tolist(),
        "explained_variance": pca.explained_variance_.tolist(),
        "explained_variance_ratio": pca.explained_variance_ratio_.tolist(),
        "projected": pca.transform(data).tolist(),
    }


def pca():
    rng = np.random.default_rng(7)

    def rows(n, d):
        mixed = rng.normal(size=(n, d)) @ np.diag(np.linspace(2, 0.1, d)) @ rng.normal(size=(d, d))
        return np.round(mixed + rng.normal(size=d) * 3, 4)

    tall, wide, square = rows(40, 9), rows(12, 25), rows(16, 16)
    constant = rows(18, 6)
    constant[:, 2] = 4.25
    constant[:, 4] = 0.0
    return [
        pca_case("tall", tall, 2, False),
        pca_case("tall, scaled", tall, 3, True),
        pca_case("wide", wide, 2, False),
        pca_case("wide, scaled", wide, 4, True),
        pca_case("square", square, 5, False),
        pca_case("constant columns", constant, 2, False),
        pca_case("constant columns, scaled", constant, 2, True),
        pca_case("one component", tall, 1, False),
    ]


def write(name, value):
    path = FOLDER / name
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("kinematics.json", kinematics())
    write("pca.json", pca())


if __name__ == "__main__":
    main()
