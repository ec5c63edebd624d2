#!/usr/bin/env python3
"""Paid calls through HTTP: a service that asks another one for every text, at a price, beside that other one alone.

    bench/ledger/paid_load.py GARRISON LOAD_GENERATOR [--seconds N]

Client, service and vendor share this machine's processors, and the ledger is an SQLite file on its disk: every call
waits for two commits. Prints Markdown."""
import argparse
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "load"), str(HERE.parent.parent / "tests")]
from generator import run_load  # noqa: E402
from service import Service  # noqa: E402

RATES = (500, 1000, 2000)
CONNECTIONS = 64
BODY = '{"input":"1@@@ some words"}'  # another text each time
OPEN = {"limits.connections": 10_000, "limits.connections_per_address": 10_000, "limits.queue": 10_000,
        "cache.memory_bytes": 0, "log.access_file": ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("garrison")
    parser.add_argument("generator")
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    # Beside the binary, not in memory: /tmp may be.
    with tempfile.TemporaryDirectory(dir=pathlib.Path(options.garrison).parent) as folder, \
            Service(options.garrison, **OPEN) as vendor:
        paid = {"embeddings.provider": "custom", "custom.base_url": f"http://127.0.0.1:{vendor.port}/v1",
                "custom.model": "builtin:lexical", "custom.usd_per_million_tokens": 1, "budget.file": f"{folder}/ledger.db",
                "budget.month_usd": 100_000, "budget.day_usd": 100_000, "budget.hour_usd": 100_000,
                "upstream.concurrency": CONNECTIONS, "server.workers": CONNECTIONS}
        with Service(options.garrison, **OPEN, **paid) as service:
            print("| calls a second | | answered | p50 | p99 |\n|---|---|---|---|---|")
            for rate in RATES:
                for name, side in (("the vendor alone", vendor), ("paid, through the ledger", service)):
                    got = run_load(options.generator, side.port, "open", BODY, "/v1/embeddings", rate=rate,
                                   seconds=options.seconds, connections=CONNECTIONS)
                    good = got["status"].get("200", 0)
                    print(f"| {rate} | {name} | {good} of {rate * options.seconds} | {got['p50_ms']:.2f} ms | "
                          f"{got['p99_ms']:.2f} ms |", flush=True)
            refused, failed = (service.metric(name) for name in ("garrison_budget_refused", "garrison_ledger_failures"))
            print(f"\n{refused:.0f} calls refused, the ledger failed {failed:.0f} times.")


if __name__ == "__main__":
    main()
