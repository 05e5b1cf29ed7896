#!/usr/bin/env python3
"""Runs the integration tests (test_*.py beside this file): run.py [-k PATTERN] [-v] [-j JOBS].

A module is a process of its own, and as many run at a time as there are processors, at most two:
most of their time servers start, stop and wait. The last line is for tests/run.py to sum up:
"integration: N passed, N failed".
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cluster import exit_on_signals  # noqa: E402  (needs the path above)

# They begin first, so that none of them is left alone at the end.
LONGEST = ["test_receive", "test_walsender_statistics", "test_oracle", "test_worker", "test_native"]


def load(module, patterns):
    loader = unittest.TestLoader()
    if patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in patterns]
    return loader.loadTestsFromName(module)


def run_module(module, arguments):
    runner = unittest.TextTestRunner(verbosity=2 if arguments.verbose else 1)
    result = runner.run(load(module, arguments.patterns))
    failed = len({str(test) for test, _ in result.failures + result.errors})
    failed += len(result.unexpectedSuccesses)
    passed = result.testsRun - failed
    if result.skipped:
        # A test that does not run proves nothing, so it does not count as passed.
        passed -= len(result.skipped)
        failed += len(result.skipped)
    print(f"{module}: {max(passed, 0)} passed, {failed} failed")
    return 0 if failed == 0 else 1


class Running:
    """A module in a process, ended with this one so that it can clean up; output goes to a file."""

    def __init__(self, module):
        self.module = module
        self.began = time.monotonic()
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        command = ["setpriv", "--pdeathsig", "TERM", sys.executable, __file__, *sys.argv[1:]]
        self.process = subprocess.Popen(
            [*command, "--module", module], stdout=self.output, stderr=subprocess.STDOUT
        )

    def finish(self):
        """Prints what it printed; returns how many tests passed and failed."""
        status = self.process.wait()
        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        seconds = time.monotonic() - self.began
        print(f"-- {self.module}, {seconds:.0f} s\n{text}", end="", flush=True)
        counts = re.search(rf"^{self.module}: (\d+) passed, (\d+) failed$", text, re.MULTILINE)
        if counts is None:
            print(f"{self.module} ended with status {status} and without a summary")
            return 0, 1
        return int(counts[1]), int(counts[2]) if status == 0 else max(int(counts[2]), 1)


def run_all(modules, jobs):
    waiting, running = list(modules), []
    passed = failed = 0
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(Running(waiting.pop(0)))
        done = [r for r in running if r.process.poll() is not None]
        for one in done:
            running.remove(one)
            counts = one.finish()
            passed, failed = passed + counts[0], failed + counts[1]
        if not done:
            time.sleep(0.05)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", maxsplit=1)[0])
    parser.add_argument("-k", dest="patterns", action="append", help="only tests with this in the name")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each test")
    parser.add_argument(
        "-j", "--jobs", type=int, default=min(2, len(os.sched_getaffinity(0))), help="modules at a time"
    )
    parser.add_argument("--module", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    exit_on_signals()
    if arguments.module:
        return run_module(arguments.module, arguments)

    modules = sorted(
        (path.stem for path in HERE.glob("test_*.py")),
        key=lambda name: (LONGEST.index(name) if name in LONGEST else len(LONGEST), name),
    )
    modules = [m for m in modules if load(m, arguments.patterns).countTestCases() > 0]
    passed, failed = run_all(modules, arguments.jobs)
    print(f"integration: {passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
