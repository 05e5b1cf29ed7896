#!/usr/bin/env python3
"""neon-redo ingest (every change of every record, CRC checked) beside pg_waldump --stats: same files.

    tests/bench/ingest_vs_waldump.py [--megabytes N] [--rounds N] [--keep DIR] [--json]

A throw-away server writes pgbench WAL twice: without full-page images, and with many of them (a
checkpoint every few seconds). Then the programs read each, in turns, pinned to one core, the files in
the page cache. Seconds are medians of the rounds, the spread is (max - min) / median. The ratio is
that of the medians of CPU seconds (user and system: other work on the machine counts less there);
that of elapsed seconds stands beside it.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from cluster import (  # noqa: E402  (needs the path above)
    MUCH_WAL,
    Cluster,
    exit_on_signals,
    neon_redo_program,
    server_program,
)

SETTINGS = {**MUCH_WAL, "shared_buffers": "512MB"}
CORE = max(os.sched_getaffinity(0))


def make_wal(directory, megabytes, images):
    """pgbench until that much WAL is there; its segments go into the directory."""
    settings = {**SETTINGS, "full_page_writes": "on" if images else "off"}
    with Cluster(settings=settings, checksums=False) as cluster:
        cluster.pgbench("-i", "-q", "-s", "20")
        while True:
            size = cluster.psql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/1000000')")
            if float(size) >= megabytes << 20:
                break
            if images:
                cluster.psql("CHECKPOINT")
            cluster.pgbench("-n", "-c", "8", "-T", "3", "-M", "prepared")
        cluster.stop()
        shutil.copytree(cluster.wal, directory)


def run_pinned(command):
    """Elapsed and CPU seconds of one run on one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(
        ["taskset", "-c", str(CORE), *command], check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    elapsed = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return elapsed, cpu


def summary(runs):
    elapsed = [run[0] for run in runs]
    cpu = [run[1] for run in runs]
    middle = statistics.median(cpu)
    return {
        "elapsed": statistics.median(elapsed),
        "cpu": middle,
        "spread": (max(cpu) - min(cpu)) / middle,
    }


def compare(wal, rounds):
    """Medians of each program over one directory."""
    stats = json.loads(
        subprocess.run(
            [neon_redo_program(), "waldump", "--wal", wal, "--stats", "--format", "json"],
            check=True, capture_output=True, text=True,
        ).stdout
    )  # fmt: skip
    first, last = stats["first_lsn"], stats["end_lsn"]
    commands = {
        "pg_waldump --stats": [
            server_program("pg_waldump"), "--stats", "-p", wal, "-s", first, "-e", last,
        ],
        "neon-redo waldump --stats": [neon_redo_program(), "waldump", "--stats", "--wal", wal],
        "neon-redo ingest": [neon_redo_program(), "ingest", "--wal", wal],
    }  # fmt: skip
    runs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(run_pinned(command))
    result = {name: summary(times) for name, times in runs.items()}
    base = result["pg_waldump --stats"]
    for figures in result.values():
        figures["cpu_ratio"] = base["cpu"] / figures["cpu"]
        figures["elapsed_ratio"] = base["elapsed"] / figures["elapsed"]
    total = stats["total"]
    return {
        "bytes": total["record_bytes"] + total["image_bytes"],
        "image_bytes": total["image_bytes"],
        "records": total["records"],
        "programs": result,
    }


def print_result(name, result):
    print(
        f"\n{name}: {result['bytes'] / 1e6:.0f} MB, of it images {result['image_bytes'] / 1e6:.0f} MB, "
        f"{result['records']} records"
    )
    print(f"{'':28} {'elapsed s':>10} {'CPU s':>8} {'spread':>7} {'ratio':>6} {'(elapsed)':>9}"
          f" {'ns/record':>10} {'GB/s':>6}")  # fmt: skip
    for program, f in result["programs"].items():
        print(
            f"{program:28} {f['elapsed']:10.3f} {f['cpu']:8.3f} {f['spread']:7.0%} "
            f"{f['cpu_ratio']:6.2f} {f['elapsed_ratio']:9.2f} "
            f"{f['cpu'] / result['records'] * 1e9:10.1f} {result['bytes'] / f['cpu'] / 1e9:6.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="of WAL, of each kind")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--keep", metavar="DIR", help="where the WAL is kept for the next run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    exit_on_signals()
    place = options.keep or tempfile.mkdtemp(prefix="neon_redo.")
    try:
        results = {}
        for name, images in (("without images", False), ("with images", True)):
            wal = os.path.join(place, "images" if images else "plain")
            if not os.path.exists(wal):
                print(f"writing WAL {name}", file=sys.stderr, flush=True)
                make_wal(wal, options.megabytes, images)
            results[name] = compare(wal, options.rounds)
            if not options.json:
                print_result(name, results[name])
        if options.json:
            print(json.dumps(results))
    finally:
        if not options.keep:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
