#!/usr/bin/env python3
"""The cache of vectors in the whole program: memory, SQLite, and a PostgreSQL that the test starts itself.

cache_test.py GARRISON_BINARY [unittest arguments]"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import postgres
from model_fixtures import make_models
from service import Service

BINARY = ""
WORDS = ["a", "cat", "sat", "on", "the", "mat", "dog", "ran", "far", "away"]
NO_POSTGRES = "PostgreSQL 15 is not installed"


def garrison(*arguments, check=True):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return done


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


class Database:
    """Where a service keeps its vectors, and how the test looks into it."""
    def __init__(self, settings):
        self.settings = settings

    def flags(self):
        return [part for name, value in self.settings.items() for part in ("--set", f"{name}={value}")]

    def cache(self, verb, *arguments, check=True):
        return garrison("cache", verb, *arguments, *self.flags(), check=check)

    def vectors(self):
        return lines(self.cache("stats"))[-1]["vectors"]


class CacheCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.models.cleanup)
        make_models(cls.models.name)
        cls.model = os.path.join(cls.models.name, "tiny-embedder")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def sqlite(self, name="vectors.db"):
        return Database({"cache.file": os.path.join(self.folder, name)})

    def serve(self, model=None, dtype="f32", **settings):
        service = Service(BINARY, "--model", model or self.model, "--dtype", dtype, "--threads", "1", **settings)
        self.addCleanup(service.__exit__)
        return service

    @staticmethod
    def embed(service, texts, **fields):
        body = json.dumps({"input": texts, **fields}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{service.port}/v1/embeddings", body)
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
            return [item["embedding"] for item in answer["data"]], answer["usage"], dict(reply.headers.items())

    def expected(self, texts):
        """What the model says without any cache."""
        out = garrison("embed", "--model", self.model, "--dtype", "f32", *texts).stdout
        return [json.loads(line)["embedding"] for line in out.splitlines()]

    def assert_same(self, got, expected):
        self.assertEqual(len(got), len(expected))
        for one, other in zip(got, expected):
            self.assertEqual(len(one), len(other))
            for x, y in zip(one, other):
                self.assertAlmostEqual(x, y, places=6)

    def until(self, condition, message="it never came true"):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end, message)
            time.sleep(0.05)


class Memory(CacheCase):
    def test_a_second_request_is_not_computed_and_says_the_same(self):
        service = self.serve()
        texts = ["a cat sat", "the dog ran", "a cat sat"]
        first, usage, _ = self.embed(service, texts)
        passes = service.metric("garrison_pass_tokens_total")
        second, again, _ = self.embed(service, texts)
        self.assertEqual(first, second)
        self.assert_same(first, self.expected(texts))
        self.assertEqual(usage, again)
        self.assertEqual(service.metric("garrison_pass_tokens_total"), passes)
        self.assertEqual(service.metric("garrison_cache_misses_total"), 2)
        self.assertEqual(service.metric("garrison_cache_hits_total"), 4)
        self.assertEqual(service.metric("garrison_cache_saved_tokens_total"), 20)
        self.assertEqual(service.metric("garrison_cache_entries"), 2)
        self.assertGreater(service.metric("garrison_cache_bytes"), 0)
        # Work that was answered counts, though nothing was computed for it.
        self.assertEqual(service.metric("te_embed_success"), 6)
        # Written after the answer.
        self.until(lambda: sum(line["path"].endswith("/embeddings") for line in service.access_lines()) == 2)
        hit = [line for line in service.access_lines() if line["path"].endswith("/embeddings")][1]
        self.assertEqual((hit["tokens"], hit["inference_ms"]), (15, 0))

    def test_without_memory_everything_is_computed(self):
        service = self.serve(**{"cache.memory_bytes": 0})
        before = service.metric("garrison_pass_tokens_total")  # the guard's own texts
        for _ in range(2):
            self.embed(service, "a cat sat")
        self.assertEqual(service.metric("garrison_pass_tokens_total"), before + 10)
        self.assertEqual(service.metric("garrison_cache_hits_total"), 0)

    def test_errors_are_not_kept_and_name_their_input(self):
        service = self.serve()
        long_text = " ".join(["cat"] * 200)
        self.embed(service, "a cat")
        for _ in range(2):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.embed(service, ["a cat", long_text])
            answer = json.load(caught.exception)
            self.assertEqual(caught.exception.code, 400)
            self.assertIn("input[1]", json.dumps(answer))
        self.assertEqual(service.metric("garrison_cache_entries"), 1)

    def test_another_way_of_asking_is_another_vector(self):
        service = self.serve()
        whole, _, _ = self.embed(service, "a cat sat")
        short, _, _ = self.embed(service, "a cat sat", dimensions=8)
        self.assertEqual(len(short[0]), 8)
        self.assertNotEqual(whole[0][:8], short[0])


class Verbs(CacheCase):
    def test_what_is_kept_can_be_seen_carried_and_cleaned(self):
        database, other = self.sqlite(), self.sqlite("other.db")
        service = self.serve(**database.settings)
        texts = [f"{x} {y}" for x in WORDS for y in WORDS]
        kept, _, _ = self.embed(service, texts)
        self.embed(service, texts[:30])
        self.assertEqual(service.stop(), 0)
        stats = lines(database.cache("stats"))
        self.assertEqual(stats[0]["vectors"], 100)
        self.assertEqual((stats[0]["hits"], stats[0]["saved_tokens"]), (30, 120))
        self.assertTrue(stats[0]["model"].startswith("local/tiny-embedder/"))
        file = os.path.join(self.folder, "v.garrvec")
        self.assertEqual(lines(database.cache("export", file))[0]["exported"], 100)
        with open(file, "rb") as opened:
            content = bytearray(opened.read())
        content[len(content) // 2] ^= 4
        bad = os.path.join(self.folder, "bad.garrvec")
        with open(bad, "wb") as opened:
            opened.write(content)
        refused = other.cache("import", bad, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, r"record \d+ \(byte \d+\) is damaged")
        self.assertEqual(other.vectors(), 0)
        self.assertEqual(lines(other.cache("import", file))[0]["imported"], 100)
        service = self.serve(**other.settings)
        self.assertEqual(self.embed(service, texts)[0], kept)
        self.assertEqual(service.metric("garrison_cache_misses_total"), 0)
        self.assertEqual(service.stop(), 0)
        cleaned = lines(other.cache("gc", "--model", stats[0]["model"]))[0]
        self.assertEqual((cleaned["of_model"], cleaned["vectors"]), (100, 0))
        self.assertLess(os.path.getsize(other.settings["cache.file"]), os.path.getsize(database.settings["cache.file"]))
        with open(database.settings["cache.file"], "rb") as opened:
            self.assertNotIn(b"cat sat", opened.read(), "texts are not kept unless asked for")

    def test_verbs_say_what_they_need(self):
        nothing = garrison("cache", "stats", check=False)
        self.assertEqual(nothing.returncode, 1)
        self.assertIn("cache.file", nothing.stderr)
        self.assertEqual(garrison("cache", check=False).returncode, 2)
        not_ours = os.path.join(self.folder, "x")
        with open(not_ours, "w", encoding="utf-8") as opened:
            opened.write("hello")
        self.assertIn("garrison cache export", self.sqlite().cache("import", not_ours, check=False).stderr)
        bad = garrison("config", "--set", "database.url=mysql://u:secret@h/x", check=False)
        self.assertNotIn("secret", bad.stdout + bad.stderr)


class Robust(CacheCase):
    def test_a_corrupt_locked_or_missing_file_costs_no_request(self):
        database = self.sqlite()
        path = database.settings["cache.file"]
        texts = [f"{x} {y} {z}" for x in WORDS[:5] for y in WORDS[:5] for z in WORDS[:4]]
        expected = self.expected(texts)
        with self.serve(**database.settings, **{"cache.memory_bytes": 0}) as service:
            self.embed(service, texts)
            self.assertEqual(service.stop(), 0)
        with open(path, "rb") as opened:
            sound = opened.read()
        for seed, step in ((1, 97), (2, 1009), (3, 4999)):
            damaged = bytearray(sound)
            for place in range(seed * 13, len(damaged), step):
                damaged[place] ^= 1 << (place % 8)
            with open(path, "wb") as opened:
                opened.write(damaged)
            with self.serve(**database.settings, **{"cache.memory_bytes": 0}) as service:
                self.assert_same(self.embed(service, texts)[0], expected)
                self.assert_same(self.embed(service, texts)[0], expected)
                if step == 97:
                    self.until(lambda: service.metric("garrison_cache_errors_total") > 0)
                    self.assertIn("the cache's database cannot be", service.log_text())
        os.remove(path)
        os.mkdir(path)
        with self.serve(**database.settings) as service:
            self.assert_same(self.embed(service, texts)[0], expected)
            self.until(lambda: service.metric("garrison_cache_errors_total") > 0)

    def test_a_model_of_which_any_file_changes_is_another_model(self):
        database = self.sqlite()
        model = os.path.join(self.folder, "tiny-embedder")
        shutil.copytree(self.model, model)

        def misses(dtype="f32"):
            with self.serve(model=model, dtype=dtype, **database.settings) as service:
                got, _, _ = self.embed(service, "a cat sat")
                count = service.metric("garrison_cache_misses_total")
                self.assertEqual(service.stop(), 0)
            expected = garrison("embed", "--model", model, "--dtype", dtype, "a cat sat").stdout
            self.assert_same(got, [json.loads(expected)["embedding"]])
            return count
        self.assertEqual([misses(), misses()], [1, 0])
        # The weights stay as they are; the vector does not.
        for name, before, after in (("1_Pooling/config.json", "pooling_mode_mean_tokens", "pooling_mode_cls_token"),
                                    ("vocab.txt", "cat\nsat", "sat\ncat"), ("modules.json", "", " ")):
            path = os.path.join(model, name)
            with open(path, encoding="utf-8") as opened:
                content = opened.read()
            with open(path, "w", encoding="utf-8") as opened:
                opened.write(content.replace(before, after) if before else content + after)
            self.assertEqual([misses(), misses()], [1, 0], name)
        self.assertEqual([misses("bf16"), misses("bf16")], [1, 0])

    def test_a_service_that_is_killed_while_it_writes_leaves_whole_vectors(self):
        database = self.sqlite()
        texts = [f"{x} {y} {z}" for x in WORDS for y in WORDS for z in WORDS[:3]]
        for round_ in range(3):
            service = self.serve(**database.settings, **{"cache.memory_bytes": 0})
            timer = threading.Timer(0.1 + 0.1 * round_, lambda s=service: s.process.send_signal(signal.SIGKILL))
            timer.start()
            try:
                while True:
                    for begin in range(0, len(texts), 10):
                        self.embed(service, texts[begin:begin + 10])
            except (OSError, json.JSONDecodeError):
                pass  # killed
            except Exception as error:  # http.client's, of a connection that ends in the middle
                self.assertIn("http.client", type(error).__module__)
            timer.join()
        with self.serve(**database.settings) as service:
            self.assert_same(self.embed(service, texts)[0], self.expected(texts))
            self.assertGreater(service.metric("garrison_cache_hits_total"), 0)
            self.assertEqual(service.metric("garrison_cache_damaged_total"), 0)


@unittest.skipUnless(postgres.installed(), NO_POSTGRES)
class Postgres(CacheCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.remove)

    def setUp(self):
        super().setUp()
        self.server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.database = Database({"database.url": self.server.url})

    def test_services_share_what_one_of_them_has_computed(self):
        texts = ["a cat sat", "the dog ran"]
        first = self.serve(**self.database.settings)
        kept, _, _ = self.embed(first, texts)
        self.until(lambda: self.server.sql("SELECT count(*) FROM garrison_vectors") == ["2"])
        second = self.serve(**self.database.settings)
        self.assertEqual(self.embed(second, texts)[0], kept)
        self.assertEqual(second.metric("garrison_cache_misses_total"), 0)
        for service in (first, second):
            self.assertEqual(service.stop(), 0)
        self.assertEqual(self.server.sql("SELECT max(hits) FROM garrison_vectors"), ["1"])

    def test_a_server_that_stops_is_done_without_and_used_again(self):
        service = self.serve(**self.database.settings, **{"cache.memory_bytes": 0})
        kept, _, _ = self.embed(service, ["a cat sat"])
        self.until(lambda: self.server.sql("SELECT count(*) FROM garrison_vectors") == ["1"])
        self.server.stop()
        try:
            self.assertEqual(self.embed(service, ["a cat sat"])[0], kept)
            self.embed(service, ["the dog ran"])
            self.assertGreater(service.metric("garrison_cache_errors_total"), 0)
        finally:
            self.server.start()
        self.until(lambda: self.server.sql("SELECT count(*) FROM garrison_vectors") == ["2"])
        hits = service.metric("garrison_cache_hits_total")

        def hit():
            self.assertEqual(self.embed(service, ["a cat sat"])[0], kept)
            return service.metric("garrison_cache_hits_total") > hits
        self.until(hit)
        log = service.log_text()
        self.assertIn("answers again", log)
        self.assertNotIn("secret-word", log)

    def test_damaged_rows_are_never_answers(self):
        texts = [f"{x} {y}" for x in WORDS for y in WORDS]
        with self.serve(**self.database.settings) as service:
            self.embed(service, texts)
            self.assertEqual(service.stop(), 0)
        self.server.sql("UPDATE garrison_vectors SET vector = set_bit(vector, (random() * 200)::int, "
                        "1 - get_bit(vector, 0)) WHERE get_byte(key, 0) < 128")
        self.server.sql("UPDATE garrison_vectors SET vector = '\\x00' WHERE get_byte(key, 0) > 240")
        with self.serve(**self.database.settings) as service:
            self.assert_same(self.embed(service, texts)[0], self.expected(texts))
            self.assertGreater(service.metric("garrison_cache_damaged_total"), 0)
            self.assertGreater(service.metric("garrison_cache_hits_total"), 0)

    def test_the_old_table_is_taken_over_as_far_as_it_can_be_believed(self):
        self.server.sql("CREATE TABLE embedding_cache (id BIGSERIAL PRIMARY KEY, cache_key TEXT UNIQUE, text TEXT, "
                        "embedding JSONB, model TEXT, created_at TIMESTAMPTZ DEFAULT now())")
        texts = ["a cat sat", "the dog ran", "far away"]
        vectors = self.expected(texts)

        def add(hashed, text, vector, model):
            key = hashlib.sha256(hashed.encode()).hexdigest()
            self.server.sql("INSERT INTO embedding_cache (cache_key, text, embedding, model) VALUES "
                            f"('{key}', '{text}', '{json.dumps(vector)}', '{model}')")
        add(texts[0], texts[0], vectors[0], "MiniLM")
        add(texts[1], texts[1], vectors[1], "MiniLM")
        add(texts[2] + " and more", texts[2], vectors[2], "MiniLM")
        add("x", "x", [0.1] * 5, "MiniLM")
        add("y", "y", vectors[0], "text-embedding-3-small")
        done = lines(self.database.cache("migrate", "--from", self.server.url, "--model", self.model, "--from-model",
                                         "MiniLM"))
        self.assertEqual(done[0], {"rows": 5, "taken_over": 2})
        self.assertEqual(sorted((line["left"], line.get("model", "")) for line in done[1:]),
                         [(1, ""), (1, ""), (1, "text-embedding-3-small")])
        with self.serve(**self.database.settings) as service:
            self.assert_same(self.embed(service, texts)[0], vectors)
            self.assertEqual(service.metric("garrison_cache_hits_total"), 2)
            self.assertEqual(service.metric("te_embed_success"), 3)
        # Vectors of another model under the same name are found out.
        self.server.sql("TRUNCATE garrison_vectors; DELETE FROM embedding_cache WHERE id > 2")
        self.server.sql("UPDATE embedding_cache SET embedding = (SELECT embedding FROM embedding_cache WHERE id = 2) "
                        "WHERE id = 1")
        refused = self.database.cache("migrate", "--from", self.server.url, "--model", self.model, "--from-model",
                                      "MiniLM", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("cosine", refused.stderr)
        self.assertEqual(self.database.vectors(), 0)


if __name__ == "__main__":
    BINARY = os.path.abspath(sys.argv.pop(1))
    if not postgres.installed():
        print(f"cache_test: the tests with a database server are skipped: {NO_POSTGRES}", file=sys.stderr)
    unittest.main()
