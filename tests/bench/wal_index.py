#!/usr/bin/env python3
"""The index of WAL: how fast it is made, how large it is, and how long a page takes that is read by it.

    tests/bench/wal_index.py [--megabytes N] [--rounds N] [--pages N] [--keep DIR] [--only KIND]... [--json]

A throw-away server writes WAL of four kinds, 1 GB of each of the first two, --megabytes (12 GB) of the others:

  pgbench   pgbench's own transactions, with few images of pages
  images    the same, with a checkpoint each three seconds: most of it is images
  long      the same at scale 100, with checkpoints when a server that nobody has configured makes them
  ranges    an eighth is as `pgbench`, the rest updates of 30 neighbouring rows at once; a checkpoint for each GB

Of each kind `neon-redo index` makes the index, with one thread and with two, in turns. Of the last two the
pages are read by tests/integration/index_oracle --no-check: random ones, each at a random LSN. All files are in
the page cache, and the index is made anew each time. Figures are medians; the spread is (max - min) / median.
Exits 1 when a bar is missed.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from cluster import MUCH_WAL, Cluster, exit_on_signals, neon_redo_program  # noqa: E402  (needs the path above)

ORACLE = ROOT / "build" / "tests" / "integration" / "index_oracle"
SETTINGS = {**MUCH_WAL, "shared_buffers": "1GB"}
RANGES = """\\set aid random(1, 100000 * :scale)
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN :aid AND :aid + 30;
"""
# Bars: (what, of which kind, least, most).
BARS = [
    ("MB/s, one thread", "long", 400, None),
    ("two threads / one", "long", 1.7, None),
    ("size, % of the WAL", "pgbench", None, 6),
    ("size, % of the WAL", "images", None, 1),
    ("page, median ms", "long", None, 0.2),
    ("page, 99th percentile ms", "long", None, 1),
    ("pages/s, two threads / one", "long", 1.7, None),
]


KINDS = ["pgbench", "images", "long", "ranges"]
LONG = ["long", "ranges"]


def settings_of(kind):
    out = {**SETTINGS, "full_page_writes": "off" if kind == "pgbench" else "on"}
    if kind == "long":
        del out["max_wal_size"], out["checkpoint_timeout"]
    return out


def make_wal(directory, megabytes, kind):
    """Writes that much WAL; its segments go into the directory."""
    with Cluster(settings=settings_of(kind), checksums=False) as cluster:
        script = os.path.join(cluster.directory, "ranges.sql")
        pathlib.Path(script).write_text(RANGES, "utf-8")
        cluster.pgbench("-i", "-q", "-s", "100" if kind == "long" else "20")
        written = checkpoint = 0
        while written < megabytes:
            if kind == "images" or (kind == "ranges" and written >= checkpoint):
                cluster.psql("CHECKPOINT")
                checkpoint = written + 1024
            is_plain = kind != "ranges" or written < megabytes / 8
            cluster.pgbench("-n", "-c", "8", "-T", "3", *(["-M", "prepared"] if is_plain else ["-f", script]))
            written = float(cluster.psql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/1000000')")) / (1 << 20)
        cluster.stop()
        os.makedirs(directory)
        for name in os.listdir(cluster.wal):
            if len(name) == 24:
                shutil.move(os.path.join(cluster.wal, name), directory)


def build(wal, index, jobs):
    """The report of the command, and the seconds that it took."""
    shutil.rmtree(index, ignore_errors=True)
    start = time.monotonic()
    result = subprocess.run(
        [neon_redo_program(), "index", "--wal", wal, "--index", index, f"--jobs={jobs}", "--format=json"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return json.loads(result.stdout), time.monotonic() - start


def ask(wal, index, threads, options):
    result = subprocess.run(
        [ORACLE, "--wal", wal, "--index", index, "--no-check", "--pages", str(options.pages),
         "--threads", str(threads)],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return json.loads(result.stdout)


def figure(values):
    middle = statistics.median(values)
    return {"median": middle, "spread": (max(values) - min(values)) / (middle or 1), "runs": values}


def measure(wal, index, kind, options):
    for name in os.listdir(wal):
        pathlib.Path(wal, name).read_bytes()  # into the page cache
    seconds = {1: [], 2: []}
    for _ in range(options.rounds):
        for jobs in seconds:
            report, elapsed = build(wal, index, jobs)
            seconds[jobs].append(elapsed)
    size = sum(entry.stat().st_size for entry in os.scandir(wal))
    one, two = ([size / 1e6 / run for run in seconds[jobs]] for jobs in seconds)
    out = {
        "MB of WAL": figure([size / 1e6]),
        "files": figure([report["files"]]),
        "MB/s, one thread": figure(one),
        "MB/s, two threads": figure(two),
        "two threads / one": figure([statistics.median(two) / statistics.median(one)]),
        "size, % of the WAL": figure([100 * report["bytes"] / size]),
    }
    if kind not in LONG:
        return out
    answers = {threads: [ask(wal, index, threads, options) for _ in range(options.rounds)] for threads in (1, 2)}
    rate = {threads: [run["pages_per_second"] for run in runs] for threads, runs in answers.items()}
    out["page, median ms"] = figure([run["median_ms"] for run in answers[1]])
    out["page, 99th percentile ms"] = figure([run["p99_ms"] for run in answers[1]])
    out["records of a page, median"] = figure([answers[1][0]["median_changes"]])
    out["records of a page, 99th percentile"] = figure([answers[1][0]["p99_changes"]])
    out["pages/s, one thread"] = figure(rate[1])
    out["pages/s, two threads / one"] = figure([statistics.median(rate[2]) / statistics.median(rate[1])])
    return out


def missed(results):
    out = []
    for what, kind, least, most in BARS:
        if kind not in results:
            continue
        value = results[kind][what]["median"]
        if (least is not None and value < least) or (most is not None and value > most):
            out.append(f"{kind}: {what}: {value:.3g}, the bar is {least or most}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=12 << 10, help="of the long kinds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--keep", metavar="DIR", help="where the WAL is kept for the next run")
    parser.add_argument("--only", action="append", choices=KINDS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    exit_on_signals()
    place = options.keep or tempfile.mkdtemp(prefix="neon_redo.")
    results = {}
    try:
        for kind in options.only or KINDS:
            wal = os.path.join(place, kind)
            if not os.path.exists(wal):
                print(f"writing WAL: {kind}", file=sys.stderr, flush=True)
                make_wal(wal, options.megabytes if kind in LONG else 1024, kind)
            results[kind] = measure(wal, os.path.join(place, "index"), kind, options)
            if not options.json:
                print(f"\n{kind}")
                for what, value in results[kind].items():
                    print(f"  {what:30} {value['median']:10.3f}   spread {value['spread']:4.0%}", flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(place)
    problems = missed(results)
    if options.json:
        print(json.dumps({"results": results, "missed": problems}))
    for problem in problems:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
