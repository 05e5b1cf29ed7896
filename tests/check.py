#!/usr/bin/env python3
"""The quick check of a built tree (make check): the unit tests, in as many processes as there are
processors, and then each command of neon-redo once (test_smoke.py). Takes less than a minute. The
last line is "check: N passed, N failed".
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
UNIT_TESTS = ROOT / "build" / "tests" / "unit" / "unit_tests"
TIMEOUT = 600  # seconds for either half


def main():
    passed, failed = unit_tests()
    smoke = smoke_tests()
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
            try:
                counts = json.loads(pathlib.Path(directory, f"{i}.json").read_text("utf-8"))
            except (OSError, ValueError):
                print(f"{output}unit_tests ended with status {process.returncode}, without a report")
                failed += 1
                continue
            wrong = counts["failures"] + counts.get("errors", 0)
            if process.returncode != 0:
                wrong = max(wrong, 1)
                print(output)
            tests = sum(1 for s in counts["testsuites"] for t in s["testsuite"] if t["status"] == "RUN")
            passed, failed = passed + tests - wrong, failed + wrong
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


def smoke_tests():
    # The runner ends with this process, whatever ends it, so that it can clean up.
    runner = [sys.executable, str(ROOT / "tests" / "integration" / "run.py"), "-k", "test_smoke."]
    result = subprocess.run(
        ["setpriv", "--pdeathsig", "TERM", *runner], stdout=subprocess.PIPE, text=True, check=False
    )
    print(result.stdout, end="", flush=True)
    counts = re.search(r": (\d+) passed, (\d+) failed$", result.stdout.rstrip("\n"))
    if counts is None:
        print(f"run.py ended with status {result.returncode} and without a summary")
        return 0, 1
    passed, failed = int(counts[1]), int(counts[2])
    return passed, failed if result.returncode == 0 else max(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
