#!/usr/bin/env python3
"""The long form of the redo manager's tests (make test-manager-long). It runs the unit tests under
ThreadSanitizer, and 100,000 requests while stand-in and real workers are killed and stopped."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TSAN = ROOT / "build-tsan"
UNIT_TESTS = "tests/unit/unit_tests"
CHAOS = {**os.environ, "NEON_REDO_CHAOS_REQUESTS": "100000"}


def run(*command, **options):
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], cwd=ROOT, check=True, **options)


def main():
    if not (TSAN / "build.ninja").exists():
        options = ["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"]
        options.append(f"-Dpg_config={os.environ.get('PG_CONFIG', 'pg_config')}")
        run("meson", "setup", TSAN, *options)
    run("ninja", "-C", TSAN, UNIT_TESTS, "tests/unit/manager_worker")
    run(TSAN / UNIT_TESTS, "--gtest_filter=Manager*:Capture*")
    run(ROOT / "build" / UNIT_TESTS, "--gtest_filter=*Chaos*", env=CHAOS)
    run("tests/integration/run.py", "-v", "-k", "test_manager.RealWorkers.test_chaos", env=CHAOS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
