#!/usr/bin/env python3
"""Compares a run of neon-redo verify that relies on a ledger with reading the new WAL alone:
verify_ledger.py [--scale N] [--old N] [--new N] [--repeats N] [--jobs N].

A throw-away cluster is backed up. pgbench writes the WAL of a week (--old transactions), which a first
run proves, and then that of a day (--new). The runs take turns: `waldump --stats` and `ingest` of the
day, verify with the ledger, verify with a backup that was taken just before the day and --quick (which
replays the day's WAL and nothing else), and verify over all. Medians of seconds and of seconds of the
processor are printed, with the ratio to the last but one, and a line of JSON. The bar is 1.2.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import (  # noqa: E402  (needs the path above)
    MUCH_WAL,
    Cluster,
    copy_module,
    exit_on_signals,
    make_directory,
    neon_redo_program,
)


def pgbench(cluster, transactions, seed):
    cluster.pgbench("--client=4", f"--transactions={transactions // 4}", "--no-vacuum", "--protocol=prepared",
                    f"--random-seed={seed}")


def archive_segments(cluster, target):
    """Those that are finished; the one that is being written, too, which is finished for that."""
    last = cluster.psql("SELECT pg_walfile_name(pg_switch_wal() - 1)").strip()
    for name in os.listdir(cluster.wal):
        copy = os.path.join(target, name)
        if re.fullmatch("[0-9A-F]{24}", name) and name <= last and not os.path.exists(copy):
            shutil.copy(os.path.join(cluster.wal, name), copy)


def make(directory, arguments, prove):
    """The backups, and the WAL in two steps: prove is called after the first."""
    archive = os.path.join(directory, "archive")
    os.mkdir(archive)
    with Cluster(settings=MUCH_WAL) as cluster:
        cluster.pgbench("--initialize", "--quiet", f"--scale={arguments.scale}")
        shutil.move(cluster.basebackup("backup", "--wal-method=none"), os.path.join(directory, "backup"))
        pgbench(cluster, arguments.old, 1)
        cluster.psql("CHECKPOINT")
        shutil.move(cluster.basebackup("late", "--wal-method=none"), os.path.join(directory, "late"))
        archive_segments(cluster, archive)
        prove(archive)
        pgbench(cluster, arguments.new, 3)
        archive_segments(cluster, archive)
    return archive


def timed(command, environment):
    """Seconds, seconds of the processor, and the output."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, processor, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=20)
    parser.add_argument("--old", type=int, default=1_000_000, help="transactions of the week")
    parser.add_argument("--new", type=int, default=150_000, help="transactions of the day")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    exit_on_signals()
    directory = make_directory("neon_redo.bench.")
    environment = {key: value for key, value in os.environ.items() if key != "PGDATA"}
    try:
        module = copy_module(os.path.join(directory, "module"))
        program = neon_redo_program()
        ledger, proven = os.path.join(directory, "ledger"), os.path.join(directory, "proven")

        def verify(backup, archive, *options):
            return [program, "verify", f"--base-backup={directory}/{backup}", f"--wal={archive}", f"--jobs={arguments.jobs}",
                    f"--module={module}", "--no-progress", "--format=json", *options]

        def prove(archive):
            time.sleep(1.1)
            timed(verify("backup", archive, f"--ledger={proven}"), environment)

        archive = make(directory, arguments, prove)
        shutil.copy(proven, ledger)
        *_, text = timed(verify("backup", archive, f"--ledger={ledger}"), environment)
        said = json.loads(text)
        if not said["ledger"]["relied"]:
            sys.exit(f"the run did not rely on the ledger: {said['ledger']['why_all']}")
        begin = said["ledger"]["proven_to_lsn"]
        commands = {
            "waldump --stats": [program, "waldump", "--stats", f"--start={begin}", f"--wal={archive}"],
            "ingest": [program, "ingest", f"--from={begin}", f"--wal={archive}"],
            "verify --ledger": verify("backup", archive, f"--ledger={ledger}"),
            "verify --quick, backup of the day": verify("late", archive, "--quick"),
            "verify over all": verify("backup", archive),
        }
        seconds, processor = ({name: [] for name in commands} for _ in range(2))
        for _ in range(arguments.repeats):
            for name, command in commands.items():
                shutil.copy(proven, ledger)
                elapsed, busy, _ = timed(command, environment)
                seconds[name].append(elapsed)
                processor[name].append(busy)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{said['wal_bytes'] / 1e6:.0f} MB of new WAL, {said['records']:,} records; {said['ledger']['segments']} segments and "
          f"{said['ledger']['files']} files relied on; {arguments.jobs} jobs")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    busy = {name: statistics.median(values) for name, values in processor.items()}
    alone = "verify --quick, backup of the day"
    for name, median in medians.items():
        print(f"{name:<36} {median:7.2f} s ({min(seconds[name]):.2f} to {max(seconds[name]):.2f}), {median / medians[alone]:.2f}; "
              f"processor {busy[name]:.2f} s, {busy[name] / busy[alone]:.2f}")
    print(json.dumps({"wal_bytes": said["wal_bytes"], "seconds": medians, "processor": busy}))


if __name__ == "__main__":
    main()
