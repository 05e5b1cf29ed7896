#!/usr/bin/env python3
"""neon-redo receive-logical beside pg_recvlogical: same server, same changes.

    tests/bench/bench_receive_logical.py [--transactions N] [--rounds N] [--json]

A throw-away server runs pgbench once behind a logical slot. Each program then receives all of it
into a file, in turns, each time from a fresh copy of the slot: pgoutput (as JSON lines; raw by
pg_recvlogical) and test_decoding (as text by both). CPU seconds are the client's own, user and
system. Each figure is the median of the rounds.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from bench_receive import timed  # noqa: E402
from cluster import Cluster, exit_on_signals, neon_redo_program  # noqa: E402

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_size": "64GB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}
PLUGINS = ("pgoutput", "test_decoding")


def make_changes(cluster, transactions):
    """Returns the end of WAL; slots named as the plug-ins are before it all."""
    cluster.pgbench("-i", "-q", "-s", "10")
    cluster.psql("CREATE PUBLICATION p FOR ALL TABLES")
    for plugin in PLUGINS:
        cluster.psql(f"SELECT pg_create_logical_replication_slot('{plugin}', '{plugin}')")
    cluster.pgbench("-n", "-c", "4", "-t", str(transactions // 4))
    end = cluster.psql("SELECT pg_current_wal_flush_lsn()")
    cluster.psql("CREATE TABLE moves_the_end_of_wal (a int)")
    return end


def command_for(cluster, program, plugin, end, path):
    publication = plugin == "pgoutput"
    if program == "neon-redo":
        command = [neon_redo_program(), "receive-logical", "--plugin", plugin, "--until", end]
        command += ["--protocol", "1", "--publication", "p"] if publication else []
    else:
        command = [cluster.program("pg_recvlogical"), "--start", "--no-loop", "--endpos", end, "-f", "-"]
        command += ["-o", "proto_version=1", "-o", "publication_names=p"] if publication else []
    command += ["--slot", "run", "--dbname", "dbname=postgres"]
    return ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", path, *command]


def measure(cluster, work, arguments):
    end = make_changes(cluster, arguments.transactions)
    environment = cluster.environment()
    path = os.path.join(work, "out")
    samples = {(plugin, program): [] for plugin in PLUGINS for program in ("neon-redo", "pg_recvlogical")}
    for round_number in range(arguments.rounds + 1):
        order = list(samples)
        for plugin, program in order if round_number % 2 else reversed(order):
            cluster.psql(f"SELECT pg_copy_logical_replication_slot('{plugin}', 'run')")
            wall, cpu = timed(command_for(cluster, program, plugin, end, path), environment)
            size = os.path.getsize(path)
            os.unlink(path)
            cluster.psql("SELECT pg_drop_replication_slot('run')")
            if round_number:  # the first round warms the caches
                samples[plugin, program].append((arguments.transactions / wall, cpu, size))
    return {
        "transactions": arguments.transactions,
        "rounds": arguments.rounds,
        "figures": {
            f"{plugin}, {program}": {
                "transactions_per_second": round(statistics.median(s[0] for s in rows)),
                "cpu_seconds": round(statistics.median(s[1] for s in rows), 3),
                "output_bytes": rows[0][2],
            }
            for (plugin, program), rows in samples.items()
        },
    }


def report(results, as_json):
    if as_json:
        print(json.dumps(results, indent=2))
        return
    figures = results["figures"]
    print(f"{results['transactions']} transactions, median of {results['rounds']} rounds")
    for name, row in figures.items():
        print(
            f"{name:30} {row['transactions_per_second']:9} transactions/s"
            f" {row['cpu_seconds']:7.3f} CPU s {row['output_bytes'] / 1e6:8.1f} MB"
        )
    for plugin in PLUGINS:
        ours, theirs = figures[f"{plugin}, neon-redo"], figures[f"{plugin}, pg_recvlogical"]
        speed = ours["transactions_per_second"] / theirs["transactions_per_second"]
        cpu = ours["cpu_seconds"] / theirs["cpu_seconds"]
        print(f"{plugin}: {speed:.2f} of the throughput, {cpu:.2f} of the CPU time of pg_recvlogical")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where the output goes (a directory on the disk to measure)")
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


if __name__ == "__main__":
    main()
