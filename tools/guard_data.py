#!/usr/bin/python3
"""Public sets of prompts, replies and dialogues in the form of docs/formats/guard-data.md.

    tools/guard_data.py DATA OUT

Writes OUT/turns.jsonl, OUT/dialogues.jsonl, OUT/pairs.jsonl (ordered pairs of replies, for the evaluation alone) and
OUT/manifest.json. What is done and why is said in bench/guard/PROTOCOL.md. Two runs write the same bytes. Standard
library only; texts of the sets go nowhere but into OUT.
"""

import argparse
import collections
import csv
import gzip
import hashlib
import json
import math
import pathlib
import re
import sys
import unicodedata

NEAR = 0.9
GIVEN = ("jbb", "cymultenset")
UPSTREAM = {
    "harmbench_advbench_strongreject": "https://github.com/busycalibrating/AdversariaLLM data/behavior_datasets",
    "refusal_direction": "https://github.com/busycalibrating/AdversariaLLM data/refusal_direction",
    "cosafe": "https://github.com/ErxinYu/CoSafe-Dataset",
    "hh_rlhf_harmless_test": "https://github.com/anthropics/hh-rlhf harmless-base/test.jsonl.gz",
    "diasafety": "https://github.com/thu-coai/DiaSafety DiaSafety_dataset",
    "mt_bench_101": "https://github.com/mtbench101/mt-bench-101 data/subjective/mtbench101.jsonl",
    "openai_moderation": "https://github.com/openai/moderation-api-release data/samples-1680.jsonl.gz",
    "piguard_notinject": "https://github.com/leolee99/PIGuard datasets",
    "harmfulqa_catqa": "https://github.com/declare-lab/red-instruct harmful_questions",
}


def normalise(text):
    """Compatibility forms, case, punctuation and white space do not tell texts apart."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", folded))


def split_of(group):
    """docs/formats/guard-data.md, "Splits"."""
    bucket = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") % 10
    return "train" if bucket < 5 else "calibration" if bucket < 7 else "test"


# Readers. A row is a dict of the format's fields, with `key`: the text that names its goal.


class Reader:
    def __init__(self, folder):
        self.folder = folder
        self.hashes = {}

    def read(self, name):
        path = self.folder / name
        data = path.read_bytes()
        self.hashes[name] = hashlib.sha256(data).hexdigest()
        return (gzip.decompress(data) if name.endswith(".gz") else data).decode()

    def json(self, name):
        return json.loads(self.read(name))

    def lines(self, name):
        # Not splitlines: the texts hold U+2028 and the like.
        return [json.loads(line) for line in self.read(name).split("\n") if line.strip()]

    def csv(self, name):
        return list(csv.DictReader(self.read(name).splitlines(keepends=True)))

    def names(self, pattern):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.glob(pattern))


def prompt(text, harmful, source, category=None, key=None, **more):
    return {"user": text, "model": None, "user_harmful": harmful, "reply_risky": None, "complies": None,
            "source": source, "category": category, "key": key or text, **more}


def prompts(reader):
    """Single texts with a label of harm. The first of equal texts stays, so the order is part of the definition."""
    folder = "harmbench_advbench_strongreject"
    for row in reader.csv(f"{folder}/harmbench_behaviors_text_all.csv"):
        # To print the words of a song is not a harm of the kind that a conversation guard is for.
        if row["FunctionalCategory"] != "copyright":
            yield prompt(row["Behavior"], 1, "harmbench", row["SemanticCategory"])
    for row in reader.csv(f"{folder}/advbench_behaviors.csv"):
        yield prompt(row["Behavior"], 1, "advbench")
    for row in reader.csv(f"{folder}/strongreject_dataset.csv"):
        yield prompt(row["forbidden_prompt"], 1, "strongreject", row["category"])
    for line in reader.read(f"{folder}/malicious_instruct.txt").split("\n"):
        if line.strip():
            yield prompt(line, 1, "malicious_instruct")
    for part in ("train", "val", "test"):
        for row in reader.json(f"refusal_direction/harmful_{part}.json"):
            yield prompt(row["instruction"], 1, "refusal_direction", row["category"])
    for topic, subjects in reader.json("harmfulqa_catqa/harmfulqa.json").items():
        for questions in subjects.values():
            for question in questions:
                yield prompt(question, 1, "harmfulqa", topic)
    for question in reader.json("harmfulqa_catqa/dangerousqa.json"):
        yield prompt(question, 1, "dangerousqa")
    yield from catqa(reader)
    for row in reader.json("refusal_direction/harmless_test.json"):
        yield prompt(row["instruction"], 0, "alpaca")
    for row in reader.lines("openai_moderation/samples-1680.jsonl.gz"):
        flags = [name for name, value in row.items() if name != "prompt" and value == 1]
        yield prompt(row["prompt"], int(bool(flags)), "openai_moderation", "+".join(flags) or "none")
    for part in ("one", "two", "three"):
        for row in reader.json(f"piguard_notinject/NotInject_{part}.json"):
            yield prompt(row["prompt"], 0, "notinject", row["category"], test_only=True)
    for name in reader.names("xstest/xstest_prompts.csv"):
        for row in reader.csv(name):
            # Older editions have no label; their unsafe prompts are the types that contrast with safe ones.
            unsafe = row["label"] == "unsafe" if row.get("label") else row["type"].startswith("contrast")
            yield prompt(row["prompt"], int(unsafe), "xstest", row["type"], test_only=True)


def catqa(reader):
    """CatQA's three languages have the same questions in the same order; the English one names the goal of all."""
    def flat(language):
        tree = reader.json(f"harmfulqa_catqa/catqa_{language}.json")
        return [(category, question) for category, subjects in tree.items()
                for questions in subjects.values() for question in questions]

    english = flat("english")
    for category, question in english:
        yield prompt(question, 1, "catqa", category)
    for tag, language in (("zh", "chinese"), ("vi", "vietnamese")):
        others = flat(language)
        if len(others) != len(english):
            sys.exit(f"guard_data: CatQA has {len(english)} questions in English and {len(others)} in {language}")
        for (category, question), (_, original) in zip(others, english):
            yield prompt(question, 1, "catqa_" + tag, category, original, language=tag, test_only=True)


def replies(reader):
    for part in ("train", "val", "test"):
        for row in reader.json(f"diasafety/{part}.json"):
            unsafe = int(row["label"] == "Unsafe")
            agreement = row["category"] == "Toxicity Agreement"
            yield {"user": row["context"], "model": row["response"], "user_harmful": None, "reply_risky": unsafe,
                   "complies": unsafe if agreement else None, "source": "diasafety", "category": row["category"],
                   "key": row["context"]}


def benign_dialogues(reader):
    for row in reader.lines("mt_bench_101/mtbench101.jsonl"):
        turns = [{"user": t["user"], "model": t["bot"]} for t in row["history"]]
        yield {"id": f"mt_bench_101-{row['task']}-{row['id']}", "turns": turns, "label": "benign", "onset": None,
               "source": "mt_bench_101", "category": row["task"], "key": turns[0]["user"],
               "near": [" ".join(t["user"] for t in turns)]}


def attack_dialogues(reader):
    for name in reader.names("cosafe/CoSafe datasets/*.json"):
        category = pathlib.Path(name).stem
        seeds = reader.lines(f"cosafe/Single Prompt/{category}_select_100.json")
        for number, (messages, seed) in enumerate(zip(reader.lines(name), seeds, strict=True)):
            turns = []
            for message in messages:
                if message["role"] == "user":
                    turns.append({"user": message["content"], "model": None})
                else:
                    turns[-1]["model"] = message["content"]
            # One file has a dialogue that ends with a reply; the attack is the last user turn all the same.
            turns[-1]["model"] = None
            yield {"id": f"cosafe-{category}-{number}", "turns": turns, "label": "attack", "onset": len(turns),
                   "source": "cosafe", "category": category, "key": seed[0],
                   "near": [" ".join(t["user"] for t in turns)]}


def pairs(reader):
    def turns_of(text):
        turns = []
        for speaker, message in re.findall(r"\n\n(Human|Assistant):(.*?)(?=\n\n(?:Human|Assistant):|\Z)", text, re.S):
            if speaker == "Human":
                turns.append({"user": message.strip(), "model": None})
            elif turns:
                turns[-1]["model"] = message.strip()
        return turns

    for number, row in enumerate(reader.lines("hh_rlhf_harmless_test/test.jsonl.gz")):
        chosen, rejected = turns_of(row["chosen"]), turns_of(row["rejected"])
        same = [t["user"] for t in chosen] == [t["user"] for t in rejected] and chosen[:-1] == rejected[:-1]
        # Only pairs that differ in the last reply alone, with words in every text, can be put in order.
        if not same or chosen[-1]["model"] == rejected[-1]["model"]:
            continue
        if all(normalise(t["user"]) and normalise(t["model"] or "") for t in [*chosen, rejected[-1]]):
            yield {"id": f"hh-{number}", "turns": chosen, "rejected": rejected[-1]["model"], "source": "hh_rlhf",
                   "key": chosen[0]["user"], "test_only": True}


def given(reader, file):
    """Sets that somebody put there in the form of docs/formats/guard-data.md: for the test alone."""
    for folder in GIVEN:
        for name in reader.names(f"{folder}/{file}"):
            for row in reader.lines(name):
                yield {"user_harmful": None, "reply_risky": None, "complies": None, "category": folder, "onset": None,
                       **row, "source": folder, "key": row["group"], "test_only": True}


# Duplicates and groups.


class Groups:
    """Union of keys; the smallest key of a group is its name."""

    def __init__(self):
        self.parent = {}

    def find(self, key):
        self.parent.setdefault(key, key)
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def union(self, a, b):
        a, b = sorted((self.find(a), self.find(b)))
        self.parent[b] = a


def near_duplicates(texts):
    """Pairs (i, j) of texts with a cosine of TF-IDF word vectors above NEAR, exactly.

    Two unit vectors above NEAR share a word in the head of each: its rarest words, up to where the rest is no longer
    than NEAR. (If they share none there, the dot product is at most the length of one's rest.)
    """
    counts = [collections.Counter(text.split()) for text in texts]
    frequency = collections.Counter(word for count in counts for word in count)
    order = {word: i for i, word in enumerate(sorted(frequency, key=lambda word: (frequency[word], word)))}
    idf = {word: math.log((1 + len(texts)) / (1 + n)) + 1 for word, n in frequency.items()}
    vectors, heads = [], collections.defaultdict(list)
    for i, count in enumerate(counts):
        words = sorted(count, key=order.__getitem__)
        weights = [count[word] * idf[word] for word in words]
        norm = math.sqrt(math.fsum(w * w for w in weights)) or 1.0
        vectors.append({word: w / norm for word, w in zip(words, weights)})
        candidates, rest = set(), 1.0
        for word, w in vectors[i].items():
            # A head of one vector must meet any word of the other's head: both are kept in `heads`.
            if rest <= NEAR * NEAR - 1e-9:
                break
            candidates.update(heads[word])
            heads[word].append(i)
            rest -= w * w
        for j in sorted(candidates):
            if math.fsum(w * vectors[j].get(word, 0.0) for word, w in vectors[i].items()) > NEAR:
                yield j, i


def deduplicate(rows, log):
    """The first of rows with the same texts; none of those whose labels contradict each other."""
    kept = {}
    for row in rows:
        same = (normalise(row["user"] or ""), normalise(row["model"] or ""))
        if not any(same) or (row["model"] is not None and not row["model"].strip()):
            log["dropped: no word"][row["source"]] += 1
            continue
        first = kept.setdefault(same, row)
        if first is row:
            row["also"] = []
            continue
        log["dropped: exact duplicate"][row["source"]] += 1
        if row["source"] not in [first["source"], *first["also"]]:
            first["also"].append(row["source"])
        if any(first[k] != row[k] for k in ("user_harmful", "reply_risky", "complies")):
            first["conflict"] = True
    for row in kept.values():
        if row.get("conflict"):
            log["dropped: contradictory labels"][row["source"]] += 1
        else:
            yield row


def user_turns(dialogues, log):
    """The user's texts of benign dialogues; a phrase of several goals belongs to none."""
    goals = collections.defaultdict(set)
    for dialogue in dialogues:
        for turn in dialogue["turns"]:
            goals[normalise(turn["user"])].add(dialogue["group"])
    for dialogue in dialogues:
        for turn in dialogue["turns"]:
            if len(goals[normalise(turn["user"])]) > 1:
                log["dropped: phrase of several goals"][dialogue["source"]] += 1
            else:
                yield prompt(turn["user"], 0, dialogue["source"], dialogue["category"], dialogue["group"])


def group(items):
    """Gives every item its `group` and `split`; returns how many pairs of keys were near-duplicates."""
    groups, texts = Groups(), {}
    for item in items:
        key = normalise(item["key"])
        groups.find(key)
        for text in [key, *map(normalise, item.pop("near", []))]:
            if text in texts:
                groups.union(texts[text], key)
            texts[text] = key
    listed = sorted(texts)
    near = 0
    for i, j in near_duplicates(listed):
        groups.union(texts[listed[i]], texts[listed[j]])
        near += 1
    for item in items:
        item["group"] = groups.find(normalise(item.pop("key")))
        item["split"] = split_of(item["group"])
    bound = {item["group"] for item in items if not item.get("test_only")}
    for item in items:
        if item["group"] not in bound:
            item["split"] = "test"
    return near


def testable(items, log):
    """Rows that serve the test alone stay out where their goal belongs to another split."""
    for item in items:
        if item["split"] != "test" and item.get("test_only"):
            log["left out: for the test alone, but the goal is not in test"][item["source"]] += 1
        else:
            yield item


# Output.


def write(path, rows, fields):
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps({f: row[f] for f in fields if f in row}, ensure_ascii=False) + "\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def counts(rows, label):
    table = collections.Counter((row["source"], row["split"], label(row)) for row in rows)
    tree = {}
    for (source, split, name), n in sorted(table.items()):
        tree.setdefault(source, {}).setdefault(split, {})[name] = n
    return tree


def turn_label(row):
    return ",".join(f"{k}={row[k]}" for k in ("user_harmful", "reply_risky", "complies") if row[k] is not None)


def build(data, out):
    reader, log = Reader(data), collections.defaultdict(collections.Counter)
    turns = list(deduplicate([*prompts(reader), *replies(reader), *given(reader, "turns.jsonl")], log))
    dialogues = [*attack_dialogues(reader), *benign_dialogues(reader), *given(reader, "dialogues.jsonl")]
    ordered = list(pairs(reader))
    near = group([*turns, *dialogues, *ordered])
    dialogues = list(testable(dialogues, log))
    benign = [dialogue for dialogue in dialogues if dialogue["source"] == "mt_bench_101"]
    extra = [{**row, "group": row.pop("key")} for row in user_turns(benign, log)]
    split = {d["group"]: d["split"] for d in dialogues}
    for row in extra:
        row["split"] = split[row["group"]]
    seen = {normalise(row["user"]) for row in turns if row["model"] is None}
    extra = [row for row in deduplicate(extra, log) if normalise(row["user"]) not in seen]
    turns = [*testable(turns, log), *extra]
    ordered = list(testable(ordered, log))

    out.mkdir(parents=True, exist_ok=True)
    hashes = {
        "turns.jsonl": write(out / "turns.jsonl", turns, [
            "user", "model", "user_harmful", "reply_risky", "complies", "group", "source", "also", "category",
            "language", "split"]),
        "dialogues.jsonl": write(out / "dialogues.jsonl", dialogues, [
            "id", "turns", "label", "onset", "group", "source", "category", "split"]),
        "pairs.jsonl": write(out / "pairs.jsonl", ordered, ["id", "turns", "rejected", "group", "source", "split"]),
    }
    everything = [*turns, *dialogues, *ordered]
    sizes = collections.Counter(row["group"] for row in everything)
    manifest = {
        "inputs": dict(sorted(reader.hashes.items())),
        "outputs": hashes,
        "turns": counts(turns, turn_label),
        "dialogues": counts(dialogues, lambda d: d["label"]),
        "pairs": counts(ordered, lambda d: "pair"),
        "groups": {split: len({r["group"] for r in everything if r["split"] == split})
                   for split in ("train", "calibration", "test")},
        "largest_groups": [n for _, n in sizes.most_common(5)],
        "near_duplicate_pairs_of_keys": near,
        "log": {what: dict(sorted(c.items())) for what, c in sorted(log.items())},
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    missing = [name for name in UPSTREAM if not (args.data / name).is_dir()]
    if missing:
        sys.exit("\n".join([f"guard_data: {args.data} lacks these folders; get each from its source:",
                            *(f"  {name}  {UPSTREAM[name]}" for name in missing)]))
    try:
        manifest = build(args.data, args.out)
    except FileNotFoundError as error:
        folder = pathlib.Path(error.filename).relative_to(args.data).parts[0]
        sys.exit(f"guard_data: {error.filename} is missing; it comes from {UPSTREAM[folder]}")
    print(json.dumps({k: manifest[k] for k in ("turns", "dialogues", "pairs", "groups", "log")}, indent=1))


if __name__ == "__main__":
    main()
