#!/usr/bin/env python3
"""Conversations through the whole program: clients of two dialects, vendors of four that answer and fail as they do.

chat_test.py GARRISON_BINARY [unittest arguments]"""
import http.client
import json
import os
import socket
import sys
import tempfile
import threading
import time
import unittest

import upstream
from service import Service
from upstream_chat import ChatVendor

BINARY = ""
KEY = "sk-garrison-test-8f7d6c5b4a39281706f5e4d3"
MODELS = {"openai": "openai/gpt-4o-mini", "deepseek": "deepseek/deepseek-chat", "custom": "custom/mine",
          "anthropic": "anthropic/claude-haiku-4-5", "bedrock": "bedrock/anthropic.claude-haiku-4-5-v1:0"}
DIALECTS = ("openai", "anthropic")
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
# Quick enough for a test, slow enough for a busy machine.
QUICK = {"upstream.attempts": 2, "upstream.breaker_failures": 1000, "bedrock.metadata_endpoint": "off",
         "chat.first_content_ms": 2000, "chat.content_idle_ms": 2000, "budget.hour_usd": 1000, "budget.day_usd": 1000}
PRICES = {"prices": [{"provider": provider, "model": "*", "input": "1", "output": "1", "image_tokens": 1000,
                      "source": "test", "checked": "2026-01-01"}
                     for provider in ("openai", "deepseek", "custom", "anthropic", "bedrock")]}


def settings_of(vendor, model="openai"):
    urls = vendor.base_urls()
    return {"openai.base_url": urls["openai"], "openai.api_key": KEY, "deepseek.base_url": urls["deepseek"],
            "deepseek.api_key": KEY, "custom.base_url": urls["custom"], "custom.api_key": KEY,
            "anthropic.base_url": urls["anthropic"], "anthropic.api_key": KEY, "bedrock.endpoint": urls["bedrock"],
            "bedrock.region": "us-east-1", "bedrock.access_key_id": upstream.ACCESS_KEY,
            "bedrock.secret_access_key": upstream.SECRET_KEY, "chat.model": MODELS[model]}


def body_of(dialect, text, model=None, stream=False, **more):
    """A request with one message of a user; `model`: a key of MODELS, or a name."""
    body = {"messages": [{"role": "user", "content": text}], "stream": stream, **more}
    if model:
        body["model"] = MODELS.get(model, model)
    if dialect == "anthropic":
        body.setdefault("max_tokens", 500)
    elif stream:
        body["stream_options"] = {"include_usage": True}
    return body


def events_of(text):
    """The data of each event, in JSON where it is."""
    data = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


class Answer:
    """An answer of either dialect, whole or streamed, in one shape."""

    def __init__(self, dialect, stream, status, headers, text):
        self.status, self.headers, self.raw = status, headers, text
        self.text, self.thought, self.calls, self.finish, self.usage, self.error = "", "", [], None, {}, None
        self.ended = not stream
        if status != 200:
            self.error = json.loads(text)["error"]
        elif stream:
            (self._openai_stream if dialect == "openai" else self._anthropic_stream)(events_of(text))
        else:
            (self._openai if dialect == "openai" else self._anthropic)(json.loads(text))

    def _openai(self, body):
        message = body["choices"][0]["message"]
        self.text = message["content"] or ""
        self.thought = message.get("reasoning_content") or ""
        self.calls = [(call["id"], call["function"]["name"], call["function"]["arguments"])
                      for call in message.get("tool_calls", [])]
        self.finish = body["choices"][0]["finish_reason"]
        self.usage = {"input": body["usage"]["prompt_tokens"], "output": body["usage"]["completion_tokens"]}

    def _anthropic(self, body):
        for block in body["content"]:
            if block["type"] == "text":
                self.text += block["text"]
            elif block["type"] == "thinking":
                self.thought += block["thinking"]
            else:
                self.calls.append((block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False)))
        self.finish = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}[body["stop_reason"]]
        usage = body["usage"]
        self.usage = {"input": usage["input_tokens"] + usage["cache_read_input_tokens"], "output": usage["output_tokens"]}

    def _openai_stream(self, events):
        for event in events:
            if event == "[DONE]":
                self.ended = True
            elif "error" in event:
                self.error = event["error"]
            elif event["choices"]:
                delta = event["choices"][0]["delta"]
                self.text += delta.get("content") or ""
                self.thought += delta.get("reasoning_content") or ""
                for call in delta.get("tool_calls", []):
                    if "id" in call:
                        self.calls.append((call["id"], call["function"]["name"], ""))
                    one = self.calls[call["index"]]
                    self.calls[call["index"]] = (*one[:2], one[2] + call["function"]["arguments"])
                self.finish = event["choices"][0]["finish_reason"] or self.finish
            else:
                self.usage = {"input": event["usage"]["prompt_tokens"], "output": event["usage"]["completion_tokens"]}

    def _anthropic_stream(self, events):
        for event in events:
            kind, delta = event["type"], event.get("delta", {})
            if kind == "message_stop":
                self.ended = True
            elif kind == "error":
                self.error = event["error"]
            elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
                self.calls.append((event["content_block"]["id"], event["content_block"]["name"], ""))
            elif kind == "content_block_delta":
                self.text += delta.get("text", "")
                self.thought += delta.get("thinking", "")
                if "partial_json" in delta:
                    self.calls[-1] = (*self.calls[-1][:2], self.calls[-1][2] + delta["partial_json"])
            elif kind == "message_delta":
                self.finish = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}[delta["stop_reason"]]
                usage = event["usage"]
                self.usage = {"input": usage["input_tokens"] + usage["cache_read_input_tokens"],
                              "output": usage["output_tokens"]}


class Chat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(
            ("AWS_", "OPENAI_", "ANTHROPIC_", "DEEPSEEK_", "AZURE_", "HF_", "GARRISON_"))}
        self.environment.update(XDG_STATE_HOME=folder.name, HOME=folder.name)
        self.environment["GARRISON_BUDGET_PRICES"] = os.path.join(folder.name, "prices.json")
        with open(self.environment["GARRISON_BUDGET_PRICES"], "w", encoding="utf-8") as file:
            json.dump(PRICES, file)
        self.vendor = ChatVendor()
        self.addCleanup(self.vendor.close)

    def serve(self, model="openai", **settings):
        service = Service(BINARY, environment=self.environment, **{**QUICK, **settings_of(self.vendor, model), **settings})
        self.addCleanup(service.__exit__)
        return service

    def ask(self, service, dialect, text, model=None, stream=False, path=None, **more):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self.addCleanup(connection.close)
        where = path or {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[dialect]
        connection.request("POST", where, json.dumps(body_of(dialect, text, model, stream, **more)))
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(dialect, stream, reply.status, headers, reply.read().decode())

    def record(self):
        records = self.vendor.take()
        self.assertEqual(len(records), 1, records)
        return records[0]

    def wait(self, condition):
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertTrue(condition())

    def every_way(self, providers=tuple(MODELS)):
        for provider in providers:
            for dialect in DIALECTS:
                for stream in (False, True):
                    with self.subTest(provider=provider, dialect=dialect, stream=stream):
                        yield provider, dialect, stream

    def test_every_vendor_answers_every_client(self):
        service = self.serve()
        for provider, dialect, stream in self.every_way():
            answer = self.ask(service, dialect, "grüß dich, wörld [[think]] [[bytewise]]", provider, stream)
            self.assertEqual((answer.status, answer.error, answer.ended), (200, None, True), answer.raw)
            self.assertEqual(answer.text, "You said: grüß dich, wörld")
            if provider != "bedrock":
                self.assertEqual(answer.thought, "Let me think: äöü.")
            self.assertEqual((answer.finish, answer.usage), ("stop", {"input": 8, "output": 9}), answer.raw)
            self.assertEqual(answer.headers["x-served-by"], MODELS[provider])
            self.assertEqual(answer.headers["x-attempts"], "1")
            if stream:
                self.assertEqual(answer.headers["content-type"], "text/event-stream")
                self.assertEqual(answer.headers["cache-control"], "no-cache")
            record = self.record()
            self.assertTrue(record["complete"])
            if provider == "anthropic":
                self.assertEqual(record["headers"]["x-api-key"], KEY)
            elif provider != "bedrock":
                self.assertEqual(record["headers"]["authorization"], f"Bearer {KEY}")

    def test_systems_images_and_ends(self):
        service = self.serve()
        image = "data:image/png;base64,iVBORw0KGgo="
        for provider, dialect, stream in self.every_way():
            if dialect == "openai":
                system = {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a [[system]]"}]}
                parts = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "what?"}]
            else:
                system = {"system": "be brief", "messages": [{"role": "user", "content": "a [[system]]"}]}
                source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
                parts = [{"type": "image", "source": source}, {"type": "text", "text": "what?"}]
            self.assertEqual(self.ask(service, dialect, "", provider, stream, **system).text, "My instructions: be brief")
            if provider != "deepseek":
                answer = self.ask(service, dialect, parts, provider, stream)
                self.assertEqual(answer.text, f"I see {image}", answer.raw)
            self.assertEqual(self.ask(service, dialect, "a [[length]]", provider, stream).finish, "length")
            self.assertEqual(self.ask(service, dialect, "a [[empty]]", provider, stream).text, "")

    def test_tools_both_ways(self):
        service = self.serve()
        for provider, dialect, stream in self.every_way():
            if dialect == "openai":
                tools = [{"type": "function", "function": {"name": name, "parameters": TOOL}} for name in ("weather", "time")]
            else:
                tools = [{"name": name, "input_schema": TOOL} for name in ("weather", "time")]
            answer = self.ask(service, dialect, "how is it? [[tool=2]]", provider, stream, tools=tools)
            self.assertEqual(answer.finish, "tool_calls", answer.raw)
            self.assertEqual([(call[0], call[1], json.loads(call[2])) for call in answer.calls],
                             [("call_0", "weather", {"city": "Zürich 0"}), ("call_1", "time", {"city": "Zürich 1"})])
            if dialect == "openai":
                said = {"role": "assistant", "content": None, "tool_calls": [
                    {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
                    for call, name, arguments in answer.calls]}
                results = [{"role": "tool", "tool_call_id": call[0], "content": f"sun {call[0]}"} for call in answer.calls]
            else:
                said = {"role": "assistant", "content": [
                    {"type": "tool_use", "id": call, "name": name, "input": json.loads(arguments)}
                    for call, name, arguments in answer.calls]}
                results = [{"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call[0], "content": f"sun {call[0]}"} for call in answer.calls]}]
            messages = [{"role": "user", "content": "how is it?"}, said, *results]
            after = self.ask(service, dialect, "", provider, stream, tools=tools, messages=messages)
            self.assertEqual(after.text, "The tool says: call_0 sun call_0, call_1 sun call_1", after.raw)

    def test_failures_before_the_content_have_their_status(self):
        service = self.serve(**{"upstream.breaker_open_ms": 1})
        faults = [("status=400", 400, 1, "upstream_bad_request"), ("status=401", 503, 1, "upstream_authentication"),
                  ("status=402", 503, 1, "upstream_billing"), ("status=429", 429, 2, "upstream_rate_limit"),
                  ("status=500", 503, 2, "upstream_server"), ("cut=0", 503, 2, "upstream_network"),
                  ("stall=0", 504, 2, "upstream_timeout"), ("keepalive=20", 504, 2, "upstream_timeout"),
                  ("error=0", 503, 2, None), ("broken=0", 503, 2, "upstream_bad_reply")]
        for provider, dialect, stream in self.every_way(("openai", "anthropic")):
            for fault, status, attempts, reason in faults:
                if fault.startswith(("stall", "keepalive")) and not stream:
                    continue  # slow, and not another way than with a stream
                with self.subTest(fault):
                    answer = self.ask(service, dialect, f"secret [[{fault}]]", provider, stream)
                    self.assertEqual(answer.status, status, answer.raw)
                    if dialect == "openai" and reason:
                        self.assertEqual(answer.error["code"], reason)
                    elif dialect == "anthropic":
                        self.assertEqual(json.loads(answer.raw)["type"], "error")
                        self.assertEqual(json.loads(answer.raw)["request_id"], answer.headers["request-id"])
                    self.assertEqual(len(self.vendor.take()), attempts)
                    time.sleep(0.01)
        seen = service.log_text() + service.get("/metrics") + json.dumps(service.access_lines())
        self.assertNotIn("secret", seen)
        self.assertNotIn(KEY, seen)

    def test_failures_after_the_content_are_said_and_are_no_end(self):
        service = self.serve()
        for fault in ("cut=900", "broken=9", "error=9", "stall=9"):
            for provider, dialect, stream in self.every_way(("openai", "anthropic", "bedrock")):
                with self.subTest(fault):
                    count = fault if provider != "bedrock" or not fault.startswith("cut") else "cut=2500"
                    answer = self.ask(service, dialect, f"hello [[{count}]] [[words=60]]", provider, stream)
                    self.assertIsNotNone(answer.error, answer.raw)
                    if stream:
                        self.assertEqual((answer.status, answer.ended), (200, False), answer.raw)
                        self.assertTrue(answer.text.startswith("word0 word1"), answer.raw)
                    else:
                        self.assertIn(answer.status, (429, 503, 504))
                    # What was handed on, or came as far as here, is not asked for again.
                    self.assertEqual(len(self.vendor.take()), 1)
        self.wait(lambda: len(service.access_lines()) == 48)  # a line comes behind the end of its stream
        line = service.access_lines()[-1]
        self.assertEqual((line["status"], line["streamed"], line["tokens_estimated"]), (200, True, True))
        self.assertNotEqual(line["ending"], "OK")
        self.assertGreater(service.metric("garrison_chat_estimated_total"), 0)

    def test_what_failed_before_the_content_is_asked_again_or_elsewhere(self):
        service = self.serve()
        for fault in ("status=500", "cut=0", "cut=20", "broken=0", "error=0"):
            answer = self.ask(service, "openai", f"{fault} [[{fault}]] [[once]]", stream=True)
            self.assertEqual((answer.status, answer.ended, answer.headers["x-attempts"]), (200, True, "2"), answer.raw)
            self.assertEqual(len(self.vendor.take()), 2)
        service = self.serve(**{"chat.fallbacks": MODELS["anthropic"], "openai.base_url": "http://127.0.0.1:1/v1"})
        for dialect in DIALECTS:  # nobody listens there
            answer = self.ask(service, dialect, "hello", stream=True)
            self.assertEqual((answer.status, answer.headers.get("x-served-by")), (200, MODELS["anthropic"]), answer.raw)
            self.assertEqual((answer.text, answer.ended), ("You said: hello", True))

    def test_no_usage_is_said_and_none_made_up(self):
        service = self.serve()
        for provider in ("openai", "anthropic"):
            answer = self.ask(service, "openai", "hello [[no_usage]]", provider)
            self.assertEqual((answer.status, answer.headers.get("x-tokens-estimated")), (200, "true"), answer.raw)
            self.assertTrue(self.ask(service, "openai", "hello [[no_usage]]", provider, stream=True).ended)

    def test_a_client_that_leaves_ends_the_answer_upstream(self):
        service = self.serve()
        for provider in ("openai", "anthropic", "bedrock"):
            for dialect in DIALECTS:
                for stream in (True, False):
                    with self.subTest(provider=provider, dialect=dialect, stream=stream):
                        body = json.dumps(body_of(dialect, "hi [[words=2000]] [[slow=0.05]]", provider, stream)).encode()
                        path = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[dialect]
                        with socket.create_connection(("127.0.0.1", service.port)) as connection:
                            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
                                               "\r\n\r\n".encode() + body)
                            if stream:
                                while b"word3" not in connection.recv(65536):
                                    pass
                            else:
                                self.wait(lambda: self.vendor.records and self.vendor.records[0]["chunks"] > 3)
                        self.wait(lambda: self.vendor.records[0]["left"])
                        self.assertLess(self.record()["chunks"], 200)
        self.wait(lambda: len(service.access_lines()) == 12)
        self.assertEqual({line["ending"] for line in service.access_lines()}, {"CANCELLED"})

    def test_the_time_of_a_request_is_for_the_head(self):
        service = self.serve(**{"limits.request_ms": 1500, "chat.first_content_ms": 10000})
        answer = self.ask(service, "openai", "hi [[words=40]] [[slow=0.1]]", stream=True)
        self.assertEqual((answer.status, answer.ended), (200, True))
        self.vendor.take()
        late = self.ask(service, "openai", "hi [[keepalive=20]]", stream=True)
        self.assertEqual(late.status, 504)
        self.wait(lambda: self.vendor.records[0]["left"])
        self.assertEqual(self.ask(service, "openai", "hi [[words=40]] [[slow=0.1]]").status, 504)

    def test_what_runs_is_finished_at_the_end(self):
        service = self.serve()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.ask(service, "anthropic", "hi [[words=20]] [[slow=0.1]]", stream=True)))
        thread.start()
        self.wait(lambda: self.vendor.records)
        self.assertEqual(service.stop(), 0)
        thread.join()
        self.assertEqual((answers[0].status, answers[0].ended), (200, True), answers[0].raw)

    def test_many_at_once_get_their_own(self):
        service = self.serve(**{"upstream.concurrency": 40, "server.workers": 64})
        answers = {}

        def client(i):
            ways = [(provider, dialect) for provider in MODELS for dialect in DIALECTS]
            provider, dialect = ways[i % len(ways)]
            answers[i] = self.ask(service, dialect, f"I am {i} [[slow=0.01]]", provider, stream=i % 3 > 0)
        threads = [threading.Thread(target=client, args=(i,)) for i in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, answer in answers.items():
            self.assertEqual((answer.text, answer.ended), (f"You said: I am {i}", True), answer.raw)
        self.wait(lambda: service.metric("garrison_chat_requests_total") == 40)
        self.assertEqual(service.metric("garrison_upstream_answered"), 40)

    def test_long_conversations_leave_room_for_others(self):
        service = self.serve(**{"server.workers": 4})
        running = [threading.Thread(target=self.ask, args=(service, "openai", f"hi {i} [[words=40]] [[slow=0.1]]"),
                                    kwargs={"stream": True}) for i in range(3)]
        for thread in running:
            thread.start()
        self.wait(lambda: len(self.vendor.records) == 3 and all(one["chunks"] > 0 for one in self.vendor.records))
        answer = self.ask(service, "anthropic", "hi")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "1"), answer.raw)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("POST", "/v1/embeddings", json.dumps({"input": "a cat"}))
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        for thread in running:
            thread.join()
        self.assertEqual(self.ask(service, "anthropic", "hi").status, 200)

    def test_the_older_route_and_counting(self):
        service = self.serve()
        for stream in (False, True):
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "Say hello.", "stream": stream}))
            reply = connection.getresponse()
            text = reply.read().decode()
            self.assertEqual(reply.status, 200, text)
            if stream:
                self.assertTrue(text.endswith("data: [DONE]\n\n"))
                text = "".join(event["choices"][0]["text"] for event in events_of(text)[:-1] if event["choices"])
            else:
                text = json.loads(text)["choices"][0]["text"]
            self.assertEqual(text, "You said: Say hello.")
            connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self.addCleanup(connection.close)
        for model, status in (("anthropic", 200), ("openai", 501)):
            connection.request("POST", "/v1/messages/count_tokens", json.dumps(
                {"model": MODELS[model], "messages": [{"role": "user", "content": "one two"}]}))
            reply = connection.getresponse()
            body = json.loads(reply.read())
            self.assertEqual(reply.status, status, body)
            self.assertEqual(body.get("input_tokens"), 5 if status == 200 else None)

    def test_nobody_is_asked_unless_it_was_set(self):
        service = Service(BINARY, environment=self.environment, **{"openai.api_key": KEY})
        self.addCleanup(service.__exit__)
        for dialect in DIALECTS:
            answer = self.ask(service, dialect, "hi", "openai")
            self.assertEqual(answer.status, 400)
            self.assertIn("chat.model", answer.error["message"])
        self.assertEqual(self.ask(service, "openai", "hi").error["code"], "model_not_available")
        service = self.serve(**{"chat.aliases": "fast=custom/mine"})
        models = {model["id"]: model for model in json.loads(service.get("/v1/models"))["data"]}
        self.assertEqual(models[MODELS["openai"]]["capabilities"], ["chat"])
        self.assertEqual(models["custom/mine"]["aliases"], ["fast"])
        self.assertEqual(self.ask(service, "openai", "hi", "fast").headers["x-served-by"], "custom/mine")
        self.assertEqual(self.ask(service, "anthropic", "hi", "no-such").status, 404)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
