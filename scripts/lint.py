#!/usr/bin/env python3
"""clang-format on all files, and clang-tidy with .clang-tidy on some or all (make lint).

lint.py                 clang-tidy on what differs from the main branch, or from the last commit
lint.py --base REV      … from that revision
lint.py --last-commit   … from the commit before the last
lint.py --all           on all files: about an hour of processor time

A changed header is checked by way of a file that includes it. The tree must be built: the commands
of the compiler are those of build/ and of the Makefile. The last line is "lint: N passed, N failed",
where each file counts once for each tool.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATABASE = ROOT / "build" / "lint"
TIMEOUT = 1800  # seconds for one file, on a busy machine
# What only GCC knows. Its warnings are for GCC too; clang-tidy has checks of its own.
GCC_ONLY = re.compile(r"-W.*|-fexcess-precision=.*|-flto.*|-ffat-lto-objects")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true", help="clang-tidy on all files")
    parser.add_argument("--base", help="clang-tidy on what differs from this revision")
    parser.add_argument("--last-commit", action="store_true", help="clang-tidy on the last commit")
    parser.add_argument("-j", "--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()

    passed, failed = check_format(git("ls-files", "-co", "--exclude-standard", "*.cpp", "*.h"))
    units = write_database()
    if arguments.all:
        chosen = units
    else:
        last = commit_before() if arguments.last_commit else None
        base = arguments.base or last or default_base()
        chosen = units_of(changed(base), units)
        print(
            f"clang-tidy: {len(chosen)} of {len(units)} files have changed since {base[:12]}", flush=True
        )
    tidied = tidy(chosen, arguments.jobs)
    print(f"clang-tidy: {tidied[0]} files passed, {tidied[1]} failed, of {len(units)}")
    print(f"lint: {passed + tidied[0]} passed, {failed + tidied[1]} failed")
    return 1 if failed or tidied[1] else 0


def git(*arguments):
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def check_format(files):
    """Returns how many files are formatted and how many are not."""
    command = ["clang-format", "--dry-run", "-Werror", *files]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    bad = {line.split(":")[0]: line for line in reversed(result.stderr.splitlines()) if ": error:" in line}
    if result.returncode != 0 and not bad:
        bad = {"clang-format": result.stderr}
    for line in bad.values():
        print(line)
    print(f"clang-format: {len(files) - len(bad)} files passed, {len(bad)} failed", flush=True)
    return len(files) - len(bad), len(bad)


def write_database():
    """Puts the compiler's commands where clang-tidy reads them; returns the files that they compile."""
    entries = {}
    for entry in json.loads((ROOT / "build" / "compile_commands.json").read_text("utf-8")):
        compiled = os.path.join(entry["directory"], entry["file"])
        for source in sources_of(compiled):
            command = entry["command"].replace(entry["file"], source)
            path = os.path.relpath(source, ROOT)
            entries[path] = {"directory": entry["directory"], "command": command, "file": source}
    for path, command in module_commands():
        entries.setdefault(path, {"directory": str(ROOT), "command": command, "file": path})
    DATABASE.mkdir(exist_ok=True)
    database = list(entries.values())
    (DATABASE / "compile_commands.json").write_text(json.dumps(database), "utf-8")
    return sorted(path for path in entries if (ROOT / path).exists())


def sources_of(compiled):
    """The file itself, or those that a file made by Meson (unity) compiles as one."""
    if "-unity" not in os.path.basename(compiled):
        return [os.path.normpath(compiled)]
    included = re.findall(r'^#include\s*[<"](.+)[>"]', pathlib.Path(compiled).read_text("utf-8"), re.M)
    return [os.path.normpath(file) for file in included]


def module_commands():
    """The Makefile's commands for the module's files, without what clang does not know."""
    result = subprocess.run(
        ["make", "--dry-run", "--always-make", "neon.so"],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    for line in result.stdout.splitlines():
        if " -c " not in line or not line.endswith(".cpp"):
            continue
        words = [word for word in shlex.split(line) if not GCC_ONLY.fullmatch(word)]
        yield words[-1], shlex.join(words)


def default_base():
    """Where this branch left the main branch. On the main branch itself, the last commit if the tree
    has changes, else the one before."""
    head = git("rev-parse", "HEAD")[0]
    for branch in ("origin/main", "main"):
        command = ["git", "-C", str(ROOT), "merge-base", "HEAD", branch]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0 and result.stdout.strip() != head:
            return result.stdout.strip()
    return head if git("status", "--porcelain") else commit_before()


def commit_before():
    """The commit before the last; the last itself where the history has no other."""
    return git("rev-list", "--max-count=2", "HEAD")[-1]


def changed(base):
    files = git("diff", "--name-only", "--diff-filter=d", base, "--", "*.cpp", "*.h")
    return files + git("ls-files", "--others", "--exclude-standard", "*.cpp", "*.h")


def units_of(files, units):
    """The compiled ones among the files, and for each header one that includes it."""
    wanted = {file for file in files if file in units}
    for header in (file for file in files if file.endswith(".h")):
        include = f'#include "{header.removeprefix("cpp_core/include/")}"'
        beside = header.removesuffix(".h") + ".cpp"
        candidates = [beside] if beside in units else []
        candidates += [unit for unit in units if include in (ROOT / unit).read_text("utf-8")][:1]
        wanted.update(candidates[:1])
    return sorted(wanted)


def tidy(units, jobs):
    """Runs clang-tidy on the files; returns how many passed and how many failed."""
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(tidy_one, unit) for unit in units]):
            unit, output, seconds = future.result()
            if output is None:
                passed += 1
                print(f"{unit}: clang-tidy, {seconds:.0f} s", flush=True)
            else:
                failed += 1
                print(f"{unit}: clang-tidy\n{output}", flush=True)
    return passed, failed


def tidy_one(unit):
    """(unit, None, seconds) when there is nothing to report, else (unit, text, seconds)."""
    began = time.monotonic()
    command = ["clang-tidy", "--quiet", "-p", str(DATABASE), unit]
    try:
        result = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return unit, f"no end after {TIMEOUT} s", TIMEOUT
    # Standard error has counts of warnings, and what a crash says.
    failed = result.stdout + (result.stderr if not result.stdout.strip() or result.returncode < 0 else "")
    return unit, None if result.returncode == 0 else failed, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
