#!/usr/bin/env python3
"""neon-redo receive-logical beside pg_recvlogical: same server, same changes.

    tests/bench/bench_receive_logical.py [--transactions N] [--rounds N] [--json]

A throw-away server runs pgbench once behind a logical slot. Each program then receives all of it
into a file, in turns, each time from a fresh copy of the slot: pgoutput (as JSON lines; raw by
pg_recvlogical) and test_decoding (as text by both). CPU seconds are the client's own, user and
system. Each figure is the median of the rounds.
"""

import functools
import os
import statistics
import tempfile

from side_by_side import arguments_of, in_turns, report, timed

from cluster import Cluster, neon_redo_program

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_size": "64GB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}
PLUGINS = ("pgoutput", "test_decoding")
PROGRAMS = ("neon-redo", "pg_recvlogical")


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


def receive(cluster, program, plugin, end, path):
    """Wall and CPU seconds of one program, and the size of what it wrote."""
    cluster.psql(f"SELECT pg_copy_logical_replication_slot('{plugin}', 'run')")
    try:
        wall, cpu = timed(command_for(cluster, program, plugin, end, path), cluster.environment())
    finally:
        cluster.psql("SELECT pg_drop_replication_slot('run')")
    size = os.path.getsize(path)
    os.unlink(path)
    return wall, cpu, size


def measure(cluster, work, arguments):
    end = make_changes(cluster, arguments.transactions)
    path = os.path.join(work, "out")
    runs = {
        f"{plugin}, {program}": functools.partial(receive, cluster, program, plugin, end, path)
        for plugin in PLUGINS
        for program in PROGRAMS
    }
    return {
        name: {
            "transactions/s": round(statistics.median(arguments.transactions / row[0] for row in rows)),
            "CPU s": round(statistics.median(row[1] for row in rows), 3),
            "MB": round(rows[0][2] / 1e6, 1),
        }
        for name, rows in in_turns(runs, arguments.rounds).items()
    }


def main():
    arguments = arguments_of(
        __doc__,
        ("--transactions", {"type": int, "default": 300_000}),
        ("--directory", {"help": "where the output goes (a directory on the disk to measure)"}),
    )
    with (
        tempfile.TemporaryDirectory(prefix="neon_redo_bench.", dir=arguments.directory) as work,
        Cluster(settings=SETTINGS) as cluster,
    ):
        figures = measure(cluster, work, arguments)
    ratios = [
        (f"{plugin}, neon-redo by pg_recvlogical", f"{plugin}, neon-redo", f"{plugin}, pg_recvlogical")
        for plugin in PLUGINS
    ]
    report(f"{arguments.transactions} transactions", figures, ratios, arguments)


if __name__ == "__main__":
    main()
