#!/usr/bin/env python3
"""Compares neon-redo verify over an archive of compressed segments with verify over the same plain
ones: verify_compressed.py [--scale N] [--transactions N] [--repeats N] [--jobs N] [--packers zst,gz] [--quick].

A throw-away cluster is backed up, and pgbench writes the WAL. The runs over plain and compressed
segments take turns, whole runs without a cluster; medians of speed are printed, and a line of JSON.
With --quick the base backup is not read as a whole. The bar is that .zst is no slower than 0.8 of plain.
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
    MUCH_WAL,
    Cluster,
    copy_module,
    exit_on_signals,
    make_directory,
    neon_redo_program,
)

# As archive commands have them: by the file's name, so that the content's size is known.
PACKERS = {
    "gz": "gzip <{0} >{1}",
    "lz4": "lz4 -q {0} {1}",
    "zst": "zstd -q {0} -o {1}",
    "bz2": "bzip2 <{0} >{1}",
    "xz": "xz -1 <{0} >{1}",
}


def make(directory, scale, transactions, packers):
    with Cluster(settings=MUCH_WAL) as cluster:
        cluster.pgbench("--initialize", "--quiet", f"--scale={scale}")
        backup = cluster.basebackup("backup", "--wal-method=none")
        cluster.pgbench("--client=4", f"--transactions={transactions // 4}", "--no-vacuum",
                        "--protocol=prepared", "--random-seed=1")
        cluster.psql("SELECT pg_switch_wal()")
        cluster.stop()
        shutil.move(backup, os.path.join(directory, "backup"))
        for suffix in ["plain", *packers]:
            os.mkdir(os.path.join(directory, suffix))
        for name in os.listdir(cluster.wal):
            if not re.fullmatch("[0-9A-F]{24}", name):
                continue
            plain = os.path.join(directory, "plain", name)
            shutil.copy(os.path.join(cluster.wal, name), plain)
            for suffix in packers:
                packed = os.path.join(directory, suffix, f"{name}.{suffix}")
                subprocess.run(PACKERS[suffix].format(plain, packed), shell=True, check=True)


def verify(directory, name, module, jobs, more):
    command = [neon_redo_program(), "verify", *more, "--format=json", f"--module={module}"]
    command += [f"--wal={directory}/{name}", f"--base-backup={directory}/backup", f"--jobs={jobs}"]
    environment = {key: value for key, value in os.environ.items() if key != "PGDATA"}
    report = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    )
    return report["wal_bytes"] / report["elapsed_seconds"] / 1e6, report


def size_of(directory):
    return sum(path.stat().st_size for path in pathlib.Path(directory).iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--transactions", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--packers", default="zst,lz4,gz")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    exit_on_signals()
    packers = options.packers.split(",")
    more = ["--quick"] if options.quick else []
    directory = make_directory()
    try:
        make(directory, options.scale, options.transactions, packers)
        module = copy_module(directory)
        speeds = {name: [] for name in ["plain", *packers]}
        for _ in range(options.repeats):
            for name, values in speeds.items():
                speed, report = verify(directory, name, module, options.jobs, more)
                values.append(speed)
        plain = statistics.median(speeds["plain"])
        print(f"{report['wal_bytes'] / 1e6:.0f} MB of WAL, {report['records']} records,"
              f" {options.jobs} jobs")
        for name, values in speeds.items():
            share = size_of(f"{directory}/{name}") / size_of(f"{directory}/plain")
            print(f"{name:6} {statistics.median(values):7.1f} MB/s ({min(values):.1f} to"
                  f" {max(values):.1f}), {statistics.median(values) / plain:.2f} of plain,"
                  f" {share:.0%} of its size")
        print(json.dumps({"speeds": speeds, "wal_bytes": report["wal_bytes"]}))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
