"""The real binary, as its users run it: processes, signals, TLS, pipes.

    end_to_end_test.py build/garrison
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from service import Service

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/garrison").resolve())
PATIENCE = 60  # seconds before a hang counts as a failure


def run(*arguments, text=None, env=None, cwd=None):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GARRISON_")} | (env or {})
    return subprocess.run([BINARY, *arguments], input=text, capture_output=True, text=True,
                          env=environment, cwd=cwd, timeout=PATIENCE, check=False)


def post(port, path, body, scheme="http", context=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class CommandLine(unittest.TestCase):
    def test_exit_codes(self):
        self.assertEqual(run("version").returncode, 0)
        self.assertEqual(run("no-such-verb").returncode, 2)
        self.assertEqual(run("guard", "check", "/no/such/file").returncode, 1)

    def test_answers_on_stdout_everything_else_on_stderr(self):
        done = run("embed", "--input", "-", text='{"text":"hello"}\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(json.loads(done.stdout)["embedding"]), 384)
        failed = run("embed", "--input", "-", text='{"text":5}\n')
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("line 1", failed.stderr)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            process = subprocess.run([BINARY, "embed", "hello"], stdout=full, stderr=subprocess.PIPE,
                                     check=False, timeout=PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"standard output", process.stderr)

    def test_a_reader_that_leaves_ends_the_run_quietly(self):
        process = subprocess.Popen([BINARY, "embed", "--input", "-", "--input-format", "text"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"a line\n" * 100_000)
            process.stdin.close()
        self.assertEqual(process.wait(timeout=PATIENCE), 1)
        process.stderr.close()

    def test_configuration_layers(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "garrison.toml").write_text("[limits]\nqueue = 7\nidle_ms = 8\n")
            printed = run("config", "--set", "limits.header_ms=9", cwd=folder,
                          env={"GARRISON_LIMITS_IDLE_MS": "10"})
            for line in ("queue = 7  # garrison.toml:2", "idle_ms = 10  # environment",
                         "header_ms = 9  # flag", "connections = 1024  # default"):
                self.assertIn(line, printed.stdout)
            # What is printed is itself a configuration file.
            (pathlib.Path(folder) / "garrison.toml").write_text(printed.stdout)
            again = run("config", cwd=folder)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn("header_ms = 9", again.stdout)

    def test_bash_completion_completes(self):
        script = run("completion", "bash").stdout + (
            '\nCOMP_WORDS=(garrison guard rep); COMP_CWORD=2; _garrison; echo "${COMPREPLY[*]}"'
            '\nCOMP_WORDS=(garrison embed --dt); COMP_CWORD=2; _garrison; echo "${COMPREPLY[*]}"')
        script += ('\nCOMP_WORDS=(garrison --set a=b guard check file.json --for); COMP_CWORD=6; _garrison; '
                   'echo "${COMPREPLY[*]}"')
        done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split("\n")[:2], ["replay", "--dtype"])
        self.assertEqual(done.stdout.split("\n")[2], "--format")

    def test_no_colour_unless_on_a_terminal(self):
        table = run("guard", "check", str(ROOT / "examples/eroding_conversation.json")).stdout
        self.assertNotIn("\x1b", table)
        self.assertIn("R_model", table)

    def test_forced_instruction_set(self):
        wrong = run("serve", "--port", "0", env={"GARRISON_ISA": "sse9"})
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("GARRISON_ISA", wrong.stderr)


class Demo(unittest.TestCase):
    def test_demo_succeeds_and_stops_its_service(self):
        done = subprocess.run([ROOT / "scripts/demo", BINARY], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("cosine", "safe_conversation.json", "eroding_conversation.json", "#####", "curl"):
            self.assertIn(text, done.stdout)


class Serving(unittest.TestCase):
    def test_errors_of_the_api(self):
        with Service(BINARY) as server:
            status, body = post(server.port, "/v1/embeddings", b'{"input": ')
            self.assertEqual(status, 400)
            self.assertEqual(set(body["error"]), {"message", "type", "param", "code"})
            self.assertEqual(post(server.port, "/v1/embeddings", {"input": "x", "model": "gpt"})[0], 404)
            self.assertEqual(post(server.port, "/v1/embeddings", b"[" * 100_000)[0], 400)
            self.assertEqual(post(server.port, "/v1/embeddings", b"x" * 9_000_000)[0], 413)
            self.assertEqual(post(server.port, "/v1/embeddings", {"input": "still well"})[0], 200)

    def test_sigterm_under_load_drains(self):
        with Service(BINARY) as server:
            answers = {"good": 0, "bad": 0}
            body = json.dumps({"user_message": "hello there", "model_message": "hi"}).encode()
            message = (b"POST /check-safety HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)) + body

            def ask():
                while True:
                    try:
                        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
                            stream = client.makefile("rb")
                            while True:
                                client.sendall(message)
                                if not self.read_answer(stream, answers):
                                    break
                    except OSError:
                        return

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            while answers["good"] < 200:
                time.sleep(0.001)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
            log = server.log_text()
            for thread in threads:
                thread.join(PATIENCE)
            self.assertEqual(server.process.returncode, 0, log)
            self.assertEqual(answers["bad"], 0)
            self.assertIn("stopped", log)
            self.assertNotIn("cut off", log)

    @staticmethod
    def read_answer(stream, answers):
        """False when the connection ended before an answer began; an answer that is cut is bad."""
        line = stream.readline()
        if not line:
            return False
        length = 0
        while (header := stream.readline()) not in (b"\r\n", b""):
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        body = stream.read(length)
        whole = line.startswith(b"HTTP/1.1 200") and len(body) == length and json.loads(body)
        answers["good" if whole else "bad"] += 1
        return True

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                           check=True, capture_output=True)
            with Service(BINARY, "--set", f"server.tls_certificate={certificate}",
                         "--set", f"server.tls_key={key}") as server:
                context = ssl.create_default_context(cafile=certificate)
                status, body = post(server.port, "/v1/embeddings", {"input": "x"}, "https", context)
                self.assertEqual((status, body["object"]), (200, "list"))
                old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                old.load_verify_locations(certificate)
                old.maximum_version = ssl.TLSVersion.TLSv1_1
                with self.assertRaises((ssl.SSLError, OSError, urllib.error.URLError)):
                    post(server.port, "/v1/embeddings", {"input": "x"}, "https", old)
                # Plain HTTP to a TLS port ends the connection, and the service lives on.
                with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain:
                    plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertNotIn(b"HTTP/1.1 200", plain.makefile("rb").read())
                self.assertEqual(post(server.port, "/v1/embeddings", {"input": "x"}, "https", context)[0], 200)

    def test_a_second_signal_ends_the_drain(self):
        with Service(BINARY) as server:
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
                client.sendall(b"POST /check-safety HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                               b"Expect: 100-continue\r\n\r\n")
                self.assertIn(b"100 Continue", client.recv(1000))
                server.process.send_signal(signal.SIGTERM)
                while "stopping" not in server.log_text():
                    time.sleep(0.001)
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(20)  # limits.drain_ms is 30 s
                log = server.log_text()
                self.assertEqual(server.process.returncode, 0)
                self.assertIn("1 requests were cut off", log)

    def test_a_taken_port_is_a_clear_error(self):
        with Service(BINARY) as server:
            second = run("serve", "--port", str(server.port))
            self.assertEqual(second.returncode, 1)
            self.assertIn("server.port", second.stderr)

    def test_no_text_of_users_in_the_log(self):
        with Service(BINARY, "--set", "log.level=debug") as server:
            post(server.port, "/check-safety", {"user_message": "my-secret-words", "model_message": "ok"})
            post(server.port, "/v1/embeddings", {"input": "my-secret-words", "model": "my-secret-words"})
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
            self.assertNotIn("my-secret-words", server.log_text())


if __name__ == "__main__":
    unittest.main()
