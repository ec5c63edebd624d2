"""`garrison serve` as a Python object, for the tests and bench/load."""
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request

PATIENCE = 120


class Service:
    """A running service; `flags` go to `garrison serve`, `settings` become --set flags. With `grpc` it has a
    grpc_port too; `port` 0 takes a free one."""

    def __init__(self, binary, *flags, grpc=False, environment=None, port=0, **settings):
        self.folder = tempfile.TemporaryDirectory()
        port_file, grpc_port_file = (os.path.join(self.folder.name, name) for name in ("port", "grpc-port"))
        self.access_file = os.path.join(self.folder.name, "access.jsonl")
        self.log = open(os.path.join(self.folder.name, "log"), "a+", encoding="utf-8")
        settings = {"log.access_file": self.access_file, **settings}
        if grpc:
            flags += ("--grpc-port", "0", "--grpc-port-file", grpc_port_file)
        sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        self.process = subprocess.Popen([binary, "serve", "--port", str(port), "--port-file", port_file, *sets, *flags],
                                        stderr=self.log, env=environment)
        end = time.monotonic() + PATIENCE
        while not (os.path.exists(port_file) and os.path.getsize(port_file)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the service did not start: {self.log_text()}")
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as file:
            self.port = int(file.read())
        if grpc:  # written before the other one
            with open(grpc_port_file, encoding="utf-8") as file:
                self.grpc_port = int(file.read())

    def log_text(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as reply:
            return reply.read().decode()

    def metric(self, name):
        """The sum of a metric over its labels."""
        values = [float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics").splitlines()
                  if line.startswith((name + " ", name + "{"))]
        return sum(values)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    def access_lines(self):
        with open(self.access_file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def stop(self):
        """Drains; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.log.close()
        self.folder.cleanup()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self.log.closed:
            self.log.close()
            self.folder.cleanup()
