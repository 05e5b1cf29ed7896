"""neon-redo index, and pages by it: of a mixed workload on each version, random pages at random LSNs are those of
a full reading of the WAL; an index that was killed while it was made or merged; programs at one index at once.

With NEON_REDO_LONG=1 (make test-index) there are 100,000 pages of each version and 100 kills.
"""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import workload
from cluster import (
    Cluster,
    cases_of_each_server,
    copy_module,
    neon_redo_program,
    run,
    run_neon_redo,
)

LONG = bool(os.environ.get("NEON_REDO_LONG"))
ORACLE = pathlib.Path(__file__).resolve().parents[2] / "build" / "tests" / "integration" / "index_oracle"
PAGES = 100_000 if LONG else 3_000
KILLS = 100 if LONG else 15
ROWS = 200


class PagesByIndex:
    """Of a cluster with drops, truncations, copied databases and another timeline."""

    version = None
    checksums = True

    @classmethod
    def setUpClass(cls):
        # Segments of 1 MB: there are many of them, and records cross them.
        cls.cluster = cls.enterClassContext(
            Cluster(settings=workload.SETTINGS, version=cls.version, checksums=cls.checksums, wal_segment_mb=1)
        )
        cluster = cls.cluster
        workload.prepare(cluster, ROWS)
        cls.backup = workload.basebackup(cluster)
        workload.run(cluster, ROWS, rounds=workload.ROUNDS[:2])
        cluster.psql("CREATE DATABASE copied TEMPLATE postgres STRATEGY file_copy")
        cluster.stop()
        cls.first = os.path.join(cluster.directory, "archive")
        shutil.copytree(cluster.wal, cls.first)
        # Another timeline, which leaves the first within a segment.
        pathlib.Path(cluster.data, "standby.signal").touch()
        cluster.start()
        cluster.promote()
        cluster.pgbench("--client=2", "--transactions=200", "--no-vacuum")
        cluster.stop()
        cls.module = copy_module(cluster.directory, cls.version)
        cls.index = os.path.join(cluster.directory, "index")

    def ask(self, wal, *more):
        """The oracle's report."""
        result = run([
            ORACLE, "--wal", wal, "--index", self.index, "--base-backup", self.backup, "--pages", str(PAGES),
            "--module", self.module, "--bindir", self.cluster.bindir, *more,
        ])  # fmt: skip
        return json.loads(result.stdout)

    def test_pages_are_those_of_all_wal(self):
        # The same index for all, of WAL that is partly the same; with whole groups of segments, and merged, too.
        for wal, more in (
            (self.first, ()), (self.cluster.wal, ()), (self.cluster.wal, ("--timeline", "1")),
            (self.first, ("--group", "4")), (self.cluster.wal, ("--group", "2", "--fan-out", "2")),
        ):  # fmt: skip
            with self.subTest(wal=wal, more=more):
                report = self.ask(wal, *more)
                self.assertEqual(report["different"], 0)
                self.assertGreater(report["pages"], PAGES // 4)  # others are of what was dropped


for _case in cases_of_each_server(globals(), (type("Pages", (PagesByIndex, unittest.TestCase), {}),)):
    pass
del _case


class Interrupted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(
            Cluster(settings={"max_wal_size": "2GB", "wal_keep_size": "2GB", "autovacuum": "off"}, wal_segment_mb=1)
        )
        cls.cluster.pgbench("-i", "-q", "-s", "5")
        cls.cluster.pgbench("-n", "-c", "2", "-t", "3000")
        cls.cluster.accounts = cls.cluster.psql("SELECT pg_relation_filepath('pgbench_accounts')")
        cls.cluster.stop()

    def setUp(self):
        self.index = self.enterContext(tempfile.TemporaryDirectory())

    def arguments(self, jobs=2):
        return ["index", "--wal", self.cluster.wal, "--index", self.index, f"--jobs={jobs}", "--format=json"]

    def merging(self):
        """A command that gives each segment a file, and merges two of these, and so on."""
        return [ORACLE, "--wal", self.cluster.wal, "--index", self.index, "--pages", "0", "--group", "1",
                "--fan-out", "2"]  # fmt: skip

    def files(self):
        """The names of all files that have entries."""
        return sorted(path.name for path in pathlib.Path(self.index).rglob("*.sst"))

    def check(self, pages=1000):
        report = json.loads(run_neon_redo(*self.arguments()).stdout)
        # Of the others one says which files of WAL were compared.
        others = {path.name for path in pathlib.Path(self.index).rglob("*") if path.is_file()} - set(self.files())
        self.assertLessEqual(others, {"confirmed"})
        self.assertEqual(report["files"], len(self.files()))
        oracle = run([ORACLE, "--wal", self.cluster.wal, "--index", self.index, "--pages", str(pages)])
        self.assertEqual(json.loads(oracle.stdout)["different"], 0)
        return report

    def await_files(self, program, count):
        """Until the program has written so many files, or has ended; whether it has not."""
        before = self.names()
        seen = set()
        deadline = time.monotonic() + 60
        while program.poll() is None and time.monotonic() < deadline:
            seen |= self.names() - before
            if len(seen) >= count:
                return True
        self.assertIsNotNone(program.poll(), "it neither writes files nor ends")
        return False

    def names(self):
        """Names and inodes of all files of the index, those in the making too."""
        found = set()
        for directory in pathlib.Path(self.index).iterdir():
            with os.scandir(directory) as entries:
                found |= {(entry.name, entry.inode()) for entry in entries}
        return found

    def test_killed(self):
        chance = random.Random(1)
        killed = 0
        for _ in range(KILLS):
            command = self.merging() if chance.random() < 0.6 else [neon_redo_program(), *self.arguments()]
            program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            killed += self.await_files(program, chance.randint(1, 60))
            program.send_signal(signal.SIGKILL)
            program.wait()
            # Begin anew, else nothing is left to be made.
            self.check(pages=100)
            for path in pathlib.Path(self.index).rglob("*.sst"):
                if chance.random() < 0.7:
                    path.unlink()
        self.assertGreater(killed, KILLS // 3)
        self.check()

    def test_two_at_once(self):
        for _ in range(3):
            programs = [
                subprocess.Popen(
                    [neon_redo_program(), *self.arguments(1)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True,
                )
                for _ in range(2)
            ]
            third = subprocess.Popen(self.merging(), stdout=subprocess.DEVNULL)
            self.assertEqual(third.wait(timeout=120), 0)
            for program in programs:
                output, errors = program.communicate(timeout=120)
                self.assertEqual(program.returncode, 0, errors)
                self.assertGreater(json.loads(output)["segments"], 10)
            self.check()
            shutil.rmtree(self.index)
            os.mkdir(self.index)

    def test_it_is_made_once(self):
        self.assertGreater(self.check()["segments_indexed"], 10)
        self.assertEqual(self.check()["segments_indexed"], 0)

    def test_threads_share_files(self):
        """Many threads of one command, with few descriptors."""
        run(self.merging())
        self.assertGreater(len(self.files()), 3)
        accounts = self.cluster.accounts
        output = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "accounts")
        arguments = ["--wal", self.cluster.wal, "--index", self.index, "--output", output, "--jobs=16", "--lsn=end"]
        run(["prlimit", "--nofile=100", neon_redo_program(), "page", "--relation", accounts, *arguments])
        self.assertGreater(os.path.getsize(output), 4 << 20)

    def test_a_damaged_compressed_segment(self):
        """WAL before it is indexed, the command says so, and pages before it are found."""
        archive = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        names = sorted(name for name in os.listdir(self.cluster.wal) if len(name) == 24)
        for name in names:
            shutil.copy(os.path.join(self.cluster.wal, name), archive)
        run(["gzip", archive / names[5]])
        packed = archive / (names[5] + ".gz")
        packed.write_bytes(packed.read_bytes()[:-5000])
        arguments = ["--wal", archive, "--index", self.index]
        result = run_neon_redo("index", *arguments, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"{names[5]}.gz", result.stderr)
        self.assertIn("WAL indexed up to", result.stdout)
        end = re.search("up to: (.*)", result.stdout)[1]
        self.assertEqual(run_neon_redo("index", *arguments, "--to", end).returncode, 0)

    def test_a_directory_that_cannot_be_made(self):
        arguments = ["index", "--wal", self.cluster.wal, "--index", "/proc/nothing"]
        result = run_neon_redo(*arguments, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn('could not create directory "/proc/nothing"', result.stderr)
        result = run_neon_redo(*arguments[:3], check=False, env={"PATH": os.environ["PATH"], "XDG_CACHE_HOME": ""})
        self.assertEqual(result.returncode, 2)
        self.assertIn("give one by --index=DIR", result.stderr)


class History(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {"wal_keep_size": "1GB", "autovacuum": "off", "track_commit_timestamp": "on"}
        cls.cluster = cls.enterClassContext(Cluster(settings=settings, wal_segment_mb=1))
        cls.index = cls.enterClassContext(tempfile.TemporaryDirectory())
        psql = cls.cluster.psql
        psql("CREATE TABLE t (a int PRIMARY KEY, b text); SELECT pg_switch_wal()")
        cls.relation = psql("SELECT pg_relation_filepath('t')")
        cls.number = psql("SELECT 1663 || '/' || oid || '/' || pg_relation_filenode('t') FROM pg_database"
                          " WHERE datname = current_database()")
        psql("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 500) i; CHECKPOINT")
        cls.deleted = psql("DELETE FROM t WHERE a = 3 RETURNING pg_current_xact_id()")
        cls.committed = psql(f"SELECT pg_xact_commit_timestamp('{cls.deleted}'::xid) AT TIME ZONE 'UTC'")
        psql("BEGIN; UPDATE t SET b = 'rolled back' WHERE a = 4; ROLLBACK; SELECT pg_switch_wal()")
        psql("TRUNCATE t; DROP TABLE t")
        cls.cluster.stop()

    def history(self, name, *more):
        result = run_neon_redo("history", name, "--wal", self.cluster.wal, "--index", self.index,
                               "--format=json", *more, env={**os.environ, "TZ": "UTC"})  # fmt: skip
        return [json.loads(line) for line in result.stdout.splitlines()]

    def waldump(self, *more):
        result = run_neon_redo("waldump", "--wal", self.cluster.wal, "--format=json", *more)
        return [json.loads(line)["lsn"] for line in result.stdout.splitlines()]

    def test_a_page(self):
        for block in ("0", "5"):
            lines = self.history(f"{self.relation}/{block}")
            of_block = self.waldump("--relation", self.number, "--block", block, "--fork", "main")
            # The truncation and the drop name no block.
            self.assertEqual([line["lsn"] for line in lines if line["blocks"]], of_block)
            self.assertGreater(len(lines), len(of_block))

    def test_a_relation(self):
        lines = self.history(self.relation)
        found = [line["lsn"] for line in lines]
        self.assertEqual(found, sorted(found, key=lambda lsn: [int(part, 16) for part in lsn.split("/")]))
        self.assertLessEqual(set(self.waldump("--relation", self.number)), set(found))
        self.assertIn("CREATE", [line["operation"] for line in lines])

    def test_who_deleted_the_row(self):
        lines = self.history(f"{self.relation}/0", "--xid", self.deleted)
        self.assertEqual([line["operation"] for line in lines], ["DELETE"])
        self.assertEqual(lines[0]["committed"].removesuffix(" UTC").rstrip("0"), self.committed.rstrip("0"))

    def test_what_was_rolled_back_has_no_time(self):
        lines = [line for line in self.history(f"{self.relation}/0") if line["operation"] == "HOT_UPDATE"]
        self.assertEqual([line["committed"] for line in lines], [None])

    def test_the_last_ones(self):
        lines = self.history(f"{self.relation}/0")
        self.assertEqual(self.history(f"{self.relation}/0", "--limit=2"), lines[-2:])
        self.assertEqual(self.history(f"{self.relation}/0", "--from", lines[1]["lsn"]), lines[1:])

    def test_a_segment_of_pg_xact(self):
        lines = self.history("pg_xact/0000/0")
        self.assertIn("COMMIT", [line["operation"] for line in lines])

    def test_no_name(self):
        result = run_neon_redo("history", "t", "--wal", self.cluster.wal, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("is not the name of a page", result.stderr)


if __name__ == "__main__":
    unittest.main()
