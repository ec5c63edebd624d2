#!/usr/bin/env python3
"""Who may call what: keys, scopes, rates, browsers, client certificates, addresses that others reach.

access_test.py GARRISON_BINARY [unittest arguments]"""
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import grpc

from service import Service

BINARY = ""
BODY = {"input": "a secret text"}


def run(*arguments, environment=None):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(environment or {})}, check=False)


class Access(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.keys_file = os.path.join(self.folder, "keys.txt")

    def serve(self, *flags, **options):
        service = Service(BINARY, *flags, **options)
        self.addCleanup(service.__exit__)
        self.service = service
        return service

    def new_key(self, name, *flags):
        made = run("keys", "new", name, "--file", self.keys_file, *flags)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        return json.loads(made.stdout)["key"]

    def call(self, path="/v1/embeddings", body=BODY, key=None, method="POST", tls=None, **headers):
        """The status, the headers in lower case and the body."""
        connection = (http.client.HTTPSConnection("localhost", self.service.port, timeout=60, context=tls) if tls else
                      http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60))
        if key:
            headers["Authorization"] = f"Bearer {key}"
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, text

    def reload(self, expected="and access log reloaded"):
        before = self.service.log_text().count(expected)
        self.service.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while self.service.log_text().count(expected) == before and time.monotonic() < end:
            time.sleep(0.01)
        self.assertGreater(self.service.log_text().count(expected), before)

    def status(self, *arguments, **options):
        return self.call(*arguments, **options)[0]

    def test_keys_of_the_file_have_scopes(self):
        site, boss = self.new_key("site", "--scopes", "embed"), self.new_key("boss", "--scopes", "admin")
        self.assertNotIn(site, pathlib.Path(self.keys_file).read_text(encoding="utf-8"))
        self.serve(**{"server.keys_file": self.keys_file})
        status, headers, text = self.call()
        self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"))
        self.assertEqual(json.loads(text)["error"]["code"], "invalid_api_key")
        self.assertEqual(json.loads(text)["error"]["type"], "authentication_error")
        self.assertEqual(self.status(key=site + "x"), 401)
        self.assertEqual(self.status(key=site), 200)
        self.assertEqual(self.status(X_API_Key=site), 200)
        self.assertEqual(self.status("/models/warmup", {}, key=site), 403)
        self.assertEqual(self.status("/models/warmup", {}, key=boss), 200)
        self.assertEqual(self.status(key=boss), 200)
        for path in ("/health", "/ready", "/metrics", "/", "/docs", "/openapi.json"):
            self.assertEqual(self.status(path, None, method="GET"), 200, path)
        # Each dialect says it in its own words.
        self.assertIn("error_type", json.loads(self.call("/embed", {"inputs": "a"})[2]))
        self.assertIn("message", json.loads(self.call("/v1/rerank", {"query": "a", "documents": ["b"]})[2]))
        for path in ("/api/tags", "/v1/models", "/info"):
            self.assertEqual(self.status(path, None, method="GET"), 401, path)

    def test_keys_are_read_again_on_sighup(self):
        first = self.new_key("first")
        service = self.serve(**{"server.keys_file": self.keys_file})
        second = self.new_key("second")
        self.assertEqual((self.status(key=first), self.status(key=second)), (200, 401))
        lines = pathlib.Path(self.keys_file).read_text(encoding="utf-8").splitlines()

        def reload(text, expected):
            pathlib.Path(self.keys_file).write_text(text, encoding="utf-8")
            self.reload(expected)

        reload(lines[1] + "\n", "and access log reloaded")
        self.assertEqual((self.status(key=first), self.status(key=second)), (401, 200))
        # What cannot be read changes nothing.
        reload("nonsense\n", "not reloaded")
        reload("", "not reloaded")
        self.assertEqual((self.status(key=first), self.status(key=second)), (401, 200))
        self.assertEqual(service.stop(), 0)

    def test_keys_of_settings(self):
        environment = {**os.environ, "GARRISON_SERVER_API_KEY": "k" * 20, "GARRISON_SERVER_ADMIN_KEY": "a" * 20}
        self.serve(environment=environment)
        self.assertEqual([self.status(key=key) for key in (None, "k" * 20, "a" * 20)], [401, 200, 200])
        self.assertEqual([self.status("/models/warmup", {}, key=key) for key in ("k" * 20, "a" * 20)], [403, 200])
        config = run("config", environment=environment)
        self.assertNotIn("k" * 20, config.stdout)
        short = run("serve", "--port", "0", environment={"GARRISON_SERVER_API_KEY": "short"})
        self.assertEqual(short.returncode, 1)
        self.assertIn("at least 16 characters", short.stderr)

    def test_rates_of_a_key(self):
        slow = self.new_key("slow", "--requests-per-minute", "3")
        reader = self.new_key("reader", "--tokens-per-minute", "10")
        self.serve(**{"server.keys_file": self.keys_file})
        self.assertEqual([self.status(key=slow) for _ in range(3)], [200, 200, 200])
        status, headers, text = self.call(key=slow)
        self.assertEqual((status, json.loads(text)["error"]["code"]), (429, "rate_limit_exceeded"))
        self.assertGreaterEqual(int(headers["retry-after"]), 10)
        self.assertEqual(self.status(key=reader, body={"input": ["many words to read " * 5]}), 200)
        self.assertEqual(self.status(key=reader), 429)
        for path, body in (("/check-safety", {"user_message": "many words " * 9, "model_message": "to read"}),
                           ("/v1/moderations", {"input": ["many words " * 9]})):
            key = self.new_key(path.strip("/").replace("/", "-"), "--tokens-per-minute", "10")
            self.reload()
            self.assertEqual((self.status(path, body, key=key), self.status(path, body, key=key)), (200, 429), path)

    def test_pages_of_others_may_not_use_it(self):
        self.serve()
        port = self.service.port
        for headers in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"},
                        {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}):
            self.assertEqual(self.status(**headers), 403, headers)
        self.assertEqual(self.status(Origin=f"http://127.0.0.1:{port}"), 200)
        self.assertEqual(self.status("/v1/models", None, method="GET", Host="evil.example"), 403)
        self.assertEqual(self.status("/v1/embeddings", None, method="OPTIONS", Origin="https://evil.example",
                                     Access_Control_Request_Method="POST"), 403)

    def test_cors_lets_a_browser_send_its_key(self):
        key = self.new_key("page")
        origin = "https://app.example"
        self.serve(**{"server.keys_file": self.keys_file, "server.cors_origins": origin})
        status, headers, text = self.call(
            "/v1/embeddings", None, method="OPTIONS", Origin=origin, Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization,content-type")
        self.assertEqual((status, text), (204, ""))
        self.assertNotIn("content-length", headers)
        self.assertEqual(headers["access-control-allow-origin"], origin)
        self.assertIn("authorization", headers["access-control-allow-headers"])
        self.assertIn("POST", headers["access-control-allow-methods"])
        status, headers, _ = self.call(key=key, Origin=origin)
        self.assertEqual((status, headers["access-control-allow-origin"], headers["vary"]), (200, origin, "Origin"))
        self.assertIn("X-Request-ID", headers["access-control-expose-headers"])
        self.assertEqual(self.call(Origin=origin)[0], 401)
        self.assertEqual(self.call(Origin=origin)[1]["access-control-allow-origin"], origin)

    def test_an_address_that_others_reach_wants_keys_and_tls(self):
        self.new_key("site")
        certificate = self.make_certificate("server")
        tls = [f"server.tls_certificate={certificate}.crt", f"server.tls_key={certificate}.key"]
        keys = f"server.keys_file={self.keys_file}"
        for sets, what in (([], "neither API keys nor TLS"), ([keys], "no TLS"), (tls, "no API keys")):
            refused = run("serve", "--port", "0", "--bind", "0.0.0.0", *(p for s in sets for p in ("--set", s)))
            self.assertEqual(refused.returncode, 1)
            self.assertIn(what, refused.stderr)
        open_one = self.serve("--bind", "0.0.0.0", **{"server.insecure_bind": "allow"})
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status("/models/warmup", {}), 403)  # off where others come in
        self.assertEqual(open_one.stop(), 0)
        self.serve("--bind", "0.0.0.0", **{"server.insecure_bind": "allow", "server.admin_routes": "on"})
        self.assertEqual(self.status("/models/warmup", {}), 200)

    def make_certificate(self, name, issuer=None):
        """PATH of .crt and .key; signed by `issuer`, or by itself."""
        stem = os.path.join(self.folder, name)
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-keyout", stem + ".key", "-out", stem + ".crt", *subject,
                        *(["-CA", issuer + ".crt", "-CAkey", issuer + ".key"] if issuer else [])],
                       check=True, capture_output=True)
        return stem

    def test_client_certificates(self):
        server, authority = self.make_certificate("server"), self.make_certificate("authority")
        client, stranger = self.make_certificate("client", authority), self.make_certificate("stranger")
        self.serve(grpc=True, **{"server.tls_certificate": server + ".crt", "server.tls_key": server + ".key",
                                 "server.tls_client_ca": authority + ".crt"})

        def context(certificate):
            made = ssl.create_default_context(cafile=server + ".crt")
            if certificate:
                made.load_cert_chain(certificate + ".crt", certificate + ".key")
            return made

        self.assertEqual(self.status(tls=context(client)), 200)
        for certificate in (None, stranger):
            with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                self.call(tls=context(certificate))

        def info(certificate):
            read = lambda path: pathlib.Path(path).read_bytes()  # noqa: E731
            pair = (read(certificate + ".key"), read(certificate + ".crt")) if certificate else (None, None)
            credentials = grpc.ssl_channel_credentials(read(server + ".crt"), *pair)
            with grpc.secure_channel(f"localhost:{self.service.grpc_port}", credentials) as channel:
                return channel.unary_unary("/tei.v1.Info/Info")(b"", timeout=20)

        self.assertIn(b"lexical", info(client))
        with self.assertRaises(grpc.RpcError):
            info(None)

    def test_grpc_takes_the_same_keys(self):
        key = self.new_key("site", "--requests-per-minute", "2")
        self.serve(grpc=True, **{"server.keys_file": self.keys_file})
        with grpc.insecure_channel(f"127.0.0.1:{self.service.grpc_port}") as channel:
            info = channel.unary_unary("/tei.v1.Info/Info")

            def code(*metadata):
                with self.assertRaises(grpc.RpcError) as raised:
                    info(b"", metadata=metadata, timeout=20)
                return raised.exception.code()

            self.assertEqual(code(), grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(code(("authorization", "Bearer nope")), grpc.StatusCode.UNAUTHENTICATED)
            for _ in range(2):
                info(b"", metadata=(("authorization", f"Bearer {key}"),), timeout=20)
            self.assertEqual(code(("authorization", f"Bearer {key}")), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_the_access_log_has_no_texts(self):
        key = self.new_key("site")
        service = self.serve(**{"server.keys_file": self.keys_file})
        self.call(key=key, X_Request_ID="mine")
        self.call("/nowhere?q=a+secret", None, method="GET")
        self.call(body={"input": 3}, key=key)
        self.call()
        lines = service.access_lines()
        self.assertEqual([(line["status"], line["path"], line["key"]) for line in lines],
                         [(200, "/v1/embeddings", "site"), (404, "/nowhere", ""), (400, "/v1/embeddings", "site"),
                          (401, "/v1/embeddings", "")])
        first = lines[0]
        self.assertEqual((first["id"], first["remote"], first["method"], first["dialect"], first["inputs"]),
                         ("mine", "127.0.0.1", "POST", "openai", 1))
        self.assertGreater(first["tokens"], 0)
        self.assertGreaterEqual(first["total_ms"], first["inference_ms"])
        text = pathlib.Path(service.access_file).read_text(encoding="utf-8") + service.log_text()
        self.assertNotIn("secret", text)
        self.assertNotIn(key, text)
        os.rename(service.access_file, service.access_file + ".1")
        service.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while "reloaded" not in service.log_text() and time.monotonic() < end:
            time.sleep(0.01)
        self.call(key=key)
        self.assertEqual(len(service.access_lines()), 1)

    def test_keys_that_are_no_keys(self):
        for text in ("", "site embed\n", "site embed " + "0" * 63 + "\n", "site fly " + "0" * 64 + "\n"):
            pathlib.Path(self.keys_file).write_text(text, encoding="utf-8")
            refused = run("serve", "--port", "0", "--set", f"server.keys_file={self.keys_file}")
            self.assertEqual(refused.returncode, 1, text)
            self.assertIn("keys.txt", refused.stderr)
        self.assertEqual(run("keys", "new", "a b").returncode, 2)
        self.assertEqual(run("keys", "new", "a", "--scopes", "all").returncode, 2)
        os.remove(self.keys_file)
        self.new_key("twice")
        again = run("keys", "new", "twice", "--file", self.keys_file)
        self.assertEqual(again.returncode, 1)
        self.assertIn("keys.txt:2", again.stderr)
        self.assertEqual(len(pathlib.Path(self.keys_file).read_text(encoding="utf-8").splitlines()), 1)


if __name__ == "__main__":
    BINARY = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
