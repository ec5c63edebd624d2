"""Bulk embedding with the real binary: kill -9 and --resume, NPY as numpy reads it, constant memory.

    bulk_test.py build/garrison
"""

import contextlib
import json
import os
import pathlib
import pty
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/garrison").resolve())
PATIENCE = 120  # seconds before a hang counts as a failure
# Measured 29 MiB for the plain binary; sanitizers need many times that, and are not what is bounded.
RSS_MIB_MAX = 80
SANITIZED = b"__asan_init" in pathlib.Path(BINARY).read_bytes() or b"__tsan_init" in pathlib.Path(BINARY).read_bytes()


def line(i):
    if i % 97 == 50:
        return b'{"text": "cut off\n'
    if i % 97 == 51:
        return b'{"text": "bad byte \xff"}\n'
    if i % 97 == 52:
        return b'{"text": ""}\n'
    if i % 97 == 53:
        return b"\n"
    words = random.Random(i).choices("cat dog tax law sea sun river stone paper engine".split(), k=i % 9 + 1)
    return json.dumps({"text": " ".join(words) + f" {i}"}).encode() + b"\n"


def command(output, *more):
    return [BINARY, "embed", "--input", "-", "--output", str(output), *more]


def npy(path):
    """(type, shape, bytes of the rows) of an NPY file of version 1.0."""
    content = pathlib.Path(path).read_bytes()
    assert content[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", content[8:10])
    assert (10 + length) % 64 == 0
    header = eval(content[10:10 + length], {"__builtins__": {}})  # a literal of our own making
    assert header["fortran_order"] is False
    return header["descr"], header["shape"], content[10 + length:]


class Bulk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_whole(self, output, text, *more):
        done = subprocess.run(command(output, *more), input=text, capture_output=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, b"")
        return done

    def killed_run(self, output, lines, errors, at_least):
        """A run that is killed once its output has grown beyond its last checkpoint."""
        with subprocess.Popen(command(output, "--errors", errors, "--resume"), stdin=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + PATIENCE
            state = pathlib.Path(f"{output}.state")
            fed = 0
            while time.monotonic() < end:
                with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                    before = json.loads(state.read_text())
                    if before["lines"] >= at_least and output.stat().st_size > before["bytes"]:
                        break
                # The state may be younger than the size that was compared with it: look again.
                if fed < len(lines) - 500:
                    process.stdin.write(b"".join(lines[fed:fed + 500]))
                    process.stdin.flush()
                    fed += 500
            process.send_signal(signal.SIGKILL)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)
        return json.loads(state.read_text())

    def test_kill_and_resume_give_the_bytes_of_one_run(self):
        lines = [line(i) for i in range(40_000)]
        for name in ("rows.jsonl", "rows.npy", "rows.csv"):
            with self.subTest(name):
                whole, parts = self.folder / f"whole-{name}", self.folder / name
                errors, part_errors = self.folder / "whole-errors", self.folder / "errors"
                self.run_whole(whole, b"".join(lines), "--errors", errors)
                first = self.killed_run(parts, lines, part_errors, 1)
                second = self.killed_run(parts, lines, part_errors, first["lines"] + 1)
                self.assertGreater(second["rows"], first["rows"])
                with open(parts, "ab") as torn:
                    torn.write(b'{"index":4711,"tok')
                done = self.run_whole(parts, b"".join(lines), "--errors", part_errors, "--resume")
                self.assertIn(b"bad inputs", done.stderr)
                self.assertTrue(whole.read_bytes() == parts.read_bytes())
                self.assertTrue(errors.read_bytes() == part_errors.read_bytes())
                self.assertEqual(json.loads(pathlib.Path(f"{whole}.state").read_text()),
                                 json.loads(pathlib.Path(f"{parts}.state").read_text()))
                for file in (parts, pathlib.Path(f"{parts}.state"), part_errors):
                    file.unlink()

    def test_npy_holds_the_numbers_of_the_json_lines(self):
        text = b"".join(line(i) for i in range(40))
        self.run_whole(self.folder / "rows.jsonl", text)
        rows = [json.loads(row)["embedding"] for row in (self.folder / "rows.jsonl").read_text().splitlines()]
        expected = {
            "float32": ("<f4", 384, lambda row: struct.pack("<384f", *row)),
            "float16": ("<f2", 384, lambda row: struct.pack("<384e", *row)),
            "int8": ("|i1", 384, lambda row: struct.pack("384b", *(round(127 * x) for x in row))),
            "binary": ("|u1", 48, lambda row: bytes(
                sum((row[i + j] > 0) << (7 - j) for j in range(8)) for i in range(0, 384, 8))),
        }
        for kind, (descr, columns, pack) in expected.items():
            with self.subTest(kind):
                self.run_whole(self.folder / "rows.npy", text, "--output-type", kind)
                got = npy(self.folder / "rows.npy")
                self.assertEqual(got[:2], (descr, (40, columns)))
                self.assertTrue(got[2] == b"".join(map(pack, rows)))

    def rss_max_mib(self, output, chunks, *more):
        """The peak of the resident memory while `chunks` are embedded."""
        with subprocess.Popen(command(output, *more), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.flush()
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            process.stdin.close()
            err = process.stderr.read()
            self.assertEqual(process.wait(PATIENCE), 0, err)
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    @unittest.skipIf(SANITIZED, "memory under a sanitizer says nothing")
    def test_memory_does_not_grow_with_the_lines(self):
        chunks = (b"".join(line(i) for i in range(start, start + 1000)) for start in range(0, 100_000, 1000))
        peak = self.rss_max_mib(self.folder / "rows.npy", chunks, "--errors", self.folder / "errors")
        self.assertLess(peak, RSS_MIB_MAX)
        bad = len((self.folder / "errors").read_text().splitlines())
        blank = sum(i % 97 == 53 for i in range(100_000))
        self.assertEqual(npy(self.folder / "rows.npy")[1], (100_000 - bad - blank, 384))
        self.assertEqual(bad, sum(i % 97 in (50, 51, 52) for i in range(100_000)))

    @unittest.skipIf(SANITIZED, "memory under a sanitizer says nothing")
    def test_memory_does_not_grow_with_lines_of_ten_megabytes(self):
        big = json.dumps({"text": "word " * 2_000_000}).encode() + b"\n"
        one = self.rss_max_mib(self.folder / "one.npy", [big, b'{"text":"a"}\n' * 300],
                               "--set", "limits.input_bytes=11000000")
        many = self.rss_max_mib(self.folder / "many.npy", [big] * 6 + [b'{"text":"a"}\n' * 300],
                                "--set", "limits.input_bytes=11000000")
        self.assertLess(many, one + 40)

    def test_a_full_disk_and_a_folder_that_is_not_there(self):
        for output, words in (("/dev/full", b"cannot write"), ("/no/such/folder/rows.jsonl", b"NOT_FOUND")):
            done = subprocess.run(command(output), input=line(1), capture_output=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_progress_on_a_terminal_only(self):
        source = self.folder / "in.jsonl"
        source.write_bytes(b"".join(line(i) for i in range(50)) * 2000)
        arguments = [BINARY, "embed", "--input", str(source), "--output", str(self.folder / "rows.npy")]
        errors = ["--errors", str(self.folder / "errors")]
        self.assertNotIn(b"\x1b", subprocess.run(arguments + errors, capture_output=True, timeout=PATIENCE,
                                                 check=True).stderr)
        try:
            leader, follower = pty.openpty()
        except OSError as error:
            self.skipTest(f"this machine gives no terminal: {error}")
        with subprocess.Popen(arguments + errors, stderr=follower) as process:
            os.close(follower)
            shown = b""
            with contextlib.suppress(OSError):  # how the end of a terminal reads
                while got := os.read(leader, 4096):
                    shown += got
            os.close(leader)
            self.assertEqual(process.wait(PATIENCE), 0)
        self.assertIn(b"rows/s", shown)
        self.assertIn(b"ETA", shown)


if __name__ == "__main__":
    unittest.main()
