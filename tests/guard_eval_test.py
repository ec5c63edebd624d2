"""Metrics, splits and tables of the guard evaluation against values computed by hand or in another way."""

import copy
import hashlib
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench/guard"), str(ROOT / "tools")]

import numpy as np  # noqa: E402

import baselines  # noqa: E402
import conversations  # noqa: E402
import evaluate  # noqa: E402
import garrison  # noqa: E402
import guard_data  # noqa: E402
import metrics  # noqa: E402
import models  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
import tracks  # noqa: E402

SCORES = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
LABELS = [1, 1, 0, 1, 0, 0, 1, 0]


def value(metric, scores=SCORES, labels=LABELS):
    return float(metric(*metrics.Curve(scores, labels).rates())[0])


def pairwise(scores, labels):
    """AUROC by its definition."""
    attacks = [s for s, y in zip(scores, labels) if y]
    benign = [s for s, y in zip(scores, labels) if not y]
    return sum((a > b) + (a == b) / 2 for a, b in itertools.product(attacks, benign)) / (len(attacks) * len(benign))


class Metrics(unittest.TestCase):
    def test_auroc_by_hand_with_a_tie(self):
        # Wins of the attacks over (.8, .6, .5, .3): 4, 3.5, 3, 1 of 16.
        self.assertAlmostEqual(value(metrics.auroc), 11.5 / 16, places=12)

    def test_auroc_is_its_definition(self):
        chance = random.Random(1)
        for _ in range(50):
            labels = [0, 1] + [chance.randint(0, 1) for _ in range(30)]
            scores = [chance.randint(0, 8) / 8 for _ in labels]
            self.assertAlmostEqual(metrics.auroc_of(scores, labels), pairwise(scores, labels), places=12)

    def test_average_precision_by_hand(self):
        # Steps: 1 of 1; then two rows at once, 2 of 3; 3 of 4; 4 of 7.
        self.assertAlmostEqual(value(metrics.auprc), (1 + 2 / 3 + 3 / 4 + 4 / 7) / 4, places=12)

    def test_rates_at_limits_by_hand(self):
        self.assertAlmostEqual(value(metrics.tpr_at(0.01)), 1 / 4)
        self.assertAlmostEqual(value(metrics.tpr_at(0.25)), 3 / 4)
        self.assertAlmostEqual(value(metrics.fpr_at(0.75)), 1 / 4)
        self.assertAlmostEqual(value(metrics.fpr_at(0.95)), 3 / 4)

    def test_constant_scores_say_nothing(self):
        self.assertAlmostEqual(value(metrics.auroc, [1.0] * 8), 0.5)
        self.assertAlmostEqual(value(metrics.tpr_at(0.05), [1.0] * 8), 0.0)
        self.assertAlmostEqual(value(metrics.fpr_at(0.95), [1.0] * 8), 1.0)

    def test_bad_input_is_refused(self):
        with self.assertRaises(ValueError):
            metrics.Curve([0.1, math.nan], [0, 1])
        with self.assertRaises(ValueError):
            metrics.Curve([0.1, 0.2], [1, 1])

    def test_weights_are_repeated_rows(self):
        weights = [2, 0, 1, 3, 1, 0, 2, 1]
        repeated = [i for i, w in enumerate(weights) for _ in range(w)]
        weighted = metrics.Curve(SCORES, LABELS).rates(np.array([weights], dtype=float))
        for metric in metrics.RANK_METRICS.values():
            plain = value(metric, [SCORES[i] for i in repeated], [LABELS[i] for i in repeated])
            self.assertAlmostEqual(float(metric(*weighted)[0]), plain, places=12)

    def test_the_bootstrap_draws_whole_groups(self):
        groups = ["a", "a", "b", "c", "c", "c", "d", "d"]
        drawn = np.concatenate(list(metrics.draws(groups, 500)))
        self.assertEqual(drawn.shape, (500, 8))
        for first, second in ((0, 1), (3, 4), (4, 5), (6, 7)):
            self.assertTrue((drawn[:, first] == drawn[:, second]).all())
        self.assertTrue((drawn[:, [0, 2, 3, 6]].sum(axis=1) == 4).all())
        self.assertAlmostEqual(drawn[:, 2].mean(), 1.0, delta=0.2)
        self.assertTrue((drawn == np.concatenate(list(metrics.draws(groups, 500)))).all())

    def test_the_interval_is_wider_when_rows_share_groups(self):
        chance = np.random.default_rng(3)
        labels = np.tile([0, 1], 200)
        scores = np.repeat(chance.normal(size=40), 10) + labels
        clustered = metrics.rank_report(scores, labels, np.repeat(np.arange(40), 10), 400)["auroc"]
        single = metrics.rank_report(scores, labels, np.arange(400), 400)["auroc"]
        self.assertEqual(clustered["value"], single["value"])
        self.assertLess(clustered["ci"][0], clustered["value"])
        self.assertNotEqual(clustered["ci"], single["ci"])

    def test_the_difference_of_equal_scores_is_exactly_nothing(self):
        same = metrics.auroc_difference(SCORES, SCORES, LABELS, list(range(8)), 100)
        self.assertEqual(same, {"value": 0.0, "ci": [0.0, 0.0]})

    def test_calibration_by_hand(self):
        report_ = metrics.calibration_report([0.0, 0.5, 0.5, 1.0], [0, 1, 0, 0])
        self.assertAlmostEqual(report_["brier"], (0 + 0.25 + 0.25 + 1) / 4)
        # Fewer rows than bins: each is a bin of its own.
        self.assertAlmostEqual(report_["ece"], (0 + 0.5 + 0.5 + 1) / 4)
        table = metrics.reliability(np.arange(30) / 30, np.zeros(30))
        self.assertEqual([row["n"] for row in table], [2] * 15)

    def test_incomplete_beta_against_closed_forms(self):
        for x in (0.0, 0.01, 0.3, 0.5, 0.9, 1.0):
            self.assertAlmostEqual(metrics.incomplete_beta(1, 1, x), x, places=13)
            self.assertAlmostEqual(metrics.incomplete_beta(3, 1, x), x**3, places=13)
            self.assertAlmostEqual(metrics.incomplete_beta(1, 4, x), 1 - (1 - x) ** 4, places=13)
            tail = sum(math.comb(20, k) * x**k * (1 - x) ** (20 - k) for k in range(6, 21))
            self.assertAlmostEqual(metrics.incomplete_beta(6, 15, x), tail, places=12)

    def test_clopper_pearson(self):
        # No hit in n: the upper end is 1 - (alpha/2)^(1/n).
        low, high = metrics.clopper_pearson(0, 433)
        self.assertEqual(low, 0.0)
        self.assertAlmostEqual(high, 1 - 0.025 ** (1 / 433), places=12)
        # 5 of 10, as tables have it.
        low, high = metrics.clopper_pearson(5, 10)
        self.assertAlmostEqual(low, 0.187086, places=6)
        self.assertAlmostEqual(high, 0.812914, places=6)
        self.assertEqual(metrics.clopper_pearson(3, 3)[1], 1.0)

    def test_conformal_threshold(self):
        maxima = list(range(1, 100))
        self.assertEqual(metrics.conformal_threshold(maxima, 0.01), 99)
        self.assertEqual(metrics.conformal_threshold(maxima, 0.05), 95)
        self.assertEqual(metrics.conformal_threshold(maxima[:98], 0.01), math.inf)


class Models(unittest.TestCase):
    def test_logistic_is_at_its_minimum(self):
        chance = np.random.default_rng(5)
        x = chance.normal(size=(300, 8))
        y = (chance.random(300) < models.sigmoid(x[:, 0] - 0.5)).astype(float)
        w, b = models.logistic(x, y, 2.0)
        residual = models.sigmoid(x @ w + b) - y
        self.assertLess(np.abs(x.T @ residual + 2.0 * w).max(), 1e-3)
        self.assertLess(abs(residual.sum()), 1e-3)
        sparse = models.Sparse([[(j, v) for j, v in enumerate(row)] for row in x], 8)
        other, other_b = models.logistic(sparse, y, 2.0)
        self.assertLess(np.abs(w - other).max() + abs(b - other_b), 1e-4)

    def test_ledoit_wolf_against_its_definition(self):
        x = np.random.default_rng(6).normal(size=(40, 5)) * [1, 2, 3, 4, 5]
        _, covariance, share = models.ledoit_wolf(x)
        centred = x - x.mean(axis=0)
        sample = centred.T @ centred / 40
        target = np.trace(sample) / 5 * np.eye(5)
        spread = np.mean([((np.outer(r, r) - sample) ** 2).sum() for r in centred]) / 40
        expected = min(1.0, spread / ((sample - target) ** 2).sum())
        self.assertAlmostEqual(share, expected, places=10)
        np.testing.assert_allclose(covariance, (1 - expected) * sample + expected * target, atol=1e-10)

    def test_naive_bayes_by_hand(self):
        model = models.WordBayes(["good dog", "bad bad"], [0, 1])
        # Vocabulary of 3; bad: (2+1)/(2+3) against (0+1)/(2+3).
        self.assertAlmostEqual(model.scores(["bad unknown"])[0], math.log(3 / 5) - math.log(1 / 5))

    def test_words_learn_words(self):
        texts = [f"{'harm' if i % 2 else 'help'} number {i % 7}" for i in range(60)]
        model = models.WordLogistic(texts, [i % 2 for i in range(60)], 0.1)
        self.assertGreater(model.scores(["harm it"])[0], model.scores(["help it"])[0] + 1)

    def test_platt_keeps_order_and_rate(self):
        chance = np.random.default_rng(7)
        scores = chance.normal(size=2000) * 5
        labels = (chance.random(2000) < models.sigmoid(scores - 1)).astype(int)
        p = models.Platt(scores, labels)(scores)
        self.assertAlmostEqual(p.mean(), labels.mean(), places=3)
        self.assertLess(metrics.calibration_report(p, labels)["ece"], 0.05)
        self.assertTrue((np.argsort(p, kind="stable") == np.argsort(scores, kind="stable")).all())


class Accumulation(unittest.TestCase):
    def test_series_by_hand(self):
        series = baselines.TurnScores(drift=0.5).series([1.0, -2.0, 3.0])
        self.assertEqual(list(series["B5 single-turn maximum"]), [1, 1, 3])
        self.assertEqual(list(series["B6 last turn"]), [1, -2, 3])
        self.assertEqual(list(series["B7 mean"]), [1, -0.5, 2 / 3])
        self.assertEqual(list(series["B8 EWMA"]), [1, -0.5, 1.25])
        self.assertEqual(list(series["B9 CUSUM"]), [0.5, 0, 2.5])

    def test_timing_by_hand(self):
        dialogues = [{"label": "attack", "onset": 3}, {"label": "attack", "onset": 3}, {"label": "attack", "onset": 3},
                     {"label": "benign", "onset": None}, {"label": "benign", "onset": None}]
        series = [np.array(s) for s in ([0, 2.0, 2], [0, 0, 2.0], [0.0, 0, 0], [0, 2.0], [0.0, 0, 0])]
        timing = baselines.timing(series, dialogues, 1.0)
        self.assertEqual(timing["false_alarms"]["hits"], 1)
        self.assertEqual(timing["false_alarms"]["n"], 2)
        self.assertAlmostEqual(timing["alarms_per_1000_benign_turns"], 200.0)
        self.assertEqual((timing["missed"]["hits"], timing["early"]["hits"], timing["mean_delay"]), (1, 1, -0.5))


def attack(number, category="theft", group=None):
    return {"id": f"{category}-{number}", "label": "attack", "onset": 3, "category": category,
            "group": group or f"g{number}", "source": "cosafe",
            "turns": [{"user": f"{category} {number} {t}", "model": "yes" if t < 2 else None} for t in range(3)]}


class Conditions(unittest.TestCase):
    def test_hard_pairs_differ_in_goal_and_share_category_and_length(self):
        dialogues = [attack(1), attack(2), attack(3, group="g1"), attack(1, "fraud"), attack(2, "fraud"), attack(1, "lonely")]
        made = rows.hard(dialogues, 2)
        self.assertEqual(len(made), 10)  # the lonely one has no partner
        for last, first in zip(made[::2], made[1::2]):
            self.assertEqual((last["label"], first["label"]), ("attack", "benign"))
            self.assertEqual(last["category"], first["category"])
            self.assertNotEqual(last["group"], first["group"])
            self.assertEqual([t["user"][-1] for t in last["turns"]], ["1", "2"])
            self.assertEqual([t["user"][-1] for t in first["turns"]], ["0", "1"])
            self.assertTrue(all(t["model"] is None for t in last["turns"] + first["turns"]))

    def test_equal_length_takes_count_and_last_reply_away(self):
        long = {**attack(9), "turns": [{"user": str(t), "model": "r"} for t in range(5)]}
        short = {**attack(8), "turns": [{"user": "a", "model": "r"}] * 2}
        made = rows.equal_length([attack(1), long, short])
        self.assertEqual([[t["model"] is None for t in d["turns"]] for d in made], [[False, False, True]] * 2)
        self.assertEqual(long["turns"][2]["model"], "r")

    def test_shuffling_keeps_turns_and_is_the_same_every_time(self):
        dialogues = [attack(n) for n in range(30)]
        moved = 0
        for dialogue in dialogues:
            other = rows.shuffled(dialogue)
            key = lambda t: t["user"]  # noqa: E731
            self.assertEqual(sorted(other["turns"], key=key), sorted(dialogue["turns"], key=key))
            self.assertEqual(other, rows.shuffled(dialogue))
            moved += other["turns"] != dialogue["turns"]
        self.assertGreater(moved, 15)

    def test_swapped_roles(self):
        self.assertEqual(rows.swapped(attack(1))["turns"][2], {"user": None, "model": "theft 1 2"})

    def test_dealt_labels_are_the_same_labels_on_other_rows(self):
        made = [{"user": f"t{i}", "model": None, "user_harmful": int(i < 50)} for i in range(200)]
        dealt = tracks.shuffled_labels(made, "user_harmful")
        self.assertEqual(sum(r["user_harmful"] for r in dealt), 50)
        self.assertLess(sum(r["user_harmful"] for r in dealt[:50]), 30)

    def test_a_rehearsal_reads_no_test_row(self):
        with tempfile.TemporaryDirectory() as folder:
            made = [{"user": f"t{i}", "model": None, "group": f"g{i}", "split": guard_data.split_of(f"g{i}")} for i in range(100)]
            for file, content in (("turns.jsonl", made), ("dialogues.jsonl", []), ("pairs.jsonl", made)):
                (pathlib.Path(folder) / file).write_text("".join(json.dumps(r) + "\n" for r in content))
            data = rows.Data(folder, rehearse=True)
            used = [r for part in data.turns.values() for r in part]
            self.assertEqual({r["split"] for r in used}, {"train", "calibration"})
            self.assertTrue(all(r["split"] == "calibration" for r in data.turns["test"]))
            self.assertTrue(data.turns["calibration"])
            self.assertEqual(data.pairs, [])


class Splits(unittest.TestCase):
    def test_the_documented_examples(self):
        self.assertEqual(guard_data.split_of("a"), "train")
        self.assertEqual(guard_data.split_of("how do i pick a lock"), "test")

    def test_shares(self):
        counts = {"train": 0, "calibration": 0, "test": 0}
        for i in range(20000):
            counts[guard_data.split_of(f"group {i}")] += 1
        self.assertAlmostEqual(counts["train"] / 20000, 0.5, delta=0.02)
        self.assertAlmostEqual(counts["calibration"] / 20000, 0.2, delta=0.02)

    def test_normalised_texts(self):
        self.assertEqual(guard_data.normalise("  Ｈow do I “pick” a LOCK?! "), "how do i pick a lock")

    def test_near_duplicates_are_exactly_those_of_all_pairs(self):
        chance = random.Random(2)
        texts = []
        for _ in range(60):
            words = [f"w{chance.randint(0, 200)}" for _ in range(chance.randint(3, 14))]
            texts.append(" ".join(words))
            if chance.random() < 0.6:
                texts.append(" ".join(words[:-1] + [f"w{chance.randint(0, 200)}"]))
            if chance.random() < 0.3:
                texts.append(" ".join(words + ["w0"]))
        n = len(texts)
        frequency = {w: sum(w in t.split() for t in texts) for w in {w for t in texts for w in t.split()}}
        vectors = []
        for text in texts:
            v = {w: text.split().count(w) * (math.log((1 + n) / (1 + frequency[w])) + 1) for w in text.split()}
            norm = math.sqrt(sum(x * x for x in v.values()))
            vectors.append({w: x / norm for w, x in v.items()})
        expected = {(i, j) for i in range(n) for j in range(i + 1, n)
                    if sum(x * vectors[j].get(w, 0) for w, x in vectors[i].items()) > 0.9}
        self.assertGreater(len(expected), 5)
        self.assertEqual(set(guard_data.near_duplicates(texts)), expected)

    def test_contradictions_go_and_the_first_of_equals_stays(self):
        log = guard_data.collections.defaultdict(guard_data.collections.Counter)
        made = [guard_data.prompt("Pick it!", 1, "a"), guard_data.prompt("pick IT", 1, "b"),
                guard_data.prompt("Other", 1, "a"), guard_data.prompt("other.", 0, "b"), guard_data.prompt("?!", 0, "b")]
        kept = list(guard_data.deduplicate(made, log))
        self.assertEqual([(r["user"], r["also"]) for r in kept], [("Pick it!", ["b"])])

    def test_rows_for_the_test_alone_leave_goals_of_other_splits(self):
        trained = next(f"goal {i}" for i in itertools.count() if guard_data.split_of(f"goal {i}") == "train")
        items = [guard_data.prompt(trained, 1, "a"), guard_data.prompt(trained, 1, "b", test_only=True),
                 guard_data.prompt(trained + " x y z q", 1, "b", test_only=True)]
        guard_data.group(items)
        log = guard_data.collections.defaultdict(guard_data.collections.Counter)
        kept = list(guard_data.testable(items, log))
        self.assertEqual([(r["source"], r["split"]) for r in kept], [("a", "train"), ("b", "test")])

    def test_a_folder_without_the_sets_is_told_where_they_come_from(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([ROOT / "tools/guard_data.py", folder, folder + "/out"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        for name, source in guard_data.UPSTREAM.items():
            self.assertIn(f"{name}  {source}", done.stderr)


def ranked_of(methods):
    """{method: rank report} with AUROC as given."""
    entry = lambda v: {"value": v, "ci": [v - 0.01, v + 0.01]}  # noqa: E731
    return {name: {"n": 10, "positive": 5, "groups": 9, **{m: entry(v) for m in metrics.RANK_METRICS}}
            for name, v in methods.items()}


def results_of(measured):
    """A results file as evaluate.py writes it, made up; with or without the measured mode."""
    extra = {tracks.B11: 0.9, tracks.B12: 0.95} if measured else {}
    base = {"B1 characters": 0.6, tracks.B2L: 0.8, tracks.B2B: 0.78, tracks.B11R: 0.85} | extra
    talk = {"B0 turns": 0.5, "B6 last turn": 0.94} | base
    share = metrics.share(1, 433)
    timing = {"B9 CUSUM": {"0.01": {"threshold": 1.0, "false_alarms": share, "alarms_per_1000_benign_turns": 1.0,
                                    "missed": share, "early": share, "mean_delay": None}}}
    found = {"alpaca 0": {name: [share, share] for name in base}}
    held = {"U: prompts to moderation": ranked_of({**base, **({tracks.B12: 0.55} if measured else {})})}
    order = {"as it is": 0.9, "shuffled turns": 0.89, "swapped roles": 0.6, "loss by shuffling": {"value": 0.01, "ci": [0, 0.02]}}
    shipped = {"false_alarms": share, "alarms_per_1000_benign_turns": 0.5, "missed": share, "early": share,
               "mean_delay": 0.0, "false_alarms_by_turns": {"2": share}}
    calibration = {tracks.B11R: {"ece": 0.01, "brier": 0.1}}
    return {"model": "m", "rehearsal": False, "draws": 2000, "guard": "aa" if measured else None, "deterministic": True,
            "registered rows": True,
            "U": {"ranked": {"all": ranked_of(base)}, "found_by_source": found, "by_length": {"short": {"n": 3, **base}},
                  "calibration": calibration, "notinject": metrics.share(40, 339) if measured else None, "xstest": None,
                  "not calibrated": {"catqa_zh": share} if measured else None},
            "R": {name: {"ranked": {"all": ranked_of(base)}, "by_category": {"x": {"n": 3, "groups": 2, **base}},
                         "calibration": calibration} for name in ("diasafety", "agreement")} |
                 {"pairs": {"n": 2, "groups": 2, "accuracy": {"B1 characters": {"value": 0.5, "ci": [0.4, 0.6]}}}},
            "C": {"ranked": {"equal": ranked_of(talk), "hard2": ranked_of(talk)}, "timing": {"equal": timing},
                  "by_category": {"a,b": {"n": 3, **talk}}, "shipped": shipped if measured else None},
            "controls": {"order and role": {"B9 CUSUM": order} | ({tracks.B12: order} if measured else {}),
                         "shuffled labels": {tracks.B11R: 0.51}, "held out": held}}


class Report(unittest.TestCase):
    def test_without_the_measured_mode_nothing_is_claimed(self):
        results = results_of(False)
        self.assertTrue(all(measured == "not run yet" and verdict == "" for _, measured, verdict in report.targets(results)))
        for name, where, verdict in report.falsifiers(results):
            self.assertEqual(verdict.split(":")[0], "not available" if name == "F5" else "not run yet", where)
        page = report.sections(results)
        self.assertIn("| B12 measured | not run yet |", page)
        self.assertIn("Not available: XSTest, JBB, CyMulTenSet.", page)

    def test_verdicts_with_the_measured_mode(self):
        results = results_of(True)
        verdicts = {(name, where): verdict for name, where, verdict in report.falsifiers(results)}
        self.assertTrue(verdicts["F1", "U all"].startswith("passed"))
        self.assertTrue(verdicts["F2", "C hard2"].startswith("FIRES"))  # 0.95 against 0.94
        self.assertTrue(verdicts["F3", "C equal"].startswith("FIRES"))
        self.assertTrue(verdicts["F4", "U: prompts to moderation"].startswith("FIRES"))
        reached = [verdict for _, _, verdict in report.targets(results)]
        self.assertEqual(reached, ["reached", "reached", "NOT REACHED", "reached"])  # 40 of 339 are 11.8 %
        worse = copy.deepcopy(results)
        worse["U"]["ranked"]["all"][tracks.B12]["auroc"]["value"] = 0.8
        worse["C"]["shipped"]["false_alarms"] = metrics.share(5, 433)
        worse["R"]["agreement"]["ranked"]["all"][tracks.B12]["auroc"]["value"] = 0.79
        self.assertEqual([v for _, _, v in report.targets(worse)], ["NOT REACHED"] * 4)
        self.assertTrue(report.falsifiers(worse)[0][2].startswith("FIRES"))

    def test_a_page_keeps_what_others_wrote(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text("# Title\n\nWords.\n")
            report.write(page, results_of(False))
            report.write(page, {**results_of(False), "model": "other"})
            first = page.read_text()
            report.write(page, results_of(True))
            second = page.read_text()
        self.assertTrue(first.startswith("# Title\n\nWords.\n\n<!-- measured: m -->"))
        self.assertEqual(second.count("<!-- measured: "), 2)
        self.assertIn("## other", second)
        self.assertIn("F4", second)
        self.assertIn("FIRES", second)

    def test_answers_of_the_measured_mode(self):
        answers = [{"id": "a", "turns": [{"log_odds": -3.0, "cusum": 0.0, "alarm": False}, {"log_odds": 2.0, "cusum": 1.5, "alarm": True}],
                    "max_log_odds": 2.0, "max_cusum": 1.5, "alarm": True, "alarm_turn": 2},
                   {"id": "b", "turns": [{"log_odds": -3.0, "cusum": None, "alarm": None}],
                    "max_log_odds": -3.0, "max_cusum": 0.0, "alarm": False, "alarm_turn": None}]
        dialogues = [{"label": "attack", "onset": 3, "turns": [0, 0, 0]}, {"label": "benign", "onset": None, "turns": [0]}]
        own = conversations.shipped(answers, dialogues)
        self.assertEqual((own["false_alarms"]["hits"], own["missed"]["hits"], own["early"]["hits"], own["mean_delay"]), (0, 0, 1, -1))
        scores = conversations.measured_scores(answers)
        self.assertEqual(list(scores[tracks.B11]), [2.0, -3.0])
        self.assertGreater(scores[tracks.B12][0], 0)
        self.assertLess(scores[tracks.B12][1], 0)
        series = conversations.measured_series(answers)
        self.assertEqual([list(s) for s in series[tracks.B11]], [[-3, 2], [-3]])
        self.assertEqual([list(s) for s in series[tracks.B12]], [[0, 1.5], [0]])


class Answers(unittest.TestCase):
    """The measured mode's side of the evaluation, with lines as `garrison guard score` prints them."""

    LINES = """\
{"id": "0", "turns": [{"p_user": 0.9, "log_odds": 1.5, "cusum": 1.0, "alarm": true}], "alarm": true}
{"id": "1", "turns": [{"p_user": 0.5, "log_odds": -1.0, "cusum": 0.0, "alarm": false, "turn_alert": true}], "alarm": false}
{"id": "2", "turns": [{"p_user": null, "log_odds": 0.0, "cusum": null, "alarm": null, "calibrated": false}], "alarm": false}
"""

    def setUp(self):
        answers = garrison.read_scores(self.LINES)

        class Recorded:
            def score_measured(self, guard, dialogues):
                return [next(a for a in answers if a["id"] == d["id"]) for d in dialogues]

        self.measured = evaluate.Measured(Recorded(), "guard.json")
        self.rows = [{"user": t, "model": None, "source": s} for t, s in (("a", "x"), ("b", "x"), ("c", "y"))]

    def test_scores_of_rows(self):
        scores = self.measured.rows(self.rows, "p_user")
        self.assertEqual(list(scores[tracks.B11]), [1.5, -1.0, 0.0])
        np.testing.assert_allclose(scores[tracks.B12], [math.log(9), 0, 0])

    def test_alarms_of_the_conversation_and_of_the_turn_count(self):
        self.assertEqual(self.measured.alarms(self.rows)["hits"], 2)
        self.assertEqual({s: v["hits"] for s, v in self.measured.unable(self.rows).items()}, {"x": 0, "y": 1})

    def test_without_a_guard_there_is_no_number(self):
        nothing = evaluate.Measured(None, None)
        self.assertEqual(nothing.rows(self.rows, "p_user"), {})
        self.assertIsNone(nothing.alarms(self.rows))
        self.assertIsNone(nothing.dialogues([]))


class Registered(unittest.TestCase):
    def test_the_manifest_names_every_input(self):
        manifest = json.loads((ROOT / "bench/guard/manifest.json").read_text())
        self.assertEqual({name.split("/")[0] for name in manifest["inputs"]}, set(guard_data.UPSTREAM))
        for digest in [*manifest["inputs"].values(), *manifest["outputs"].values()]:
            self.assertEqual(len(digest), len(hashlib.sha256().hexdigest()))


if __name__ == "__main__":
    unittest.main()
