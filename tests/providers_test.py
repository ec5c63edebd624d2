#!/usr/bin/env python3
"""The whole program against vendors that answer, and fail, as they do.

providers_test.py GARRISON_BINARY [unittest arguments]"""
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import upstream
from service import Service
from upstream import Vendor, changed, cut, raw, stall, status

BINARY = ""
KEY = "sk-garrison-test-8f7d6c5b4a39281706f5e4d3"
TEXTS = ["a cat sat", "on the mat", "über allen Gipfeln"]
# Quick enough for a test, slow enough for a busy machine.
QUICK = {"upstream.connect_ms": 5000, "upstream.first_content_ms": 700, "upstream.content_idle_ms": 700,
         "upstream.attempts": 2, "upstream.breaker_failures": 1000, "bedrock.metadata_endpoint": "off"}


def settings_of(provider, vendor):
    return {"embeddings.provider": provider, **{
        "openai": {"openai.base_url": f"{vendor.url}/v1", "openai.api_key": KEY},
        "azure": {"azure.endpoint": vendor.url, "azure.api_key": KEY, "azure.deployment": "small",
                  "azure.usd_per_million_tokens": 1},
        "custom": {"custom.base_url": f"{vendor.url}/v1", "custom.api_key": KEY, "custom.model": "m"},
        "huggingface": {"huggingface.endpoint": f"{vendor.url}/models/m/pipeline/feature-extraction",
                        "huggingface.token": KEY, "huggingface.model": "m"},
        "bedrock": {"bedrock.endpoint": vendor.url, "bedrock.region": "us-east-1",
                    "bedrock.access_key_id": upstream.ACCESS_KEY, "bedrock.secret_access_key": upstream.SECRET_KEY},
    }[provider]}


class Providers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("AWS_", "OPENAI_", "AZURE_", "HF_", "GARRISON_"))}
        self.environment.update(XDG_STATE_HOME=self.folder, HOME=self.folder)

    def vendor(self, **options):
        vendor = Vendor(**options)
        self.addCleanup(vendor.close)
        return vendor

    def serve(self, *flags, **settings):
        # Every call here is one that a vendor has to answer, unless a test is about the cache.
        quick = {**QUICK, "cache.memory_bytes": 0}
        service = Service(BINARY, *flags, environment=self.environment, **{**quick, **settings})
        self.addCleanup(service.__exit__)
        return service

    def call(self, service, path="/v1/embeddings", body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", path, json.dumps(body or {"input": TEXTS}), headers or {})
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(text)

    def assert_vectors(self, rows, texts=TEXTS, space=""):
        self.assertEqual(len(rows), len(texts))
        for row, text in zip(rows, texts):
            for got, expected in zip(row, upstream.vector(text, space=space), strict=True):
                self.assertAlmostEqual(got, expected, 6)

    def run_cli(self, *arguments, **settings):
        sets = [part for name, value in {**QUICK, **settings}.items() for part in ("--set", f"{name}={value}")]
        return subprocess.run([BINARY, *arguments, *sets], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False)

    def test_every_provider_answers_the_same_calls(self):
        for provider in ("openai", "azure", "custom", "huggingface", "bedrock"):
            with self.subTest(provider):
                vendor = self.vendor()
                price = {} if provider == "huggingface" else {f"{provider}.usd_per_million_tokens": 0.02}
                service = self.serve(**{**settings_of(provider, vendor), **price})
                code, headers, body = self.call(service)
                self.assertEqual(code, 200, body)
                self.assert_vectors([entry["embedding"] for entry in body["data"]])
                self.assertTrue(headers["x-served-by"].startswith(provider))
                self.assertEqual(headers["x-attempts"], "3" if provider == "bedrock" else "1")
                self.assertEqual(headers["x-compute-type"], f"remote-{provider}")
                if provider == "huggingface":
                    self.assertEqual(float(headers["x-cost-usd"]), 0)  # an address of this machine is free
                    self.assertEqual(headers["x-tokens-estimated"], "true")
                else:
                    self.assertEqual(body["usage"]["prompt_tokens"], 9)
                    self.assertEqual(headers["x-cost-usd"], "0.000000180000")
                code, _, rows = self.call(service, "/embed", {"inputs": TEXTS})
                self.assertEqual(code, 200, rows)
                self.assert_vectors(rows)
                self.assertEqual(service.stop(), 0)

    def test_a_vendor_is_told_the_trace(self):
        for provider in ("openai", "bedrock"):  # beside a signature too
            vendor = self.vendor()
            service = self.serve(**settings_of(provider, vendor))
            trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            given = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "a=b"}
            self.assertEqual(self.call(service, headers=given)[0], 200)
            self.assertEqual(self.call(service)[0], 200)
            traced, others = [], []
            for request in vendor.take():
                (traced if "traceparent" in request.headers else others).append(request)
            self.assertEqual(len(traced), len(others))
            for request in traced:
                self.assertTrue(request.headers["traceparent"].startswith(f"00-{trace}-"))
                self.assertEqual(request.headers["tracestate"], "a=b")

    def test_a_text_is_paid_once(self):
        vendor = self.vendor()
        with tempfile.TemporaryDirectory() as folder:
            settings = {**settings_of("openai", vendor), "openai.usd_per_million_tokens": 0.02,
                        "cache.memory_bytes": 1 << 20, "cache.file": os.path.join(folder, "cache.db")}
            service = self.serve(**settings)
            first = self.call(service)
            again = self.call(service)
            self.assertEqual((first[0], again[0], len(vendor.take())), (200, 200, 1))
            self.assertEqual(first[2]["data"], again[2]["data"])
            self.assertEqual(first[1]["x-served-by"], "openai/text-embedding-3-small")
            self.assertEqual((again[1]["x-served-by"], again[1]["x-attempts"]), ("cache", "0"))
            self.assertNotIn("x-cost-usd", again[1])
            self.assertAlmostEqual(service.metric("garrison_cache_saved_usd_total"), 9 * 0.02e-6, 12)
            # One of them is new: only that one is sent.
            code, headers, body = self.call(service, body={"input": [*TEXTS, "one more"]})
            self.assertEqual((code, headers["x-attempts"]), (200, "1"))
            self.assert_vectors([entry["embedding"] for entry in body["data"]], [*TEXTS, "one more"])
            self.assertEqual(len(vendor.take()), 1)
            self.assertEqual(service.stop(), 0)
            # Another start finds them on disk; another service under the same model's name does not get them.
            service = self.serve(**settings)
            self.assertEqual(self.call(service)[1]["x-served-by"], "cache")
            self.assertEqual(service.stop(), 0)
            other = self.vendor()
            service = self.serve(**{**settings, **settings_of("openai", other)})
            self.assertEqual(self.call(service)[1]["x-served-by"], "openai/text-embedding-3-small")
            self.assertEqual((len(vendor.take()), len(other.take())), (0, 1))

    def test_the_guard_and_local_models_stay_here(self):
        vendor = self.vendor()
        service = self.serve(**settings_of("openai", vendor))
        code, _, turn = self.call(service, "/check-safety", {"user_message": "hello", "model_message": "hi"})
        self.assertEqual(code, 200, turn)
        code, headers, body = self.call(service, body={"input": TEXTS, "model": "builtin:lexical"})
        self.assertEqual((code, body["model"]), (200, "builtin:lexical"))
        self.assertNotIn("x-served-by", headers)
        self.assertEqual(vendor.take(), [])
        models = json.loads(service.get("/v1/models"))["data"]
        self.assertEqual([model["id"] for model in models], ["openai/text-embedding-3-small", "builtin:lexical"])
        for name in ("openai", "text-embedding-3-small", "openai/text-embedding-3-small"):
            self.assertEqual(self.call(service, body={"input": "x", "model": name})[0], 200)
        self.assertEqual(len(vendor.take()), 3)

    def test_every_fault_has_its_status_and_its_attempts(self):
        vendor = self.vendor()
        # Without money the circuit opens at once; a moment later it lets a call pass.
        service = self.serve(**settings_of("openai", vendor), **{"upstream.breaker_open_ms": 1})

        def drop_first(reply):
            reply["data"].pop()

        def same_index(reply):
            reply["data"][0]["index"] = reply["data"][1]["index"]

        def index_beyond(reply):
            reply["data"][0]["index"] = 99

        def no_index(reply):
            del reply["data"][0]["index"]

        def put(value):
            def change(reply):
                reply["data"][0]["embedding"] = value
            return change

        quota = json.dumps({"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}})
        nan = upstream.packed([float("nan")] * upstream.DIMENSION)
        faults = [  # what, script of one attempt, status, attempts, code
            ("400", status(400), 400, 1, "upstream_bad_request"),
            ("401", status(401), 503, 1, "upstream_authentication"),
            ("402", status(402), 503, 1, "upstream_billing"),
            ("403", status(403), 503, 1, "upstream_permission"),
            ("404", status(404), 503, 1, "upstream_not_found"),
            ("408", status(408), 504, 2, "upstream_timeout"),
            ("409", status(409), 503, 2, "upstream_server"),
            ("413", status(413), 400, 1, "upstream_bad_request"),
            ("429", status(429), 429, 2, "upstream_rate_limit"),
            ("429 ms", status(429, retry_after_ms=10), 429, 2, "upstream_rate_limit"),
            ("429 seconds", status(429, Retry_After="0.01"), 429, 2, "upstream_rate_limit"),
            ("429 date", status(429, Retry_After="Sun, 06 Nov 1994 08:49:37 GMT"), 429, 2, "upstream_rate_limit"),
            ("429 long", status(429, Retry_After="600"), 429, 1, "upstream_rate_limit"),
            ("429 never", status(429, x_should_retry="false"), 429, 1, "upstream_rate_limit"),
            ("429 quota", status(429, quota), 503, 1, "upstream_billing"),
            ("500", status(500), 503, 2, "upstream_server"),
            ("500 never", status(500, x_should_retry="false"), 503, 1, "upstream_server"),
            ("502", status(502, "<html>bad gateway</html>"), 503, 2, "upstream_server"),
            ("503", status(503), 503, 2, "upstream_overloaded"),
            ("504", status(504), 504, 2, "upstream_timeout"),
            ("529", status(529), 503, 2, "upstream_overloaded"),
            ("stalled before the head", stall("head"), 504, 2, "upstream_timeout"),
            ("stalled before the body", stall("body"), 504, 2, "upstream_timeout"),
            ("stalled in the body", stall("middle"), 504, 2, "upstream_timeout"),
            # One more: the connection was kept from before, and may have been closed before the vendor read anything.
            ("cut before any byte", cut(0), 503, 3, "upstream_network"),
            ("cut in the status line", cut(7), 503, 2, "upstream_network"),
            ("cut in the headers", cut(40), 503, 2, "upstream_network"),
            ("cut in the body", cut(120), 503, 2, "upstream_network"),
            ("cut before the last byte", cut(-1), 503, 2, "upstream_network"),
            ("no JSON", raw("<html>hello</html>"), 503, 1, "upstream_bad_reply"),
            ("half a JSON", raw('{"data": ['), 503, 1, "upstream_bad_reply"),
            ("other JSON", raw("[]"), 503, 1, "upstream_bad_reply"),
            ("too few", changed(drop_first), 503, 1, "upstream_bad_reply"),
            ("an index twice", changed(same_index), 503, 1, "upstream_bad_reply"),
            ("an index beyond", changed(index_beyond), 503, 1, "upstream_bad_reply"),
            ("no index", changed(no_index), 503, 1, "upstream_bad_reply"),
            ("NaN in base64", changed(put(nan)), 503, 1, "upstream_bad_reply"),
            ("null", changed(put([None] * upstream.DIMENSION)), 503, 1, "upstream_bad_reply"),
            ("another dimension", changed(put([1.0, 2.0])), 503, 1, "upstream_bad_reply"),
            ("zeros", changed(put([0.0] * upstream.DIMENSION)), 503, 1, "upstream_bad_reply"),
            ("no vector", changed(put([])), 503, 1, "upstream_bad_reply"),
        ]
        self.assertEqual(self.call(service)[0], 200)
        vendor.take()
        for what, step, expected, attempts, reason in faults:
            with self.subTest(what):
                # Twice as many as there may be attempts: an attempt too many is seen.
                vendor.script = [step] * 4
                code, headers, body = self.call(service)
                vendor.script = []
                self.assertEqual(len(vendor.take()), attempts)
                self.assertEqual((code, body["error"]["code"]), (expected, reason), body)
                self.assertNotIn("www-authenticate", headers)
                self.assertIn("openai", body["error"]["message"])
                if what == "429 long":
                    self.assertEqual(headers["retry-after"], "600")
            time.sleep(0.01)
            self.assertEqual(self.call(service)[0], 200)
            vendor.take()
        self.assertEqual(self.call(service)[0], 200)
        self.assertNotIn(KEY, service.log_text())

    def test_an_attempt_that_fails_is_made_good_by_the_next(self):
        vendor = self.vendor()
        service = self.serve(**settings_of("openai", vendor))
        for step in (status(500), status(429, retry_after_ms=5), cut(0), cut(100), stall("middle")):
            vendor.script = [step]
            code, headers, body = self.call(service)
            self.assertEqual((code, headers["x-attempts"]), (200, "2"), body)
            self.assert_vectors([entry["embedding"] for entry in body["data"]])
        self.assertGreaterEqual(service.metric("garrison_upstream_attempts"), 10)
        self.assertEqual(service.metric("garrison_upstream_answered"), 5)
        self.assertEqual(service.metric("garrison_upstream_unsure"), 4)  # all but the 429

    def test_without_usage_a_call_counts_at_its_bound(self):
        def without(reply):
            del reply["usage"]
        vendor = self.vendor()
        service = self.serve(**settings_of("openai", vendor), **{"openai.usd_per_million_tokens": 1})
        vendor.script = [changed(without)]
        code, headers, body = self.call(service)
        self.assertEqual((code, headers["x-tokens-estimated"]), (200, "true"), body)
        most = sum(len(text.encode()) + 16 for text in TEXTS)  # a token for each byte, and what the vendor adds
        self.assertEqual(headers["x-cost-usd"], f"{most / 1e6:.12f}")

    def test_redirects_are_not_followed_and_keys_stay(self):
        elsewhere = self.vendor()
        for code in (301, 302, 307, 308):
            vendor = self.vendor()
            service = self.serve(**settings_of("openai", vendor))
            vendor.script = [status(code, Location=f"{elsewhere.url}/v1/embeddings")]
            got, _, body = self.call(service)
            self.assertEqual((got, body["error"]["code"]), (503, "upstream_redirect"))
            self.assertEqual(len(vendor.take()), 1)
        self.assertEqual(elsewhere.take(), [])

    def test_keys_are_nowhere_to_be_seen(self):
        vendor = self.vendor()
        service = self.serve(**settings_of("openai", vendor), **{"log.level": "debug"})
        for code in (400, 401, 429, 500):
            echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}. Bearer {KEY}"}})
            vendor.script = [status(code, echo)] * 2
            _, headers, body = self.call(service)
            self.assertNotIn(KEY[:12], json.dumps([headers, body]))
            self.assertIn("********", body["error"]["message"])
        seen = service.log_text() + service.get("/metrics") + service.get("/v1/models") + json.dumps(
            service.access_lines())
        self.assertNotIn(KEY[:12], seen)
        shown = self.run_cli("config", **settings_of("openai", vendor))
        self.assertEqual(shown.returncode, 0)
        self.assertNotIn(KEY[:12], shown.stdout + shown.stderr)

    def test_tls_is_verified(self):
        certificate, key = upstream.make_certificate(self.folder)
        vendor = self.vendor(certificate=(certificate, key))
        refusing = self.serve(**settings_of("openai", vendor))
        code, _, body = self.call(refusing)
        self.assertEqual((code, body["error"]["code"]), (503, "upstream_network"))
        self.assertEqual(vendor.take(), [])
        trusting = self.serve(**settings_of("openai", vendor), **{"upstream.ca_file": certificate})
        code, _, body = self.call(trusting)
        self.assertEqual(code, 200, body)

    def test_credentials_of_a_container_sign(self):
        vendor = self.vendor()
        settings = settings_of("bedrock", vendor)
        del settings["bedrock.access_key_id"], settings["bedrock.secret_access_key"]
        service = self.serve(**settings, **{"bedrock.container_uri": f"{vendor.url}/v2/credentials",
                                            "bedrock.container_token": "let me in"})
        code, _, body = self.call(service)
        self.assertEqual(code, 200, body)
        first, *others = vendor.take()
        self.assertEqual((first.path, first.headers["authorization"]), ("/v2/credentials", "let me in"))
        self.assertEqual({request.headers["x-amz-security-token"] for request in others}, {"session"})

    def test_one_line_switches_the_provider_under_a_running_client(self):
        vendor = self.vendor()
        config = os.path.join(self.folder, "garrison.toml")
        common = {name: value for provider in ("openai", "azure", "custom", "huggingface", "bedrock")
                  for name, value in settings_of(provider, vendor).items() if name != "embeddings.provider"}

        def write(provider):
            with open(config, "w", encoding="utf-8") as file:
                file.write(f'[embeddings]\nprovider = "{provider}"\n')
                for section in sorted({name.split(".")[0] for name in common}):
                    file.write(f"[{section}]\n")
                    for name, value in common.items():
                        if name.startswith(section + "."):
                            file.write(f'{name.split(".")[1]} = "{value}"\n')

        write("local")
        service = self.serve("--config", config)
        port, stop, answers = service.port, threading.Event(), []

        def client():
            while not stop.is_set():
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    connection.request("POST", "/v1/embeddings", json.dumps({"input": TEXTS}))
                    reply = connection.getresponse()
                    answers.append((reply.status, reply.getheader("x-served-by", "local"), json.loads(reply.read())))
                    connection.close()
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)  # between two services

        loop = threading.Thread(target=client)
        loop.start()
        try:
            for provider in ("local", "openai", "huggingface", "bedrock", "azure", "custom", "local"):
                service.stop()
                write(provider)
                service = self.serve("--config", config, port=port)
                before, end = len(answers), time.monotonic() + 60
                while len(answers) < before + 5 and time.monotonic() < end:
                    time.sleep(0.02)
                code, served_by, body = answers[-1]
                self.assertEqual((code, served_by.split("/")[0]), (200, provider), body)
                if provider != "local":
                    self.assert_vectors([entry["embedding"] for entry in body["data"]])
        finally:
            stop.set()
            loop.join()
        self.assertEqual({code for code, _, _ in answers}, {200})

    def test_another_garrison_is_a_provider(self):
        inner = self.serve()
        outer = self.serve(**{"embeddings.provider": "custom", "custom.base_url": f"http://127.0.0.1:{inner.port}/v1"})
        direct, through = self.call(inner), self.call(outer)
        self.assertEqual(through[0], 200, through[2])
        self.assertEqual(through[2]["data"], direct[2]["data"])
        self.assertEqual(through[2]["usage"], direct[2]["usage"])

    def test_fallbacks_stay_in_the_same_space(self):
        primary, twin, stranger = self.vendor(), self.vendor(), self.vendor(space="another model")
        settings = {**settings_of("azure", twin), **settings_of("custom", stranger), **settings_of("openai", primary),
                    "upstream.attempts": 1, "upstream.breaker_open_ms": 1}
        service = self.serve(**settings, **{"embeddings.fallback": "custom, azure"})
        self.assertEqual(self.call(service)[1]["x-served-by"], "openai/text-embedding-3-small")
        for step in (status(500), status(402), status(429), cut(-1), raw("{}")):
            primary.script = [step]
            time.sleep(0.02)  # longer than the circuit is open
            code, headers, body = self.call(service)
            self.assertEqual(primary.script, [])
            self.assertEqual((code, headers.get("x-served-by")), (200, "azure/small"), body)
            self.assertEqual(body["model"], "openai/text-embedding-3-small")
            self.assert_vectors([entry["embedding"] for entry in body["data"]])
        primary.script = [status(400)]
        time.sleep(0.02)
        self.assertEqual(self.call(service)[0], 400)
        self.assertEqual(service.stop(), 0)
        alone = self.serve(**settings, **{"embeddings.fallback": "custom"})
        primary.script = [status(500)]  # at once: the file knows the space from before
        code, _, body = self.call(alone)
        self.assertEqual((code, body["error"]["code"]), (503, "upstream_server"))
        self.assertIn("different vector spaces", body["error"]["message"])

    def test_the_circuit_opens_and_closes(self):
        vendor = self.vendor()
        service = self.serve(**settings_of("openai", vendor), **{
            "upstream.attempts": 1, "upstream.breaker_failures": 2, "upstream.breaker_open_ms": 400})
        vendor.script = [status(500)] * 2
        for _ in range(2):
            self.assertEqual(self.call(service)[2]["error"]["code"], "upstream_server")
        code, headers, body = self.call(service)
        self.assertEqual((code, body["error"]["code"], headers["retry-after"]), (503, "upstream_circuit_open", "1"))
        self.assertEqual(len(vendor.take()), 2)
        self.assertEqual(service.metric("garrison_upstream_circuits_open"), 1)
        end = time.monotonic() + 30
        while self.call(service)[0] != 200 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(service.metric("garrison_upstream_circuits_open"), 0)

    def test_the_command_line_reaches_vendors(self):
        vendor = self.vendor()
        settings = {**settings_of("openai", vendor), "openai.usd_per_million_tokens": 0.02}
        settings["embeddings.provider"] = "local"
        lines = os.path.join(self.folder, "texts.txt")
        with open(lines, "w", encoding="utf-8") as file:
            for i in range(60):
                file.write(f"text number {i} of sixty\n")
        done = self.run_cli("embed", "--model", "openai/text-embedding-3-small", "a cat sat", **settings)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_vectors([json.loads(done.stdout)["embedding"]], ["a cat sat"])
        done = self.run_cli("compare", "--a", "openai", "--b", "builtin:lexical", "--input-format", "text", "--input",
                            lines, **settings)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["a"]["dimension"], report["a"]["attempts"]), (upstream.DIMENSION, 1))
        self.assertAlmostEqual(report["a"]["cost_usd"], 300 * 0.02e-6)
        self.assertIsNone(report["cosine"])

    def test_the_customary_variables_are_understood(self):
        vendor = self.vendor()
        self.environment.update(EMBEDDINGS_PROVIDER="openai", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{vendor.url}/v1")
        service = self.serve()
        self.assertEqual(self.call(service)[0], 200)
        self.assertEqual(vendor.take()[0].headers["authorization"], f"Bearer {KEY}")
        self.environment["GARRISON_EMBEDDINGS_PROVIDER"] = "local"
        self.assertNotIn("x-served-by", self.call(self.serve())[1])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
