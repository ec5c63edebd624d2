"""The load generator (load.cc) from Python."""
import json
import subprocess


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
