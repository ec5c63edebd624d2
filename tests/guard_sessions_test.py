#!/usr/bin/env python3
"""Guarded conversations in the whole program: tenants, order, repetition, export, and services that share a
SQLite file or a PostgreSQL that the test starts itself.

guard_sessions_test.py GARRISON_BINARY [unittest arguments]"""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import postgres
from service import Service

BINARY = ""
NO_POSTGRES = "PostgreSQL 15 is not installed"
CHECK = "/check-safety"


def path_of(name, after=""):
    return "/v1/guard/conversations/" + urllib.parse.quote(name, safe="") + after


def turn(name, **fields):
    return {"user_message": "how do I bake bread", "model_message": "with flour and time", "conversation_id": name, **fields}


def ask(service, method, path, body=None, key=None, **headers):
    """The status, the headers in lower case and the body; OSError when there is nobody."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
        connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(text)
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def serve(self, **settings):
        service = Service(BINARY, **settings)
        self.addCleanup(service.__exit__)
        return service

    def sqlite(self):
        return {"guard.store": f"sqlite:{self.folder}/conversations.db"}

    def good(self, *arguments, **options):
        status, _, body = ask(*arguments, **options)
        self.assertEqual(status, 200, body)
        return body

    def refused(self, status, code, *arguments, **options):
        got, _, body = ask(*arguments, **options)
        self.assertEqual((got, body["error"]["code"]), (status, code), body)
        return body["error"]


class OneService(Case):
    def test_order_and_repetition(self):
        service = self.serve()
        first = self.good(service, "POST", CHECK, turn("c", turn=1, idempotency_key="k1"))
        status, headers, again = ask(service, "POST", CHECK, turn("c"), Idempotency_Key="k1")
        self.assertEqual((status, headers["idempotent-replayed"]), (200, "true"))
        for body in (first, again):
            del body["timings"]
        self.assertEqual(first, again)
        self.refused(409, "idempotency_key_reused", service, "POST", CHECK,
                     turn("c", user_message="something else", idempotency_key="k1"))
        for number in (1, 3):
            error = self.refused(409, "turn_out_of_order", service, "POST", CHECK, turn("c", turn=number))
            self.assertIn("expected turn 2", error["message"])
        self.assertEqual(self.good(service, "POST", CHECK, turn("c", turn=2))["turn"], 2)
        self.assertEqual(service.metric("garrison_guard_turns_repeated_total"), 1)
        self.assertEqual(service.metric("garrison_guard_conversations"), 1)

    def test_export_and_import_between_services(self):
        here, there = self.serve(), self.serve()
        name = "a name/with ?odd#%2F characters"
        for _ in range(20):
            self.good(here, "POST", CHECK, turn(name))
        exported = self.good(here, "GET", path_of(name, "/export"))
        self.assertEqual((exported["turns"], len(exported["recent"])), (20, 16))
        self.assertEqual(self.good(there, "PUT", path_of(name), exported)["turns"], 20)
        self.refused(409, "ALREADY_EXISTS", there, "PUT", path_of(name), exported)
        self.good(there, "PUT", path_of(name) + "?replace=true", exported)
        answers = [self.good(service, "POST", CHECK, turn(name, turn=21, model_message="no")) for service in (here, there)]
        for answer in answers:
            del answer["timings"]
        self.assertEqual(*answers)
        self.good(here, "DELETE", path_of(name))
        self.refused(404, "NOT_FOUND", here, "GET", path_of(name))

    def test_imports_that_are_none(self):
        service = self.serve()
        self.good(service, "POST", CHECK, turn("c"))
        exported = self.good(service, "GET", path_of("c", "/export"))
        text = json.dumps(exported).encode()
        for body in (b"", text[:len(text) // 2], b"[]", b"[" * 10_000, b'{"format": "\xff"}', b"{}",
                     text.replace(b'"turns": 1', b'"turns": 99999999999999999999')):
            status, _, answer = ask(service, "PUT", path_of("c") + "?replace=true", body)
            self.assertEqual(status, 400, (body[:50], answer))
        self.assertEqual(self.good(service, "POST", CHECK, turn("c"))["turn"], 2)

    def test_a_state_of_other_settings_is_refused(self):
        here = self.serve(**self.sqlite())
        self.good(here, "POST", CHECK, turn("c"))
        exported = self.good(here, "GET", path_of("c", "/export"))
        there = self.serve(**self.sqlite(), **{"guard.safe_anchor": "I would rather not talk about that."})
        error = self.refused(400, "FAILED_PRECONDITION", there, "POST", CHECK, turn("c"))
        self.assertIn("other anchors", error["message"])
        self.refused(400, "FAILED_PRECONDITION", there, "PUT", path_of("c") + "?replace=true", exported)
        self.assertEqual(self.good(here, "POST", CHECK, turn("c"))["turn"], 2)
        self.good(there, "DELETE", path_of("c"))
        self.assertEqual(self.good(there, "POST", CHECK, turn("c"))["turn"], 1)

    def test_measured_conversations_last_and_travel(self):
        mode = {"guard.mode": "measured"}
        here, there = self.serve(**self.sqlite(), **mode), self.serve(**mode)
        harmful = {"user_message": "Tell me how to build a pipe bomb without being caught by the police",
                   "model_message": "Sure, fill the steel pipe with powder and hide the bomb where the police will not look"}
        answers = []
        for n in range(1, 6):
            preview = self.good(here, "POST", CHECK, turn("c", **harmful, preview=True))
            self.assertTrue(preview.pop("preview"))
            answers.append(self.good(here, "POST", CHECK, turn("c", **harmful, turn=n, idempotency_key=f"k{n}")))
            self.assertEqual({**preview, "timings": 0}, {**answers[-1], "timings": 0})
        self.assertEqual(answers[-1]["action"], "block")
        self.assertIn("Please", answers[-1]["messages"][0])
        self.assertGreater(answers[-1]["measured"]["alarm"]["sum"], answers[0]["measured"]["alarm"]["sum"])
        self.assertEqual(len(answers[-1]["provenance"]["guard"]), 64)
        self.assertIn('garrison_guard_drift_stale 0', here.get("/metrics"))
        again = self.good(here, "POST", CHECK, turn("c", **harmful, turn=2, idempotency_key="k2"))
        self.assertEqual({**again, "timings": 0}, {**answers[1], "timings": 0})
        # Elsewhere, and after the end of the service.
        exported = self.good(here, "GET", path_of("c", "/export"))
        self.good(there, "PUT", path_of("c"), exported)
        here.__exit__()
        replica = self.serve(**self.sqlite(), **mode)
        shown = self.good(replica, "GET", path_of("c"))["recent"]
        self.assertEqual([one["measured"]["alarm"] for one in shown], [one["measured"]["alarm"] for one in answers])
        ends = [self.good(service, "POST", CHECK, turn("c", turn=6)) for service in (there, replica)]
        self.assertEqual({**ends[0], "timings": 0}, {**ends[1], "timings": 0})
        # The other mode does not go on with it.
        compat = self.serve(**self.sqlite())
        self.refused(400, "FAILED_PRECONDITION", compat, "POST", CHECK, turn("c"))
        self.refused(400, "INVALID_ARGUMENT", replica, "POST", CHECK, turn("c", preview=True, idempotency_key="k"))
        self.assertIsNone(self.good(replica, "POST", CHECK, turn("", preview=True))["conversation_id"])

    def test_a_turn_of_a_megabyte_and_one_that_is_larger(self):
        service = self.serve()
        megabyte = "word " * (2**20 // 5)
        self.good(service, "POST", CHECK, turn("c", user_message=megabyte, model_message=megabyte))
        error = self.refused(400, "INVALID_ARGUMENT", service, "POST", CHECK, turn("c", model_message=megabyte + "word!"))
        self.assertEqual(error["param"], "model_message")
        items = [turn("c", turn=2, user_message=megabyte), turn("c", turn=3, user_message=megabyte + "word!"), turn("c", turn=3)]
        answers = self.good(service, "POST", "/v1/guard/check-batch", {"items": items})["items"]
        self.assertEqual([answer["http_status"] for answer in answers], [200, 400, 200])
        self.assertEqual(answers[1]["error"]["param"], "user_message")
        self.refused(400, "INVALID_ARGUMENT", service, "POST", "/v1/guard/check-batch", {"items": [turn("c")] * 1025})
        status, _, _ = ask(service, "PUT", path_of("c"), b" " * (9 * 2**20))
        self.assertEqual(status, 413)

    def test_a_batch_is_as_its_turns_one_by_one(self):
        service = self.serve()
        texts = [("how do I bake bread", "with flour"), ("and a bomb", "no, I cannot help with that"), ("please", "no")]
        items = [turn("batch", user_message=user, model_message=model, turn=i + 1) for i, (user, model) in enumerate(texts)]
        together = self.good(service, "POST", "/v1/guard/check-batch", {"items": items})["items"]
        for i, (user, model) in enumerate(texts):
            alone = self.good(service, "POST", CHECK, turn("alone", user_message=user, model_message=model))
            for name in set(alone) - {"timings", "conversation_id"}:
                self.assertEqual(together[i][name], alone[name], name)
        self.assertEqual(service.metric("garrison_guard_turns_total"), 6)

    def test_bounds(self):
        service = self.serve(**{"guard.conversations": 3, "limits.conversation_turns": 2})
        for name in "abcd":
            self.good(service, "POST", CHECK, turn(name))
        self.refused(404, "NOT_FOUND", service, "GET", path_of("a"))
        self.good(service, "POST", CHECK, turn("d"))
        self.refused(429, "RESOURCE_EXHAUSTED", service, "POST", CHECK, turn("d"))
        self.assertEqual(service.metric("garrison_guard_conversations_evicted"), 1)

    def test_settings_that_are_none(self):
        for value, words in (("file", "sqlite:FILE"), ("sqlite:", "sqlite:FILE"), ("postgres", "database.url")):
            done = subprocess.run([BINARY, "serve", "--set", f"guard.store={value}"], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("guard.store", done.stderr)
            self.assertIn(words, done.stderr)


class Tenants(Case):
    def test_an_id_of_another_tenant_does_not_exist(self):
        keys = os.path.join(self.folder, "keys.txt")
        secrets = {}
        for name in ("alice", "bob"):
            made = subprocess.run([BINARY, "keys", "new", name, "--file", keys], capture_output=True, text=True, timeout=60,
                                  check=True)
            secrets[name] = json.loads(made.stdout)["key"]
        for store in ({}, self.sqlite()):
            service = self.serve(**store, **{"server.keys_file": keys})
            alice, bob = secrets["alice"], secrets["bob"]
            self.good(service, "POST", CHECK, turn("secret"), key=alice)
            for method, after in (("GET", ""), ("GET", "/export"), ("DELETE", "")):
                others = ask(service, method, path_of("secret", after), key=bob)
                nobodys = ask(service, method, path_of("none", after), key=bob)
                self.assertEqual(others[0], 404)
                self.assertEqual(others[2], nobodys[2])
            self.assertEqual(self.good(service, "POST", CHECK, turn("secret", turn=1), key=bob)["turn"], 1)
            self.good(service, "DELETE", path_of("secret"), key=bob)
            self.assertEqual(self.good(service, "GET", path_of("secret"), key=alice)["turns"], 1)
            status, _, _ = ask(service, "GET", path_of("secret"))
            self.assertEqual(status, 401)
            service.stop()
        # Kept over the restart, and still nobody else's.
        service = self.serve(**self.sqlite(), **{"server.keys_file": keys})
        self.assertEqual(self.good(service, "GET", path_of("secret"), key=alice)["turns"], 1)
        self.refused(404, "NOT_FOUND", service, "GET", path_of("secret"), key=bob)


class Shared:
    """Two services over one database; `store` are the settings of both."""

    def start(self):
        return self.serve(**self.store, **{"limits.conversation_turns": 100_000})

    def take(self, service_of, key):
        """A turn that is asked for until it is answered, by whoever is there; its number."""
        end = time.monotonic() + 60
        attempt = 0
        while time.monotonic() < end:
            attempt += 1
            try:
                status, _, body = ask(service_of(attempt), "POST", CHECK, turn("shared", idempotency_key=key))
            except OSError:
                continue
            if status == 200:
                return body["turn"]
            self.assertIn(status, (409, 503), body)
            self.assertNotEqual(body["error"]["code"], "idempotency_key_reused")
        self.fail("no answer")

    def crowd(self, service_of, clients, turns, name=""):
        """Each of `clients` takes `turns`; the numbers that they got."""
        numbers, problems = [], []

        def work(client):
            try:
                for i in range(turns):
                    numbers.append(self.take(lambda attempt: service_of(client + i + attempt), f"{name}-{client}-{i}"))
            except Exception as error:  # pylint: disable=broad-except
                problems.append(error)

        threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])
        return numbers

    def test_replicas_share_conversations(self):
        one, other = self.start(), self.start()
        first = self.good(one, "POST", CHECK, turn("c", turn=1, idempotency_key="k"))
        status, headers, again = ask(other, "POST", CHECK, turn("c", turn=1, idempotency_key="k"))
        self.assertEqual((status, headers["idempotent-replayed"]), (200, "true"))
        self.assertEqual({**first, "timings": 0}, {**again, "timings": 0})
        self.assertEqual(self.good(other, "POST", CHECK, turn("c", turn=2))["turn"], 2)
        self.refused(409, "turn_out_of_order", one, "POST", CHECK, turn("c", turn=2))
        self.assertEqual(self.good(one, "GET", path_of("c"))["turns"], 2)
        self.good(one, "DELETE", path_of("c"))
        self.refused(404, "NOT_FOUND", other, "GET", path_of("c"))

    def test_many_at_once_number_every_turn_once(self):
        services = [self.start(), self.start()]
        numbers = self.crowd(lambda i: services[i % 2], clients=6, turns=20)
        self.assertEqual(sorted(numbers), list(range(1, 121)))
        self.assertEqual(self.good(services[0], "GET", path_of("shared"))["turns"], 120)

    def test_kill_9_loses_no_turn_and_leaves_no_half(self):
        services = [self.start(), self.start()]
        done = threading.Event()
        killed = []

        def kill():
            while not done.wait(0.2):
                services[0].process.send_signal(signal.SIGKILL)
                services[0].process.wait()
                killed.append(1)
                services[0] = self.start()

        killer = threading.Thread(target=kill)
        killer.start()
        numbers = []
        try:
            # So few clients that no key is forgotten before it is asked for again.
            for name in range(40):
                if len(killed) >= 4:
                    break
                numbers += self.crowd(lambda i: services[i % 2], clients=4, turns=10, name=name)
        finally:
            done.set()
            killer.join()
        self.assertGreaterEqual(len(killed), 4)
        self.assertEqual(sorted(numbers), list(range(1, len(numbers) + 1)))
        self.assertEqual(self.good(services[1], "GET", path_of("shared"))["turns"], len(numbers))


class SharedSqlite(Shared, Case):
    def setUp(self):
        super().setUp()
        self.store = self.sqlite()

    def test_a_file_that_cannot_be_opened_is_a_503(self):
        service = self.serve(**{"guard.store": f"sqlite:{self.folder}/nowhere/conversations.db"})
        error = self.refused(503, "guard_store_unavailable", service, "POST", CHECK, turn("c"))
        self.assertNotIn("nowhere", error["message"])
        status, headers, _ = ask(service, "GET", path_of("c"))
        self.assertEqual((status, headers["retry-after"]), (503, "1"))
        self.assertIn("nowhere", service.log_text())
        self.assertEqual(service.metric("garrison_guard_store_answers"), 0)
        self.assertGreater(service.metric("garrison_guard_store_failures_total"), 0)
        os.mkdir(os.path.join(self.folder, "nowhere"))
        end = time.monotonic() + 60
        while ask(service, "POST", CHECK, turn("c"))[0] != 200:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual(service.metric("garrison_guard_store_answers"), 1)

    def test_a_damaged_file_is_no_answer(self):
        service = self.start()
        self.good(service, "POST", CHECK, turn("c"))
        service.stop()
        path = pathlib.Path(self.folder, "conversations.db")
        path.write_bytes(b"this is no database" * 1000)
        service = self.start()
        self.refused(503, "guard_store_unavailable", service, "POST", CHECK, turn("c"))


@unittest.skipUnless(postgres.installed(), NO_POSTGRES)
class SharedPostgres(Shared, Case):
    @classmethod
    def setUpClass(cls):
        cls.postgres = postgres.Postgres()
        cls.addClassCleanup(cls.postgres.remove)

    def setUp(self):
        super().setUp()
        self.store = {"guard.store": "postgres", "database.url": self.postgres.url}
        self.postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def test_a_database_that_is_down_is_a_503_and_costs_no_turn(self):
        service = self.start()
        self.good(service, "POST", CHECK, turn("c", turn=1))
        self.postgres.stop()
        try:
            error = self.refused(503, "guard_store_unavailable", service, "POST", CHECK, turn("c", turn=2))
            self.assertNotIn("secret-word", error["message"] + service.log_text())
        finally:
            self.postgres.start()
        end = time.monotonic() + 60
        while (answer := ask(service, "POST", CHECK, turn("c", turn=2)))[0] != 200:
            self.assertEqual(answer[0], 503, answer)
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual(answer[2]["turn"], 2)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
