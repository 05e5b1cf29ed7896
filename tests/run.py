#!/usr/bin/env python3
"""Runs every test of the built tree (make test): GoogleTest, the same under sanitizers, pg_regress,
the fuzz corpora, integration; with --lint also scripts/lint.py. A failure ends nothing. At the end
stand the slowest tests, and how many passed and how long each runner took; the last line is the sum
of all runners: "N passed, N failed".

What depends on the server (OF_EACH_VERSION) runs for every major version in cluster.MAJORS whose server
is here (cluster.servers()); of the others the table says "not run".

Each runner appends the times of its tests to a file (run_times.py).
"""

import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import sanitized
from run_times import note_time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from cluster import MAJORS, major, servers  # noqa: E402  (needs the path above)


# The modules of the integration tests that run for each version; the others do for one.
OF_EACH_VERSION = (
    "test_extension test_masks test_oracle test_receive test_sandbox test_serve_wal test_verify test_waldump"
    " test_walsender_monitoring test_walsender_statistics test_worker"
).split()

SLOWEST = 10  # how many of the tests are listed
UNIT_TIMEOUT = 1800  # seconds for a GoogleTest program, also under sanitizers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lint", action="store_true", help="scripts/lint.py too")
    arguments = parser.parse_args()
    runners = {
        "unit": lambda: unit_tests("build", {}),
        "unit, sanitized": sanitized_unit_tests,
        "hostile": lambda: unit_tests("build", {}, "hostile/hostile_tests"),
        "pg_regress": lambda: script("tests/integration/regress.py"),
        "fuzz corpora": lambda: script("tests/fuzz/run.py"),
        "integration": lambda: script("tests/integration/run.py"),
    }
    if arguments.lint:
        runners["lint"] = lambda: script("scripts/lint.py", "--last-commit")
    runners = {name: functools.partial(timed, runner) for name, runner in runners.items()}
    runners.update(runners_of_other_versions())
    results = {}
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        times = pathlib.Path(directory, "times")
        os.environ["NEON_REDO_TIMES"] = str(times)
        for name, runner in runners.items():
            print(f"\n== {name}", flush=True)
            results[name] = runner()
        print_slowest(times)
    print_table(results)
    passed = sum(result[0] for result in results.values() if result)
    failed = sum(result[1] for result in results.values() if result)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def print_slowest(times):
    lines = times.read_text("utf-8").splitlines() if times.exists() else []
    tests = sorted(((float(seconds), name) for seconds, name in (line.split("\t") for line in lines)))
    print("\nThe slowest tests:")
    for seconds, name in tests[: -SLOWEST - 1 : -1]:
        print(f"{seconds:8.1f} s  {name}")


def timed(runner):
    """What the runner returns, and the seconds it took."""
    began = time.monotonic()
    counts = runner()
    return (*counts, time.monotonic() - began)


def runners_of_other_versions():
    """Runners for the versions that PG_CONFIG's server is not of. They return None if there is no server.
    The first one to be asked starts those of all versions, beside each other: their tests wait most of
    the time."""
    for module in OF_EACH_VERSION:  # a pattern that matches no test is no error
        if not (ROOT / "tests" / "integration" / f"{module}.py").exists():
            raise ValueError(f"there is no module {module} for OF_EACH_VERSION")
    others = [version for version in MAJORS if version != major()]
    patterns = [word for module in OF_EACH_VERSION for word in ("-k", f"{module}.")]
    commands = {
        "pg_regress": ["tests/integration/regress.py"],
        "integration": ["tests/integration/run.py", "-j2", *patterns],
    }

    @functools.cache
    def started():
        pool = concurrent.futures.ThreadPoolExecutor(len(others))
        return {version: pool.submit(run_all_of, version) for version in others if version in servers()}

    def run_all_of(version):
        environment = {"PG_CONFIG": servers()[version]}
        results = {}
        for name, command in commands.items():
            output = []
            runner = functools.partial(script, *command, environment=environment, show=output.append)
            results[name] = (timed(runner), output)
        return results

    def result_of(name, version):
        if version not in servers():
            print(f"not run: there is no PostgreSQL {version} server")
            return None
        result, output = started()[version].result()[name]
        print("".join(output), end="", flush=True)
        return result

    return {
        f"{name}, {version}": functools.partial(result_of, name, version)
        for version in others
        for name in commands
    }


def print_table(results):
    print(f"\n{'Runner':16} {'Passed':>7} {'Failed':>7} {'Seconds':>8}")
    for name, result in results.items():
        if result is None:
            print(f"{name:16} {'not run':>15}")
            continue
        passed, failed, seconds = result
        print(f"{name:16} {passed:7} {failed:7} {seconds:8.0f}")


def unit_tests(build, environment, name="unit/unit_tests", timeout=UNIT_TIMEOUT):
    """Runs a GoogleTest program of a build directory, a part of its tests on each processor. A crash
    counts as one failure."""
    program = ROOT / build / "tests" / name
    shards = len(os.sched_getaffinity(0))

    def run_shard(index):
        part = {"GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(index)}
        return run_unit_tests(program, {**os.environ, **environment, **part}, timeout)

    with concurrent.futures.ThreadPoolExecutor(shards) as pool:
        parts = list(pool.map(run_shard, range(shards)))
    for tests, _, _ in parts:
        for test in tests:
            note_time(f"{build}: {test['classname']}.{test['name']}", float(test["time"].rstrip("s")))
    return sum(passed for _, passed, _ in parts), sum(failed for _, _, failed in parts)


def run_unit_tests(program, environment, timeout):
    """Runs a GoogleTest program. Its tests, how many of them passed, and how many failures there were."""
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        report = pathlib.Path(directory, "report.json")
        command = [str(program), "--gtest_brief=1", f"--gtest_output=json:{report}"]
        try:
            status = subprocess.run(command, env=environment, check=False, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            print(f"{program} was stopped after {timeout} s")
            return [], 0, 1
        except OSError as error:
            print(f"could not run {program}: {error.strerror}")
            return [], 0, 1
        tests = read_report(report)
    if tests is None:
        print(f"{program} ended with status {status} and without a report")
        return [], 0, 1
    return tests, *count_tests(tests, status)


def read_report(path):
    """The tests in a GoogleTest program's report that were run; None: there is no report."""
    try:
        suites = json.loads(path.read_text("utf-8"))["testsuites"]
    except (OSError, ValueError):
        return None
    return [test for suite in suites for test in suite["testsuite"] if test["status"] == "RUN"]


def count_tests(tests, status):
    """How many passed and failed. An exit status other than 0 counts as one failure at least."""
    failed = sum("failures" in test for test in tests)
    return len(tests) - failed, failed if status == 0 else max(failed, 1)


def sanitized_unit_tests():
    """Builds and runs the unit tests with the Address and Undefined Behaviour sanitizers."""
    targets = [f"tests/unit/{name}" for name in ("unit_tests", "fake_worker", "manager_worker")]
    if not sanitized.build(*targets):
        return 0, 1
    return unit_tests(sanitized.BUILD, sanitized.OPTIONS)


def script(name, *arguments, timeout=None, environment=None, show=functools.partial(print, end="", flush=True)):
    """Runs a script of the tree and reads its last line: "NAME: N passed, N failed".

    timeout: seconds after which it is told to end (SIGTERM), and counts as one failure.
    show: is given each line of its output.
    """
    # The script ends with this process, whatever ends it, so that it can clean up.
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, str(ROOT / name), *arguments]
    environment = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        timer = threading.Timer(timeout or 0, process.terminate)
        if timeout:
            timer.start()
        last = ""
        for line in process.stdout:
            show(line)
            last = line
        timer.cancel()
    counts = re.search(r": (\d+) passed, (\d+) failed$", last.rstrip("\n"))
    if counts is None:
        show(f"{name} ended with status {process.returncode} and without a summary\n")
        return 0, 1
    passed, failed = int(counts[1]), int(counts[2])
    return passed, failed if process.returncode == 0 else max(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
