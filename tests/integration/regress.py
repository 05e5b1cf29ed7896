#!/usr/bin/env python3
"""Runs pg_regress (make installcheck) against throw-away servers that have the extension installed:
one that loads the module when it is asked for it, and one that preloads it.

The last line is for tests/run.py to sum up: "pg_regress: N passed, N failed".
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from cluster import Cluster, exit_on_signals, module_make, private_server


TIMEOUT = 600  # seconds for the tests on one server


def main():
    exit_on_signals()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        os.chmod(directory, 0o755)
        bindir = private_server(directory)
        for libraries in ("", "neon"):
            print(f"shared_preload_libraries = '{libraries}'", flush=True)
            output = os.path.join(directory, f"output{libraries}")
            os.mkdir(output)
            counts = installcheck(bindir, output, {"shared_preload_libraries": libraries})
            passed, failed = passed + counts[0], failed + counts[1]
    print(f"pg_regress: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def installcheck(bindir, directory, settings):
    """Runs the tests on a server with these settings; returns how many passed and failed."""
    with Cluster(bindir=bindir, settings=settings) as cluster:
        environment = cluster.environment()
        environment.pop("MAKEFLAGS", None)
        result = subprocess.run(
            [*map(str, module_make()), "installcheck", f"EXTRA_REGRESS_OPTS=--outputdir={directory}"],
            env={**environment, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    print(result.stdout, end="")
    diffs = pathlib.Path(directory, "regression.diffs")
    if diffs.exists():
        print(diffs.read_text("utf-8"))
    passed, failed = count(result.stdout)
    return passed, max(failed, 1) if result.returncode != 0 else failed


def count(output):
    """Passed and failed tests, from pg_regress's list: "test NAME ... ok", and since 16 "ok N - NAME"."""
    verdicts = re.findall(r"^test \S+\s+\.\.\. (ok|FAILED)", output, re.MULTILINE)
    verdicts += re.findall(r"^(ok|not ok) \d+\s+[-+]", output, re.MULTILINE)
    return verdicts.count("ok"), len(verdicts) - verdicts.count("ok")


if __name__ == "__main__":
    sys.exit(main())
