#!/usr/bin/env python3
"""The benchmarks (make bench): run.py [OPTION of neon-redo bench]...

WAL for them is written by a throw-away server at the first run and kept in build/bench_wal.
"""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from cluster import copy_module, exit_on_signals, make_directory, neon_redo_program  # noqa: E402

WAL = ROOT / "build" / "bench_wal"


def main():
    exit_on_signals()
    if not WAL.exists():
        print("writing WAL for the benchmarks", file=sys.stderr, flush=True)
        subprocess.run([ROOT / "tests" / "bench" / "make_wal.py", WAL], check=True)
    if "json" not in " ".join(sys.argv[1:]):
        micro = ROOT / "build" / "tests" / "bench" / "micro_benchmark"
        environment = {**os.environ, "NEON_REDO_BENCH_WAL": str(WAL)}
        subprocess.run([micro], env=environment, check=True)
    directory = make_directory()
    try:
        where = ["--wal", str(WAL), "--module", copy_module(directory)]
        if "json" not in " ".join(sys.argv[1:]):
            manager = ROOT / "build" / "tests" / "bench" / "manager_bench"
            subprocess.run([manager, *where], check=True)
        command = [neon_redo_program(), "bench", *where, *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
