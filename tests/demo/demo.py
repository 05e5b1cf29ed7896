#!/usr/bin/env python3
"""The program of make demo. It creates a throw-away cluster, takes a base backup, runs a mixed workload
and stops the server. neon-redo then rebuilds every page that WAL has changed since the backup and
compares it with the page that PostgreSQL wrote. The exit status is neon-redo's: 0 if all are equal.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.dont_write_bytecode = True

import workload  # noqa: E402  (needs the path above)
from cluster import Cluster, copy_module, exit_on_signals, neon_redo_program, run  # noqa: E402
from cluster import server_program  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=workload.DEMO_ROWS, help="size of the workload")
    arguments = parser.parse_args()
    exit_on_signals()
    try:
        return demo(arguments.rows)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def demo(rows):
    version = run([server_program("postgres"), "--version"]).stdout.strip()
    say(f"{version}: a throw-away cluster with data checksums")
    with Cluster(settings=workload.SETTINGS) as cluster:
        workload.prepare(cluster, rows)
        say("pg_basebackup")
        backup = workload.basebackup(cluster, "backup", "--wal-method=none", "--no-manifest")
        workload.run(cluster, rows, progress=lambda text: say(f"workload, {text}"))
        say("clean stop")
        cluster.stop()
        command = [neon_redo_program(), "verify", "--base-backup", backup, "--wal", cluster.wal]
        command += ["--against", cluster.data, "--module", copy_module(cluster.directory)]
        say(" ".join([f"{os.path.relpath(command[0])}", *command[1:]]))
        # What it would leave when killed in the middle of a worker's launch goes with the cluster.
        environment = {**os.environ, "TMPDIR": cluster.directory}
        return subprocess.run(command, env=environment, check=False).returncode


def say(text, start=time.monotonic()):
    print(f"{time.monotonic() - start:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
