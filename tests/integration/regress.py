#!/usr/bin/env python3
"""Runs pg_regress (make installcheck) against a throw-away server that has the extension installed.

The last line is for tests/run.py to sum up: "pg_regress: N passed, N failed".
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from cluster import ROOT, Cluster, exit_on_signals, private_server


def main():
    exit_on_signals()
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        os.chmod(directory, 0o755)
        with Cluster(bindir=private_server(directory)) as cluster:
            options = f"EXTRA_REGRESS_OPTS=--outputdir={directory}"
            environment = cluster.environment()
            environment.pop("MAKEFLAGS", None)
            result = subprocess.run(
                ["make", "-C", str(ROOT), "installcheck", options],
                env={**environment, "LC_ALL": "C"},
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        print(result.stdout, end="")
        diffs = pathlib.Path(directory, "regression.diffs")
        if diffs.exists():
            print(diffs.read_text("utf-8"))
    passed, failed = count(result.stdout)
    if result.returncode != 0:
        failed = max(failed, 1)
    print(f"pg_regress: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def count(output):
    """Passed and failed tests, from pg_regress's list: "test NAME ... ok"."""
    verdicts = re.findall(r"^test \S+\s+\.\.\. (ok|FAILED)", output, re.MULTILINE)
    return verdicts.count("ok"), verdicts.count("FAILED")


if __name__ == "__main__":
    sys.exit(main())
