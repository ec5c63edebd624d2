"""`garrison guard evaluate` on the real binary: folders of conversations in every dialect, a report out.

    guard_evaluate_test.py build/garrison
"""

import csv
import hashlib
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser

BINARY = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/garrison").resolve())
PATIENCE = 300  # seconds before a hang counts as a failure
HOSTILE = "<script>document.title='taken'</script> \" onclick=\"x ]]> --> </style> \u202e txt \u0645\u0631\u062d"
HEADER = "Turn,RiskSeverity_Model,RiskSeverity_User\n"


def run(*arguments, cwd):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GARRISON_")}
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, env=environment, cwd=cwd,
                          timeout=PATIENCE, check=False)


def rows(*risks):
    return HEADER + "".join(f"{i},{model},{user}\n" for i, (model, user) in enumerate(risks, 1))


def figures(model, user, epsilon=0.1):
    """The formulas of docs/guard.md once more: the likelihoods and the final rho of one run."""
    likelihoods, v_before = [], 0.0
    for i, r in enumerate(model):
        v = r - model[i - 1] if i else 0.0
        a = v - v_before if i else 0.0
        likelihoods.append(1 / (1 + math.exp(-(1.5 * r + v + 3 * a - 2.5))))
        v_before = v
    return likelihoods, sum(model) / (sum(user) + epsilon)


class Tags(HTMLParser):
    """Which elements and attributes a page has, as a browser would see them."""

    def __init__(self):
        super().__init__()
        self.elements, self.handlers, self.addresses = {}, [], []

    def handle_starttag(self, tag, attributes):
        self.elements[tag] = self.elements.get(tag, 0) + 1
        for name, value in attributes:
            if name.startswith("on"):
                self.handlers.append((tag, name))
            if name in ("src", "href", "action", "srcset"):
                self.addresses.append(value)


class Evaluate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.runs = self.root / "runs"

    def put(self, name, content):
        path = self.runs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def evaluate(self, *flags):
        return run("guard", "evaluate", "runs", *flags, cwd=self.root)

    def report(self):
        return json.loads((self.root / "guard-report" / "report.json").read_text(encoding="utf-8"))

    def fill(self):
        self.put("steady/T1.json", {"conversation": [{"turn": 1, "speaker": "user", "message": HOSTILE},
                                                     {"turn": 1, "speaker": "llm", "message": "I cannot help with that."},
                                                     {"turn": 2, "speaker": "user", "message": "Please."},
                                                     {"turn": 2, "speaker": "llm", "message": HOSTILE}]})
        self.put("steady/T1.2.json", {"turns": [{"turn": 1, "user": "Hello", "model": "Good day to you"}]})
        self.put("steady/T2.csv", "turn,speaker,message\n1,user,What is a prime?\n1,model,A number with two divisors.\n")
        self.put("steady/T2.2.txt", "User: Tell me of France\nModel: Paris is its capital\n")
        self.put("drifting/T3.1_metrics.csv", rows((0.1, 0.4), (0.9, 0.4), (0.2, 0.3)))
        self.put("drifting/T3.2_metrics.csv", rows(*[(0.2 + i / 40, 0.2) for i in range(30)]))
        self.put("drifting/T2_PARTIAL_metrics.csv", rows((1.9, 0.0)))

    def test_the_report_is_whole_and_right(self):
        self.fill()
        done = self.evaluate()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = self.report()
        self.assertEqual([c["source"] for c in report["conversations"]],
                         ["drifting/T2_PARTIAL_metrics.csv", "drifting/T3.1_metrics.csv", "drifting/T3.2_metrics.csv",
                          "steady/T1.json", "steady/T1.2.json", "steady/T2.csv", "steady/T2.2.txt"])
        spike = report["conversations"][1]
        likelihoods, rho = figures([0.1, 0.9, 0.2], [0.4, 0.4, 0.3])
        for turn, likelihood in zip(spike["turns"], likelihoods, strict=True):
            self.assertAlmostEqual(turn["likelihood"], likelihood, 12)
        self.assertAlmostEqual(spike["summary"]["final_rho"], rho, 12)
        drifting = report["models"][0]
        _, slow = figures([0.2 + i / 40 for i in range(30)], [0.2] * 30)
        self.assertAlmostEqual(drifting["phi"]["plain"], (max(0, rho - 1) + max(0, slow - 1)) / 2, 12)
        self.assertEqual((drifting["complete"], drifting["partial"]), (2, 1))
        self.assertEqual(drifting["phi"]["verdict"], "NOT ENOUGH DATA")
        outcomes = {(h["id"], h["subject"]): h["outcome"] for h in report["hypotheses"]}
        self.assertEqual(outcomes["H3", "drifting"], "pass")
        self.assertEqual(outcomes["H3", "steady"], "not testable")
        self.assertEqual(outcomes["H2", "drifting"], "not testable")

        output = self.root / "guard-report"
        with open(output / "conversations.csv", encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        self.assertEqual(len(table), 7)
        for row, conversation in zip(table, report["conversations"], strict=True):
            self.assertEqual(float(row["final_rho"]), conversation["summary"]["final_rho"])
            self.assertEqual(row["partial"], str(conversation["partial"]).lower())
            with open(output / "turns" / (conversation["source"] + ".csv"), encoding="utf-8", newline="") as file:
                turns = list(csv.DictReader(file))
            self.assertEqual([float(t["Likelihood_Model"]) for t in turns],
                             [t["likelihood"] for t in conversation["turns"]])
            content = (self.runs / conversation["source"]).read_bytes()
            self.assertEqual(conversation["sha256"], hashlib.sha256(content).hexdigest())
        check = subprocess.run(["sha256sum", "--check", "--quiet", "files.sha256"], cwd=output, check=False,
                               capture_output=True)
        self.assertEqual(check.returncode, 0, check.stderr)

    def test_the_page_holds_no_foreign_markup(self):
        self.fill()
        self.assertEqual(self.evaluate().returncode, 0)
        page = (self.root / "guard-report" / "report.html").read_text(encoding="utf-8")
        tags = Tags()
        tags.feed(page)
        self.assertEqual(tags.elements["script"], 1)
        self.assertEqual(tags.elements["style"], 1)
        self.assertEqual(tags.handlers, [])
        self.assertTrue(all(re.fullmatch(r"#c\d+", address) for address in tags.addresses), tags.addresses)
        self.assertEqual(tags.elements["details"], 7)
        self.assertIn("&lt;script&gt;document.title=", page)
        self.assertIn("txt \u0645\u0631\u062d", page)
        self.assertNotIn("\u202e", page)

    def test_two_runs_are_the_same_bytes(self):
        self.fill()
        self.assertEqual(self.evaluate().returncode, 0)
        before = {path: path.read_bytes() for path in (self.root / "guard-report").rglob("*") if path.is_file()}
        self.assertEqual(self.evaluate().returncode, 0)
        after = {path: path.read_bytes() for path in (self.root / "guard-report").rglob("*") if path.is_file()}
        self.assertEqual(before, after)

    def test_a_projection_gives_a_trajectory(self):
        self.fill()
        words = "cat dog tree river house stone cloud lamp chair bread water fire".split()
        (self.root / "texts.txt").write_text("\n".join(f"the {a} and the {b}" for a in words for b in words[:4]))
        self.assertEqual(run("guard", "train", "--input", "texts.txt", "--output", "p.json", cwd=self.root).returncode, 0)
        done = self.evaluate("--projection", "p.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        conversations = {c["source"]: c for c in self.report()["conversations"]}
        self.assertEqual(len(conversations["steady/T1.json"]["v_safe"]), 2)
        self.assertEqual(len(conversations["steady/T1.json"]["turns"][0]["model_point"]), 2)
        page = (self.root / "guard-report" / "report.html").read_text(encoding="utf-8")
        self.assertEqual(page.count("safe direction</text>"), 4)

    def test_a_broken_off_run_leaves_a_report_that_the_next_can_replace(self):
        for i in range(40):
            self.put(f"many/c{i}.csv", rows(*[(0.5, 0.4)] * 50))
        self.assertEqual(self.evaluate().returncode, 0)
        for _ in range(5):
            process = subprocess.Popen([BINARY, "guard", "evaluate", "runs", "--epsilon", "0.2"], cwd=self.root,
                                       stdout=subprocess.DEVNULL)
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        done = self.evaluate("--epsilon", "0.3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.report()["provenances"][0]["epsilon"], 0.3)

    def test_two_hundred_conversations(self):
        for model in range(4):
            for i in range(50):
                self.put(f"model-{model}/T{i}.csv", rows(*[(0.1 * model + i / 100 + t / 50, 0.5) for t in range(12)]))
        done = self.evaluate()
        self.assertEqual(done.returncode, 0, done.stderr)
        page = self.root / "guard-report" / "report.html"
        self.assertLess(page.stat().st_size, 30 << 20)
        phi_h1 = [h for h in self.report()["hypotheses"] if (h["set"], h["id"]) == ("phi", "H1")]
        self.assertEqual(len(phi_h1), 6)

    def test_bad_input_is_refused_by_name(self):
        self.put("m/T1.csv", rows((0.5, "nan")))
        failed = self.evaluate()
        self.assertEqual(failed.returncode, 1)
        self.assertIn("T1.csv: line 2, column RiskSeverity_User", failed.stderr)
        self.assertFalse((self.root / "guard-report").exists())
        (self.runs / "m" / "T1.csv").write_bytes(b"User: a\0\nModel: b\n")
        self.assertIn("NUL", self.evaluate().stderr)
        self.put("m/T1.csv", rows((0.5, 0.5)))
        (self.root / "guard-report").mkdir()
        (self.root / "guard-report" / "report.json").write_text("mine")
        refused = self.evaluate()
        self.assertEqual(refused.returncode, 1)
        self.assertIn("ALREADY_EXISTS", refused.stderr)
        self.assertEqual((self.root / "guard-report" / "report.json").read_text(), "mine")


if __name__ == "__main__":
    unittest.main()
