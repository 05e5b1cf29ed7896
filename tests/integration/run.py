#!/usr/bin/env python3
"""Runs the integration tests (test_*.py beside this file): run.py [-k PATTERN] [-v].

The last line is for .ci/run to sum up: "integration: N passed, N failed".
"""

import argparse
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cluster import exit_on_signals  # noqa: E402  (needs the path above)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", dest="patterns", action="append", help="only tests with this in the name")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each test")
    arguments = parser.parse_args()
    exit_on_signals()

    loader = unittest.TestLoader()
    if arguments.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in arguments.patterns]
    suite = loader.discover(str(HERE), pattern="test_*.py")
    runner = unittest.TextTestRunner(verbosity=2 if arguments.verbose else 1)
    result = runner.run(suite)

    failed = len({str(test) for test, _ in result.failures + result.errors})
    failed += len(result.unexpectedSuccesses)
    passed = result.testsRun - failed
    if result.skipped:
        # A test that does not run proves nothing, so it does not count as passed.
        passed -= len(result.skipped)
        failed += len(result.skipped)
    print(f"integration: {max(passed, 0)} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
