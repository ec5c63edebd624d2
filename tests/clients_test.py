#!/usr/bin/env python3
"""Makes small models and runs tests/node against the service with them.

clients_test.py GARRISON_BINARY TEST.mjs; 77 where node or its packages are not installed"""
import os
import shutil
import subprocess
import sys
import tempfile

from model_fixtures import make_models

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    binary, script = sys.argv[1:]
    if shutil.which("node") is None or not os.path.isdir(os.path.join(HERE, "node", "node_modules")):
        print("skipped: needs node and `npm ci` in tests/node; scripts/bootstrap test installs both")
        return 77
    root = tempfile.mkdtemp()
    try:
        make_models(os.path.join(root, "models"))
        return subprocess.run(["node", os.path.join(HERE, "node", script), binary, os.path.join(root, "models")],
                              check=False).returncode
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
