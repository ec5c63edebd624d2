#!/usr/bin/env python3
"""What an operator relies on: traces, certificates that are renewed, settings that are read again, a public attack tool.

operations_test.py GARRISON_BINARY [unittest arguments]"""
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

from service import Service

BINARY = ""
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATIENCE = 60


def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Collector(http.server.ThreadingHTTPServer):
    """Takes OpenTelemetry traces as JSON."""

    def __init__(self):
        self.spans, self.requests = [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.requests.append((self.path, dict(self.headers)))
                for resource in body["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        collector.spans += scope["spans"]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1/traces"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def named(self, name):
        return [span for span in self.spans if span["name"] == name]


def attributes(span):
    return {entry["key"]: next(iter(entry["value"].values())) for entry in span["attributes"]}


class Operations(unittest.TestCase):
    def serve(self, *flags, **options):
        service = Service(BINARY, *flags, **options)
        self.addCleanup(service.__exit__)
        return service

    def post(self, service, path, body, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}

    def test_traces_reach_a_collector(self):
        collector = Collector()
        self.addCleanup(collector.server_close)
        self.addCleanup(collector.shutdown)
        secret = "x-api-key=collector-secret"
        service = self.serve(grpc=True, environment={**os.environ, "GARRISON_TRACING_HEADERS": secret},
                             **{"tracing.endpoint": collector.url, "tracing.interval_ms": 50,
                                "tracing.service_name": "shop"})
        parent = f"00-{TRACE}-{CALLER}-01"
        status, headers = self.post(service, "/v1/embeddings", {"input": ["a secret text", "b"]}, traceparent=parent)
        self.assertEqual(status, 200)
        timing = dict(part.strip().split(";dur=") for part in headers["server-timing"].split(","))
        self.assertEqual(set(timing), {"tokenization", "queue", "inference", "total"})
        self.assertGreater(float(timing["total"]), 0)
        self.post(service, "/v1/embeddings", {"input": 7}, traceparent=parent)
        self.post(service, "/v1/embeddings", {"input": "x"}, traceparent=f"00-{TRACE}-{CALLER}-00")
        self.post(service, "/embed", {"inputs": "x"})
        service.get("/health")
        self.assertTrue(eventually(lambda: collector.named("POST /embed")))
        first, bad = collector.named("POST /v1/embeddings")  # not the third, whose caller records nothing
        for span in (first, bad):
            self.assertEqual((span["traceId"], span["parentSpanId"], span["kind"]), (TRACE, CALLER, 2))
            self.assertNotIn("status", span)
            self.assertGreater(int(span["endTimeUnixNano"]), int(span["startTimeUnixNano"]))
            self.assertLess(abs(int(span["endTimeUnixNano"]) / 1e9 - time.time()), 300)
        self.assertNotEqual(first["spanId"], bad["spanId"])
        self.assertEqual(attributes(first)["http.response.status_code"], "200")
        self.assertEqual(attributes(first)["garrison.inputs"], "2")
        self.assertEqual(attributes(first)["garrison.request_id"], headers["x-request-id"])
        self.assertEqual(attributes(bad)["http.response.status_code"], "400")
        own = collector.named("POST /embed")[0]
        self.assertNotIn("parentSpanId", own)
        self.assertNotEqual(own["traceId"], TRACE)
        self.assertNotIn("secret", json.dumps(collector.spans))
        self.assertEqual(collector.requests[0][1]["x-api-key"], "collector-secret")
        self.assertFalse(collector.named("GET /health"))
        self.assertEqual([line["trace_id"] for line in service.access_lines()][:3], [TRACE] * 3)

        with grpc.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
            info = channel.unary_unary("/tei.v1.Info/Info", lambda _: b"", lambda reply: reply)
            info(None, metadata=(("traceparent", parent),), timeout=PATIENCE)
        self.assertTrue(eventually(lambda: collector.named("tei.v1.Info/Info")))
        span = collector.named("tei.v1.Info/Info")[0]
        self.assertEqual((span["traceId"], span["parentSpanId"]), (TRACE, CALLER))
        self.assertEqual(attributes(span)["rpc.method"], "Info")
        # What was not sent yet is sent at the end.
        self.post(service, "/rerank", {"query": "a", "texts": ["b"]})
        self.assertEqual(service.stop(), 0)
        self.assertTrue(collector.named("POST /rerank"))
        config = subprocess.run([BINARY, "config"], capture_output=True, text=True, check=True, timeout=60,
                                env={**os.environ, "GARRISON_TRACING_HEADERS": secret}).stdout
        self.assertNotIn("collector-secret", config)
        self.assertIn('headers = "********"', config)

    def test_a_collector_that_is_not_there_harms_nobody(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        service = self.serve(**{"tracing.endpoint": f"http://127.0.0.1:{port}/v1/traces", "tracing.interval_ms": 1})
        for _ in range(20):
            self.assertEqual(self.post(service, "/v1/embeddings", {"input": "x"})[0], 200)
        self.assertEqual(service.stop(), 0)
        for setting in ("tracing.endpoint=collector", "tracing.headers=x", "tracing.ca_file=/no/such.pem"):
            refused = subprocess.run([BINARY, "serve", "--port", "0", "--set", "tracing.endpoint=http://127.0.0.1:1/",
                                      "--set", setting], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(refused.returncode, 1, setting)

    def make_certificate(self, stem):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "1", "-subj", "/CN=localhost", "-keyout", stem + ".key", "-out", stem + ".crt"],
                       check=True, capture_output=True)

    def test_certificates_are_read_again_on_sighup(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        stem = os.path.join(folder.name, "server")
        self.make_certificate(stem)
        service = self.serve(**{"server.tls_certificate": stem + ".crt", "server.tls_key": stem + ".key"})

        def served():
            return ssl.get_server_certificate(("127.0.0.1", service.port))

        def on_disk():
            return pathlib.Path(stem + ".crt").read_text(encoding="ascii")

        def reload(expected):
            before = service.log_text().count(expected)
            service.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: service.log_text().count(expected) > before))

        def same(certificate):
            return ssl.PEM_cert_to_DER_cert(served()) == ssl.PEM_cert_to_DER_cert(certificate)

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        old = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=PATIENCE, context=context)
        old.request("GET", "/health")
        self.addCleanup(old.close)
        self.assertNotEqual(old.getresponse().read(), b"")
        first = on_disk()
        self.assertTrue(same(first))
        self.make_certificate(stem)
        self.assertFalse(same(on_disk()))
        reload("and access log reloaded")
        self.assertTrue(eventually(lambda: same(on_disk())))
        # A connection that is open stays; files that cannot be read change nothing.
        old.request("GET", "/health")
        self.assertEqual(old.getresponse().status, 200)
        second = on_disk()
        pathlib.Path(stem + ".crt").write_text("half a certif", encoding="ascii")
        reload("not reloaded")
        self.assertTrue(same(second))
        self.assertEqual(service.stop(), 0)

    def test_sighup_says_what_needs_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "garrison.toml")
            pathlib.Path(config).write_text('[log]\nlevel = "info"\n', encoding="ascii")
            service = self.serve("--config", config)
            pathlib.Path(config).write_text('[log]\nlevel = "debug"\n[limits]\nqueue = 7\n', encoding="ascii")
            service.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: "need a restart: limits.queue\n" in service.log_text()))
            self.assertEqual(service.stop(), 0)

    def attack(self, service, *flags):
        """slowhttptest, the tool that is public for it, for three seconds with 200 connections."""
        return subprocess.Popen(["slowhttptest", "-c", "200", "-r", "200", "-l", "3", "-p", "2", *flags,
                                 "-u", f"http://127.0.0.1:{service.port}/v1/embeddings"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @unittest.skipUnless(shutil.which("slowhttptest"), "slowhttptest is not installed")
    def test_a_public_attack_tool(self):
        limits = {"limits.header_ms": 1000, "limits.body_ms": 1000, "limits.write_ms": 1000, "limits.idle_ms": 2000,
                  "limits.connections": 2000, "limits.connections_per_address": 1000}
        for name, flags in (("slow headers", ("-H", "-i", "1")), ("slow bodies", ("-B", "-i", "1", "-s", "8192")),
                            ("ranges", ("-R",)), ("slow reading", ("-X", "-w", "1", "-y", "8", "-n", "1", "-z", "1"))):
            with self.subTest(name):
                service = self.serve(**limits)
                attack = self.attack(service, *flags)
                if name != "ranges":  # which do not wait
                    self.assertTrue(eventually(lambda: service.metric("garrison_connections_open") > 20))
                self.addCleanup(attack.wait)
                while attack.poll() is None:
                    self.assertEqual(self.post(service, "/v1/embeddings", {"input": "x"})[0], 200)
                    time.sleep(0.05)
                # All of them are gone, and nothing of them is left.
                self.assertTrue(eventually(lambda: service.metric("garrison_connections_open") <= 1))
                if not os.environ.get("GARRISON_SANITIZED"):
                    self.assertLess(service.resident_bytes(), 100 << 20)
                self.assertEqual(service.stop(), 0)


if __name__ == "__main__":
    BINARY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
