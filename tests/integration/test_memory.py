"""verify stays below --memory for any amount of WAL and any number of files, with the
256 descriptors that a process may have where nobody raised the limit.

With NEON_REDO_LONG=1 (make test-memory) there are 20 GB of WAL, 50,000 files and 512 MB of memory. The
directory for temporary files then needs about 35 GB.
"""

import json
import os
import shutil
import sys
import unittest

from cluster import MUCH_WAL, Cluster, copy_module, neon_redo_program, run

LONG = bool(os.environ.get("NEON_REDO_LONG"))
WAL = (20 << 30) if LONG else (300 << 20)
MEMORY = 512 if LONG else 96  # MB
FILES = 50_000 if LONG else 2_000
DESCRIPTORS = 256
SCALE = 100 if LONG else 10  # 1.5 GB of pages, or 150 MB: more than fit
SETTINGS = {**MUCH_WAL, "shared_buffers": "1GB" if LONG else "128MB"}


# Runs a command and tells the peak of its resident memory on standard error. In a process of its
# own, since a peak counts what was there before execve: here, all of this test program.
MEASURE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
status = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
""".replace("DESCRIPTORS", str(DESCRIPTORS))

# Four files each: the heap, its index, the TOAST table and its index.
TABLES = f"""
SELECT format('CREATE TABLE small_%s (id int PRIMARY KEY, t text)', n)
  FROM generate_series(1, {FILES // 4}) n \\gexec
"""


def rows(key):
    return f"""
SELECT format('INSERT INTO small_%s VALUES ({key}, %L)', n, 'x')
  FROM generate_series(1, {FILES // 4}) n \\gexec
"""


def run_measured(*arguments):
    """Returns standard output and the peak of resident memory in bytes; the exit status must be 0."""
    environment = {k: v for k, v in os.environ.items() if k != "PGDATA"}
    result = run([sys.executable, "-c", MEASURE, neon_redo_program(), *arguments], env=environment)
    return result.stdout, int(result.stderr.split()[-1]) * 1024


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(settings=SETTINGS)
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.pgbench("-i", "-q", "-s", str(SCALE), "-F", "80")
        cls.cluster.psql(TABLES + rows(1))
        cls.backup = cls.cluster.basebackup()
        cls.cluster.psql(rows(2))
        start = cls.cluster.psql("SELECT pg_current_wal_lsn()")
        part = 0
        while True:
            # Every page in turn: its image, one small record, and those of other transactions.
            cls.cluster.psql("CHECKPOINT")
            cls.cluster.psql(
                f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 40 = {part % 40}"
            )
            cls.cluster.pgbench("-n", "-c", "4", "-t", "1000")
            part += 1
            cls.wal_bytes = float(cls.cluster.psql(f"SELECT pg_current_wal_lsn() - '{start}'"))
            if cls.wal_bytes >= WAL:
                break
        cls.cluster.stop()
        cls.module = copy_module(cls.cluster.directory)

    def check(self, what, peak, wal_bytes):
        self.assertGreaterEqual(wal_bytes, WAL)
        print(f"{what}: {wal_bytes / 1e9:.2f} GB of WAL, --memory {MEMORY}MB: {peak / 2**20:.0f} MB")
        self.assertLess(peak, MEMORY << 20)

    def test_verify(self):
        for jobs in ("1", "2"):
            with self.subTest(jobs=jobs):
                output, peak = run_measured(
                    "verify", "--base-backup", self.backup, "--wal", self.cluster.wal,
                    "--against", self.cluster.data, "--module", self.module,
                    "--memory", f"{MEMORY}MB", "--jobs", jobs, "--format", "json",
                )  # fmt: skip
                report = json.loads(output)
                self.assertEqual(report["mismatches"], [])
                self.assertGreater(report["pages_spilled"], 0)
                self.assertGreaterEqual(report["backup"]["files"], FILES)
                self.check(f"verify --jobs {jobs}", peak, report["wal_bytes"])

    def test_index(self):
        """Of all WAL, whose entries for one file are in memory while it is made."""
        index = os.path.join(self.cluster.directory, "index")
        self.addCleanup(shutil.rmtree, index)
        for jobs in (1, 2):
            with self.subTest(jobs=jobs):
                shutil.rmtree(index, ignore_errors=True)
                output, peak = run_measured(
                    "index", "--wal", self.cluster.wal, "--index", index, f"--jobs={jobs}", "--format", "json"
                )
                self.assertGreater(json.loads(output)["segments_indexed"], 10)
                print(f"index --jobs {jobs}: {self.wal_bytes / 1e9:.2f} GB of WAL: {peak / 2**20:.0f} MB")
                self.assertLess(peak, (64 + 192 * jobs) << 20)


if __name__ == "__main__":
    unittest.main()
