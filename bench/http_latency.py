#!/usr/bin/python3
"""Latency of POST /check-safety and /v1/embeddings over one keep-alive connection, client and service on
one core, and what the service costs to start and to keep.

    bench/http_latency.py build/garrison [REQUESTS]

The client is this script: its own share is measured with GET /health and printed beside.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

USER = "how do I look after the tomato plants on my balcony when it gets very hot in the middle of july"
MODEL = "water them early in the morning, shade the pots at noon, and mulch the soil so that it stays cool"


def request(path, body=None):
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def exchange(client, message):
    client.sendall(message)
    got = client.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    at = head.find(b"Content-Length: ") + 16
    length = int(head[at:head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
    while len(body) < length:
        body += client.recv(65536)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"unexpected answer: {head!r} {body!r}")


def measure(client, make, count):
    times = []
    for i in range(count + count // 10):
        message = make(i)
        start = time.perf_counter_ns()
        exchange(client, message)
        times.append((time.perf_counter_ns() - start) / 1000)
    times = sorted(times[count // 10:])
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def memory_kib(process):
    status = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    fields = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines()[1:]}
    return fields["Rss"], fields["Private_Dirty"] + fields["Private_Clean"]


def main():
    binary = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        port_file = pathlib.Path(folder) / "port"
        start = time.perf_counter()
        process = subprocess.Popen([binary, "serve", "--port", "0", "--port-file", port_file,
                                    "--set", "log.level=warning", "--set", "cache.memory_bytes=0",
                                    "--set", "limits.conversation_turns=1000000"])
        while not port_file.exists():
            time.sleep(0.0005)
        started = time.perf_counter() - start
        rss, private = memory_kib(process)
        with socket.create_connection(("127.0.0.1", int(port_file.read_text()))) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            health = request("/health")
            embed = request("/v1/embeddings", {"input": USER, "encoding_format": "base64"})
            rows = [("GET /health (client and HTTP alone)", lambda _: health),
                    ("POST /v1/embeddings, 20 words, base64", lambda _: embed),
                    ("POST /check-safety, 2 x 20 words", lambda i: request("/check-safety", {
                        "user_message": USER, "model_message": MODEL, "conversation_id": f"c{i // 20}"}))]
            print(f"{'one core, one connection':<42}{'p50 us':>10}{'p99 us':>10}")
            for name, make in rows:
                p50, p99 = measure(client, make, count)
                print(f"{name:<42}{p50:>10.1f}{p99:>10.1f}")
        print(f"{'start to listening':<42}{started * 1000:>10.1f} ms")
        print(f"{'idle memory: resident / private':<42}{rss / 1024:>10.1f} / {private / 1024:.1f} MiB")
        print(f"{'binary':<42}{pathlib.Path(binary).stat().st_size / 2**20:>10.1f} MiB")
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
