#!/usr/bin/env python3
"""The service under load: throughput against the engine alone, what HTTP adds, idle connections, a soak with
misbehaving clients, and the same load on ONNX Runtime behind Node's HTTP server.

    bench/load/run.py GARRISON LOAD_GENERATOR --model DIR [--soak SECONDS] [--peer] [--write FILE]

Client and service share this machine's processors: what the generator takes is missing to the service, for every
side alike. Prints Markdown; --write replaces FILE.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

from generator import begin_load, end_load, run_load

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests"))
from service import Service  # noqa: E402

# 16 tokens, different in each request.
BODY = '{"input":[[101,' + ",".join(["1@@@"] * 14) + ',102]]}'
PATH = "/v1/embeddings"
CONNECTIONS = 32
IDLE = 20_000  # or what the system allows of open files
# Without the cache: it is the engine that is measured.
MANY = {"limits.connections": 100_000, "limits.connections_per_address": 100_000, "cache.memory_bytes": 0}


def engine_rate(options):
    """Texts of 16 tokens a second, the model alone: one at a time on one thread, and in batches on all."""
    def rate(cell, threads):
        out = subprocess.run([options.garrison, "bench", "--model", options.model, "--dtype", "int8", "--threads", str(threads),
                              "--grid", cell, "--json"], check=True, capture_output=True, text=True).stdout
        got = json.loads(out)[0]
        return got["tokens_per_s"] / 16
    return rate("1x16", 1), rate("64x16", os.cpu_count())


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def measure_floor(options, rate):
    """A round trip to a server that does nothing, under the same arrivals."""
    floor = subprocess.Popen([sys.executable, HERE / "floor.py"], stdout=subprocess.PIPE, text=True)
    try:
        return run_load(options.generator, int(floor.stdout.readline()), "open", BODY, PATH, rate=rate, seconds=10,
                        connections=CONNECTIONS)
    finally:
        floor.kill()
        floor.wait()


def measure_service(options, report):
    alone, batched = engine_rate(options)
    with Service(options.garrison, "--model", options.model, "--dtype", "int8", **MANY) as service:
        run_load(options.generator, service.port, "closed", BODY, PATH, seconds=2, connections=CONNECTIONS)
        full = [run_load(options.generator, service.port, "closed", BODY, PATH, seconds=5, connections=CONNECTIONS)
                for _ in range(options.rounds)]
        saturated = statistics.median(run["per_second"] for run in full)
        engine = statistics.median([batched, engine_rate(options)[1]])
        pathlib.Path(service.access_file).write_text("", encoding="utf-8")
        half = run_load(options.generator, service.port, "open", BODY, PATH, rate=saturated / 2, seconds=10,
                        connections=CONNECTIONS)
        floor = measure_floor(options, saturated / 2)
        lines = [line for line in service.access_lines() if line["status"] == 200]
        model_ms = [line["queue_ms"] + line["inference_ms"] for line in lines]
        passes = service.metric("garrison_pass_sequences_total") / service.metric("garrison_passes_total")
        report += [
            "| | | |", "| --- | --- | --- |",
            f"| engine alone, batches of 64, {os.cpu_count()} threads | {engine:.0f} texts/s | |",
            f"| through HTTP at saturation, {CONNECTIONS} connections | {saturated:.0f} texts/s | "
            f"**{saturated / engine:.0%} of the engine**; {passes:.1f} sequences a pass |",
            f"| latency at saturation | p50 {full[-1]['p50_ms']:.1f}, p99 {full[-1]['p99_ms']:.1f} ms | |",
            f"| at half of that, constant arrival | p50 {half['p50_ms']:.2f}, p99 {half['p99_ms']:.2f}, p99.9 "
            f"{half['p999_ms']:.2f} ms | {half['answered']} answers, {half['lost']} lost |",
            f"| of that in the model (queue and passes) | p50 {percentile(model_ms, .5):.2f}, p99 {percentile(model_ms, .99):.2f} ms | "
            f"beside it each request took **{half['overhead_p50_ms']:.2f} ms** (p50), "
            f"**{half['overhead_p99_ms']:.2f} ms** (p99): client, HTTP, workers |",
            f"| a server that does nothing, same arrivals and sizes | p50 {floor['p50_ms']:.2f}, p99 {floor['p99_ms']:.2f} ms | what a round "
            "trip costs on this machine |",
            f"| one text at a time, one thread, engine alone | {1000 / alone:.2f} ms | |"]
    return saturated


def measure_idle(options, report):
    with Service(options.garrison, "--model", options.model, "--dtype", "int8", **MANY,
                 **{"limits.idle_ms": 3_600_000}) as service:
        before = service.resident_bytes()
        wanted = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 600)
        idle = begin_load(options.generator, service.port, "idle", "", "/health", seconds=120, connections=wanted)
        end = time.monotonic() + 110
        while service.metric("garrison_connections_open") <= wanted and time.monotonic() < end:
            time.sleep(0.2)
        opened = int(service.metric("garrison_connections_open")) - 1
        total = service.resident_bytes()
        good = run_load(options.generator, service.port, "closed", BODY, PATH, seconds=3, connections=8)
        idle.send_signal(signal.SIGKILL)
        idle.communicate()
        report.append(f"| {opened} idle keep-alive connections | {total / 1e6:.0f} MB resident, model included | "
                      f"{(total - before) / max(opened, 1) / 1e3:.1f} kB each; {good['per_second']:.0f} texts/s meanwhile |")


def measure_soak(options, report, rate):
    settings = {"limits.header_ms": 2000, "limits.body_ms": 3000, "limits.write_ms": 3000, **MANY}
    with Service(options.garrison, "--model", options.model, "--dtype", "int8", **settings) as service:
        run_load(options.generator, service.port, "closed", BODY, PATH, seconds=3, connections=CONNECTIONS)
        bad = begin_load(options.generator, service.port, "faults", BODY, PATH, seconds=options.soak, connections=200)
        good = begin_load(options.generator, service.port, "open", BODY, PATH, rate=rate / 4, seconds=options.soak,
                          connections=CONNECTIONS)
        samples = []
        end = time.monotonic() + options.soak
        while time.monotonic() < end:
            time.sleep(min(5, options.soak / 20))
            samples.append(service.resident_bytes() / 1e6)
        harm, well = end_load(bad), end_load(good)
        half = len(samples) // 2
        first, second = statistics.median(samples[:half]), statistics.median(samples[half:])
        time.sleep(4)
        report.append(
            f"| soak of {options.soak:.0f} s, {harm['sent']} requests of misbehaving clients | {well['answered']} well-formed "
            f"requests, {well['answered'] - well['status'].get('200', 0)} failed, {well['lost']} lost | resident {first:.0f} MB in the first half, "
            f"{second:.0f} MB in the second; {service.metric('garrison_connections_open') - 1:.0f} connections left; p99 {well['p99_ms']:.1f} ms |")


def measure_peer(options, report, ours):
    for variant in ("int8", "fp32"):
        peer = subprocess.Popen(["node", HERE.parent / "peers" / "onnxruntime_server.mjs", "--model", options.model,
                                 "--variant", variant], stdout=subprocess.PIPE, text=True)
        try:
            port = int(peer.stdout.readline())
            run_load(options.generator, port, "closed", BODY, PATH, seconds=2, connections=CONNECTIONS)
            full = run_load(options.generator, port, "closed", BODY, PATH, seconds=5, connections=CONNECTIONS)
            half = run_load(options.generator, port, "open", BODY, PATH, rate=full["per_second"] / 2, seconds=5,
                            connections=CONNECTIONS)
            report.append(f"| ONNX Runtime {variant} behind Node's HTTP server | {full['per_second']:.0f} texts/s; at half of that p50 "
                          f"{half['p50_ms']:.2f}, p99 {half['p99_ms']:.2f} ms | Garrison **{ours / full['per_second']:.2f}** times |")
        finally:
            peer.kill()
            peer.wait()


def cpu_name():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    found = re.search(r"model name\s*: (.*)", text)
    return found.group(1) if found else platform.machine()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("garrison")
    parser.add_argument("generator")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=600)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--write")
    options = parser.parse_args()
    report = ["# Load", "", "`make bench-load MODEL=DIR` writes this file; `bench/load/run.py` says how it measures.", "",
              f"- {datetime.date.today()}, {cpu_name()}, {os.cpu_count()} CPUs, Linux {platform.release()}; the load generator runs "
              "on the same CPUs", f"- {pathlib.Path(options.model).name}, int8, texts of 16 tokens, a different one in each request", ""]
    rate = measure_service(options, report)
    measure_idle(options, report)
    if options.peer:
        measure_peer(options, report, rate)
    if options.soak > 0:
        measure_soak(options, report, rate)
    text = "\n".join(report) + "\n"
    sys.stdout.write(text)
    if options.write:
        pathlib.Path(options.write).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
