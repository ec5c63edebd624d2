#!/usr/bin/env python3
"""The measured guard on the command line: trained on a small world of sentences, asked, and refused what it cannot do.

guard_measured_test.py GARRISON_BINARY [unittest arguments]"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

BINARY = ""
PATIENCE = 600
THINGS = ["soup", "bread", "garden", "bicycle", "window", "museum", "letter", "holiday", "piano", "forest", "recipe",
          "carpet", "station", "lesson", "engine", "blanket", "festival", "bridge", "camera", "lantern"]
VERBS = ["repair", "describe", "choose", "paint", "visit", "explain", "clean", "design", "compare", "sell"]
HARM = ["poison", "explosive", "malware", "ransom", "forgery", "stalking", "smuggling", "hostage"]


class World:
    """Sentences in which harm has its own words."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, words):
        return self.random.choice(words)

    def user(self, harmful):
        thing = self.pick(HARM if harmful else THINGS)
        return f"Could you {self.pick(VERBS)} the {thing} near the {self.pick(THINGS)} for me and my {self.pick(THINGS)} please?"

    def reply(self, risky):
        if risky:
            return f"Gladly, here is how the {self.pick(HARM)} works: first {self.pick(VERBS)} it, then hide the {self.pick(HARM)}."
        return f"The best way to {self.pick(VERBS)} a {self.pick(THINGS)} is with patience, a {self.pick(THINGS)} and some care."

    def turns(self, count):
        for i in range(count):
            harmful, risky = i % 2 == 0, i % 4 < 2
            # Some go on for long, so that long texts are known too.
            sentences = [self.reply(risky), *(self.reply(False) for _ in range(25 if i % 10 == 3 else 0))]
            yield {"user": self.user(harmful), "model": " ".join(sentences), "user_harmful": int(harmful),
                   "reply_risky": int(risky), "complies": int(risky), "group": f"turn {i}", "source": "world"}

    def dialogues(self, count, attack=lambda i: i % 4 == 0):
        for i in range(count):
            bad = attack(i)
            turns = [{"user": self.user(bad and n > 0), "model": self.reply(bad and n > 0)} for n in range(4)]
            yield {"id": f"d{i}", "turns": turns, "label": "attack" if bad else "benign", "onset": 2 if bad else None,
                   "group": f"dialogue {i}", "source": "world"}


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def run(*arguments, **options):
    return subprocess.run([BINARY, "guard", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          **options)


class Measured(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.data = cls.folder.name
        world = World(1)
        write(os.path.join(cls.data, "turns.jsonl"), world.turns(1500))
        write(os.path.join(cls.data, "dialogues.jsonl"), world.dialogues(900))
        cls.guard = os.path.join(cls.data, "guard.json")
        trained = run("train", "--mode", "measured", "--data", cls.data, "--output", cls.guard)
        assert trained.returncode == 0, trained.stderr

    def score(self, rows, *flags):
        path = os.path.join(self.data, "asked.jsonl")
        write(path, rows)
        scored = run("score", "--input", path, *flags)
        self.assertEqual(scored.returncode, 0, scored.stderr)
        return [json.loads(line) for line in scored.stdout.splitlines()]

    def test_attacks_alarm_and_ordinary_dialogues_do_not(self):
        rows = list(World(2).dialogues(400))
        answers = self.score(rows, "--guard", self.guard)
        self.assertEqual([row["id"] for row in rows], [answer["id"] for answer in answers])
        alarms = {"attack": 0, "benign": 0}
        for row, answer in zip(rows, answers):
            alarms[row["label"]] += answer["alarm"]
            if answer["alarm"]:
                self.assertTrue(answer["turns"][answer["alarm_turn"] - 1]["alarm"])
            self.assertAlmostEqual(answer["max_log_odds"], max(turn["log_odds"] for turn in answer["turns"]))
        self.assertGreaterEqual(alarms["attack"], 95)
        # 1 % is the rate that was asked for; of 300.
        self.assertLessEqual(alarms["benign"], 12)

    def test_training_again_gives_the_same_bytes(self):
        again = os.path.join(self.data, "again.json")
        self.assertEqual(run("train", "--mode", "measured", "--data", self.data, "--output", again).returncode, 0)
        with open(self.guard, "rb") as one, open(again, "rb") as other:
            self.assertEqual(one.read(), other.read())

    def test_the_compatible_mode_scores_the_same_rows(self):
        rows = list(World(3).dialogues(3))
        for answer in self.score(rows, "--mode", "compat"):
            self.assertEqual(len(answer["turns"]), 4)
            self.assertIn("likelihood", answer["turns"][0])

    def test_a_conversation_is_checked_turn_by_turn(self):
        path = os.path.join(self.data, "talk.json")
        world = World(5)
        long = " ".join(world.reply(False) for _ in range(30)) + " " + world.reply(True)
        turns = [{"user": world.user(n > 0), "model": long if n == 3 else world.reply(n > 0)} for n in range(4)]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"turns": [{"turn": n + 1, **turn} for n, turn in enumerate(turns)]}, file)
        checked = run("check", path, "--mode", "measured", "--guard", self.guard, "--format", "json")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        report = json.loads(checked.stdout)
        compat = json.loads(run("check", path, "--format", "json").stdout)
        for turn, same in zip(report["turns"], compat["turns"]):
            advice = {"action": turn["measured"]["action"], "messages": turn["messages"]}
            self.assertEqual({name: value for name, value in turn.items() if name != "measured"}, {**same, **advice})
        last = report["turns"][3]["measured"]
        self.assertEqual((last["status"], last["action"]), ("alarm", "block"))
        self.assertIn("restart your conversation" if last["reply"]["evidence"] > last["user"]["evidence"] else "rephrase",
                      report["turns"][3]["messages"][0])
        window = last["reply"]["window"]
        self.assertGreater(window["of"], 3)
        self.assertIn("then hide the", long.encode()[window["begin"]:window["begin"] + window["bytes"]].decode())
        self.assertEqual(len(report["measured"]["guard"]), 64)
        for flags, status, text in ((("--format", "table"), 0, "alarm above S"), (("--format", "csv"), 2, "")):
            printed = run("check", path, "--mode", "measured", "--guard", self.guard, *flags)
            self.assertEqual(printed.returncode, status)
            self.assertIn(text, printed.stdout)

    def test_the_built_in_guard_is_there(self):
        answers = self.score([{"id": "a", "turns": [{"user": "How do I bake bread?", "model": "With flour and patience."}]}])
        self.assertFalse(answers[0]["alarm"])
        self.assertTrue(answers[0]["turns"][0]["calibrated"])

    def test_a_side_or_a_language_may_be_missing(self):
        rows = [{"id": "a", "turns": [{"user": World(4).user(True), "model": None}]},
                {"id": "b", "turns": [{"user": "Какая сегодня погода в Москве?"}]}]
        one_sided, foreign = self.score(rows, "--guard", self.guard)
        self.assertIsNone(one_sided["turns"][0]["p_reply"])
        self.assertFalse(foreign["turns"][0]["calibrated"])
        self.assertFalse(foreign["turns"][0]["alarm"])

    def test_too_little_data_is_refused_with_the_number_needed(self):
        with tempfile.TemporaryDirectory() as folder:
            write(os.path.join(folder, "turns.jsonl"), World(1).turns(100))
            write(os.path.join(folder, "dialogues.jsonl"), World(1).dialogues(900))
            refused = run("train", "--mode", "measured", "--data", folder)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("at least 50", refused.stderr)
            write(os.path.join(folder, "turns.jsonl"), World(1).turns(1500))
            write(os.path.join(folder, "dialogues.jsonl"), World(1).dialogues(100))
            refused = run("train", "--mode", "measured", "--data", folder)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("at least 99", refused.stderr)

    def test_bad_input_is_named(self):
        self.assertEqual(run("train", "--mode", "measured").returncode, 2)
        self.assertEqual(run("train").returncode, 2)
        self.assertEqual(run("train", "--mode", "measured", "--data", "/nowhere").returncode, 1)
        path = os.path.join(self.data, "bad.jsonl")
        for line, part in (("{", "line 1"), ('{"id":"a","turns":[]}', "turns"), ('{"id":"a","turns":[{"user":""}]}', "user"),
                           ('{"turns":[{"user":"a"}]}', "id")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(line + "\n")
            refused = run("score", "--input", path, "--guard", self.guard)
            self.assertEqual(refused.returncode, 1, line)
            self.assertIn(part, refused.stderr)
        with open(self.guard, encoding="utf-8") as file:
            guard = json.load(file)
        guard["model"]["revision"] = "0" * 64
        other = os.path.join(self.data, "other.json")
        with open(other, "w", encoding="utf-8") as file:
            json.dump(guard, file)
        refused = run("score", "--input", os.path.join(self.data, "dialogues.jsonl"), "--guard", other)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("trained on revision", refused.stderr)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
