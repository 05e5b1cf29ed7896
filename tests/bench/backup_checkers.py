#!/usr/bin/env python3
"""What neon-redo verify finds in damaged backups, and in how long, beside the tools that come with them:
backup_checkers.py [--scale N] [--repeats N]

One pgbench cluster gets a backup by pg_basebackup and one by pgBackRest. Both are damaged in the same ways, one
after the other, and checked by pg_verifybackup or `pgbackrest verify`, and by neon-redo verify with the WAL
since and the stopped cluster. Then each checks the undamaged backup some times, in turns. Prints two tables.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from backup_tools import PgBackRest  # noqa: E402  (needs the path above)
from cluster import Cluster, exit_on_signals, make_directory, neon_redo_program  # noqa: E402
from test_verify_bases import PgBackRestFiles, PlainFiles  # noqa: E402

BLOCK = 8192
SETTINGS = {"archive_mode": "on", "archive_command": "/bin/true", "wal_keep_size": "8GB", "max_wal_size": "8GB",
            "autovacuum": "off"}  # fmt: skip


def flipped(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Bench:
    def __init__(self, cluster, directory):
        self.cluster = cluster
        self.directory = directory
        psql = cluster.psql
        self.table = psql("SELECT pg_relation_filepath('pgbench_accounts')")
        self.index = psql("SELECT pg_relation_filepath('pgbench_accounts_pkey')")
        psql("CREATE TABLE cold AS SELECT g a, md5(g::text) b FROM generate_series(1, 50000) g")
        self.cold = psql("SELECT pg_relation_filepath('cold')")
        psql("CHECKPOINT")
        # The older version of the file, which is put back later.
        self.old = pathlib.Path(cluster.data, self.cold).read_bytes()
        psql("UPDATE cold SET b = 'new'; VACUUM cold; CHECKPOINT")
        self.tool = PgBackRest(cluster, compress_type="zst")
        self.plain = cluster.basebackup(f"{directory}/plain", "--wal-method=none")
        self.label = self.tool.backup("full")
        cluster.pgbench("--client=4", "--transactions=5000", "--no-vacuum")
        psql("SELECT pg_switch_wal()")
        cluster.stop()
        os.chmod(directory, 0o755)

    def checkers(self):
        """By name: the command, and the files that it checks."""
        wal = [f"--wal={self.cluster.wal}", f"--against={self.cluster.data}", "--no-progress"]
        verify = [neon_redo_program(), "verify", "--engine=native"]
        stored = os.path.join(self.tool.stanza, self.label)
        plain, packed = PlainFiles(self.plain), PgBackRestFiles(stored, ".zst")
        pgbackrest = [self.tool.program, f"--config={self.tool.configuration}", "--stanza=main", "verify",
                      "--output=text"]  # fmt: skip
        return {
            "pg_verifybackup": ([self.cluster.program("pg_verifybackup"), "-n", self.plain], plain),
            "neon-redo, plain": ([*verify, f"--base-backup={self.plain}", *wal], plain),
            "pgbackrest verify": (pgbackrest, packed),
            "neon-redo, pgBackRest": ([*verify, f"--base-backup={self.tool.repository}", *wal], packed),
        }

    def run(self, command):
        """Seconds, and whether the command calls the backup whole."""
        begin = time.monotonic()
        done = self.cluster.run_as_server(command, check=False)
        # pgbackrest verify ends with 0 whatever it finds, and says so only with --output.
        is_whole = done.returncode == 0 and "status: error" not in done.stdout
        return time.monotonic() - begin, is_whole, done

    def damages(self):
        return {
            "file missing": (self.cold, lambda data: None),
            "file cut": (self.cold, lambda data: data[:-BLOCK]),
            "byte in a heap page": (self.table, flipped(3 * BLOCK + 5000)),
            "byte in an index page": (self.index, flipped(2 * BLOCK + 300)),
            "byte in pg_xact": ("pg_xact/0000", flipped(150)),
            "older file put back": (self.cold, lambda data: self.old),
        }

    def find(self):
        yield "nothing", {name: self.run(command)[1] for name, (command, _) in self.checkers().items()}
        for damage, (path, change) in self.damages().items():
            found = {}
            for name, (command, files) in self.checkers().items():
                undo = files.keep(path)
                files.write(path, change(files.read(path)))
                found[name] = self.run(command)[1]
                undo()
            yield damage, found
        # A write that the cluster lost: the page on its disk is older than its WAL.
        place = pathlib.Path(self.cluster.data, self.table)
        data = place.read_bytes()
        backup = pathlib.Path(self.plain, self.table).read_bytes()
        lost = next(at for at in range(0, len(backup), BLOCK) if backup[at : at + 8] != data[at : at + 8])
        place.write_bytes(data[:lost] + backup[lost : lost + BLOCK] + data[lost + BLOCK :])
        yield "write that the cluster lost", {name: self.run(command)[1] for name, (command, _) in self.checkers().items()}
        place.write_bytes(data)

    def times(self, repeats):
        seconds = {name: [] for name in self.checkers()}
        for _ in range(repeats):
            for name, (command, _) in self.checkers().items():
                seconds[name].append(self.run(command)[0])
        return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=50, help="of pgbench: 15 MB each (default: 50)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    exit_on_signals()
    directory = make_directory("neon_redo.checkers.")
    tool = None
    try:
        with Cluster(settings=SETTINGS) as cluster:
            cluster.pgbench("--initialize", "--quiet", f"--scale={options.scale}")
            bench = Bench(cluster, directory)
            tool = bench.tool
            names = list(bench.checkers())
            print(f"{'Damage':<28}" + "".join(f"{name:>24}" for name in names))
            for damage, whole in bench.find():
                words = ["" if damage == "nothing" and whole[name] else "found" if not whole[name] else "not found" for name in names]
                print(f"{damage:<28}" + "".join(f"{word:>24}" for word in words), flush=True)
            print(f"\n{'Seconds':<28}" + "".join(f"{name:>24}" for name in names))
            seconds = bench.times(options.repeats)
            medians = [f"{statistics.median(s):.2f} ({min(s):.2f}..{max(s):.2f})" for s in seconds.values()]
            print(f"{'undamaged':<28}" + "".join(f"{text:>24}" for text in medians))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if tool:
            shutil.rmtree(tool.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
