"""Every golden row and every block of the sweep, against `garrison tokenize`.

    tokenizer_golden_test.py build/garrison [--only NAME,...] [--no-sweep] [--show N]

Needs $GARRISON_SHARED/tokenizers; says that it skips, and exits with 77, without it. The rows were
made by the reference library; where its releases differ the older answer ("classic") counts.
"""

import argparse
import concurrent.futures
import gzip
import json
import os
import pathlib
import subprocess
import sys

SKIPPED = 77
# Answer fields in a row; all must be equal. An absent field must be absent in the answer too.
FIELDS = ["ids", "tokens", "type_ids", "offsets", "special_tokens_mask", "word_ids", "attention_mask",
          "overflow", "overflow_count", "decoded", "decoded_all", "normalized", "results", "error"]
# The other fields of a row whose ids differ between releases are those of the newer ids.
OF_NEWER_IDS = {"tokens", "type_ids", "offsets", "special_tokens_mask", "word_ids", "attention_mask",
                "decoded", "decoded_all"}
CALL = ["id", "cat", "text", "text_pair", "batch", "add_special_tokens", "as_shipped", "truncation", "padding"]
# Not made for these rows.
WITHOUT_NORMALIZED = {"long-text"}


def tokenize(binary, folder, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    done = subprocess.run([binary, "tokenize", "--model", str(folder), "--input", "-"], input=text.encode(),
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{folder.name}: exit {done.returncode}: {done.stderr.decode()}")
    return [json.loads(line) for line in done.stdout.split(b"\n") if line]


def expectation(row):
    """The row's answer, with the older releases' where they differ, and the fields to compare."""
    classic = row.get("classic")
    fields = [field for field in FIELDS if field != "normalized" or compares_normalized(row)]
    if classic is None:
        return row, fields
    expected = dict(row)
    for field in ("overflow", "overflow_count"):
        expected.pop(field, None)
    expected.update({k: v for k, v in classic.items() if v is not None})
    if "error" in classic:
        for field in set(FIELDS) - {"error"}:
            expected.pop(field, None)
        return expected, fields
    # 0.23 counts the words of a text that it cuts on the left from where it begins to look.
    fields = [field for field in fields if field != "word_ids"]
    if "ids" in classic:
        expected.pop("error", None)
        fields = [field for field in fields if field not in OF_NEWER_IDS]
    if expected.get("overflow_count", 0) <= 12:
        expected.pop("overflow_count", None)
    return expected, fields


def compares_normalized(row):
    return "text" in row and "truncation" not in row and row["cat"] not in WITHOUT_NORMALIZED


def differences(row, answer):
    expected, fields = expectation(row)
    return [f"{field}: expected {json.dumps(expected.get(field))} got {json.dumps(answer.get(field))}"
            for field in fields if expected.get(field) != answer.get(field)]


def check_golden(binary, folder, show):
    with gzip.open(folder / "golden-open.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    calls = []
    for row in rows:
        decodes = row["cat"] in ("decode", "decode-slice")
        calls.append({key: row[key] for key in (["id", "cat", "ids"] if decodes else CALL) if key in row})
    answers = tokenize(binary, folder, calls)
    matched = 0
    for row, answer in zip(rows, answers, strict=True):
        found = differences(row, answer)
        matched += not found
        if found and show > 0:
            show -= 1
            print(f"  {folder.name} {row['id']} {row['cat']} {json.dumps(row.get('text', row.get('ids')))[:300]}")
            for line in found:
                print("    " + line[:600])
    return matched, len(rows)


def block_hash(encodings):
    value = 0x811C9DC5
    for ids in encodings:
        for byte in b"".join(i.to_bytes(4, "little") for i in [*ids, 0xFFFFFFFF]):
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def check_sweep(binary, folder, show):
    with gzip.open(folder / "sweep-open.txt.gz", "rt") as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    blocks = [(int(start, 16), int(value, 16)) for start, value in lines]
    matched = 0
    for first in range(0, len(blocks), 512):
        part = blocks[first:first + 512]
        rows = [{"batch": [f"a{chr(start + i)}b" for i in range(256)], "add_special_tokens": False}
                for start, _ in part]
        for (start, value), answer in zip(part, tokenize(binary, folder, rows), strict=True):
            if block_hash(result["ids"] for result in answer["results"]) == value:
                matched += 1
            elif show > 0:
                show -= 1
                print(f"  {folder.name} sweep block {start:x} differs")
    return matched, len(blocks)


def check_graphemes(binary, shared, folder):
    """Texts around every kind of key of the character map that both models ship."""
    with gzip.open(shared / "unicode" / "charsmap-graphemes.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if "text" in row]
    answers = tokenize(binary, folder, [{"text": row["text"]} for row in rows])
    matched = sum(answer.get("normalized", row["text"]) == row["normalized"]
                  for row, answer in zip(rows, answers, strict=True))
    return matched, len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--only")
    parser.add_argument("--no-sweep", action="store_true")
    parser.add_argument("--show", type=int, default=10)
    arguments = parser.parse_args()
    shared = os.environ.get("GARRISON_SHARED")
    if not shared or not pathlib.Path(shared, "tokenizers").is_dir():
        print("skipped: GARRISON_SHARED does not point to the shared data (tokenizers/*/golden-open.jsonl.gz)")
        sys.exit(SKIPPED)
    binary = str(pathlib.Path(arguments.binary).resolve())
    folders = sorted(path.parent for path in pathlib.Path(shared, "tokenizers").glob("*/golden-open.jsonl.gz"))
    if arguments.only:
        folders = [folder for folder in folders if folder.name in arguments.only.split(",")]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        golden = {f.name: pool.submit(check_golden, binary, f, arguments.show) for f in folders}
        sweeps = {} if arguments.no_sweep else {f.name: pool.submit(check_sweep, binary, f, 3) for f in folders}
        wrong = 0
        for folder in folders:
            rows, row_count = golden[folder.name].result()
            wrong += row_count - rows
            line = f"{folder.name}: {rows} of {row_count} golden rows"
            if not arguments.no_sweep:
                blocks, block_count = sweeps[folder.name].result()
                wrong += block_count - blocks
                line += f", {blocks} of {block_count} sweep blocks"
            print(line, flush=True)
        graphemes = pathlib.Path(shared, "tokenizers")
        if (graphemes / "xlm-roberta").is_dir():
            rows, row_count = check_graphemes(binary, graphemes, graphemes / "xlm-roberta")
            wrong += row_count - rows
            print(f"xlm-roberta: {rows} of {row_count} texts of the character map")
    if not folders:
        print("no tokenizers found")
        sys.exit(1)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
