"""Reference implementation of `builtin:lexical` in plain Python: text -> words -> ids -> vector.

It follows docs/formats/lexical-table.md to the letter, works on integers until the last division, and is slow on
purpose. train.py takes its features from here and make_golden.py takes the expected vectors of the C++ tests.
"""

import hashlib
import math
import struct
import unicodedata

MAGIC = b"GRNLEX1\0"
HEADER = struct.Struct("<8s7I28s32s")
FOLD_CODE_POINTS = 4096  # a longer run without ASCII white space is folded in pieces of this size
WORD_CODE_POINTS = 32  # a longer word is cut into words of this size
WORD_PIECES = 65  # pieces of a word of WORD_CODE_POINTS: 33 bigrams and 32 trigrams
HASHED_ROWS = 1 << 24
LT, GT = ord("<"), ord(">")
MASK64 = (1 << 64) - 1

ASCII_SPACE = " \t\n\v\f\r"
IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]
IDEOGRAPHIC = [
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3040, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
]


def _within(ranges, cp):
    return any(lo <= cp <= hi for lo, hi in ranges)


def _fold_char(c):
    if c < "\x80":
        return c.lower()
    if _within(IGNORABLE, ord(c)):
        return ""
    folded = c.casefold()
    if folded != c:
        return "".join(map(_fold_char, folded))
    decomposed = unicodedata.normalize("NFKD", c)
    return decomposed if decomposed == c else "".join(map(_fold_char, decomposed))


def fold(text):
    """NFKC with full case folding; default ignorable code points are dropped."""
    if text.isascii():
        return text.lower()
    out, run = [], []
    for c in text:
        if c in ASCII_SPACE:
            out += [unicodedata.normalize("NFC", "".join(map(_fold_char, run))), c]
            run = []
            continue
        run.append(c)
        if len(run) == FOLD_CODE_POINTS:
            out.append(unicodedata.normalize("NFC", "".join(map(_fold_char, run))))
            run = []
    out.append(unicodedata.normalize("NFC", "".join(map(_fold_char, run))))
    return "".join(out)


def _kind(c):
    """'w' part of a word, 'i' ideographic, 's' a symbol that is a word by itself, ' ' a separator."""
    cp = ord(c)
    if cp < 0x80:
        return "w" if c.isalnum() else " "
    category = unicodedata.category(c)
    if category[0] in "LMN":
        return "i" if category[0] != "M" and _within(IDEOGRAPHIC, cp) else "w"
    return "s" if category == "So" else " "


def words(text):
    """The words of a text, in order, repeats included."""
    out, word, previous = [], [], None

    def flush():
        if word:
            out.append("".join(word))
            word.clear()

    for c in fold(text):
        kind = _kind(c)
        if kind == "w":
            word.append(c)
            if len(word) == WORD_CODE_POINTS:
                flush()
            previous = None
            continue
        flush()
        if kind == "i":
            if previous is not None:
                out.append(previous + c)
            out.append(c)
            previous = c
            continue
        previous = None
        if kind == "s":
            out.append(c)
    flush()
    return out


def mix64(x):
    """The finaliser of splitmix64."""
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def keys(word):
    """The 64-bit keys of the pieces of a word: one for a number, else its bigrams and then its trigrams."""
    if all("0" <= c <= "9" for c in word):
        h = 0xCBF29CE484222325
        for c in word:
            h = ((h ^ ord(c)) * 0x100000001B3) & MASK64
        return [h | 1 << 63]
    cps = [LT, *map(ord, word), GT]
    two = [a << 21 | b for a, b in zip(cps, cps[1:])]
    three = [a << 42 | b << 21 | c for a, b, c in zip(cps, cps[1:], cps[2:])]
    return two + three


def hashed_signs(bucket, dims):
    """The pseudo-random row of a piece that has no row of its own: +1 or -1 for each dimension."""
    bits = [mix64(bucket * 8 + j) for j in range((dims + 63) // 64)]
    return [1 if bits[d // 64] >> (d % 64) & 1 else -1 for d in range(dims)]


def digest_of(data):
    """SHA-256 of the file without the digest itself, which ends the header."""
    return hashlib.sha256(data[:HEADER.size - 32] + data[HEADER.size:]).digest()


class Table:
    """A parsed lexical.bin."""

    def __init__(self, data):
        fields = HEADER.unpack_from(data)
        (magic, version, self.dims, self.n_words, self.n_grams, word_bytes, self.unknown_weight,
         self.hashed_scale, _, digest) = fields
        if magic != MAGIC or version != 1:
            raise ValueError("not a lexical table, version 1")
        if digest_of(data) != digest:
            raise ValueError("checksum mismatch")
        at = HEADER.size
        self.gram_keys = struct.unpack_from(f"<{self.n_grams}Q", data, at)
        at += 8 * self.n_grams
        weights = struct.unpack_from(f"<{self.n_words}H", data, at)
        at += 2 * self.n_words
        lengths = data[at:at + self.n_words]
        at += self.n_words
        self.words = []
        for length in lengths:
            self.words.append(data[at:at + length].decode())
            at += length
        at = HEADER.size + 8 * self.n_grams + 3 * self.n_words + word_bytes
        self.rows = data[at:at + self.n_grams * self.dims]
        self.weights = weights
        self.word_ids = {w: i + 1 for i, w in enumerate(self.words)}
        self.gram_index = {k: i for i, k in enumerate(self.gram_keys)}

    def pieces(self, word):
        base = 1 + self.n_words
        hashed = base + self.n_grams
        return [base + self.gram_index[k] if k in self.gram_index
                else hashed + (mix64(k) >> 40) for k in keys(word)]

    def tokenize(self, text):
        ids = []
        for word in words(text):
            known = self.word_ids.get(word)
            ids += [known] if known else [0, *self.pieces(word)]
        return ids

    def _row(self, piece):
        index = piece - 1 - self.n_words
        if index < self.n_grams:
            return struct.unpack_from(f"{self.dims}b", self.rows, index * self.dims)
        return [self.hashed_scale * s for s in hashed_signs(index - self.n_grams, self.dims)]

    def embed_ids(self, ids):
        """The unit vector as Python floats that are exactly representable in 32 bits, or None."""
        total = [0] * self.dims

        def add(pieces, weight):
            sums = [sum(column) for column in zip(*map(self._row, pieces))]
            norm = math.isqrt(sum(x * x for x in sums))
            if norm == 0:
                return
            factor = min((weight << 12) // norm, 32767)
            for d, x in enumerate(sums):
                total[d] += x * factor

        open_word = None
        for token in [*ids, 0]:
            if token > self.n_words:
                open_word.append(token)
                continue
            if open_word:
                add(open_word, self.unknown_weight)
            open_word = [] if token == 0 else None
            if token:
                add(self.pieces(self.words[token - 1]), self.weights[token - 1])
        return normalise(total)

    def embed(self, text):
        return self.embed_ids(self.tokenize(text))


def normalise(total):
    largest = max(map(abs, total))
    if largest == 0:
        return None
    shift = max(0, largest.bit_length() - 24)
    if shift:
        total = [(x + (1 << (shift - 1))) >> shift for x in total]
    length = math.sqrt(float(sum(x * x for x in total)))
    return [struct.unpack("<f", struct.pack("<f", float(x) / length))[0] for x in total]
