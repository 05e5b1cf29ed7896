#!/usr/bin/env python3
"""Runs the fuzz targets. Seeds come from real WAL, made by a throw-away server.

run.py           the corpora: every seed and every regression file, and a few mutations of each, in
                 the sanitized build of the unit tests. For make test.
run.py --long    libFuzzer (clang), every target for --seconds or --runs, whichever comes first;
                 what it learns stays in fuzz-corpus/. For make fuzz. A finding is left there too:
                 fix it and put the file into tests/fuzz/regressions/TARGET.

The last line is "fuzz: N passed, N failed".
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

sys.path.insert(0, str(ROOT / "tests"))

import sanitized  # noqa: E402  (needs the paths above)
import workload  # noqa: E402
from cluster import Cluster, exit_on_signals  # noqa: E402
from run_times import note_time  # noqa: E402

REGRESSIONS = ROOT / "tests" / "fuzz" / "regressions"
CORPUS = ROOT / "fuzz-corpus"
TARGETS = ["bases", "capture", "control", "frames", "ingest", "mask", "native", "page_words", "record"]
TARGETS += ["replication", "session", "text", "tls", "wal"]
TIMEOUT = 600  # seconds for the corpus of one target
ENVIRONMENT = {**os.environ, **sanitized.OPTIONS}
# The long form does without what takes half of the sanitizer's time, and the short form has: stack
# frames on the heap, and a quarantine so large that all memory is new.
LONG = "detect_stack_use_after_return=0:strict_string_checks=1:quarantine_size_mb=16"
LONG += ":malloc_context_size=4:allocator_release_to_os_interval_ms=-1"
LONG_ENVIRONMENT = {**ENVIRONMENT, "ASAN_OPTIONS": LONG}

SHORT_WORKLOAD = """
CREATE TABLE t (i int PRIMARY KEY, t text, a int[], p point);
CREATE INDEX ON t USING gin (a); CREATE INDEX ON t USING gist (p); CREATE INDEX ON t USING brin (i);
CREATE INDEX ON t USING hash (i); CREATE INDEX ON t USING spgist (p); CREATE SEQUENCE s;
CHECKPOINT;
INSERT INTO t SELECT g, 'row ' || g, ARRAY[g, g % 7], point(g, g % 13) FROM generate_series(1, 500) g;
UPDATE t SET t = 'changed' WHERE i % 10 = 0;
DELETE FROM t WHERE i % 17 = 0;
SELECT nextval('s');
VACUUM (FREEZE) t;
TRUNCATE t; DROP TABLE t;
"""


def make_seeds(build, directory, long):
    settings = {**workload.SETTINGS, "wal_consistency_checking": "all"} if long else {"autovacuum": "off"}
    with Cluster(settings=settings, wal_segment_mb=1) as cluster:
        if long:
            workload.prepare(cluster, 100)
            workload.run(cluster, 100)
        else:
            cluster.psql(SHORT_WORKLOAD)
        cluster.stop()
        command = [build / "tests" / "fuzz" / "make_seeds", cluster.wal, cluster.data, directory]
        subprocess.run(command, check=True)
    script = ROOT / "tests" / "fuzz" / "session_seeds.py"
    arguments = [f"{directory}/session", f"{directory}/tls"]
    subprocess.run([sys.executable, script, *arguments], check=True)


def run_corpora():
    """The short form. Returns the targets that failed."""
    if not sanitized.build("fuzz"):
        return TARGETS
    build = sanitized.BUILD
    failed = []
    with tempfile.TemporaryDirectory(prefix="neon_redo.") as directory:
        make_seeds(build, directory, long=False)
        for target in TARGETS:
            program = build / "tests" / "fuzz" / f"{target}_fuzz"
            command = [program, "--mutate", "5", f"{directory}/{target}", REGRESSIONS / target]
            began = time.monotonic()
            options = {"capture_output": True, "text": True, "errors": "replace", "check": False}
            try:
                result = subprocess.run(
                    command, env=ENVIRONMENT, cwd=directory, timeout=TIMEOUT, **options
                )
            except subprocess.TimeoutExpired:
                print(f"{target:12} FAILED: no end after {TIMEOUT} s", flush=True)
                failed.append(target)
                continue
            note_time(f"fuzz corpora: {target}", time.monotonic() - began)
            print(f"{target:12} {result.stdout.strip() or 'FAILED'}", flush=True)
            if result.returncode != 0:
                failed.append(target)
                print(result.stderr[-5000:])
    return failed


def setup_libfuzzer():
    build = ROOT / "build-fuzz"
    if not (build / "build.ninja").exists():
        options = ["-Dfuzz=true", "-Db_lundef=false", "-Db_sanitize=address,undefined"]
        options += ["-Doptimization=1", "-Dcpp_args=-fsanitize=fuzzer-no-link"]
        environment = {**os.environ, "CC": "clang-16", "CXX": "clang++-16"}
        subprocess.run(["meson", "setup", build, *options], cwd=ROOT, env=environment, check=True)
    subprocess.run(["ninja", "--quiet", "-C", build, "fuzz"], check=True)
    return build


def run_long(targets, seconds, runs):
    """libFuzzer, a target after the other. Returns the targets that failed."""
    build = setup_libfuzzer()
    seeds = CORPUS / "seeds"
    if not seeds.exists():
        make_seeds(build, seeds, long=True)
    failed = []
    print(f"{'target':12} {'executions':>12} {'a second':>9}  result", flush=True)
    for target in targets:
        learned = CORPUS / target
        learned.mkdir(parents=True, exist_ok=True)
        command = [build / "tests" / "fuzz" / f"{target}_fuzz", f"-max_total_time={seconds}"]
        command += [f"-runs={runs}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
        command += [f"-artifact_prefix={CORPUS}/{target}_", learned, seeds / target]
        if (REGRESSIONS / target).exists():
            command.append(REGRESSIONS / target)
        log = CORPUS / f"{target}.log"
        with open(log, "w", encoding="utf-8") as output:
            status = subprocess.run(
                command, env=LONG_ENVIRONMENT, stdout=output, stderr=output, check=False
            ).returncode
        text = log.read_text("utf-8", errors="replace")
        counts = dict(re.findall(r"^stat::(\w+): +(\d+)$", text, re.MULTILINE))
        result = "no finding" if status == 0 else f"FINDING, see {log}"
        executions = int(counts.get("number_of_executed_units", 0))
        speed = int(counts.get("average_exec_per_sec", 0))
        print(f"{target:12} {executions:12,} {speed:9,}  {result}", flush=True)
        if status != 0:
            failed.append(target)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="libFuzzer instead of the corpora")
    parser.add_argument("--seconds", type=int, default=3600, help="a target (default: 3600)")
    parser.add_argument("--runs", type=int, default=10_000_000, help="a target (default: 10000000)")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    options = parser.parse_args()
    exit_on_signals()
    targets = options.targets or TARGETS
    if options.long:
        failed = run_long(targets, options.seconds, options.runs)
    else:
        targets, failed = TARGETS, run_corpora()
    print(f"fuzz: {len(targets) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
