#!/usr/bin/env python3
"""Writes tests/fixtures/lexical/golden.json: texts with the ids and vectors of reference.py.

    make_golden.py --table assets/lexical.bin --out tests/fixtures/lexical/golden.json

Vectors are given as the bits of their 32-bit floats, in hexadecimal, little-endian.
"""

import argparse
import json
import struct

import reference

TEXTS = [
    "A man is playing a guitar.",
    "Two dogs are running through the snow",
    "The Dow Jones industrial average rose 1.5 % to 9,034 points in 2003.",
    "zyxwvq qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjkl",
    "e\u0301cole \u00c9COLE caf\u00e9 stra\u00dfe STRASSE \ufb01ne \uff21\uff22\uff23 \u2460 \u00bd",
    "\u4f60\u597d\uff0c\u4e16\u754c \u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \uff76\uff9e\uff77\uff9e",
    "L\u00e0m th\u1ebf n\u00e0o \u0111\u1ec3 n\u1ea5u ph\u1edf b\u00f2?",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u1f88",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f600\u2764\ufe0f so\u00adft hy\u200bphen",
    "snake_case CamelCase don't C++ 3.14 0x1F \u0130stanbul \u00b4x",
    "the " * 300 + "end",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.table, "rb") as f:
        table = reference.Table(f.read())
    cases = []
    for text in TEXTS:
        vector = table.embed(text)
        cases.append({"text": text, "ids": table.tokenize(text),
                      "vector": struct.pack(f"<{len(vector)}f", *vector).hex()})
    with open(args.out, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
