"""Shared by the benchmarks of receive, receive-logical and serve-wal: runs programs in turns on the same
WAL and computes the ratio of their medians."""

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from cluster import exit_on_signals, run  # noqa: E402

# A primary that keeps all its WAL.
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


def in_turns(candidates, rounds):
    """candidates: name -> a function that runs it once and returns wall and CPU seconds. Every other
    round goes backwards; one more in front warms the caches. Returns name -> list of the results."""
    samples = {name: [] for name in candidates}
    for round_number in range(rounds + 1):
        names = list(candidates) if round_number % 2 else list(reversed(candidates))
        for name in names:
            result = candidates[name]()
            if round_number:
                samples[name].append(result)
    return samples


def per_gigabyte(samples, volume):
    """Figures of what in_turns returned, for `volume` bytes of WAL."""
    return {
        name: {
            "MB/s": round(statistics.median(volume / wall / 1e6 for wall, _ in rows), 1),
            "CPU s/GB": round(statistics.median(cpu / (volume / 1e9) for _, cpu in rows), 4),
        }
        for name, rows in samples.items()
    }


def arguments_of(description, *options):
    """The command line: --rounds, --json and the options, (name, argparse's keywords) each."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    for name, keywords in options:
        parser.add_argument(name, **keywords)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    exit_on_signals()
    return parser.parse_args()


def report(what, figures, ratios, arguments):
    """Prints the figures (name -> {unit: number}, throughput before CPU time) and, for each of ratios
    (label, name, name of the other), the one by the other."""
    if arguments.json:
        print(json.dumps({"what": what, "rounds": arguments.rounds, "figures": figures}, indent=2))
        return
    print(f"{what}, median of {arguments.rounds} rounds")
    for name, row in figures.items():
        print(f"{name:30}" + "".join(f" {value:12,} {unit}" for unit, value in row.items()))
    for label, ours, other in ratios:
        speed, cpu = (a / b for a, b in list(zip(figures[ours].values(), figures[other].values()))[:2])
        print(f"{label}: {speed:.2f} of the throughput, {cpu:.2f} of the CPU time")
