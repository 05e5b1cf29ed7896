#!/usr/bin/env python3
"""The quick check of a built tree (make check): the unit tests, in as many processes as there are
processors, and then each command of neon-redo once (test_smoke.py). Takes less than a minute. The
last line is "check: N passed, N failed".
"""

import os
import pathlib
import subprocess
import sys
import tempfile

from run import count_tests, read_report, script

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNIT_TESTS = ROOT / "build" / "tests" / "unit" / "unit_tests"
TIMEOUT = 600  # seconds for either half


def main():
    passed, failed = unit_tests()
    smoke = script("tests/integration/run.py", "-k", "test_smoke.", timeout=TIMEOUT)
    passed, failed = passed + smoke[0], failed + smoke[1]
    print(f"check: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def unit_tests():
    """The unit tests in shards, side by side. A shard without a report counts as one failure."""
    shards = len(os.sched_getaffinity(0))
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        processes = [start_shard(directory, i, shards) for i in range(shards)]
        for i, process in enumerate(processes):
            try:
                output, _ = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                output = process.communicate()[0] + f"no end after {TIMEOUT} s\n"
            tests = read_report(pathlib.Path(directory, f"{i}.json"))
            if tests is None:
                print(f"{output}unit_tests ended with status {process.returncode}, without a report")
                failed += 1
                continue
            if process.returncode != 0:
                print(output)
            good, wrong = count_tests(tests, process.returncode)
            passed, failed = passed + good, failed + wrong
    print(f"unit: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def start_shard(directory, number, shards):
    environment = {"GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(number)}
    return subprocess.Popen(
        [UNIT_TESTS, "--gtest_brief=1", f"--gtest_output=json:{directory}/{number}.json"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


if __name__ == "__main__":
    sys.exit(main())
