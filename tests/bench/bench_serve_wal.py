#!/usr/bin/env python3
"""neon-redo serve-wal beside PostgreSQL's walsender: the same segment files, the same pg_receivewal.

    tests/bench/bench_serve_wal.py [--gigabytes N] [--rounds N] [--json]

A throw-away server makes the WAL once, and serves it itself. serve-wal serves hard links to its pg_wal.
One pg_receivewal takes all of it from either, in turns, over a Unix socket into memory (/dev/shm).
Segments that it has completed are removed at once, for the next ones to get their pages: pages that a
virtual machine's host had taken back would make a run take up to three times as long, at random.
CPU seconds are the sending process's own, user and system. Each figure is the median of the rounds.
"""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

from side_by_side import SETTINGS, arguments_of, in_turns, make_wal, per_gigabyte, report

from cluster import Cluster, neon_redo_program, run

START = "0/2000000"  # pg_receivewal goes on behind the first segment
FIRST = "000000010000000000000001"


def cpu_seconds(pid):
    """User and system time of a process so far, from its schedstat (nanoseconds on a CPU)."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e9


def walsender_cpu(cluster, done):
    """CPU time of the cluster's one walsender, last seen before it went."""
    postmaster = cluster.process.pid
    children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children")
    pid, cpu = None, 0.0
    while not done.is_set():
        try:
            if pid is None:
                for child in children.read_text("ascii").split():
                    if b"walsender" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
                        pid = int(child)
            else:
                cpu = cpu_seconds(pid)
        except (FileNotFoundError, ProcessLookupError):
            pid = None
        done.wait(0.005)
    return cpu


def remove_completed(directory, done):
    while not done.wait(0.005):
        for name in os.listdir(directory):
            if name > FIRST and not name.endswith(".partial"):
                os.unlink(os.path.join(directory, name))


def receive(cluster, host, end, segment):
    """Wall seconds of one pg_receivewal into an empty directory in memory."""
    target = tempfile.mkdtemp(prefix="neon_redo_bench.", dir="/dev/shm")
    done = threading.Event()
    remover = threading.Thread(target=remove_completed, args=(target, done))
    remover.start()
    try:
        shutil.copy(segment, target)
        environment = {**cluster.environment(), "PGHOST": host}
        environment.pop("PGDATABASE")
        command = [cluster.program("pg_receivewal"), "--no-loop", "--no-sync", "--endpos", end, "-D"]
        start = time.monotonic()
        run([*command, target], env=environment)
        return time.monotonic() - start
    finally:
        done.set()
        remover.join()
        shutil.rmtree(target)


def from_walsender(cluster, end, segment):
    done = threading.Event()
    result = []
    watcher = threading.Thread(target=lambda: result.append(walsender_cpu(cluster, done)))
    watcher.start()
    wall = receive(cluster, cluster.directory, end, segment)
    done.set()
    watcher.join()
    return wall, result[0]


def from_serve_wal(cluster, server, socket, end, segment):
    before = cpu_seconds(server.pid)
    wall = receive(cluster, socket, end, segment)
    return wall, cpu_seconds(server.pid) - before


def measure(cluster, work, arguments):
    end = make_wal(cluster, arguments.gigabytes)
    cluster.psql("CHECKPOINT")
    volume = int(cluster.psql(f"SELECT pg_wal_lsn_diff('{end}', '{START}')"))
    archive = os.path.join(work, "wal")
    # Hard links where it goes: the very same pages in the page cache.
    shutil.copytree(cluster.wal, archive, copy_function=os.link)
    segment = os.path.join(archive, FIRST)
    command = [neon_redo_program(), "serve-wal", "--wal", archive, "--socket", work]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            while not os.path.exists(os.path.join(work, ".s.PGSQL.5432")):
                time.sleep(0.01)
            runs = {
                "serve-wal": functools.partial(from_serve_wal, cluster, server, work, end, segment),
                "walsender": functools.partial(from_walsender, cluster, end, segment),
            }
            samples = in_turns(runs, arguments.rounds)
        finally:
            server.terminate()
    return volume, per_gigabyte(samples, volume)


def main():
    arguments = arguments_of(
        __doc__, ("--gigabytes", {"type": int, "default": 2, "help": "WAL to make and send"})
    )
    with Cluster(settings=SETTINGS) as cluster:
        work = tempfile.mkdtemp(prefix="serve.", dir=cluster.directory)
        volume, figures = measure(cluster, work, arguments)
    ratios = [("serve-wal by walsender", "serve-wal", "walsender")]
    report(f"{volume / 1e9:.2f} GB of WAL", figures, ratios, arguments)


if __name__ == "__main__":
    main()
