#!/usr/bin/env python3
"""Writes src/text/unicode_data.cc: what the reference tokenizer library does with every code point.

    tools/unicode/make_tables.py tables.json.gz > src/text/unicode_data.cc

The JSON holds sets of code points ("41-5a") and maps from a code point to a string, all measured on
the reference library, because its steps follow different versions of Unicode.
"""

import gzip
import json
import sys

CODE_POINTS = 0x110000
BLOCK = 128

# In the order of the bits of unicode_tables.h.
FLAGS = ["bert_clean_removed", "bert_clean_to_space", "bert_chinese", "bert_accent_removed", "whitespace_split",
         "bert_pretok_punct", "onig_L", "onig_N", "added_token_word_char", "charsmap_absorbed"]
FLAG_COMPOSITION, FLAG_DECOMPOSED, FLAG_COMPATIBLE, FLAG_LOWERED, FLAG_CLASS = range(10, 15)

S_BASE, L_BASE, V_BASE, T_BASE = 0xAC00, 0x1100, 0x1161, 0x11A7
S_COUNT, L_COUNT, V_COUNT, T_COUNT = 11172, 19, 21, 28


def members(ranges):
    for item in ranges:
        first, _, last = item.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def mapping(table):
    return {int(key, 16): [ord(c) for c in value] for key, value in table.items()}


def two_stage(values):
    blocks, index = [], []
    known = {}
    for start in range(0, CODE_POINTS, BLOCK):
        block = tuple(values[start:start + BLOCK])
        if block not in known:
            known[block] = len(blocks)
            blocks.append(block)
        index.append(known[block])
    return index, [value for block in blocks for value in block]


def emit(kind, name, values):
    print(f"const std::{kind} {name}[{len(values)}] = {{")
    line = ""
    for value in values:
        item = f"{value},"
        if len(line) + len(item) > 98:
            print(line)
            line = ""
        line += item
    print(line + "};")


def emit_two_stage(kind, name, values):
    index, data = two_stage(values)
    assert max(index) < 256 * 256
    emit("uint8_t" if max(index) < 256 else "uint16_t", f"k{name}Index", index)
    emit(kind, f"k{name}", data)


class Pool:
    """Sequences of code points, each preceded by its length; equal ones are kept once."""

    def __init__(self):
        self.data = [0]
        self.places = {}

    def place(self, sequence):
        key = tuple(sequence)
        if key not in self.places:
            self.places[key] = len(self.data)
            self.data += [len(key), *key]
        return self.places[key]


def compositions(nfd, nfc):
    """(first, second) -> composed, for every canonical composition that the library makes."""
    by_decomposition = {tuple(v): k for k, v in nfd.items() if k not in nfc}
    pairs = {}
    for code_point, sequence in nfd.items():
        if code_point in nfc or len(sequence) < 2:
            continue
        prefix = tuple(sequence[:-1])
        first = prefix[0] if len(prefix) == 1 else by_decomposition.get(prefix)
        if first is not None:
            pairs[first, sequence[-1]] = code_point
    return pairs


def main():
    tables = json.loads(gzip.open(sys.argv[1]).read())
    flags = [0] * CODE_POINTS
    for bit, name in enumerate(FLAGS):
        for code_point in members(tables[name]):
            flags[code_point] |= 1 << bit
    for same in ("bert_pretok_whitespace", "onig_s", "added_token_strip_whitespace"):
        assert tables[same] == tables["whitespace_split"], same

    nfd = mapping(tables["nfd_map_without_hangul_syllables"])
    nfkd = mapping(tables["nfkd_map_without_hangul_syllables"])
    nfc = mapping(tables["nfc_map"])
    lower = mapping(tables["lowercase_map"])
    classes = [0] * CODE_POINTS
    for value, ranges in tables["nfd_ccc"].items():
        for code_point in members(ranges):
            classes[code_point] = int(value)
    pairs = compositions(nfd, nfc)

    # A code point without kComposition neither changes under NFC nor joins what stands before it.
    second = {pair[1] for pair in pairs}
    second |= set(range(V_BASE, V_BASE + V_COUNT)) | set(range(T_BASE + 1, T_BASE + T_COUNT))
    for code_point in range(CODE_POINTS):
        syllable = S_BASE <= code_point < S_BASE + S_COUNT
        if code_point in second or code_point in nfc or classes[code_point]:
            flags[code_point] |= 1 << FLAG_COMPOSITION
        if code_point in nfd or syllable or classes[code_point]:
            flags[code_point] |= 1 << FLAG_DECOMPOSED
        if code_point in nfkd or syllable or classes[code_point]:
            flags[code_point] |= 1 << FLAG_COMPATIBLE
        if code_point in lower:
            flags[code_point] |= 1 << FLAG_LOWERED
        if classes[code_point]:
            flags[code_point] |= 1 << FLAG_CLASS

    pool = Pool()
    maps = {}
    for name, table in (("Canonical", nfd), ("Compatible", nfkd), ("Lower", lower)):
        maps[name] = [0] * CODE_POINTS
        for code_point, sequence in sorted(table.items()):
            maps[name][code_point] = pool.place(sequence)
    assert len(pool.data) < 65536

    print("// Made by tools/unicode/make_tables.py; do not edit.")
    print("// clang-format off")
    print('#include "text/unicode_data.h"\n')
    print("namespace garrison::unicode_data {\n")
    emit_two_stage("uint16_t", "Flags", flags)
    emit_two_stage("uint8_t", "Classes", classes)
    for name, values in maps.items():
        emit_two_stage("uint16_t", name, values)
    emit("uint32_t", "kPool", pool.data)
    emit("uint64_t", "kCompositions",
         [f"{(a << 42) | (b << 21) | c}u" for (a, b), c in sorted(pairs.items())])
    print(f"const std::size_t kCompositionCount = {len(pairs)};\n")
    print("}  // namespace garrison::unicode_data")


main()
