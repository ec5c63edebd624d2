"""Vendors of language models for tests: answers in the documented streams of OpenAI, DeepSeek, Anthropic and Bedrock, and
fails in every way that a request asks for.

What is to happen stands in a message, in double brackets: "hello [[stall=3]]". See Plan and Faults.

upstream_chat.py    listens until its input ends, and prints its address; GET /log is what it was asked"""
import base64
import binascii
import json
import os
import re
import select
import socket
import struct
import sys
import time

import upstream

PATIENCE = 30
# What a text is cut into: words, and within a character of several bytes where a stream is sent byte by byte.
DIRECTIVE = re.compile(r"\s*\[\[(.*?)\]\]")
PIECES = re.compile(r"\S+\s*|\s+")


def directives(text):
    """{"stall": "3", "tool": ""} of "[[stall=3]] [[tool]]"."""
    found = {}
    for inside in DIRECTIVE.findall(text):
        name, _, value = inside.partition("=")
        found[name] = value
    return found


class Asked:
    """A request in no vendor's shape."""

    def __init__(self, kind, body):
        self.kind = kind
        self.body = body
        self.texts, self.images, self.results = [], [], []
        self.system = ""
        (self._anthropic if kind in ("anthropic", "bedrock") else self._openai)()
        self.tools = [tool.get("name") or tool["function"]["name"] for tool in body.get("tools", [])]
        self.directives = directives(" ".join([self.system, *self.texts]))

    def _openai(self):
        for message in self.body["messages"]:
            content = message.get("content") or ""
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            text = "".join(part["text"] for part in parts if part["type"] == "text")
            self.images += [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            if message["role"] in ("system", "developer"):
                self.system += text
            elif message["role"] == "tool":
                self.results.append((message["tool_call_id"], text))
            else:
                self.texts.append(text)

    def _anthropic(self):
        system = self.body.get("system", "")
        self.system = system if isinstance(system, str) else "".join(block["text"] for block in system)
        for message in self.body["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                if block["type"] == "text":
                    self.texts.append(block["text"])
                elif block["type"] == "image":
                    source = block["source"]
                    self.images.append(source.get("url") or f"data:{source['media_type']};base64,{source['data']}")
                elif block["type"] == "tool_result":
                    inner = block.get("content", "")
                    text = inner if isinstance(inner, str) else "".join(one.get("text", "") for one in inner)
                    self.results.append((block["tool_use_id"], text))

    def tokens(self):
        return sum(len(text.split()) for text in [self.system, *self.texts, *(text for _, text in self.results)]) + 3


class Plan:
    """What is answered: pieces of thoughts, of text, and calls of tools."""

    def __init__(self, asked):
        said = asked.directives
        self.thoughts = PIECES.findall("Let me think: äöü.") if "think" in said else []
        self.calls = []
        self.finish = "stop"
        text = "You said: " + DIRECTIVE.sub("", asked.texts[-1] if asked.texts else "")
        if "words" in said:
            text = " ".join(f"word{i}" for i in range(int(said["words"])))
        if "system" in said:
            text = f"My instructions: {DIRECTIVE.sub('', asked.system).strip()}"
        if asked.images:
            text = "I see " + ", ".join(image[:60] for image in asked.images)
        if asked.results:
            text = "The tool says: " + ", ".join(f"{call} {result}" for call, result in asked.results)
        elif "tool" in said and asked.tools:
            text = ""
            self.finish = "tool"
            for i in range(int(said["tool"] or 1)):
                self.calls.append((f"call_{i}", asked.tools[i % len(asked.tools)],
                                   ['{"ci', 'ty": "Zür', f'ich {i}"', "}"]))
        if "length" in said:
            self.finish = "length"
        if "empty" in said:
            text = ""
        self.text = PIECES.findall(text)
        self.input = asked.tokens()
        self.reasoning = len(self.thoughts)
        self.output = self.reasoning + len(self.text) + 4 * len(self.calls)
        self.usage = "no_usage" not in said


def sse(data, name=None):
    data = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return ((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode()


def openai_stream(plan, model, options):
    head = {"id": "chatcmpl-vendor", "object": "chat.completion.chunk", "created": 1, "model": f"{model}-2026"}

    def chunk(delta, finish=None):
        return sse({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})
    out = [chunk({"role": "assistant", "content": ""})]
    out += [chunk({"reasoning_content": piece}) for piece in plan.thoughts]
    out += [chunk({"content": piece}) for piece in plan.text]
    for i, (call, name, pieces) in enumerate(plan.calls):
        out.append(chunk({"tool_calls": [{"index": i, "id": call, "type": "function",
                                          "function": {"name": name, "arguments": ""}}]}))
        out += [chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}) for piece in pieces]
    out.append(chunk({}, {"stop": "stop", "tool": "tool_calls", "length": "length"}[plan.finish]))
    if plan.usage and options.get("include_usage"):
        usage = {"prompt_tokens": plan.input, "completion_tokens": plan.output,
                 "total_tokens": plan.input + plan.output, "prompt_tokens_details": {"cached_tokens": 1},
                 "completion_tokens_details": {"reasoning_tokens": plan.reasoning}}
        out.append(sse({**head, "choices": [], "usage": usage}))
    return out + [sse("[DONE]")]


def anthropic_events(plan, model):
    """(name, data) of a stream of Messages."""
    usage = {"input_tokens": plan.input - 1, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0,
             "output_tokens": 1}
    out = [("message_start", {"message": {
        "id": "msg_vendor", "type": "message", "role": "assistant", "model": f"{model}-2026", "content": [],
        "stop_reason": None, "stop_sequence": None, **({"usage": usage} if plan.usage else {})}})]
    index = 0

    def block(start, deltas):
        nonlocal index
        out.append(("content_block_start", {"index": index, "content_block": start}))
        out.extend(("content_block_delta", {"index": index, "delta": delta}) for delta in deltas)
        out.append(("content_block_stop", {"index": index}))
        index += 1
    if plan.thoughts:
        block({"type": "thinking", "thinking": "", "signature": ""},
              [*({"type": "thinking_delta", "thinking": piece} for piece in plan.thoughts),
               {"type": "signature_delta", "signature": "signed"}])
    out.append(("ping", {}))
    if plan.text:
        block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in plan.text])
    for call, name, pieces in plan.calls:
        block({"type": "tool_use", "id": call, "name": name, "input": {}},
              [{"type": "input_json_delta", "partial_json": piece} for piece in pieces])
    reason = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens"}[plan.finish]
    out.append(("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None},
                                  **({"usage": {"output_tokens": plan.output}} if plan.usage else {})}))
    out.append(("message_stop", {}))
    return [(name, {"type": name, **data}) for name, data in out]


def frame(headers, payload):
    """One message of AWS's event streams."""
    packed = b""
    for name, value in headers.items():
        packed += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + packed + payload
    return message + struct.pack("!I", binascii.crc32(message))


def bedrock_frame(data):
    inner = json.dumps({"bytes": base64.b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).decode()})
    return frame({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, inner.encode())


def error_body(kind, code, message):
    if kind == "bedrock":
        return {"message": message}
    if kind == "anthropic":
        names = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 404: "not_found_error",
                 429: "rate_limit_error", 529: "overloaded_error"}
        return {"type": "error", "error": {"type": names.get(code, "api_error"), "message": message},
                "request_id": "req_vendor"}
    return {"error": {"message": message, "type": "scripted", "param": None, "code": None}}


class Faults:
    """How the chunks of an answer are spoilt: [[cut=BYTES]], [[stall=N]], [[broken=N]], [[error=N]] after so many chunks,
    [[slow=SECONDS]] between them, [[keepalive=SECONDS]] of signs of life before them, [[bytewise]]."""

    def __init__(self, said, kind):
        self.said, self.kind = said, kind

    def apply(self, chunks):
        """Changes the chunks; returns them and what comes at their end: None, "cut" or "stall"."""
        said = self.said
        if "broken" in said:
            at = int(said["broken"])
            spoilt = bedrock_frame(b'{"type": "content_blo') if self.kind == "bedrock" else sse('{"choices": [{"ind')
            chunks = [*chunks[:at], spoilt, *chunks[at + 1:]]
        if "error" in said:
            chunks = [*chunks[:int(said["error"])], self._error()]
            return chunks, None
        if "cut" in said:
            whole, count = b"".join(chunks), int(said["cut"])
            return [whole[:count]], "cut"
        if "stall" in said:
            return chunks[:int(said["stall"])], "stall"
        if "bytewise" in said:
            chunks = [bytes([byte]) for byte in b"".join(chunks)]
        return chunks, None

    def _error(self):
        if self.kind == "bedrock":
            return frame({":exception-type": "throttlingException", ":content-type": "application/json",
                          ":message-type": "exception"}, b'{"message": "scripted"}')
        if self.kind == "anthropic":
            return sse(error_body("anthropic", 529, "Overloaded"), "error")
        return sse({"error": {"message": "scripted failure", "type": "server_error", "code": None}})


class ChatVendor(upstream.Vendor):
    """Answers each request by what stands in it. `records` says what became of each."""

    def __init__(self):
        self.records = []
        self.seen = {}
        super().__init__()

    def base_urls(self):
        return {"openai": f"{self.url}/openai/v1", "deepseek": f"{self.url}/deepseek",
                "custom": f"{self.url}/custom/v1", "anthropic": f"{self.url}/anthropic", "bedrock": self.url}

    def take(self):
        with self.lock:
            taken, self.records = self.records, []
        return taken

    def _serve_one(self, connection, file):
        request = upstream.read_request(file)
        if request is None:
            return False
        if request.path == "/log":
            connection.sendall(upstream.response(200, json.dumps(self.take()).encode()))
            return True
        return self._answer(connection, request)

    def _answer(self, connection, request):
        kind = "bedrock" if "/invoke" in request.path else "anthropic" if "/messages" in request.path else "openai"
        asked = Asked(kind, request.json())
        record = {"path": request.path, "headers": request.headers, "body": asked.body, "kind": kind, "chunks": 0,
                  "billed": 0, "complete": False, "left": False}
        with self.lock:
            self.records.append(record)
            times = self.seen[request.body] = self.seen.get(request.body, 0) + 1
        said = asked.directives
        if "once" in said and times > 1:  # the fault is over
            said = {name: value for name, value in said.items()
                    if name not in ("status", "cut", "stall", "broken", "error", "keepalive")}
            asked.directives = said
        if kind == "bedrock" and (why := upstream.sigv4_error(request)):
            connection.sendall(upstream.response(403, json.dumps({"message": why}).encode(),
                                                 {"x_amzn_ErrorType": "InvalidSignatureException"}))
            return True
        if "status" in said:
            code = int(said["status"])
            extra = {"x_amzn_ErrorType": "ThrottlingException"} if kind == "bedrock" and code == 429 else {}
            connection.sendall(upstream.response(code, json.dumps(error_body(kind, code, f"scripted {code}")).encode(),
                                                 extra))
            return True
        if request.path.endswith("/count_tokens"):
            connection.sendall(upstream.response(200, json.dumps({"input_tokens": asked.tokens()}).encode()))
            return True
        return self._stream(connection, asked, record, said)

    def _stream(self, connection, asked, record, said):
        plan = Plan(asked)
        model = asked.body.get("model", "model")
        if asked.kind == "openai":
            chunks = openai_stream(plan, model, asked.body.get("stream_options") or {})
        elif asked.kind == "anthropic":
            chunks = [sse(data, name) for name, data in anthropic_events(plan, model)]
        else:
            chunks = [bedrock_frame(data) for _, data in anthropic_events(plan, model)]
        chunks, end = Faults(said, asked.kind).apply(chunks)
        mime = "application/vnd.amazon.eventstream" if asked.kind == "bedrock" else "text/event-stream; charset=utf-8"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        record["billed"] = plan.input
        try:
            until = time.monotonic() + float(said.get("keepalive", 0))
            while time.monotonic() < until:
                self._send(connection, record, b": keep-alive\n\n", 0.05)
            for chunk in chunks:
                self._send(connection, record, chunk, float(said.get("slow", 0)))
                record["chunks"] += 1
                record["billed"] += 1
            if end == "stall":
                self._wait(connection, record, PATIENCE)
        except OSError:
            record["left"] = True
        if end or record["left"]:
            return False
        connection.sendall(b"0\r\n\r\n")
        record["complete"] = True
        return True

    def _send(self, connection, record, data, seconds):
        connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if seconds:
            self._wait(connection, record, seconds)

    @staticmethod
    def _wait(connection, record, seconds):
        """Sleeps; an OSError when the client leaves meanwhile."""
        readable, _, _ = select.select([connection], [], [], seconds)
        if readable and not connection.recv(1, socket.MSG_PEEK):
            record["left"] = True
            raise OSError("the client has left")


def main():
    vendor = ChatVendor()
    print(vendor.url, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
