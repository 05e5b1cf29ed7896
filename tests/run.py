#!/usr/bin/env python3
"""Runs every test of the built tree (make test): GoogleTest, the same under sanitizers, pg_regress,
integration. Goes on after failures; the last line sums up all runners: "N passed, N failed".
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
INTEGRATION = ROOT / "tests" / "integration"

# Detected errors end the test program instead of scrolling by.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def main():
    runners = {
        "unit": lambda: unit_tests("build", {}),
        "unit, sanitized": sanitized_unit_tests,
        "hostile": lambda: unit_tests("build", {}, "hostile/hostile_tests"),
        "pg_regress": lambda: script("regress.py"),
        "integration": lambda: script("run.py"),
    }
    results = {}
    for name, runner in runners.items():
        print(f"\n== {name}", flush=True)
        results[name] = runner()
    print()
    for name, (passed, failed) in results.items():
        print(f"{name:16} {passed:6} passed, {failed} failed")
    passed = sum(p for p, _ in results.values())
    failed = sum(f for _, f in results.values())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def unit_tests(build, environment, name="unit/unit_tests"):
    """Runs a GoogleTest program of a build directory. A crash counts as one failure."""
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        report = pathlib.Path(directory, "report.json")
        program = ROOT / build / "tests" / name
        command = [str(program), "--gtest_brief=1", f"--gtest_output=json:{report}"]
        status = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
        try:
            counts = json.loads(report.read_text("utf-8"))
        except (OSError, ValueError):
            print(f"{program} ended with status {status} and without a report")
            return 0, 1
    failed = counts["failures"] + counts.get("errors", 0)
    return counts["tests"] - failed, failed if status == 0 else max(failed, 1)


def sanitized_unit_tests():
    """Builds and runs the unit tests with the Address and Undefined Behaviour sanitizers."""
    build = "build-asan"
    if not (ROOT / build / "build.ninja").exists():
        options = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"]
        options.append(f"-Dpg_config={os.environ.get('PG_CONFIG', 'pg_config')}")
        subprocess.run(["meson", "setup", build, *options], cwd=ROOT, check=True)
    targets = [f"tests/unit/{name}" for name in ("unit_tests", "fake_worker", "manager_worker")]
    if subprocess.run(["ninja", "-C", build, *targets], cwd=ROOT, check=False).returncode != 0:
        return 0, 1
    return unit_tests(build, SANITIZER_OPTIONS)


def script(name):
    """Runs a script of tests/integration and reads its last line: "NAME: N passed, N failed"."""
    # Ended with us, whatever ends us, so that it can clean up.
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, str(INTEGRATION / name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    counts = re.search(r": (\d+) passed, (\d+) failed$", last.rstrip("\n"))
    if counts is None:
        print(f"{name} ended with status {process.returncode} and without a summary")
        return 0, 1
    passed, failed = int(counts[1]), int(counts[2])
    return passed, failed if process.returncode == 0 else max(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
