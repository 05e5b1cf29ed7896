#!/usr/bin/env python3
"""The quick check of a built tree (make check): the unit tests, in as many processes as there are
processors, and then each command of neon-redo once (test_smoke.py). Takes less than a minute. The
last line is "check: N passed, N failed".
"""

import sys

from run import script, unit_tests

TIMEOUT = 600  # seconds for either half


def main():
    passed, failed = unit_tests("build", {}, timeout=TIMEOUT)
    print(f"unit: {passed} passed, {failed} failed", flush=True)
    smoke = script("tests/integration/run.py", "-k", "test_smoke.", timeout=TIMEOUT)
    passed, failed = passed + smoke[0], failed + smoke[1]
    print(f"check: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
