"""The rows of the evaluation: reading, folds, and the conditions of the conversation track."""

import hashlib
import json
import pathlib

LENGTHS = [(0, 64, "up to 64 characters"), (64, 256, "65 to 256"), (256, 1 << 60, "more than 256")]


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def number_of(name, text):
    """A number from a name and a text, for folds and shuffles that are the same in every run."""
    return int.from_bytes(hashlib.sha256(f"{name} {text}".encode()).digest()[:8], "big")


def fold(group, folds):
    return number_of("fold", group) % folds


class Data:
    """turns, dialogues and pairs of one role each: fit, calibration, test.

    `rehearse` never reads a test row: calibration stands in for test, and a fifth of train's groups for calibration.
    """

    def __init__(self, folder, rehearse):
        folder = pathlib.Path(folder)
        self.rehearse = rehearse
        self.turns, self.dialogues = ({"fit": [], "calibration": [], "test": []} for _ in range(2))
        for name, target in (("turns.jsonl", self.turns), ("dialogues.jsonl", self.dialogues)):
            for row in read(folder / name):
                role = self._role(row)
                if role:
                    target[role].append(row)
        self.pairs = [] if rehearse else read(folder / "pairs.jsonl")

    def _role(self, row):
        if not self.rehearse:
            return {"train": "fit"}.get(row["split"], row["split"])
        if row["split"] == "test":
            return None
        if row["split"] == "calibration":
            return "test"
        return "calibration" if number_of("rehearsal", row["group"]) % 5 == 0 else "fit"


def without_last_reply(dialogue):
    *before, last = dialogue["turns"]
    return {**dialogue, "turns": [*before, {"user": last["user"], "model": None}]}


def equal_length(dialogues, turns=3):
    """Both classes with the same number of turns and no reply to the last one."""
    return [without_last_reply({**d, "turns": d["turns"][:turns]}) for d in dialogues if len(d["turns"]) >= turns]


def hard(dialogues, k):
    """An attack's last k user turns (1) against another goal's first k of the same category (0); no replies."""
    attacks = sorted((d for d in dialogues if d["label"] == "attack"), key=lambda d: d["id"])
    result = []
    for category in sorted({d["category"] for d in attacks}):
        members = [d for d in attacks if d["category"] == category]
        for i, attack in enumerate(members):
            partner = next((m for m in members[i + 1:] + members[:i] if m["group"] != attack["group"]), None)
            if partner is None:
                continue
            for part, label, kind in ((attack["turns"][-k:], "attack", "last"), (partner["turns"][:k], "benign", "first")):
                source = attack if label == "attack" else partner
                result.append({**source, "id": f"{source['id']}/{kind}{k}", "label": label,
                               "turns": [{"user": t["user"], "model": None} for t in part],
                               "onset": k if label == "attack" else None})
    return result


def shuffled(dialogue):
    """The turns in another order; replies stay with their user turns. Two turns change places."""
    turns = list(dialogue["turns"])
    state = number_of("shuffle", dialogue["id"])
    for i in range(len(turns) - 1, 0, -1):
        state, j = divmod(state, i + 1)
        turns[i], turns[j] = turns[j], turns[i]
    return {**dialogue, "id": dialogue["id"] + "/shuffled", "turns": turns}


def swapped(dialogue):
    return {**dialogue, "id": dialogue["id"] + "/swapped",
            "turns": [{"user": t["model"], "model": t["user"]} for t in dialogue["turns"]]}


def user_text(dialogue):
    return "\n".join(t["user"] for t in dialogue["turns"] if t["user"])


def length_stratum(text):
    return next(name for low, high, name in LENGTHS if low < max(1, len(text)) <= high)
