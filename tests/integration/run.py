#!/usr/bin/env python3
"""Runs the integration tests (test_*.py beside this file): run.py [-k PATTERN] [-v] [-j JOBS].

A module is a process of its own, and as many run at a time as there are processors, at most two:
most of their time servers start, stop and wait. A test that takes longer than its limit fails: see
TIMEOUT. The last line is for tests/run.py to sum up: "integration: N passed, N failed".
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from cluster import exit_on_signals  # noqa: E402  (needs the paths above)
from run_times import note_time  # noqa: E402

# They begin first, so that none of them is left alone at the end.
LONGEST = (
    "test_verify_bases test_backup_proof test_receive test_masks test_walsender_statistics test_oracle test_worker "
    "test_verify test_native"
).split()

# Seconds that a test may take, and the set-up of a class or module too; the long forms take hours.
TIMEOUT = 12 * 3600 if os.environ.get("NEON_REDO_LONG") else 600
# Seconds until a test that went on after its limit is stopped again, and then with its module.
GRACE = 120


class TestTimeout(Exception):
    """A test took longer than TIMEOUT. Cleaning up follows, as after any other failure."""


class TimedResult(unittest.TextTestResult):
    """Notes each test's time for tests/run.py, and holds each test to its limit."""

    def startTest(self, test):  # noqa: N802 (unittest's name)
        limit_time()
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):  # noqa: N802 (unittest's name)
        super().stopTest(test)
        note_time(test.id(), time.monotonic() - self.began)
        limit_time()  # for what lies between two tests


def limit_time():
    """Interrupts this process's main thread after TIMEOUT seconds from now."""
    expired = 0

    def stop(_number, _frame):
        nonlocal expired
        expired += 1
        if expired > 2:
            os._exit(1)  # cleaning up hangs too
        raise TestTimeout(f"no end after {TIMEOUT} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT, GRACE)


def load(module, patterns):
    loader = unittest.TestLoader()
    if patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in patterns]
    return loader.loadTestsFromName(module)


def run_module(module, arguments):
    verbosity = 2 if arguments.verbose else 1
    runner = unittest.TextTestRunner(verbosity=verbosity, resultclass=TimedResult)
    limit_time()
    result = runner.run(load(module, arguments.patterns))
    signal.setitimer(signal.ITIMER_REAL, 0)
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
        "-j", "--jobs", type=int, default=min(3, len(os.sched_getaffinity(0)) + 1), help="modules at a time"
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
