#!/usr/bin/env python3
"""neon-redo receive beside pg_receivewal and a bare loop over PQgetCopyData: same server, same WAL.

    tests/bench/bench_receive.py [--gigabytes N] [--rounds N] [--json]

A throw-away server makes the WAL once. Each program then receives all of it, in turns: into files,
flushed at the end of each segment, and without a disk (into memory, or nowhere). CPU seconds are the
client's own, user and system. Each figure is the median of the rounds.
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

from cluster import Cluster, exit_on_signals, neon_redo_program, run  # noqa: E402

SETTINGS = {
    "wal_level": "replica",
    "max_wal_size": "64GB",
    "min_wal_size": "1GB",
    "wal_keep_size": "64GB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}


def make_wal(cluster, gigabytes):
    """Full pages and small records, as a busy server writes them. Returns the end of WAL."""
    cluster.pgbench("-i", "-q", "-s", "10")
    cluster.psql("CREATE TABLE bulk (a int, b text)")
    while True:
        position = cluster.psql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/1000000')")
        if int(position) >= gigabytes << 30:
            break
        cluster.psql(
            "TRUNCATE bulk; INSERT INTO bulk SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 500000) i"
        )
        cluster.pgbench("-n", "-N", "-t", "1000", "-c", "4")
    cluster.psql("SELECT pg_switch_wal(); CREATE TABLE last (a int)")
    return cluster.psql("SELECT pg_current_wal_flush_lsn()")


def timed(command, environment):
    """Wall and CPU seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    run(command, env=environment)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=int, default=2, help="WAL to make and receive")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where the received files go (a directory on the disk to measure)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    exit_on_signals()

    work = tempfile.mkdtemp(prefix="neon_redo_bench.", dir=arguments.directory)
    try:
        with Cluster(settings=SETTINGS) as cluster:
            results = measure(cluster, work, arguments)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(results, arguments.json)


def measure(cluster, work, arguments):
    end = make_wal(cluster, arguments.gigabytes)
    cluster.psql("CHECKPOINT")
    environment = cluster.environment()
    environment.pop("PGDATABASE")
    # Both programs go on behind the last complete segment they find: here the first.
    first = os.path.join(cluster.wal, "000000010000000000000001")
    start = "0/2000000"
    volume = int(cluster.psql(f"SELECT pg_wal_lsn_diff('{end}', '{start}')"))
    shm = tempfile.mkdtemp(prefix="neon_redo_bench.", dir="/dev/shm")
    receive = [neon_redo_program(), "receive", "--no-progress", "--until", end, "--wal"]
    pg_receivewal = [cluster.program("pg_receivewal"), "--no-loop", "--endpos", end, "-D"]
    drain = str(ROOT / "build" / "tests" / "bench" / "receive_drain")
    candidates = {
        "disk, neon-redo": (receive, work),
        "disk, pg_receivewal": (pg_receivewal, work),
        "memory, neon-redo": (receive, shm),
        "memory, pg_receivewal": (pg_receivewal, shm),
        "nowhere, WalReceiver": ([drain, "receiver", start, end], None),
        "nowhere, bare loop": ([drain, "bare", start, end], None),
    }
    samples = {name: [] for name in candidates}
    try:
        for round_number in range(arguments.rounds + 1):
            order = list(candidates.items())
            for name, (command, parent) in order if round_number % 2 else reversed(order):
                target = []
                if parent:
                    target = [tempfile.mkdtemp(dir=parent)]
                    shutil.copy(first, target[0])
                os.sync()
                wall, cpu = timed([*command, *target], environment)
                if target:
                    shutil.rmtree(target[0])
                if round_number:  # the first round warms the caches
                    samples[name].append((volume / wall / 1e6, cpu / (volume / 1e9)))
    finally:
        shutil.rmtree(shm, ignore_errors=True)
    figures = {
        name: {
            "megabytes_per_second": round(statistics.median(s[0] for s in rows), 1),
            "cpu_seconds_per_gb": round(statistics.median(s[1] for s in rows), 4),
        }
        for name, rows in samples.items()
    }
    return {"bytes": volume, "rounds": arguments.rounds, "figures": figures}


def report(results, as_json):
    if as_json:
        print(json.dumps(results, indent=2))
        return
    figures = results["figures"]
    print(f"{results['bytes'] / 1e9:.2f} GB of WAL, median of {results['rounds']} rounds")
    for name, row in figures.items():
        speed, cpu = row["megabytes_per_second"], row["cpu_seconds_per_gb"]
        print(f"{name:24} {speed:9.1f} MB/s {cpu:8.3f} CPU s/GB")
    for where, ours, other in (
        ("disk", "neon-redo", "pg_receivewal"),
        ("memory", "neon-redo", "pg_receivewal"),
        ("nowhere", "WalReceiver", "bare loop"),
    ):
        a, b = figures[f"{where}, {ours}"], figures[f"{where}, {other}"]
        speed = a["megabytes_per_second"] / b["megabytes_per_second"]
        cpu = a["cpu_seconds_per_gb"] / b["cpu_seconds_per_gb"]
        print(f"{where}: {speed:.2f} of the throughput, {cpu:.2f} of the CPU time of {other}")


if __name__ == "__main__":
    main()
