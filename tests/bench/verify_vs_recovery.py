#!/usr/bin/env python3
"""Compares neon-redo verify with the server's own crash recovery over the same pgbench WAL:
verify_vs_recovery.py [--scale N] [--transactions N] [--repeats N] [--jobs N,N] [--keep DIR].

A throw-away cluster is loaded and backed up, pgbench writes the WAL, and the server is stopped
without a checkpoint. Recovery is timed on copies of that crashed directory, by the server's log
line "redo done ... elapsed"; verify, whole run, on the backup, the WAL and the cluster once it was
recovered and shut down. The two take turns; medians and spread are printed, and a line of JSON.
--keep DIR makes the clusters in DIR, or uses those that an earlier call has left there.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from cluster import (  # noqa: E402  (needs the path above)
    Cluster,
    copy_module,
    exit_on_signals,
    make_directory,
    neon_redo_program,
    server_user,
)

SETTINGS = {
    "shared_buffers": "4GB",
    "checkpoint_timeout": "1d",
    "max_wal_size": "100GB",
    "wal_keep_size": "100GB",
    "synchronous_commit": "off",
    "log_min_messages": "log",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def make(directory, scale, transactions):
    """The four directories that the measurement needs."""
    say(f"pgbench --scale={scale}, {transactions} transactions")
    with Cluster(settings=SETTINGS, checksums=False) as cluster:
        cluster.pgbench("--initialize", "--quiet", f"--scale={scale}")
        backup = cluster.basebackup()
        cluster.pgbench("--client=4", f"--transactions={transactions // 4}", "--no-vacuum",
                        "--protocol=prepared", "--random-seed=1")
        cluster.stop("immediate")
        shutil.copytree(cluster.data, os.path.join(directory, "crashed"), symlinks=True)
        cluster.start()
        cluster.stop()
        shutil.move(backup, os.path.join(directory, "backup"))
        shutil.copytree(cluster.data, os.path.join(directory, "stopped"), symlinks=True)
    pathlib.Path(directory, "made").write_text(f"{scale} {transactions}\n", "utf-8")


def recover(directory):
    """Seconds of redo, and bytes, by the server's log."""
    copy = make_directory()
    try:
        crashed = os.path.join(copy, "data")
        shutil.copytree(os.path.join(directory, "crashed"), crashed, symlinks=True)
        if user := server_user():
            subprocess.run(["chown", "-R", user, copy], check=True)
        with Cluster(settings=SETTINGS, from_backup=crashed) as cluster:
            log = cluster.log()
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    start = re.search(r"redo starts at ([0-9A-F]+)/([0-9A-F]+)", log)
    done = re.search(r"redo done at ([0-9A-F]+)/([0-9A-F]+) .*elapsed: ([0-9.]+) s", log)
    position = [(int(m[1], 16) << 32) + int(m[2], 16) for m in (start, done)]
    return float(done[3]), position[1] - position[0]


def verify(directory, module, jobs):
    command = [neon_redo_program(), "verify", "--format", "json", "--module", module]
    command += ["--base-backup", f"{directory}/backup", "--wal", f"{directory}/stopped/pg_wal"]
    command += ["--against", f"{directory}/stopped", "--jobs", str(jobs)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def spread(values):
    return f"{statistics.median(values):7.2f} s ({min(values):.2f}..{max(values):.2f})"


def measure(directory, repeats, all_jobs):
    recovery = []
    verified = {jobs: [] for jobs in all_jobs}
    module_directory = make_directory()
    try:
        module = copy_module(module_directory)
        for number in range(repeats):
            say(f"repeat {number + 1} of {repeats}")
            seconds, size = recover(directory)
            recovery.append(seconds)
            for jobs in all_jobs:
                report = verify(directory, module, jobs)
                verified[jobs].append(report["elapsed_seconds"])
    finally:
        shutil.rmtree(module_directory)
    base = statistics.median(recovery)
    print(f"WAL: {size / 1e6:.0f} MB, {report['records']} records; "
          f"{report['pages_compared']} pages compared, {report['native_share']:.1%} native")
    print(f"recovery          {spread(recovery)}  {size / 1e6 / base:6.0f} MB/s")
    out = {"wal_bytes": size, "records": report["records"], "recovery_seconds": recovery}
    for jobs, values in verified.items():
        ratio = base / statistics.median(values)
        print(f"verify --jobs {jobs:<3} {spread(values)}  {size / 1e6 / statistics.median(values):6.0f} MB/s"
              f"  {ratio:.2f} times recovery")
        out[f"verify_{jobs}_seconds"] = values
        out[f"verify_{jobs}_to_recovery"] = ratio
    print(json.dumps(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--transactions", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", default="1,2", help="comma-separated (default: 1,2)")
    parser.add_argument("--keep", metavar="DIR")
    options = parser.parse_args()
    exit_on_signals()
    directory = options.keep or make_directory()
    try:
        os.makedirs(directory, exist_ok=True)
        if not os.path.exists(os.path.join(directory, "made")):
            make(directory, options.scale, options.transactions)
        measure(directory, options.repeats, [int(n) for n in options.jobs.split(",")])
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
