#!/usr/bin/env python3
"""Is this tree faster or slower than another revision? Both binaries in turns, by ratio.

    bench/diff.py BASE build/garrison [--model DIR] [--dtype D] [--threads N] [--cells 1x16,32x128]
                  [--rounds 7] [--patience 60]

Builds BASE in a temporary worktree with the release preset. Prints base's time over ours per cell:
above 1 this tree is faster. Exit code 1 when some cell was below 1/1.05 in every round, 2
when nothing could be compared.
Without --model: the figures of plain `garrison bench`.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SLOWER = 1 / 1.05
IDLE = 0.05  # the share of the machine that others may take
ROOT = pathlib.Path(__file__).resolve().parent.parent


def busy_s():
    """CPU time that everything on this machine has taken, stolen time too."""
    fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").split("\n", maxsplit=1)[0]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_s():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Others:
    """The share of the machine that other processes took since the start."""

    def __init__(self):
        self.at, self.busy, self.own = time.monotonic(), busy_s(), own_s()

    def share(self):
        others = busy_s() - self.busy - (own_s() - self.own)
        return max(0, others / (time.monotonic() - self.at) / os.cpu_count())


def wait_for_idle(patience):
    end = time.monotonic() + patience
    while True:
        others = Others()
        time.sleep(1)
        if others.share() <= IDLE:
            return True
        if time.monotonic() > end:
            return False


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


def build(base, tree):
    """The binary of `base`, built in the worktree `tree`."""
    run("git", "worktree", "add", "--quiet", "--detach", tree, base, cwd=ROOT)
    # Paths relative to the worktree, so that ccache knows the files again in the next one.
    env = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    run("cmake", "--preset", "release", "--log-level=WARNING", cwd=tree, env=env)
    run("cmake", "--build", "build/release", "--target", "garrison", "-j", os.cpu_count(), cwd=tree,
        env=env)
    return tree / "build" / "garrison"


def measure(binary, options):
    """{cell or name: median in us}"""
    command = [binary, "bench", "--json"]
    if options.model:
        command += ["--model", options.model, "--dtype", options.dtype,
                    "--threads", str(options.threads), "--grid", options.cells]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return {row.get("name") or row.get("cell") or f"{row['batch']}x{row['seq']}": row["median_us"]
            for row in json.loads(found.stdout)}


def compare(base, now, options):
    """{cell: [(base us, now us) per round]}; says which rounds others disturbed."""
    if not wait_for_idle(options.patience):
        print(f"not idle after {options.patience} s: measuring all the same", file=sys.stderr)
    times, disturbed = {}, 0
    for i in range(options.rounds):
        others = Others()
        found = {}
        for binary in (base, now) if i % 2 == 0 else (now, base):
            found[binary] = measure(binary, options)
        for cell in found[base].keys() & found[now].keys():
            times.setdefault(cell, []).append((found[base][cell], found[now][cell]))
        share = others.share()
        disturbed += share > IDLE
        print(f"round {i + 1} of {options.rounds}: others took {100 * share:.0f} % of the machine",
              file=sys.stderr)
    if disturbed:
        print(f"the machine was not idle in {disturbed} of {options.rounds} rounds")
    return times


def report(times):
    """Prints a line per cell; true when one of them is slower beyond doubt."""
    print(f"{'':<46}{'base us':>12}{'now us':>12}{'base/now':>10}  spread")
    slower = False
    for cell, pairs in sorted(times.items()):
        ratios = sorted(base / now for base, now in pairs)
        base, now = (statistics.median(side) for side in zip(*pairs))
        worse = ratios[-1] < SLOWER
        slower |= worse
        print(f"{cell:<46}{base:>12.2f}{now:>12.2f}{statistics.median(ratios):>10.3f}"
              f"  {ratios[0]:.3f}-{ratios[-1]:.3f}{'  SLOWER' if worse else ''}")
    return slower


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--model")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cells", default="1x16,1x128,32x32,32x128")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for idleness")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the worktree goes, too
    folder = pathlib.Path(tempfile.mkdtemp(prefix="garrison-diff-"))
    try:
        now = folder / "now"  # a copy: the tree may be built again meanwhile
        shutil.copy2(options.binary, now)
        times = compare(build(options.base, folder / "base"), now, options)
        sys.exit(1 if report(times) else 0)
    except subprocess.CalledProcessError as error:
        print(f"failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        sys.exit(2)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder / "base"], cwd=ROOT,
                       check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=False)


if __name__ == "__main__":
    main()
