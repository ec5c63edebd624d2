#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizers/fixtures.json: small tokenizers that together use every component.

    tools/tokenizers/make_fixtures.py > tests/fixtures/tokenizers/fixtures.json

What the reference library makes of them is in golden.jsonl beside it; see golden.mjs.
"""

import base64
import json
import struct
import sys

PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_CHARS, extra = {}, 0
for byte in range(256):
    BYTE_CHARS[byte] = chr(byte) if byte in PRINTABLE else chr(0x100 + extra)
    extra += byte not in PRINTABLE

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def charsmap(mapping):
    """A trie in Darts-clone's format for keys of one or two bytes."""
    units, values = [0] * 2048, b""
    units[0] = 256 << 10
    free = 1024
    blocks = {}
    for key, value in sorted(mapping.items()):
        index, values = len(values), values + value.encode() + b"\0"
        data = key.encode()
        at = 256 ^ data[0]
        units[at] |= data[0]
        if len(data) == 2:
            if data[0] not in blocks:
                blocks[data[0]] = 512 if not blocks else 768
                units[at] |= (at ^ blocks[data[0]]) << 10
            at = blocks[data[0]] ^ data[1]
            units[at] |= data[1]
        units[at] |= 1 << 8 | (at ^ free) << 10
        units[free] = 1 << 31 | index
        free += 1
    trie = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + values).decode()


def added(content, token_id, **flags):
    token = {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    return token | flags


def tokenizer(model, normalizer=None, pre=None, post=None, decoder=None, tokens=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens),
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post, "decoder": decoder,
            "model": model}


def numbered(*tokens):
    return {token: i for i, token in enumerate(tokens)}


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def word_level(normalizer=None, pre=None, words=(), decoder=None, tokens=()):
    return tokenizer({"type": "WordLevel", "vocab": numbered("[UNK]", *words), "unk_token": "[UNK]"},
                     normalizer, pre, decoder=decoder, tokens=tokens)


def word_piece():
    vocab = numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "un", "##able", "##a",
                     "##b", "a", "b", ".", ",", "'", "!", "\u4f60", "\u03c3", "caf", "##e", "e", "##do", "do", "not")
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                           "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}}
    return tokenizer(
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
         "max_input_chars_per_word": 10, "vocab": vocab},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
         "lowercase": True},
        {"type": "BertPreTokenizer"}, template, {"type": "WordPiece", "prefix": "##", "cleanup": True},
        [added("[PAD]", 0), added("[UNK]", 1), added("[CLS]", 2), added("[SEP]", 3),
         added("[MASK]", 4, lstrip=True), added("<word>", 27, single_word=True, special=False),
         added("<Right>", 28, rstrip=True), added("<norme>", 29, normalized=True, special=False)])


def unigram(scheme, fallback):
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("\u2581", -2.0), ("a", -2.5), ("b", -3.0), ("ab", -4.25),
              ("\u2581a", -3.5), ("\u2581the", -4.0), ("cat", -5.0), ("s", -3.0), ("e", -3.25), ("fi", -6.0)]
    if fallback:
        pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    mapping = {"\t": " ", "\n": " ", "\x01": "", "\x02": "", "A": "a", "\u00e9": "e", "\u00aa": "a",
               "\u00a8": " !", "\u00ad": ""}
    meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": scheme != "first"}
    decoder = meta
    if fallback:
        decoder = sequence("decoders", {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                           {"type": "ByteFallback"}, {"type": "Fuse"},
                           {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return tokenizer(
        {"type": "Unigram", "unk_id": 0, "vocab": [list(piece) for piece in pieces], "byte_fallback": fallback},
        sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": charsmap(mapping)},
                 {"type": "Strip", "strip_left": False, "strip_right": True},
                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
        meta, None, decoder, [added("<s>", 1)])


def byte_bpe(pre, post, **options):
    words = ["th", "the", "\u0120the", "\u0120t", "ca", "cat", "\u0120cat", "ab", "\u010a\u010a", "\u0120\u0120"]
    merges = [["t", "h"], ["th", "e"], ["\u0120", "t"], ["\u0120", "the"], ["c", "a"], ["ca", "t"],
              ["\u0120", "cat"], ["a", "b"], ["\u010a", "\u010a"], ["\u0120", "\u0120"]]
    vocab = numbered(*BYTE_CHARS.values(), *words, "\u0120sat", "<|end|>")
    return tokenizer({"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab, "merges": merges} | options,
                     None, pre, post, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
                     [added("<|end|>", len(vocab) - 1, normalized=True, lstrip=True)])


def char_bpe(**options):
    vocab = numbered("<unk>", "a", "b", "c", "ab", "a</w>", "b</w>", "ab</w>", "abc</w>", "c</w>")
    merges = ["a b", "a b</w>", "ab c</w>"]
    return tokenizer({"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": "</w>", "fuse_unk": False, "vocab": vocab, "merges": merges} | options,
                     {"type": "Lowercase"}, {"type": "Whitespace"}, None, {"type": "BPEDecoder", "suffix": "</w>"})


def main():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    spaced = byte_level | {"add_prefix_space": True}
    roberta = {"type": "RobertaProcessing", "sep": ["b", 98], "cls": ["a", 97], "trim_offsets": True,
               "add_prefix_space": True}
    split3 = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
    fixtures = {
        "word-piece": word_piece(),
        "unigram-always": unigram("always", False),
        "unigram-first-bytes": unigram("first", True),
        "unigram-never": unigram("never", False),
        "gpt2": byte_bpe(byte_level, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}),
        "roberta-spaced": byte_bpe(spaced, roberta),
        "bert-ends": byte_bpe(byte_level, {"type": "BertProcessing", "sep": ["b", 98], "cls": ["a", 97]}),
        "llama3": byte_bpe(sequence("pretokenizers", split3, byte_level | {"use_regex": False}), None,
                           ignore_merges=True),
        "llama3-pcre": byte_bpe(sequence("pretokenizers", split3 | {"pattern": {"Regex": f"(?:{LLAMA3})"}},
                                         byte_level | {"use_regex": False}), None, ignore_merges=True),
        "bytes-then-digits": byte_bpe(sequence("pretokenizers", byte_level, {"type": "Digits",
                                                                             "individual_digits": True}), None),
        "char-bpe": char_bpe(),
        "char-bpe-fused": char_bpe(fuse_unk=True),
        "nfc": word_level({"type": "NFC"}), "nfd": word_level({"type": "NFD"}),
        "nfkc": word_level({"type": "NFKC"}), "nfkd": word_level({"type": "NFKD"}),
        "strip-accents": word_level(sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"},
                                             {"type": "Lowercase"},
                                             {"type": "Strip", "strip_left": True, "strip_right": True}), {"type": "WhitespaceSplit"}),
        "nmt": word_level(sequence("normalizers", {"type": "Nmt"}, {"type": "Prepend", "prepend": "\u2581x"}),
                          {"type": "WhitespaceSplit"}),
        "replace": word_level(sequence("normalizers",
                                       {"type": "Replace", "pattern": {"String": "a"}, "content": "\u00e9e"},
                                       {"type": "Replace", "pattern": {"Regex": "[bc]+"}, "content": ""}),
                              {"type": "WhitespaceSplit"}),
        "byte-normalizer": word_level({"type": "ByteLevel"}, {"type": "WhitespaceSplit"}),
        "delimiter": word_level(None, {"type": "CharDelimiterSplit", "delimiter": "-"}),
        "digits": word_level(None, {"type": "Digits", "individual_digits": False}),
        "cased": tokenizer({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                            "max_input_chars_per_word": 100, "vocab": numbered("[UNK]", "The", "cat", "caf\u00e9")},
                           {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False,
                            "strip_accents": False, "lowercase": False}, {"type": "BertPreTokenizer"}),
        "strip-cased": tokenizer({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                                  "max_input_chars_per_word": 100, "vocab": numbered("[UNK]", "The", "cat", "cafe")},
                                 {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False,
                                  "strip_accents": True, "lowercase": False}, {"type": "BertPreTokenizer"}),
        "ctc": word_level(None, {"type": "WhitespaceSplit"}, ["<pad>", "|", "a", "b"],
                          {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}),
    }
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        fixtures[f"punct-{behavior}"] = word_level(None, {"type": "Punctuation", "behavior": behavior})
        for invert in (False, True):
            name = f"split-{behavior}{'-invert' if invert else ''}"
            fixtures[name] = word_level(None, {"type": "Split", "pattern": {"Regex": "[a-c ]"}, "behavior": behavior,
                                               "invert": invert})
    json.dump(fixtures, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


main()
