#!/usr/bin/env python3
"""neon-redo receive beside pg_receivewal and a bare loop over PQgetCopyData: same server, same WAL.

    tests/bench/bench_receive.py [--gigabytes N] [--rounds N] [--json]

A throw-away server makes the WAL once. Each program then receives all of it, in turns: into files,
flushed at the end of each segment, and without a disk (into memory, or nowhere). CPU seconds are the
client's own, user and system. Each figure is the median of the rounds.
"""

import functools
import os
import shutil
import tempfile

from side_by_side import (
    ROOT,
    SETTINGS,
    arguments_of,
    in_turns,
    make_wal,
    per_gigabyte,
    report,
    timed,
)

from cluster import Cluster, neon_redo_program


def receive(command, parent, first, environment):
    """Wall and CPU seconds of one program, into a directory of its own if there is a parent."""
    os.sync()
    if not parent:
        return timed(command, environment)
    with tempfile.TemporaryDirectory(dir=parent) as target:
        # Both programs go on behind the last complete segment they find: here the first.
        shutil.copy(first, target)
        return timed([*command, target], environment)


def measure(cluster, disk, memory, arguments):
    end = make_wal(cluster, arguments.gigabytes)
    cluster.psql("CHECKPOINT")
    environment = cluster.environment()
    environment.pop("PGDATABASE")
    first = os.path.join(cluster.wal, "000000010000000000000001")
    start = "0/2000000"
    volume = int(cluster.psql(f"SELECT pg_wal_lsn_diff('{end}', '{start}')"))
    ours = [neon_redo_program(), "receive", "--no-progress", "--until", end, "--wal"]
    theirs = [cluster.program("pg_receivewal"), "--no-loop", "--endpos", end, "-D"]
    drain = str(ROOT / "build" / "tests" / "bench" / "receive_drain")
    candidates = {
        "disk, neon-redo": (ours, disk),
        "disk, pg_receivewal": (theirs, disk),
        "memory, neon-redo": (ours, memory),
        "memory, pg_receivewal": (theirs, memory),
        "nowhere, WalReceiver": ([drain, "receiver", start, end], None),
        "nowhere, bare loop": ([drain, "bare", start, end], None),
    }
    runs = {
        name: functools.partial(receive, command, parent, first, environment)
        for name, (command, parent) in candidates.items()
    }
    return volume, per_gigabyte(in_turns(runs, arguments.rounds), volume)


def main():
    arguments = arguments_of(
        __doc__,
        ("--gigabytes", {"type": int, "default": 2, "help": "WAL to make and receive"}),
        ("--directory", {"help": "where the received files go (a directory on the disk to measure)"}),
    )
    with (
        tempfile.TemporaryDirectory(prefix="neon_redo_bench.", dir=arguments.directory) as disk,
        tempfile.TemporaryDirectory(prefix="neon_redo_bench.", dir="/dev/shm") as memory,
        Cluster(settings=SETTINGS) as cluster,
    ):
        volume, figures = measure(cluster, disk, memory, arguments)
    ratios = [
        (f"{where}, {ours} by {other}", f"{where}, {ours}", f"{where}, {other}")
        for where, ours, other in (
            ("disk", "neon-redo", "pg_receivewal"),
            ("memory", "neon-redo", "pg_receivewal"),
            ("nowhere", "WalReceiver", "bare loop"),
        )
    ]
    report(f"{volume / 1e9:.2f} GB of WAL", figures, ratios, arguments)


if __name__ == "__main__":
    main()
