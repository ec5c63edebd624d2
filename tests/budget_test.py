#!/usr/bin/env python3
"""Money through the whole program: vendors that count what they bill, limits, several processes, and kill -9.

budget_test.py GARRISON_BINARY [unittest arguments]"""
import concurrent.futures
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from decimal import Decimal

import postgres
from service import Service
from upstream import Vendor, changed, cut, stall, status
from upstream_chat import ChatVendor

BINARY = ""
KEY = "sk-garrison-test-8f7d6c5b4a39281706f5e4d3"
ADMIN = "admin-key-of-this-test-1234"
# A tenth of a cent for each token, so that little text is much money.
PRICE = Decimal("0.001")
PRICES = {"prices": [{"provider": provider, "model": "*", "input": "1000", "output": "1000", "message_tokens": 0,
                      "source": "test", "checked": "2026-01-01"} for provider in ("custom", "openai", "anthropic")]}
PLENTY = {"budget.month_usd": "100000", "budget.day_usd": "100000", "budget.hour_usd": "100000",
          "budget.request_usd": "1000", "budget.stop_percent": 100}


def usd(text):
    return Decimal(text)


class Budget(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(
            ("AWS_", "OPENAI_", "ANTHROPIC_", "DEEPSEEK_", "AZURE_", "HF_", "GARRISON_"))}
        self.environment.update(XDG_STATE_HOME=self.folder, HOME=self.folder)
        self.prices = os.path.join(self.folder, "prices.json")
        with open(self.prices, "w", encoding="utf-8") as file:
            json.dump(PRICES, file)
        self.ledger = {"budget.file": os.path.join(self.folder, "ledger.db"), "budget.prices": self.prices}
        self.vendor = Vendor()
        self.addCleanup(self.vendor.close)

    def use_postgres(self):
        if not postgres.installed():
            self.skipTest("PostgreSQL 15 is not installed")
        server = postgres.Postgres()
        self.addCleanup(server.remove)
        self.ledger = {"database.url": server.url, "budget.prices": self.prices}

    def settings(self, **settings):
        return {"embeddings.provider": "custom", "custom.base_url": f"{self.vendor.url}/v1", "custom.model": "m",
                "cache.memory_bytes": 0, "upstream.attempts": 1, "upstream.breaker_failures": 1000,
                "upstream.first_content_ms": 2000, **self.ledger, **PLENTY, **settings}

    def serve(self, **settings):
        service = Service(BINARY, environment=self.environment, **self.settings(**settings))
        self.addCleanup(service.__exit__)
        return service

    def call(self, service, path="/v1/embeddings", body=None, method="POST", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read().decode()
        finally:
            connection.close()

    def embed(self, service, text="one two three"):
        return self.call(service, body={"input": text})

    def command(self, *arguments, **settings):
        sets = [part for name, value in {**self.ledger, **PLENTY, **settings}.items() for part in ("--set", f"{name}={value}")]
        done = subprocess.run([BINARY, "budget", *arguments, *sets], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def month(self):
        """Settled, reserved and disputed."""
        window = self.command("status")[0]["budget"]["monthly"]
        return tuple(usd(window[name]) for name in ("settledUsd", "reservedUsd", "disputedUsd"))

    def test_a_call_costs_what_the_vendor_counts(self):
        service = self.serve()
        code, headers, _ = self.embed(service)
        self.assertEqual(code, 200)
        self.assertEqual(usd(headers["x-cost-usd"]), 3 * PRICE)
        self.assertEqual(service.stop(), 0)
        self.assertEqual(self.month(), (3 * PRICE, 0, 0))
        (attempt,) = self.command("history")
        self.assertEqual((attempt["state"], attempt["usage"], attempt["kind"]), ("settled", {"input": 3}, "embed"))
        self.assertEqual(usd(attempt["bound_usd"]), len("one two three") * PRICE)

    def test_what_failed_costs_nothing_or_its_bound(self):
        service = self.serve()
        bound = len("one two three") * PRICE
        free = [status(401), status(404), status(429)]
        unsure = [status(500), cut(60), stall("middle"), changed(lambda reply: reply["data"].pop() and reply)]
        for script in free + unsure:
            self.vendor.script = [script]
            self.assertNotEqual(self.embed(service)[0], 200)
        self.vendor.script = [changed(lambda reply: reply.pop("usage") and reply)]
        code, headers, _ = self.embed(service)  # an answer, but nobody knows for how much
        self.assertEqual((code, usd(headers["x-cost-usd"])), (200, bound))
        service.stop()
        self.assertEqual(self.month(), (0, 0, (len(unsure) + 1) * bound))

    def exactly_fifty(self):
        """100 calls of $0.10 against $5, through two processes."""
        limits = {**PLENTY, "budget.month_usd": "5"}
        services = [self.serve(**limits) for _ in range(2)]
        texts = [f"{i:03}" + " x" * 48 + "x" for i in range(100)]  # 100 bytes: at most 100 tokens
        self.vendor.script = [changed(lambda reply: reply["usage"].update(prompt_tokens=100))] * 200
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda i: self.embed(services[i % 2], texts[i]), range(100)))
        codes = [code for code, _, _ in answers]
        self.assertEqual((codes.count(200), codes.count(429)), (50, 50))
        refused = next(answer for answer in answers if answer[0] == 429)
        self.assertEqual(json.loads(refused[2])["error"]["code"], "budget_exceeded")
        self.assertIn("retry-after", refused[1])
        self.assertEqual(len(self.vendor.take()), 50)
        for service in services:
            service.stop()
        self.assertEqual(self.month(), (5, 0, 0))

    def test_two_processes_spend_exactly_the_limit_sqlite(self):
        self.exactly_fifty()

    def test_two_processes_spend_exactly_the_limit_postgres(self):
        self.use_postgres()
        self.exactly_fifty()

    def killed(self, rounds):
        """Whenever the process dies, the ledger holds at least what the vendor billed."""
        chooser = random.Random(5)
        billed = Decimal(0)
        for _ in range(rounds):
            service = self.serve()
            stop = threading.Event()

            def client(service=service, stop=stop):
                while not stop.is_set():
                    try:
                        self.embed(service, "word " * chooser.randint(1, 20))
                    except (OSError, http.client.HTTPException):
                        return

            clients = [threading.Thread(target=client) for _ in range(6)]
            for thread in clients:
                thread.start()
            time.sleep(chooser.uniform(0.05, 0.6))
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
            stop.set()
            for thread in clients:
                thread.join()
            time.sleep(0.1)  # answers of the vendor that nobody reads
            for request in self.vendor.take():
                billed += sum(len(text.split()) for text in request.json()["input"]) * PRICE
            settled, reserved, disputed = self.month()
            self.assertGreaterEqual(settled + reserved + disputed, billed)
        self.assertGreater(billed, 0)
        self.assertEqual(self.embed(self.serve())[0], 200)  # and it goes on: the accounts add up

    def test_kill_loses_nothing_sqlite(self):
        self.killed(10)

    def test_kill_loses_nothing_postgres(self):
        self.use_postgres()
        self.killed(6)

    def test_kill_in_the_middle_of_an_answer(self):
        vendor = ChatVendor()
        self.addCleanup(vendor.close)
        urls = vendor.base_urls()
        service = self.serve(**{"embeddings.provider": "local", "openai.base_url": urls["openai"], "openai.api_key": KEY,
                                "chat.model": "openai/gpt-4o-mini"})
        body = {"messages": [{"role": "user", "content": "a long story [[slow=0.2]]"}], "stream": True}
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        self.assertEqual(connection.getresponse().status, 200)  # the first piece is there
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        time.sleep(0.5)
        (record,) = vendor.take()
        settled, reserved, disputed = self.month()
        self.assertEqual((settled, disputed), (0, 0))
        self.assertGreaterEqual(reserved, record["billed"] * PRICE)
        self.assertEqual(self.command("history")[0]["state"], "sent")

    def test_conversations_are_charged_like_anything(self):
        vendor = ChatVendor()
        self.addCleanup(vendor.close)
        urls = vendor.base_urls()
        service = self.serve(**{"embeddings.provider": "local", "openai.base_url": urls["openai"], "openai.api_key": KEY,
                                "chat.model": "openai/gpt-4o-mini"})
        body = {"messages": [{"role": "user", "content": "hello there"}]}
        code, headers, text = self.call(service, "/v1/chat/completions", body)
        self.assertEqual(code, 200, text)
        usage = json.loads(text)["usage"]
        cost = usage["total_tokens"] * PRICE
        self.assertEqual(usd(headers["x-cost-usd"]), cost)
        code, _, text = self.call(service, "/v1/chat/completions", {**body, "stream": True})
        self.assertIn(f": x-cost-usd {cost:.12f}", text)
        service.stop()
        self.assertEqual(self.month(), (2 * cost, 0, 0))

    def test_a_fallback_is_another_admission(self):
        vendor = ChatVendor()
        self.addCleanup(vendor.close)
        self.vendor.script = [status(500)]
        service = self.serve(**{"embeddings.provider": "local", "openai.base_url": f"{self.vendor.url}/v1",
                                "openai.api_key": KEY, "anthropic.base_url": vendor.base_urls()["anthropic"],
                                "anthropic.api_key": KEY, "chat.model": "openai/gpt-4o-mini",
                                "chat.fallbacks": "anthropic/claude-haiku-4-5"})
        code, headers, text = self.call(service, "/v1/chat/completions",
                                        {"messages": [{"role": "user", "content": "hello there"}]})
        self.assertEqual((code, headers.get("x-served-by")), (200, "anthropic/claude-haiku-4-5"), text)
        service.stop()
        attempts = self.command("history")
        states = sorted((attempt["provider"], attempt["state"], attempt.get("parent", "")) for attempt in attempts)
        self.assertEqual(states, [("anthropic", "settled", "fallback"), ("openai", "disputed", "")])
        self.assertEqual(usd(headers["x-cost-usd"]), sum(usd(attempt["amount_usd"]) for attempt in attempts))

    def test_what_has_no_price_is_not_called(self):
        with open(self.prices, "w", encoding="utf-8") as file:
            json.dump({"prices": []}, file)
        vendor = ChatVendor()
        self.addCleanup(vendor.close)
        service = self.serve(**{"embeddings.provider": "local", "openai.base_url": vendor.base_urls()["openai"],
                                "openai.api_key": KEY, "chat.model": "openai/gpt-99"})
        code, _, text = self.call(service, "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
        self.assertEqual((code, json.loads(text)["error"]["code"]), (400, "unknown_price"))
        self.assertEqual(vendor.take(), [])

    def test_status_kill_switch_and_unlock_by_http(self):
        service = self.serve(**{"server.admin_key": ADMIN, "server.api_key": "user-key-of-this-test-1234"})
        user = {"Authorization": "Bearer user-key-of-this-test-1234"}
        admin = {"Authorization": f"Bearer {ADMIN}"}
        self.assertEqual(self.call(service, body={"input": "a b"}, **user)[0], 200)
        self.assertEqual(self.call(service, "/api/budget/status", method="GET", **user)[0], 403)
        self.assertEqual(self.call(service, "/api/budget/unlock", body={}, **user)[0], 403)
        code, _, text = self.call(service, "/api/budget/status", method="GET", **admin)
        status_ = json.loads(text)
        self.assertEqual((code, status_["status"], status_["locked"]), (200, "healthy", False))
        self.command("set", "kill_switch", "on")
        code, _, text = self.call(service, body={"input": "a b"}, **user)
        self.assertEqual((code, json.loads(text)["error"]["code"]), (503, "kill_switch_active"))
        # Local work does not care.
        self.assertEqual(self.call(service, body={"input": "a b", "model": "builtin:lexical"}, **user)[0], 200)
        self.assertEqual(self.call(service, "/api/budget/unlock", body={}, **admin)[0], 200)
        self.assertEqual(self.call(service, body={"input": "a b"}, **user)[0], 200)
        self.assertEqual(service.metric("garrison_budget_refused"), 1)

    def test_paid_calls_stop_at_95_percent_and_people_are_told_once(self):
        service = self.serve(**{"budget.month_usd": "0.1", "budget.stop_percent": 95})
        self.vendor.script = [changed(lambda reply: reply["usage"].update(prompt_tokens=1))] * 200
        codes = [self.embed(service, "x")[0] for _ in range(100)]
        self.assertEqual((codes.count(200), codes.count(429)), (95, 5))
        log = service.log_text()
        # The last threshold and the line are the same: whoever reaches it is told, and stopped.
        for percent in (70, 85, 95):
            self.assertEqual(log.count(f"budget: {percent} % of the limit of all for"), 1, log)
        service.stop()
        service = self.serve(**{"budget.month_usd": "0.1", "budget.stop_percent": 95})
        self.assertEqual(self.embed(service, "x")[0], 429)  # a restart forgets nothing
        self.assertNotIn("% of the limit", service.log_text())

    def test_a_ledger_that_does_not_answer_stops_paid_calls_alone(self):
        service = self.serve(**{"budget.file": "/nonexistent/ledger.db"})
        code, _, text = self.embed(service)
        self.assertEqual((code, json.loads(text)["error"]["code"]), (503, "ledger_unavailable"))
        self.assertEqual(self.call(service, body={"input": "a", "model": "builtin:lexical"})[0], 200)
        self.assertEqual(self.vendor.take(), [])

    def test_accounts_that_somebody_changed_stop_paid_calls(self):
        service = self.serve()
        self.embed(service)
        service.stop()
        subprocess.run([sys.executable, "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("
                        "\"UPDATE garrison_accounts SET settled_pusd = 0 WHERE scope = 'all'\"); c.commit()",
                        self.ledger["budget.file"]], check=True)
        code, _, text = self.embed(self.serve())
        self.assertEqual((code, json.loads(text)["error"]["code"]), (503, "ledger_unavailable"))
        self.assertIn("add up", text)
        self.command("repair")
        self.assertEqual(self.embed(self.serve())[0], 200)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
