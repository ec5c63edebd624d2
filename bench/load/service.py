"""`garrison serve` and the load generator as Python objects; shared by run.py and the tests."""
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request

PATIENCE = 120


class Service:
    """A running service; `flags` go to `garrison serve`, `settings` become --set flags."""

    def __init__(self, binary, *flags, environment=None, **settings):
        self.folder = tempfile.TemporaryDirectory()
        port_file = os.path.join(self.folder.name, "port")
        self.access_file = os.path.join(self.folder.name, "access.jsonl")
        self.log = open(os.path.join(self.folder.name, "log"), "a+", encoding="utf-8")
        settings = {"log.access_file": self.access_file, **settings}
        sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        self.process = subprocess.Popen([binary, "serve", "--port", "0", "--port-file", port_file, *sets, *flags],
                                        stderr=self.log, env=environment)
        end = time.monotonic() + PATIENCE
        while not (os.path.exists(port_file) and os.path.getsize(port_file)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the service did not start: {self.log_text()}")
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as file:
            self.port = int(file.read())

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

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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


def begin_load(generator, port, mode, body="", path="/health", header=None, **numbers):
    """Starts the generator; end_load() waits for it."""
    flags = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    if header:
        flags += ["--header", header]
    return subprocess.Popen([generator, "--mode", mode, "--port", str(port), "--path", path, "--body", body, *flags],
                            stdout=subprocess.PIPE, text=True)


def end_load(load):
    out, _ = load.communicate(timeout=3600)
    if load.returncode != 0:
        raise RuntimeError("the load generator failed")
    return json.loads(out)


def run_load(*arguments, **options):
    return end_load(begin_load(*arguments, **options))
